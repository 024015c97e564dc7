"""Bringing fields from one grid of rows and columns to another: conservative or bilinear.

Both methods are a sum over source cells whose weight is that of the row times that of the column, so
two small sparse matrices hold all weights however large the grids are. Gaps (not a number, the fill,
and cells of a static mask) count for nothing: a target value is the weighted mean of what is known,
and is missing where less than ``min_fraction`` of its weight is. Infinite values are values and spread.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array

from astrohpc.errors import ConfigError
from astrohpc.kernels import regrid as kernel
from astrohpc.physics.latlon import LatLon, sine_difference

Array = NDArray[np.float64]

_CIRCLE_DEG, _POLE_DEG = 360.0, 90.0
# Edges of two grids that are meant to be the same differ by rounding; what they enclose is no cell.
_SLIVER = 1e-12
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Regridder:
    """Weights from one grid to another, and how to apply them.

    ``lat`` (target row, source row) and ``lon`` are sparse; their rows sum to the part of the target
    row or column that the source covers. ``pole`` (2, target row) are the weights of the means of the
    first and the last source row, which stand for the poles in :func:`bilinear`. ``keep`` (lat, lon)
    are the source cells outside of the static mask.
    """

    source: LatLon
    target: LatLon
    lat: csr_array
    lon: csr_array
    pole: Array
    keep: NDArray[np.bool_]
    min_fraction: float

    @cached_property
    def known_share(self) -> Array:
        """What part of each target cell (its area, or its weights) the source knows; the mask's gaps off.

        Where values have no gaps of their own, the sum over target cells of value, area and this is
        the integral over the source, if the method is :func:`conservative`.
        """
        keep = self.keep.astype(np.float64)
        share: Array = kernel.known_share(keep, self._weights, *self.target.shape)
        return share

    def apply(self, values: NDArray[Any], fill: float | None = None) -> NDArray[Any]:
        """Bring ``values`` (..., lat, lon) to (..., lat', lon').

        Missing are values that are not a number and, where given, those equal to ``fill``; missing
        target cells get ``fill``, or else are not a number. Single precision stays single, summed in
        double; all else becomes double.
        """
        values = np.asarray(values)
        if values.shape[-2:] != self.source.shape:
            raise ConfigError(
                f"regrid: values of shape {values.shape} do not end in the {self.source.shape} rows and "
                "columns of their grid; leave this variable out or give the grid that it is on."
            )
        kind = np.float32 if values.dtype.kind == "f" and values.dtype.itemsize <= 4 else np.float64
        missing = as_kind(fill, kind)
        fields: NDArray[Any] = np.ascontiguousarray(values, dtype=kind).reshape(
            -1, *self.source.shape
        )
        out = np.empty((len(fields), *self.target.shape), dtype=kind)
        kernel.remap(
            fields,
            missing,
            self.keep,
            self.known_share,
            self.min_fraction - _ROUNDING,
            self._weights,
            missing,
            out,
        )
        return out.reshape(*values.shape[:-2], *self.target.shape)

    @cached_property
    def _weights(self) -> kernel.Weights:
        lat_at, lat_w = _table(self.lat)
        lon_at, lon_w = _table(self.lon)
        return kernel.Weights(lat_at, lat_w, lon_at, lon_w, self.pole, bool(self.pole.any()))


def conservative(
    source: LatLon, target: LatLon, *, mask: ArrayLike | None = None, min_fraction: float = 0.5
) -> Regridder:
    """First-order conservative weights: the area that two cells share, over that of the target cell.

    Areas are exact: the difference of sin(latitude) times that of longitude. ``mask`` (lat, lon) is
    true in source cells that never count.
    """
    lat = _overlaps(target.lat_edge_deg, source.lat_edge_deg, turns=(0,), measure=sine_difference)
    begin, end = min(source.lon_edge_deg[[0, -1]]), max(target.lon_edge_deg[[0, -1]])
    most = int(np.ceil((end - begin) / _CIRCLE_DEG)) + 1
    begin, end = min(target.lon_edge_deg[[0, -1]]), max(source.lon_edge_deg[[0, -1]])
    least = int(np.floor((begin - end) / _CIRCLE_DEG)) - 1
    lon = _overlaps(
        target.lon_edge_deg,
        source.lon_edge_deg,
        turns=range(least, most + 1),
        measure=lambda from_deg, to_deg: to_deg - from_deg,
    )
    pole = np.zeros((2, target.shape[0]))
    return _checked(source, target, lat, lon, pole, mask, min_fraction)


def bilinear(
    source: LatLon, target: LatLon, *, mask: ArrayLike | None = None, min_fraction: float = 0.5
) -> Regridder:
    """Weights of linear interpolation in latitude and longitude between the centres of source cells.

    Columns that close the circle are periodic. Between the outermost row and a pole that its cells
    reach, the value of the pole is the mean of that row. Within the outer half of other edge cells the
    value is theirs; beyond the source's edges nothing is known. ``mask`` as in :func:`conservative`.
    """
    rows = source.shape[0]
    center = source.lat_deg
    south, north = (0, rows - 1) if center[0] <= center[-1] else (rows - 1, 0)
    edge_s, edge_n = np.sort(source.lat_edge_deg[[0, -1]])
    # Before and after all rows stands a pole or the edge of the domain, by numbers of their own.
    order = np.concatenate([[rows], np.argsort(center), [rows + 1]])
    at, found = _between(
        target.lat_deg, np.concatenate([[edge_s], np.sort(center), [edge_n]]), order
    )
    pole = np.zeros((2, target.shape[0]))
    for number, outer, edge in ((rows, south, edge_s), (rows + 1, north, edge_n)):
        weight = np.where(at == number, found, 0.0).sum(axis=0)
        if abs(edge) == _POLE_DEG and edge != center[outer]:
            pole[0 if outer == 0 else 1] += weight
            found[at == number] = 0.0
        at[at == number] = outer
    lat = _sparse(at, found, rows)

    columns = source.shape[1]
    order = np.argsort(source.lon_deg)
    center = source.lon_deg[order]
    if source.is_round:
        order = np.concatenate([order, order[:1]])
        center = np.append(center, center[0] + _CIRCLE_DEG)
    else:
        order = np.concatenate([order[:1], order, order[-1:]])
        edges = np.sort(source.lon_edge_deg[[0, -1]])
        center = np.concatenate([edges[:1], center, edges[1:]])
    lon_deg = center[0] + (target.lon_deg - center[0]) % _CIRCLE_DEG
    # A target on the first meridian must not come out a rounding below it, which is a turn away.
    lon_deg[lon_deg - center[0] > _CIRCLE_DEG * (1 - _SLIVER)] = center[0]
    lon = _sparse(*_between(lon_deg, center, order), columns)
    return _checked(source, target, lat, lon, pole, mask, min_fraction)


def as_kind(fill: float | None, kind: type[np.floating[Any]]) -> Any:
    """The fill as values of this kind hold it; not a number where there is none."""
    with np.errstate(over="ignore"):
        missing = kind(np.nan if fill is None else fill)
    if np.isinf(missing):
        raise ConfigError(
            f"fill {fill} is beyond {np.dtype(kind).name}, so no value can equal it; "
            "give the fill that the values have."
        )
    return missing


def _overlaps(target_edge: Array, source_edge: Array, turns: Any, measure: Any) -> csr_array:
    """How much of each target interval each source interval covers, repeated at these turns."""
    target_step, source_step = (1 if e[-1] > e[0] else -1 for e in (target_edge, source_edge))
    goal = target_edge[::target_step]
    cells = len(source_edge) - 1
    base = source_edge[::source_step]
    low = np.concatenate([base[:-1] + turn * _CIRCLE_DEG for turn in turns])
    high = np.concatenate([base[1:] + turn * _CIRCLE_DEG for turn in turns])
    points = np.unique(np.clip(np.concatenate([goal, low, high]), goal[0], goal[-1]))
    middle = 0.5 * (points[1:] + points[:-1])
    to = np.clip(np.searchsorted(goal, middle, side="right") - 1, 0, len(goal) - 2)
    of = np.clip(np.searchsorted(low, middle, side="right") - 1, 0, len(low) - 1)
    width = points[1:] - points[:-1]
    narrower = np.minimum(goal[to + 1] - goal[to], high[of] - low[of])
    inside = (middle > low[of]) & (middle < high[of]) & (width > _SLIVER * narrower)
    to, of = to[inside], of[inside]
    part = measure(points[:-1][inside], points[1:][inside]) / measure(goal[to], goal[to + 1])
    of %= cells
    rows = to if target_step > 0 else len(goal) - 2 - to
    columns = of if source_step > 0 else cells - 1 - of
    return coo_array((part, (rows, columns)), shape=(len(goal) - 1, cells)).tocsr()


def _between(
    at_deg: Array, center_deg: Array, order: NDArray[np.int_]
) -> tuple[NDArray[np.int_], Array]:
    """The two neighbours of each point, by ``order``, and their weights: (2, point).

    ``center_deg`` rise, neighbours at one place allowed; points outside have no weight.
    """
    upper = np.clip(np.searchsorted(center_deg, at_deg, side="right"), 1, len(center_deg) - 1)
    step = center_deg[upper] - center_deg[upper - 1]
    into = np.divide(
        at_deg - center_deg[upper - 1], step, out=np.zeros_like(at_deg), where=step > 0.0
    )
    inside = (into >= -_ROUNDING) & (into <= 1.0 + _ROUNDING)
    into = np.where(inside, np.clip(into, 0.0, 1.0), 0.0)
    into[np.abs(into) < _SLIVER] = 0.0
    into[np.abs(into - 1.0) < _SLIVER] = 1.0
    return np.stack([order[upper - 1], order[upper]]), np.stack(
        [np.where(inside, 1.0 - into, 0.0), into]
    )


def _sparse(at: NDArray[np.int_], weight: Array, columns: int) -> csr_array:
    points = at.shape[1]
    rows = np.broadcast_to(np.arange(points), at.shape)
    matrix = coo_array(
        (weight.ravel(), (rows.ravel(), at.ravel())), shape=(points, columns)
    ).tocsr()
    matrix.eliminate_zeros()
    return matrix


def _checked(
    source: LatLon,
    target: LatLon,
    lat: csr_array,
    lon: csr_array,
    pole: Array,
    mask: ArrayLike | None,
    min_fraction: float,
) -> Regridder:
    if not 0.0 < min_fraction <= 1.0:
        raise ConfigError(
            f"min_fraction: {min_fraction} is not a part of a cell; write a number above 0, at most 1."
        )
    keep = np.ones(source.shape, dtype=np.bool_)
    if mask is not None:
        masked = np.asarray(mask)
        if masked.shape != source.shape or masked.dtype != np.bool_:
            raise ConfigError(
                f"mask: {masked.dtype} of shape {masked.shape} is not true or false for each of the "
                f"{source.shape} cells; give one that is true where cells do not count."
            )
        keep = ~masked
    made = Regridder(source, target, lat, lon, pole, keep, min_fraction)
    if not (made.known_share >= min_fraction - _ROUNDING).any():
        raise ConfigError(
            f"regrid: no target cell has min_fraction {min_fraction} of it in what the source grid knows; "
            "choose a target grid that meets it, or a mask that leaves something."
        )
    return made


def _table(matrix: csr_array) -> tuple[NDArray[np.uintp], Array]:
    """A sparse matrix as the kernel wants it: (entry, row), rows padded to the same length.

    A row is filled up by halving its first weight, which is exact; weights of zero would make an
    infinite value not a number.
    """
    matrix = matrix.sorted_indices()
    counts = np.diff(matrix.indptr)
    most = max(2, int(counts.max()))
    rows = len(counts)
    at = np.zeros((most, rows), dtype=np.uintp)
    weight = np.zeros((most, rows))
    row = np.repeat(np.arange(rows), counts)
    entry = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], counts)
    at[entry, row] = matrix.indices
    weight[entry, row] = matrix.data
    for k in range(1, most):
        short = (counts > 0) & (counts <= k)
        weight[0, short] *= 0.5
        weight[k, short] = weight[0, short]
        at[k, short] = at[0, short]
    return at, weight
