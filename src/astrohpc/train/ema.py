"""The running mean of weights, which often predicts better than the last weights do."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from astrohpc.train.rows import local


class RunningMean:
    """``mean ← d · mean + (1 − d) · weights`` after each step; a part of a sharded model has its part.

    A young mean must not remember the first weights for ever, so after n steps d is at most
    (1 + n) / (10 + n). It only ever sees weights that the guards let through, so a NaN cannot poison it.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self._names = [name for name, _ in model.named_parameters()]
        self._weights = [local(weight.detach()) for weight in model.parameters()]
        self._means = [weight.clone() for weight in self._weights]

    def decay_now(self) -> float:
        """The share of the past in the next mean."""
        return min(self.decay, (1 + self.steps) / (10 + self.steps))

    def update(self) -> None:
        """Take in the weights as they are now."""
        torch._foreach_lerp_(self._means, self._weights, 1.0 - self.decay_now())
        self.steps += 1

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the mean where the weights are, for as long as the context lasts."""
        kept = [weight.clone() for weight in self._weights]
        torch._foreach_copy_(self._weights, self._means)
        try:
            yield
        finally:
            torch._foreach_copy_(self._weights, kept)

    def state(self) -> dict[str, torch.Tensor]:
        """The mean by the names of the weights."""
        return dict(zip(self._names, self._means, strict=True))

    def take_over(self, steps: int) -> None:
        """Let the weights as they are now be the mean of so many steps."""
        torch._foreach_copy_(self._means, self._weights)
        self.steps = steps
