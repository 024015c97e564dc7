"""Shards: whole files of the store, each made in one go by one worker, and read chunk by chunk.

``write_direct`` makes one from spans of source files, ``write_values`` from an array. Both prove each
chunk: what was encoded is decoded again and compared with the source's bytes before it counts. Both
write exactly to the name they are given; renaming it to the shard's own is the caller's act.
"""

import itertools
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.files import readable_failures
from astrohpc.kernels import native as kernels
from astrohpc.kernels.build import NoKernel
from astrohpc.store.codec import Codec, Damaged
from astrohpc.store.source import BadSource
from astrohpc.store.tally import Statistics, statistics
from astrohpc.store.wheels import Assembly, Chunk, direct_chunks, name_of, proved

WIDTHS = (1, 2, 4, 8)  # bytes of a value that the kernel knows
_TABLES_BYTES = 4 << 20  # what zstd keeps for itself at low levels


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
    """What one thread needs for shards: its buffers, allocated once and used again.

    ``native`` chooses between the kernel (True) and wheels (False); None takes the kernel where there
    is one, and ``why_wheels`` says why there is none.
    """

    def __init__(self, native: bool | None = None) -> None:
        self.kernel: kernels.Worker | None = None
        self.why_wheels = "wheels were asked for"
        if native is False:
            return
        try:
            self.kernel = kernels.Worker(kernels.load())
            self.why_wheels = ""
        except NoKernel as reason:
            self.why_wheels = str(reason)
            if native:
                raise ConfigError(
                    f"kernel: {reason}; mend that, or do without it (three times slower)."
                ) from reason

    @property
    def native(self) -> bool:
        """Whether the kernel is at work."""
        return self.kernel is not None

    def nbytes(self, chunk_bytes: int, shard_bytes: int) -> int:
        """The most memory that this worker holds for such a shard, both being sizes of its values.

        Writing from files with the kernel holds ``shard_bytes`` less; chunks of values that do not lie
        in one piece are copied, and without the kernel a shard is put together in memory.
        """
        n_chunks = -(-shard_bytes // max(1, chunk_bytes))
        read, chunk, out = kernels.Worker.sizes(chunk_bytes, _most_stored(chunk_bytes), n_chunks)
        return read + 5 * chunk + out + shard_bytes + _TABLES_BYTES


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
    _check_size(target, count * dtype.itemsize)
    _check_pieces(files, pieces, count * dtype.itemsize, deflate)
    if codec.name == "deflate" and not (deflate and codec.shuffle == shuffle):
        raise ConfigError(
            "codec: deflate passes chunks through, and these are not stored that way; choose planes."
        )
    if worker.kernel and dtype.itemsize in WIDTHS:
        form = kernels.Form(dtype, count, codec.name, codec.level, deflate, shuffle, fill)
        return _native(worker.kernel, target, files, pieces, form)
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
    return _assemble(target, chunks, len(pieces), 0 if codec.name == "deflate" else count)


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
    _check_size(target, math.prod(chunk_shape) * values.dtype.itemsize)
    parts = cut(values, shard_chunks, chunk_shape, fill)
    if worker.kernel and codec.name != "deflate" and values.dtype.itemsize in WIDTHS:
        count = math.prod(chunk_shape)
        form = kernels.Form(values.dtype, count, codec.name, codec.level, counted=False)
        held = list(parts)  # the kernel reads from them, so they must stay
        table = [(0, -1 if part is None else part.ctypes.data, 0) for part in held]
        written = _native(worker.kernel, target, None, np.array(table, np.int64), form)
        return replace(written, statistics=Statistics(*worker.kernel.count(values, fill)))
    chunks = (
        None if part is None else Chunk(proved(codec, part), zlib.adler32(part.data), Statistics())
        for part in parts
    )
    written = _assemble(target, chunks, math.prod(shard_chunks), 0)
    return replace(written, statistics=statistics(values, fill))


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


def read_chunks(
    files: Sequence[int],
    pieces: NDArray[np.int64],
    into: NDArray[Any],
    *,
    dtype: np.dtype[Any],
    codec: Codec,
    fill: Any,
    worker: Worker,
) -> None:
    """Read chunks out of open shards, row i of ``pieces`` (as for writing) to ``into[i]``.

    ``dtype`` is that of the store, whose byte order is other than this machine's only in what was
    passed through; ``into`` has native order, and each of its rows lies in one piece. An absent chunk
    becomes the fill value, or zero where that is not known. Threads may do this side by side, each with its
    own worker.
    """
    chunk_shape = into.shape[1:]
    if into.dtype != dtype.newbyteorder("="):
        raise ValueError(f"into: is of {into.dtype}, and {dtype.newbyteorder('=')} is stored.")
    if len(into) != len(pieces) or (len(into) and not into[0].flags.c_contiguous):
        raise ValueError("into: needs a row, in one piece of memory, for each of the pieces.")
    nbytes = math.prod(chunk_shape) * dtype.itemsize
    far = (pieces[:, 1] >= 0) & ((pieces[:, 2] < 1) | (pieces[:, 2] > _most_stored(nbytes)))
    if far.any():
        raise Damaged(_no_such_length(files, pieces, int(np.flatnonzero(far)[0]), nbytes))
    fill = np.asarray(0 if fill is None else fill, into.dtype)
    if worker.kernel and dtype.itemsize in WIDTHS:
        count = math.prod(chunk_shape)
        form = kernels.Form(
            dtype, count, codec.name, codec.level, codec.name == "deflate", codec.shuffle, fill
        )
        rows = into.ctypes.data + np.arange(len(into), dtype=np.int64) * into.strides[0]
        try:
            worker.kernel.read_chunks(files, pieces, form, rows.astype(np.uintp))
        except kernels.Failed as failed:
            raise Damaged(
                _of_source(failed, name_of(files[int(pieces[failed.chunk, 0])]))
            ) from failed
        return
    for row, (file, offset, length) in zip(into, pieces.tolist(), strict=True):
        if offset < 0:
            row[...] = fill
            continue
        data = os.pread(files[file], length, offset)
        try:
            row[...] = codec.decode(data, dtype, chunk_shape)
        except Damaged as error:
            raise Damaged(f"{name_of(files[file])}: at byte {offset}: {error}") from error


def _check_size(target: Path, chunk_bytes: int) -> None:
    if chunk_bytes > kernels.MOST_BYTES:
        raise ConfigError(
            f"{target}: chunks of {chunk_bytes} bytes are more than Blosc can hold; "
            "choose chunks below 2 GiB, better of a few MiB."
        )


def _most_stored(chunk_bytes: int) -> int:
    """A stored chunk is never longer than this; what claims to be is damaged."""
    return 2 * chunk_bytes + 1024


def _no_such_length(
    files: Sequence[int], pieces: NDArray[np.int64], number: int, chunk_bytes: int
) -> str:
    return (
        f"{name_of(files[int(pieces[number, 0])])}: its header gives chunk {number} "
        f"{int(pieces[number, 2])} bytes, and {chunk_bytes} are in a whole one; fetch the file again."
    )


def _check_pieces(
    files: Sequence[int], pieces: NDArray[np.int64], chunk_bytes: int, deflate: bool
) -> None:
    """Refuse lengths that no such chunk can have before memory is asked for them."""
    there = pieces[:, 1] >= 0
    least, most = (1, _most_stored(chunk_bytes)) if deflate else (chunk_bytes, chunk_bytes)
    wrong = there & ((pieces[:, 2] < least) | (pieces[:, 2] > most))
    if wrong.any():
        number = int(np.flatnonzero(wrong)[0])
        raise BadSource(_no_such_length(files, pieces, number, chunk_bytes))


def _native(
    worker: kernels.Worker,
    target: Path,
    files: Sequence[int] | None,
    pieces: NDArray[np.int64],
    form: kernels.Form,
) -> ShardWritten:
    """Let the kernel write it, and turn what it says into a sentence."""
    try:
        nbytes, checks, tally = worker.write_shard(os.fsencode(target), files, pieces, form)
    except kernels.Failed as failed:
        if failed.code == kernels.UNWRITABLE:
            with readable_failures(str(target)):
                raise OSError(failed.errno, os.strerror(failed.errno), str(target)) from failed
        if failed.code in (kernels.UNPROVED, kernels.UNENCODED) or files is None:
            raise ConfigError(
                f"{target}: chunk {failed.chunk} does not decode to what was encoded; this machine's "
                "memory or a library is at fault: run it again on another node."
            ) from failed
        source = name_of(files[int(pieces[failed.chunk, 0])])
        raise BadSource(_of_source(failed, source)) from failed
    return ShardWritten(nbytes, checks, Statistics(*tally))


def _of_source(failed: kernels.Failed, file: str) -> str:
    """The sentence for bytes that are not as they should be."""
    what = {
        kernels.CUT: f"ends within chunk {failed.chunk}, so it was cut short",
        kernels.UNREADABLE: f"chunk {failed.chunk} cannot be read ({os.strerror(failed.errno)})",
        kernels.NOT_INFLATED: f"chunk {failed.chunk} cannot be inflated, so it is damaged",
        kernels.WRONG_SIZE: f"chunk {failed.chunk} does not have its length, so it is damaged",
        kernels.WRONG_SUM: f"chunk {failed.chunk} does not have its checksum, so it is damaged",
        kernels.DAMAGED: f"chunk {failed.chunk} cannot be decoded, so it is damaged",
    }[failed.code]
    return f"{file}: {what}; fetch or make the file again."


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
