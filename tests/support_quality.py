"""Climates of our own making for checks: rows and columns, layers, and fields that tests change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from netCDF4 import Dataset

from astrohpc.engines.variables import VARIABLES
from astrohpc.physics.latlon import LatLon

DAY_S = 86400.0
PLANET = {
    "planet_radius_m": 5e6,
    "planet_gravity_ms2": 7.0,
    "planet_rotation_period_s": 2e5,
    "planet_gas_constant_jkgk": 290.0,
    "planet_heat_capacity_jkgk": 1010.0,
    "planet_surface_pressure_pa": 9e4,
}
B_EDGE = np.array([0.0, 0.25, 0.6, 1.0])
ROWS, COLUMNS, LEVELS = 8, 12, len(B_EDGE) - 1


@dataclass(frozen=True)
class World:
    """A file: times, fields by name (broadcast to their axes), and how it is written."""

    times: int = 4
    planet: Mapping[str, float] = field(default_factory=lambda: dict(PLANET))
    fields: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[str, str | None] = field(default_factory=dict)
    upward: bool = False  # layers from the ground up
    southward: bool = False
    rows: int = ROWS
    b_edge: tuple[float, ...] = tuple(B_EDGE)
    kind: str = "f4"
    attributes: Mapping[str, str] = field(default_factory=dict)


def quiet(times: int = 4, rows: int = ROWS, levels: int = LEVELS) -> dict[str, np.ndarray]:
    """A still, dry, isothermal air under a star whose light it gives back: every law is kept."""
    flat, layered = (times, rows, COLUMNS), (times, levels, rows, COLUMNS)
    return {
        "ps": np.full(flat, 9e4),
        "rsdt": np.full(flat, 300.0),
        "rsut": np.full(flat, 90.0),
        "rlut": np.full(flat, 210.0),
        "pr": np.full(flat, 3e-5),
        "evspsbl": np.full(flat, 3e-5),
        "clt": np.full(flat, 0.5),
        "ts": np.full(flat, 280.0),
        "ta": np.full(layered, 250.0),
        "hus": np.full(layered, 1e-4),
        "ua": np.zeros(layered),
        "va": np.zeros(layered),
    }


def write_world(path: Path, world: World) -> Path:
    """Write a file as engines hand it over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = LatLon.uniform(world.rows, COLUMNS)
    down = 1 if world.southward else -1
    lat, lat_edge = (np.sort(one)[::-down] for one in (grid.lat_deg, grid.lat_edge_deg))
    lev = slice(None, None, -1 if world.upward else 1)
    b = np.stack([world.b_edge[:-1], world.b_edge[1:]], 1)
    b = b[::-1, ::-1] if world.upward else b
    with Dataset(path, "w") as file:
        file.setncatts({**world.planet, **world.attributes})
        file.createDimension("nv", 2)
        for name, values, unit in (
            ("time", 10.0 * np.arange(world.times), "days since 0001-01-01"),
            ("lat", lat, "degrees_north"),
            ("lon", grid.lon_deg, "degrees_east"),
            ("lev", b.mean(axis=1), "1"),
        ):
            file.createDimension(name, None if name == "time" else len(values))
            one = file.createVariable(name, "f8", (name,))
            one.units = unit
            one[:] = values
        file["time"].calendar = "365_day"
        file["lat"].bounds, file["lev"].bounds = "lat_bnds", "lev_bnds"
        file.createVariable("lat_bnds", "f8", ("lat", "nv"))[:] = np.stack(
            [lat_edge[:-1], lat_edge[1:]], 1
        )
        file.createVariable("lev_bnds", "f8", ("lev", "nv"))[:] = b
        file["lev_bnds"].formula_terms = "ap: ap_bnds b: b_bnds ps: ps"
        file.createVariable("b_bnds", "f8", ("lev", "nv"))[:] = b
        file.createVariable("ap_bnds", "f8", ("lev", "nv"))[:] = 0.0
        file["ap_bnds"].units = "Pa"
        fields = {**quiet(world.times, world.rows, len(b)), **world.fields}
        for name, values in fields.items():
            if values is None:
                continue
            layered = VARIABLES[name].layered
            dims = ("time", "lev", "lat", "lon") if layered else ("time", "lat", "lon")
            one = file.createVariable(name, world.kind, dims)
            unit = world.units.get(name, VARIABLES[name].unit)
            if unit is not None:
                one.units = unit
            one[:] = values[:, lev] if layered else values
    return path
