"""A planet in ExoPlaSim's words: its units, its angles, and every default that is the Earth's undone.

``Model.configure`` takes the Earth's value for all that it is not told, so everything is said.
"""

import math
from typing import Any

from astrohpc.constants import DAY_S
from astrohpc.engines.exoplasim.settings import ExoplasimSettings
from astrohpc.errors import ConfigError
from astrohpc.planet import PARAMETERS, Planet

RADIUS_UNIT_M = 6371220.0  # what the model multiplies ``radius`` with
_PA_PER_BAR = 1e5
_MINUTE_S = 60.0

# Solar days a year that the model is told. It lets a solar day be longer than a sidereal one by
# 1/(N-1), whatever the year; its own choice for slow rotators, 12, moves the noon by 33 degrees a day.
_SOLAR_DAYS = 360

# Where the model's radiation and dynamics have been used (SI); outside it is refused.
_VALIDITY = {
    "surface_pressure": (1e3, 2e6),
    "stellar_flux": (10.0, 1e4),
    "stellar_temperature": (2000.0, 12000.0),
}
_STEPS_PER_ROTATION = 8
_STEPS_PER_ORBIT = 24


def check(planet: Planet, settings: ExoplasimSettings) -> None:
    """Raise ConfigError where ExoPlaSim cannot run this planet."""
    for name, (low, high) in _VALIDITY.items():
        parameter = PARAMETERS[name]
        value = getattr(planet, parameter.field)
        if not low <= value <= high:
            raise ConfigError(
                f"{name}: {value:g} {parameter.unit} lies outside what engine=exoplasim can do, "
                f"{low:g} … {high:g} {parameter.unit}; change it or choose another engine."
            )
    periods = [("rotation_period", planet.rotation_period_s, _STEPS_PER_ROTATION)]
    if planet.has_seasons and planet.orbital_period_s is not None:
        periods.append(("orbital_period", planet.orbital_period_s, _STEPS_PER_ORBIT))
    for name, period_s, needed in periods:
        steps = period_s / (settings.timestep_min * _MINUTE_S)
        if steps < needed:
            raise ConfigError(
                f"{name}: {period_s / DAY_S:.3g} d has only {steps:.1f} time steps, "
                f"and {needed} are needed; shorten engine.timestep_min."
            )


def configure_arguments(planet: Planet, settings: ExoplasimSettings) -> dict[str, Any]:
    """The keywords of ``exoplasim.Model.configure`` for this planet and these settings."""
    pressure_bar = planet.surface_pressure_pa / _PA_PER_BAR
    gases = {f"p{gas}": share * pressure_bar for gas, share in planet.composition.items()}
    locked = planet.tidally_locked
    arguments: dict[str, Any] = {
        "flux": planet.stellar_flux_wm2,
        "startemp": planet.stellar_temperature_k,
        **gases,
        "pressure": pressure_bar,
        "gascon": planet.gas_constant_jkgk,
        "radius": planet.radius_m / RADIUS_UNIT_M,
        "gravity": planet.gravity_ms2,
        "rotationperiod": planet.rotation_period_s / DAY_S,
        "eccentricity": planet.eccentricity,
        "obliquity": math.degrees(planet.obliquity_rad),
        # The model's longitude of periapse is that of the star as the planet sees it: half a turn off.
        "lonvernaleq": (math.degrees(planet.longitude_of_periapse_rad) - 180.0) % 360.0,
        "fixedorbit": True,  # else the Earth's orbit of 1950 replaces the three above
        # Only this orbit knows eccentricities above 0.1 and a day that is not the Earth's; with a
        # fixed star it would turn the substellar point by the right ascension.
        "keplerian": not locked and planet.orbital_period_s is not None,
        "meananomaly0": 0.0,  # with N_START_YEAR: begin at periapse; else the Earth's 1 January
        "synchronous": locked,
        "aquaplanet": settings.surface == "aquaplanet",
        "desertplanet": settings.surface == "desert",
        "mldepth": settings.ocean_depth_m,
        "timestep": settings.timestep_min,
        "runsteps": settings.leg_steps,
        "snapshots": 0,
        "otherargs": {
            "SEED@plasim_namelist": str(settings.seed),  # else the clock: no run twice the same
            "N_START_YEAR@plasim_namelist": "0",  # at 1, the phase would be that of day 360
            "N_DAYS_PER_YEAR@plasim_namelist": str(_SOLAR_DAYS),
            "NSTPW@plasim_namelist": str(settings.output_steps),
            # Told pCO2=0, configure() writes 300 ppm.
            "CO2@radmod_namelist": repr(planet.co2_fraction * 1e6),
            "AKAP@planet_namelist": repr(planet.gas_constant_jkgk / planet.heat_capacity_jkgk),
        },
    }
    if planet.year_s is not None:
        arguments["year"] = planet.year_s / DAY_S
    if locked:
        arguments["physicsfilter"] = "gp|exp|sp"  # the sharp substellar spot rings without it
    return arguments
