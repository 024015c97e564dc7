"""How far the atmosphere evens out temperature: eddy diffusion that rotation holds back."""

import math

from astrohpc.constants import DAY_S
from astrohpc.planet import Planet


def diffusion_wm2k(planet: Planet, diffusivity_m2s: float, slow_rotation_days: float) -> float:
    """Coefficient D of ``div(D grad T)`` on the unit sphere, W m-2 K-1.

    The column's heat capacity times an eddy diffusivity over the radius squared. The diffusivity is
    ``diffusivity_m2s`` on a slow rotator and falls with the square of the spin rate beyond
    ``slow_rotation_days``, where eddies become smaller than the planet.
    """
    slow_rads = 2.0 * math.pi / (slow_rotation_days * DAY_S)
    eddy_m2s = diffusivity_m2s / (1.0 + (planet.rotation_rate_rads / slow_rads) ** 2)
    return planet.column_mass_kgm2 * planet.heat_capacity_jkgk * eddy_m2s / planet.radius_m**2
