"""What numbers mean: packing, fills, byte orders, text, groups, calendars, and every codec."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray
from support_store import (
    climate,
    field,
    job,
    made,
    meaning,
    members,
    proved,
    reasons,
    values,
)
from support_zoo import difference, netcdf_variables

from astrohpc.store.codec import NAMES


def packed(
    path: Path,
    *,
    seed: int = 0,
    scale: float | None = 0.01,
    offset: float = 270.0,
    kind: str = "i2",
    fill: Any = -32768,
    times: int = 3,
    start: int = 0,
    file_format: str = "NETCDF4",
    attrs: dict[str, Any] | None = None,
) -> Path:
    """T as packed numbers, the raw ones chosen so that they need all their bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = np.iinfo(kind)
    low, high = (0, 255) if kind in ("i1", "u1") else (numbers.min + 1, numbers.max)
    raw = np.random.default_rng(seed).integers(low, high, (times, 48, 96)).astype(kind)
    with netCDF4.Dataset(path, "w", format=file_format) as data:
        for name, size in (("time", None), ("lat", 48), ("lon", 96)):
            data.createDimension(name, size)
        time = data.createVariable("time", "f8", ("time",))
        time.units = "days since 2000-01-01"
        time[:] = np.arange(times) + start
        air = data.createVariable("T", kind, ("time", "lat", "lon"), fill_value=fill)
        air.set_auto_maskandscale(False)
        if scale is not None:
            air.setncatts({"scale_factor": np.float32(scale), "add_offset": np.float32(offset)})
        air.setncatts({"units": "K", **(attrs or {})})
        if fill is not None:
            raw[:, 0, 0] = fill
        air[:] = raw
    return path


def decoded(store: Path, name: str = "T") -> np.ndarray[Any, Any]:
    with xarray.open_zarr(store) as data:
        return np.asarray(data[name].values)


# -------------------------------------------------------------------------------------- packing
def test_packed_numbers_of_one_scale_stay_as_they_are(tmp_path: Path) -> None:
    for name in "ab":
        packed(tmp_path / "in" / f"{name}.nc", seed=ord(name))
    report = made(tmp_path / "in", tmp_path / "a.zarr", members="file")
    assert report.complete, reasons(report)
    assert report.direct == report.shards
    assert values(tmp_path / "a.zarr", "T").dtype == "i2"
    for m, name in enumerate("ab"):
        expected = meaning(tmp_path / "in" / f"{name}.nc", "T")
        np.testing.assert_allclose(decoded(tmp_path / "a.zarr")[m], expected, rtol=1e-6, atol=2e-5)


@pytest.mark.parametrize("file_format", ["NETCDF4", "NETCDF3_CLASSIC"])
def test_another_scale_in_every_file_becomes_what_it_means(
    tmp_path: Path, file_format: str
) -> None:
    for k, name in enumerate("abc"):
        packed(
            tmp_path / "in" / f"{name}.nc",
            seed=k,
            scale=0.01 * (k + 1),
            offset=270 + k,
            start=3 * k,
            file_format=file_format,
        )
    report = made(tmp_path / "in", tmp_path / "a.zarr")
    assert report.complete, reasons(report)
    assert any("unpacked" in note for note in report.notes)
    expected = np.concatenate([meaning(tmp_path / "in" / f"{name}.nc", "T") for name in "abc"])
    assert values(tmp_path / "a.zarr", "T").dtype == "f4"
    np.testing.assert_array_equal(decoded(tmp_path / "a.zarr"), expected.astype("f4"))
    assert np.isnan(expected[:, 0, 0]).all()
    assert not proved(tmp_path / "in", tmp_path / "a.zarr").wrong


def test_another_scale_is_refused_where_packing_is_to_be_kept(tmp_path: Path) -> None:
    for k, name in enumerate("abc"):
        packed(tmp_path / "in" / f"{name}.nc", seed=k, scale=0.01 if name < "c" else 0.5)
    report = made(tmp_path / "in", tmp_path / "a.zarr", members="file", packing="keep")
    assert "c.nc: T: has a scale_factor or add_offset of its own" in reasons(report)
    assert not report.complete
    found = decoded(tmp_path / "a.zarr")
    assert np.isnan(found[2]).all()
    np.testing.assert_allclose(
        found[0], meaning(tmp_path / "in" / "a.nc", "T"), rtol=1e-6, atol=2e-5
    )


