"""How much a value of a store counts in a mean: by its cell's area, and by its layer's mass.

Areas are shares: of a store's own ``cell_area``, or else of its latitudes. No planet's radius is needed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.kernels.moments import Weights
from astrohpc.store.plan import MEMBER
from astrohpc.store.reader import Store
from astrohpc.store.stored import StoredArray

Array = NDArray[np.float64]
_AREAS = ("cell_area", "areacella", "axyp")  # ours, CMIP's and ModelE's
_TYPICAL_ROWS = 8  # samples of surface pressure that say what a usual layer's mass is


@dataclass(frozen=True, eq=False)
class Weighting:
    """How the values of one array are weighted.

    ``area`` is [k, cell], in which k counts members if areas differ between them; ``thick_a`` and
    ``thick_b`` are [k, level] with the same meaning, of no levels where mass is not known. ``ps`` is the
    array of surface pressures.
    """

    area: Array
    thick_a: Array
    thick_b: Array
    ps: str
    unit: float
    made_of: tuple[str, ...]  # arrays that decide the weights

    @property
    def name(self) -> str:
        """In words, for who reads the numbers."""
        if self.ps:
            return "mass"
        return "area" if self.made_of else "none"

    def of(
        self, members: NDArray[np.int64], cells: NDArray[np.int64], levels: slice, ps: Array | None
    ) -> Weights:
        """The weights of some samples, cells and levels; ``ps`` is [sample, cell]."""
        k = max(len(self.area), len(self.thick_a))
        area = np.ascontiguousarray(np.broadcast_to(self.area, (k, self.area.shape[1]))[:, cells])
        a, b = (
            np.ascontiguousarray(np.broadcast_to(one, (k, one.shape[1]))[:, levels])
            for one in (self.thick_a, self.thick_b)
        )
        which = members if k > 1 else np.zeros_like(members)
        pressure = np.zeros((1, 1)) if ps is None else ps
        return Weights(area, a, b, pressure, np.ascontiguousarray(which), self.unit)


def weighting(store: Store, array: StoredArray) -> Weighting:
    """Find out how an array's values are to be weighted."""
    cells = cell_dims(array)
    sizes = dict(zip(array.dims, array.shape, strict=True))
    area, made_of = _area(store, cells, [sizes[dim] for dim in cells])
    none = np.zeros((1, 0))
    layers = _layers(store, array, cells)
    if layers is None:
        return Weighting(area, none, none, "", 1.0, made_of)
    a, b, ps, names = layers
    unit = _mean(np.abs(a + b * _mean(_some(store, ps))))
    return Weighting(area, a, b, ps, unit or 1.0, (*made_of, *names, ps))


def cell_dims(array: StoredArray) -> tuple[str, ...]:
    """The axes of a sample that are no levels."""
    return tuple(d for i, d in enumerate(array.dims) if i >= array.lead and i != array.vertical)


def _some(store: Store, name: str) -> NDArray[Any]:
    """Some samples from all over the store."""
    number = np.linspace(0, store.members * store.times - 1, _TYPICAL_ROWS).astype(np.int64)
    return store.batch(np.column_stack(np.divmod(number, store.times)), [name])[name]


