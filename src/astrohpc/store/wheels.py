"""Shards made without the kernel: the same work in numpy and numcodecs, slower, and the kernel's oracle."""

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.codec import Codec, Damaged, inflate
from astrohpc.store.shard_index import index_bytes
from astrohpc.store.source import BadSource
from astrohpc.store.tally import Statistics, statistics


@dataclass(frozen=True, eq=False)
class Chunk:
    """One inner chunk on its way: what is stored, and the Adler-32 and numbers of what it came from."""

    data: bytes
    check: int
    statistics: Statistics


@dataclass
class Assembly:
    """A shard that grows by one chunk after the other."""

    n_chunks: int
    parts: list[bytes] = field(default_factory=list)
    statistics: Statistics = field(default_factory=Statistics)

    def __post_init__(self) -> None:
        self.spans = np.full((self.n_chunks, 2), (-1, 0), np.int64)
        self.checks = np.zeros(self.n_chunks, np.uint32)
        self.end = 0

    def add(self, number: int, chunk: Chunk) -> None:
        """Append a chunk."""
        self.spans[number] = self.end, len(chunk.data)
        self.end += len(chunk.data)
        self.parts.append(chunk.data)
        self.checks[number] = chunk.check
        self.statistics += chunk.statistics

    def whole(self) -> list[bytes]:
        """All of the file in its pieces."""
        return [*self.parts, index_bytes(self.spans[:, 0], self.spans[:, 1])]


def proved(codec: Codec, values: NDArray[Any]) -> bytes:
    """Encode, decode again and compare bits."""
    data = codec.encode(values)
    again = codec.decode(data, values.dtype, values.shape)
    if again.tobytes() != np.ascontiguousarray(values, again.dtype).tobytes():
        raise Damaged(
            "a chunk does not decode to what was encoded; this machine's memory or a library is at fault: "
            "run it again on another node."
        )
    return data


def direct_chunks(
    files: Sequence[int],
    pieces: NDArray[np.int64],
    *,
    dtype: np.dtype[Any],
    count: int,
    deflate: bool,
    shuffle: bool,
    codec: Codec,
    fill: Any,
) -> Iterator[Chunk | None]:
    """Read, inflate, encode and prove each source chunk; None for one that was never written."""
    whole = count * dtype.itemsize
    for number, (file, offset, nbytes) in enumerate(pieces.tolist()):
        if offset < 0:
            yield None
            continue
        stored = os.pread(files[file], nbytes, offset)
        if len(stored) != nbytes:
            raise BadSource(
                f"{name_of(files[file])}: ends within chunk {number} (byte {offset + len(stored)}); "
                "it was cut short, so fetch it again."
            )
        if codec.name == "deflate":  # its own Adler-32 goes with it, unread
            yield Chunk(stored, int.from_bytes(stored[-4:], "big"), Statistics())
            continue
        try:
            raw = inflate(stored, whole) if deflate else stored
        except Damaged as error:
            raise BadSource(f"{name_of(files[file])}: chunk {number}: {error}") from error
        planar = np.frombuffer(raw, np.uint8)
        plain = planar.reshape(dtype.itemsize, count).T.tobytes() if shuffle else raw
        values = np.frombuffer(plain, dtype).astype(dtype.newbyteorder("="))
        yield Chunk(proved(codec, values), zlib.adler32(raw), statistics(values, fill))


def name_of(file: int) -> str:
    """The path of an open file, for sentences."""
    try:
        return str(os.readlink(f"/proc/self/fd/{file}"))  # noqa: PTH115 - a name, maybe of a deleted file
    except OSError:
        return f"open file {file}"
