"""From a planet's parameters to whole fields: every level and cell of every variable at once.

Each variable is normalised level by level, with one mean and one spread for all its cells, so that a thin
quantity at high levels counts as much as a thick one below, and quiet cells no more than lively ones.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from astrohpc.errors import ConfigError
from astrohpc.models.mlp import MlpSurrogate
from astrohpc.train.accumulate import MIB
from astrohpc.train.sources import Batch, Source
from astrohpc.train.task import Loss

_SAMPLES, _VALUES, _AT_ONCE = (
    512,
    2**25,
    2**22,
)  # that tell means and spreads: at most, read at once
_BYTES_A_WEIGHT = 16  # weight, gradient and two moments in float32


class Fields:
    """The small network with one output for each level and cell."""

    def __init__(
        self, source: Source, settings: Mapping[str, Any], memory_bytes: int | None = None
    ) -> None:
        self.source, self.settings = source, dict(settings)
        self.parts = tuple(source.channels)
        self.cells = np.asarray(source.area).shape
        self._area = torch.from_numpy(np.asarray(source.area, np.float64).reshape(-1).copy())
        self._channels = max(part.stop for part in source.channels.values())
        self._part_of = torch.zeros(self._channels, dtype=torch.int64)
        for i, part in enumerate(source.channels.values()):
            self._part_of[part] = i
        self._spread = torch.ones(self._channels)
        self._memory_bytes = memory_bytes or psutil.virtual_memory().total

    def model(self) -> nn.Module:
        """A network that knows means and spreads of its data; ConfigError where it would not fit here."""
        inputs, outputs = len(self.source.inputs), self._channels * len(self._area)
        with torch.device("meta"):
            empty = MlpSurrogate(inputs, outputs, **self.settings)
        self._refuse_too_large(sum(p.numel() for p in empty.parameters()), outputs)
        model = MlpSurrogate(inputs, outputs, **self.settings)
        mean, spread = self._normal()
        model.normalise_inputs(self.source.all_params())
        model.output_mean.copy_(mean.repeat_interleave(len(self._area)))
        model.output_spread.copy_(spread.repeat_interleave(len(self._area)))
        self._spread = spread.float()
        return model

    def ahead(self, batch: Batch) -> Batch:
        """Nothing can be done before the device has it."""
        return batch

    def count(self, batch: Batch) -> tuple[float, NDArray[np.float64]]:
        """Of known values by area, whose mean over the cells is one."""
        by_part = torch.zeros(len(self.parts), dtype=torch.float64)
        by_part.index_add_(0, self._part_of, self._known(batch["fields"].flatten(2)))
        return float(by_part.sum()), by_part.numpy()

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Squared errors in spreads of the training data, by area."""
        truth = batch["fields"].flatten(2)
        found: Tensor = model(batch["params"]).view(truth.shape)
        spread = self._spread.to(found.device, found.dtype)[:, None]
        area = self._area.to(found.device, found.dtype)
        errors = torch.where(torch.isfinite(truth), (found - truth) / spread, 0.0).square()
        by_channel = (errors @ area).sum(0)
        with torch.no_grad():
            part_of = self._part_of.to(found.device)
            parts, squares = by_channel.new_zeros(2, len(self.parts))
            parts.index_add_(0, part_of, by_channel.detach())
            squares.index_add_(0, part_of, by_channel.detach() * spread[:, 0].square())
        return Loss(by_channel.sum(), parts, squares)

    def predict(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Whole fields."""
        return batch["fields"], model(batch["params"]).view(batch["fields"].shape)

    def _known(self, fields_BCX: Tensor) -> Tensor:
        """By channel, over how many cells' areas of all samples there is a value."""
        known = torch.isfinite(fields_BCX)
        if bool(known.all()):
            return (len(fields_BCX) * self._area.sum()).expand(self._channels)
        return known.sum(0).double() @ self._area

    def _normal(self) -> tuple[Tensor, Tensor]:
        """Mean and spread of each channel over area and some samples, a few of which are held at a time."""
        a_sample = self._channels * len(self._area)
        most = max(2, min(_SAMPLES, _VALUES // a_sample, self.source.count))
        some = np.unique(np.linspace(0, self.source.count - 1, most).astype(np.int64))
        at_once = max(1, _AT_ONCE // a_sample)
        room = self.source.room(min(at_once, len(some)), pinned=False)
        sums = torch.zeros(3, self._channels, dtype=torch.float64)
        origin: Tensor | None = None  # near the mean, so that squares keep their digits
        for start in range(0, len(some), at_once):
            read = self.source.read(some[start : start + at_once], room)["fields"].flatten(2)
            fields = read.double()
            known = torch.isfinite(fields)
            values = torch.where(known, fields, 0.0)
            weight = self._known(fields)
            if origin is None:
                origin = (values @ self._area).sum(0) / weight.clamp(min=1e-300)
            apart = torch.where(known, values - origin[:, None], 0.0)
            sums += torch.stack(
                [weight, (apart @ self._area).sum(0), (apart.square() @ self._area).sum(0)]
            )
        assert origin is not None
        mean = sums[1] / sums[0].clamp(min=1e-300)
        spread = (sums[2] / sums[0].clamp(min=1e-300) - mean.square()).clamp(min=0.0).sqrt()
        return origin + mean, torch.where(spread > 0, spread, 1.0)

    def _refuse_too_large(self, weights: int, outputs: int) -> None:
        needed = weights * _BYTES_A_WEIGHT
        if needed <= self._memory_bytes:
            return
        raise ConfigError(
            f"model.learns: fields of {outputs:,} values a sample make a network of {weights:,} weights, "
            f"which with gradients and moments need {needed // MIB:,} MiB of the "
            f"{self._memory_bytes // MIB:,} MiB here; name fewer variables in train.data.variables, or take "
            "a smaller model.width, or model.learns=means."
        )
