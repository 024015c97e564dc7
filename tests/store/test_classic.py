"""Headers of classic files: every dialect is read right, every damage costs a sentence."""

import struct
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from netCDF4 import Dataset
from support_sources import assert_read_rightly, netcdf4_values, through_layout

from astrohpc.store.library import open_library, values
from astrohpc.store.scan import scan
from astrohpc.store.source import BadSource, Rows

FORMATS = ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA")
OLD_TYPES = ("i1", "S1", "i2", "i4", "f4", "f8")
NEW_TYPES = ("u1", "u2", "u4", "i8", "u8")


def _write(path: Path, form: str, records: int = 3) -> bytes:
    rng = np.random.default_rng(1)
    with Dataset(path, "w", format=form) as file:
        file.title = "odd sizes"
        file.createDimension("time", None)
        file.createDimension("x", 5)
        file.createDimension("y", 2)
        for kind in OLD_TYPES + (NEW_TYPES if form.endswith("DATA") else ()):
            for where in (("y", "x"), ("time", "x"), ("time",)):
                name = kind + "".join(where)
                variable = file.createVariable(name, kind, where)
                variable.units = "K"
                variable.levels = np.array([1, 2, 3], "i2")
                shape = tuple({"time": records, "x": 5, "y": 2}[one] for one in where)
                raw = rng.integers(1, 100, shape)
                if records or where[0] != "time":
                    variable[:] = raw.astype("u1").view("S1") if kind == "S1" else raw.astype(kind)
        file.createVariable("scalar", "f8", ())[...] = 1.5
    return path.read_bytes()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("records", [0, 1, 3])
def test_every_type_and_rank_is_read_as_the_library_reads_it(
    tmp_path: Path, form: str, records: int
) -> None:
    _write(tmp_path / "a.nc", form, records)
    source = assert_read_rightly(tmp_path / "a.nc")
    assert source.format == f"CDF-{(1, 2, 5)[FORMATS.index(form)]}"
    assert source.dimensions["time"].unlimited
    assert source.attrs == {"title": "odd sizes"}
    assert source.variable("i2yx").attrs == {
        "units": "K",
        "levels": [1, 2, 3],
    }
    assert all(isinstance(one.layout, Rows) for one in source.variables)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", ["i1", "i2", "S1", "f8"])
def test_a_record_variable_alone_is_not_padded(tmp_path: Path, form: str, kind: str) -> None:
    with Dataset(tmp_path / "a.nc", "w", format=form) as file:
        file.createDimension("time", None)
        file.createDimension("x", 3)
        variable = file.createVariable("alone", kind, ("time", "x"))
        raw = np.arange(12).reshape(4, 3) + 65
        variable[:] = raw.astype("u1").view("S1") if kind == "S1" else raw.astype(kind)
    source = assert_read_rightly(tmp_path / "a.nc")
    (alone,) = source.variables
    assert isinstance(alone.layout, Rows)
    assert alone.layout.stride == 3 * np.dtype(kind).itemsize


