"""A file that was cut short is noticed, also where the NetCDF library reads zeros without a word."""

from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset

from astrohpc.engines.netcdf import open_complete
from astrohpc.errors import ConfigError

CLASSIC = ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA")


def _write(path: Path, form: str, records: int) -> bytes:
    with Dataset(path, "w", format=form) as file:
        file.title = "odd"
        file.createDimension("time", None)
        file.createDimension("x", 5)
        fixed = file.createVariable("fixed", "i2", ("x",))
        fixed.valid_range = np.array([1, 2, 3], dtype="i2")
        fixed[:] = 7
        file.createVariable("scalar", "f8", ())[...] = 1.5
        for name, kind in (("one", "f4"), ("two", "f8")):
            variable = file.createVariable(name, kind, ("time", "x"))
            if records:
                variable[:] = np.ones((records, 5))
    return path.read_bytes()


@pytest.mark.parametrize("form", CLASSIC)
@pytest.mark.parametrize("records", [0, 1, 3])
def test_a_classic_file_is_read_whole_or_not_at_all(
    tmp_path: Path, form: str, records: int
) -> None:
    path = tmp_path / "file.nc"
    whole = _write(path, form, records)
    with open_complete(path) as file:
        assert file["scalar"][...] == 1.5
        assert file["two"].shape == (records, 5)
    for size in (len(whole) - 1, len(whole) // 2, 40):
        path.write_bytes(whole[:size])
        with pytest.raises(ConfigError, match=r"file\.nc: ends in the middle"), open_complete(path):
            pass


@pytest.mark.parametrize("size", [0, 3, 100, -1])
def test_a_modern_file_is_read_whole_or_not_at_all(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file.nc"
    whole = _write(path, "NETCDF4", 3)
    path.write_bytes(whole[:size])
    with (
        pytest.raises(ConfigError, match=r"file\.nc: is not a whole NetCDF file"),
        open_complete(path),
    ):
        pass


def test_a_header_of_nonsense_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.nc"
    path.write_bytes(b"CDF\x01" + bytes([0, 0, 0, 9]) * 40)
    with pytest.raises(ConfigError, match=r"file\.nc"), open_complete(path):
        pass


def test_what_is_read_wrongly_inside_is_not_called_a_file_error(tmp_path: Path) -> None:
    path = tmp_path / "file.nc"
    _write(path, "NETCDF4", 1)
    with pytest.raises(KeyError), open_complete(path) as file:
        _ = {}["nothing"], file
