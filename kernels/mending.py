"""The end of an augmented block: its totals are restored while it is written, and taken as they stand."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astrohpc.kernels import totals
from astrohpc.kernels.desk import (
    AFTER,
    BEFORE,
    FIRST,
    LEVELS,
    NEGATIVE,
    PARTNER,
    RESULT,
    RULE,
    Blocks,
    Desk,
    Draws,
    Report,
)
from astrohpc.kernels.formulas_warp import bounded, mended
from astrohpc.kernels.levels import drafted
from astrohpc.kernels.statement import f32
from astrohpc.kernels.totals import add_rows, add_sizes, fill, restore, stored, total
from astrohpc.kernels.warp import Array, Globe, Singles


@njit(nogil=True, error_model="numpy")
def mend(
    out: NDArray[Any],
    draft: Singles,
    globe: Globe,
    blocks: Blocks,
    draws: Draws,
    report: Report,
    desk: Desk,
    s: int,
    t: int,
    b: int,
    c: int,
) -> None:
    """Restore what the block must have in total, write it, and take its total as it stands there."""
    first, rule = blocks.table[b, FIRST], blocks.table[b, RULE]
    layered = blocks.table[b, LEVELS] > 0
    levels = max(blocks.table[b, LEVELS], 1)
    mass, rows, target = desk.mass[1 if layered else 0], desk.rows[c], desk.target
    if not layered:
        for k in range(4):
            fill(mass[k], float(len(globe.cos_lon)))
    mine, part = report.own[s], np.float64(draws.part[s, t])
    partner = draws.partner[s] >= 0
    for j in range(len(target)):
        value = rows[BEFORE, j]
        if part > 0.0:
            value = (1.0 - part) * value + part * rows[AFTER, j]
        target[j] = mine * value + (1.0 - mine) * rows[PARTNER, j] if partner else value
    more = _turning(globe, draws, desk, s, part, mine) if rule == totals.SPIN and layered else 0.0
    if rule == totals.FACTOR and total(target, globe.share) < 0.0:
        report.wrong[s, t, b] = NEGATIVE
    gain = restore(rule, target, rows[RESULT], mass[RESULT], globe, more, desk.shift)
    fill(rows[RESULT], 0.0)
    fill(desk.sizes, 0.0)
    for level in range(levels):
        plane = drafted(out, draft, blocks, s, t, c, first + level, level)
        final = out[s, t, first + level]
        _finish(plane, f32(gain), desk.shift, blocks.low[b], blocks.high[b], rule, final)
        da = blocks.da[level] if layered else 1.0
        db = blocks.db[level] if layered else 0.0
        add_rows(final, desk.ps[4], da, db, desk.lanes, rows[RESULT])
        add_sizes(final, desk.ps[4], da, db, desk.lanes, desk.sizes)
    _tell(globe, rule, target, rows[RESULT], desk.sizes, more, report.totals[s, t, b])


@njit(nogil=True, error_model="numpy")
def _turning(globe: Globe, draws: Draws, desk: Desk, s: int, part: float, mine: float) -> float:
    """What the air ought to have of the planet's own turning, less what it has in its new places."""
    found = np.zeros(4)
    for k in range(4):
        for j in range(len(globe.share)):
            found[k] += desk.mass[1, k, j] * globe.share[j] * globe.arm[j] * globe.arm[j]
    spin, other = draws.spin[s]
    before = (1.0 - part) * found[BEFORE] + part * found[AFTER] if part > 0.0 else found[BEFORE]
    turning = mine * spin + (1.0 - mine) * other
    return float(
        mine * spin * before + (1.0 - mine) * other * found[PARTNER] - turning * found[RESULT]
    )


@njit(nogil=True, error_model="numpy")
def _finish(
    plane: Singles,
    gain: Any,
    shift: Singles,
    low: Any,
    high: Any,
    rule: int,
    final: NDArray[Any],
) -> None:
    """Write a level, mended."""
    columns = len(plane) // len(shift)
    if rule == totals.NONE:
        for n in range(len(plane)):
            final[n] = stored(plane[n], final)
        return
    for j in range(len(shift)):
        more = shift[j]
        for i in range(columns):
            n = j * columns + i
            final[n] = stored(bounded(mended(plane[n], gain, more), low, high), final)


@njit(nogil=True, error_model="numpy")
def _tell(
    globe: Globe, rule: int, target: Array, rows: Array, sizes: Array, more: float, told: Array
) -> None:
    """The total as it ought to be, as it is, and without signs; of rows, the worst row's."""
    fill(told, 0.0)
    if rule in (totals.ROWS, totals.ROWS_ZERO):
        worst = -1.0
        for j in range(len(rows)):
            wanted = target[j] if rule == totals.ROWS else 0.0
            off = abs(rows[j] - wanted) / sizes[j] if sizes[j] > 0.0 else 0.0
            if not globe.pole[j] and off > worst:
                worst = off
                told[0], told[1], told[2] = wanted, rows[j], sizes[j]
        return
    told[0] = more
    for j in range(len(rows)):
        lever = globe.share[j] * (globe.arm[j] if rule == totals.SPIN else 1.0)
        told[0] += target[j] * lever
        told[1] += rows[j] * lever
        told[2] += sizes[j] * lever
