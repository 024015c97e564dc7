"""Where a member's cells, layers and times lie, from its axes as CF describes them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.physics.latlon import LatLon, source_grid
from astrohpc.physics.vertical import LayerEdges
from astrohpc.quality.holder import Described, Holder
from astrohpc.store.canonical import factors

Array = NDArray[np.float64]

_SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0} | {
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0
}  # fmt: skip
_NORTH = ("degrees_north", "degree_north", "degrees_n", "degree_n")
_EAST = ("degrees_east", "degree_east", "degrees_e", "degree_e")
_SEAM = 1e-6  # of the air between two layers that touch


@dataclass(frozen=True, eq=False)
class Axes:
    """The axes of one member by their names, and how far each is filled.

    Stores fill members with fewer layers or times up; ``cut`` tells of axes where less counts.
    ``lon`` is empty where the model has no longitudes.
    """

    lat: str
    lon: str
    grid: LatLon
    lev: str  # empty where there are no layers
    layers: LayerEdges | None
    why_no_layers: str
    times: int
    times_s: Array | None
    why_no_times: str
    cut: Mapping[str, int]


def axes_of(holder: Holder, where: str) -> Axes:
    """The axes of a member; ConfigError where it has no grid of latitudes."""
    cut: dict[str, int] = {}
    lat = _horizontal(holder, "latitude", _NORTH, ("lat", "latitude"))
    if not lat:
        raise ConfigError(
            f"{where}: has no axis of latitude; give it one with units degrees_north, or bring it to rows "
            "and columns with another tool first."
        )
    lon = _horizontal(holder, "longitude", _EAST, ("lon", "longitude"))
    lat_deg, lat_bounds = _axis(holder, lat, cut)
    if lon:
        lon_deg, lon_bounds = _axis(holder, lon, cut)
    else:
        lon_deg, lon_bounds = np.array([180.0]), np.array([[0.0, 360.0]])
    grid = source_grid(where, lat_deg, lon_deg, lat_bounds, lon_bounds)
    lev, layers, why = _vertical(holder, where, cut)
    times, times_s, why_no_times = _times(holder, cut)
    return Axes(lat, lon, grid, lev, layers, why, times, times_s, why_no_times, cut)


def _horizontal(
    holder: Holder, standard_name: str, units: tuple[str, ...], usual: tuple[str, ...]
) -> str:
    """The axis that says it is one, else one that is called so; a name with axes is no unstructured mesh."""
    axes = [name for name in _axis_names(holder) if name]
    for name in axes:
        attrs = _coordinate(holder, name).attrs
        if (
            attrs.get("standard_name") == standard_name
            or str(attrs.get("units", "")).lower() in units
        ):
            return name
    return next((name for name in axes if name.lower() in usual), "")


def _axis_names(holder: Holder) -> list[str]:
    """Dimensions that have a coordinate, in the order in which variables have them."""
    found: dict[str, None] = {}
    for one in holder.arrays.values():
        for dim in one.dims:
            if dim in holder.arrays or f"{dim}_of_member" in holder.arrays:
                found.setdefault(dim)
    return list(found)


def _coordinate(holder: Holder, dim: str) -> Described:
    """A dimension's coordinate; ``dim_of_member`` where the members of a store differ in it."""
    own = holder.arrays.get(f"{dim}_of_member")
    return own if own is not None else holder.arrays[dim]


def _axis(holder: Holder, dim: str, cut: dict[str, int]) -> tuple[Array, Array | None]:
    """An axis' values and its bounds (n, 2), if they hold them; notes how far it is filled."""
    one = _coordinate(holder, dim)
    values = np.asarray(holder.whole(one.name), np.float64)
    filled = int(np.isfinite(values).sum())
    if filled < len(values):
        values = values[:filled]
        cut[dim] = filled
    for name in (str(one.attrs.get("bounds", "")), f"{dim}_bnds"):
        bounds = holder.arrays.get(name)
        if bounds is not None and bounds.shape == (*one.shape, 2):
            edges = np.asarray(holder.whole(name), np.float64)[:filled]
            # Real files have bounds that nobody filled in.
            if np.isfinite(edges).all() and (np.ptp(edges, axis=1) > 0).all():
                return values, edges
    return values, None


