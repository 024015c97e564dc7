"""Hydrostatic balance of predicted columns: the projection of temperatures and heights onto it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.physics.columns import pressure_pa
from astrohpc.physics.integrals import like
from astrohpc.physics.layout import Layout
from astrohpc.physics.thermo import thickness_m, virtual_temperature_k
from astrohpc.physics.worlds import Known

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Hydrostatic:
    """Heights of layers follow from temperature: the least change of both that makes it so.

    Least in units of the spreads, one a level from space down: a value that hardly differs between
    planets is hardly moved. The law is linear in temperature and height, so one banded system a column
    gives the answer; pressure and humidity stay what they are.

    Of coarse layers no model keeps the law as it stands, for between their middles temperature is no line:
    ModelE's lie 2.4 % from it, always to the same side, and 0.2 % from itself. ``thickness_share`` are the
    model's own distances as parts of the law's, one a gap; 1 where it is not given.
    """

    name: ClassVar[str] = "hydrostatic"
    needs: ClassVar[tuple[str, ...]] = ("zg", "ta", "ps")
    changes: ClassVar[tuple[str, ...]] = ("ta", "zg")

    ta_spread_k: tuple[float, ...]
    zg_spread_m: tuple[float, ...]
    thickness_share: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        levels = len(self.ta_spread_k)
        object.__setattr__(
            self, "thickness_share", self.thickness_share or (1.0,) * max(0, levels - 1)
        )
        for name, count in (
            ("ta_spread_k", levels),
            ("zg_spread_m", levels),
            ("thickness_share", levels - 1),
        ):
            numbers = tuple(float(one) for one in getattr(self, name))
            object.__setattr__(self, name, numbers)
            if len(numbers) != count or not all(np.isfinite(one) and one > 0 for one in numbers):
                raise ConfigError(
                    f"hydrostatic.{name}: {numbers} are not {count} numbers above nought; give one a level, "
                    "and of thickness_share one a gap between levels."
                )

    @classmethod
    def of_data(cls, fields: Fields, layout: Layout, known: Known) -> "Hydrostatic":
        """With the spreads and the distances of climates like those to be predicted; of numpy."""
        spreads = (_spread(fields["ta"]), _spread(fields["zg"]))
        above, below = cls(*spreads)._per_kelvin(fields, layout, known)
        warm, height = fields["ta"], fields["zg"]
        law = above * warm[:, :-1] + below * warm[:, 1:]
        own = height[:, :-1] - height[:, 1:]
        shares = (own * law).sum((0, 2, 3)) / (law * law).sum((0, 2, 3))
        return cls(*spreads, tuple(shares.tolist()))

    def __call__(self, fields: Fields, layout: Layout, known: Known) -> dict[str, Any]:
        """``ta`` and ``zg``."""
        warm, height = fields["ta"], fields["zg"]
        if len(self.ta_spread_k) != warm.shape[1]:
            raise ConfigError(
                f"hydrostatic: it was made for {len(self.ta_spread_k)} levels and the fields have "
                f"{warm.shape[1]}; make it anew from data with these levels."
            )
        above, below = self._per_kelvin(fields, layout, known)
        left = self._left_over(fields, above, below)
        free_t, free_z = (
            like(left, np.square(one)[:, None, None])
            for one in (self.ta_spread_k, self.zg_spread_m)
        )
        own = (
            free_z[:-1] + free_z[1:] + above * above * free_t[:-1] + below * below * free_t[1:]
        )  # [S, L - 1, J, I]
        shared = below[:, :-1] * above[:, 1:] * free_t[1:-1] - free_z[1:-1]
        force = _solved(own, shared, left)
        nothing = 0.0 * force[:, :1]
        on_top, under = _levels([force, nothing]), _levels([nothing, force])
        above, below = _levels([above, nothing]), _levels([nothing, below])
        return {
            "ta": warm + free_t * (above * on_top + below * under),
            "zg": height - free_z * (on_top - under),
        }

    def loss(self, fields: Fields, layout: Layout, known: Known) -> Any:
        """Mean square of what the distances between levels are off by, of that of the distances."""
        above, below = self._per_kelvin(fields, layout, known)
        left = self._left_over(fields, above, below)
        apart = fields["zg"][:, :-1] - fields["zg"][:, 1:] - left
        share = like(left, layout.share[:, None])
        off, size = (((part * part).mean(1) * share).sum((-2, -1)) for part in (left, apart))
        return off / size

    def _per_kelvin(self, fields: Fields, layout: Layout, known: Known) -> tuple[Any, Any]:
        """How many metres apart two levels are for each kelvin in the upper, and in the lower one."""
        if layout.layers is None:
            raise ConfigError("hydrostatic: the layout has no layers; give their edges ap and b.")
        ps = fields["ps"]
        gas, gravity = (
            like(ps, one[:, None, None, None])
            for one in (known.worlds.gas_constant_jkgk, known.worlds.gravity_ms2)
        )
        p = pressure_pa(ps, layout.layers)
        # The law of one kelvin: of air that is half as virtually warm as one level is.
        half = 0.5 * virtual_temperature_k(1.0, fields.get("hus", 0.0 * fields["ta"]), gas)
        share = like(ps, np.array(self.thickness_share)[:, None, None])
        above, below = (
            share * thickness_m(part, p[:, :-1], p[:, 1:], gas, gravity)
            for part in (half[:, :-1], half[:, 1:])
        )
        return above, below

    @staticmethod
    def _left_over(fields: Fields, above: Any, below: Any) -> Any:
        warm, height = fields["ta"], fields["zg"]
        return height[:, :-1] - height[:, 1:] - above * warm[:, :-1] - below * warm[:, 1:]


def _spread(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Root of the mean square by which planets differ, by level; never nought, so that all may move."""
    away = values - values.mean(axis=0)
    spread = np.sqrt((away**2).mean(axis=(0, 2, 3)))
    least = 1e-6 * np.abs(values).max() + np.finfo(np.float64).tiny
    return tuple(np.maximum(spread, least).tolist())


def _solved(own: Any, shared: Any, wanted: Any) -> Any:
    """Solve symmetric systems with three diagonals along axis 1; positive definite, so without pivots."""
    count = own.shape[1]
    pivot, right = [own[:, 0]], [wanted[:, 0]]
    for k in range(1, count):
        factor = shared[:, k - 1] / pivot[-1]
        pivot.append(own[:, k] - factor * shared[:, k - 1])
        right.append(wanted[:, k] - factor * right[-1])
    found = [right[-1] / pivot[-1]]
    for k in range(count - 2, -1, -1):
        found.append((right[k] - shared[:, k] * found[-1]) / pivot[k])
    return _levels([one[:, None] for one in reversed(found)])


def _levels(parts: Sequence[Any]) -> Any:
    """One after the other along the axis of levels."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts, axis=1)
    import torch  # noqa: PLC0415 - only who has tensors has torch

    return torch.cat(list(parts), dim=1)
