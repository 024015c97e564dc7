"""From a planet's parameters to its fields: every cell of every channel, errors weighted by area."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from astrohpc.errors import ConfigError
from astrohpc.models.units import InUnits
from astrohpc.train.accumulate import MIB
from astrohpc.train.sources import Batch, Source
from astrohpc.train.task import GlobalMeans

_BYTES_A_WEIGHT = 16  # with its gradient and two moments, in float32


class Fields(GlobalMeans):
    """For models that give [B, C, cell], and take ``places``, the number of cells."""

    def __init__(
        self, source: Source, settings: Mapping[str, Any], kind: Callable[..., InUnits]
    ) -> None:
        super().__init__(source, settings, kind)
        self._share = self._area.reshape(-1)

    def model(self) -> nn.Module:
        """A network with a place for each cell."""
        channels, places = len(self._part_of), self._area.numel()
        return self.kind(len(self.source.inputs), channels, places=places, **self.settings)

    def if_it_fits(self, memory_bytes: int) -> "Fields":
        """This, or ConfigError where a network that no engine cuts up is larger than the memory here."""
        with torch.device("meta"):
            weights = sum(p.numel() for p in self.model().parameters())
        needed, values = weights * _BYTES_A_WEIGHT, len(self._part_of) * self._area.numel()
        if needed > memory_bytes:
            raise ConfigError(
                f"model.learns: fields of {values:,} values a sample make a network of {weights:,} weights, "
                f"which with gradients and moments need {needed // MIB:,} MiB of the {memory_bytes // MIB:,} "
                "MiB here; name fewer variables in train.data.variables, or take a smaller model.width, or "
                "model.learns=means."
            )
        return self

    def ahead(self, batch: Batch) -> Batch:
        """The fields themselves."""
        return {"params": batch["params"], "targets": self.cells(batch)}
