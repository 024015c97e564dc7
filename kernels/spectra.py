"""Everything that is done to a spectrum, one spectrum at a time while it lies in the cache.

``spectra.cu`` does the same on a GPU, in the order of operations and sums that is stated here.

Spectra are [sample, bin]; bins lie in the order of rising wavelength or against it. A spectrum is read
once and written once. Its steps, each of which may be left out:

1. *Resample*: shift, stretch and broaden. What falls into a bin is the difference of a running sum of
   light at its two edges. Broadening is a weighted mean of such sums: they are taken at nodes that lie
   evenly in ln λ and as densely as the finest bins, weighed there, and read between nodes by a cubic that
   never turns. Weights add up to one, so light is neither made nor lost; the nodes' places are such that a
   flat spectrum stays flat. A bin whose light lay outside of what was measured becomes NaN.
2. *Respond*: times a smooth positive curve, and by one factor back to the total.
3. *Noise*, and by one factor back to the total.
4. *Gaps*: NaN.

Sums are double precision and run from short to long wavelengths in pieces of ``PIECE`` bins, whose sums
are added in their order: a sum that many threads can make with the same bits.

A spectrum that cannot be had right has its reason in ``state``; its output is not to be used.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astrohpc.kernels.formulas import normals4
from astrohpc.kernels.formulas_spectra import (
    answered,
    blurred,
    curve_between,
    disturbed,
    even_noise,
    from_word,
    light_below,
    mean_between,
    photon_noise,
    seen_at,
    slope_within,
    smooth_curve,
    to_word,
)
from astrohpc.kernels.spectra_desk import (
    FINE,
    GIVEN,
    GONE,
    LOST,
    NO_NOISE,
    NOISE,
    NOT_FINITE,
    NOT_POSITIVE,
    PHOTON,
    PIECE,
    RETURNED,
    SOURCE,
    WANTED,
    Doubles,
    Floats,
    Grid,
    Manner,
    Plan,
    Room,
    Words,
)
from astrohpc.kernels.statement import f32, f64, twin, u32

_TILE = 512  # nodes that are weighed while they lie in the nearest cache
_ROUNDING = 1e-9  # of a wavelength: an edge that is the grid's own lies within the grid

_inner = njit(nogil=True, error_model="numpy")


@_inner
def _read(
    row: Words, half: int, grid: Grid, bins: Floats, totals: Doubles, state: NDArray[np.int64]
) -> None:
    """The spectrum as float32 from short to long wavelengths, its total, and its first value that is none."""
    for i in range(bins.size):
        x = from_word(u32(row[grid.first + grid.step * i]), half)
        bins[i] = x
        if not np.isfinite(x):
            at = grid.first + grid.step * i
            if state[0] == FINE or at < state[1]:
                state[0], state[1] = NOT_FINITE, at
    totals[SOURCE], _ = _total(grid, bins)


@_inner
def _total(grid: Grid, bins: Floats) -> tuple[float, float]:
    """Value times width of all bins that have a value, with and without signs.

    A piece is summed in four lanes, bin by bin in turn, and these in pairs.
    """
    whole, size = 0.0, 0.0
    lane, bare = np.zeros(4), np.zeros(4)
    for start in range(0, bins.size, PIECE):
        lane[:], bare[:] = 0.0, 0.0
        values, width = bins[start : start + PIECE], grid.width[start : start + PIECE]
        fours = values.size // 4 * 4
        for i in range(0, fours, 4):
            for k in range(4):
                x = f64(values[i + k]) * width[i + k]
                x = x if x == x else 0.0  # noqa: PLR0124 - not NaN
                lane[k] += x
                bare[k] += abs(x)
        for i in range(fours, values.size):
            x = f64(values[i]) * width[i]
            x = x if x == x else 0.0  # noqa: PLR0124
            lane[i - fours] += x
            bare[i - fours] += abs(x)
        whole += (lane[0] + lane[1]) + (lane[2] + lane[3])
        size += (bare[0] + bare[1]) + (bare[2] + bare[3])
    return whole, size


@_inner
def _width(grid: Grid, bins: Floats) -> float:
    """The width of all bins that have a value."""
    whole = 0.0
    for start in range(0, bins.size, PIECE):
        part = 0.0
        for i in range(start, min(start + PIECE, bins.size)):
            part += grid.width[i] if bins[i] == bins[i] else 0.0
        whole += part
    return whole


# ----------------------------------------------------------------------------- resample
@_inner
def _resample(grid: Grid, plan: Plan, k: int, room: Room, totals: Doubles) -> None:
    """Shift, stretch and broaden ``room.bins``; bins whose light was not measured become NaN."""
    edge, smeared = grid.edge, room.smeared
    _lines(grid, room)
    _sums(grid, room)
    if plan.half[k] == 0:
        _see(grid, plan, k, room, edge, smeared)
    else:
        _see(grid, plan, k, room, grid.node, room.seen)
        _blur(plan.weight[k], plan.half[k], room.seen, room.blur)
        _read_between(grid, room, smeared)
    offset, inverse, low, high = plan.offset_um[k], plan.inverse[k], plan.low[k], plan.high[k]
    wanted, here, last = 0.0, 0, grid.stretch_low.size - 1
    for start in range(0, room.bins.size, PIECE):
        part = 0.0
        for i in range(start, min(start + PIECE, room.bins.size)):
            e = grid.at[i]
            first = seen_at(edge[e], low, offset, inverse)
            final = seen_at(edge[e + 1], high, offset, inverse)
            near = first * _ROUNDING
            # A bin that begins where a stretch ends has its light in the next one.
            while here < last and first + near > grid.stretch_high[here]:
                here += 1
            known = (
                first >= grid.stretch_low[here] - near and final <= grid.stretch_high[here] + near
            )
            if known:
                part += smeared[e + 1] - smeared[e]
                room.bins[i] = mean_between(smeared[e], smeared[e + 1], grid.width[i])
            else:
                room.bins[i] = np.nan
        wanted += part
    totals[WANTED] = wanted


@_inner
def _see(grid: Grid, plan: Plan, k: int, room: Room, places_um: Doubles, out: Doubles) -> None:
    """The running sum of what is shifted and stretched, at places that rise."""
    edge, last, p = grid.edge, grid.edge.size - 2, 0
    factor, offset, inverse = plan.factor[k], plan.offset_um[k], plan.inverse[k]
    gain = plan.gain[k]
    for here in range(edge.size - 1):
        low, high = edge[here], edge[here + 1]
        below, value, slope = room.sum_below[here], room.value[here], room.slope[here]
        top = high if here < last else np.inf
        while p < places_um.size:
            at = seen_at(places_um[p], factor, offset, inverse)
            if at >= top:
                break
            out[p] = gain * light_below(below, value, slope, low, high, at)
            p += 1


@_inner
def _blur(weight: Doubles, half: int, seen: Doubles, out: Doubles) -> None:
    """Weighted means over nodes on either side, from the middle outward; ends without them are left."""
    for start in range(half, seen.size - half, _TILE):
        stop = min(start + _TILE, seen.size - half)
        own, here = out[start:stop], seen[start:stop]
        for n in range(own.size):
            own[n] = weight[0] * here[n]
        for j in range(1, half + 1):
            w, before, after = weight[j], seen[start - j : stop - j], seen[start + j : stop + j]
            for n in range(own.size):
                own[n] = blurred(own[n], w, before[n], after[n])


@_inner
def _read_between(grid: Grid, room: Room, smeared: Doubles) -> None:
    """The weighted sums at the edges, which lie between nodes."""
    blur, slope = room.blur, room.seen
    for n in range(blur.size - 1):
        slope[n] = (blur[n + 1] - blur[n]) * grid.inverse_width[n]
    for e in range(smeared.size):
        n = grid.under[e]
        smeared[e] = curve_between(
            blur[n],
            slope[n - 1],
            slope[n],
            slope[n + 1],
            grid.lean,
            grid.inverse_width[n],
            grid.edge[e] - grid.node[n],
        )


@_inner
def _lines(grid: Grid, room: Room) -> None:
    """Each bin as a straight line: value and slope above each edge, nothing above that of a gap."""
    edge, bins = grid.edge, room.bins
    for e in range(edge.size - 1):
        i = grid.of[e]
        if i < 0:
            room.value[e], room.slope[e] = 0.0, 0.0
            continue
        room.value[e] = bins[i]
        touches = 0 < e < edge.size - 2 and grid.of[e - 1] >= 0 and grid.of[e + 1] >= 0
        if not touches:
            room.slope[e] = 0.0
            continue
        room.slope[e] = slope_within(
            f64(bins[i - 1]),
            f64(bins[i]),
            f64(bins[i + 1]),
            0.5 * (edge[e + 1] - edge[e - 1]),
            0.5 * (edge[e + 2] - edge[e]),
            0.5 * (edge[e + 1] - edge[e]),
        )


@_inner
def _sums(grid: Grid, room: Room) -> None:
    """The running sum of light at each edge."""
    edge, base = grid.edge, 0.0
    room.sum_below[0] = 0.0
    for start in range(0, edge.size - 1, PIECE):
        part = 0.0
        for e in range(start, min(start + PIECE, edge.size - 1)):
            part += room.value[e] * (edge[e + 1] - edge[e])
            room.sum_below[e + 1] = base + part
        base += part


# ----------------------------------------------------------------------------- respond, noise, gaps
@_inner
def _respond(
    grid: Grid,
    plan: Plan,
    k: int,
    manner: Manner,
    bins: Floats,
    totals: Doubles,
    state: NDArray[np.int64],
) -> None:
    """Times the response; then all by one factor, so that the total is what it was."""
    if plan.knots.shape[1] == 0:
        return
    knots = plan.knots[k]
    for i in range(bins.size):
        first = int(grid.place[i])
        curve = smooth_curve(
            f32(grid.place[i] - f32(first)),
            knots[first],
            knots[first + 1],
            knots[first + 2],
            knots[first + 3],
        )
        bins[i] = answered(bins[i], f32(manner.amplitude), curve)
    _restore(grid, bins, totals, state)


@_inner
def _disturb(
    grid: Grid,
    plan: Plan,
    k: int,
    manner: Manner,
    given: Floats,
    normal: Floats,
    bins: Floats,
    sigma: Floats,
    totals: Doubles,
    state: NDArray[np.int64],
) -> None:
    """Noise of a number of its own for each sample and bin; then the total again, if that is kept."""
    if manner.noise == NO_NOISE:
        if sigma.shape[0]:
            sigma[k] = 0.0
        return
    width = _width(grid, bins)
    mean = f32(totals[WANTED] / width) if width > 0.0 else f32(0.0)
    if manner.noise == PHOTON and not mean > 0.0 and width > 0.0:
        state[0] = NOT_POSITIVE
        return
    _fill(normal, manner.seed, plan.sample[k])
    for i in range(bins.size):
        at = grid.first + grid.step * i
        if manner.noise == GIVEN:
            spread = given[k, at]
        elif manner.noise == PHOTON:
            spread = photon_noise(bins[i], mean, plan.snr[k])
        else:
            spread = even_noise(mean, plan.snr[k])
        x = disturbed(bins[i], spread, normal[i & 3, i >> 2])
        bins[i] = f32(0.0) if manner.positive and x < 0.0 else x
        if sigma.shape[0]:
            sigma[k, at] = spread if x == x else np.nan  # noqa: PLR0124
    if manner.keep_total:
        _restore(grid, bins, totals, state)


@_inner
def _fill(normal: Floats, seed: int, sample: int) -> None:
    """Normal numbers [4, N / 4] of a spectrum: four neighbouring bins are the channels of one cell."""
    a, b, c, d = normal[0], normal[1], normal[2], normal[3]
    low, high = u32(sample & 0xFFFFFFFF), u32(sample >> 32)
    for cell in range(a.size):
        a[cell], b[cell], c[cell], d[cell] = normals4(
            u32(cell), u32(0), low, high, u32(seed), u32(NOISE)
        )


@_inner
def _restore(grid: Grid, bins: Floats, totals: Doubles, state: NDArray[np.int64]) -> None:
    """All bins by the one factor that gives them the total that is wanted."""
    found, size = _total(grid, bins)
    if size == 0.0:
        return
    # What is more below zero than above has no total that a factor near one could give back.
    if not (found > 0.5 * size and totals[WANTED] > 0.0):
        state[0] = LOST
        return
    factor = totals[WANTED] / found
    for i in range(bins.size):
        bins[i] = f32(f64(bins[i]) * factor)


@_inner
def _write(
    grid: Grid, plan: Plan, k: int, half: int, bins: Floats, out: Words, totals: Doubles
) -> None:
    """Into the array, in its order and precision, with gaps; and the totals of what is written."""
    for i in range(bins.size):
        bins[i] = from_word(to_word(bins[i], half), half)
    totals[RETURNED], _ = _total(grid, bins)
    gone = 0.0
    for g in range(plan.gaps.shape[1]):
        first, end = plan.gaps[k, g, 0], plan.gaps[k, g, 1]
        for start in range(first, end, PIECE):
            part = 0.0
            for i in range(start, min(start + PIECE, end)):
                x = f64(bins[i])
                part += x * grid.width[i] if x == x else 0.0  # noqa: PLR0124
                bins[i] = np.nan
            gone += part
    totals[GONE] = gone
    for i in range(bins.size):
        out[grid.first + grid.step * i] = to_word(bins[i], half)


@twin
def augment(
    values: Words,
    grid: Grid,
    plan: Plan,
    manner: Manner,
    given: NDArray[np.float32],
    room: Room,
    out: Words,
    sigma: Floats,
    totals: Doubles,
    state: NDArray[np.int64],
) -> None:
    """Fill ``out`` [sample, bin], ``totals`` [sample, 4] and ``state`` [sample, 2].

    ``values`` and ``out`` are the bits of float32 (uint32) or of bfloat16 (uint16). ``given`` [sample, bin]
    is the noise's standard deviation where it is ``GIVEN``, else of no samples; ``sigma`` is filled with what
    was used where it has any samples, with zeros where there is no noise.
    """
    for k in range(values.shape[0]):
        state[k, 0], state[k, 1] = FINE, -1
        _read(values[k], manner.half, grid, room.bins, totals[k], state[k])
        if state[k, 0] != FINE:
            continue
        if plan.resampled[k]:
            _resample(grid, plan, k, room, totals[k])
        else:
            totals[k, WANTED] = totals[k, SOURCE]
        _respond(grid, plan, k, manner, room.bins, totals[k], state[k])
        _disturb(grid, plan, k, manner, given, room.normal, room.bins, sigma, totals[k], state[k])
        _write(grid, plan, k, manner.half, room.bins, out[k], totals[k])
