"""What of an array is worth a picture: a map, a section, a curve, and how its mean goes on.

Reads little: one chunk at a time, and of what is large every so manyth place, which the titles say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.glance import Glance, Picks
from astrohpc.store.plan import MEMBER

Array = NDArray[np.float64]

_ROWS, _COLUMNS, _AROUND = (
    181,
    361,
    72,
)  # places along an axis that a picture shows; lons of a section
_LAYERS, _TIMES = 100, 400
_CELLS = 10**6  # values held at once for means
_READ_BYTES, _READ_CHUNKS = 256 * 2**20, 600  # what may be decoded for one panel
_PRESSURES = ("pa", "hpa", "mb", "mbar", "bar", "millibar")


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of an array. ``kind`` is lat, lon, vertical, time, member, or empty."""

    name: str
    kind: str
    unit: str
    values: NDArray[Any]  # numbers, or the members' names
    downward: bool = False  # the ground is where values are largest

    @property
    def label(self) -> str:
        """What stands at the axis."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name

    def at(self, picks: NDArray[np.int64]) -> "Axis":
        """The axis at some places."""
        return Axis(self.name, self.kind, self.unit, self.values[picks], self.downward)

    def where(self, place: int) -> str:
        """One place in words."""
        value = self.values[place]
        shown = value if isinstance(value, str) else f"{float(value):.6g}"
        return f"{self.name} {shown}" + (f" {self.unit}" if self.unit else "")


@dataclass(frozen=True, eq=False)
class Field:
    """Values on two axes; NaN where there is nothing. ``limits`` of the colours, or what there is."""

    title: str
    y: Axis
    x: Axis
    values: Array
    limits: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Curve:
    """Values along one axis."""

    title: str
    x: Axis
    values: Array


@dataclass(frozen=True, eq=False)
class Scene:
    """All panels of one array's picture."""

    name: str
    long_name: str
    unit: str
    panels: tuple[Field | Curve, ...]


def axes_of(array: Glance, arrays: Mapping[str, Glance]) -> list[Axis]:
    """The array's axes, with the values of their coordinates where the store has them."""
    return [_axis(array, k, arrays) for k in range(len(array.array.shape))]


def _axis(array: Glance, k: int, arrays: Mapping[str, Glance]) -> Axis:
    dim, size = array.array.dims[k], array.array.shape[k]
    group = array.array.name.rpartition("/")[0]
    own = arrays.get(f"{group}/{dim}") or arrays.get(dim)
    if own is None or own.array.shape != (size,):
        kind = MEMBER if dim == MEMBER else _kind(dim, {})
        return Axis(dim, kind, "", np.arange(size, dtype=np.float64))
    unit = str(own.array.attrs.get("units", ""))
    kind = _kind(dim, own.array.attrs)
    values = own.whole()
    if values.dtype.kind != "O":
        values = own.meant(values)
        if not np.isfinite(values).all():
            values = np.arange(size, dtype=np.float64)
    elif dim != MEMBER:
        values = np.arange(size, dtype=np.float64)
    down = str(own.array.attrs.get("positive", "")).lower() == "down" or unit.lower() in _PRESSURES
    return Axis(dim, kind, "" if unit == "1" else unit, values, down)


def _kind(dim: str, attrs: Mapping[str, Any]) -> str:
    unit, name = str(attrs.get("units", "")).lower(), dim.lower()
    standard, axis = str(attrs.get("standard_name", "")), str(attrs.get("axis", "")).upper()
    if dim == MEMBER:
        return MEMBER
    if " since " in unit or name == "time" or axis == "T":
        return "time"
    if (
        unit.startswith("degrees_n")
        or standard == "latitude"
        or name in ("lat", "lat2", "latitude")
    ):
        return "lat"
    if (
        unit.startswith("degrees_e")
        or standard == "longitude"
        or name in ("lon", "lon2", "longitude")
    ):
        return "lon"
    if (
        "positive" in attrs
        or axis == "Z"
        or name in ("lev", "level", "plev", "plm", "ple", "height")
    ):
        return "vertical"
    return "lat" if name.startswith("lat_") else ""


