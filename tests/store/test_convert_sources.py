"""Bad sources: cut, flipped, replaced, gone, of strange names and sizes. The others are converted."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
import xarray
from support_store import climate, field, job, made, proved, reasons, refusal, values

from astrohpc.clock import SystemClock
from astrohpc.store.convert import Report, convert
from astrohpc.store.ranks import Alone
from astrohpc.store.settings import StoreSettings
from astrohpc.sweep.harvest import request_for

LARGE = {"lat": np.linspace(-80, 80, 96), "lon": 192}


def three(folder: Path, **how: object) -> Path:
    for k in range(3):
        climate(folder / f"{'abc'[k]}.nc", seed=k, **{**LARGE, **how})  # type: ignore[arg-type]
    return folder


def where(path: Path, name: str = "T") -> int:
    """The first byte of a variable's last chunk."""
    with h5py.File(path) as file:
        data = file[name]
        return int(data.id.get_chunk_info(data.id.get_num_chunks() - 1).byte_offset)


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


BAD: dict[str, Callable[[Path], None]] = {
    "cut in the data": lambda path: os.truncate(path, where(path) + 100),
    "cut in the header": lambda path: os.truncate(path, 300),
    "empty": lambda path: os.truncate(path, 0),
    "text": lambda path: path.write_text("slurmstepd: error: out of memory\n") and None,
    "a flipped bit": lambda path: overwrite(path, where(path) + 500, b"\x55"),
    "zeros in the data": lambda path: overwrite(path, where(path), bytes(4000)),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_named_and_the_others_are_converted(tmp_path: Path, what: str) -> None:
    source, store = three(tmp_path / "in"), tmp_path / "a.zarr"
    BAD[what](source / "b.nc")
    said = job(source, store, "--members", "file")
    assert said.code == 3, said.all
    line = next(line for line in said.out.splitlines() if "left out: " in line)
    assert str(source / "b.nc") in line
    with xarray.open_zarr(store) as data:
        found = {str(name): m for m, name in enumerate(data["member"].values)}
        for name in "ac":
            with xarray.open_dataset(source / f"{name}.nc") as expected:
                np.testing.assert_array_equal(data["T"][found[name]], expected["T"])
        assert data.attrs["astrohpc_state"] == "partial"
    climate(source / "b.nc", seed=1, **LARGE)
    assert job(source, store, "--members", "file").code == 0
    assert not proved(source, store).wrong


@pytest.mark.parametrize("file_format", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_DATA"])
def test_a_classic_file_that_was_cut(tmp_path: Path, file_format: str) -> None:
    source = three(tmp_path / "in", file_format=file_format)
    os.truncate(source / "b.nc", (source / "b.nc").stat().st_size // 2)
    report = made(source, tmp_path / "a.zarr", members="file")
    assert "b.nc" in reasons(report)
    assert not report.complete


def during(source: Path, store: Path, act: Callable[[], object]) -> Report:
    """Convert, and do something to the sources between the headers and the data."""
    acted: list[object] = []

    def stop() -> bool:
        if not acted:
            acted.append(act())
            acted.append(True)
        return False

    report = convert(
        request_for(source, store, StoreSettings(members="file", threads=1)),
        Alone(),
        SystemClock(),
        stop,
        lambda _text: None,
    )
    assert report is not None
    return report


def replace_by_other(path: Path) -> None:
    path.unlink()
    climate(path, seed=88, **LARGE)


@pytest.mark.parametrize(
    ("act", "word"),
    [
        (replace_by_other, "changed while it was read"),
        (lambda path: path.unlink(), "b.nc: T: "),
        (lambda path: os.truncate(path, 5000), "b.nc: T: "),
        (lambda path: os.utime(path, ns=(1, 1)), "changed while it was read"),
    ],
)
@pytest.mark.parametrize("chunked", [True, False])
def test_a_file_that_goes_or_changes_while_it_is_read(
    tmp_path: Path, act: Callable[[Path], None], word: str, chunked: bool
) -> None:
    source, store = three(tmp_path / "in", chunked=chunked), tmp_path / "a.zarr"
    report = during(source, store, lambda: act(source / "b.nc"))
    assert word in reasons(report), reasons(report)
    assert str(source / "b.nc") in reasons(report)
    assert not report.complete
    with xarray.open_zarr(store) as data:
        assert np.isnan(data["T"][1]).all()
        with xarray.open_dataset(source / "c.nc") as expected:
            np.testing.assert_array_equal(data["T"][2], expected["T"])


# ----------------------------------------------------------------------------------------- names
@pytest.mark.parametrize("name", ["..", ".", "zarr.json", "__x", ".astrohpc", "a" * 250, "ü" * 120])
def test_names_that_no_folder_can_have_or_that_would_escape(tmp_path: Path, name: str) -> None:
    source = climate(tmp_path / "in" / "one.nc")
    with h5py.File(source, "a") as file:
        if name in ("..", "."):
            file.create_group("g")
            low = h5py.h5s.create_simple((3,))
            lcpl = h5py.h5p.create(h5py.h5p.LINK_CREATE)
            try:
                h5py.h5d.create(file["g"].id, name.encode(), h5py.h5t.IEEE_F32LE, low, lcpl=lcpl)
            except (ValueError, OSError, RuntimeError):
                pytest.skip("HDF5 makes no such name")
        else:
            file.create_dataset(name, data=np.arange(3.0))
    report = made(source, tmp_path / "out" / "a.zarr")
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.zarr"}
    assert {one.name for one in (tmp_path / "out" / "a.zarr" / ".astrohpc").iterdir()} <= {
        "lock",
        "store.json",
        "report.json",
        "journal.jsonl",
    }
    assert values(tmp_path / "out" / "a.zarr", "T").shape == (4, 4, 8)
    stored = (tmp_path / "out" / "a.zarr" / name / "zarr.json").is_file()
    assert stored or name in reasons(report)


def test_names_in_other_scripts(tmp_path: Path) -> None:
    def more(data: netCDF4.Dataset) -> None:
        data.createVariable("температура", "f4", ("time", "lat", "lon"))[:] = field(1, 4, 4, 8)

    source = climate(tmp_path / "one.nc", more=more)
    assert made(source, tmp_path / "a.zarr").complete
    with xarray.open_zarr(tmp_path / "a.zarr") as data, xarray.open_dataset(source) as expected:
        np.testing.assert_array_equal(data["температура"], expected["температура"])


# ---------------------------------------------------------------------------------- strange HDF5
def test_data_in_another_file_is_not_followed(tmp_path: Path) -> None:
    source = climate(tmp_path / "in" / "one.nc")
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["key"] = np.arange(4.0)
    (tmp_path / "secret.bin").write_bytes(bytes(800))
    with h5py.File(source, "a") as file:
        file["elsewhere"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/key")
        file.create_dataset(
            "outside", (100,), "f8", external=[(str(tmp_path / "secret.bin"), 0, 800)]
        )
    report = made(source, tmp_path / "a.zarr")
    assert "elsewhere" in reasons(report)
    assert "outside" in reasons(report)
    assert not (tmp_path / "a.zarr" / "elsewhere").exists()
    assert not (tmp_path / "a.zarr" / "outside").exists()
    assert values(tmp_path / "a.zarr", "T").shape == (4, 4, 8)


@pytest.mark.parametrize("kind", ["f4", "S1", "O", "i8"])
def test_declared_terabytes_take_neither_memory_nor_hours(tmp_path: Path, kind: str) -> None:
    source = climate(tmp_path / "in" / "one.nc")
    with h5py.File(source, "a") as file:
        dtype = h5py.string_dtype() if kind == "O" else kind
        file.create_dataset("huge", (2_000_000, 1_000_000), dtype, chunks=(1000, 1000))
    said = job(source, tmp_path / "a.zarr", "--threads", "1", timeout=300)
    assert said.code == 3, said.all
    assert "huge" in said.out
    assert values(tmp_path / "a.zarr", "T").shape == (4, 4, 8)


def test_nothing_but_bad_files_is_one_sentence(tmp_path: Path) -> None:
    source = three(tmp_path / "in")
    for path in source.iterdir():
        path.write_text("no")
    assert "a.nc: is text and not NetCDF" in refusal(source, tmp_path / "a.zarr", members="file")
    assert "there is no such file" in refusal(tmp_path / "nowhere", tmp_path / "a.zarr")
    (tmp_path / "void").mkdir()
    assert "holds no file that ends in" in refusal(tmp_path / "void", tmp_path / "a.zarr")


@pytest.mark.parametrize("seed", range(3))
def test_random_damage_is_never_a_crash(tmp_path: Path, seed: int) -> None:
    chance = np.random.default_rng(seed)
    for k in range(8):
        file_format = ["NETCDF4", "NETCDF3_CLASSIC"][k % 2]
        path = climate(tmp_path / "in" / f"{k}.nc", seed=k, file_format=file_format)
        data = bytearray(path.read_bytes())
        for _ in range(chance.integers(1, 6)):
            data[int(chance.integers(min(len(data), 8000)))] = int(chance.integers(256))
        path.write_bytes(data)
    climate(tmp_path / "in" / "good.nc", seed=50)
    said = job(tmp_path / "in", tmp_path / "a.zarr", "--members", "file", "--threads", "1")
    assert said.code in (0, 3), said.all
