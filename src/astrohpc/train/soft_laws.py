"""What a predicted climate breaks of conservation, as a loss: soft in training, exact only at inference.

Each law's squared relative residual is measured in that of the first guess, so that laws of any unit
weigh alike. A law that the data themselves keep no better than the guess does would teach nothing,
and is left out.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from astrohpc.climates.climates import Array, Climates
from astrohpc.climates.physical import fields_of, layout_of, projections_for
from astrohpc.physics.projections import Projection, soft_losses
from astrohpc.physics.worlds import Known

_KEPT = 0.25  # of the guess's residual, that the data's own may be


class SoftLaws:
    """Laws that the climates to train on keep; a loss of planets by their number."""

    def __init__(self, climates: Climates, known: int, guess: Array) -> None:
        """Of climates whose first ``known`` are to train on, and guesses of those."""
        self._climates = climates
        self._sizes: Mapping[str, float] = {}
        self._laws: Sequence[Projection] = ()
        own = climates.take(np.arange(known))
        found = projections_for(own)
        if not found:
            return
        self._layout = layout_of(climates.variables, climates.axes)
        self._constants = Known.of_planets(climates.planets)
        numbers = np.arange(known)
        truth = self._residuals(own.values.astype(np.float64), numbers, found)
        guessed = self._residuals(guess, numbers, found)
        self._sizes = {
            name: float(guessed[name].mean())
            for name in guessed
            if float(truth[name].mean()) < _KEPT * float(guessed[name].mean())
        }
        self._laws = tuple(one for one in found if one.name in self._sizes)

    @property
    def names(self) -> tuple[str, ...]:
        """The laws that are learned."""
        return tuple(self._sizes)

    def __call__(self, mean_BCK: Tensor, numbers: Tensor) -> Tensor:
        """The mean over laws of each planet's residual, [B]: about 1 of the guess itself."""
        if not self._laws:
            return mean_BCK.new_zeros(len(mean_BCK))
        found = self._residuals(mean_BCK.flatten(1), numbers.cpu().numpy(), self._laws)
        parts = [found[one.name] / self._sizes[one.name] for one in self._laws]
        return torch.stack(parts).mean(0).to(mean_BCK.dtype)

    def _residuals(
        self, rows: Array | Tensor, numbers: np.ndarray, laws: Sequence[Projection]
    ) -> dict[str, Tensor]:
        fields = {
            name: field
            for name, field in fields_of(self._climates.variables, rows).items()
            if name in self._layout
        }
        whole = self._constants
        known = Known(
            whole.worlds.take(numbers), whole.starlight_wm2[numbers], whole.pressure_pa[numbers]
        )
        return soft_losses(fields, self._layout, known, laws)
