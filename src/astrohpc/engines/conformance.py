"""Whether a file is what :mod:`astrohpc.engines.canonical` promises: names, units, signs, weights.

A wrong sign or unit does not show in a file's own words, so every global mean is held against what
is possible on a planet, and against the planet that the file says it is.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.engines.canonical import CONVENTIONS, FILL, planet_attributes
from astrohpc.engines.netcdf import open_complete
from astrohpc.engines.variables import VARIABLES, Variable, required
from astrohpc.errors import ConfigError
from astrohpc.planet import Planet

Array = NDArray[np.float64]

_AXES = ("time", "lev", "plev", "lat", "lon")
_BESIDES = frozenset(
    {"time", "lat", "lon", "lev", "plev", "ap", "b", "cell_area", "period"}
    | {"time_bnds", "lat_bnds", "lon_bnds", "lev_bnds", "ap_bnds", "b_bnds"}
)
_PLANET = (
    "radius_m",
    "gravity_ms2",
    "rotation_period_s",
    "surface_pressure_pa",
    "stellar_flux_wm2",
    "gas_constant_jkgk",
    "heat_capacity_jkgk",
    "eccentricity",
)
_TIME = re.compile(r"^days since \d{4}-\d{2}-\d{2}( \d{2}:\d{2}:\d{2})?$")
# Latent heat over evaporation: between that of hot water and that of ice with a margin, J kg-1.
_LATENT = (1.5e6, 3.5e6)
# What melts snow and ice is not among the fluxes: up to 3 in ExoPlaSim's means, 1 in ModelE's, W m-2.
_MELTING_WM2 = 10.0


@dataclass(frozen=True)
class _Opened:
    """An open file with what most checks need."""

    file: Any
    area: Array | None
    gcm: bool

    def attribute(self, name: str) -> float | None:
        value = getattr(self.file, f"planet_{name}", None)
        return float(value) if isinstance(value, float | int | np.number) else None

    def mean(self, name: str) -> float | None:
        """Area and time mean over what is not fill; None where there is nothing to average."""
        if name not in self.file.variables or self.area is None:
            return None
        variable = self.file.variables[name]
        total = weight = 0.0
        for values in _slices(variable):
            if values.shape[-self.area.ndim :] != self.area.shape:
                return None
            known = np.isfinite(values)
            area = np.broadcast_to(self.area, values.shape)
            total += float(np.where(known, values * area, 0.0).sum())
            weight += float(np.where(known, area, 0.0).sum())
        return total / weight if weight > 0 else None


def check_conformance(path: Path) -> list[str]:
    """Everything that is wrong with an output, a sentence each; none if it can be relied on."""
    try:
        with open_complete(path) as file:
            return [f"{path.name}: {problem}" for problem in _problems(file)]
    except ConfigError as error:
        return [str(error)]


def check_planet(path: Path, planet: Planet) -> list[str]:
    """What in an output's global attributes is not of this planet, a sentence each.

    Six digits must agree, for a model may compute in single precision. An attribute that is not there
    is no other planet's; those that every output needs are checked with the rest.
    """
    problems = []
    with open_complete(path) as file:
        for name, expected in planet_attributes(planet).items():
            found = getattr(file, name, expected)
            if isinstance(expected, float) and isinstance(found, float | int | np.number):
                same = math.isclose(float(found), expected, rel_tol=1e-6, abs_tol=1e-12)
            else:  # NetCDF knows no booleans
                same = str(found).lower() in (expected, "1" if expected == "true" else "0")
            if not same:
                problems.append(
                    f"{path.name}: is of another planet: {name} is {found}, and this one's is {expected}"
                )
    return problems


def _problems(file: Any) -> Iterator[str]:
    area = None
    if "cell_area" in file.variables:
        area = np.asarray(file.variables["cell_area"][:], dtype=np.float64)
    opened = _Opened(file, area, "lon" in file.dimensions)
    if getattr(file, "Conventions", None) != CONVENTIONS:
        yield f"Conventions: is {getattr(file, 'Conventions', None)!r}; write {CONVENTIONS!r}."
    yield from _coordinates(file)
    yield from _planet(opened)
    for name in required(gcm=opened.gcm):
        if name not in file.variables:
            yield (
                f"{name}: is missing ({VARIABLES[name].long_name}); the model's post-processing "
                "stopped early or its output does not hold it."
            )
    for name in file.variables:
        if name not in _BESIDES:
            yield from _variable(opened, name)
    yield from _light(opened)
    yield from _water(opened)
    yield from _surface(opened)


def _coordinates(file: Any) -> Iterator[str]:
    for name in ("time", "lat"):
        if name not in file.variables:
            yield f"{name}: the coordinate is missing; every output has it."
    for name in _AXES:
        if name not in file.variables:
            continue
        values = np.asarray(file.variables[name][:], dtype=np.float64)
        if not np.isfinite(values).all() or (np.diff(values) <= 0).any():
            yield f"{name}: does not increase from one value to the next; sort it."
        bounds = getattr(file.variables[name], "bounds", None)
        if bounds is not None and bounds not in file.variables:
            yield f"{name}: names bounds {bounds!r} that are not in the file; write them."
    if "time" in file.variables:
        time = file.variables["time"]
        if not _TIME.match(str(getattr(time, "units", ""))):
            yield (
                f"time: has units {getattr(time, 'units', None)!r}; "
                "write 'days since YYYY-MM-DD hh:mm:ss', a day being 86400 s."
            )
        if not hasattr(time, "calendar"):
            yield "time: has no calendar; write '365_day'."
    if "lev" in file.variables:
        terms = str(getattr(file.variables["lev"], "formula_terms", ""))
        named = re.findall(r"\w+:\s*(\w+)", terms)
        lost = [
            name for name in ("ap", "b", "ps") if name not in named or name not in file.variables
        ]
        if lost:
            yield f"lev: its formula_terms {terms!r} lack {', '.join(lost)}; pressure is ap + b * ps."
    if "plev" in file.variables and getattr(file.variables["plev"], "units", "") != "Pa":
        yield "plev: is not in Pa; convert it."


def _planet(opened: _Opened) -> Iterator[str]:
    for name in _PLANET:
        if opened.attribute(name) is None:
            yield f"planet_{name}: the global attribute is missing; every output carries its planet."
    radius_m = opened.attribute("radius_m")
    if opened.area is None:
        yield "cell_area: is missing; without it nobody can take a mean."
    elif radius_m is not None:
        sphere_m2 = 4.0 * math.pi * radius_m**2
        total_m2 = float(opened.area.sum())
        if not math.isclose(total_m2, sphere_m2, rel_tol=1e-5):
            yield (
                f"cell_area: adds up to {total_m2:.6g} m2, but a planet of planet_radius_m "
                f"{radius_m:.6g} has {sphere_m2:.6g} m2; one of the two is another planet's."
            )
    mean_pa, asked_pa = opened.mean("ps"), opened.attribute("surface_pressure_pa")
    if mean_pa is not None and asked_pa is not None and not 0.5 < mean_pa / asked_pa < 2.0:
        yield (
            f"ps: has a mean of {mean_pa:.6g} Pa, but planet_surface_pressure_pa is "
            f"{asked_pa:.6g}; the unit is wrong or the planet is another."
        )


def _variable(opened: _Opened, name: str) -> Iterator[str]:
    variable = opened.file.variables[name]
    about = VARIABLES.get(name.removesuffix("_mean"))
    if about is None:
        yield (
            f"{name}: is not in the table of canonical variables; "
            "give it a name that is, or leave it out."
        )
        return
    unit = getattr(variable, "units", None)
    if unit != about.unit:
        yield f"{name}: is in {unit!r}, not in {about.unit!r}; convert it."
    if getattr(variable, "standard_name", None) != about.standard_name:
        yield f"{name}: does not have the standard_name {about.standard_name!r}; write it."
    if about.positive and getattr(variable, "positive", None) != about.positive:
        yield f"{name}: does not say that it is positive {about.positive}; check its sign and write it."
    if "time: " not in str(getattr(variable, "cell_methods", "")):
        yield f"{name}: its cell_methods do not say what was done over time; write mean or point."
    yield from _shape(name, about, variable, gcm=opened.gcm)
    yield from _values(opened, name, about)


def _shape(name: str, about: Variable, variable: Any, *, gcm: bool) -> Iterator[str]:
    horizontal = ("lat", "lon") if gcm else ("lat",)
    times = () if name.endswith("_mean") else ("time",)
    verticals = (("lev",), ("plev",)) if about.layered else ((),)
    allowed = [(*times, *vertical, *horizontal) for vertical in verticals]
    if variable.dimensions not in allowed:
        wanted = " or ".join(f"({', '.join(dims)})" for dims in allowed)
        yield f"{name}: lies on ({', '.join(variable.dimensions)}), not on {wanted}."


def _values(opened: _Opened, name: str, about: Variable) -> Iterator[str]:
    variable = opened.file.variables[name]
    known = sum(int(np.isfinite(values).sum()) for values in _slices(variable))
    if known == 0:
        yield f"{name}: holds nothing but fill values; the model did not write it."
        return
    mean = opened.mean(name)
    if mean is None or about.low <= mean <= about.high:
        return
    if about.positive and about.low <= -mean <= about.high:
        yield (
            f"{name}: has a global mean of {mean:.4g} {about.unit}, the wrong sign; "
            f"it is positive {about.positive}."
        )
    else:
        yield (
            f"{name}: has a global mean of {mean:.4g} {about.unit}, which no planet has "
            f"({about.low:g} … {about.high:g}); its unit is another or the model broke down."
        )


def _light(opened: _Opened) -> Iterator[str]:
    """Starlight against the planet's star, and what goes out against what comes in."""
    down = opened.mean("rsdt")
    flux, eccentricity = (opened.attribute(name) for name in ("stellar_flux_wm2", "eccentricity"))
    if down is not None and flux is not None and eccentricity is not None:
        # A month may lie anywhere on the orbit.
        low, high = flux / (1.0 + eccentricity) ** 2 / 4.0, flux / (1.0 - eccentricity) ** 2 / 4.0
        if not 0.98 * low <= down <= 1.02 * high:
            yield (
                f"rsdt: has a global mean of {down:.5g} W m-2, but planet_stellar_flux_wm2 "
                f"{flux:.6g} gives {low:.5g} … {high:.5g}; the model ran under another star."
            )
    for up_name, down_name in (("rsut", "rsdt"), ("rsus", "rsds"), ("rsds", "rsdt")):
        up, incoming = opened.mean(up_name), opened.mean(down_name)
        if up is not None and incoming is not None and up > incoming * 1.001 + 1e-6:
            yield (
                f"{up_name}: its global mean of {up:.5g} W m-2 exceeds that of {down_name}, "
                f"{incoming:.5g}; a sign or a source is wrong."
            )


