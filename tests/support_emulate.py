"""Planets made up for tests of emulators: smooth fields of three inputs, two variables on few places."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Planets:
    """Rows of inputs and values; the first ``seen`` are to be learned from."""

    scaled: Array
    values: Array
    weights: Array
    seen: int

    @property
    def names(self) -> list[str]:
        return [f"planet-{i}" for i in range(self.seen)]

    def skill(self, mean: Array) -> float:
        """Of a prediction of the planets not seen, against the mean of those seen."""
        truth, usual = self.values[self.seen :], self.values[: self.seen].mean(axis=0)
        missed = np.square(mean - truth) @ self.weights
        return 1 - float(missed.sum() / (np.square(truth - usual) @ self.weights).sum())


def planets(seen: int = 60, other: int = 40, noise: float = 0.02, seed: int = 0) -> Planets:
    """A warm-spot field of 80 values, and one of 20 of other size and unit."""
    draw = np.random.default_rng(seed)
    scaled = draw.random((seen + other, 3))
    a, b, c = scaled.T[:, :, None]
    place = np.linspace(0, 1, 80)
    first = 280 + 30 * a + 10 * np.sin(3 * b) * np.cos(6 * place) + 8 * np.tanh(4 * (c - place))
    second = 1e-3 * (a * b + np.sin(4 * place[::4] + 2 * c))
    values = np.concatenate([first + 10 * noise * draw.normal(size=first.shape), second], axis=1)
    return Planets(scaled, values, np.repeat([1 / 80, 1 / 20], [80, 20]), seen)
