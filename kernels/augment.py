"""One pass over a batch of fields: shifted in time, warped, mixed, made noisy, bounded and mended.

All of it is done to one block (a variable of a sample at a time; the two parts of a wind together) while
it is in the processor's cache. Its levels are read once, in order. Each is brought to its time, its row sums
are taken, and its values are gathered where they come from. A level of the result needs one or two of
these; it is mixed with the partner's (whose sums are taken), noise is added and bounds are kept, and sums
are taken of the result. After the last level the totals say what is missing, and the block is mended while
it is written. Surface pressure comes first, for it weighs all others.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astrohpc.kernels.desk import (
    AFTER,
    BEFORE,
    CATEGORY,
    FINE,
    FIRST,
    KIND,
    LEVELS,
    MATE,
    NORTHWARD,
    OWN_BAD,
    PARTNER,
    PARTNER_BAD,
    THIN,
    WITHOUT_PRESSURE_PA,
    Blocks,
    Desk,
    Draws,
    Report,
    new_desk,
)
from astrohpc.kernels.formulas_warp import both, cap
from astrohpc.kernels.levels import level_of, load, mix_time
from astrohpc.kernels.mending import mend
from astrohpc.kernels.statement import f32, twin
from astrohpc.kernels.totals import add_rows, fill, total
from astrohpc.kernels.warp import (
    Array,
    Controls,
    Globe,
    Singles,
    gather,
    gather_nearest,
    gather_wind,
    pad,
    trace,
)


@twin
def augment(
    own: NDArray[Any],
    other: NDArray[Any],
    out: NDArray[Any],
    draft: Singles,
    globe: Globe,
    controls: Controls,
    blocks: Blocks,
    draws: Draws,
    report: Report,
    first: int,
    last: int,
) -> None:
    """Augment the samples first to last - 1 of ``own`` [B, T, C, J * I] into ``out``.

    Values are float32, or bfloat16 as 16 bits. Partners are in ``other`` [P, T, C, J * I], as they are:
    not shifted, not warped. ``draft`` holds blocks that are not mended yet: ``out`` itself where that is
    float32, else scratch [1, 1, 2 L, J * I] of this thread's own. No sample depends on which others there
    are.
    """
    desk = new_desk(len(globe.cos_lat), len(globe.cos_lon))
    n_blocks = len(blocks.table)
    for s in range(first, last):
        if draws.warped[s]:
            trace(globe, controls, draws.half[s], desk.taps)
        report.own[s] = _share(globe, draws, s, desk.share)
        for t in range(own.shape[1]):
            for k in range(5):
                fill(desk.ps[k], WITHOUT_PRESSURE_PA)
            for turn in range(-1, n_blocks):
                if turn == 0 and not _weigh(blocks, draws, desk, s, t):
                    report.wrong[s, t, max(blocks.pressure, 0)] = THIN
                    break
                if turn < 0 <= blocks.pressure:
                    b = blocks.pressure
                elif turn >= 0 and turn != blocks.pressure:
                    b = turn
                else:
                    continue
                if blocks.table[b, KIND] != NORTHWARD:
                    _block(own, other, out, draft, globe, blocks, draws, report, desk, s, t, b)
                if turn < 0 and report.wrong[s, t, b] != FINE:
                    break


@njit(nogil=True, error_model="numpy")
def _share(globe: Globe, draws: Draws, s: int, share: Singles) -> float:
    """The partner's share of each cell; the sample's own share of the area."""
    rows, columns = len(globe.cos_lat), len(globe.cos_lon)
    fill(share, f32(0.0))
    if draws.partner[s] < 0:
        return 1.0
    x, y, z, inner, outer = draws.caps[s]
    others = 0.0
    for j in range(rows):
        found = 0.0
        for i in range(columns):
            level = globe.cos_lon[i] * x + globe.sin_lon[i] * y
            dot = globe.cos_lat[j] * level + globe.sin_lat[j] * z
            inside = cap(dot, inner, outer) if draws.capped[s] else f32(0.0)
            share[j * columns + i] = both(draws.mixture[s], inside)
            found += np.float64(share[j * columns + i])
        others += found * globe.share[j]
    return 1.0 - others


@njit(nogil=True, error_model="numpy")
def _weigh(blocks: Blocks, draws: Draws, desk: Desk, s: int, t: int) -> bool:
    """Sums of what weighs values on layers; whether all of these have air."""
    mass = desk.mass
    for k in range(4):
        fill(mass[1, k], 0.0)
    whole_a, whole_b = 0.0, 0.0
    for level in range(len(blocks.da)):
        whole_a += blocks.da[level]
        whole_b += blocks.db[level]
    planes = (0, 1, 3, 4)
    for k in range(4):
        plane = desk.ps[planes[k]]
        there = (k != AFTER or draws.part[s, t] > 0.0) and (k != PARTNER or draws.partner[s] >= 0)
        if not there:
            continue
        low, high = np.float64(plane[0]), np.float64(plane[0])
        for n in range(1, len(plane)):
            low, high = min(low, plane[n]), max(high, plane[n])
        for level in range(len(blocks.da)):
            a, b = blocks.da[level], blocks.db[level]
            if not (a + b * low > 0.0 and a + b * high > 0.0):
                return False
        _mass_rows(plane, whole_a, whole_b, desk.lanes, mass[1, k])
    return True


@njit(nogil=True, error_model="numpy")
def _mass_rows(ps: Singles, whole_a: float, whole_b: float, lanes: Array, rows: Array) -> None:
    add_rows(ps, ps, whole_b, 0.0, lanes, rows)
    for j in range(len(rows)):
        rows[j] += whole_a * (len(ps) // len(rows))


@njit(nogil=True, error_model="numpy")
def _block(
    own: NDArray[Any],
    other: NDArray[Any],
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
) -> None:
    """One block of a sample at a time, with its mate where it has one."""
    rows, columns = len(globe.cos_lat), len(globe.cos_lon)
    levels, kind, mate = blocks.table[b, LEVELS], blocks.table[b, KIND], blocks.table[b, MATE]
    parts = 2 if mate >= 0 else 1
    layered = levels > 0
    levels = max(levels, 1)
    here, partner = desk.ring, draws.partner[s]
    time, part = draws.before[s, t], draws.part[s, t]
    for c in range(2):
        desk.block[c] = -1
        for k in range(4):
            fill(desk.rows[c, k], 0.0)
    done = 0
    for level in range(levels):
        da = blocks.da[level] if layered else 1.0
        db = blocks.db[level] if layered else 0.0
        slot = level & 1
        for c in range(parts):
            channel = blocks.table[b if c == 0 else mate, FIRST] + level
            plane = here[c, slot]
            load(own[s, time, channel], plane)
            add_rows(plane, desk.ps[0], da, db, desk.lanes, desk.rows[c, BEFORE])
            if part > 0.0:
                load(own[s, time + 1, channel], desk.raw)
                add_rows(desk.raw, desk.ps[1], da, db, desk.lanes, desk.rows[c, AFTER])
                mix_time(plane, desk.raw, part, da, db, desk.ps, kind == CATEGORY)
            if draws.warped[s]:
                pad(plane, rows, columns, desk.padded[c])
        if draws.warped[s]:
            if parts == 2:
                gather_wind(desk.padded[0], desk.padded[1], desk.taps, here[0, slot], here[1, slot])
            elif kind == CATEGORY:
                gather_nearest(desk.padded[0], desk.taps, here[0, slot])
            else:
                gather(desk.padded[0], desk.taps, here[0, slot])
        if b == blocks.pressure:
            load(here[0, 0], desk.ps[2])
        while done < levels and (draws.upper[s, done] if layered else 0) <= level:
            for c in range(parts):
                level_of(
                    own, other, out, draft, globe, blocks, draws, desk,
                    s, t, b if c == 0 else mate, c, done, slot,
                )  # fmt: skip
            done += 1
    for c in range(parts):
        each = b if c == 0 else mate
        mend(out, draft, globe, blocks, draws, report, desk, s, t, each, c)
        for k in range(3):
            if not np.isfinite(total(desk.rows[c, k], globe.share)):
                report.wrong[s, t, each] = PARTNER_BAD if k == PARTNER else OWN_BAD
                break
    if b == blocks.pressure:
        first = blocks.table[b, FIRST]
        load(own[s, time, first], desk.ps[0])
        load(out[s, t, first], desk.ps[4])
        if part > 0.0:
            load(own[s, time + 1, first], desk.ps[1])
        if partner >= 0:
            load(other[partner, t, first], desk.ps[3])