def test_another_scale_within_one_run_is_refused_where_packing_is_to_be_kept(
    tmp_path: Path,
) -> None:
    for k, name in enumerate("ab"):
        packed(tmp_path / "in" / f"{name}.nc", seed=k, scale=0.01 * (k + 1), start=3 * k)
    report = made(tmp_path / "in", tmp_path / "a.zarr", packing="keep")
    assert "b.nc: T: has a scale_factor or add_offset of its own" in reasons(report)
    assert not (tmp_path / "a.zarr" / "T").exists()


@pytest.mark.parametrize("differ", [False, True])
def test_unsigned_numbers_in_signed_bytes(tmp_path: Path, differ: bool) -> None:
    for k, name in enumerate("ab"):
        packed(
            tmp_path / "in" / f"{name}.nc",
            seed=k,
            kind="i1",
            fill=-1,
            scale=0.5 * (1 + k * differ),
            start=3 * k,
            attrs={"_Unsigned": "true"},
            file_format="NETCDF3_CLASSIC",
        )
    assert made(tmp_path / "in", tmp_path / "a.zarr").complete
    expected = np.concatenate([meaning(tmp_path / "in" / f"{name}.nc", "T") for name in "ab"])
    assert np.nanmax(expected) > 270 + 0.5 * 127
    np.testing.assert_allclose(decoded(tmp_path / "a.zarr"), expected, rtol=1e-6, atol=2e-5)


def test_packing_unpack_gives_what_netcdf_gives(tmp_path: Path) -> None:
    source = packed(tmp_path / "one.nc")
    assert made(source, tmp_path / "a.zarr", packing="unpack").complete
    np.testing.assert_array_equal(
        values(tmp_path / "a.zarr", "T"), meaning(source, "T").astype("f4")
    )


# ---------------------------------------------------------------------------------------- fills
@pytest.mark.parametrize("time", [True, False])
def test_missing_values_stay_missing_where_files_mark_them_differently(
    tmp_path: Path, time: bool
) -> None:
    for name, fill in (("a", 1e20), ("b", -999.0), ("c", None)):
        path = climate(tmp_path / "in" / f"{name}.nc", seed=ord(name))
        with netCDF4.Dataset(path, "a") as data:
            dims = ("time", "lat", "lon") if time else ("lat", "lon")
            some = data.createVariable("S", "f4", dims, fill_value=fill)
            array = field(ord(name), 4, 4, 8) if time else field(ord(name), 4, 8)
            if fill is not None:
                array[..., 1, 1] = fill
            some[:] = array
    report = made(tmp_path / "in", tmp_path / "a.zarr", members="file")
    assert report.complete, reasons(report)
    for m, name in enumerate("abc"):
        expected = meaning(tmp_path / "in" / f"{name}.nc", "S")
        np.testing.assert_array_equal(decoded(tmp_path / "a.zarr", "S")[m], expected)
    assert not proved(tmp_path / "in", tmp_path / "a.zarr").wrong


@pytest.mark.parametrize("marks", [(-999.0, 1e20), (None, 1e20), (1e20, None), (-999.0, np.nan)])
def test_missing_value_attributes_that_differ(
    tmp_path: Path, marks: tuple[float | None, float | None]
) -> None:
    for name, mark in zip("ab", marks, strict=True):
        path = climate(tmp_path / "in" / f"{name}.nc", seed=ord(name))
        with netCDF4.Dataset(path, "a") as data:
            some = data.createVariable("S", "f4", ("time", "lat", "lon"))
            array = field(ord(name), 4, 4, 8)
            if mark is not None:
                some.missing_value = np.float32(mark)
                array[:, 2, 2] = mark
            some.set_auto_mask(False)
            some[:] = array
    assert made(tmp_path / "in", tmp_path / "a.zarr", members="file").complete
    for m, name in enumerate("ab"):
        expected = meaning(tmp_path / "in" / f"{name}.nc", "S")
        np.testing.assert_array_equal(decoded(tmp_path / "a.zarr", "S")[m], expected)


def test_a_fill_value_that_fits_no_number_is_kept_as_text(tmp_path: Path) -> None:
    import h5py

    source = climate(tmp_path / "one.nc")
    with h5py.File(source, "a") as file:
        file["land"].attrs["_FillValue"] = "none"
        file["land"].attrs["missing_value"] = np.array([7, 8], "i4")
    made(source, tmp_path / "a.zarr")
    assert values(tmp_path / "a.zarr", "land").shape == (4, 8)
    json.loads((tmp_path / "a.zarr" / "land" / "zarr.json").read_text())


