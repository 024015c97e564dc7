"""From what ExoPlaSim's post-processor leaves (``MOST.*.nc``) to the canonical output.

Its exit code says nothing: a post-processor that stops in the middle leaves a readable file with a
third of the variables, and the run ends well. So the list of variables decides. Nor do its time
stamps say much: they count the steps of one year, and by default lie *between* records, because the
post-processor interpolates every run to twelve stamps.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.constants import DAY_S
from astrohpc.engines.canonical import Field, Grid, Layers, Output, TimeAxis, write_canonical
from astrohpc.engines.netcdf import open_complete
from astrohpc.engines.variables import EXOPLASIM, VARIABLES, required
from astrohpc.errors import ConfigError
from astrohpc.planet import Planet

Array = NDArray[np.float64]

# Measured on 3.4.2: ten snapshots between two records hold the same humidity to the last bit, and a
# record holds that of the record before, while its water vapour column (prw) moves on.
_HELD = {
    "hus": "state at the end of the record before, which the model holds until the next one; "
    "not a mean, and in snapshots older than its stamp"
}


@dataclass(frozen=True)
class Stamps:
    """What the file does not say about its time stamps.

    ``averaged`` is true for ordinary output, whose records are means since the record before, and
    false for snapshots. ``start_s`` is the model time at which the year of this file began.
    """

    step_s: float
    averaged: bool
    start_s: float = 0.0

    def __post_init__(self) -> None:
        if self.step_s <= 0:
            raise ConfigError(f"step_s: {self.step_s} is not a time step; write it in seconds.")


def required_names() -> frozenset[str]:
    """The post-processor's variables without which there is no canonical output."""
    return frozenset(term for name in required(gcm=True) for term, _ in EXOPLASIM[name].terms)


def convert(
    source: Path,
    target: Path,
    planet: Planet,
    stamps: Stamps,
    *,
    model: str = "ExoPlaSim",
    attributes: Mapping[str, float | str] | None = None,
) -> None:
    """Write one file of ExoPlaSim as a canonical output; ``model`` may name its version."""
    with open_complete(source) as file:
        _check_complete(source, file)
        _check_orbit(source, file, planet)
        grid = _grid(source, file, planet)
        layers = _layers(source, file, planet)
        fields = _fields(source, file, "time: mean" if stamps.averaged else "time: point")
        time = _time(source, file, stamps)
    write_canonical(
        target,
        Output(
            planet=planet,
            engine="exoplasim",
            source=model,
            title="Climate of a planet",
            grid=grid,
            time=time,
            fields=fields,
            layers=layers,
            attributes=attributes,
        ),
    )


def _check_complete(source: Path, file: Any) -> None:
    missing = sorted(required_names() - set(file.variables))
    if not missing:
        return
    if not {"lev", "lat", "lon", "time"} <= set(file.dimensions):
        raise ConfigError(
            f"{source}: has no axes lev, lat, lon and time, so ExoPlaSim did not write it; "
            "give a MOST file of the run."
        )
    sizes = {name: len(file.dimensions[name]) for name in ("lev", "lat", "lon")}
    stamps = len(file.dimensions["time"])
    clash = [name for name, size in sizes.items() if stamps in (size, size + (name == "lev"))]
    cause = (
        f"its {stamps} time stamps are as many as an axis {clash[0]} has, which its writer confuses; "
        "ask for another number of stamps"
        if clash
        else "post-processing stopped early though the run ended well; run the post-processor again"
    )
    raise ConfigError(
        f"{source}: holds {len(file.variables)} variables and lacks {', '.join(missing)}: {cause}."
    )


def _check_orbit(source: Path, file: Any, planet: Planet) -> None:
    """Unless told otherwise the model drops the orbit it was given, and takes Earth's of that year."""
    highest_deg = math.degrees(math.asin(math.sin(planet.obliquity_rad)))
    for name, low, high, what in (
        ("zdec", -highest_deg - 0.5, highest_deg + 0.5, "the star's declination in degrees"),
        (
            "rdist",
            0.995 * (1.0 - planet.eccentricity),
            1.005 * (1.0 + planet.eccentricity),
            "the star's distance over its mean",
        ),
    ):
        if name not in file.variables:
            continue
        values = np.asarray(file.variables[name][:], dtype=np.float64)
        if values.min() < low or values.max() > high:
            raise ConfigError(
                f"{source}: {what} ({name}) goes from {values.min():.4g} to {values.max():.4g}, beyond "
                f"{low:.4g} … {high:.4g} of the planet's orbit; configure ExoPlaSim with "
                "fixedorbit=True, without which it takes Earth's orbit, and run the member again."
            )


