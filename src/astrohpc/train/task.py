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

_TO_NORMALISE = 512  # samples that tell means and spreads


@dataclass(frozen=True)
class Loss:
    """Of some samples: the *sum* that is made small, and by part a sum to look at, without gradient."""

    total: Tensor
    parts: Tensor


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

    def images(self, model: nn.Module, batch: Batch) -> Mapping[str, NDArray[np.uint8]]:
        """Pictures for people, [row, column, 3] each; none if there is nothing to show."""


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
        batch = self.ahead(self.source.read(some, self.source.room(len(some), pinned=False)))
        model.normalise(self.source.all_params(), batch["targets"].double().numpy())
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
            parts = errors.new_zeros(len(self.parts))
            parts.index_add_(0, self._part_of.to(errors.device), errors.detach().sum(0))
        return Loss(errors.sum(), parts)

    def images(self, model: nn.Module, batch: Batch) -> Mapping[str, NDArray[np.uint8]]:  # noqa: ARG002
        """None: it makes no fields."""
        return {}