def _mean(values: NDArray[Any]) -> float:
    """The mean of what is known; 0 where nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean(dtype=np.float64)) if known.size else 0.0


# ----------------------------------------------------------------------------- area
def _area(
    store: Store, cells: Sequence[str], sizes: Sequence[int]
) -> tuple[Array, tuple[str, ...]]:
    """Areas [k, cell] as shares of their mean, and what they are made of; ones where nobody knows."""
    for name, one in store.arrays.items():
        own = one.dims[one.member :]
        if _is_area(name, one) and own and not one.time and set(own) <= set(cells):
            values = one.meaning(store.coordinate(name)).astype(np.float64)
            return _spread(values, one.member, own, cells, sizes), (name,)
    found = _latitude(store, cells)
    if found is None:
        return np.ones((1, int(np.prod(sizes, dtype=np.int64)))), ()
    dim, bands, made_of = found
    return _spread(bands, False, (dim,), cells, sizes), made_of


def _is_area(name: str, one: StoredArray) -> bool:
    return one.attrs.get("standard_name") == "cell_area" or name in _AREAS


def _spread(
    values: Array, member: bool, own: Sequence[str], cells: Sequence[str], sizes: Sequence[int]
) -> Array:
    """Values along some axes of the cells, to all cells: [k, cell], of mean one."""
    values = values if member else values[None]
    places = [list(own).index(dim) + 1 for dim in cells if dim in own]
    ordered = values.transpose(0, *places)
    shape = [n if dim in own else 1 for dim, n in zip(cells, sizes, strict=True)]
    whole = np.broadcast_to(ordered.reshape(len(values), *shape), (len(values), *sizes))
    flat = whole.reshape(len(values), -1)
    shares: Array = np.where(np.isfinite(flat), flat, 0) / (_mean(flat) or 1.0)
    return shares


def _latitude(store: Store, cells: Sequence[str]) -> tuple[str, Array, tuple[str, ...]] | None:
    """Shares of the sphere between the edges of latitude bands: differences of the sine."""
    for dim in cells:
        one = store.arrays.get(dim)
        if one is None or one.dims != (dim,) or not _is_latitude(dim, one):
            continue
        centre = store.coordinate(dim).astype(np.float64)
        bounds = str(one.attrs.get("bounds", f"{dim}_bnds"))
        held = store.arrays.get(bounds)
        edges = _edges_between(centre)
        made_of: tuple[str, ...] = (dim,)
        if held is not None and held.dims[:1] == (dim,) and held.shape == (len(centre), 2):
            said = store.coordinate(bounds).astype(np.float64)
            # Real files have bounds that nobody filled in.
            if ((said.min(axis=1) <= centre) & (centre <= said.max(axis=1))).all():
                edges, made_of = said, (dim, bounds)
        bands = np.abs(np.diff(np.sin(np.deg2rad(edges)), axis=1))[:, 0]
        if np.isfinite(bands).all() and bands.sum() > 0:
            return dim, bands, made_of
    return None


def _is_latitude(dim: str, one: StoredArray) -> bool:
    said = str(one.attrs.get("standard_name", "")) == "latitude"
    units = str(one.attrs.get("units", "")).lower()
    return said or units.startswith("degrees_n") or dim.lower() in ("lat", "latitude")


def _edges_between(centre: Array) -> Array:
    """Edges in the middle between latitudes; the outermost as far out, but not beyond the poles."""
    if len(centre) < 2:
        return np.array([[-90.0, 90.0]] * len(centre))
    middle = (centre[1:] + centre[:-1]) / 2
    first, last = 2 * centre[0] - middle[0], 2 * centre[-1] - middle[-1]
    edges = np.clip(np.concatenate([[first], middle, [last]]), -90, 90)
    pairs: Array = np.column_stack([edges[:-1], edges[1:]])
    return pairs


# ----------------------------------------------------------------------------- mass
def _layers(
    store: Store, array: StoredArray, cells: Sequence[str]
) -> tuple[Array, Array, str, tuple[str, ...]] | None:
    """Thickness of layers as parts of ``ap + b ps``, [k, level] each, and the array ``ps``."""
    if array.vertical is None or not array.time:
        return None
    lev = array.dims[array.vertical]
    terms = _terms(store, lev)
    names = [terms.get("ap", "ap_bnds"), terms.get("b", "b_bnds")]
    ps = terms.get("ps", "ps")
    pressure = store.arrays.get(ps)
    fits = pressure is not None and pressure.time and cell_dims(pressure) == tuple(cells)
    if not fits or pressure is None or pressure.vertical is not None:
        return None
    parts = []
    for name in names:
        one = store.arrays.get(name)
        if (
            one is None
            or one.dims[one.member :][:1] != (lev,)
            or one.shape[one.member + 1 :] != (2,)
        ):
            return None
        values = store.coordinate(name).astype(np.float64)
        values = values if one.member else values[None]
        parts.append(values[..., 1] - values[..., 0])
    k = max(map(len, parts))
    a, b = (np.broadcast_to(part, (k, part.shape[1])) for part in parts)
    return a, b, ps, tuple(names)


def _terms(store: Store, lev: str) -> Mapping[str, str]:
    """The formula's terms by the bounds of the levels, as CF writes them."""
    for name in (f"{lev}_bnds", f"{lev}_of_member_bnds"):
        words = (
            str(store.arrays[name].attrs.get("formula_terms", "")) if name in store.arrays else ""
        )
        parts = words.replace(":", " ").split()
        if len(parts) % 2 == 0 and parts:
            return dict(zip(parts[::2], parts[1::2], strict=True))
    return {}


def is_weight(store: Store, name: str) -> bool:
    """Whether an array describes axes, bounds or cells, and is no quantity of its own."""
    one = store.arrays[name]
    described = {str(a.attrs.get("bounds", "")) for a in store.arrays.values()}
    helpers = {MEMBER, *store.dims, *described, "ap", "b"}
    return name in helpers or name.endswith(("_bnds", "_of_member")) or _is_area(name, one)
