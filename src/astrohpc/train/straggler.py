"""Which rank is slow: each one's own time for its computing, compared now and then.

The time of a whole step is the same everywhere, for all wait for the slowest; what a rank does before
it first waits for others is its own.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

_SLOW = 1.3  # times the median of ranks


@dataclass
class OwnTimes:
    """The times of one rank since they were last compared."""

    seconds: list[float] = field(default_factory=list)

    def take(self) -> float:
        """The median since the last call, 0 where there is none."""
        found = statistics.median(self.seconds) if self.seconds else 0.0
        self.seconds.clear()
        return found


@dataclass(frozen=True)
class Comparison:
    """Times of all ranks for the same steps."""

    median_s: float
    slowest_s: float
    slowest: int

    @property
    def ratio(self) -> float:
        """How much longer the slowest takes than the median."""
        return self.slowest_s / self.median_s if self.median_s else 1.0

    @property
    def sentence(self) -> str:
        """What to tell, or nothing where no rank is slow."""
        if self.ratio < _SLOW:
            return ""
        return (
            f"rank {self.slowest} computes for {self.slowest_s:.3g} s a step, {self.ratio:.2f} times the "
            "median of ranks: all others wait for it; look at its node"
        )


def compare(seconds: Sequence[float]) -> Comparison:
    """Compare the times of all ranks, in their order."""
    slowest = max(range(len(seconds)), key=lambda rank: seconds[rank])
    return Comparison(statistics.median(seconds), seconds[slowest], slowest)
