"""Chunks out of shards and into a target, on several threads: the part of reading that takes time.

What lies in one piece in the target is decoded there and nowhere else; of other chunks a thread decodes
into memory of its own and copies what is wanted.
"""

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

# What is decoded before it is looked at again: it must still be in the cache then.
_AT_ONCE_BYTES = 2**20
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
        nbytes = int(np.prod(array.chunk, dtype=np.int64)) * array.stored.itemsize
        straight = p.tile.whole and self._is_straight()
        order = np.lexsort((p.rows, p.slots, p.shards)) if not straight else None
        if order is None:
            order = np.lexsort((table[:, 0], p.shards))
            starts = np.arange(len(order) + 1)
        else:  # rows of one chunk stay together
            same = (np.diff(p.shards[order]) == 0) & (np.diff(p.slots[order]) == 0)
            starts = np.concatenate([[0], np.flatnonzero(~same) + 1, [len(order)]])
        count = len(starts) - 1
        parts = max(1, min(threads, count, count * nbytes // _LEAST_PART_BYTES))
        limit = max(1, self.files.most // max(1, threads))
        jobs: list[Job] = []
        for part in np.array_split(np.arange(count), parts):
            for few in _by_shards(part, p.shards[order[starts[:-1]]], limit):
                rows = [order[starts[i] : starts[i + 1]] for i in few.tolist()]
                work = _straight if straight else _in_part
                jobs.append(lambda hand, work=work, rows=rows: work(hand, self, table, rows))  # type: ignore[misc]
        return jobs

    def _is_straight(self) -> bool:
        """Whether a chunk is one sample, stored as it is wanted."""
        array = self.spans.array
        single = all(size == 1 for size in array.chunk[: array.lead])
        return single and not (self.mean and array.packing is not None and array.meant.kind == "f")


def _by_shards(
    part: NDArray[np.int64], shards: NDArray[np.int64], limit: int
) -> Iterator[NDArray[np.int64]]:
    """Cut a part so that no call needs more open files than there may be."""
    if not len(part):
        return
    number = np.concatenate([[0], np.cumsum(np.diff(shards[part]) != 0)])
    for group in range(int(number[-1]) // limit + 1):
        yield part[number // limit == group]


def _straight(
    hand: Hand, reading: Reading, table: NDArray[np.int64], rows: Sequence[NDArray[np.int64]]
) -> None:
    """Decode chunks to where they belong; what is missing is marked while it is in the cache."""
    array, target, tile = reading.spans.array, reading.target, reading.pieces.tile
    which = np.concatenate(rows)
    marks = reading.mean and bool(array.holes) and array.meant.kind == "f"
    nbytes = int(np.prod(array.chunk, dtype=np.int64)) * array.stored.itemsize
    each = max(1, _AT_ONCE_BYTES // nbytes) if marks else len(which)
    fill = np.nan if reading.mean and array.meant.kind == "f" else array.fill
    with _fetching(reading, which) as (files, numbers):
        for begin in range(0, len(which), each):
            few = which[begin : begin + each]
            places = reading.pieces.rows[few]
            _decode(
                hand,
                reading,
                files,
                np.column_stack([numbers[begin : begin + each], table[few]]),
                few,
                target.ctypes.data
                + places * target.strides[0]
                + tile.start * target.dtype.itemsize,
                [target[row][tile.target] for row in places.tolist()],
                fill,
            )
            if marks:
                mask = hand.room(nbytes // array.stored.itemsize, np.dtype(bool))
                for row in places.tolist():
                    _mark(target[row][tile.target], array.holes, mask)


def _mark(values: NDArray[Any], holes: Sequence[Any], mask: NDArray[np.bool_]) -> None:
    lost = mask.reshape(values.shape)
    for hole in holes:
        np.equal(values, hole, out=lost)
        if lost.any():
            np.copyto(values, np.nan, where=lost)  # three times as quick as an index


def _in_part(
    hand: Hand, reading: Reading, table: NDArray[np.int64], rows: Sequence[NDArray[np.int64]]
) -> None:
    """Decode each chunk once, and copy what is wanted of it to all rows that want it."""
    array, p = reading.spans.array, reading.pieces
    count = int(np.prod(array.chunk, dtype=np.int64))
    firsts = np.array([same[0] for same in rows])
    each = max(1, _AT_ONCE_BYTES // (count * array.stored.itemsize))
    lead = [array.chunk[0] if array.member else 1, array.chunk[array.member] if array.time else 1]
    fill = (
        np.nan if reading.mean and array.dtype.kind == "f" and array.packing is None else array.fill
    )
    with _fetching(reading, firsts) as (files, numbers):
        for begin in range(0, len(rows), each):
            few = firsts[begin : begin + each]
            room = hand.room(count * len(few), array.dtype).reshape(len(few), count)
            _decode(
                hand,
                reading,
                files,
                np.column_stack([numbers[begin : begin + each], table[few]]),
                few,
                room.ctypes.data + np.arange(len(few)) * room.strides[0],
                list(room),
                fill,
            )
            for values, first, same in zip(room, few, rows[begin : begin + each], strict=True):
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
    reading: Reading, which: NDArray[np.int64]
) -> Iterator[tuple[list[int], NDArray[np.int64]]]:
    """Open files of these pieces, and which of them each piece is in; 0 where it is in none."""
    shards = reading.pieces.shards[which]
    table = reading.spans.find(shards, reading.pieces.slots[which])
    there = table[:, 0] >= 0
    needed, number = np.unique(shards[there], return_inverse=True)
    numbers = np.zeros(len(which), np.int64)
    numbers[there] = number
    with reading.files.hold(reading.spans.array, needed.tolist()) as files:
        yield files, numbers


def _decode(
    hand: Hand,
    reading: Reading,
    files: Sequence[int],
    chunks: NDArray[np.int64],
    which: NDArray[np.int64],
    addresses: NDArray[np.int64],
    views: Sequence[NDArray[Any]],
    fill: Any,
) -> None:
    """One call of the kernel, or the same with wheels; Damaged says which chunk it is."""
    array, p = reading.spans.array, reading.pieces
    fill = 0 if fill is None else fill
    kernel = hand.worker.kernel
    if kernel is not None and array.stored.itemsize in WIDTHS:
        form = kernels.Form(
            array.stored,
            int(np.prod(array.chunk, dtype=np.int64)),
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
    for view, (file, offset, length), piece in zip(views, chunks.tolist(), which, strict=True):
        if offset < 0:
            view[...] = fill
            continue
        try:
            values = array.codec.decode(
                os.pread(files[file], length, offset), array.stored, array.chunk
            )
        except Damaged as error:
            raise damaged(
                array, int(p.shards[piece]), int(p.slots[piece]), "cannot be decoded"
            ) from error
        view[...] = values.reshape(view.shape)
