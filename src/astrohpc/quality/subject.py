"""One member made ready for the laws: canonical variables on one layout, read in blocks of samples.

What cannot be used is named with its reason: a unit that is not the table's, axes that are others, an
engine's own variable that only shares a canonical one's name.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.engines.variables import VARIABLES
from astrohpc.errors import ConfigError
from astrohpc.physics.layout import Block, Layout
from astrohpc.physics.vertical import LayerEdges
from astrohpc.quality.axes import Axes, axes_of
from astrohpc.quality.holder import Described, Holder
from astrohpc.quality.settings import BLOCK_BYTES
from astrohpc.store.canonical import ORIGINAL, factors

_OWN = "of this name the engine has its own, in other units or with another sign"
_PRESSURES = ("Pa", "hPa", "mb", "mbar", "millibars")
Fields = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Subject:
    """A member with its layout. ``missing`` tells by variable why it is not there or not usable."""

    where: str
    holder: Holder
    axes: Axes
    layout: Layout | None  # none where not one variable can be used
    names: tuple[str, ...]
    missing: Mapping[str, str]
    left_out: tuple[str, ...]
    upside_down: bool  # layers stand from the ground up in the file, and are turned around

    @property
    def samples(self) -> int:
        """How many times."""
        return self.axes.times

    def blocks(self) -> Iterator[tuple[int, Fields]]:
        """Samples in their order: the number of the first, and fields of as many as fit a block."""
        each = self.sample_bytes
        step = max(1, BLOCK_BYTES // max(1, each))
        for begin in range(0, self.samples, step):
            end = min(begin + step, self.samples)
            cut = {dim: n for dim, n in self.axes.cut.items() if dim != self.holder.time_dim}
            read = self.holder.read(self.names, begin, end, cut)
            yield begin, {name: self._as_field(name, read[name]) for name in self.names}

    @property
    def sample_bytes(self) -> int:
        """How much one time of all variables is."""
        total = 0
        for name in self.names:
            one = self.holder.arrays[name]
            total += math.prod(one.shape[one.timed :]) * one.itemsize
        return total

    def _as_field(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        """``[S, L, J, I]`` from space down, or ``[S, J, I]``; floating, and in one piece."""
        layered = VARIABLES[name].layered
        if not self.axes.lon:
            values = values[..., None]
        if layered and self.upside_down:
            values = values[:, ::-1]
        kind = values.dtype if values.dtype in (np.float32, np.float64) else np.dtype(np.float64)
        return np.ascontiguousarray(values, kind)


def subject_of(holder: Holder, where: str, wanted: Iterable[str]) -> Subject:
    """Make a member ready for the variables that the laws want; ConfigError where it has no grid."""
    axes = axes_of(holder, where)
    names: list[str] = []
    missing: dict[str, str] = {}
    wrong: dict[str, list[str]] = {}
    raw = any(ORIGINAL in one.attrs for one in holder.arrays.values())
    for name in wanted:
        one = holder.arrays.get(name) if name in VARIABLES else None
        if one is None:
            missing[name] = name
            continue
        why = _unusable(one, axes, raw=raw)
        if why:
            missing[name] = f"{name} ({why})"
            if not _harmless(one, holder):
                wrong.setdefault(why, []).append(name)
        else:
            names.append(name)
    left_out = (
        *(f"{one}." for one in holder.refused),
        *(f"{where}: {', '.join(names)}: {why}." for why, names in wrong.items()),
    )
    layers, upside_down = _from_space_down(axes.layers)
    layout = None
    if names:
        blocks = tuple(
            Block.canonical(name, layers.count if VARIABLES[name].layered and layers else 0)
            for name in names
        )
        try:
            layout = Layout(blocks, axes.grid, layers)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
    return Subject(where, holder, axes, layout, tuple(names), missing, left_out, upside_down)


def _from_space_down(layers: LayerEdges | None) -> tuple[LayerEdges | None, bool]:
    if layers is None:
        return None, False
    ap, b, number = layers.downward()
    return LayerEdges(ap, b), bool(layers.count > 1 and number[0] != 0)


def _unusable(one: Described, axes: Axes, *, raw: bool) -> str:
    """Why an array is not the canonical variable of its name; empty if it is."""
    about = VARIABLES[one.name]
    if raw and ORIGINAL not in one.attrs:
        return f"{_OWN}; check the climate that was harvested from it"
    unit = one.attrs.get("units")
    if unit is None and about.unit != "1":
        return f"it has no unit, and must be in {about.unit!r}; write the attribute units"
    if unit is not None and factors(str(unit)) != factors(about.unit):
        return f"it is in {str(unit)!r}, and must be in {about.unit!r}; bring the file to it"
    own = one.dims[one.timed :]
    flat = (axes.lat, axes.lon) if axes.lon else (axes.lat,)
    if not about.layered:
        return "" if own == flat else _other_axes(one, flat)
    if axes.layers is None:
        return f"it lies on {', '.join(own) or 'no axes'}, and not on {axes.why_no_layers}"
    return "" if own == (axes.lev, *flat) else _other_axes(one, (axes.lev, *flat))


def _other_axes(one: Described, wanted: tuple[str, ...]) -> str:
    return f"its axes are {', '.join(one.dims) or 'none'}, and not (time, {', '.join(wanted)})"


def _harmless(one: Described, holder: Holder) -> bool:
    """Whether it lies elsewhere by design: on levels of pressure, as ModelE has its winds."""
    about = VARIABLES[one.name]
    own = one.dims[one.timed : one.timed + 1]
    axis = holder.arrays.get(own[0]) if own else None
    unit = one.attrs.get("units")
    same = unit is not None and factors(str(unit)) == factors(about.unit)
    on_pressure = axis is not None and str(axis.attrs.get("units", "")) in _PRESSURES
    return about.layered and same and on_pressure
