"""What is a source and what is not; and all real files at hand, held against netCDF4-python."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from netCDF4 import Dataset
from support_sources import (
    SHARED,
    ZOO,
    assert_read_rightly,
    assert_same,
    needs_models,
    needs_zoo,
    netcdf4_values,
    through_layout,
)

from astrohpc.store.library import as_text, open_library, values
from astrohpc.store.scan import changed, scan
from astrohpc.store.source import BadSource, Source


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\0" * 900, "all zeros"),
        (b"time,T\n0,280\n", "text and not NetCDF"),
        ("größe\n".encode(), "text and not NetCDF"),
        (b"GRIB\0\0\1\2", "GRIB"),
        (b"\x0e\x03\x13\x01\0\0", "HDF4"),
        (b"version https://git-lfs.github.com/spec/v1\noid x\n", "git lfs pull"),
        (b"\x1f\x8b\x08\0", "gunzip"),
        (b"CDF\x09\0\0\0\0", "damaged in its first bytes"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "damaged or was cut short"),
        (bytes(range(128, 256)) * 9, "neither NetCDF nor HDF5"),
        (b"CDF\1\0", "ends in the middle"),
    ],
)
def test_what_is_no_source_is_called_by_its_name(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "a.nc"
    path.write_bytes(content)
    with pytest.raises(BadSource, match=rf"a\.nc: .*{sentence}"):
        scan(path)


def test_a_folder_a_pipe_and_nothing_are_no_sources(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    for name, sentence in (
        ("", "a folder"),
        ("pipe", "no ordinary file"),
        ("none", "no such file"),
    ):
        with pytest.raises(BadSource, match=sentence):
            scan(tmp_path / name)


def test_a_file_that_was_written_anew_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    for form in ("NETCDF3_CLASSIC", "NETCDF4"):
        with Dataset(path, "w", format=form) as file:
            file.createDimension("x", 3)
            file.createVariable("v", "f4", ("x",))[:] = 1
        source = scan(path)
        assert not changed(source)
        os.utime(path, ns=(source.mtime_ns, source.mtime_ns + 1))
        assert changed(source)
        path.unlink()
        assert changed(source)


def test_a_file_cut_after_its_scan_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    for form in ("NETCDF3_CLASSIC", "NETCDF4"):
        with Dataset(path, "w", format=form) as file:
            file.createDimension("x", 3000)
            file.createVariable("v", "f4", ("x",))[:] = 1
        source = scan(path)
        os.truncate(path, source.bytes - 100)
        with pytest.raises(BadSource, match=r"a\.nc: .*(cut|ends in the middle)"):
            values(source, source.variable("v"))


def test_chars_are_joined_to_text(tmp_path: Path) -> None:
    with Dataset(tmp_path / "a.nc", "w", format="NETCDF3_CLASSIC") as file:
        file.createDimension("n", 2)
        file.createDimension("length", 6)
        chars = np.array([list("ab\0\0\0\0"), list("größe"[:3] + "\0\0\0")], "U1")
        raw = np.frombuffer(b"ab\0\0\0\0gr\xc3\xb6\0\0", "S1").reshape(chars.shape)
        file.createVariable("name", "S1", ("n", "length"))[:] = raw
    source = assert_read_rightly(tmp_path / "a.nc")
    joined = as_text(values(source, source.variable("name")))
    assert joined.tolist() == ["ab", "grö"]
    assert as_text(np.array([b"a", b"\0"], "S1")).tolist() == "a"


def test_parts_are_the_same_by_all_libraries(tmp_path: Path) -> None:
    raw = np.arange(4 * 5 * 6, dtype="f4").reshape(4, 5, 6)
    parts = (
        (slice(None), slice(1, 4, 2), slice(0, 0)),
        (slice(2, None), slice(None), slice(5, 9)),
        (slice(0, 4, 3), slice(4, 5), slice(None, None, 5)),
    )
    for form in ("NETCDF3_64BIT_DATA", "NETCDF4"):
        path = tmp_path / f"{form}.nc"
        with Dataset(path, "w", format=form) as file:
            for name, size in (("t", None), ("y", 5), ("x", 6)):
                file.createDimension(name, size)
            file.createVariable("v", "f4", ("t", "y", "x"))[:] = raw
        source = scan(path)
        with open_library(source) as reader:
            for part in parts:
                assert_same(reader.read(source.variable("v"), part), raw[part], f"{form} {part}")


DAMAGE = """
import sys
from pathlib import Path
from astrohpc.store.library import values
from astrohpc.store.scan import scan
from astrohpc.store.source import BadSource
for name in sys.argv[1:]:
    try:
        source = scan(Path(name))
        for variable in source.variables:
            if variable.nbytes < 10**6:
                values(source, variable)
        print("read")
    except BadSource:
        print("refused")
