"""Fields on rows and columns to fields on others, by a few weights a row and a few a column.

A target value is the sum over rows and columns of ``lat_w * lon_w * value``, divided by the same
sum of what is known (1 for a value, 0 for a gap). Weights come as tables: entry k of target row j is
``lat_w[k, j]`` for the source row ``lat_at[k, j]``; an even number of entries, those not needed being
zero and pointing at a row that is. Two at a time, because a pass over a row costs more in loads and
stores than in sums. Rows first: that loop runs along memory, and leaves fewer rows for the columns.

Sums are in double precision whatever the values are. Nothing here keeps Python's lock.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.uintp]


class Weights(NamedTuple):
    """What a source row and a source column count for, and the means of the outermost rows.

    ``pole_w[0]`` is the weight of the mean of the first row, ``pole_w[1]`` of the last.
    """

    lat_at: Index
    lat_w: Array
    lon_at: Index
    lon_w: Array
    pole_w: Array
    has_poles: bool


@njit(cache=True, nogil=True, error_model="numpy")
def _mean(row: NDArray[np.floating]) -> float:
    total = 0.0
    for i in range(row.size):
        total += row[i]
    return total / row.size


@njit(cache=True, nogil=True, error_model="numpy")
def _product(field: NDArray[np.floating], weights: Weights, row: Array, out: Array) -> None:
    """``out`` becomes the weighted sums of one field; ``row`` is room for one source row."""
    lat_at, lat_w, lon_at, lon_w = weights.lat_at, weights.lat_w, weights.lon_at, weights.lon_w
    columns = field.shape[1]
    first = last = 0.0
    if weights.has_poles:
        first, last = _mean(field[0]), _mean(field[-1])
    for j in range(out.shape[0]):
        pole = weights.pole_w[0, j] * first + weights.pole_w[1, j] * last
        y, w, z, u = lat_at[0, j], lat_w[0, j], lat_at[1, j], lat_w[1, j]
        for i in range(columns):
            row[i] = pole + w * field[y, i] + u * field[z, i]
        for k in range(2, lat_w.shape[0], 2):
            y, w, z, u = lat_at[k, j], lat_w[k, j], lat_at[k + 1, j], lat_w[k + 1, j]
            if w != 0.0:
                for i in range(columns):
                    row[i] += w * field[y, i] + u * field[z, i]
        for i in range(out.shape[1]):
            out[j, i] = lon_w[0, i] * row[lon_at[0, i]] + lon_w[1, i] * row[lon_at[1, i]]
        for k in range(2, lon_w.shape[0], 2):
            for i in range(out.shape[1]):
                out[j, i] += (
                    lon_w[k, i] * row[lon_at[k, i]] + lon_w[k + 1, i] * row[lon_at[k + 1, i]]
                )


@njit(cache=True, nogil=True, error_model="numpy")
def known_share(known: Array, weights: Weights, rows: int, columns: int) -> Array:
    """Weighted sums of a field that is 1 where a value is known and 0 where none is."""
    out = np.empty((rows, columns))
    _product(known, weights, np.empty(known.shape[1]), out)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _count_gaps(field: NDArray[np.floating], fill: float) -> int:
    """How many values are not a number or the fill; branchless, so that it costs a tenth of the rest."""
    gaps = 0
    for j in range(field.shape[0]):
        in_row = np.int32(0)
        for i in range(field.shape[1]):
            value = field[j, i]
            in_row += np.int32((value != value) | (value == fill))  # noqa: PLR0124 - NaN
        gaps += in_row
    return gaps


@njit(cache=True, nogil=True, error_model="numpy")
def _take_known(
    field: NDArray[np.floating],
    fill: float,
    keep: NDArray[np.bool_],
    values: Array,
    known: Array,
) -> int:
    """Values with zeros in the gaps, ones where they are known, and how many are."""
    count = 0
    for j in range(field.shape[0]):
        for i in range(field.shape[1]):
            value = field[j, i]
            fine = keep[j, i] and value == value and value != fill  # noqa: PLR0124 - NaN
            values[j, i] = value if fine else 0.0
            known[j, i] = 1.0 if fine else 0.0
            count += fine
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def remap(
    fields: NDArray[np.floating],
    fill: float,
    keep: NDArray[np.bool_],
    share: Array,
    least_share: float,
    weights: Weights,
    missing: float,
    out: NDArray[np.floating],
) -> None:
    """Fill ``out`` (field, row, column) from ``fields``.

    ``share`` is :func:`known_share` of the cells to ``keep``: a field without other gaps needs no
    second product. A target cell is ``missing`` where less than ``least_share`` of it is known.
    """
    source_rows, source_columns = fields.shape[1:]
    rows, columns = out.shape[1:]
    kept = 0
    for j in range(source_rows):
        for i in range(source_columns):
            kept += keep[j, i]
    all_kept = kept == source_rows * source_columns
    row = np.empty(source_columns)
    sums = np.empty((rows, columns))
    values = np.empty((source_rows, source_columns))
    known = np.empty((source_rows, source_columns))
    moving = np.empty((rows, columns))
    static_scale = np.empty((rows, columns))
    static_holes = _scale(share, least_share, static_scale)
    scale = np.empty((rows, columns))
    for f in range(fields.shape[0]):
        if all_kept and _count_gaps(fields[f], fill) == 0:
            _product(fields[f], weights, row, sums)
            _finish(sums, static_scale, static_holes, missing, out[f])
        elif _take_known(fields[f], fill, keep, values, known) == kept:
            _product(values, weights, row, sums)
            _finish(sums, static_scale, static_holes, missing, out[f])
        else:
            _product(values, weights, row, sums)
            _product(known, weights, row, moving)
            holes = _scale(moving, least_share, scale)
            _finish(sums, scale, holes, missing, out[f])


@njit(cache=True, nogil=True, error_model="numpy")
def _scale(share: Array, least_share: float, scale: Array) -> int:
    """``scale`` becomes what sums are multiplied with, zero in the holes, whose number is returned."""
    holes = 0
    for j in range(share.shape[0]):
        for i in range(share.shape[1]):
            fine = share[j, i] >= least_share
            scale[j, i] = 1.0 / share[j, i] if fine else 0.0
            holes += not fine
    return holes


@njit(cache=True, nogil=True, error_model="numpy")
def _finish(
    sums: Array, scale: Array, holes: int, missing: float, out: NDArray[np.floating]
) -> None:
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[j, i] = sums[j, i] * scale[j, i]
    if holes:
        for j in range(out.shape[0]):
            for i in range(out.shape[1]):
                if scale[j, i] == 0.0:
                    out[j, i] = missing
