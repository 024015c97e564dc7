"""A finished store at a glance: a little of an array, read a chunk at a time, for a picture of it."""

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.schema import META
from astrohpc.store.shard import read_chunk
from astrohpc.store.shard_index import read_index
from astrohpc.store.stored import StoredArray, read_small, stored_array

Picks = Sequence[NDArray[np.int64]]  # for each axis the places that are wanted, in order
_BEYOND = 1e29  # models mark what they have not with numbers beyond this, and do not always say so


@dataclass(frozen=True, eq=False)
class Glance:
    """One array of a store on disk."""

    store: Path
    array: StoredArray
    _index: dict[Path, NDArray[np.int64] | None] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Of all values; of text that of its file."""
        if self.array.stored.kind == "O":
            return self.stored_bytes()
        return math.prod(self.array.shape) * self.array.stored.itemsize

    def files(self) -> Iterator[Path]:
        """Those files of the array that are there."""
        for number in range(math.prod(self.array.grid)):
            path = self.store / self.array.key(number)
            if path.is_file():
                yield path

    def stored_bytes(self) -> int:
        """Of its files."""
        return sum(path.stat().st_size for path in self.files())

    def touched(self, picks: Picks) -> int:
        """How many chunks must be opened for these places."""
        chunk = self.array.chunk
        return math.prod(len(np.unique(p // c)) for p, c in zip(picks, chunk, strict=True))

    def whole(self) -> NDArray[Any]:
        """All values of an array that is small."""
        return self.take([np.arange(size) for size in self.array.shape])

    def take(self, picks: Picks) -> NDArray[Any]:
        """The values where all picks cross; never more than one chunk is held beside them."""
        array = self.array
        if array.shard is None:
            return np.asarray(read_small(self.store, array)[np.ix_(*picks)])
        out = np.full(tuple(map(len, picks)), array.fill or 0, array.dtype)
        parts = [list(_split(pick, size)) for pick, size in zip(picks, array.chunk, strict=True)]
        for combination in itertools.product(*parts):
            values = self._chunk([number for number, _, _ in combination])
            if values is not None:
                into = tuple(positions for _, positions, _ in combination)
                inside = tuple(offsets for _, _, offsets in combination)
                out[np.ix_(*into)] = values[np.ix_(*inside)]
        return out

    def _chunk(self, numbers: Sequence[int]) -> NDArray[Any] | None:
        """One inner chunk by its place among all of them; None where it is absent."""
        array, per_shard = self.array, self.array.per_shard
        place = [n // p for n, p in zip(numbers, per_shard, strict=True)]
        inside = [n % p for n, p in zip(numbers, per_shard, strict=True)]
        path = self.store / array.key(int(np.ravel_multi_index(place, array.grid)))
        if path not in self._index:
            self._index[path] = read_index(path, math.prod(per_shard)) if path.is_file() else None
        index = self._index[path]
        if index is None:
            return None
        return read_chunk(
            path,
            index[np.ravel_multi_index(inside, per_shard)],
            codec=array.codec,
            dtype=array.stored,
            chunk_shape=array.chunk,
        )

    def meant(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """What stored numbers mean: unpacked, and NaN where there is no value."""
        array = self.array
        lost = np.isin(values, np.array(array.holes, values.dtype)) if array.holes else False
        if array.stored.kind == "i" and str(array.attrs.get("_Unsigned", "")).lower() == "true":
            values = values.view(f"u{values.itemsize}")
        factor, offset = array.packing or (1.0, 0.0)
        numbers = values.astype(np.float64)
        lost |= ~np.isfinite(numbers) | (np.abs(numbers) > _BEYOND)
        return np.where(lost, np.nan, numbers * factor + offset)


def open_store(store: Path) -> tuple[dict[str, Any], dict[str, Glance]]:
    """The root's metadata, and all arrays by their paths."""
    root = json.loads((store / META).read_text(encoding="utf-8"))
    nodes = root["consolidated_metadata"]["metadata"]
    arrays = {
        name: Glance(store, stored_array(name, meta, None))
        for name, meta in nodes.items()
        if meta["node_type"] == "array"
    }
    return root, arrays


def _split(
    pick: NDArray[np.int64], size: int
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Places along an axis by chunk: the chunk's number, positions in the result, offsets inside."""
    numbers = pick // size
    for number in np.unique(numbers):
        positions = np.flatnonzero(numbers == number)
        yield int(number), positions, pick[positions] - number * size
