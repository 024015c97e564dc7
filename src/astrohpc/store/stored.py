"""An array as a store's metadata describe it: what :mod:`astrohpc.store.schema` writes, read back."""

import base64
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.store.codec import Codec, Damaged
from astrohpc.store.plan import MEMBER
from astrohpc.store.shard_index import CHECKSUM_BYTES, crc32c

_CRC = {"name": "crc32c"}
_VERTICAL = ("lev", "level", "plev", "height", "layer", "depth", "sigma", "z")


@dataclass(frozen=True, eq=False)
class StoredArray:
    """One array of a store. ``shard`` is None where all of it is one small chunk with a checksum.

    ``stored`` is the type on disk, whose byte order is other than this machine's only in what was passed
    through; of text it is object. ``lead`` counts the axes that samples are drawn from: member, time or
    both, where they stand first. ``vertical`` is the number of the axis of levels, if there is one.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    chunk: tuple[int, ...]
    shard: tuple[int, ...] | None
    codec: Codec
    fill: Any  # what stands where nothing was written
    attrs: Mapping[str, Any]
    prefix: str  # of the names of its files
    separator: str
    member: bool
    time: bool
    vertical: int | None

    @cached_property
    def chunk_values(self) -> int:
        """How many values an inner chunk has."""
        return math.prod(self.chunk)

    @property
    def lead(self) -> int:
        """How many axes come before those of a sample."""
        return self.member + self.time

    @property
    def own(self) -> tuple[int, ...]:
        """The shape of one sample of it."""
        return self.shape[self.lead :]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type in this machine's order."""
        return self.stored.newbyteorder("=")

    @cached_property
    def packing(self) -> tuple[float, float] | None:
        """Factor and offset that give packed numbers their meaning."""
        if not {"scale_factor", "add_offset"} & self.attrs.keys():
            return None
        return float(self.attrs.get("scale_factor", 1)), float(self.attrs.get("add_offset", 0))

    @property
    def meant(self) -> np.dtype[Any]:
        """The type of the values that are meant: of packed numbers a float that holds them."""
        if self.packing is None or self.stored.kind not in "iuf":
            return self.dtype
        small = self.stored.itemsize <= 2 if self.stored.kind in "iu" else self.stored.itemsize <= 4
        return np.dtype("f4" if small else "f8")

    @cached_property
    def holes(self) -> tuple[Any, ...]:
        """Stored values that mean missing; NaN needs no mention."""
        said = [_number(self.attrs.get("_FillValue"), self.dtype)]
        more = self.attrs.get("missing_value")
        said += [_number(one, self.dtype) for one in (more if isinstance(more, list) else [more])]
        if self.fill is not None and self.fill != 0:  # zero stands where no fill value is known
            said.append(self.fill)
        found = {one.item(): one for one in said if one is not None and one == one}  # noqa: PLR0124
        return tuple(found.values())

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """How many files there are along each axis."""
        each = self.shard or self.chunk
        return tuple(-(-size // one) for size, one in zip(self.shape, each, strict=True))

    @cached_property
    def per_shard(self) -> tuple[int, ...]:
        """How many inner chunks a shard has along each axis."""
        assert self.shard is not None
        return tuple(s // c for s, c in zip(self.shard, self.chunk, strict=True))

    def key(self, number: int) -> str:
        """The path of a file below the store; files are numbered in C order."""
        index = [int(i) for i in np.unravel_index(number, self.grid)] if self.shape else []
        last = self.separator.join([*self.prefix.split(), *map(str, index)]) or "0"
        return f"{self.name}/{last}"

    def meaning(self, values: NDArray[Any]) -> NDArray[Any]:
        """What stored values mean: unpacked, NaN where missing; whole numbers stay as they are."""
        if self.meant.kind != "f":
            return values
        lost = np.zeros(values.shape, bool)
        for hole in self.holes:
            lost |= values == hole
        numbers = values
        if self.stored.kind == "i" and str(self.attrs.get("_Unsigned", "")).lower() == "true":
            numbers = values.view(f"u{values.itemsize}")
        if self.packing is not None:
            factor, offset = self.packing
            numbers = numbers.astype(np.float64) * factor + offset
        meant = numbers.astype(self.meant)
        meant[lost] = np.nan
        return meant


def stored_array(name: str, content: Mapping[str, Any], time_dim: str | None) -> StoredArray:
    """From an array's ``zarr.json``, or a ConfigError where another program's codecs are in it."""
    try:
        return _parse(name, content, time_dim)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"{name}: its zarr.json is not as the converter writes it ({error!r}); read this store with "
            "zarr-python, or convert again."
        ) from error


def _parse(name: str, content: Mapping[str, Any], time_dim: str | None) -> StoredArray:
    shape = tuple(int(n) for n in content["shape"])
    kind = str(content["data_type"])
    dtype = np.dtype(object if kind == "string" else kind)
    grid = tuple(int(n) for n in content["chunk_grid"]["configuration"]["chunk_shape"])
    codecs = list(content["codecs"])
    chunk, shard, codec = grid, None, Codec("none", 0)
    if codecs and codecs[0]["name"] == "sharding_indexed":
        inner = codecs[0]["configuration"]
        chunk, shard = tuple(int(n) for n in inner["chunk_shape"]), grid
        little = {"name": "bytes", "configuration": {"endian": "little"}}
        wanted = inner.get("index_location", "end") == "end"
        if len(codecs) > 1 or not wanted or inner["index_codecs"] != [little, _CRC]:
            raise _foreign(name, codecs)
        codec, dtype = _codec(name, inner["codecs"], dtype)
    elif kind == "string":
        if [one["name"] for one in codecs] != ["vlen-utf8"]:
            raise _foreign(name, codecs)
    elif [one["name"] for one in codecs] != ["bytes", "crc32c"] or not _is_little(codecs[0]):
        raise _foreign(name, codecs)
    if shard is None and any(n > c for n, c in zip(shape, chunk, strict=True)):
        raise _foreign(name, codecs)
    dims = tuple(str(dim) for dim in content.get("dimension_names") or [""] * len(shape))
    if not len(shape) == len(grid) == len(chunk) == len(dims):
        raise ValueError("shape, chunks and names of axes differ in length")
    attrs = dict(content.get("attributes", {}))
    member = dims[:1] == (MEMBER,)
    time = time_dim is not None and dims[int(member) : int(member) + 1] == (time_dim,)
    key = content["chunk_key_encoding"]
    separator = key.get("configuration", {}).get("separator", "." if key["name"] == "v2" else "/")
    return StoredArray(
        name=name,
        dims=dims,
        shape=shape,
        stored=dtype,
        chunk=chunk,
        shard=shard,
        codec=codec,
        fill=_number(content.get("fill_value"), dtype.newbyteorder("=")),
        attrs=attrs,
        prefix="" if key["name"] == "v2" else "c",
        separator=separator,
        member=member,
        time=time,
        vertical=_vertical(dims, member + time),
    )


def _is_little(step: Mapping[str, Any]) -> bool:
    return bool(step.get("configuration", {}).get("endian", "little") == "little")


def _codec(
    name: str, steps: Sequence[Mapping[str, Any]], dtype: np.dtype[Any]
) -> tuple[Codec, np.dtype[Any]]:
    """The codec whose decoder is needed, and the stored type with its byte order."""
    names = [step["name"] for step in steps]
    if names[:1] != ["bytes"]:
        raise _foreign(name, steps)
    stored = dtype if _is_little(steps[0]) else dtype.newbyteorder(">")
    if names[1:] == ["blosc"] and _is_little(steps[0]):
        lz4 = steps[1]["configuration"].get("cname") == "lz4"
        return (Codec("lz4", 5) if lz4 else Codec("planes", 1)), stored
    if names[1:] == ["numcodecs.zlib"]:
        return Codec("deflate", 4, shuffle=False), stored
    if names[1:] == ["numcodecs.shuffle", "numcodecs.zlib"]:
        return Codec("deflate", 4, shuffle=True), stored
    if names[1:] == [] and _is_little(steps[0]):
        return Codec("none", 0), stored
    raise _foreign(name, steps)


def _foreign(name: str, steps: Sequence[Mapping[str, Any]]) -> ConfigError:
    chain = ", ".join(str(step.get("name")) for step in steps)
    return ConfigError(
        f"{name}: is stored by another program ({chain}); read this store with zarr-python."
    )


def _vertical(dims: Sequence[str], lead: int) -> int | None:
    """The axis of levels: the one that is called so, else the first of three."""
    for axis in range(lead, len(dims)):
        if dims[axis].lower() in _VERTICAL:
            return axis
    return lead if len(dims) - lead == 3 else None


def _number(value: Any, dtype: np.dtype[Any]) -> Any:
    """A fill value of the metadata as one of ``dtype``; None where there is none that fits."""
    if value is None or dtype.kind not in "iufb":
        return None
    if isinstance(value, str) and dtype.kind == "f":
        if value in ("NaN", "Infinity", "-Infinity"):
            return dtype.type(value)
        # xarray's form: a double in base 64
        try:
            value = struct.unpack("<d", base64.standard_b64decode(value))[0]
        except (struct.error, ValueError):
            return None
    if isinstance(value, str):
        return None
    if dtype.kind in "iu" and not (math.isfinite(value) and value == int(value)):
        return None
    try:
        with np.errstate(over="ignore"):
            return dtype.type(value)
    except OverflowError:
        return None


def read_small(store: Path, one: StoredArray) -> NDArray[Any]:
    """All values of an array that is one chunk."""
    if not all(one.shape):
        return np.empty(one.shape, one.dtype)
    path = store / one.key(0)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Damaged(f"{path}: is not there, so the store is not whole; convert again.") from None
    if one.stored.kind == "O":
        return _texts(path, data, one)
    body, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    count = int(np.prod(one.chunk, dtype=np.int64))
    if len(body) != count * one.stored.itemsize or checksum != crc32c(body).to_bytes(4, "little"):
        raise Damaged(f"{path}: does not have its checksum, so it is damaged; convert again.")
    values = np.frombuffer(body, one.stored).reshape(one.chunk)
    cut = np.array(values[tuple(map(slice, one.shape))], one.dtype)  # one value, too, as an array
    cut.flags.writeable = False
    return cut


def _texts(path: Path, data: bytes, one: StoredArray) -> NDArray[Any]:
    """Zarr's vlen-utf8: how many, then length and bytes of each."""
    texts: list[str] = []
    at = 4
    count = int.from_bytes(data[:4], "little")
    while at + 4 <= len(data) and len(texts) < count:
        length = int.from_bytes(data[at : at + 4], "little")
        at += 4 + length
        texts.append(data[at - length : at].decode("utf-8", "replace"))
    if len(texts) != count or at != len(data) or count != int(np.prod(one.shape, dtype=np.int64)):
        raise Damaged(f"{path}: is cut or changed, so it is damaged; convert again.")
    values = np.empty(count, object)
    values[:] = texts
    return values.reshape(one.shape)
