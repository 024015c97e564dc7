"""HDF5 and NetCDF-4: names, types and places are the library's; what Zarr cannot hold is named."""

import zlib
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
from netCDF4 import Dataset
from support_sources import assert_read_rightly, through_layout

from astrohpc.store import hdf5_layout
from astrohpc.store.library import open_library, values
from astrohpc.store.scan import scan
from astrohpc.store.source import BadSource, Chunks, Rows

KINDS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "S1")


def _numbers(shape: tuple[int, ...], kind: str) -> Any:
    raw = np.random.default_rng(3).integers(1, 100, shape)
    return raw.astype("u1").view("S1") if kind == "S1" else raw.astype(kind)


@pytest.mark.parametrize("packing", ["plain", "deflate", "both", "contiguous"])
def test_every_type_is_found_where_it_lies(tmp_path: Path, packing: str) -> None:
    options: dict[str, Any] = {
        "plain": {"chunksizes": (3, 5)},
        "deflate": {"chunksizes": (3, 5), "zlib": True, "shuffle": False},
        "shuffled": {"chunksizes": (3, 5), "shuffle": True},
        "both": {"chunksizes": (3, 5), "zlib": True, "shuffle": True, "complevel": 4},
        "contiguous": {"contiguous": True},
    }[packing]
    with Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("y", 5)  # chunks reach beyond both edges
        file.createDimension("x", 7)
        for kind in KINDS:
            for order in ("little", "big"):
                name = kind + order
                ordered = np.dtype(kind).newbyteorder(order)
                # One byte has no order, and the library refuses one for it.
                endian = order if ordered.itemsize > 1 else "native"
                file.createVariable(name, ordered, ("y", "x"), endian=endian, **options)
                file[name][:] = _numbers((5, 7), kind)
        file.createVariable("scalar", "f8", ())[...] = 2.5
    source = assert_read_rightly(tmp_path / "a.nc")
    assert source.format == "HDF5"
    for kind in ("f8little", "f8big", "i8big"):
        found = source.variable(kind).layout
        assert isinstance(found, Rows if packing == "contiguous" else Chunks), kind
    for one in source.variables:  # a few bytes may deflate to as many
        assert one.layout is not None or "at its edge" in one.why_library, one.path


def test_groups_and_growing_dimensions_are_named_as_the_library_names_them(tmp_path: Path) -> None:
    with Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("time", None)
        file.createDimension("run", None)
        file.createDimension("x", 3)
        file.createVariable("x", "f4", ("x",))[:] = [1, 2, 3]
        file.createVariable("T", "f4", ("time", "run", "x"))[:] = np.ones((4, 2, 3))
        group = file.createGroup("fine").createGroup("deep one")
        group.note = "kept"
        group.createDimension("x", 5)  # hides the root's
        group.createDimension("n", 2)
        group.createVariable("x", "i4", ("x",))[:] = np.arange(5)
        group.createVariable("T", "f8", ("time", "x", "n"))[:] = np.ones((3, 5, 2))
        group.createVariable("twice", "f8", ("x", "x"))[:] = np.ones((5, 5))
        file.createGroup("empty")
        file.createVariable("n", "f4", ("x",))[:] = 7  # no coordinate of the dimension below
    source = assert_read_rightly(tmp_path / "a.nc")
    assert source.dimensions["time"].size == 4
    assert source.dimensions["time"].unlimited
    deep = source.variable("fine/deep one/T")
    assert deep.dims == ("time", "fine/deep one/x", "fine/deep one/n")
    assert source.group_attrs == {"fine": {}, "fine/deep one": {"note": "kept"}, "empty": {}}
    assert deep.layout is None
    assert "growing dimension" in deep.why_library


def test_a_variable_with_the_name_of_a_dimension_that_it_does_not_have(tmp_path: Path) -> None:
    with Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("lev", 3)
        file.createDimension("x", 2)
        file.createVariable("lev", "f4", ("x",))[:] = [1, 2]
        file.createVariable("T", "f4", ("lev", "x"))[:] = np.ones((3, 2))
    with h5py.File(tmp_path / "a.nc") as file:
        assert "_nc4_non_coord_lev" in file
    assert assert_read_rightly(tmp_path / "a.nc").variable("lev").dims == ("x",)


