"""Sums along rows, totals of them, and what restores a total that a block of values ought to have.

A row is summed by 32 lanes, each in the order of its cells, which are then added in pairs: 16 and 16, 8
and 8, ...: the order of a warp of a GPU, and of the vectors of a processor. Rows and levels follow in
order. All of it is in float64.
"""

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.typing import NDArray

from astrohpc.kernels.formulas import from_bfloat16, to_bfloat16
from astrohpc.kernels.formulas_warp import lane_term
from astrohpc.kernels.statement import f32, u32
from astrohpc.kernels.warp import Array, Globe, Singles

LANES = 32
# What is restored of a block: nothing, its mean by a shift, a positive one's by a factor, a share's between
# 0 and 1, its angular momentum by a solid turn, each row's mean by shifts, each row's mean to zero.
NONE, MEAN, FACTOR, SHARE, SPIN, ROWS, ROWS_ZERO = range(7)


def number(stored: Any) -> Any:
    """The number of a stored value: of a float32 itself, of bfloat16's 16 bits theirs."""
    raise NotImplementedError("compiled code only")


@overload(number, strict=False)  # strictly, annotations would have to be the same
def _number(stored: Any) -> Any:
    if isinstance(stored, types.Float):
        return lambda stored: stored
    return lambda stored: from_bfloat16(u32(stored))


def stored(value: Any, like: Any) -> Any:
    """What an array ``like`` holds of a number: a float32 itself, or bfloat16's 16 bits."""
    raise NotImplementedError("compiled code only")


@overload(stored, strict=False)
def _stored(value: Any, like: Any) -> Any:  # noqa: ARG001 - numba asks for these names
    if isinstance(like.dtype, types.Float):
        return lambda value, like: value  # noqa: ARG005
    return lambda value, like: np.uint16(to_bfloat16(value))  # noqa: ARG005


@njit(nogil=True, error_model="numpy")
def fill(row: NDArray[Any], value: Any) -> None:
    """One number everywhere; numba takes seconds to compile what numpy writes for it."""
    for n in range(len(row)):
        row[n] = value


@njit(nogil=True, error_model="numpy")
def add_rows(
    values: NDArray[Any], ps: Singles, da: float, db: float, lanes: Array, rows: Array
) -> None:
    """Add to ``rows`` [J] the sums of values [J * I] times da + db ps."""
    columns = len(values) // len(rows)
    even = columns // LANES * LANES
    for j in range(len(rows)):
        fill(lanes, 0.0)
        start = j * columns
        for i in range(0, even, LANES):
            for k in range(LANES):
                n = start + i + k
                lanes[k] += lane_term(number(values[n]), da, db, ps[n])
        for k in range(columns - even):
            n = start + even + k
            lanes[k] += lane_term(number(values[n]), da, db, ps[n])
        rows[j] += _gathered(lanes)


@njit(nogil=True, error_model="numpy")
def add_sizes(
    values: NDArray[Any], ps: Singles, da: float, db: float, lanes: Array, rows: Array
) -> None:
    """As :func:`add_rows`, of the values without their signs."""
    columns = len(values) // len(rows)
    even = columns // LANES * LANES
    for j in range(len(rows)):
        fill(lanes, 0.0)
        start = j * columns
        for i in range(0, even, LANES):
            for k in range(LANES):
                n = start + i + k
                lanes[k] += abs(lane_term(number(values[n]), da, db, ps[n]))
        for k in range(columns - even):
            n = start + even + k
            lanes[k] += abs(lane_term(number(values[n]), da, db, ps[n]))
        rows[j] += _gathered(lanes)


@njit(nogil=True, error_model="numpy")
def _gathered(lanes: Array) -> float:
    width = LANES // 2
    while width > 0:
        for k in range(width):
            lanes[k] += lanes[k + width]
        width //= 2
    return float(lanes[0])


@njit(nogil=True, error_model="numpy")
def total(rows: Array, weight: Array) -> float:
    """The sum of rows times their weights, in order."""
    found = 0.0
    for j in range(len(rows)):
        found += rows[j] * weight[j]
    return found


@njit(nogil=True, error_model="numpy")
def restore(
    rule: int,
    target: Array,
    rows: Array,
    mass: Array,
    globe: Globe,
    more: float,
    shift: Singles,
) -> float:
    """The gain that restores a total, and the ``shift`` [J] of each row: value + (gain value + shift).

    ``target`` and ``rows`` [J] are sums of values times mass as they ought to be and as they are, of which
    all rules but the rows' only take the total; ``mass`` [J] is the sum of mass. ``more`` is added to what
    a turn ought to have: what the air's own place on the turning planet has lost.
    """
    fill(shift, f32(0.0))
    if rule == NONE:
        return 0.0
    if rule in (ROWS, ROWS_ZERO):
        for j in range(len(rows)):
            if not globe.pole[j]:  # a wind at the pole itself has no mean along its row
                wanted = target[j] if rule == ROWS else 0.0
                shift[j] = f32((wanted - rows[j]) / mass[j])
        return 0.0
    if rule == SPIN:
        wanted, found, inertia = more, 0.0, 0.0
        for j in range(len(rows)):
            lever = globe.share[j] * globe.arm[j]
            wanted += target[j] * lever
            found += rows[j] * lever
            inertia += mass[j] * lever * globe.cos_lat[j]
        for j in range(len(rows)):
            shift[j] = f32((wanted - found) / inertia * globe.cos_lat[j])
        return 0.0
    share = globe.share
    wanted, found, air = total(target, share), total(rows, share), total(mass, share)
    if rule == MEAN:
        fill(shift, f32((wanted - found) / air))
        return 0.0
    if rule == SHARE and found < wanted:
        part = min((wanted - found) / (air - found), 1.0) if air > found else 0.0
        fill(shift, f32(part))
        return -part
    if found > 0.0:
        return wanted / found - 1.0
    fill(shift, f32(wanted / air))  # none is left to multiply: it comes back everywhere
    return 0.0
