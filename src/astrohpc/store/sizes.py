"""Quantiles from counts by size: how fine the steps are, and what error that leaves."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from astrohpc.kernels.moments import Steps

PERCENT = (1, 5, 25, 50, 75, 95, 99)
STEPS = 2**15
NO_STEPS = Steps(0, 0, 0.0, 0.0, 0, 0)
_LEAST = 2.0**-30  # sizes below this share of the greatest are one step


def steps(lowest: float, highest: float) -> Steps:
    """Steps for values between two bounds.

    Values of one sign may span many powers of ten, as humidity does, and get steps that grow with
    size; others get steps of one width.
    """
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        return NO_STEPS
    if lowest < 0 < highest or lowest == highest:
        width = (highest - lowest) or 1.0
        return Steps(STEPS, 0, lowest, STEPS / width, 0, 0)
    sign = 1 if highest > 0 else -1
    least, most = sorted((abs(lowest), abs(highest)))
    first, last = _bits(max(least, most * _LEAST)), _bits(most)
    shift = max(0, int(last - first).bit_length() - STEPS.bit_length() + 1)
    return Steps(STEPS, sign, 0.0, 0.0, first, shift)


def _bits(number: float) -> int:
    return int(np.array(number, np.float32).view(np.int32))


def size_bits(values: NDArray[np.floating], how: Steps) -> NDArray[np.int32]:
    """The bits that steps are cut from; without their sign they grow with a value's size."""
    if not how.sign:
        return np.empty((0, 0, 0), np.int32)
    with np.errstate(over="ignore"):
        bits: NDArray[np.int32] = values.astype(np.float32, copy=False).view(np.int32)
    return bits


def _edges(how: Steps) -> NDArray[np.float64]:
    """The bounds of all steps, from the lowest value to the highest."""
    if how.sign == 0:
        return how.low + np.arange(how.n + 1) / how.scale
    bits = np.minimum(how.first + (np.arange(how.n + 1, dtype=np.int64) << how.shift), 0x7F7FFFFF)
    sizes: NDArray[np.float64] = bits.astype(np.int32).view(np.float32).astype(np.float64)
    return sizes if how.sign > 0 else -sizes


def quantiles(
    weights: NDArray[np.int64], how: Steps, lowest: float, highest: float
) -> dict[str, float]:
    """Values below which these per cent of the weight lie; within a step they count as spread evenly."""
    total = int(weights.sum())
    if not total:
        return {}
    edges = _edges(how)
    if how.sign < 0:
        weights, edges = weights[::-1], edges[::-1]
    below = np.concatenate([[0], np.cumsum(weights)])
    found = {}
    for percent in PERCENT:
        wanted = total * percent / 100
        step = min(int(np.searchsorted(below, wanted, "left")), len(weights)) - 1
        step = max(step, 0)
        share = (wanted - below[step]) / max(1, int(weights[step]))
        value = edges[step] + min(max(share, 0.0), 1.0) * (edges[step + 1] - edges[step])
        found[str(percent)] = float(min(max(value, lowest), highest))
    return found


def error_bound(how: Steps, lowest: float, highest: float) -> Mapping[str, float]:
    """How far a quantile may be off: the width of a step, and of the smallest sizes together."""
    if not how.n:
        return {}
    if how.sign == 0:
        return {"absolute": 1 / how.scale if highest > lowest else 0.0}
    most = max(abs(lowest), abs(highest))
    return {"relative": 2.0 ** (how.shift - 23) + 2.0**-24, "absolute": most * _LEAST}