# ----------------------------------------------------------------------------- layers
def _vertical(
    holder: Holder, where: str, cut: dict[str, int]
) -> tuple[str, LayerEdges | None, str]:
    """The axis of layers, their edges as ``ap + b ps``, and why there are none."""
    found = {dim: _terms(holder, dim) for dim in _axis_names(holder) if dim != holder.time_dim}
    lev, terms = next(((dim, one) for dim, one in found.items() if one is not None), ("", None))
    if terms is None:
        return "", None, "layers with edges as ap + b * ps (formula_terms of their bounds)"
    heights, bounds = _axis(holder, lev, cut)
    ap, b = (edges[: len(heights)] for edges in terms)
    if not (np.isfinite(ap).all() and np.isfinite(b).all()):
        return "", None, "layers whose edges ap + b * ps are known"
    if bounds is not None and (heights[-1] - heights[0]) * (bounds[-1, 0] - bounds[0, 0]) < 0:
        raise ConfigError(
            f"{where}: {lev} and its bounds run in opposite directions, so that one of them is upside "
            "down; turn it around."
        )
    size = np.abs(ap).max() + np.abs(b).max()
    seams = np.abs(ap[:-1, 1] - ap[1:, 0]) + np.abs(b[:-1, 1] - b[1:, 0])
    if len(seams) and not (seams <= _SEAM * size).all():
        raise ConfigError(
            f"{where}: its layers do not touch: between {lev} {int(np.argmax(seams))} and "
            f"{int(np.argmax(seams)) + 1} their edges differ; mend the bounds of {lev}."
        )
    edges = LayerEdges(np.append(ap[:, 0], ap[-1, 1]), np.append(b[:, 0], b[-1, 1]))
    return lev, edges, ""


def _terms(holder: Holder, lev: str) -> tuple[Array, Array] | None:
    """``ap`` in Pa and ``b`` at the edges of each layer, (n, 2); None where the file does not say.

    CF's two forms of hybrid layers and its sigma layers; of all others nothing is guessed.
    """
    said = _formula(holder, lev)
    found: dict[str, Array] = {}
    for term in ("ap", "a", "b", "p0", "sigma", "ptop"):
        one = holder.arrays.get(said.get(term, ""))
        if one is not None and one.shape in ((), (1,), (*_coordinate(holder, lev).shape, 2)):
            found[term] = np.asarray(holder.whole(one.name), np.float64)
            pressure = term in ("ap", "p0", "ptop")
            unit = one.attrs.get("units")
            if pressure and unit is not None and factors(str(unit)) != factors("Pa"):
                raise ConfigError(
                    f"{one.name}: is in {unit!r}, and must be in 'Pa'; bring the file to it."
                )
    if found.keys() >= {"ap", "b"}:
        return _pair(found["ap"], found["b"])
    if found.keys() >= {"a", "b", "p0"}:
        return _pair(found["a"] * float(found["p0"].ravel()[0]), found["b"])
    if found.keys() >= {"sigma", "ptop"}:
        top = float(found["ptop"].ravel()[0])
        return _pair(top * (1.0 - found["sigma"]), found["sigma"])
    return None


def _pair(ap: Array, b: Array) -> tuple[Array, Array] | None:
    return (ap, b) if ap.ndim == b.ndim == 2 else None


def _formula(holder: Holder, lev: str) -> Mapping[str, str]:
    """The terms at the edges: of the bounds, where they say so, else those with the usual names."""
    axis = _coordinate(holder, lev)
    for name in (str(axis.attrs.get("bounds", "")), f"{lev}_bnds", f"{axis.name}_bnds"):
        one = holder.arrays.get(name)
        words = str(one.attrs.get("formula_terms", "")) if one is not None else ""
        parts = words.replace(":", " ").split()
        if parts and len(parts) % 2 == 0:
            return dict(zip(parts[::2], parts[1::2], strict=True))
    parts = str(axis.attrs.get("formula_terms", "")).replace(":", " ").split()
    if not parts or len(parts) % 2:
        return {}
    terms = dict(zip(parts[::2], parts[1::2], strict=True))
    scalars = {k: v for k, v in terms.items() if k in ("p0", "ptop")}
    return {k: f"{v}_bnds" for k, v in terms.items()} | scalars


# ----------------------------------------------------------------------------- times
def _times(holder: Holder, cut: dict[str, int]) -> tuple[int, Array | None, str]:
    """How many times there are, when in seconds, and why that is not known."""
    dim = holder.time_dim
    if dim is None or not any(one.timed for one in holder.arrays.values()):
        return 1, None, "two times or more"
    lengths = [one.shape[0] for one in holder.arrays.values() if one.timed]
    if dim not in _axis_names(holder):
        return max(lengths), None, f"values of its axis {dim}"
    axis = _coordinate(holder, dim)
    values, _ = _axis(holder, dim, cut)
    units = str(axis.attrs.get("units", ""))
    match = re.match(r"\s*([A-Za-z]+?)s?\s+since\b", units)
    unit = _SECONDS.get(match[1].lower()) if match else None
    if len(values) < 2:
        return len(values), None, "two times or more"
    if unit is None:
        return (
            len(values),
            None,
            f"a time axis in days or seconds since a date (it is in {units!r})",
        )
    if not (np.diff(values) > 0).all():
        return len(values), None, f"times that only rise ({dim} does not)"
    return len(values), values * unit, ""