def is_pictured(array: Glance, arrays: Mapping[str, Glance], helpers: Sequence[str]) -> bool:
    """Whether it is a variable with more than one number: no axis, no bounds of one, no helper."""
    bounds = {str(one.array.attrs.get("bounds", "")) for one in arrays.values()}
    name = array.array.name.rpartition("/")[2]
    return (
        array.array.stored.kind in "iufb"
        and int(np.prod(array.array.shape)) > 1
        and array.array.dims != (name,)
        and name not in bounds
        and array.array.name not in helpers
    )


def scene(array: Glance, axes: Sequence[Axis]) -> Scene:
    """Read what the picture of an array shows."""
    attrs = array.array.attrs
    unit = str(attrs.get("units", ""))
    long_name = str(attrs.get("long_name", "") or attrs.get("standard_name", ""))
    return Scene(array.array.name, long_name, unit, tuple(_panels(array, axes)))


def _panels(array: Glance, axes: Sequence[Axis]) -> list[Field | Curve]:
    member, time, rest = _first(axes, MEMBER), _first(axes, "time"), []
    for k, axis in enumerate(axes):
        if k not in (member, time) and len(axis.values) > 1:
            rest.append(k)
    long = [k for k in (member, time) if k >= 0 and len(axes[k].values) > 1]
    shown = _shown(axes, rest, long)
    main, picks = _main(array, axes, shown)
    panels: list[Field | Curve] = [main]
    kinds = [axes[k].kind for k in shown]
    vertical = _first(axes, "vertical")
    if kinds == ["lat", "lon"] and vertical in rest:
        panels.append(_section(array, axes, picks, vertical, shown))
    if long and not set(long) & set(shown):
        panels.append(_means(array, axes, picks, long, shown))
    return panels


def _first(axes: Sequence[Axis], kind: str) -> int:
    """The axis of this kind, -1 where there is none."""
    return next((k for k, axis in enumerate(axes) if axis.kind == kind), -1)


def _shown(axes: Sequence[Axis], rest: Sequence[int], long: Sequence[int]) -> tuple[int, ...]:
    """The axes of the first panel: one for a curve, two for a field, the vertical or northward first."""
    lat, lon, vertical = (_first(axes, kind) for kind in ("lat", "lon", "vertical"))
    if lat in rest and lon in rest:
        return lat, lon
    if lat in rest and vertical in rest:
        return vertical, lat
    if len(rest) >= 2:
        return rest[-2], rest[-1]
    times = [k for k in long if axes[k].kind == "time"]
    if rest:
        return (rest[0], times[0]) if times else (rest[0],)
    return tuple(long[:2])


def _main(
    array: Glance, axes: Sequence[Axis], shown: tuple[int, ...]
) -> tuple[Field | Curve, Picks]:
    picks: list[NDArray[np.int64]] = []
    for k, axis in enumerate(axes):
        if k in shown:
            most = _COLUMNS if k == shown[-1] else _ROWS
            picks.append(_spread(len(axis.values), most))
        else:
            picks.append(np.array([_usual_place(axis)]))
    picks = list(_affordable(array, picks, shown))
    values = array.meant(array.take(picks))
    fixed = [
        "last time" if axis.kind == "time" else axis.where(int(picks[k][0]))
        for k, axis in enumerate(axes)
        if k not in shown and len(axis.values) > 1
    ]
    thinned = max((len(axes[k].values) / len(picks[k]) for k in shown), default=1.0)
    if thinned > 1:
        fixed.append(
            f"one of {thinned:.0f} places shown" if thinned >= 2 else "not all places shown"
        )
    title = ", ".join(fixed)
    order = [*shown, *(k for k in range(len(axes)) if k not in shown)]
    flat = values.transpose(order).reshape([len(picks[k]) for k in shown])
    if len(shown) == 1:
        return Curve(title, axes[shown[0]].at(picks[shown[0]]), flat), picks
    y, x = (axes[k].at(picks[k]) for k in shown)
    return Field(title, y, x, flat), picks


