"""What a person may choose about augmentation; the same words in ``configs/augment``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from astrohpc.augment.sphere import LEAST_POINTS, MOST_POINTS, largest_turn_deg
from astrohpc.errors import ConfigError
from astrohpc.settings import build


@dataclass(frozen=True, kw_only=True)
class Elastic:
    """A smooth warp of the sphere, and of the layers by mass.

    ``points`` control points each turn what is around them by at most ``amplitude_deg``. ``layers`` is
    how much a layer may be stretched or squeezed, as a part of its mass.
    """

    amplitude_deg: float = 3.0
    points: int = 32
    layers: float = 0.25
    probability: float = 1.0

    def __post_init__(self) -> None:
        _probable(self.probability)
        if not LEAST_POINTS <= self.points <= MOST_POINTS:
            raise ConfigError(
                f"points: {self.points} control points; write {LEAST_POINTS} to {MOST_POINTS}."
            )
        largest = largest_turn_deg(self.points)
        if not 0.0 <= self.amplitude_deg <= largest:
            raise ConfigError(
                f"amplitude_deg: {self.amplitude_deg:g} degrees from {self.points} points could fold the "
                f"field; write 0 to {largest:.3g}, or fewer points."
            )
        if not 0.0 <= self.layers <= 0.5:
            raise ConfigError(f"layers: {self.layers:g} could fold the column; write 0 to 0.5.")


@dataclass(frozen=True, kw_only=True)
class Mixup:
    """A mixture with a partner, by mass; the sample's share is drawn from Beta(a, a)."""

    concentration: float = 0.4
    probability: float = 1.0

    def __post_init__(self) -> None:
        _probable(self.probability)
        if not 0.01 <= self.concentration <= 100.0:
            raise ConfigError(
                f"concentration: {self.concentration:g} is no use for Beta(a, a); write 0.01 to 100."
            )


@dataclass(frozen=True, kw_only=True)
class CutMix:
    """A round cap of whole columns from a partner, with a soft edge ``edge_deg`` wide.

    It covers a part of the sphere drawn evenly from ``low`` to ``high``.
    """

    low: float = 0.05
    high: float = 0.4
    edge_deg: float = 15.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        _probable(self.probability)
        if not 0.0 < self.low <= self.high < 1.0:
            raise ConfigError(
                f"low, high: a cap of {self.low:g} to {self.high:g} of the sphere; write parts between 0 "
                "and 1, low not above high."
            )
        if not 1.0 <= self.edge_deg <= 90.0:
            raise ConfigError(f"edge_deg: {self.edge_deg:g}; write 1 to 90 degrees.")


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Gaussian noise: ``share`` of a channel's spread, times 1 + ``gain`` (1 - quality of the sample)."""

    share: float = 0.01
    gain: float = 4.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        _probable(self.probability)
        if not 0.0 <= self.share <= 1.0:
            raise ConfigError(f"share: noise of {self.share:g} spreads; write 0 to 1.")
        if not 0.0 <= self.gain <= 100.0:
            raise ConfigError(f"gain: {self.gain:g}; write 0 (quality does not matter) to 100.")


@dataclass(frozen=True, kw_only=True)
class Jitter:
    """All times of a sample moved by the same part of a step, drawn evenly from ± ``step``."""

    step: float = 0.05
    probability: float = 1.0

    def __post_init__(self) -> None:
        _probable(self.probability)
        if not 0.0 <= self.step <= 1.0:
            raise ConfigError(f"step: {self.step:g} steps of time; write 0 to 1.")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Which transformations a chain has; each sample draws which of them it undergoes.

    They are done in one order: jitter, elastic, mixup and CutMix, noise. ``mass_flux`` says what becomes
    of the mass that the northward wind carries over each latitude: it is left ``free``, it is what the
    inputs had (``kept``), or ``zero``, as in a steady state.
    """

    name: str
    jitter: Jitter | None = None
    elastic: Elastic | None = None
    mixup: Mixup | None = None
    cutmix: CutMix | None = None
    noise: Noise | None = None
    mass_flux: Literal["free", "kept", "zero"] = "free"


def policy_of(written: object) -> Policy:
    """The policy of one file of ``configs/augment``, composed."""
    inner = written["augment"] if isinstance(written, Mapping) and "augment" in written else written
    return build(Policy, inner, "augment")


def _probable(probability: float) -> None:
    if not 0.0 <= probability <= 1.0:
        raise ConfigError(f"probability: {probability:g}; write 0 to 1.")
