"""One policy of precision for all parts of a training.

Weights, their running mean and the optimiser are float32 (float64 under ``fp64``); ``bf16`` and
``fp16`` are what matrix products are computed in. The loss is summed in float32 or better.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

_COMPUTE = {
    "fp64": torch.float64,
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
_LARGEST_SCALE = 2.0**24


@dataclass(frozen=True)
class Precision:
    """What numbers are computed and kept in."""

    name: str

    @property
    def compute(self) -> torch.dtype:
        """The type of matrix products."""
        return _COMPUTE[self.name]

    @property
    def keep(self) -> torch.dtype:
        """The type of weights."""
        return torch.float64 if self.name == "fp64" else torch.float32

    def prepare(self, model: nn.Module) -> None:
        """Bring the weights to the type in which they are kept."""
        model.to(self.keep)

    def region(self, device: torch.device) -> contextlib.AbstractContextManager[Any]:
        """Where a model and its loss are computed."""
        if self.compute == self.keep:
            return contextlib.nullcontext()
        return torch.autocast(device.type, dtype=self.compute)

    def scale(self) -> "LossScale | None":
        """What keeps small gradients of float16 from vanishing; None where they do not."""
        return LossScale() if self.name == "fp16" else None


@dataclass
class LossScale:
    """A factor on the loss that halves when gradients overflow and doubles when they long have not."""

    value: float = 2.0**14
    good_steps: int = 0
    patience: int = field(default=1000)

    def undo(self, gradients: Iterable[torch.Tensor]) -> None:
        """Divide gradients by the factor, in place; overflow stays what it is, inf or NaN."""
        whole = list(gradients)
        if whole:
            torch._foreach_mul_(whole, 1.0 / self.value)

    def learn(self, *, overflowed: bool) -> None:
        """Adapt the factor to what has come of it."""
        if overflowed:
            self.value, self.good_steps = max(1.0, self.value / 2), 0
            return
        self.good_steps += 1
        if self.good_steps >= self.patience:
            self.value, self.good_steps = min(_LARGEST_SCALE, self.value * 2), 0