def test_axes_of_plain_hdf5_are_numbered_as_the_library_numbers_them(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["square"] = np.ones((3, 7, 3))
        file["line"] = np.arange(7.0)
        file["group/more"] = np.ones((3, 2))
        file["group/deep/most"] = np.ones((2, 2))
        file.create_dataset("grown", (4, 3), maxshape=(None, 3), dtype="f4")[:] = 1
        file["again"] = file["line"]
        file["soft"] = h5py.SoftLink("/group/more")
        file["truth"] = np.array([True, False])
    source = assert_read_rightly(tmp_path / "a.h5")
    assert source.variable("square").dims[0] != source.variable("square").dims[2]
    assert source.variable("truth").attrs == {"flag_values": [0, 1], "flag_meanings": "FALSE TRUE"}


def test_scales_of_plain_hdf5_are_dimensions(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", track_order=True) as file:
        for name, size in (("lat", 3), ("lon", 4)):
            file[name] = np.arange(float(size))
            file[name].make_scale(name)
        file["T"] = np.ones((3, 4))
        file["T"].dims[0].attach_scale(file["lat"])
        file["T"].dims[1].attach_scale(file["lon"])
        file["T"].attrs["units"] = "K"
    source = assert_read_rightly(tmp_path / "a.h5")
    assert source.variable("T").dims == ("lat", "lon")
    assert source.variable("T").attrs == {"units": "K"}
    assert source.variable("lat").attrs == {}


def test_text_enumerations_and_attributes_of_all_kinds(tmp_path: Path) -> None:
    with Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("x", 3)
        clouds = file.createEnumType("u1", "clouds", {"clear sky": 0, "overcast": 9})
        file.createVariable("cloud", clouds, ("x",))[:] = [0, 9, 0]
        file.createVariable("name", str, ("x",))[:] = np.array(["a", "", "größe"], object)
        one = file.createVariable("v", "f4", ("x",))
        one[:] = 1
        one.setncatts({"text": "größe", "one": np.int64(7), "many": np.array([1.5, 2.5], "f4")})
        one.setncattr_string("texts", ["a", "b"])
        one.empty = ""
    with h5py.File(tmp_path / "a.nc", "a") as file:
        file["fixed"] = np.array([b"ab", b"c", b""], "S3")
        file["v"].attrs["latin"] = np.bytes_("größe".encode("latin-1"))
    source = assert_read_rightly(tmp_path / "a.nc")
    assert source.variable("cloud").attrs == {
        "flag_values": [0, 9],
        "flag_meanings": "clear_sky overcast",
    }
    assert source.variable("v").attrs == {
        "text": "größe",
        "one": 7,
        "many": [1.5, 2.5],
        "texts": ["a", "b"],
        "empty": "",
        "latin": "größe",
    }
    assert values(source, source.variable("name")).tolist() == ["a", "", "größe"]
    assert values(source, source.variable("fixed")).tolist() == ["ab", "c", ""]


@pytest.mark.parametrize(
    "options",
    [
        {"fletcher32": True},
        {"zlib": True, "fletcher32": True},
        {"compression": "szip"},
        {"compression": "bzip2"},
        {"compression": "zstd"},
        {"compression": "blosc_lz"},
    ],
    ids=str,
)
def test_other_filters_are_left_to_the_library(tmp_path: Path, options: dict[str, Any]) -> None:
    with Dataset(tmp_path / "a.nc", "w") as file:
        name = options.get("compression", "").split("_")[0].replace("zstd", "zstandard")
        if name and not getattr(netCDF4, f"__has_{name}_support__"):
            pytest.skip(f"this netCDF4 was built without {name}")
        file.createDimension("x", 1000)
        file.createVariable("v", "f4", ("x",), chunksizes=(300,), **options)[:] = np.arange(1000)
    source = assert_read_rightly(tmp_path / "a.nc")
    (one,) = source.variables
    assert one.layout is None
    assert "filter" in one.why_library
    with open_library(source) as file:
        np.testing.assert_array_equal(file.read(one, (slice(5, 900, 7),)), np.arange(5, 900, 7))


@pytest.mark.parametrize("options", [{"compression": "lzf"}, {"scaleoffset": 3}], ids=str)
def test_filters_that_only_h5py_knows_are_left_to_it(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("v", data=np.arange(100) % 7, chunks=(30,), **options)
    source = scan(tmp_path / "a.h5")
    (one,) = source.variables
    assert one.layout is None
    assert next(iter(options)) in one.why_library.replace("-", "") or "lzf" in one.why_library
    np.testing.assert_array_equal(values(source, one), np.arange(100) % 7)


def test_chunks_that_were_never_written_are_the_fill_value(tmp_path: Path) -> None:
    with Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("x", 10)
        for name, fill in (("chosen", -9.0), ("default", None)):
            one = file.createVariable(
                name, "f4", ("x",), chunksizes=(3,), zlib=True, fill_value=fill
            )
            one[3:5] = [1, 2]
        file.createVariable("nothing", "i2", ("x",), fill_value=7)
    source = assert_read_rightly(tmp_path / "a.nc")
    for name, fill in (("chosen", -9.0), ("default", np.float32(netCDF4.default_fillvals["f4"]))):
        one = source.variable(name)
        assert one.fill == fill
        assert isinstance(one.layout, Chunks)
        assert (one.layout.offset < 0).tolist() == [True, False, True, True]


def test_a_fill_value_that_the_file_does_not_fill_with_is_not_taken_for_it(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        one = file.create_dataset("v", (10,), "f4", chunks=(3,))
        one[0:3] = 1
        one.attrs["_FillValue"] = np.float32(-9)
    source = scan(tmp_path / "a.h5")
    (found,) = source.variables
    assert found.fill == -9
    assert found.layout is None
    assert values(source, found).tolist() == [1] * 3 + [0] * 7


def test_a_chunk_whose_filters_were_left_out_sends_all_to_the_library(tmp_path: Path) -> None:
    data = np.arange(6, dtype="f4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        one = file.create_dataset("v", (6,), "f4", chunks=(3,), compression="gzip")
        one.id.write_direct_chunk((0,), data[:3].tobytes(), filter_mask=1)
        one.id.write_direct_chunk((3,), zlib.compress(data[3:].tobytes()))
    source = assert_read_rightly(tmp_path / "a.h5")
    assert "left out" in source.variables[0].why_library
    np.testing.assert_array_equal(values(source, source.variables[0]), data)


def test_a_library_without_a_chunk_iterator_gives_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Old:
        """What a dataset offers when h5py was built with an HDF5 from before 1.12.3."""

        def __init__(self, dsid: Any) -> None:
            self.get_num_chunks = dsid.get_num_chunks
            self.get_chunk_info = dsid.get_chunk_info

    with Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("x", 10)
        file.createVariable("v", "f4", ("x",), chunksizes=(3,), zlib=True)[:] = np.arange(10)
    new = scan(tmp_path / "a.nc").variables[0].layout
    look_up = hdf5_layout._look_up
    monkeypatch.setattr(hdf5_layout, "_look_up", lambda dsid, *rest: look_up(Old(dsid), *rest))
    old = scan(tmp_path / "a.nc").variables[0].layout
    assert isinstance(new, Chunks)
    assert isinstance(old, Chunks)
    assert old.offset.tolist() == new.offset.tolist()
    assert old.nbytes.tolist() == new.nbytes.tolist()


def test_a_block_before_the_file_changes_no_value(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=1024) as file:
        file.create_dataset("v", data=np.arange(10.0), chunks=(3,), compression="gzip")
        file["w"] = np.arange(4)
    source = assert_read_rightly(tmp_path / "a.h5")
    assert all(one.layout is None for one in source.variables)


def test_what_zarr_cannot_hold_is_named_with_its_reason(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["compound"] = np.zeros(2, [("a", "f4"), ("b", "i4")])
        file["complex"] = np.zeros(2, complex)
        file["opaque"] = np.zeros(2, "V3")
        file.create_dataset("lists", (2,), h5py.vlen_dtype("i4"))
        file["references"] = np.array([file["compound"].ref], h5py.ref_dtype)
        file.create_dataset("arrays", (2,), np.dtype(("f4", (3,))))
        file["null"] = h5py.Empty("f4")
        file["long"] = np.zeros(2, np.longdouble)
        file["ok"] = np.arange(3)
        file["ok"].attrs["pair"] = np.zeros((), [("a", "f4")])
        file["ok"].attrs["kept"] = 1
    source = scan(tmp_path / "a.h5")
    assert [one.path for one in source.variables] == ["ok"]
    assert source.variable("ok").attrs == {"kept": 1}
    expected = {
        "compound": "compound",
        "complex": "compound",
        "opaque": "opaque",
        "lists": "a list of any length",
        "references": "references",
        "arrays": "an array in each cell",
        "null": "without any values",
        "long": "16 bytes",
        "ok:pair": "compound",
    }
    assert set(source.unstorable) == set(expected)
    assert all(why in source.unstorable[name] for name, why in expected.items())


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"12345678")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["v"] = np.arange(4.0)
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "v", (4,))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink("other.h5", "/v")
        file["dangling"] = h5py.SoftLink("/nowhere")
        file["through"] = h5py.SoftLink("/link")
        file["loop/self"] = h5py.SoftLink("/loop")
        file["loop/again"] = file["loop"]
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("external", (1,), "f8", external=[(tmp_path / "secret", 0, 8)])
        file["ok"] = 1
    source = scan(tmp_path / "a.h5")
    assert [one.path for one in source.variables] == ["ok"]
    assert "another file (/v in other.h5)" in source.unstorable["link"]
    assert "virtual" in source.unstorable["virtual"]
    assert "another file" in source.unstorable["external"]
    assert {"dangling", "through", "loop/self", "loop/again"} < set(source.unstorable)


def test_declared_terabytes_cost_no_memory(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("few", (10**6, 10**6), "f8", chunks=(10**4, 10**4), fillvalue=1)
        file.create_dataset("many", (10**5, 10**5), "f8", chunks=(40, 50), fillvalue=1)
        file.create_dataset("more", (10**9, 10**9), "f8", chunks=(8, 8), fillvalue=1)
        file["more"][5, 5] = 2
        file["many"][5, 5] = 2
    source = scan(tmp_path / "a.h5")
    few = source.variable("few").layout
    assert isinstance(few, Chunks)
    assert few.offset.size == 10**4
    assert source.variable("many").layout is None
    assert "too many chunks" in source.variable("many").why_library
    assert "chunks, more than" in source.unstorable["more"]
    with open_library(source) as file:
        corner = file.read(source.variable("many"), (slice(4, 6), slice(4, 6)))
    assert corner.tolist() == [[1, 1], [1, 2]]


def test_a_dimension_of_no_length_is_kept(tmp_path: Path) -> None:
    with Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("time", None)
        file.createDimension("x", 3)
        file.createVariable("T", "f4", ("time", "x"), zlib=True)
    source = assert_read_rightly(tmp_path / "a.nc")
    assert source.variables[0].shape == (0, 3)


def test_chunks_beyond_the_end_of_the_file_are_damage(tmp_path: Path) -> None:
    """The library checks the end that the file states; what the index states, it trusts."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="v110") as file:
        file.create_dataset("v", data=np.arange(1000.0), chunks=(1000,))
        address = file["v"].id.get_chunk_info(0).byte_offset
    content = path.read_bytes()
    place = content.find(address.to_bytes(8, "little"))
    assert place > 0
    wrong = content[:place] + (10**9).to_bytes(8, "little") + content[place + 8 :]
    path.write_bytes(wrong)
    with pytest.raises(BadSource, match=r"a\.h5: .*(beyond the end|damaged)"):
        scan(path)


def test_layouts_hold_in_a_file_of_the_newest_form(tmp_path: Path) -> None:
    """Chunk indexes come in five kinds; the newest files use all but the oldest."""
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        for name, most in (("fixed", (9, 9)), ("grown", (None, 9)), ("both", (None, None))):
            file.create_dataset(
                name,
                data=_numbers((9, 9), "f4"),
                maxshape=most,
                chunks=(4, 4),
                compression=4,
                shuffle=True,
            )
        file.create_dataset("single", data=_numbers((9, 9), "f4"), chunks=(9, 9), compression=4)
        file.create_dataset("shuffled", data=_numbers((9, 9), "f4"), chunks=(3, 3), shuffle=True)
        file.create_dataset("implicit", data=_numbers((9, 9), "f4"), chunks=(4, 4))
    source = scan(tmp_path / "a.h5")
    for one in source.variables:
        np.testing.assert_array_equal(through_layout(source, one), _numbers((9, 9), "f4"), one.path)
