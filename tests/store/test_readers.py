"""Every kind of store, value for value, in every reader; and metadata that every parser of JSON takes."""

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray
import zarr
from support_store import climate, field, made, members, reasons

from astrohpc.store.codec import NAMES

pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs")  # so zarr calls pass-through
LARGE = {"lat": np.linspace(-80, 80, 64), "lon": 100}


def odd(data: netCDF4.Dataset) -> None:
    """All types, gaps in chunks, an integer with a fill, an edge in a shard."""
    for name, size in (("rows", 70), ("columns", 130)):
        data.createDimension(name, size)
    for kind in ("i1", "u2", "i4", "u8", "f8"):
        some = data.createVariable(f"v{kind}", kind, ("time", "rows", "columns"), fill_value=7)
        some[:] = (field(3, 4, 70, 130) % 100).astype(kind)
    part = data.createVariable(
        "half", "f4", ("rows", "columns"), chunksizes=(40, 50), zlib=True, fill_value=-1.0
    )
    part[:40] = field(4, 40, 130)


def one_file(folder: Path) -> Path:
    return climate(folder / "one.nc", more=odd, **LARGE)  # type: ignore[arg-type]


def two_members(folder: Path) -> Path:
    return members(folder / "in", **LARGE)


def classic(folder: Path) -> Path:
    return members(folder / "in", file_format="NETCDF3_CLASSIC", **LARGE)


def ragged(folder: Path) -> Path:
    for name, times in (("a", range(9)), ("b", range(5))):
        climate(folder / "in" / f"{name}.nc", seed=ord(name), times=times, **LARGE)  # type: ignore[arg-type]
    return folder / "in"


KINDS: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    **{codec: (two_members, {"codec": codec}) for codec in NAMES},
    "types": (one_file, {}),
    "types lz4": (one_file, {"codec": "lz4"}),
    "classic": (classic, {}),
    "ragged": (ragged, {"members": "file", "vary": ("time",)}),
    "series": (two_members, {"read": "series"}),
    "map": (two_members, {"read": "map"}),
}


@pytest.fixture(scope="module", params=KINDS)
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, dict[str, np.ndarray[Any, Any]]]:
    """A store of one kind, and its values as zarr-python reads them."""
    make, settings = KINDS[request.param]
    folder = tmp_path_factory.mktemp("readers")
    source = make(folder)
    report = made(source, folder / "a.zarr", **settings)
    assert report.complete, reasons(report)
    return request.param, folder / "a.zarr", read(folder / "a.zarr")


def read(store: Path) -> dict[str, np.ndarray[Any, Any]]:
    root = zarr.open_group(store, mode="r")
    return {name: np.asarray(array[...]) for name, array in root.arrays()}


def same(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    return one.shape == other.shape and one.tobytes() == np.asarray(other, one.dtype).tobytes()


def test_zarr_python_reads_what_the_sources_have(
    stored: tuple[str, Path, dict[str, np.ndarray[Any, Any]]],
) -> None:
    _, store, found = stored
    sources = sorted(store.parent.rglob("*.nc"))
    for path in sources:
        with netCDF4.Dataset(path) as data:
            data.set_auto_mask(False)
            values = data["T"][:]
        stacked = found["T"].reshape(-1, *found["T"].shape[-3:])
        parts = [member[k : k + len(values)] for member in stacked for k in range(len(member))]
        assert any(part.tobytes() == values.tobytes() for part in parts), path


def test_consolidated_and_plain_metadata_agree(
    stored: tuple[str, Path, dict[str, np.ndarray[Any, Any]]],
) -> None:
    _, store, found = stored
    plain = zarr.open_group(store, mode="r", use_consolidated=False)
    assert {path.parent.name for path in store.glob("*/zarr.json")} == set(found)
    for name, array in zarr.open_consolidated(store, mode="r").arrays():
        assert array.metadata == plain[name].metadata


def test_zarrs_reads_the_same(
    stored: tuple[str, Path, dict[str, np.ndarray[Any, Any]]],
) -> None:
    pytest.importorskip("zarrs")
    _, store, found = stored
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        again = read(store)
    for name, values in found.items():
        if values.dtype.kind not in "OT":
            assert same(values, again[name]), name


def test_tensorstore_reads_the_same(
    stored: tuple[str, Path, dict[str, np.ndarray[Any, Any]]],
) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    kind, store, found = stored
    for name, values in found.items():
        if values.dtype.kind in "OT":
            continue  # text is an extension that it does not know
        if kind == "deflate" and "numcodecs." in (store / name / "zarr.json").read_text():
            continue  # pass-through is not for all readers, as its documentation says
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(store / name)}}
        again = tensorstore.open(spec, open=True, read=True).result().read().result()
        assert same(values, np.asarray(again)), name


def test_numcodecs_decodes_a_chunk_of_a_shard_by_hand(
    stored: tuple[str, Path, dict[str, np.ndarray[Any, Any]]],
) -> None:
    from numcodecs import Blosc, Shuffle, Zlib

    kind, store, found = stored
    name = "vf8" if "vf8" in found else "T"
    meta = json.loads((store / name / "zarr.json").read_text())
    (sharding,) = meta["codecs"]
    shape = sharding["configuration"]["chunk_shape"]
    each = [
        s // c
        for s, c in zip(meta["chunk_grid"]["configuration"]["chunk_shape"], shape, strict=True)
    ]
    data = (store / name / ".".join("0" * len(shape))).read_bytes()
    index = data[-16 * math.prod(each) - 4 : -4]
    offset, nbytes = struct.unpack_from("<QQ", index)
    raw: Any = data[offset : offset + nbytes]
    dtype = np.dtype(meta["data_type"])
    for codec in reversed(sharding["configuration"]["codecs"]):
        if codec["name"] == "blosc":
            raw = Blosc().decode(raw)
        elif codec["name"] == "numcodecs.zlib":
            raw = Zlib().decode(raw)
        elif codec["name"] == "numcodecs.shuffle":
            raw = Shuffle(codec["configuration"]["elementsize"]).decode(raw)
        elif codec["configuration"]["endian"] == "big":
            dtype = dtype.newbyteorder(">")
    chunk = np.frombuffer(raw, dtype).reshape(shape)
    first = tuple(slice(0, min(c, n)) for c, n in zip(shape, found[name].shape, strict=True))
    np.testing.assert_array_equal(chunk[first], found[name][first], err_msg=kind)


def test_xarray_reads_values_times_and_gaps(
    stored: tuple[str, Path, dict[str, np.ndarray[Any, Any]]],
) -> None:
    kind, store, found = stored
    with xarray.open_zarr(store, decode_times=kind != "ragged") as data:
        values = np.where(found["T"] == np.float32(1e20), np.float32(np.nan), found["T"])
        np.testing.assert_array_equal(data["T"].values, values)
        assert data["T"].attrs["units"] == "K"
        if kind != "ragged":
            assert str(data["time"].values[0]).startswith("2000-01-01")
            assert data["time"].values[0].calendar == "noleap"


def test_metadata_are_strict_json(
    stored: tuple[str, Path, dict[str, np.ndarray[Any, Any]]],
) -> None:
    _, store, _ = stored

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    files = [*store.rglob("zarr.json"), *(store / ".astrohpc").glob("*.json")]
    assert len(files) > 5
    for path in files:
        json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
