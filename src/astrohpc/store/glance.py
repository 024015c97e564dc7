"""An array of a finished store, read back a chunk at a time, for who wants to look at a little of it."""

import base64
import itertools
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.codec import Codec, Damaged
from astrohpc.store.schema import SEPARATOR
from astrohpc.store.shard import read_chunk
from astrohpc.store.shard_index import CHECKSUM_BYTES, read_index

Picks = Sequence[NDArray[np.int64]]  # for each axis the places that are wanted, in order
_BEYOND = 1e29  # models mark what they have not with numbers beyond this, and do not always say so


@dataclass(frozen=True, eq=False)
class Stored:
    """One array as its metadata tell it."""

    store: Path
    path: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # as its bytes are; object is text
    chunk: tuple[int, ...]
    shard: tuple[int, ...] | None
    codec: Codec
    fill: Any
    attrs: Mapping[str, Any]
    _index: dict[Path, NDArray[np.int64] | None] = field(default_factory=dict)

    @classmethod
    def parse(cls, store: Path, path: str, meta: Mapping[str, Any]) -> "Stored":
        """From the array's ``zarr.json``."""
        outer = tuple(meta["chunk_grid"]["configuration"]["chunk_shape"])
        codecs, shard, chunk = meta["codecs"], None, outer
        if codecs[0]["name"] == "sharding_indexed":
            inside = codecs[0]["configuration"]
            codecs, shard, chunk = inside["codecs"], outer, tuple(inside["chunk_shape"])
        text = meta["data_type"] == "string"
        dtype = np.dtype(object) if text else np.dtype(meta["data_type"])
        if any(one.get("configuration", {}).get("endian") == "big" for one in codecs):
            dtype = dtype.newbyteorder(">")
        fill = meta["fill_value"]
        return cls(
            store,
            path,
            tuple(meta.get("dimension_names") or [f"axis {k}" for k in range(len(outer))]),
            tuple(meta["shape"]),
            dtype,
            chunk,
            shard,
            _codec([one["name"] for one in codecs]),
            "" if text else dtype.newbyteorder("=").type(fill),
            meta["attributes"],
        )

    @property
    def nbytes(self) -> int:
        """Of all values; of text that of its one file."""
        if self.dtype.kind == "O":
            return sum(file.stat().st_size for file in self.files())
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def grid(self) -> tuple[int, ...]:
        """How many files there are along each axis."""
        each = self.shard or self.chunk
        return tuple(-(-size // one) for size, one in zip(self.shape, each, strict=True))

    def files(self) -> list[Path]:
        """Those files of the array that are there."""
        found = (self._file(place) for place in itertools.product(*map(range, self.grid)))
        return [path for path in found if path.is_file()]

    def _file(self, place: Sequence[int]) -> Path:
        return self.store / self.path / (SEPARATOR.join(map(str, place)) or "0")

    def touched(self, picks: Picks) -> int:
        """How many chunks must be opened for these places."""
        return math.prod(len(np.unique(p // c)) for p, c in zip(picks, self.chunk, strict=True))

    def whole(self) -> NDArray[Any]:
        """All values of an array that is small."""
        return self.take([np.arange(size) for size in self.shape])

    def take(self, picks: Picks) -> NDArray[Any]:
        """The values where all picks cross; never more than one chunk is held beside them."""
        out = np.full(tuple(map(len, picks)), self.fill, self.dtype.newbyteorder("="))
        parts = [list(_split(pick, size)) for pick, size in zip(picks, self.chunk, strict=True)]
        for combination in itertools.product(*parts):
            values = self._chunk([number for number, _, _ in combination])
            if values is not None:
                into = tuple(positions for _, positions, _ in combination)
                inside = tuple(offsets for _, _, offsets in combination)
                out[np.ix_(*into)] = values[np.ix_(*inside)]
        return out

    def _chunk(self, numbers: Sequence[int]) -> NDArray[Any] | None:
        """One inner chunk by its place among all of them; None where it is absent."""
        if self.shard is None:
            return self._small(self._file(numbers))
        per_shard = [s // c for s, c in zip(self.shard, self.chunk, strict=True)]
        path = self._file([n // p for n, p in zip(numbers, per_shard, strict=True)])
        if path not in self._index:
            self._index[path] = read_index(path, math.prod(per_shard)) if path.is_file() else None
        index = self._index[path]
        if index is None:
            return None
        row = np.ravel_multi_index(
            [n % p for n, p in zip(numbers, per_shard, strict=True)], per_shard
        )
        return read_chunk(
            path, index[row], codec=self.codec, dtype=self.dtype, chunk_shape=self.chunk
        )

    def _small(self, path: Path) -> NDArray[Any] | None:
        if not path.is_file():
            return None
        data = path.read_bytes()
        if self.dtype.kind == "O":
            return _texts(data, path).reshape(self.chunk)
        raw = data[:-CHECKSUM_BYTES]
        return np.frombuffer(raw, self.dtype.newbyteorder("<")).reshape(self.chunk)

    def meant(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """What stored numbers mean: unpacked, and NaN where there is no value."""
        attrs = self.attrs
        if self.dtype.kind == "i" and str(attrs.get("_Unsigned", "")).lower() == "true":
            values = values.view(f"u{values.itemsize}")
        numbers = values.astype(np.float64)
        lost = ~np.isfinite(numbers) | (np.abs(numbers) > _BEYOND)
        for mark in (self._marked(), attrs.get("missing_value")):
            if isinstance(mark, int | float | np.number):
                lost |= numbers == numbers.dtype.type(values.dtype.type(mark))
        numbers[lost] = np.nan
        return numbers * float(attrs.get("scale_factor", 1.0)) + float(attrs.get("add_offset", 0.0))

    def _marked(self) -> Any:
        mark = self.attrs.get("_FillValue")
        if isinstance(mark, str):
            return struct.unpack("<d", base64.standard_b64decode(mark))[0]
        return mark


def _codec(names: Sequence[str]) -> Codec:
    """What undoes these codecs; a Blosc chunk says itself what is in it."""
    if "numcodecs.zlib" in names:
        return Codec("deflate", 1, "numcodecs.shuffle" in names)
    return Codec("blosc") if "blosc" in names else Codec("none", 0)


def _split(
    pick: NDArray[np.int64], size: int
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Places along an axis by chunk: the chunk's number, positions in the result, offsets inside."""
    numbers = pick // size
    for number in np.unique(numbers):
        positions = np.flatnonzero(numbers == number)
        yield int(number), positions, pick[positions] - number * size


def _texts(data: bytes, path: Path) -> NDArray[Any]:
    """Zarr's vlen-utf8: how many, then length and bytes of each."""
    try:
        (count,) = struct.unpack_from("<I", data)
        at, texts = 4, np.empty(count, object)
        for k in range(count):
            (length,) = struct.unpack_from("<I", data, at)
            texts[k] = data[at + 4 : at + 4 + length].decode("utf-8", "replace")
            at += 4 + length
    except struct.error as error:
        raise Damaged(f"{path}: ends in the middle of a text; convert again.") from error
    return texts
