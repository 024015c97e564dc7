"""Files as ExoPlaSim's post-processor leaves them, of our own making: the form, with known values."""

from pathlib import Path

import numpy as np
from netCDF4 import Dataset

SIGMA = (0.1, 0.35, 0.75)  # layers between 0, 0.2, 0.5 and 1
FLUX_WM2 = 1000.0


def write_most(
    path: Path,
    *,
    stamps: tuple[float, ...] = (159.0, 319.0),
    without: tuple[str, ...] = (),
    lats: int = 16,
    declination_deg: float = 0.0,
    **values: float,
) -> Path:
    """Write a file; ``values`` replace those of a variable, ``without`` leaves some out."""
    lat = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(lats)[0]))[::-1]
    lon = np.arange(8) * 45.0
    cosine = np.cos(np.radians(lat))[:, None] * np.ones(8)
    weights = np.polynomial.legendre.leggauss(lats)[1]
    light = FLUX_WM2 / 4 * cosine / np.average(cosine[:, 0], weights=weights)
    surface = {
        "ts": 290.0,
        "tas": 288.0,
        "ps": 1000.0,
        "prl": 1e-8,
        "prc": 2e-8,
        "evap": -3e-8,
        "hfss": -20.0,
        "hfls": -75.0,
        "rst": 0.7 * light,
        "rsut": -0.3 * light,
        "rlut": -170.0,
        "rss": 0.5 * light,
        "ssru": -0.05 * light,
        "rls": -60.0,
        "stru": -390.0,
        "hfns": 0.5 * light - 156.0,  # of the fluxes, and a watt melts snow
        "clt": 0.6,
        "psl": 100000.0,
    }
    layered = {"ta": 250.0, "hus": 1e-3, "ua": np.repeat(lat[:, None], 8, axis=1), "va": 1.0}
    with Dataset(path, "w") as file:
        for name, axis in (("time", stamps), ("lev", SIGMA), ("lat", lat), ("lon", lon)):
            file.createDimension(name, len(axis))
            file.createVariable(name, "f4", (name,))[:] = axis
        file["time"].units = "timesteps"
        for name, value in (("zdec", declination_deg), ("rdist", 1.0)):
            file.createVariable(name, "f4", ("time",))[:] = value
        for dims, group in (
            (("time", "lat", "lon"), surface),
            (("time", "lev", "lat", "lon"), layered),
        ):
            for name, value in {**group, **{k: v for k, v in values.items() if k in group}}.items():
                if name not in without:
                    shape = tuple(len(file.dimensions[one]) for one in dims)
                    file.createVariable(name, "f4", dims)[:] = np.broadcast_to(value, shape)
    return path
