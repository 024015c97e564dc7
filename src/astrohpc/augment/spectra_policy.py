"""How spectra are augmented, and what is drawn of it for each of them.

A policy says in which limits; :func:`draw` gives every sample its own numbers, from the seed and the sample's
number alone. So they are the same in whichever batch, rank or thread a sample is.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrohpc.errors import ConfigError
from astrohpc.kernels import random
from astrohpc.kernels import spectra_desk as desk

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

MOST_SHIFT = 0.1
_MOST_KNOTS, _MOST_GAPS = 256, 64
_POINTS = 64  # of a curve, from knot to knot


@dataclass(frozen=True, kw_only=True)
class SpectraPolicy:
    """Limits of what is drawn; empty, None or 0 leaves a step out."""

    name: str = "spectra"
    quantity: Literal["density", "ratio"] = "density"
    shift: float = MOST_SHIFT
    stretch: float = 0.0
    resolution: tuple[float, ...] = (50.0, 500.0)
    native_resolution: float | None = None
    snr: tuple[float, ...] = (10.0, 100.0)
    noise: Literal["photon", "even"] = "photon"
    positive: bool = False
    keep_total: bool = True
    response: float = 0.02
    knots: int = 8
    gaps: int = 3
    gap_share: tuple[float, ...] = (0.005, 0.03)

    def __post_init__(self) -> None:
        for name in ("shift", "stretch"):
            if not 0.0 <= getattr(self, name) <= MOST_SHIFT:
                raise ConfigError(
                    f"{name}: {getattr(self, name)} is not within 0..{MOST_SHIFT}; write the largest, as 0.1."
                )
        for name in ("resolution", "snr"):
            _check_range(name, getattr(self, name))
        native = self.native_resolution
        if native is not None and not native > max(self.resolution, default=0.0):
            raise ConfigError(
                f"native_resolution: {native} is not above the resolution that is asked for, "
                f"{max(self.resolution, default=0.0):g}; lower that."
            )
        if not 0.0 <= self.response <= MOST_SHIFT:
            raise ConfigError(
                f"response: {self.response} is not within 0..0.1; write for example 0.02."
            )
        if not 4 <= self.knots <= _MOST_KNOTS:
            raise ConfigError(
                f"knots: {self.knots} is not within 4..{_MOST_KNOTS}; write for example 8."
            )
        if not 0 <= self.gaps <= _MOST_GAPS:
            raise ConfigError(
                f"gaps: {self.gaps} is not within 0..{_MOST_GAPS}; write for example 3."
            )
        if self.gaps:
            _check_range("gap_share", self.gap_share)
            if not self.gap_share or max(self.gap_share) >= 1.0:
                raise ConfigError(
                    f"gap_share: {list(self.gap_share)} are not shares of a spectrum; write two below 1."
                )


def _check_range(name: str, limits: tuple[float, ...]) -> None:
    if limits and (len(limits) != 2 or not 0.0 < limits[0] <= limits[1] < np.inf):
        raise ConfigError(
            f"{name}: {list(limits)} is no range of numbers above 0; write [low, high], or [] for none."
        )


@dataclass(frozen=True, eq=False)
class Draws:
    """What is done to each of B samples: plain numbers, drawn or one's own.

    ``resolution`` and ``snr`` are not a number (NaN) where the step is left out. ``knots`` [B, K] are between
    -1/2 and 1/2, of K 0 without a response. ``gaps`` [B, G, 2] are first bin and bin after the last, from
    short to long wavelengths.
    """

    shift: Doubles
    stretch: Doubles
    resolution: Doubles
    snr: Doubles
    knots: Floats
    gaps: NDArray[np.int32]

    def __post_init__(self) -> None:
        b = len(self.shift)
        shapes = [
            a.shape[0] for a in (self.stretch, self.resolution, self.snr, self.knots, self.gaps)
        ]
        if any(n != b for n in shapes):
            raise ConfigError(
                f"draws: {shapes} samples do not go with {b} shifts; give one of each."
            )
        for name in ("resolution", "snr"):
            values = getattr(self, name)
            wrong = ~np.isnan(values) & ~((values > 0.0) & np.isfinite(values))
            if wrong.any():
                at = int(np.argmax(wrong))
                raise ConfigError(
                    f"{name}: {values[at]:g} of sample {at} is not above 0; write NaN to leave it out."
                )
        for name in ("shift", "stretch"):
            values = getattr(self, name)
            wrong = ~(np.abs(values) <= MOST_SHIFT * (1 + 1e-12))
            if wrong.any():
                at = int(np.argmax(wrong))
                raise ConfigError(
                    f"{name}: {values[at]:g} of sample {at} is beyond ±{MOST_SHIFT}; draw a smaller one."
                )

    def part(self, some: slice) -> "Draws":
        """Those of some of the samples."""
        return Draws(*(getattr(self, field.name)[some] for field in fields(self)))

    @classmethod
    def of(
        cls,
        samples: int,
        *,
        shift: ArrayLike = 0.0,
        stretch: ArrayLike = 0.0,
        resolution: ArrayLike = np.nan,
        snr: ArrayLike = np.nan,
        knots: ArrayLike | None = None,
        gaps: ArrayLike | None = None,
    ) -> "Draws":
        """Numbers of one's own, each the same for all samples or one a sample."""
        each: list[Any] = [
            np.ascontiguousarray(np.broadcast_to(np.asarray(x, np.float64), (samples,)))
            for x in (shift, stretch, resolution, snr)
        ]
        curve = np.zeros((samples, 0)) if knots is None else np.atleast_2d(np.asarray(knots))
        holes = np.zeros((samples, 0, 2)) if gaps is None else np.asarray(gaps)
        return cls(
            each[0],
            each[1],
            each[2],
            each[3],
            np.ascontiguousarray(np.broadcast_to(curve, (samples, curve.shape[-1])), np.float32),
            np.ascontiguousarray(np.broadcast_to(holes, (samples, *holes.shape[-2:])), np.int32),
        )


