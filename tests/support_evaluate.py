"""Climates of our own making for scores: a few planets on a small grid, with any values."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astrohpc.climates.climates import Climates, Input, Variable
from astrohpc.physics.latlon import LatLon
from astrohpc.planet import Planet

LEVELS, ROWS, COLUMNS = 3, 8, 16
GRID = LatLon.gaussian(ROWS, COLUMNS)
B_EDGE = np.array([0.0, 0.2, 0.5, 1.0])
INPUTS = (
    Input("stellar_flux", "W/m2", 500.0, 1500.0, logarithm=False),
    Input("co2", "1", 1e-6, 1e-2, logarithm=True),
)
UNITS = {"ta": "K", "log_hus": "dex", "va": "m s-1", "zg": "m", "ps": "Pa", "ts": "K"}


def planet(*, locked: bool = True, **changed: float) -> Planet:
    values = {"radius": 7e6, "gravity": 8.0, "rotation_period": 8e5, "surface_pressure": 9e4}
    air = {"co2": 1e-3, "ch4": 0.0, "stellar_flux": 1000.0, "stellar_temperature": 3000.0}
    return Planet.from_si(values | air | changed, tidally_locked=locked)


def climates(
    fields: Mapping[str, Any],
    planets: Sequence[Planet] = (),
    grid: LatLon = GRID,
    without_longitudes: bool = False,
) -> Climates:
    """Fields [planet, (level,) lat(, lon)]; levels are those of ``B_EDGE``. Inputs are drawn."""
    arrays = {name: np.asarray(one, np.float64) for name, one in fields.items()}
    area = grid.row_share[:, None] * np.full(grid.shape[1], 1.0 / grid.shape[1])
    variables, weights = [], []
    count = len(next(iter(arrays.values())))
    for name, one in arrays.items():
        layered = one.ndim == (3 if without_longitudes else 4)
        share = area.sum(axis=1) if without_longitudes else area
        if one.ndim == 1:
            share = np.ones(1)
        if layered:
            share = np.multiply.outer(np.diff(B_EDGE), share)
        of = name.removeprefix("log_")
        unit = UNITS.get(name, "W m-2")
        variables.append(Variable(name, name, unit, one.shape[1:], layered, of, of != name))
        weights.append(share.reshape(-1))
    rng = np.random.default_rng(5)
    return Climates(
        inputs=INPUTS,
        params=np.column_stack([rng.uniform(500, 1500, count), 10.0 ** rng.uniform(-6, -2, count)]),
        variables=tuple(variables),
        values=np.concatenate([one.reshape(count, -1) for one in arrays.values()], axis=1).astype(
            np.float32
        ),
        weights=np.concatenate(weights),
        names=tuple(f"planet-{i}" for i in range(count)),
        planets=tuple(planets),
        axes={
            "lat": grid.lat_deg,
            "lon": np.array([180.0]) if without_longitudes else grid.lon_deg,
            "ap_pa": np.zeros_like(B_EDGE),
            "b": B_EDGE,
        },
        excluded=(),
        constant=(),
        source="made for a test",
        mark="synthetic",
        notes={},
    )


def rows(made: Climates) -> np.ndarray:
    """The values in double precision, to be changed into a prediction."""
    return made.values.astype(np.float64)
