"""Chunks of HDF5 passed through byte for byte, where that is possible at all."""

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import zarr
from support_store import made, proved

from astrohpc.store.fill import MODELE_FILL


@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_what_is_passed_through_reads_as_it_was(tmp_path: Path, endian: str, shuffle: bool) -> None:
    values = np.arange(3 * 40 * 60, dtype="f4").reshape(3, 40, 60)
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        for name, size in (("time", 3), ("lat", 40), ("lon", 60)):
            file.createDimension(name, size)
        one = file.createVariable(
            "ta",
            "<f4" if endian == "little" else ">f4",
            ("time", "lat", "lon"),
            zlib=True,
            shuffle=shuffle,
            chunksizes=(1, 40, 60),
            endian=endian,
        )
        one[:] = values
    report = made(tmp_path / "a.nc", tmp_path / "a.zarr", codec="deflate")
    assert report.complete
    assert report.direct == (1 if endian == "little" else 0), "big-endian values are made anew"
    with pytest.warns(UserWarning, match="Numcodecs"):
        stored = zarr.open_group(tmp_path / "a.zarr", mode="r")["ta"][...]
    assert np.array_equal(stored, values)
    assert not proved(tmp_path / "a.nc", tmp_path / "a.zarr").wrong


def test_the_fill_that_modele_does_not_declare_is_declared(tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "a.nc", "w", format="NETCDF3_CLASSIC") as file:
        file.setncatts({"xlabel": "a run", "fromto": "From: 1950 To: 1951"})
        file.createDimension("lat", 2)
        one = file.createVariable("tsurf", "f4", ("lat",))
        one[:] = [280.0, MODELE_FILL]
    made(tmp_path / "a.nc", tmp_path / "a.zarr")
    import xarray

    with xarray.open_zarr(tmp_path / "a.zarr") as store:
        names = [name for name in store if "lat" in store[name].dims]
        assert np.isnan(store[names[0]].values[1])
