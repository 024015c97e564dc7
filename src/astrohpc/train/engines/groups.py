"""What DDP and FSDP2 share: torch's own process group and its collectives."""

import datetime
import os
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from astrohpc.train.engines.base import Engine, How
from astrohpc.train.engines.failures import collective
from astrohpc.train.engines.rendezvous import Place, free_port

T = TypeVar("T")


class Grouped(Engine):
    """Ranks of a process group: Gloo for the CPU, NCCL for GPUs."""

    def __init__(self, place: Place, device: torch.device, *, timeout_s: float) -> None:
        super().__init__(place, device)
        if dist.is_initialized():  # the process has met the others; this is another model
            return
        address, port = place.meet() if place.size > 1 else ("127.0.0.1", free_port())
        if place.one_node:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        with collective("meeting the other ranks"):
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
                init_method=f"tcp://{address}:{port}",
                rank=place.rank,
                world_size=place.size,
                timeout=datetime.timedelta(seconds=timeout_s),
            )

    def _reduce(self, value: Tensor, how: How) -> Tensor:
        dist.all_reduce(value, op=_OPS[how])
        return value

    def _send_bytes(self, data: Tensor) -> None:
        dist.broadcast(data, 0)

    def _broadcast(self, value: T) -> T:
        box = [value]
        dist.broadcast_object_list(box, 0)
        return box[0]

    def _gather(self, value: T) -> list[T]:
        found: list[T | None] = [None] * self.size
        dist.all_gather_object(found, value)
        return found  # type: ignore[return-value]

    def _barrier(self) -> None:
        self._reduce(torch.zeros(1), "sum")

    def _shutdown(self) -> None:
        dist.destroy_process_group()


_OPS = {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX, "min": dist.ReduceOp.MIN}
