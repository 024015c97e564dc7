"""What the store's tests share: small NetCDF files of every make, conversions, and stores side by side."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray
from support import Said

from astrohpc.clock import SystemClock
from astrohpc.errors import ConfigError
from astrohpc.store.convert import Report, convert
from astrohpc.store.ranks import Alone
from astrohpc.store.settings import StoreSettings
from astrohpc.store.verify import Verdict, as_made, verify
from astrohpc.sweep.harvest import request_for

SINCE = "days since 2000-01-01"
CHANGING = {
    ".astrohpc/report.json",
    ".astrohpc/report.html",
    ".astrohpc/lock",
}  # when and how, not what


def field(seed: int, *shape: int) -> NDArray[np.float32]:
    """Values that no two files share."""
    return np.random.default_rng(seed).normal(280, 15, shape).astype("f4")


def climate(
    path: Path,
    *,
    seed: int = 0,
    times: Sequence[float] = (0.0, 1.0, 2.0, 3.0),
    since: str = SINCE,
    calendar: str | None = "noleap",
    lat: Sequence[float] = (-60.0, -20.0, 20.0, 60.0),
    lon: int = 8,
    file_format: str = "NETCDF4",
    attrs: Mapping[str, Any] | None = None,
    chunked: bool = True,
    more: Callable[[netCDF4.Dataset], None] | None = None,
) -> Path:
    """A file as a climate model leaves it: T(time, lat, lon) with bounds of time, and a mask without time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with netCDF4.Dataset(path, "w", format=file_format) as data:
        data.setncatts({"Conventions": "CF-1.8", **(attrs or {})})
        for name, size in (("time", None), ("lat", len(lat)), ("lon", lon), ("bnds", 2)):
            data.createDimension(name, size)
        time = data.createVariable("time", "f8", ("time",))
        time.setncatts({"units": since, "bounds": "time_bnds"})
        if calendar is not None:
            time.calendar = calendar
        time[:] = times
        bounds = data.createVariable("time_bnds", "f8", ("time", "bnds"))
        bounds[:] = np.stack([np.asarray(times) - 0.5, np.asarray(times) + 0.5], -1)
        axis = data.createVariable("lat", "f8", ("lat",))
        axis.units = "degrees_north"
        axis[:] = lat
        axis = data.createVariable("lon", "f8", ("lon",))
        axis.units = "degrees_east"
        axis[:] = np.arange(lon) * 360 / lon
        how: dict[str, Any] = {"fill_value": np.float32(1e20)}
        if chunked and file_format.startswith("NETCDF4"):
            how |= {"zlib": True, "complevel": 1, "chunksizes": (1, len(lat), lon)}
        air = data.createVariable("T", "f4", ("time", "lat", "lon"), **how)
        air.setncatts({"units": "K", "long_name": "air temperature"})
        values = field(seed, len(times), len(lat), lon)
        if len(times):
            values[0, 0, 0] = 1e20
        air[:] = values
        mask = data.createVariable("land", "i4", ("lat", "lon"))
        mask[:] = np.arange(len(lat) * lon).reshape(len(lat), lon) % 2
        if more is not None:
            more(data)
    return path


def members(folder: Path, count: int = 2, **how: Any) -> Path:
    """A folder with a folder a member and two files in each."""
    for m in range(count):
        for k in range(2):
            climate(
                folder / f"run{m}" / f"part{k}.nc",
                seed=10 * m + k,
                times=[4 * k + i for i in range(4)],
                **how,
            )
    return folder


def made(source: Path, target: Path, **settings: Any) -> Report:
    """Convert in this process."""
    how = StoreSettings(**{"threads": 2, **settings})
    report = convert(
        request_for(source, target, how), Alone(), SystemClock(), lambda: False, lambda _text: None
    )
    assert report is not None
    return report


def proved(source: Path, target: Path) -> Verdict:
    """Verify in this process."""
    verdict = verify(
        request_for(source, target, as_made(target, StoreSettings(threads=2))),
        Alone(),
        SystemClock(),
        lambda: False,
        lambda _text: None,
    )
    assert verdict is not None
    return verdict


def refusal(source: Path, target: Path, **settings: Any) -> str:
    """The sentence with which a conversion as a whole is refused."""
    try:
        made(source, target, **settings)
    except ConfigError as error:
        return str(error)
    raise AssertionError("it was not refused")


def reasons(report: Report) -> str:
    """All that was left out."""
    return "\n".join(one.sentence for one in report.refused)


def command(source: Path, target: Path, *words: str) -> list[str]:
    """The converter as a process of its own."""
    return [
        sys.executable,
        "-m",
        "astrohpc.jobs.convert",
        str(source),
        str(target),
        *words,
        "--bare",
    ]


def job(source: Path, target: Path, *words: str, timeout: float = 120, **rest: Any) -> Said:
    """Run it to its end; it must never end with a traceback."""
    done = subprocess.run(
        command(source, target, *words),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=os.environ | rest.pop("environment", {}),
        **rest,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def tree(store: Path) -> dict[str, str]:
    """Every file of a store and what is in it."""
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file() and (name := path.relative_to(store).as_posix()) not in CHANGING
    }


def stamps(store: Path, array: str) -> dict[str, int]:
    """When each shard of an array was written."""
    return {
        path.name: path.stat().st_mtime_ns
        for path in (store / array).iterdir()
        if path.name != "zarr.json"
    }


def values(store: Path, name: str) -> NDArray[Any]:
    """An array as zarr-python reads it."""
    import zarr

    return np.asarray(zarr.open_array(store / name, mode="r")[...])


def meaning(path: Path, name: str) -> NDArray[Any]:
    """What netCDF4-python says that a variable's numbers mean; NaN where they are missing."""
    with netCDF4.Dataset(path) as data:
        found = data[name][...]
    return np.ma.filled(np.ma.asarray(found).astype("f8"), np.nan)
