"""Latitude bands of a sphere with exact areas, and diffusion between neighbours in flux form."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Bands:
    """Bands of equal angular width from the south pole to the north pole.

    ``weight`` is the share of the sphere that a band covers; the shares add up to one.
    """

    edge_rad: Array
    center_rad: Array
    weight: Array

    @classmethod
    def uniform(cls, count: int) -> "Bands":
        """``count`` bands of equal width in latitude."""
        edge = np.linspace(-0.5 * np.pi, 0.5 * np.pi, count + 1)
        return cls(edge, 0.5 * (edge[1:] + edge[:-1]), 0.5 * np.diff(np.sin(edge)))

    def mean(self, values: Array) -> float:
        """Area mean of one value a band."""
        return float(np.dot(self.weight, values))

    def conductance(self, diffusion_wm2k: float) -> Array:
        """Heat flux across each inner edge per kelvin between its two bands.

        In W K-1 per square metre of the *whole sphere*, so that a band gains
        ``(flux_in - flux_out) / weight`` and the sum over the sphere telescopes to zero. Nothing
        crosses a pole: its edge has no length.
        """
        edge = self.edge_rad[1:-1]
        return 0.5 * diffusion_wm2k * np.cos(edge) / np.diff(self.center_rad)
