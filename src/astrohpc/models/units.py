"""What every surrogate does at its two ends: from units to numbers of about one, and back."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_MANY_TIMES = 10.0  # a positive input that spans more is taken as its logarithm


class InUnits(nn.Module):
    """A network whose inputs and outputs have units.

    Means and spreads of the training data are buffers, so that a checkpoint alone is a surrogate.
    """

    input_mean: Tensor
    input_spread: Tensor
    output_mean: Tensor
    output_spread: Tensor
    logarithm: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        # These have values even where the weights have none yet (on the meta device).
        self.register_buffer("logarithm", torch.zeros(inputs, device="cpu"))
        for name, size in (("input", inputs), ("output", outputs)):
            self.register_buffer(f"{name}_mean", torch.zeros(size, device="cpu"))
            self.register_buffer(f"{name}_spread", torch.ones(size, device="cpu"))

    def normalise(self, params: NDArray[np.float64], targets: NDArray[np.float64]) -> None:
        """Learn means and spreads of rows of inputs and of outputs."""
        low, high = params.min(0), params.max(0)
        wide = (low > 0) & (high > _MANY_TIMES * low)
        scaled = np.where(wide, np.log(np.where(wide, params, 1.0)), params)
        self.logarithm.copy_(torch.from_numpy(wide.astype(np.float32)))
        known = np.isfinite(targets)
        counts = np.maximum(known.sum(0), 1)
        mean = np.where(known, targets, 0).sum(0) / counts
        spread = np.sqrt(np.where(known, (targets - mean) ** 2, 0).sum(0) / counts)
        for name, values in (
            ("input_mean", scaled.mean(0)),
            ("input_spread", _not_zero(scaled.std(0))),
            ("output_mean", mean),
            ("output_spread", _not_zero(spread)),
        ):
            getattr(self, name).copy_(torch.from_numpy(values))

    def beginnings(self) -> Mapping[str, float]:
        """Spreads that some weights begin with, by name, where they are not the common ones."""
        return {}

    def described(self) -> Mapping[str, str]:
        """What makes it another model, and is not seen from its weights."""
        return {}

    def inward(self, params_BP: Tensor) -> Tensor:
        """Inputs without units."""
        params = params_BP.to(self.input_mean.dtype)
        positive = torch.where(self.logarithm > 0, params, torch.ones_like(params))
        scaled = torch.where(self.logarithm > 0, positive.log(), params)
        return (scaled - self.input_mean) / self.input_spread

    def outward(self, normal_C: Tensor) -> Tensor:
        """Outputs in their units, channels last.

        In the precision of the weights: units may need more digits than bfloat16 has.
        """
        return self.output_mean + self.output_spread * normal_C.to(self.output_mean.dtype)


def _not_zero(spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """A quantity that never changes is left as it is."""
    return np.where(spread > 0, spread, 1.0)
