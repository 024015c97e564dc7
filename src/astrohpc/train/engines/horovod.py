"""Horovod: its collectives under our own gradient buckets.

Its own optimiser is not used: it corrupts the state that it broadcasts, does not reduce parameters
that come later, takes neither bfloat16 nor channels-last, and sums in another order each time
(docs/decisions/0008-our-own-buckets.md).
"""

import contextlib
import os
import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from astrohpc.errors import ConfigError
from astrohpc.train.engines.base import Engine, How, weights_and_buffers
from astrohpc.train.engines.buckets import GradientBuckets
from astrohpc.train.engines.failures import collective, parted
from astrohpc.train.engines.horovod_start import start
from astrohpc.train.engines.rendezvous import Place

T = TypeVar("T")

_LONGEST_PAUSE_S = 5e-4
_NICER = 10  # by how much Horovod's threads yield to those who compute
_THREADS = Path("/proc/self/task")


class Horovod(Engine):
    """Each rank has the whole model; Horovod sums the gradients."""

    name = "horovod"

    def __init__(
        self, place: Place, device: torch.device, *, bucket_bytes: int, timeout_s: float
    ) -> None:
        super().__init__(place, device)
        self._bucket_bytes = bucket_bytes
        self._buckets: GradientBuckets
        with collective("starting Horovod"), _new_threads_yield():
            self._hvd = start(place, timeout_s)
        if device.type == "cuda" and not self._hvd.nccl_built():
            raise ConfigError(
                "engine: this Horovod was built without NCCL and would send gradients through the "
                "CPU; run hpc/horovod.sh --nccl, or take train.engine=ddp."
            )
        self._ops = {"sum": self._hvd.Sum, "max": self._hvd.Max, "min": self._hvd.Min}

    @contextmanager
    def accumulate(self, last: bool) -> Iterator[None]:
        """Buckets fill in the last micro-batch's backward."""
        self._buckets.filling = last
        try:
            yield
        finally:
            self._buckets.filling = False

    def backward(self, loss: Tensor) -> None:
        """Buckets sum; the mean is made of the loss, which is one number and not all gradients."""
        super().backward(loss / self.size)

    def finish_gradients(self) -> None:
        """Wait for the buckets."""
        with collective("reducing gradients"), torch.no_grad():
            self._buckets.finish()

    def _wrap(self, model: nn.Module) -> nn.Module:
        self._bring(model)
        self._take_from_rank_0(weights_and_buffers(model))
        self._buckets = GradientBuckets(
            list(model.named_parameters()), self._bucket_bytes, self._send, self._wait
        )
        return model

    def _send(self, name: str, flat: Tensor) -> Any:
        return self._hvd.allreduce_async_(flat, name=name, op=self._ops["sum"])

    def _wait(self, handle: Any) -> Any:
        """Sleep until a collective is done: Horovod's own waiting spins on a core it needs itself."""
        pause_s = 2e-5
        while not self._hvd.poll(handle):
            time.sleep(pause_s)
            pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)
        return self._hvd.synchronize(handle)

    def _reduce(self, value: Tensor, how: How) -> Tensor:
        flat = value.reshape(-1)
        # A name that tells the shape keeps its place in Horovod's cache of what was agreed.
        name = f"{how}.{flat.dtype}.{flat.device.type}.{len(flat)}"
        self._wait(self._hvd.allreduce_async_(flat, name=name, op=self._ops[how]))
        return flat.view(value.shape)

    def _send_bytes(self, data: Tensor) -> None:
        self._wait(self._hvd.broadcast_async_(data, 0, name=f"bytes.{len(data)}"))

    def _gather(self, value: T) -> list[T]:
        mine = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
        lengths = self._gathered(torch.tensor([len(mine)]), "lengths").tolist()
        data, found, end = self._gathered(mine, "objects").numpy().tobytes(), [], 0
        for length in lengths:
            start, end = end, end + length
            found.append(pickle.loads(data[start:end]))  # noqa: S301 - from our own ranks
        return found

    def _gathered(self, value: Tensor, name: str) -> Tensor:
        found: Tensor = self._wait(self._hvd.allgather_async(value, name=name))
        return found

    def _broadcast(self, value: T) -> T:
        return self._gather(value if self.rank == 0 else None)[0]  # type: ignore[return-value]

    def _barrier(self) -> None:
        self._reduce(torch.zeros(1), "sum")

    def _shutdown(self) -> None:
        self._hvd.shutdown()
        parted(self)


@contextmanager
def _new_threads_yield() -> Iterator[None]:
    """Threads that begin meanwhile run where a core is free, and seldom where one computes.

    Horovod's ask the other ranks every few milliseconds what is ready: over Gloo a tenth of a core, in
    the middle of forward and backward. A rank that waits for a sum leaves its core to them.
    """
    before = _threads()
    yield
    for thread in _threads() - before:
        with contextlib.suppress(OSError):  # it has ended, or may not be told so here
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, 0) + _NICER)


def _threads() -> set[int]:
    """Of this process; none where the system does not tell."""
    return {int(one.name) for one in _THREADS.iterdir()} if _THREADS.is_dir() else set()
