"""What is learned: a model, how its loss is summed, and over how many it is the mean.

The loop knows no more of a model than this.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from astrohpc.models.mlp import MlpSurrogate
from astrohpc.train.sources import Batch, Source

_TO_NORMALISE, _AT_ONCE = 512, 2**22  # samples that tell means and spreads; values held at once


@dataclass(frozen=True)
class Loss:
    """Of some samples: the *sum* that is made small, and by part sums to look at, without gradient.

    ``squares`` are squared errors in the data's own units; none where that has no meaning.
    """

    total: Tensor
    parts: Tensor
    squares: Tensor | None = None


class Task(Protocol):
    """What the loop trains."""

    parts: tuple[str, ...]  # names of what a loss is looked at by: variables

    def model(self) -> nn.Module:
        """A new model, from random states that the loop has set."""

    def ahead(self, batch: Batch) -> Batch:
        """What can be done to a batch on the host, in the reader's thread."""

    def count(self, batch: Batch) -> tuple[float, NDArray[np.float64]]:
        """Over how many the loss is the mean, and over how many each part is; of a batch on the host."""

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The loss of some samples, of a batch on the device."""

    def predict(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor] | None:
        """Truth and prediction, in the data's own units: [B, C] or [B, C, …]; None if it makes no climate."""


class GlobalMeans:
    """From a planet's parameters to the area means of its fields: one number a channel."""

    def __init__(self, source: Source, settings: Mapping[str, Any]) -> None:
        self.source, self.settings = source, dict(settings)
        self.parts = tuple(source.channels)
        channels = max(part.stop for part in source.channels.values())
        self._part_of = torch.zeros(channels, dtype=torch.int64)
        for i, part in enumerate(source.channels.values()):
            self._part_of[part] = i
        self._spread = torch.ones(channels)
        self._area = torch.from_numpy(np.asarray(source.area, np.float64).reshape(-1).copy())

    def model(self) -> nn.Module:
        """A network that knows means and spreads of its data."""
        model = MlpSurrogate(len(self.source.inputs), len(self._part_of), **self.settings)
        some = np.unique(
            np.linspace(0, self.source.count - 1, min(_TO_NORMALISE, self.source.count)).astype(
                np.int64
            )
        )
        at_once = max(1, _AT_ONCE // (len(self._part_of) * len(self._area)))
        room = self.source.room(min(at_once, len(some)), pinned=False)
        targets = [
            self.ahead(self.source.read(some[start : start + at_once], room))["targets"].double()
            for start in range(0, len(some), at_once)
        ]
        model.normalise(self.source.all_params(), torch.cat(targets).numpy())
        self._spread = model.output_spread.clone()
        return model

    def ahead(self, batch: Batch) -> Batch:
        """Area means of every channel, over the cells that have a value; NaN where none has.

        In float64: a sample's mean must not depend on which others are in its batch.
        """
        fields = batch["fields"].flatten(2).double()
        known = torch.isfinite(fields)
        if bool(known.all()):
            means = fields @ self._area / self._area.sum()
        else:
            means = torch.where(known, fields, 0.0) @ self._area / (known.double() @ self._area)
        return {"params": batch["params"], "targets": means.float()}

    def count(self, batch: Batch) -> tuple[float, NDArray[np.float64]]:
        """Of known numbers."""
        known = torch.isfinite(batch["targets"]).sum(0)
        by_part = torch.zeros(len(self.parts), dtype=torch.float64)
        by_part.index_add_(0, self._part_of, known.double())
        return float(known.sum()), by_part.numpy()

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Squared errors in spreads of the training data."""
        targets = batch["targets"]
        found: Tensor = model(batch["params"])
        spread = self._spread.to(found.device, found.dtype)
        errors = torch.where(torch.isfinite(targets), (found - targets) / spread, 0.0).square()
        with torch.no_grad():
            by_channel = errors.sum(0)
            part_of = self._part_of.to(errors.device)
            parts, squares = by_channel.new_zeros(2, len(self.parts))
            parts.index_add_(0, part_of, by_channel)
            squares.index_add_(0, part_of, by_channel * spread.square())
        return Loss(errors.sum(), parts, squares)

    def predict(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Area means."""
        return batch["targets"], model(batch["params"])