def _usual_place(axis: Axis) -> int:
    """The last time, the lowest layer, the first of all others."""
    if axis.kind == "time":
        return len(axis.values) - 1
    if axis.kind == "vertical":
        return int(np.argmax(axis.values) if axis.downward else np.argmin(axis.values))
    return 0


def _spread(size: int, most: int) -> NDArray[np.int64]:
    """Every so manyth place."""
    return np.arange(0, size, -(-size // most))


def _affordable(array: Glance, picks: Sequence[NDArray[np.int64]], axes: Sequence[int]) -> Picks:
    """Fewer places along these axes, until what must be read for them stays within bounds."""
    chunk_bytes = max(1, int(np.prod(array.array.chunk)) * array.array.stored.itemsize)
    most = max(16, min(_READ_CHUNKS, _READ_BYTES // chunk_bytes))
    found = list(picks)
    while array.touched(found) > most:
        longest = max(axes, key=lambda k: len(found[k]))
        if len(found[longest]) < 4:
            break
        found[longest] = found[longest][::2]
    return found


def _section(
    array: Glance, axes: Sequence[Axis], picks: Picks, vertical: int, shown: tuple[int, ...]
) -> Field:
    """The mean around latitude circles, of all layers."""
    lat, lon = shown
    own = list(picks)
    own[vertical] = _spread(len(axes[vertical].values), _LAYERS)
    own[lon] = own[lon][:: -(-len(own[lon]) // _AROUND)]
    own = list(_affordable(array, own, (lat, lon)))
    values = array.meant(array.take(own))
    order = [vertical, lat, lon, *(k for k in range(len(axes)) if k not in (vertical, lat, lon))]
    block = values.transpose(order).reshape([len(own[k]) for k in (vertical, lat, lon)])
    return Field(
        "mean around latitude circles",
        axes[vertical].at(own[vertical]),
        axes[lat].at(own[lat]),
        _mean(block, np.ones(len(own[lon]))),
    )


def _means(
    array: Glance, axes: Sequence[Axis], picks: Picks, long: Sequence[int], shown: Sequence[int]
) -> Field | Curve:
    """What the first panel's mean is for every member and time, or for some of them."""
    cells = int(np.prod([len(picks[k]) for k in shown]))
    own = list(picks)
    for k in long:
        own[k] = _spread(len(axes[k].values), _TIMES)
    while int(np.prod([len(own[k]) for k in long])) * cells > _CELLS:
        longest = max(long, key=lambda k: len(own[k]))
        if len(own[longest]) < 2:
            break
        own[longest] = own[longest][::2]
    own = list(_affordable(array, own, long))
    values = array.meant(array.take(own))
    weights = np.ones([len(own[k]) for k in shown])
    by_area = False
    for place, k in enumerate(shown):
        if axes[k].kind == "lat":
            cosine = np.cos(np.radians(axes[k].at(own[k]).values.astype(np.float64)))
            weights *= np.expand_dims(
                np.maximum(cosine, 0.0), tuple(i for i in range(len(shown)) if i != place)
            )
            by_area = True
    order = [*long, *shown, *(k for k in range(len(axes)) if k not in (*long, *shown))]
    flat = values.transpose(order).reshape([*(len(own[k]) for k in long), -1])
    mean = _mean(flat, weights.ravel())
    title = "mean of this map, by area" if by_area else "mean of this"
    if len(long) == 1:
        return Curve(title, axes[long[0]].at(own[long[0]]), mean)
    y, x = (axes[k].at(own[k]) for k in long)
    return Field(title, y, x, mean)


def _mean(values: Array, weights: Array) -> Array:
    """Over the last axis, of what there is; NaN where there is nothing."""
    there = np.isfinite(values)
    total = np.where(there, values, 0.0) @ weights
    weight = there @ weights
    return np.asarray(np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan))