# ------------------------------------------------------------------------------------ odd things
def big_endian(data: netCDF4.Dataset) -> None:
    data.createVariable("B", ">f4", ("time", "lat", "lon"), endian="big")[:] = field(1, 4, 4, 8)
    large = data.createVariable("L", ">f8", ("time", "rows", "columns"), endian="big", zlib=True)
    large[:] = field(2, 4, 64, 64)


def groups(data: netCDF4.Dataset) -> None:
    inner = data.createGroup("ocean").createGroup("deep")
    inner.createDimension("z", 3)
    inner.createVariable("z", "f4", ("z",))[:] = [10, 100, 1000]
    inner.createVariable("salt", "f4", ("time", "z", "lat"))[:] = field(1, 4, 3, 4)
    inner.note = "below"


def text(data: netCDF4.Dataset) -> None:
    data.createDimension("letters", 5)
    names = data.createVariable("names", "S1", ("lat", "letters"))
    texts = np.array([word.encode() for word in ("north", "né", "", "s")], "S5")
    names[:] = texts.view("S1").reshape(4, 5)
    data.createVariable("words", str, ("lon",))[:] = np.array(
        ["ä", "", "long " * 50, "d", "e", "f", "g", "h"], object
    )
    data.createVariable("label", str, ())[...] = np.array("one", object)


def scalars(data: netCDF4.Dataset) -> None:
    data.createVariable("x", "f8", ())[...] = 2.5
    data.createVariable("crs", "i4", ())[...] = -3


def empty(data: netCDF4.Dataset) -> None:
    data.createDimension("none", 0)
    data.createVariable("void", "f4", ("none", "lat"))
    data.createVariable("void2", "f4", ("time", "none"))


def integers(data: netCDF4.Dataset) -> None:
    for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"):
        limits = np.iinfo(kind)
        some = data.createVariable(f"v{kind}", kind, ("time", "rows", "columns"), zlib=True)
        some[:] = np.random.default_rng(3).integers(limits.min, limits.max, (4, 64, 64), kind)


def strange_chunks(data: netCDF4.Dataset) -> None:
    for name, how in (
        ("edge", {"zlib": True, "chunksizes": (3, 50, 33)}),
        ("sums", {"zlib": True, "fletcher32": True}),
        ("plain", {"contiguous": True}),
        ("bare", {"chunksizes": (1, 64, 64)}),
    ):
        dims = ("fixed", "rows", "columns")
        data.createVariable(name, "f4", dims, **how)[:] = field(4, 4, 64, 64)


@pytest.mark.parametrize(
    "more", [big_endian, groups, text, scalars, empty, integers, strange_chunks]
)
def test_everything_is_as_netcdf4_reads_it(
    tmp_path: Path, more: Callable[[netCDF4.Dataset], None]
) -> None:
    def all_of_it(data: netCDF4.Dataset) -> None:
        for name, size in (("rows", 64), ("columns", 64), ("fixed", 4)):
            data.createDimension(name, size)
        more(data)

    source = climate(tmp_path / "one.nc", more=all_of_it)
    report = made(source, tmp_path / "a.zarr")
    assert report.complete, reasons(report)
    assert difference(tmp_path / "a.zarr", netcdf_variables(source), set()) == ""
    assert not proved(source, tmp_path / "a.zarr").wrong


@pytest.mark.parametrize(
    "file_format",
    ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA", "NETCDF4_CLASSIC", "NETCDF4"],
)
def test_every_format(tmp_path: Path, file_format: str) -> None:
    source = climate(tmp_path / "one.nc", file_format=file_format, lon=600)
    report = made(source, tmp_path / "a.zarr")
    assert report.complete, reasons(report)
    assert report.direct
    assert difference(tmp_path / "a.zarr", netcdf_variables(source), set()) == ""


def test_a_run_without_any_time_yet(tmp_path: Path) -> None:
    source = climate(tmp_path / "one.nc", times=[])
    report = made(source, tmp_path / "a.zarr")
    assert report.complete, reasons(report)
    assert values(tmp_path / "a.zarr", "T").shape == (0, 4, 8)
    with xarray.open_zarr(tmp_path / "a.zarr", decode_times=False) as data:
        assert data.sizes["time"] == 0  # without times xarray cannot decode any calendar


