"""Weighted moments and counts of values by size, in one pass over a block of samples.

A value's weight is its cell's area, times its layer's mass where that is known. Sums run in one order
and without fastmath; counts by size are whole numbers. Both are the same bits on every machine.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Columns of what is returned, a row a level.
COUNT, MISSING, LOWEST, HIGHEST, WEIGHT, MEAN, SQUARES = range(7)


class Weights(NamedTuple):
    """How much a value counts: area [k, cell] times |thick_a + thick_b · ps|, or area alone.

    ``thick_a`` and ``thick_b`` are [k, level], of no levels where mass is not known; ``ps`` is
    [sample, cell]. ``of`` says which k is a sample's. ``unit`` is the weight that counts as one when
    values are sorted by size.
    """

    area: Array
    thick_a: Array
    thick_b: Array
    ps: Array
    of: NDArray[np.int64]
    unit: float


class Steps(NamedTuple):
    """How values are sorted by size: ``n`` steps, or none where n is 0.

    ``sign`` 0: steps of one width from ``low`` on, ``scale`` a unit. Else all values have this sign, and
    steps follow the bits of a float32, ``first`` being those of the smallest size: steps are ``2**shift``
    of them wide, so that their width grows with size.
    """

    n: int
    sign: int
    low: float
    scale: float
    first: int
    shift: int


@njit(cache=True, error_model="numpy", nogil=True)
def moments(
    values: NDArray[np.floating],
    bits: NDArray[np.int32],
    weights: Weights,
    steps: Steps,
    by_size: NDArray[np.int64],
) -> Array:
    """Moments by level of values [sample, level, cell]; adds to ``by_size``, a number a step.

    ``bits`` are those of the values as float32, of the same shape, or empty where not needed. Each cell
    has sums of its own until the end of a level, so that processors work on several cells at once
    without a change in the order of any sum.
    """
    n_samples, n_levels, n_cells = values.shape
    found = np.zeros((n_levels, 7))
    weight, step = np.zeros(n_cells), np.zeros(n_cells, np.int32)
    total, first, second = np.zeros(n_cells), np.zeros(n_cells), np.zeros(n_cells)
    lowest, highest = np.zeros(n_cells), np.zeros(n_cells)
    missing = np.zeros(n_cells, np.int64)
    layered = weights.thick_a.shape[1] > 0
    unit = 1048576.0 / weights.unit
    for level in range(n_levels):
        total[:], first[:], second[:], missing[:] = 0.0, 0.0, 0.0, 0
        lowest[:], highest[:] = np.inf, -np.inf
        shift = _some_value(values[:, level])
        for sample in range(n_samples):
            k, row = weights.of[sample], values[sample, level]
            _weigh(weights, layered, k, level, sample, weight)
            for cell in range(n_cells):
                x = float(row[cell])
                there = x == x  # noqa: PLR0124 - not NaN
                w = weight[cell] if there else 0.0
                d = x - shift if there else 0.0
                total[cell] += w
                first[cell] += w * d
                second[cell] += w * d * d
                missing[cell] += 0 if there else 1
                lowest[cell] = x if x < lowest[cell] else lowest[cell]
                highest[cell] = x if x > highest[cell] else highest[cell]
            if steps.n == 0:
                continue
            if steps.sign == 0:
                for cell in range(n_cells):
                    x = float(row[cell])
                    x = (x - steps.low) * steps.scale if x == x else 0.0  # noqa: PLR0124
                    step[cell] = int(min(max(x, 0.0), steps.n - 1.0))
            else:
                size = bits[sample, level]
                for cell in range(n_cells):
                    at = ((size[cell] & 0x7FFFFFFF) - steps.first) >> steps.shift
                    step[cell] = min(max(at, 0), steps.n - 1)
            for cell in range(n_cells):
                x = row[cell]
                if x == x:  # noqa: PLR0124
                    by_size[step[cell]] += int(weight[cell] * unit + 0.5)
        found[level, 0] = n_samples * n_cells
        found[level, 1] = missing.sum()
        found[level, 2] = lowest.min()
        found[level, 3] = highest.max()
        whole, one, two = 0.0, 0.0, 0.0
        for cell in range(n_cells):
            whole += total[cell]
            one += first[cell]
            two += second[cell]
        found[level, 4] = whole
        if whole > 0.0:
            found[level, 5] = shift + one / whole
            found[level, 6] = max(0.0, two - one * one / whole)
    return found


@njit(cache=True, error_model="numpy", nogil=True)
def _some_value(values: NDArray[np.floating]) -> float:
    """A value that is there. Sums are of differences from it, or a narrow spread far from zero drowns."""
    for sample in range(values.shape[0]):
        for cell in range(values.shape[1]):
            x = float(values[sample, cell])
            if np.isfinite(x):
                return x
    return 0.0


@njit(cache=True, error_model="numpy", nogil=True)
def _weigh(weights: Weights, layered: bool, k: int, level: int, sample: int, weight: Array) -> None:
    """The weights of all cells of one level; none where surface pressure is missing."""
    area = weights.area[k]
    if not layered:
        weight[:] = area
        return
    a, b, ps = weights.thick_a[k, level], weights.thick_b[k, level], weights.ps[sample]
    for cell in range(len(weight)):
        w = area[cell] * abs(a + b * ps[cell])
        weight[cell] = w if w > 0.0 else 0.0


def merged(one: Array, other: Array) -> Array:
    """Moments of two sets of values together, row by row."""
    both = np.empty_like(one)
    for add in (COUNT, MISSING, WEIGHT):
        both[:, add] = one[:, add] + other[:, add]
    both[:, LOWEST] = np.minimum(one[:, LOWEST], other[:, LOWEST])
    both[:, HIGHEST] = np.maximum(one[:, HIGHEST], other[:, HIGHEST])
    whole = np.where(both[:, WEIGHT] > 0, both[:, WEIGHT], 1)
    apart = other[:, MEAN] - one[:, MEAN]
    share = other[:, WEIGHT] / whole
    both[:, MEAN] = one[:, MEAN] + apart * share
    both[:, SQUARES] = one[:, SQUARES] + other[:, SQUARES] + apart**2 * one[:, WEIGHT] * share
    return both


def nothing(levels: int) -> Array:
    """The moments of no values at all."""
    empty = np.zeros((levels, 7))
    empty[:, LOWEST], empty[:, HIGHEST] = np.inf, -np.inf
    return empty
