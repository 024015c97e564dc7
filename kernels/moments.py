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
    sorted_weights: NDArray[np.int64],
) -> Array:
    """Moments by level of values [sample, level, cell]; adds to ``sorted_weights``, a number a step.

    ``bits`` are those of the values' sizes as float32, of the same shape, or empty where not needed.
    """
    n_samples, n_levels, n_cells = values.shape
    found = np.zeros((n_levels, 7))
    layered = weights.thick_a.shape[1] > 0
    for level in range(n_levels):
        count, missing = 0, 0
        lowest, highest = np.inf, -np.inf
        total, first_sum, second_sum = 0.0, 0.0, 0.0
        shift, known = 0.0, False
        for sample in range(n_samples):
            k = weights.of[sample]
            for cell in range(n_cells):
                x = float(values[sample, level, cell])
                count += 1
                if np.isnan(x):
                    missing += 1
                    continue
                lowest = min(lowest, x)
                highest = max(highest, x)
                weight = weights.area[k, cell]
                if layered:
                    weight *= abs(
                        weights.thick_a[k, level]
                        + weights.thick_b[k, level] * weights.ps[sample, cell]
                    )
                if not weight > 0.0:  # surface pressure is missing here
                    continue
                if not known:
                    # Sums are of differences from some value, or a narrow spread far from zero drowns.
                    shift, known = x, True
                d = x - shift
                total += weight
                first_sum += weight * d
                second_sum += weight * d * d
                if steps.n:
                    if steps.sign == 0:
                        step = int((x - steps.low) * steps.scale)
                    else:
                        step = (bits[sample, level, cell] - steps.first) >> steps.shift
                    step = min(max(step, 0), steps.n - 1)
                    sorted_weights[step] += int(weight / weights.unit * 1048576.0 + 0.5)
        found[level, 0] = count
        found[level, 1] = missing
        found[level, 2] = lowest
        found[level, 3] = highest
        found[level, 4] = total
        if total > 0.0:
            found[level, 5] = shift + first_sum / total
            found[level, 6] = max(0.0, second_sum - first_sum * first_sum / total)
    return found


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
