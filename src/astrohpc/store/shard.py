"""Shards: whole files of the store, each made in one go by one worker, and read chunk by chunk.

``write_direct`` makes one from spans of source files, ``write_values`` from an array. Both prove each
chunk: what was encoded is decoded again and compared with the source's bytes before it counts. Both
write exactly to the name they are given; renaming it to the shard's own is the caller's act.
"""

import itertools
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.files import readable_failures
from astrohpc.store.codec import Codec, Damaged
from astrohpc.store.source import BadSource
from astrohpc.store.tally import Statistics, statistics
from astrohpc.store.wheels import Assembly, Chunk, direct_chunks, name_of, proved


@dataclass(frozen=True, eq=False)
class ShardWritten:
    """A shard on disk. ``checks`` has an Adler-32 a chunk, 0 for an absent one.

    They are of the source's bytes as its file has them inflated, that is, byte planes where the source
    shuffles; of values they are those of the C-order little-endian bytes, padding included.
    """

    nbytes: int
    checks: NDArray[np.uint32]
    statistics: Statistics


class Worker:
    """What one thread needs to write shards: its buffers, allocated once and used again.

    ``native`` chooses between kernel and wheels; None takes the kernel where there is one.
    """

    def __init__(self, native: bool | None = None) -> None:
        self.native = False

    def nbytes(self, chunk_bytes: int, shard_bytes: int) -> int:
        """Memory that this worker will hold for shards of this size, values uncompressed."""
        return 6 * chunk_bytes + shard_bytes


def write_direct(
    target: Path,
    files: Sequence[int],
    pieces: NDArray[np.int64],
    *,
    dtype: np.dtype[Any],
    chunk_shape: tuple[int, ...],
    deflate: bool,
    shuffle: bool,
    codec: Codec,
    fill: Any,
    worker: Worker,
) -> ShardWritten:
    """Write the shard whose inner chunks are spans of open files, one row of ``pieces`` each.

    A row is file number, offset and length; an offset of -1 is a chunk that was never written and is
    left out. ``dtype`` is that of the source's bytes, order included.
    """
    count = math.prod(chunk_shape)
    _check_pieces(files, pieces, count * dtype.itemsize, deflate)
    if codec.name == "deflate" and not (deflate and codec.shuffle == shuffle):
        raise ConfigError(
            "codec: deflate passes chunks through, and these are not stored that way; choose planes."
        )
    chunks = direct_chunks(
        files,
        pieces,
        dtype=dtype,
        count=count,
        deflate=deflate,
        shuffle=shuffle,
        codec=codec,
        fill=fill,
    )
    return _assemble(target, chunks, len(pieces), count)


def write_values(
    target: Path,
    values: NDArray[Any],
    *,
    shard_chunks: tuple[int, ...],
    chunk_shape: tuple[int, ...],
    codec: Codec,
    fill: Any,
    worker: Worker,
) -> ShardWritten:
    """Write the shard that holds ``values``, of native byte order.

    Values may end before the shard does: a chunk at the edge is filled up, one beyond it is absent.
    """
    chunks = (
        None
        if part is None
        else Chunk(proved(codec, part), zlib.adler32(memoryview(part)), Statistics())
        for part in cut(values, shard_chunks, chunk_shape, fill)
    )
    written = _assemble(target, chunks, math.prod(shard_chunks), 0)
    return ShardWritten(written.nbytes, written.checks, statistics(values, fill))


def cut(
    values: NDArray[Any], shard_chunks: tuple[int, ...], chunk_shape: tuple[int, ...], fill: Any
) -> Iterator[NDArray[Any] | None]:
    """The chunks of a shard in C order, padded to their shape; None beyond the end of the values."""
    for place in itertools.product(*map(range, shard_chunks)):
        starts = [at * size for at, size in zip(place, chunk_shape, strict=True)]
        part = values[tuple(slice(s, s + n) for s, n in zip(starts, chunk_shape, strict=True))]
        if part.size == 0:
            yield None
        elif part.shape == chunk_shape:
            yield np.ascontiguousarray(part)
        else:
            padded = np.full(chunk_shape, 0 if fill is None else fill, values.dtype)
            padded[tuple(map(slice, part.shape))] = part
            yield padded


def read_chunk(
    path: Path,
    span: NDArray[np.int64],
    *,
    codec: Codec,
    dtype: np.dtype[Any],
    chunk_shape: tuple[int, ...],
) -> NDArray[Any] | None:
    """The values at one row of :func:`astrohpc.store.shard_index.read_index`; None where absent."""
    offset, nbytes = (int(number) for number in span)
    if offset < 0:
        return None
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(nbytes)
    try:
        return codec.decode(data, dtype, chunk_shape)
    except Damaged as error:
        raise Damaged(f"{path}: at byte {offset}: {error}") from error


def _check_pieces(
    files: Sequence[int], pieces: NDArray[np.int64], chunk_bytes: int, deflate: bool
) -> None:
    """Refuse lengths that no such chunk can have before memory is asked for them."""
    there = pieces[:, 1] >= 0
    most = 2 * chunk_bytes + 1024 if deflate else chunk_bytes
    least = 1 if deflate else chunk_bytes
    wrong = there & ((pieces[:, 2] < least) | (pieces[:, 2] > most))
    if wrong.any():
        number = int(np.flatnonzero(wrong)[0])
        raise BadSource(
            f"{name_of(files[int(pieces[number, 0])])}: its header gives chunk {number} "
            f"{int(pieces[number, 2])} bytes, and {chunk_bytes} are in a whole one; fetch the file again."
        )


def _assemble(
    target: Path, chunks: Iterator[Chunk | None], n_chunks: int, count: int
) -> ShardWritten:
    """Put chunks and index into a file; an absent chunk counts as ``count`` missing values."""
    shard = Assembly(n_chunks)
    for number, chunk in enumerate(chunks):
        if chunk is None:
            shard.statistics += Statistics(count, count)
        else:
            shard.add(number, chunk)
    whole = shard.whole()
    with readable_failures(str(target)), target.open("wb") as file:
        file.writelines(whole)
    return ShardWritten(sum(map(len, whole)), shard.checks, shard.statistics)
