"""Batches ahead of time: a thread reads while the model computes, into memory that is used again.

Positions are those of who takes batches, never of the thread that prepares them, so that a checkpoint
knows exactly what has been seen.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from astrohpc.train.plan import BatchPlan, Indices
from astrohpc.train.sources import Batch, Source

_LOOK_S = 0.1  # how soon a reader that is no longer wanted notices


@dataclass
class _Room:
    """Memory for one batch, and until when a GPU still copies from it."""

    memory: Batch
    copied: "torch.cuda.Event | None" = None


@dataclass
class Reader:
    """Reads this rank's share of the batches from a number on, ``ahead`` of them.

    What ``take`` gives is valid until it is called again (on a GPU: for ever, being a copy there).
    """

    source: Source
    plan: BatchPlan
    rank: int
    ranks: int
    device: torch.device
    ahead: int
    work: Callable[[Batch], Batch]  # what is done to a batch before anybody waits for it
    waited_s: float = 0.0
    _thread: threading.Thread | None = None
    _over: threading.Event = field(default_factory=threading.Event)
    _held: _Room | None = None

    def start(self, number: int) -> None:
        """Begin to read, with batch ``number``; what was read before is forgotten."""
        self.stop()
        self._over = threading.Event()
        self._free: queue.Queue[_Room] = queue.Queue()
        self._full: queue.Queue[tuple[int, _Room, Batch] | BaseException] = queue.Queue()
        for _ in range(self.ahead + 1):  # one is being used, one is being filled
            self._free.put(_Room({}))
        self._thread = threading.Thread(
            target=self._read,
            args=(number, self._over, self._free, self._full),
            name="reader",
            daemon=True,
        )
        self._thread.start()

    def take(self, number: int) -> Batch:
        """This rank's samples of batch ``number``, in host memory; time spent waiting is added up."""
        if self._held is not None:
            self._free.put(self._held)
            self._held = None
        begun = time.perf_counter()
        found = self._full.get()
        self.waited_s += time.perf_counter() - begun
        if isinstance(found, BaseException):
            raise found
        there, room, batch = found
        assert there == number, f"batch {there} came, {number} was asked for"
        self._held = room
        return batch

    def to_device(self, batch: Batch, part: slice) -> Batch:
        """Samples of a batch where the model is; from pinned memory the copy goes on beside."""
        if self.device.type == "cpu":
            return {name: tensor[part] for name, tensor in batch.items()}
        found = {
            name: tensor[part].to(self.device, non_blocking=True) for name, tensor in batch.items()
        }
        if self._held is not None:
            self._held.copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._held.copied.record()
        return found

    def stop(self) -> None:
        """Let the thread end."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._held = None

    def _read(
        self,
        number: int,
        over: threading.Event,
        free: "queue.Queue[_Room]",
        full: "queue.Queue[tuple[int, _Room, Batch] | BaseException]",
    ) -> None:
        try:
            while (room := _unless(over, free)) is not None:
                samples = self.plan.share(number, self.rank, self.ranks)
                full.put((number, room, self._fill(room, samples)))
                number += 1
        except BaseException as error:  # noqa: BLE001 - raised where the batch is taken
            full.put(error)

    def _fill(self, room: _Room, samples: Indices) -> Batch:
        if room.copied is not None:
            room.copied.synchronize()
        have = len(next(iter(room.memory.values()))) if room.memory else 0
        if have < len(samples):
            room.memory = self.source.room(len(samples), pinned=self.device.type == "cuda")
        return self.work(self.source.read(samples, room.memory))


def _unless(over: threading.Event, free: "queue.Queue[_Room]") -> _Room | None:
    while not over.is_set():
        try:
            return free.get(timeout=_LOOK_S)
        except queue.Empty:
            continue
    return None