@pytest.mark.parametrize("calendar", ["360_day", "noleap", "standard", "julian", None])
def test_times_as_xarray_reads_them(tmp_path: Path, calendar: str | None) -> None:
    source = climate(tmp_path / "one.nc", calendar=calendar, times=[0, 59, 60, 61.5])
    assert made(source, tmp_path / "a.zarr").complete
    with xarray.open_zarr(tmp_path / "a.zarr") as data, xarray.open_dataset(source) as expected:
        assert (data["time"].values == expected["time"].values).all()
        assert data["time"].dtype == expected["time"].dtype
        assert (data["time_bnds"].values == expected["time_bnds"].values).all()


def test_a_calendar_that_nobody_knows_is_kept(tmp_path: Path) -> None:
    source = climate(tmp_path / "one.nc", calendar="none", since="days since 0000-00-00")
    assert made(source, tmp_path / "a.zarr").complete
    with xarray.open_zarr(tmp_path / "a.zarr", decode_times=False) as data:
        assert data["time"].attrs["calendar"] == "none"
        assert list(data["time"].values) == [0, 1, 2, 3]


def test_attributes_that_json_has_not(tmp_path: Path) -> None:
    def odd(data: netCDF4.Dataset) -> None:
        air = data["T"]
        air.missing_value = np.float32("nan")
        air.valid_range = np.array([-np.inf, np.inf], "f4")
        air.flags = np.array([1, 2, 3], "i1")
        air.big = np.uint64(2**64 - 1)
        air.note = "°C \u2192 K"

    source = climate(tmp_path / "one.nc", more=odd)
    assert made(source, tmp_path / "a.zarr").complete
    with xarray.open_zarr(tmp_path / "a.zarr") as data:
        assert np.isnan(data["T"].values[0, 0, 0])
        assert data["T"].attrs["flags"] == [1, 2, 3]
        assert data["T"].attrs["note"] == "°C → K"


# ---------------------------------------------------------------------------------------- codecs
@pytest.mark.filterwarnings("ignore:Numcodecs codecs")  # so zarr-python calls pass-through
@pytest.mark.parametrize("codec", NAMES)
@pytest.mark.parametrize("file_format", ["NETCDF4", "NETCDF3_CLASSIC"])
def test_every_codec(tmp_path: Path, codec: str, file_format: str) -> None:
    source = members(tmp_path / "in", lon=600, file_format=file_format)
    report = made(source, tmp_path / "a.zarr", codec=codec)
    assert report.complete, reasons(report)
    for m in range(2):
        found = values(tmp_path / "a.zarr", "T")[m, 4:]
        with netCDF4.Dataset(source / f"run{m}" / "part1.nc") as data:
            data.set_auto_mask(False)
            assert found.tobytes() == data["T"][:].tobytes()
    assert not proved(source, tmp_path / "a.zarr").wrong


@pytest.mark.parametrize("read", ["map", "series"])
def test_layouts_for_other_readers(tmp_path: Path, read: str) -> None:
    how: dict[str, Any] = {"lat": np.linspace(-80, 80, 90), "lon": 180}
    source = members(tmp_path / "in", **how)
    assert made(source, tmp_path / "a.zarr", read=read).complete
    assert made(source, tmp_path / "b.zarr").complete
    found = values(tmp_path / "a.zarr", "T")
    np.testing.assert_array_equal(found, values(tmp_path / "b.zarr", "T"))
    import zarr

    chunk = zarr.open_array(tmp_path / "a.zarr" / "T", mode="r").chunks
    assert chunk[1] == (8 if read == "series" else 1)
    assert not proved(source, tmp_path / "a.zarr").wrong


def test_the_command_line_of_the_job(tmp_path: Path) -> None:
    source = members(tmp_path / "in")
    settings = tmp_path / "how.json"
    settings.write_text(json.dumps({"variables": ["T"], "codec": "lz4"}))
    said = job(source, tmp_path / "a.zarr", "--settings", str(settings), "--threads", "1")
    assert said.code == 0, said.all
    assert "complete: every shard was proved against its source" in said.out
    assert "2 members" in said.out
    said = job(source, tmp_path / "a.zarr", "--settings", str(settings), "--verify")
    assert said.code == 0, said.all
    assert "all are as the sources have them" in said.out
    for words in (["--codec", "zip"], ["--settings", "nowhere.json"], ["--threads", "-1"]):
        said = job(source, tmp_path / "b.zarr", *words)
        assert said.code == 78
        assert said.out.count("\n") == 1
