"""What is learned: a model, how its loss is summed, and over how many it is the mean.

The loop knows no more of a model than this.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from astrohpc.models.mlp import MlpSurrogate
from astrohpc.models.units import InUnits
from astrohpc.train import initial
from astrohpc.train.sources import Batch, Source

_TO_NORMALISE = 512  # samples that tell means and spreads, where no more values than
_VALUES = 2**24  # these come with them


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
        """A new model, whose weights may be on the meta device."""

    def begin(self, model: nn.Module, seed: int) -> None:
        """Give a model its first weights, and what it must know of the data; a part, if it is cut up."""

    def ahead(self, batch: Batch) -> Batch:
        """What can be done to a batch on the host, in the reader's thread."""

    def count(self, batch: Batch) -> tuple[float, NDArray[np.float64]]:
        """Over how many the loss is the mean, and over how many each part is; of a batch on the host."""

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The loss of some samples, of a batch on the device."""

    def predict(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor] | None:
        """Truth and prediction in the data's units, [B, C] or [B, C, cell]; None if it makes no climate."""


class GlobalMeans:
    """From a planet's parameters to the area means of its fields: one number a channel."""

    def __init__(
        self,
        source: Source,
        settings: Mapping[str, Any],
        kind: Callable[..., InUnits] = MlpSurrogate,
    ) -> None:
        self.source, self.settings, self.kind = source, dict(settings), kind
        self.parts = tuple(source.channels)
        channels = max(part.stop for part in source.channels.values())
        self._part_of = torch.zeros(channels, dtype=torch.int64)
        for i, part in enumerate(source.channels.values()):
            self._part_of[part] = i
        self._spread = torch.ones(channels)
        self._area = torch.from_numpy(np.asarray(source.area, np.float64).copy())
        self._share: Tensor | None = None  # by which a number counts, where not all count alike

    def model(self) -> nn.Module:
        """A network in the units of its data."""
        return self.kind(len(self.source.inputs), len(self._part_of), **self.settings)

    def begin(self, model: nn.Module, seed: int) -> None:
        """First weights, and means and spreads of the data."""
        assert isinstance(model, InUnits)
        initial.begin(model, seed, model.beginnings())
        values = len(self._part_of) * self._area.numel()
        most = min(_TO_NORMALISE, max(2, _VALUES // values), self.source.count)
        some = np.unique(np.linspace(0, self.source.count - 1, most).astype(np.int64))
        batch = self.ahead(self.source.read(some, self.source.room(len(some), pinned=False)))
        rows = batch["targets"].double().movedim(1, -1).flatten(0, -2)
        model.normalise(self.source.all_params(), rows.numpy())
        self._spread = model.output_spread.clone()

    def ahead(self, batch: Batch) -> Batch:
        """Area means of every channel, over the cells that have a value; NaN where none has.

        In float64: a sample's mean must not depend on which others are in its batch.
        """
        fields, area = self.cells(batch).double(), self._area.reshape(-1)
        known = torch.isfinite(fields)
        if bool(known.all()):
            means = fields @ area / area.sum()
        else:
            means = torch.where(known, fields, 0.0) @ area / (known.double() @ area)
        return {"params": batch["params"], "targets": means.float()}

    def cells(self, batch: Batch) -> Tensor:
        """The fields as [B, C, cell]; samples that are shorter than the longest of all end in NaN."""
        fields = batch["fields"]
        if "length" in batch:
            whole = self._area.shape[-1]
            fields = nn.functional.pad(fields, (0, whole - fields.shape[-1]), value=math.nan)
            beyond = torch.arange(whole) >= batch["length"][:, None]
            shape = (len(fields), *[1] * (fields.ndim - 2), whole)
            fields = fields.masked_fill(beyond.view(shape), math.nan)
        return fields.flatten(2)

    def count(self, batch: Batch) -> tuple[float, NDArray[np.float64]]:
        """Of known numbers."""
        known = torch.isfinite(batch["targets"]).double()
        by_channel = (known if self._share is None else known * self._share).transpose(0, 1)
        by_part = torch.zeros(len(self.parts), dtype=torch.float64)
        by_part.index_add_(0, self._part_of, by_channel.flatten(1).sum(1))
        return float(by_part.sum()), by_part.numpy()

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Squared errors in spreads of the training data."""
        targets = batch["targets"]
        # A network may give a place for each number; the whole planet is one.
        found: Tensor = model(batch["params"]).reshape(targets.shape)
        spread = self._spread.to(found.device, found.dtype)
        spread = spread.reshape(-1, *[1] * (targets.ndim - 2))
        errors = torch.where(torch.isfinite(targets), (found - targets) / spread, 0.0).square()
        if self._share is not None:
            errors = errors * self._share.to(errors.device, errors.dtype)
        with torch.no_grad():
            by_channel = errors.detach().transpose(0, 1).flatten(1).sum(1)
            part_of = self._part_of.to(errors.device)
            parts, squares = by_channel.new_zeros(2, len(self.parts))
            parts.index_add_(0, part_of, by_channel)
            squares.index_add_(0, part_of, by_channel * spread.reshape(-1).square())
        return Loss(errors.sum(), parts, squares)

    def predict(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the data have, and what the network makes of the same planets."""
        targets = batch["targets"]
        return targets, model(batch["params"]).reshape(targets.shape)
