"""Energy balance of a row of cells under light, infrared cooling and diffusion, stepped in time.

All quantities are per square metre of the whole row: ``weight`` is a cell's share of the area and the
shares add up to one. Diffusion is implicit and radiation explicit; the solved temperatures only
give the fluxes between cells, and temperatures are then updated with those fluxes. What leaves one
cell enters the next, so heat content changes by absorbed minus emitted energy to round-off.

No fastmath: a run must give the same bits whenever it is stopped and resumed.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

# A status other than FINE ends the run: a cell too hot, not a number or colder than space lets it
# be, or temperatures that turn at every step.
FINE, TOO_HOT, IMPOSSIBLE, OSCILLATING = 0, 1, 2, 3
COLDEST_K, HOTTEST_K = 20.0, 2000.0
_SWING_K, _SWINGS = 1.0, 10

# Rows of the record of one cycle, summed over the steps of each bin.
TEMP, ABSORBED, EMITTED, ICE, EXPORT, STEPS = 0, 1, 2, 3, 4, 5


class Column(NamedTuple):
    """What decides a cell's radiation, besides the light that reaches it."""

    blackbody_wm2k4: float
    dry_depth: float
    vapour_depth: float  # at the temperature that follows
    vapour_at_k: float
    vapour_slope_k: float
    limit_wm2: float
    ice_full_k: float
    ice_free_k: float


@njit(cache=True, error_model="numpy")
def outgoing_wm2(temp_k: float, column: Column) -> float:
    """Infrared to space of a semi-grey column that cannot emit more than its moist limit.

    The smooth minimum has the 16th power: sixteen is four square roots, which are cheap, and sharp
    enough to leave a temperate climate alone (0.04 % at 240 of 330 W m-2).
    """
    colder = 1.0 / column.vapour_at_k - 1.0 / temp_k
    depth = column.dry_depth + column.vapour_depth * np.exp(column.vapour_slope_k * colder)
    squared = temp_k * temp_k
    grey = column.blackbody_wm2k4 * squared * squared / (1.0 + 0.75 * depth)
    ratio = grey / column.limit_wm2
    ratio *= ratio
    ratio *= ratio
    ratio *= ratio
    ratio *= ratio
    emitted: float = grey / np.sqrt(np.sqrt(np.sqrt(np.sqrt(1.0 + ratio))))
    return emitted


@njit(cache=True, error_model="numpy")
def ice_fraction(temp_k: float, ice_full_k: float, ice_free_k: float) -> float:
    """Share of a cell under ice: one when cold, none when warm, smooth between."""
    cold = min(1.0, max(0.0, (ice_free_k - temp_k) / (ice_free_k - ice_full_k)))
    return cold * cold * (3.0 - 2.0 * cold)


@njit(cache=True, error_model="numpy")
def _add(totals: Array, at: int, value: float) -> None:
    """Neumaier's compensated sum: ``totals[at]`` with its error in ``totals[at + 1]``."""
    total = totals[at] + value
    if abs(totals[at]) >= abs(value):
        totals[at + 1] += (totals[at] - total) + value
    else:
        totals[at + 1] += (value - total) + totals[at]
    totals[at] = total


@njit(cache=True, error_model="numpy")
def _factor(coupling: Array, conductance: Array) -> tuple[Array, Array]:
    """Thomas' factors of implicit diffusion; the matrix never changes, so this is done once."""
    cells = coupling.size
    pivot = np.empty(cells)
    ratio = np.empty(cells)
    for i in range(cells):
        left = coupling[i] * conductance[i - 1] if i > 0 else 0.0
        right = coupling[i] * conductance[i] if i < cells - 1 else 0.0
        pivot[i] = 1.0 / (1.0 + left + right - (left * ratio[i - 1] if i > 0 else 0.0))
        ratio[i] = right * pivot[i]
    return pivot, ratio


@njit(cache=True, error_model="numpy")
def _solve(values: Array, coupling: Array, conductance: Array, pivot: Array, ratio: Array) -> None:
    """Turn right-hand sides into the temperatures after one step of implicit diffusion."""
    values[0] *= pivot[0]
    for i in range(1, values.size):
        values[i] = (values[i] + coupling[i] * conductance[i - 1] * values[i - 1]) * pivot[i]
    for i in range(values.size - 2, -1, -1):
        values[i] += ratio[i] * values[i + 1]


