"""What every emulator does: learn rows of values from rows of inputs, and say how sure it is."""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Means and standard deviations of planets' values, [planet, value]; no ``std`` where none is known."""

    mean: Array
    std: Array | None = None


class Emulator(Protocol):
    """One method. It sees inputs scaled to 0…1 over the domain and values in their units, and no planets."""

    def fit(self, scaled: Array, values: Array, weights: Array, seed: int) -> Self:
        """Learn; ``weights`` [value] say how much each value counts. Nothing is drawn but from ``seed``."""

    def predict(self, scaled: Array) -> Prediction:
        """The values of other planets."""