def _fields(source: Path, file: Any, over_time: str) -> list[Field]:
    needed = required(gcm=True)
    fields = []
    for name, origin in EXOPLASIM.items():
        if not all(term in file.variables for term, _ in origin.terms):
            continue
        layered = VARIABLES[name].layered
        axes = ("time", "lev", "lat", "lon") if layered else ("time", "lat", "lon")
        total: Array | float = origin.offset
        for term, factor in origin.terms:
            variable = file.variables[term]
            if variable.dimensions != axes:
                raise ConfigError(
                    f"{source}: {term} lies on ({', '.join(variable.dimensions)}), not on "
                    f"({', '.join(axes)}); the post-processor confused its axes, run it again."
                )
            total = total + factor * np.asarray(variable[:], dtype=np.float64)
        values = np.asarray(total)
        values = np.where(np.abs(values) < 1e19, values, np.nan)
        if name in needed and not np.isfinite(values).all():
            raise ConfigError(
                f"{source}: {origin} has {int((~np.isfinite(values)).sum())} values that are not "
                f"numbers, so {name} is lost: the model blew up; run it with a shorter time step."
            )
        if np.isfinite(values).any():
            fields.append(
                Field(
                    name,
                    _northward(file, values).astype(np.float32),
                    "lev" if layered else "",
                    method=f"area: mean {'time: point' if name in _HELD else over_time}",
                    comment=_HELD.get(name, ""),
                )
            )
    return fields


def _northward(file: Any, values: Array) -> Array:
    """The model's latitudes run southward, those of every output northward."""
    lat = file.variables["lat"]
    return values[..., ::-1, :] if float(lat[0]) > float(lat[-1]) else values


def _time(source: Path, file: Any, stamps: Stamps) -> TimeAxis:
    variable = file.variables["time"]
    step = np.asarray(variable[:], dtype=np.float64)
    if getattr(variable, "units", "") != "timesteps":
        raise ConfigError(
            f"{source}: counts its time in {getattr(variable, 'units', None)!r}, not in timesteps; "
            "give the file as ExoPlaSim's post-processor wrote it."
        )
    whole = np.rint(step)
    if len(step) == 0 or np.abs(step - whole).max() > 0.01 or (np.diff(whole) <= 0).any():
        raise ConfigError(
            f"{source}: its time stamps {', '.join(f'{one:g}' for one in step[:3])}, … are not "
            "steps of the model: the post-processor interpolated between records; "
            "run it with times=None and timeaverage=False."
        )
    # A stamp counts from zero the last step that its record holds.
    end_s = stamps.start_s + (whole + 1.0) * stamps.step_s
    if not stamps.averaged:
        return TimeAxis(values_d=end_s / DAY_S, edges_d=None)
    interval_s = np.diff(end_s).min() if len(end_s) > 1 else (whole[0] + 1.0) * stamps.step_s
    begin_s = np.concatenate([[max(end_s[0] - interval_s, stamps.start_s)], end_s[:-1]])
    edges_s = np.stack([begin_s, end_s], axis=1)
    return TimeAxis(values_d=edges_s.mean(axis=1) / DAY_S, edges_d=edges_s / DAY_S)


def _grid(source: Path, file: Any, planet: Planet) -> Grid:
    lat_deg = np.sort(np.asarray(file.variables["lat"][:], dtype=np.float64))
    lon_deg = np.asarray(file.variables["lon"][:], dtype=np.float64)
    node, weight = np.polynomial.legendre.leggauss(len(lat_deg))
    exact_deg = np.degrees(np.arcsin(node))
    if np.abs(exact_deg - lat_deg).max() > 0.01:
        raise ConfigError(
            f"{source}: its {len(lat_deg)} latitudes are not the Gaussian ones of the model, so the "
            "areas of its cells are unknown; give the file without regridding it."
        )
    half_deg = 0.5 * float(lon_deg[1] - lon_deg[0])
    share = weight / 2.0
    sphere_m2 = 4.0 * np.pi * planet.radius_m**2
    sine = np.concatenate([[-1.0], -1.0 + 2.0 * np.cumsum(share)])
    return Grid(
        lat_deg=exact_deg,
        lat_edge_deg=np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))),
        area_m2=np.repeat((sphere_m2 * share / len(lon_deg))[:, None], len(lon_deg), axis=1),
        lon_deg=lon_deg,
        lon_edge_deg=np.append(lon_deg - half_deg, lon_deg[-1] + half_deg),
    )


def _layers(source: Path, file: Any, planet: Planet) -> Layers:
    """The model's sigma layers. A layer is the middle of its two edges and the first begins at 0.

    The file's own ``levp`` is not used: it holds the middles between layers, not their edges.
    """
    sigma = np.asarray(file.variables["lev"][:], dtype=np.float64)
    edge = [0.0]
    for middle in sigma:
        edge.append(2.0 * float(middle) - edge[-1])
    if abs(edge[-1] - 1.0) > 1e-3 or min(np.diff(edge)) <= 0:
        raise ConfigError(
            f"{source}: its layers {', '.join(f'{one:.4g}' for one in sigma[:3])}, … do not fill the "
            "air from space to the ground; give the file on the model's own sigma layers."
        )
    nothing = np.zeros(len(sigma))
    return Layers(
        ap_pa=nothing,
        b=sigma,
        ap_edge_pa=np.zeros(len(edge)),
        b_edge=np.array([*edge[:-1], 1.0]),
        reference_pa=planet.surface_pressure_pa,
    )
