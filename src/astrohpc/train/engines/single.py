"""One process, nobody to wait for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from astrohpc.train.engines.base import Engine, How
from astrohpc.train.engines.rendezvous import Place

T = TypeVar("T")


class Single(Engine):
    """All of the batch on one device."""

    name = "single"

    def __init__(self, device: torch.device) -> None:
        super().__init__(Place(), device)

    @contextmanager
    def accumulate(self, last: bool) -> Iterator[None]:  # noqa: ARG002 - nothing to hold back
        """Gradients add up by themselves."""
        yield

    def _wrap(self, model: nn.Module) -> nn.Module:
        self._bring(model)
        return model

    def _reduce(self, value: Tensor, how: How) -> Tensor:  # noqa: ARG002
        return value

    def _broadcast(self, value: T) -> T:
        return value

    def _gather(self, value: T) -> list[T]:
        return [value]

    def _barrier(self) -> None:
        pass

    def _shutdown(self) -> None:
        pass

    def _send_bytes(self, data: Tensor) -> None:
        pass
