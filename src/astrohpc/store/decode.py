"""Chunks out of shards and into a target, on several threads: the part of reading that takes time.

What lies in one piece in the target is decoded there and nowhere else; of other chunks a thread decodes
into memory of its own and copies what is wanted.
"""

import functools
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.kernels import native as kernels
from astrohpc.store.codec import Damaged
from astrohpc.store.gather import Pieces
from astrohpc.store.handles import OpenShards, Spans, damaged
from astrohpc.store.shard import WIDTHS, Worker

_AT_ONCE_BYTES = (
    2**20
)  # decoded into a thread's own memory before it is copied: it is in the cache then
_LEAST_PART_BYTES = 2**18  # a part below this is not worth a thread

Job = Callable[["Hand"], None]


class Hand:
    """What one thread needs: the kernel's buffers, and memory for chunks that are wanted in part."""

    def __init__(self, native: bool | None) -> None:
        self.worker = Worker(native)
        self._memory = np.empty(0, np.uint8)

    def room(self, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Memory for so many values, used again at the next call."""
        nbytes = count * dtype.itemsize
        if self._memory.nbytes < nbytes:
            self._memory = np.empty(nbytes, np.uint8)
        return self._memory[:nbytes].view(dtype)


class Crew:
    """Threads, hands and open files of one process. After a fork, the child makes its own."""

    def __init__(self, store: Path, threads: int, native: bool | None, most_open: int) -> None:
        self.threads, self.native = threads, native
        self.files = OpenShards(store, most_open)
        self._pool = ThreadPoolExecutor(threads - 1, "astrohpc-read") if threads > 1 else None
        self._idle: list[Hand] = []

    @contextmanager
    def hand(self) -> Iterator[Hand]:
        """A hand that nobody else uses meanwhile."""
        try:
            hand = self._idle.pop()
        except IndexError:
            hand = Hand(self.native)
        try:
            yield hand
        finally:
            self._idle.append(hand)

    def do(self, jobs: Sequence[Job]) -> None:
        """Do all jobs, this thread among those that work; the first failure is raised when all rest."""
        waiting = deque(jobs)

        def work() -> None:
            with self.hand() as hand:
                while True:
                    try:
                        job = waiting.popleft()
                    except IndexError:
                        return
                    try:
                        job(hand)
                    except BaseException:
                        waiting.clear()
                        raise

        more = min(self.threads, len(jobs)) - 1
        futures = [self._pool.submit(work) for _ in range(more)] if self._pool else []
        try:
            work()
        finally:
            for future in futures:
                if not future.cancel():  # others may keep the threads busy, and all is done
                    future.exception()  # wait: it writes into arrays that are the caller's
        for future in futures:
            if not future.cancelled():
                future.result()

    def close(self) -> None:
        """End the threads and close the files."""
        if self._pool is not None:
            self._pool.shutdown()
        self.files.close()
        self._idle.clear()


@dataclass(frozen=True, eq=False)
class Reading:
    """Pieces of one array on their way into ``target``, whose rows are samples.

    ``mean`` gives values their meaning: NaN for missing, packed numbers unpacked.
    """

    spans: Spans
    files: OpenShards
    pieces: Pieces
    target: NDArray[Any]
    mean: bool

    def jobs(self, threads: int) -> list[Job]:
        """The work in parts, each chunk in one of them, in the order in which chunks lie in files."""
        array, p = self.spans.array, self.pieces
        table = self.spans.find(p.shards, p.slots)
        straight = p.tile.whole and self._is_straight()
        if straight:
            order = np.lexsort((table[:, 0], p.shards))
            starts = np.arange(len(order))
        else:  # rows of one chunk stay together
            order = np.lexsort((p.rows, p.slots, p.shards))
            same = (np.diff(p.shards[order]) == 0) & (np.diff(p.slots[order]) == 0)
            starts = np.concatenate([[0], np.flatnonzero(~same) + 1])
        nbytes = array.chunk_values * array.stored.itemsize
        parts = max(1, min(threads, len(starts), len(starts) * nbytes // _LEAST_PART_BYTES))
        limit = max(1, self.files.most // max(1, threads))
        cuts = _cuts(p.shards[order[starts]], parts, limit)
        ends = np.append(starts, len(order))
        jobs: list[Job] = []
        for begin, end in itertools.pairwise(cuts):
            rows = order[ends[begin] : ends[end]]
            if straight:
                jobs.append(functools.partial(_straight, reading=self, table=table, which=rows))
            else:
                groups = np.split(rows, ends[begin + 1 : end] - ends[begin])
                jobs.append(functools.partial(_in_part, reading=self, table=table, groups=groups))
        return jobs

    def _is_straight(self) -> bool:
        """Whether a chunk is one sample, stored as it is wanted."""
        array = self.spans.array
        single = all(size == 1 for size in array.chunk[: array.lead])
        return single and not (self.mean and array.packing is not None and array.meant.kind == "f")


def _cuts(shards: NDArray[np.int64], parts: int, limit: int) -> list[int]:
    """Where to cut sorted chunks: in parts, and so that no part needs more files than may be open."""
    cuts = {round(len(shards) * part / parts) for part in range(parts + 1)}
    number = np.cumsum(np.concatenate([[0], np.diff(shards) != 0]))
    if number[-1] >= limit:
        cuts |= set(np.flatnonzero(np.diff(number // limit) != 0) + 1)
    return sorted(int(cut) for cut in cuts)


def _straight(
    hand: Hand, reading: Reading, table: NDArray[np.int64], which: NDArray[np.int64]
) -> None:
    """Decode chunks to where they belong, and mark there what is missing."""
    array, target, tile = reading.spans.array, reading.target, reading.pieces.tile
    marks = reading.mean and array.meant.kind == "f"
    rows = reading.pieces.rows[which]
    with _fetching(reading, table, which) as (files, numbers):
        _decode(
            hand,
            reading,
            files,
            np.column_stack([numbers, table[which]]),
            which,
            target.ctypes.data + tile.start * target.itemsize + rows * target.strides[0],
            lambda i: target[rows[i]][tile.target],
            np.nan if marks else array.fill,
        )
    if marks and array.holes:
        flat = target.reshape(len(target), -1)  # a view: each row is in one piece
        for hole in array.holes:
            _marker()(flat, rows, tile.start, array.chunk_values, hole)


def _marker() -> Callable[..., None]:
    """The compiled loop; only who asks for NaN waits for its loading (half a second, once)."""
    from astrohpc.kernels.marks import mark  # noqa: PLC0415

    found: Callable[..., None] = mark
    return found


def _in_part(
    hand: Hand,
    reading: Reading,
    table: NDArray[np.int64],
    groups: Sequence[NDArray[np.int64]],
) -> None:
    """Decode each chunk once, and copy what is wanted of it to all rows that want it."""
    array, p = reading.spans.array, reading.pieces
    count = array.chunk_values
    firsts = np.array([same[0] for same in groups])
    each = max(1, _AT_ONCE_BYTES // (count * array.stored.itemsize))
    lead = [array.chunk[0] if array.member else 1, array.chunk[array.member] if array.time else 1]
    with _fetching(reading, table, firsts) as (files, numbers):
        for begin in range(0, len(groups), each):
            few = firsts[begin : begin + each]
            room = hand.room(count * len(few), array.dtype).reshape(len(few), count)
            _decode(
                hand,
                reading,
                files,
                np.column_stack([numbers[begin : begin + each], table[few]]),
                few,
                room.ctypes.data + np.arange(len(few)) * room.strides[0],
                room.__getitem__,
                array.fill,
            )
            for values, first, same in zip(room, few, groups[begin : begin + each], strict=True):
                block = values.reshape(*lead, *array.chunk[array.lead :])
                gone = bool(table[first, 0] < 0)
                _copy(reading, block, p.rows[same], p.inside[same], gone)


def _copy(
    reading: Reading,
    block: NDArray[Any],
    rows: NDArray[np.int64],
    inside: NDArray[np.int64],
    gone: bool,
) -> None:
    """What is wanted of a chunk, to the rows that want it; consecutive ones at once."""
    array, tile = reading.spans.array, reading.pieces.tile
    steps = np.column_stack([np.diff(rows), np.diff(inside, axis=0)])
    cuts = np.flatnonzero((steps != (1, 0, 1)).any(axis=1)) + 1
    for begin, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(rows)], strict=True):
        member, time = inside[begin].tolist()
        values = block[member, time : time + end - begin][(slice(None), *tile.source)]
        if reading.mean and array.meant.kind == "f":
            # Where nobody wrote, a fill value that is not said to be one is missing all the same.
            values = np.full(values.shape, np.nan) if gone else array.meaning(values)
        row = int(rows[begin])
        reading.target[row : row + end - begin][(slice(None), *tile.target)] = values


@contextmanager
def _fetching(
    reading: Reading, table: NDArray[np.int64], which: NDArray[np.int64]
) -> Iterator[tuple[list[int], NDArray[np.int64]]]:
    """Open files of these pieces, and which of them each piece is in; 0 where it is in none."""
    there = table[which, 0] >= 0
    shards = reading.pieces.shards[which]
    first = there.copy()  # of its shard: they are in order
    first[1:] &= (shards[1:] != shards[:-1]) | ~there[:-1]
    numbers = np.maximum(np.cumsum(first) - 1, 0)
    with reading.files.hold(reading.spans.array, shards[first].tolist()) as files:
        yield files, numbers


def _decode(
    hand: Hand,
    reading: Reading,
    files: Sequence[int],
    chunks: NDArray[np.int64],
    which: NDArray[np.int64],
    addresses: NDArray[np.int64],
    view: Callable[[int], NDArray[Any]],
    fill: Any,
) -> None:
    """One call of the kernel, or the same with wheels; Damaged says which chunk it is."""
    array, p = reading.spans.array, reading.pieces
    fill = 0 if fill is None else fill
    kernel = hand.worker.kernel
    if kernel is not None and array.stored.itemsize in WIDTHS:
        form = kernels.Form(
            array.stored,
            array.chunk_values,
            array.codec.name,
            array.codec.level,
            array.codec.name == "deflate",
            array.codec.shuffle,
            fill,
        )
        try:
            kernel.read_chunks(files, chunks, form, addresses.astype(np.uintp))
        except kernels.Failed as failed:
            piece = which[failed.chunk]
            what = (
                f"cannot be read ({os.strerror(failed.errno)})"
                if failed.code == kernels.UNREADABLE
                else "cannot be decoded"
            )
            raise damaged(array, int(p.shards[piece]), int(p.slots[piece]), what) from failed
        return
    for i, ((file, offset, length), piece) in enumerate(zip(chunks.tolist(), which, strict=True)):
        if offset < 0:
            view(i)[...] = fill
            continue
        try:
            values = array.codec.decode(
                os.pread(files[file], length, offset), array.stored, array.chunk
            )
        except Damaged as error:
            raise damaged(
                array, int(p.shards[piece]), int(p.slots[piece]), "cannot be decoded"
            ) from error
        view(i)[...] = values.reshape(view(i).shape)
