"""Infrared to space from surface temperature, pressure, gravity and composition.

A semi-grey column, ``OLR = sigma T^4 / (1 + 3/4 tau)``, whose optical depth is the sum of a dry part
(CO2, CH4) and of water vapour in equilibrium with the surface, bounded by the most a moist
atmosphere can emit. Amounts are columns, so gravity and pressure enter by themselves. Calibrated
on published fits to line-by-line and correlated-k models; ``docs/ebm.md`` says how well.
"""

import math

from astrohpc.constants import MOLAR_MASS, STEFAN_BOLTZMANN
from astrohpc.kernels.ebm import Column
from astrohpc.planet import Planet

# Columns are in units of 1e4 kg m-2 and pressures in bar; the numbers below are the calibration.
_COLUMN_UNIT_KGM2 = 1e4
_PRESSURE_UNIT_PA = 1e5
# Lines widen with pressure; the fourth root lies between no effect and the square root of
# strong lines, and doubles as what a second bar of N2 does (Goldblatt et al. 2009: about 4 K).
_BROADENING = 0.25
# CO2: the logarithm of band wings, and the square root of strong lines and collisions.
_CO2_WINGS, _CO2_FIRST_COLUMN, _CO2_LINES = 0.0449, 5.33e-5, 0.720
# CH4: about 1.5 W m-2 at 1.8 ppm and 20 W m-2 at 1 % in 1 bar (Byrne & Goldblatt 2014).
_CH4_WINGS, _CH4_FIRST_COLUMN = 0.0205, 1.2e-6
# Water vapour: depth at the triple point under a gravity of 10 m s-2, and the power of its column.
_VAPOUR_DEPTH, _VAPOUR_POWER = 0.5476, 0.2586
_VAPOUR_GRAVITY_MS2 = 10.0
_TRIPLE_POINT_K = 273.16
_LATENT_OVER_GAS_K = 5423.0  # L / R_v of water, the slope of Clausius and Clapeyron
# The moist limit rises with gravity: inner edges of Kopparapu et al. 2014 for 0.1 to 5 Earth masses.
_LIMIT_POWER = 0.1


def dry_depth(planet: Planet) -> float:
    """Infrared optical depth of CO2 and CH4."""
    unit = planet.column_mass_kgm2 / planet.molar_mass_kgmol / _COLUMN_UNIT_KGM2
    co2 = planet.co2_fraction * MOLAR_MASS["CO2"] * unit
    ch4 = planet.ch4_fraction * MOLAR_MASS["CH4"] * unit
    return _broadening(planet) * (
        _CO2_WINGS * math.log1p(co2 / _CO2_FIRST_COLUMN)
        + _CO2_LINES * math.sqrt(co2)
        + _CH4_WINGS * math.log1p(ch4 / _CH4_FIRST_COLUMN)
    )


def column(planet: Planet, limit_wm2: float, ice_full_k: float, ice_free_k: float) -> Column:
    """What the kernel needs of this planet's atmosphere; ``limit_wm2`` is for 10 m s-2."""
    gravity = planet.gravity_ms2 / _VAPOUR_GRAVITY_MS2
    return Column(
        blackbody_wm2k4=STEFAN_BOLTZMANN,
        dry_depth=dry_depth(planet),
        vapour_depth=_broadening(planet) * _VAPOUR_DEPTH * gravity**-_VAPOUR_POWER,
        vapour_at_k=_TRIPLE_POINT_K,
        vapour_slope_k=_VAPOUR_POWER * _LATENT_OVER_GAS_K,
        limit_wm2=limit_wm2 * gravity**_LIMIT_POWER,
        ice_full_k=ice_full_k,
        ice_free_k=ice_free_k,
    )


def _broadening(planet: Planet) -> float:
    return float((planet.surface_pressure_pa / _PRESSURE_UNIT_PA) ** _BROADENING)
