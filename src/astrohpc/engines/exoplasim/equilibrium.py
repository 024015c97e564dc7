"""When a climate counts as settled: a pure function of its series."""

import math
from collections.abc import Sequence

import numpy as np

from astrohpc.constants import DAY_S, YEAR_S
from astrohpc.engines.exoplasim.settings import ExoplasimSettings
from astrohpc.planet import Planet

YEAR_DAYS = YEAR_S / DAY_S


def legs_per_cycle(planet: Planet, settings: ExoplasimSettings) -> int:
    """Legs that seasons are averaged over: whole orbits that make up a year or more.

    Without seasons a year, or half of ``equilibrium_years`` where that is shorter.
    """
    days = min(1.0, settings.equilibrium_years / 2) * YEAR_DAYS
    if planet.has_seasons and planet.orbital_period_s is not None:
        orbit_days = planet.orbital_period_s / DAY_S
        days = orbit_days * math.ceil(YEAR_DAYS / orbit_days)
    return max(1, round(days / settings.leg_days))


def has_settled(
    temps_k: Sequence[float],
    balances_wm2: Sequence[float],
    cycle: int,
    settings: ExoplasimSettings,
) -> bool:
    """Whether the last ``equilibrium_years`` of legs are in balance and without a trend.

    The trend is the slope of a line through the means of cycles, so that seasons do not count as one;
    with a single cycle to compare with none, nothing is settled.
    """
    cycle_years = cycle * settings.leg_days / YEAR_DAYS
    cycles = max(2, math.ceil(settings.equilibrium_years / cycle_years - 1e-9))
    needed = cycles * cycle
    if len(temps_k) < needed:
        return False
    temps = np.asarray(temps_k[-needed:]).reshape(cycles, cycle).mean(axis=1)
    slope_k = float(np.polyfit(np.arange(cycles) * cycle_years, temps, 1)[0])
    balance = float(np.mean(balances_wm2[-needed:]))
    return abs(balance) < settings.tolerance_wm2 and abs(slope_k) < settings.tolerance_k
