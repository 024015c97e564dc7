"""Fields on rows and columns to fields on others, by a few weights a row and a few a column.

A target value is the sum over rows and columns of ``lat_w * lon_w * value``, divided by the same
sum of what is known (1 for a value, 0 for a gap). Weights come as tables: entry k of target row j is
``lat_w[k, j]`` for the source row ``lat_at[k, j]``, in two entries or more. The first two are taken
together, as a pass over a row costs more in loads and stores than in sums. Rows come first: that
loop runs along memory.

Sums are in double precision whatever the values are: single precision was no faster (2.5 against
2.2 microseconds a field of 46 x 72 to 32 x 64). Nothing here keeps Python's lock.
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
def _product(
    field: NDArray[np.floating],
    weights: Weights,
    scale: Array,
    row: Array,
    line: Array,
    out: NDArray[np.floating],
) -> bool:
    """``out`` becomes the weighted sums of one field times ``scale``; returns whether all are finite.

    ``row`` and ``line`` are room for a row of the source and three of the target. Gathering two values a
    column first leaves loops that vectorise: 10 % of the time.
    """
    lat_at, lat_w, lon_at, lon_w = weights.lat_at, weights.lat_w, weights.lon_at, weights.lon_w
    west_at, east_at, west_w, east_w = lon_at[0], lon_at[1], lon_w[0], lon_w[1]
    west, east, doubt = line[0], line[1], line[2]
    doubt[:] = 0.0
    has_poles = weights.has_poles
    first = last = 0.0
    if has_poles:
        first, last = _mean(field[0]), _mean(field[-1])
    for j in range(out.shape[0]):
        y, z, w, u = lat_at[0, j], lat_at[1, j], lat_w[0, j], lat_w[1, j]
        for i in range(row.size):
            row[i] = w * field[y, i] + u * field[z, i]
        for k in range(2, lat_w.shape[0]):
            y, w = lat_at[k, j], lat_w[k, j]
            for i in range(row.size):
                row[i] += w * field[y, i]
        if has_poles:
            pole = weights.pole_w[0, j] * first + weights.pole_w[1, j] * last
            for i in range(row.size):
                row[i] += pole
        for i in range(west.size):
            west[i] = row[west_at[i]]
        for i in range(west.size):
            east[i] = row[east_at[i]]
        for i in range(west.size):
            west[i] = west_w[i] * west[i] + east_w[i] * east[i]
        for k in range(2, lon_w.shape[0]):
            for i in range(west.size):
                west[i] += lon_w[k, i] * row[lon_at[k, i]]
        for i in range(west.size):
            value = west[i] * scale[j, i]
            out[j, i] = value
            doubt[i] += value - value  # zero, or not a number: a test that vectorises
    total = 0.0
    for i in range(doubt.size):
        total += doubt[i]
    return total == 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def known_share(known: Array, weights: Weights, rows: int, columns: int) -> Array:
    """Weighted sums of a field that is 1 where a value is known and 0 where none is."""
    out = np.empty((rows, columns))
    row, line = np.empty(known.shape[1]), np.empty((3, columns))
    _product(known, weights, np.ones((rows, columns)), row, line, out)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _count(field: NDArray[np.floating], fill: float) -> int:
    """How many values are the fill; without branches, so that it takes a tenth of a product's time."""
    total = 0
    for j in range(field.shape[0]):
        in_row = np.int32(0)
        for i in range(field.shape[1]):
            in_row += np.int32(field[j, i] == fill)
        total += int(in_row)
    return total


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
    row, line = np.empty(source_columns), np.empty((3, columns))
    values = np.empty((source_rows, source_columns))
    known = np.empty((source_rows, source_columns))
    one = np.ones((rows, columns))
    moving = np.empty((rows, columns))
    scale = np.empty((rows, columns))
    static_scale = np.empty((rows, columns))
    static_holes = _scale(share, least_share, static_scale)
    has_fill = fill == fill  # noqa: PLR0124 - only NaN differs from itself
    for f in range(fields.shape[0]):
        # What is not a number shows in the product, so a field need not be searched for it.
        if (
            all_kept
            and not (has_fill and _count(fields[f], fill))
            and _product(fields[f], weights, static_scale, row, line, out[f])
        ):
            _punch(static_scale, static_holes, missing, out[f])
            continue
        if _take_known(fields[f], fill, keep, values, known) == kept:
            _product(values, weights, static_scale, row, line, out[f])
            _punch(static_scale, static_holes, missing, out[f])
        else:
            _product(known, weights, one, row, line, moving)
            holes = _scale(moving, least_share, scale)
            _product(values, weights, scale, row, line, out[f])
            _punch(scale, holes, missing, out[f])


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
def _punch(scale: Array, holes: int, missing: float, out: NDArray[np.floating]) -> None:
    """Write what stands for missing into the holes."""
    if holes:
        for j in range(out.shape[0]):
            for i in range(out.shape[1]):
                if scale[j, i] == 0.0:
                    out[j, i] = missing
