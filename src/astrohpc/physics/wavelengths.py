"""Grids of wavelengths: where the bins of a spectrum begin and end, and where there are none.

Wavelengths are in µm and rise or fall; bins touch, or leave a gap that nothing was measured in. The sum of
value times width over bins is the spectrum's total: what resampling and correction keep.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrohpc.errors import ConfigError

Array = NDArray[np.float64]

UM_IN: Mapping[str, float] = MappingProxyType(
    {
        **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre"), 1.0),
        **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3),
        **dict.fromkeys(("angstrom", "angstroms", "aa", "å", "0.1 nm"), 1e-4),
        **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
        **dict.fromkeys(("m", "meter", "metre"), 1e6),
    }
)
# No spectrum of ours leaves these; one in nm or Å that is read as µm does.
_LEAST_UM, _MOST_UM = 0.01, 300.0
_HOLE = 2.0  # a step so many times as long as both beside it is no step between neighbours
_SEAM = 1e-6  # edges that differ by less than this part of a bin are the same


@dataclass(frozen=True, eq=False)
class Wavelengths:
    """Bins in the order of the file; ``low_um`` and ``high_um`` are each one's lesser and greater edge."""

    centre_um: Array
    low_um: Array
    high_um: Array

    @classmethod
    def from_centres(
        cls, centre: ArrayLike, unit: str = "um", where: str = "wavelength"
    ) -> "Wavelengths":
        """Bins that meet halfway; a step twice as long as both beside it is a gap in the spectrum.

        At a gap and at the ends a bin reaches as far as on its other side.
        """
        values = _in_um(centre, unit, where)
        if len(values) < 2:
            raise ConfigError(
                f"{where}: a single wavelength does not say how wide its bin is; give edges instead."
            )
        falls = values[1] < values[0]
        rising = values[::-1] if falls else values
        step = np.diff(rising)
        hole = np.zeros(len(step), bool)
        hole[1:-1] = step[1:-1] > _HOLE * np.maximum(step[:-2], step[2:])
        half = np.where(hole, np.nan, step / 2)
        below, above = np.r_[np.nan, half], np.r_[half, np.nan]
        below, above = (
            np.where(np.isnan(below), above, below),
            np.where(np.isnan(above), below, above),
        )
        low, high = rising - below, rising + above
        touch = ~hole
        high[:-1][touch] = low[1:][touch]
        if low[0] <= 0.0:
            raise ConfigError(f"{where}: the first bin reaches below zero; give edges instead.")
        order = slice(None, None, -1) if falls else slice(None)
        return cls(values, low[order].copy(), high[order].copy())

    @classmethod
    def from_edges(
        cls, low: ArrayLike, high: ArrayLike, unit: str = "um", where: str = "wavelength edges"
    ) -> "Wavelengths":
        """Bins between edges that are known, which may leave gaps and must not overlap."""
        lows, highs = _in_um(low, unit, where), _in_um(high, unit, where)
        if lows.shape != highs.shape or not (highs > lows).all():
            raise ConfigError(f"{where}: each bin needs a lower and a higher edge; mend them.")
        falls = len(lows) > 1 and lows[1] < lows[0]
        a, b = (lows[::-1].copy(), highs[::-1].copy()) if falls else (lows.copy(), highs.copy())
        width = np.minimum(b[1:] - a[1:], b[:-1] - a[:-1])
        if (a[1:] < b[:-1] - _SEAM * width).any():
            at = int(np.argmax(a[1:] < b[:-1] - _SEAM * width))
            raise ConfigError(f"{where}: bins overlap at {a[at + 1]:g} µm; give bins that do not.")
        touch = np.abs(a[1:] - b[:-1]) <= _SEAM * width
        b[:-1][touch] = a[1:][touch]
        if falls:
            a, b = a[::-1].copy(), b[::-1].copy()
        return cls((a + b) / 2, a, b)

    @property
    def count(self) -> int:
        """Bins."""
        return len(self.centre_um)

    @property
    def falls(self) -> bool:
        """Whether wavelengths fall from bin to bin."""
        return self.count > 1 and bool(self.centre_um[1] < self.centre_um[0])

    @property
    def width_um(self) -> Array:
        """How wide each bin is."""
        return self.high_um - self.low_um

    @cached_property
    def rising(self) -> tuple[Array, NDArray[np.int64]]:
        """All edges from short to long, and for each bin in that order which is its lower edge.

        Between bins that touch there is one edge, at a gap there are two.
        """
        order = slice(None, None, -1) if self.falls else slice(None)
        low, high = self.low_um[order], self.high_um[order]
        apart = np.concatenate([[0], np.cumsum(low[1:] != high[:-1])])
        at = np.arange(self.count) + apart
        edge = np.empty(self.count + int(apart[-1]) + 1)
        edge[at], edge[at + 1] = low, high
        return edge, at.astype(np.int64)

    def total(self, values: ArrayLike) -> Array:
        """Value times width, summed over the last axis; what is missing counts for nothing."""
        got = np.asarray(values, dtype=np.float64)
        return np.asarray(np.nansum(got * self.width_um, axis=-1))


def _in_um(values: ArrayLike, unit: str, where: str) -> Array:
    """Wavelengths in µm that rise or fall and are what they say."""
    if unit.strip().lower() not in UM_IN:
        raise ConfigError(
            f"{where}: {unit!r} is no unit of wavelength that is known here; convert it to um."
        )
    got = np.array(values, dtype=np.float64) * UM_IN[unit.strip().lower()]
    if got.ndim != 1 or not got.size:
        raise ConfigError(
            f"{where}: shape {got.shape} is not a list of wavelengths; give [N] of them."
        )
    if not np.isfinite(got).all():
        raise ConfigError(
            f"{where}: number {int(np.argmin(np.isfinite(got)))} is {got[~np.isfinite(got)][0]}; "
            "leave such bins out."
        )
    step = np.diff(got)
    if not ((step > 0).all() or (step < 0).all()):
        wrong = int(np.argmax(np.sign(step) != np.sign(step[0]) if step[0] else step == 0)) + 1
        raise ConfigError(
            f"{where}: number {wrong}, {got[wrong]:g} µm, is out of order; sort the spectrum by wavelength."
        )
    if got.min() < _LEAST_UM or got.max() > _MOST_UM:
        raise ConfigError(
            f"{where}: {got.min():g} to {got.max():g} µm is no spectrum in µm; say its unit, as unit='nm'."
        )
    return got
