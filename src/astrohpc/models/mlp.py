"""A small network from a planet's parameters to numbers of its climate: for examples, tests and baselines."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_MANY_TIMES = 10.0  # a positive input that spans more is taken as its logarithm


class Block(nn.Module):
    """Two layers beside a path that leaves what comes in as it is."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.drop = nn.Dropout(dropout)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x_BW: Tensor) -> Tensor:
        """What comes in, and what this block adds to it."""
        added: Tensor = self.down(self.drop(nn.functional.gelu(self.up(self.norm(x_BW)))))
        return x_BW + added


class MlpSurrogate(nn.Module):
    """``inputs`` numbers to ``outputs`` numbers, in their own units on both sides.

    Means and spreads of the training data are buffers, so that a checkpoint alone is a surrogate.
    """

    input_mean: Tensor
    input_spread: Tensor
    output_mean: Tensor
    output_spread: Tensor
    logarithm: Tensor

    def __init__(
        self, inputs: int, outputs: int, *, width: int = 64, depth: int = 2, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(Block(width, dropout) for _ in range(depth))
        self.last = nn.Linear(width, outputs)
        self.register_buffer("logarithm", torch.zeros(inputs))
        for name, size in (("input", inputs), ("output", outputs)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_spread", torch.ones(size))

    def normalise(self, params: NDArray[np.float64], targets: NDArray[np.float64]) -> None:
        """Learn means and spreads of rows of inputs and of outputs."""
        self.normalise_inputs(params)
        known = np.isfinite(targets)
        counts = np.maximum(known.sum(0), 1)
        mean = np.where(known, targets, 0).sum(0) / counts
        spread = np.sqrt(np.where(known, (targets - mean) ** 2, 0).sum(0) / counts)
        self.output_mean.copy_(torch.from_numpy(mean))
        self.output_spread.copy_(torch.from_numpy(_not_zero(spread)))

    def normalise_inputs(self, params: NDArray[np.float64]) -> None:
        """Learn means and spreads of rows of inputs, of their logarithms where they span much."""
        low, high = params.min(0), params.max(0)
        wide = (low > 0) & (high > _MANY_TIMES * low)
        scaled = np.where(wide, np.log(np.where(wide, params, 1.0)), params)
        self.logarithm.copy_(torch.from_numpy(wide.astype(np.float32)))
        self.input_mean.copy_(torch.from_numpy(scaled.mean(0)))
        self.input_spread.copy_(torch.from_numpy(_not_zero(scaled.std(0))))

    def forward(self, params_BP: Tensor) -> Tensor:
        """The outputs in their own units."""
        params = params_BP.to(self.input_mean.dtype)
        positive = torch.where(self.logarithm > 0, params, torch.ones_like(params))
        scaled = torch.where(self.logarithm > 0, positive.log(), params)
        x_BW = self.first((scaled - self.input_mean) / self.input_spread)
        for block in self.blocks:
            x_BW = block(x_BW)
        # In the precision of the weights: units may need more digits than bfloat16 has.
        normal = self.last(x_BW).to(self.output_mean.dtype)
        out: Tensor = self.output_mean + self.output_spread * normal
        return out


def _not_zero(spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """A quantity that never changes is left as it is."""
    return np.where(spread > 0, spread, 1.0)