def draw(policy: SpectraPolicy, seed: int, samples: NDArray[np.int64], bins: int) -> Draws:
    """Every sample's own numbers."""
    n = len(samples)

    def uniform(operation: int, count: int) -> Floats:
        return random.uniforms(seed, operation, samples, (count, 1, 1))[..., 0, 0]

    moves = 2.0 * uniform(desk.SHIFT, 2).astype(np.float64) - 1.0
    knots = (
        uniform(desk.RESPONSE, policy.knots) if policy.response else np.zeros((n, 0), np.float32)
    )
    return Draws(
        shift=policy.shift * moves[:, 0],
        stretch=policy.stretch * moves[:, 1],
        resolution=_between(policy.resolution, uniform(desk.RESOLUTION, 1)[:, 0]),
        snr=_between(policy.snr, uniform(desk.SNR, 1)[:, 0]),
        knots=knots - np.float32(0.5) if policy.response else knots,
        gaps=_gaps(policy, uniform(desk.GAPS, 1 + 2 * policy.gaps), bins),
    )


def amplitude(response: float, knots: int) -> float:
    """By how much knots between -1/2 and 1/2 are multiplied, for a response of this root mean square.

    That is over bins as wide in ln λ as each other, about their plain mean.
    """
    if knots < 4:
        return 0.0
    part = (np.arange(_POINTS) + 0.5) / _POINTS
    basis = np.zeros((knots - 3, _POINTS, knots))
    rest = 1.0 - part
    third = (3.0 * (part + part**2 - part**3) + 1.0) / 6.0
    second = (3.0 * part**3 - 6.0 * part**2 + 4.0) / 6.0
    for i in range(knots - 3):
        basis[i, :, i : i + 4] = np.stack([rest**3 / 6.0, second, third, part**3 / 6.0], axis=-1)
    flat = basis.reshape(-1, knots)
    variance = ((flat - flat.mean(axis=0)) ** 2).sum(axis=1).mean() / 12.0
    return float(response / np.sqrt(variance))


def _between(limits: tuple[float, ...], part: Floats) -> Doubles:
    """Between two limits, evenly in the logarithm; nothing where there are none."""
    if not limits:
        return np.full(len(part), np.nan)
    low, high = np.log(limits[0]), np.log(limits[1])
    return np.asarray(np.exp(low + (high - low) * part.astype(np.float64)))


def _gaps(policy: SpectraPolicy, part: Floats, bins: int) -> NDArray[np.int32]:
    """0 to ``policy.gaps`` stretches of bins, each somewhere; those that are not there are empty."""
    if not policy.gaps:
        return np.zeros((len(part), 0, 2), np.int32)
    count = np.floor(part[:, :1] * (policy.gaps + 1))
    size, place = (
        part[:, 1:].reshape(-1, policy.gaps, 2)[..., i].astype(np.float64) for i in (0, 1)
    )
    low, high = policy.gap_share
    width = np.clip(np.rint((low + (high - low) * size) * bins), 1, bins)
    width = np.where(np.arange(policy.gaps) < count, width, 0)
    first = np.floor(place * (bins - width + 1))
    return np.ascontiguousarray(np.stack([first, first + width], axis=-1), np.int32)