@njit(cache=True, error_model="numpy")
def _update(
    temp_k: Array,
    change_k: Array,
    turns: Array,
    exported: Array,
    net: Array,
    solved: Array,
    rate: Array,
    weight: Array,
    conductance: Array,
) -> int:
    """Warm the cells by radiation and by the fluxes between the solved temperatures."""
    status = FINE
    last = temp_k.size - 1
    inflow = 0.0
    for i in range(temp_k.size):
        outflow = conductance[i] * (solved[i] - solved[i + 1]) if i < last else 0.0
        export = (outflow - inflow) / weight[i]
        inflow = outflow
        exported[i] += export
        change = rate[i] * (net[i] - export)
        temp_k[i] += change
        # No season turns ten times in ten steps; a step too long for the cell does.
        turned = change * change_k[i] < 0.0 and min(abs(change), abs(change_k[i])) > _SWING_K
        turns[i] = turns[i] + 1.0 if turned else 0.0
        change_k[i] = change
        if turns[i] >= _SWINGS:
            status = OSCILLATING
        elif temp_k[i] > HOTTEST_K and turns[i] == 0.0:
            status = TOO_HOT
        elif not COLDEST_K <= temp_k[i] <= HOTTEST_K:  # also what is not a number
            status = IMPOSSIBLE
    return status


@njit(cache=True, error_model="numpy")
def advance(
    temp_k: Array,
    change_k: Array,
    turns: Array,
    totals: Array,
    record: Array,
    heat_capacity: Array,
    weight: Array,
    conductance: Array,
    light_bare: Array,
    light_icy: Array,
    column: Column,
    step_s: float,
    steps_a_phase: int,
    cycles: int,
) -> tuple[int, Array]:
    """Step through whole cycles of light; returns a status and means over time and area.

    ``light_bare[phase, cell]`` is what a cell absorbs without ice, ``light_icy`` under ice; a phase
    lasts ``steps_a_phase`` steps. Changed in place: ``temp_k``; ``change_k``, the last change of each
    cell, and ``turns``, how often in a row its sign turned; ``totals``, compensated sums of absorbed
    and emitted energy (J m-2); ``record[kind, bin, cell]``, sums over the last cycle, whose bins
    divide the phases evenly. The means are absorbed, emitted (W m-2), temperature (K), ice.
    """
    cells = temp_k.size
    phases = light_bare.shape[0]
    phases_a_bin = phases // record.shape[1]
    rate = step_s / heat_capacity
    coupling = rate / weight
    pivot, ratio = _factor(coupling, conductance)
    net = np.empty(cells)
    solved = np.empty(cells)
    means = np.zeros(4)
    steps_a_cycle = phases * steps_a_phase
    for step in range(cycles * steps_a_cycle):
        if step % steps_a_cycle == 0:
            record[:] = 0.0
        phase = (step % steps_a_cycle) // steps_a_phase
        at = phase // phases_a_bin
        absorbed_sum = 0.0
        emitted_sum = 0.0
        for i in range(cells):
            ice = ice_fraction(temp_k[i], column.ice_full_k, column.ice_free_k)
            absorbed = light_bare[phase, i] + ice * (light_icy[phase, i] - light_bare[phase, i])
            emitted = outgoing_wm2(temp_k[i], column)
            absorbed_sum += weight[i] * absorbed
            emitted_sum += weight[i] * emitted
            means[2] += weight[i] * temp_k[i]
            means[3] += weight[i] * ice
            record[TEMP, at, i] += temp_k[i]
            record[ABSORBED, at, i] += absorbed
            record[EMITTED, at, i] += emitted
            record[ICE, at, i] += ice
            record[STEPS, at, i] += 1.0
            net[i] = absorbed - emitted
            solved[i] = temp_k[i] + rate[i] * net[i]
        means[0] += absorbed_sum
        means[1] += emitted_sum
        _add(totals, 0, absorbed_sum * step_s)
        _add(totals, 2, emitted_sum * step_s)

        _solve(solved, coupling, conductance, pivot, ratio)
        status = _update(
            temp_k, change_k, turns, record[EXPORT, at], net, solved, rate, weight, conductance
        )
        if status != FINE:
            return status, means / (step + 1)
    return FINE, means / (cycles * steps_a_cycle)