"""


def test_damaged_hdf5_is_refused_or_read_and_nothing_else(tmp_path: Path) -> None:
    """In a process of its own, for the HDF5 library is C; its heap has a hang of its own, left out."""
    with Dataset(tmp_path / "whole.nc", "w") as file:
        file.createDimension("time", None)
        file.createDimension("x", 5)
        file.createVariable("x", "f4", ("x",))[:] = 1
        file.createVariable("T", "f4", ("time", "x"), zlib=True)[:] = np.ones((4, 5))
        file.createGroup("g").createVariable("U", "i2", ("time", "x"))[:] = np.ones((4, 5))
    whole = (tmp_path / "whole.nc").read_bytes()
    heap = whole.index(b"GCOL")
    places = [*range(heap), *range(heap + 4096, len(whole))]
    rng = random.Random(5)
    names = []
    for i in range(150):
        content = bytearray(whole)
        for place in rng.sample(places, 3):
            content[place] ^= rng.randint(1, 255)
        if i % 5 == 0:
            content = content[: rng.randrange(len(content))]
        names.append(tmp_path / f"{i}.nc")
        names[-1].write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", DAMAGE, *names],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    results = done.stdout.split()
    assert len(results) == len(names)
    assert set(results) == {"read", "refused"}
    assert done.stderr == ""


# The library leaves its buffer as it was where these were never written; we fill.
UNWRITTEN = ("never written", "growing dimension")


def _held_against_the_library(path: Path) -> tuple[Source, str]:
    """One file: all variables, by all ways; what netCDF4 does not open is held against h5py."""
    source = scan(path)
    try:
        expected = netcdf4_values(path)
    except TypeError:
        expected = {}
        with h5py.File(path) as file:
            datasets = {name for name, one in file.items() if isinstance(one, h5py.Dataset)}
        assert datasets <= set(source.unstorable)
    assert {one.path for one in source.variables} <= set(expected)
    assert set(expected) <= {one.path for one in source.variables} | set(source.unstorable)
    for variable in source.variables:
        theirs, dims = expected[variable.path]
        what = f"{path.name}: {variable.path}"
        assert variable.dims == dims, what
        ours = values(source, variable)
        if any(one in variable.why_library for one in UNWRITTEN):
            assert ours.shape == theirs.shape, what
            assert ours.dtype == theirs.dtype, what
        else:
            assert_same(ours, theirs, what)
        if variable.layout is not None:
            assert_same(through_layout(source, variable), theirs, what)
    direct = sum(one.layout is not None for one in source.variables)
    held = f"{len(source.variables)} variables, {direct} direct"
    return source, held + (f", {len(source.unstorable)} unstorable" if source.unstorable else "")


def _borne_out(entry: dict[str, Any], source: Source) -> None:
    """What we leave out is what the catalogue says of the file."""
    reasons = " ".join(source.unstorable.values())
    for word, tag in (("compound", "compound"), ("list of any length", "vlen")):
        if tag in entry["tags"]:
            assert word in reasons, entry["file"]
    if source.format == "HDF5":
        assert entry["netcdf4_python"] == "ok" or source.unstorable, entry["file"]


@needs_zoo
def test_every_file_of_the_zoo_is_read_right_or_refused_with_reason() -> None:
    catalogue = json.loads((ZOO / "CATALOG.json").read_text())
    assert len(catalogue) >= 149
    for entry in catalogue:
        try:
            source, result = _held_against_the_library(ZOO / entry["file"])
        except BadSource as error:
            assert entry["kind"] != "netCDF", f"{entry['file']} is read by others: {error}"
            assert entry["netcdf4_python"] != "ok", entry["file"]
            result = str(error).removeprefix(f"{ZOO / entry['file']}: ")
        else:
            assert entry["kind"] in {"netCDF", "UNREADABLE"}, entry["file"]
            _borne_out(entry, source)
        print(f"{entry['file']:<70} {result}")


@needs_models
def test_output_of_real_models_is_read_right() -> None:
    folders = (SHARED / "gcm", SHARED / "giss_modelE_cmip")
    files = sorted(path for folder in folders for path in folder.rglob("*.nc"))
    assert files
    for path in files:
        _, result = _held_against_the_library(path)
        print(f"{path.name:<70} {result}")
