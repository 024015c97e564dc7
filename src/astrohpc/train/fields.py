"""From a planet's parameters to its fields: every cell of every channel, errors weighted by area."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from astrohpc.models.units import InUnits
from astrohpc.train.sources import Batch, Source
from astrohpc.train.task import GlobalMeans

_GAP = 1  # columns between truth and what was found


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

    def ahead(self, batch: Batch) -> Batch:
        """The fields themselves."""
        return {"params": batch["params"], "targets": self.cells(batch)}

    def images(self, model: nn.Module, batch: Batch) -> Mapping[str, NDArray[np.uint8]]:
        """Of every variable one level of one sample: truth left, found right, in the greys of the truth."""
        if self._area.ndim != 2:
            return {}
        device = next(model.parameters()).device
        with torch.no_grad():
            found = model(batch["params"][:1].to(device))[0].double().cpu().numpy()
        truth = batch["targets"][0].double().cpu().numpy()
        return {
            name: _beside(
                *(values[part.start].reshape(self._area.shape) for values in (truth, found))
            )
            for name, part in self.source.channels.items()
        }


def _beside(truth: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Two maps in the same greys; white where nothing is known."""
    known = truth[np.isfinite(truth)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    both = np.concatenate([truth, np.full((len(truth), _GAP), np.nan), found], axis=1)
    shade = np.clip((both - low) / (high - low or 1.0), 0.0, 1.0)
    grey = np.where(np.isfinite(both), 235 * np.nan_to_num(shade), 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