def test_a_part_is_read_as_numpy_would_cut_it(tmp_path: Path) -> None:
    _write(tmp_path / "a.nc", FORMATS[1])
    source = scan(tmp_path / "a.nc")
    whole = netcdf4_values(tmp_path / "a.nc")
    with open_library(source) as file:
        for part in (
            (slice(1, 3), slice(0, 5, 2)),
            (slice(None), slice(2, 2)),
            (slice(2, 9), slice(4)),
        ):
            got = file.read(source.variable("f4timex"), part)
            np.testing.assert_array_equal(got, whole["f4timex"][0][part])


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_written_as_a_stream_has_as_many_records_as_fit(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.nc"
    whole = _write(path, form)
    expected = netcdf4_values(path)
    count = 8 if form.endswith("DATA") else 4
    path.write_bytes(whole[:4] + b"\xff" * count + whole[4 + count :])
    source = scan(path)
    assert source.dimensions["time"].size == 3
    for variable in source.variables:
        np.testing.assert_array_equal(values(source, variable), expected[variable.path][0])
    path.write_bytes(whole[:4] + b"\xff" * count + whole[4 + count : -9])
    with pytest.raises(BadSource, match="ends in the middle"):
        scan(path)


@pytest.mark.parametrize("form", FORMATS)
def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.nc"
    whole = _write(path, form)
    padding = 3  # after the last value, which the library itself need not write
    for size in (*range(5, len(whole) - padding, 37), len(whole) - padding - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(BadSource, match=r"a\.nc: ends in the middle"):
            scan(path)


def _name(text: bytes, long: bool = False) -> bytes:
    return struct.pack(">Q" if long else ">I", len(text)) + text + b"\0" * (-len(text) % 4)


def _list(tag: int, *entries: bytes) -> bytes:
    return struct.pack(">II", tag if entries else 0, len(entries)) + b"".join(entries)


def _variable(name: bytes, dims: tuple[int, ...], begin: int, kind: int = 4) -> bytes:
    return (
        _name(name)
        + struct.pack(f">I{len(dims)}I", len(dims), *dims)
        + _list(12)
        + struct.pack(">III", kind, 0xFFFFFFFF, begin)
    )


def _file(dims: list[tuple[bytes, int]], variables: list[bytes], data: int = 200) -> bytes:
    return (
        b"CDF\1\0\0\0\2"
        + _list(10, *(_name(name) + struct.pack(">I", size) for name, size in dims))
        + _list(12)
        + _list(11, *variables)
        + bytes(range(data))
    )


X = [(b"x", 5)]
HUGE = struct.pack(">I", 0x7FFFFFFF)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"CDF\1" + b"\0\0\0\0\0\0\0\x0a" + HUGE, "tells of 2147483647 dimensions"),
        (
            b"CDF\1" + b"\0\0\0\0\0\0\0\x0a\0\0\0\1" + HUGE + bytes(9),
            "2147483647 bytes in one piece",
        ),
        (b"CDF\5" + b"\0" * 8 + b"\0\0\0\x0a" + b"\x7f" + b"\xff" * 7, "dimensions"),
        (_file([(b"x", 5), (b"x", 6)], []), "two dimensions 'x'"),
        (_file([(b"x", 0), (b"y", 0)], []), "two record dimensions"),
        (_file([(b"\xff\xfe", 5)], []), "a name that is no text"),
        (_file([(b"", 5)], []), "a name that is none"),
        (_file([(b"a\0b", 5)], []), "a name that is none"),
        (_file(X, [_variable(b"v", (7,), 100)]), "a dimension that is not defined"),
        (_file(X, [_variable(b"v", (0,), 100, kind=9)]), "a type 9"),
        (_file(X, [_variable(b"v", (0,), 100, kind=99)]), "a type 99"),
        (_file(X, [_variable(b"v", (0,), 8)]), "'v' begins inside the header"),
        (_file(X, [_variable(b"v", (0,), 100), _variable(b"v", (0,), 140)]), "two variables 'v'"),
        (_file(X, [_variable(b"v", (0,), 140), _variable(b"w", (0,), 150)]), "'v' and 'w' overlap"),
        (_file([(b"t", 0), *X], [_variable(b"v", (1, 0), 140)]), "the record axis first"),
        (_file([(b"x", 2**31)], [_variable(b"v", (0, 0, 0, 0), 120)]), "ends in the middle"),
        (b"CDF\1\0\0\0\0\0\0\0\x0b\0\0\0\1" + bytes(40), "no list of dimensions"),
    ],
)
def test_a_damaged_header_is_named_by_its_damage(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "a.nc"
    path.write_bytes(content)
    with pytest.raises(BadSource, match=rf"a\.nc: .*{sentence}"):
        scan(path)


def test_a_sound_header_of_our_own_making_is_read(tmp_path: Path) -> None:
    """The other side of the test above: what it damages is sound without the damage."""
    path = tmp_path / "a.nc"
    content = _file(X, [_variable(b"v", (0,), 140), _variable(b"w", (0,), 160)])
    path.write_bytes(content)
    source = scan(path)
    expected = np.frombuffer(content[140:160], ">i4")
    np.testing.assert_array_equal(values(source, source.variable("v")), expected)
    np.testing.assert_array_equal(through_layout(source, source.variable("v")), expected)


def test_a_name_that_leads_elsewhere_is_reported_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    names = (b"../../etc", b"..", b"ok", b"zarr.json")
    path.write_bytes(_file(X, [_variable(name, (), 190 + 4 * i) for i, name in enumerate(names)]))
    source = scan(path)
    assert [one.path for one in source.variables] == ["ok"]
    assert set(source.unstorable) == {"../../etc", "..", "zarr.json"}


def test_a_name_may_have_spaces_and_any_script(tmp_path: Path) -> None:
    with Dataset(tmp_path / "a.nc", "w", format=FORMATS[0]) as file:
        file.createDimension("größe", 2)
        file.createVariable("T at 2 m", "f4", ("größe",))[:] = [1, 2]
        file.createVariable("温度", "f4", ("größe",)).setncattr("Einheit °", "K²")
    source = assert_read_rightly(tmp_path / "a.nc")
    assert source.variable("温度").attrs == {"Einheit °": "K²"}


def test_a_fill_value_is_of_the_variables_type(tmp_path: Path) -> None:
    with Dataset(tmp_path / "a.nc", "w", format=FORMATS[0]) as file:
        file.createDimension("x", 2)
        file.createVariable("f", "f4", ("x",), fill_value=-1e30)
        file.createVariable("i", "i2", ("x",), fill_value=-9)
        file.createVariable("c", "S1", ("x",), fill_value=b"*")
        file.createVariable("none", "f8", ("x",))
    source = scan(tmp_path / "a.nc")
    fills = {one.path: one.fill for one in source.variables}
    assert fills == {"f": np.float32(-1e30), "i": -9, "c": b"*", "none": None}
    assert fills["f"].dtype == "f4"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    folder = tmp_path_factory.mktemp("damage")
    return folder, [_write(folder / "whole.nc", form) for form in FORMATS]


@hypothesis.settings(max_examples=300)
@hypothesis.given(
    form=st.integers(0, 2),
    damage=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=4),
    cut=st.none() | st.floats(0, 1),
)
def test_whatever_is_damaged_it_is_refused_or_read_like_the_library(
    whole: tuple[Path, list[bytes]],
    form: int,
    damage: list[tuple[float, int]],
    cut: float | None,
) -> None:
    folder, files = whole
    content = bytearray(files[form])
    header = content.index(b"scalar") + 40
    for where, bits in damage:
        content[int(where * (header - 5)) + 4] ^= bits
    if cut is not None:
        content = content[: int(cut * len(content))]
    path = folder / "damaged.nc"
    path.write_bytes(content)
    try:
        source = scan(path)
    except BadSource as error:
        assert "damaged.nc: " in str(error)
        return
    ours = {one.path: values(source, one) for one in source.variables}
    try:
        theirs = netcdf4_values(path)
    except (OSError, RuntimeError, ValueError, IndexError, AttributeError):
        return  # sound in our eyes, and what it says is there
    for name in set(ours) & set(theirs):
        np.testing.assert_array_equal(ours[name], theirs[name][0])
