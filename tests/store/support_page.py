"""Small conversions for tests: files of our own making, and the job that makes a store of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from netCDF4 import Dataset

from astrohpc.clock import SystemClock
from astrohpc.store.convert import Report, convert
from astrohpc.store.ranks import Alone
from astrohpc.store.settings import StoreSettings
from astrohpc.store.target import Request
from astrohpc.sweep.harvest import request_for

FILL = -1e30
LAT, LON, LEV = np.array([-60.0, -20.0, 20.0, 60.0]), np.arange(8) * 45.0, np.array([200.0, 900.0])


def make_store(source: Path, target: Path, **settings: Any) -> tuple[Request, Report]:
    """Convert in this process, without the kernel's threads getting in each other's way."""
    chosen = replace(StoreSettings(threads=1), **settings)
    request = request_for(source, target, chosen)
    report = convert(request, Alone(), SystemClock(), lambda: False, lambda _text: None)
    assert report is not None
    return request, report


def write_climate(path: Path, shift_k: float = 0.0, **attributes: str) -> Path:
    """A temperature in layers, a pressure with gaps, a flux of time alone, and axes with bounds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Dataset(path, "w") as file:
        file.setncatts(attributes)
        for name, values, unit in (
            ("time", np.array([10.0, 20.0, 30.0]), "days since 0001-01-01"),
            ("lev", LEV, "hPa"),
            ("lat", LAT, "degrees_north"),
            ("lon", LON, "degrees_east"),
        ):
            file.createDimension(name, None if name == "time" else len(values))
            file.createVariable(name, "f8", (name,))[:] = values
            file[name].units = unit
        file["time"].calendar = "noleap"
        file["lat"].bounds = "lat_bnds"
        file.createDimension("nv", 2)
        file.createVariable("lat_bnds", "f8", ("lat", "nv"))[:] = np.stack([LAT - 20, LAT + 20], 1)
        ta = file.createVariable("ta", "f4", ("time", "lev", "lat", "lon"), zlib=True)
        ta.setncatts({"units": "K", "long_name": "air temperature <dry & clear>"})
        ta[:] = shift_k + np.arange(3)[:, None, None, None] + LEV[:, None, None] * np.ones((4, 8))
        ps = file.createVariable("ps", "f4", ("time", "lat", "lon"), fill_value=FILL)
        ps.units = "Pa"
        ps[:] = 1e5
        ps[:, 0, 0] = FILL
        file.createVariable("flux", "f4", ("time",))[:] = [1.0, 2.0, 4.0]
        file.createVariable("radius", "f4", ())[...] = 7.0
    return path
