"""A level of an augmented block: between times, between layers, mixed with a partner's, noisy, bounded."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astrohpc.kernels.desk import (
    CATEGORY,
    FIRST,
    KIND,
    LEVELS,
    PARTNER,
    RESULT,
    SCALAR,
    Blocks,
    Desk,
    Draws,
)
from astrohpc.kernels.formulas import normals4
from astrohpc.kernels.formulas_warp import bounded, mass_share, mixed, noisy
from astrohpc.kernels.statement import f32, u32
from astrohpc.kernels.totals import add_rows, number
from astrohpc.kernels.warp import Globe, Singles


@njit(nogil=True, error_model="numpy")
def level_of(
    own: NDArray[Any],
    other: NDArray[Any],
    out: NDArray[Any],
    draft: Singles,
    globe: Globe,
    blocks: Blocks,
    draws: Draws,
    desk: Desk,
    s: int,
    t: int,
    b: int,
    c: int,
    level: int,
    slot: int,
) -> None:
    """A level of the result, not yet mended, and its sums."""
    first, kind, layered = (
        blocks.table[b, FIRST],
        blocks.table[b, KIND],
        blocks.table[b, LEVELS] > 0,
    )
    channel, partner = first + level, draws.partner[s]
    plane = drafted(out, draft, blocks, s, t, c, channel, level)
    nearest = kind == CATEGORY
    da = blocks.da[level] if layered else 1.0
    db = blocks.db[level] if layered else 0.0
    _between_levels(
        desk.ring[c, slot],
        desk.ring[c, 1 - slot],
        draws.weight[s, level] if layered else f32(0.0),
        nearest,
        plane,
    )
    if partner >= 0:
        theirs = other[partner, t, channel]
        add_rows(theirs, desk.ps[3], da, db, desk.lanes, desk.rows[c, PARTNER])
        _mix_partner(plane, theirs, desk.share, da, db, desk.ps, nearest)
    sigma = draws.sigma[s, channel]
    if sigma > 0.0 and not nearest:
        number_of = t * own.shape[2] + channel
        if desk.block[c] != number_of // 4:
            desk.block[c] = number_of // 4
            _draw(draws, s, number_of // 4, desk.normal[c])
            _one_at_poles(globe, desk.normal[c], kind != SCALAR)
        normal = desk.normal[c, number_of % 4]
        for n in range(len(plane)):
            plane[n] = noisy(plane[n], sigma, normal[n])
    low, high = blocks.low[b], blocks.high[b]
    if np.isfinite(low):
        for n in range(len(plane)):
            plane[n] = bounded(plane[n], low, high)
    add_rows(plane, desk.ps[4], da, db, desk.lanes, desk.rows[c, RESULT])


@njit(nogil=True, error_model="numpy")
def drafted(
    out: NDArray[Any],
    draft: Singles,
    blocks: Blocks,
    s: int,
    t: int,
    c: int,
    channel: int,
    level: int,
) -> Any:
    """Where a level waits to be mended: in its place, or in scratch."""
    if draft.shape[0] == len(out) and draft.shape[1:3] == out.shape[1:3]:
        return draft[s, t, channel]
    return draft[0, 0, c * len(blocks.da) + level]


@njit(nogil=True, error_model="numpy")
def load(values: NDArray[Any], plane: Singles) -> None:
    """The numbers of stored values."""
    for n in range(len(plane)):
        plane[n] = number(values[n])


@njit(nogil=True, error_model="numpy")
def mix_time(
    plane: Singles, after: Singles, part: float, da: float, db: float, ps: Singles, nearest: bool
) -> None:
    """The plane between two times, weighted by their air."""
    share, a, b = f32(part), f32(da), f32(db)
    if nearest:
        if part > 0.5:
            load(after, plane)
    elif db == 0.0:
        for n in range(len(plane)):
            plane[n] = mixed(share, plane[n], after[n])
    else:
        for n in range(len(plane)):
            plane[n] = mixed(mass_share(share, a, b, ps[0, n], ps[1, n]), plane[n], after[n])


@njit(nogil=True, error_model="numpy")
def _between_levels(
    upper: Singles, lower: Singles, weight: Any, nearest: bool, plane: Singles
) -> None:
    if weight == f32(0.0) or (nearest and weight <= f32(0.5)):
        load(upper, plane)
    elif nearest:
        load(lower, plane)
    else:
        for n in range(len(plane)):
            plane[n] = mixed(weight, upper[n], lower[n])


@njit(nogil=True, error_model="numpy")
def _mix_partner(
    plane: Singles,
    theirs: NDArray[Any],
    share: Singles,
    da: float,
    db: float,
    ps: Singles,
    nearest: bool,
) -> None:
    """Mixed by mass: a part of each one's air makes the air of the result."""
    a, b, half = f32(da), f32(db), f32(0.5)
    if nearest:
        for n in range(len(plane)):
            plane[n] = number(theirs[n]) if share[n] > half else plane[n]
    elif db == 0.0:
        for n in range(len(plane)):
            plane[n] = mixed(share[n], plane[n], number(theirs[n]))
    else:
        for n in range(len(plane)):
            part = mass_share(share[n], a, b, ps[2, n], ps[3, n])
            plane[n] = mixed(part, plane[n], number(theirs[n]))


@njit(nogil=True, error_model="numpy")
def _draw(draws: Draws, s: int, block: int, normal: Singles) -> None:
    """Normal numbers of four channels."""
    low, high, seed, operation = draws.low[s], draws.high[s], draws.seed, draws.operation
    four = u32(block)
    n0, n1, n2, n3 = normal[0], normal[1], normal[2], normal[3]
    for n in range(normal.shape[1]):
        n0[n], n1[n], n2[n], n3[n] = normals4(u32(n), four, low, high, seed, operation)


@njit(nogil=True, error_model="numpy")
def _one_at_poles(globe: Globe, normal: Singles, wind: bool) -> None:
    """A row on a pole is one place: one noise, and none for a wind, whose parts turn along the row."""
    columns = len(globe.cos_lon)
    for j in range(len(globe.pole)):
        if globe.pole[j]:
            for k in range(4):
                value = f32(0.0) if wind else normal[k, j * columns]
                for i in range(columns):
                    normal[k, j * columns + i] = value
