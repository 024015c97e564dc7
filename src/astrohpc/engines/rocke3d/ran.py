"""What an ``acc`` file says was run, against what was asked.

The model ignores names that it does not know and keeps defaults silently, and its compile-time
constants appear in no attribute. The parameters that it used are in the file, its radius is in the
cells' areas, its surface pressure in the layers, and its star in the light that arrives.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from astrohpc.engines.rocke3d.acc import Acc
from astrohpc.planet import Planet

_RADIUS, _PRESSURE, _FLUX, _PARAMETER = 1e-4, 1e-3, 0.01, 1e-5  # relative, what rounding explains
_PA_IN_MB = 100.0


def mismatches(acc: Acc, planet: Planet, asked: Mapping[str, object] | None = None) -> list[str]:
    """A sentence for everything that the file says and nobody asked for; none if it is the run."""
    found = [*_radius(acc, planet), *_pressure(acc, planet), *_light(acc, planet)]
    for name, (wanted, unit) in _orbit(planet).items():
        ran = acc.parameters.get(name.lower())
        if ran is not None and wanted is not None and not _same(ran, wanted):
            found.append(
                f"{acc.source}: ran with {name} = {_shown(ran)}, but the planet has "
                f"{wanted:g} {unit}; set {name} in the rundeck and run the member again."
            )
    for name, value in (asked or {}).items():
        found.extend(_parameter(acc, name, value))
    return found


def _radius(acc: Acc, planet: Planet) -> list[str]:
    radius_m = math.sqrt(float(acc.area_m2.sum()) / (4.0 * math.pi))
    if math.isclose(radius_m, planet.radius_m, rel_tol=_RADIUS):
        return []
    return [
        f"{acc.source}: its cells make a planet of radius {radius_m / 1e3:.1f} km, but the planet "
        f"asked for has {planet.radius_m / 1e3:.1f} km; build the executable with its "
        "PLANET_PARAMS and run the member again."
    ]


def _pressure(acc: Acc, planet: Planet) -> list[str]:
    layers_mb = acc.parameters.get("plbot")
    if layers_mb is None:
        return []
    surface_pa = float(np.ravel(np.asarray(layers_mb, dtype=np.float64))[0]) * _PA_IN_MB
    if math.isclose(surface_pa, planet.surface_pressure_pa, rel_tol=_PRESSURE):
        return []
    return [
        f"{acc.source}: its layers begin at {surface_pa / _PA_IN_MB:g} mb (plbot), but the planet "
        f"asked for has {planet.surface_pressure_pa / _PA_IN_MB:g} mb; set psf in its "
        "PLANET_PARAMS, build, and run the member again."
    ]


def _light(acc: Acc, planet: Planet) -> list[str]:
    if not acc.has("aij", "incsw_toa"):
        return []
    mean_wm2 = 4.0 * acc.global_mean("aij", "incsw_toa")
    # A month may lie anywhere on the orbit.
    low = planet.stellar_flux_wm2 / (1.0 + planet.eccentricity) ** 2
    high = planet.stellar_flux_wm2 / (1.0 - planet.eccentricity) ** 2
    if low * (1.0 - _FLUX) <= mean_wm2 <= high * (1.0 + _FLUX):
        return []
    return [
        f"{acc.source}: received {mean_wm2:.1f} W/m2 of starlight, but the planet asked for gets "
        f"{planet.stellar_flux_wm2:.1f} W/m2; set planet_s0 (S0X with the GISS radiation) and run "
        "the member again."
    ]


def _orbit(planet: Planet) -> dict[str, tuple[float | None, str]]:
    """ROCKE-3D's names of run-time parameters that a planet decides."""
    return {
        "planet_s0": (planet.stellar_flux_wm2, "W/m2"),
        "eccentricity": (planet.eccentricity, ""),
        "obliquity": (math.degrees(planet.obliquity_rad), "degrees"),
        "siderealRotationPeriod": (planet.rotation_period_s, "s"),
        "siderealOrbitalPeriod": (planet.year_s, "s"),
    }


def _parameter(acc: Acc, name: str, wanted: object) -> list[str]:
    ran = acc.parameters.get(name.lower())
    if ran is None:
        # An empty text is how a rundeck says nothing; the model then keeps no such parameter.
        if isinstance(wanted, str) and not wanted.strip():
            return []
        return [
            f"{acc.source}: does not know {name}, which was asked to be {_shown(wanted)}; "
            "this model ignores names it does not know, so check the spelling or leave it out."
        ]
    if _same(ran, wanted):
        return []
    return [
        f"{acc.source}: ran with {name} = {_shown(ran)}, but {_shown(wanted)} was asked for; "
        "the run folder was set up from something else, so set it up again and run the member."
    ]


def _same(ran: object, wanted: object) -> bool:
    if isinstance(ran, str) or isinstance(wanted, str):
        return str(ran).strip().lower() == str(wanted).strip().lower()
    left = np.ravel(np.asarray(ran, dtype=np.float64))
    right = np.ravel(np.asarray(wanted, dtype=np.float64))
    return left.shape == right.shape and bool(np.allclose(left, right, rtol=_PARAMETER, atol=1e-30))


def _shown(value: object) -> str:
    if isinstance(value, np.ndarray) or (
        isinstance(value, Sequence) and not isinstance(value, str)
    ):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    return str(value)
