"""Means over the sphere from zonal sums, by exact quadrature: area means and mass integrals.

Written once for numpy's arrays and torch's tensors; what is differentiable stays so.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.physics.layout import Layout
from astrohpc.physics.sums import ZonalSums

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Integrals:
    """Integrals of one batch, one number a sample [S] or a row of latitude [S, J]."""

    sums: ZonalSums
    layout: Layout
    _known: dict[tuple[str, bool], Any] = field(default_factory=dict, init=False)

    def area_mean(self, name: str) -> Any:
        """Mean over the sphere of a field without levels, [S]."""
        return self.over_rows(self._flat(self.sums.x, name))

    def weighted_by_pressure(self, name: str) -> Any:
        """Mean over the sphere of a field without levels times surface pressure, in Pa, [S]."""
        return self.over_rows(self._flat(self.sums.xp, name))

    def mass(self, name: str, *, squared: bool = False) -> Any:
        """Mean over the sphere of the column's integral of x (or x²) dp, in Pa, [S]."""
        return self.over_rows(self.mass_by_row(name, squared=squared))

    def mass_by_row(self, name: str, *, squared: bool = False) -> Any:
        """Sum over a row of the column's integral of x (or x²) dp, in Pa, [S, J]."""
        if (name, squared) not in self._known:  # several laws ask for temperature and humidity
            self._known[name, squared] = self._mass_by_row(name, squared)
        return self._known[name, squared]

    def _mass_by_row(self, name: str, squared: bool) -> Any:
        block = self.layout.block(name)
        if not block.levels:
            raise ConfigError(f"{name}: has no levels to integrate over; give it on layers.")
        if "ps" not in self.layout:
            raise ConfigError(f"ps: the mass of layers needs the surface pressure next to {name}.")
        channels = self.layout.slice(name)
        sums = self.sums
        plain, with_p = (sums.xx, sums.xxp) if squared else (sums.x, sums.xp)
        plain, with_p = plain[:, channels], with_p[:, channels]
        da, db = (like(plain, part) for part in (self.layout.da_pa, self.layout.db))
        return over_levels(da, plain) + over_levels(db, with_p)

    def over_rows(self, row_sums: Any) -> Any:
        """Mean over the sphere of sums along rows, [S, J] to [S]."""
        return (row_sums * like(row_sums, self.layout.share)).sum(-1)

    def extremes(self, name: str) -> tuple[Any, Any]:
        """The lowest and the highest value of a variable, [S] each."""
        channels = self.layout.slice(name)
        low, high = self.sums.low[:, channels], self.sums.high[:, channels]
        if isinstance(low, np.ndarray):
            return np.fmin.reduce(low, (1, 2)), np.fmax.reduce(high, (1, 2))
        return low.amin((1, 2)), high.amax((1, 2))

    def whole(self, name: str) -> NDArray[np.bool_]:
        """Which samples have every value of a variable, [S]."""
        return np.asarray(self._whole[:, self.layout.slice(name)].all(axis=1))

    @cached_property
    def _whole(self) -> NDArray[np.bool_]:
        """The same by channel, [S, n]."""
        bad = self.sums.bad
        numbers = bad if isinstance(bad, np.ndarray) else bad.cpu().numpy()
        return np.asarray(numbers.max(axis=2) < 0)

    def _flat(self, sums: Any, name: str) -> Any:
        if self.layout.block(name).levels:
            raise ConfigError(f"{name}: has levels where a field without is needed.")
        return sums[:, self.layout.slice(name).start]


def like(sums: Any, values: Any) -> Any:
    """Numbers of numpy as the sums are: numpy's, or a tensor beside them."""
    return values if isinstance(sums, np.ndarray) else sums.new_tensor(np.asarray(values))


def over_levels(weights: Any, sums: Any) -> Any:
    """Sum of weights [L] times sums [S, L, J] over levels, from space down."""
    if isinstance(sums, np.ndarray):
        return np.einsum("l,slj->sj", weights, sums)
    return (weights[:, None] * sums).sum(1)


def larger(one: Any, other: Any) -> Any:
    """The larger of two numbers, place by place."""
    return np.maximum(one, other) if isinstance(one, np.ndarray) else one.maximum(other)


def at(rows: Any, index: Any) -> Any:
    """Of each sample the row that ``index`` [S, 1] names."""
    if isinstance(rows, np.ndarray):
        return np.take_along_axis(rows, index, -1)[:, 0]
    return rows.gather(-1, index)[:, 0]
