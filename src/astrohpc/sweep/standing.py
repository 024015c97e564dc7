"""How a sweep stands, in the numbers that a person asks for; computed from views alone."""

import math
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from astrohpc.outcome import Outcome
from astrohpc.sweep.state import State
from astrohpc.sweep.survey import Status, View

ORDER: tuple[Status, ...] = (
    "done",
    "running",
    "queued",
    "silent",
    "ended",
    "new",
    "stopped",
    "branched",
)

_FINAL: tuple[Status, ...] = ("done", "stopped", "branched")


@dataclass
class Standing:
    """Counts, speed and expected end."""

    total: int
    counts: dict[Status, int]
    causes: dict[str, int] = field(default_factory=dict)  # outcomes of members that ended otherwise
    rate_per_min: float | None = None  # members done a minute, lately
    eta_s: float | None = None
    model_years_per_day: float | None = None  # median over running members
    begun: float | None = None
    ended: float | None = None

    @property
    def open(self) -> int:
        """Members that are neither done nor given up."""
        return self.total - sum(self.counts.get(name, 0) for name in _FINAL)


def standing(views: Sequence[View], now: float, shared: Container[int] = ()) -> Standing:
    """Fold views into one standing; members ``shared`` with a neighbour tell nothing of our pace."""
    counts = Counter(view.status for view in views)
    causes: Counter[str] = Counter()
    ends: list[float] = []
    begins: list[float] = []
    speeds: list[float] = []
    for view in views:
        for attempt in () if view.member.index in shared else view.attempts:
            begins.append(attempt.started)
            if attempt.outcome == Outcome.DONE and attempt.ended is not None:
                ends.append(attempt.ended)
        if view.status in ("ended", "stopped") and view.attempts:
            causes[view.attempts[-1].outcome] += 1
        if view.status == "running" and isinstance(view.state, State) and view.state.progress:
            speed = view.state.progress["model_years_per_day"]
            if not math.isnan(speed):
                speeds.append(speed)
    result = Standing(
        total=len(views),
        counts={name: counts[name] for name in ORDER if counts[name]},
        causes=dict(causes),
        begun=min(begins, default=None),
        ended=max(ends, default=None),
    )
    result.rate_per_min = _rate(ends, now)
    if result.rate_per_min and result.open:
        result.eta_s = result.open / result.rate_per_min * 60
    if speeds:
        result.model_years_per_day = sorted(speeds)[len(speeds) // 2]
    return result


def _rate(ends: Sequence[float], now: float) -> float | None:
    """Members a minute over the last half of those that ended, so that a slow start is forgotten."""
    if len(ends) < 4:
        return None
    late = sorted(ends)[len(ends) // 2 :]
    span = max(now if now - late[-1] > 600 else late[-1], late[0] + 1e-3) - late[0]
    return (len(late) - 1) / span * 60 if span > 0 else None