def _water(opened: _Opened) -> Iterator[str]:
    """Latent heat against the evaporation that carries it: finds millimetres a day and signs."""
    heat, vapour = opened.mean("hfls"), opened.mean("evspsbl")
    if heat is None or vapour is None or abs(heat) < 1.0:
        return
    if vapour == 0.0 or not _LATENT[0] < heat / vapour < _LATENT[1]:
        yield (
            f"evspsbl: {vapour:.4g} kg m-2 s-1 with latent heat hfls of {heat:.4g} W m-2 makes "
            f"{heat / vapour if vapour else math.inf:.3g} J kg-1, which is not water's; "
            "a unit or a sign is wrong."
        )


def _surface(opened: _Opened) -> Iterator[str]:
    """Heat into the surface against the fluxes that bring it: it may have either sign, but theirs."""
    own = opened.mean("hfds")
    down = [opened.mean(name) for name in ("rsds", "rlds")]
    up = [opened.mean(name) for name in ("rsus", "rlus", "hfss", "hfls")]
    fluxes = [one for one in (*down, *up) if one is not None]
    if own is None or len(fluxes) < len(down) + len(up):
        return
    heat = sum(fluxes[: len(down)]) - sum(fluxes[len(down) :])
    if abs(heat - own) > _MELTING_WM2 and abs(heat + own) < _MELTING_WM2:
        yield (
            f"hfds: has a global mean of {own:.4g} W m-2 where the fluxes into the surface add up to "
            f"{heat:.4g}; it is positive down."
        )


def _slices(variable: Any) -> Iterator[Array]:
    """A variable, one time at a time, with NaN for fill: a long run need not fit in memory."""
    fill = float(getattr(variable, "_FillValue", FILL))
    steps = range(len(variable)) if variable.dimensions[:1] == ("time",) else [slice(None)]
    for step in steps:
        values = np.asarray(variable[step], dtype=np.float64)
        # ModelE's own fill, too: whoever copies a field forgets it first.
        yield np.where((np.abs(values) >= 1e19) | (values == fill), np.nan, values)
