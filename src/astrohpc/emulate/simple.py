"""The least that a surrogate must beat: the mean of all planets, and what the nearest ones do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from astrohpc.emulate.base import Array, Prediction
from astrohpc.emulate.pca import Values


@dataclass(frozen=True, kw_only=True, eq=False)
class Mean:
    """Every planet is like the mean of those seen."""

    mean: Array | None = None  # [value]
    std: Array | None = None  # [value]

    def fit(self, scaled: Array, values: Values, weights: Array, seed: int) -> Self:  # noqa: ARG002
        """Take the mean and the spread around it."""
        rows = np.asarray(values, np.float64)
        # One more planet differs from the mean of these by more than these do.
        more = np.sqrt((len(rows) + 1) / max(len(rows) - 1, 1))
        return replace(self, mean=rows.mean(axis=0), std=rows.std(axis=0) * more)

    def predict(self, scaled: Array) -> Prediction:
        """The mean, for each."""
        if self.mean is None or self.std is None:
            raise ValueError("mean: it has learned nothing yet; fit it first.")
        shape = (len(scaled), len(self.mean))
        return Prediction(
            np.broadcast_to(self.mean, shape).copy(), np.broadcast_to(self.std, shape).copy()
        )

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        """All that prediction needs."""
        assert self.mean is not None
        assert self.std is not None
        return {}, {"mean": self.mean, "std": self.std}

    @classmethod
    def restored(
        cls,
        settings: Mapping[str, Any],
        arrays: Mapping[str, NDArray[np.generic]],
    ) -> Self:
        """From ``state``."""
        found = {name: np.asarray(arrays[name], np.float64) for name in ("mean", "std")}
        return cls(**settings, **found)


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """The mean of the nearest planets in the scaled inputs, the nearer the more."""

    count: int = 3
    power: float = 1.0  # of the distance by which a neighbour counts less
    inputs: Array | None = None
    values: Values | None = None  # as they came: a copy in double precision is large

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count: {self.count} neighbours tell nothing; write 1 or more.")

    def fit(self, scaled: Array, values: Values, weights: Array, seed: int) -> Self:  # noqa: ARG002
        """Remember the planets."""
        return replace(self, inputs=np.asarray(scaled, np.float64), values=values)

    def predict(self, scaled: Array) -> Prediction:
        """Of how sure it is, it knows nothing."""
        if self.inputs is None or self.values is None:
            raise ValueError("neighbours: it has learned nothing yet; fit it first.")
        count = min(self.count, len(self.inputs))
        away, near = cKDTree(self.inputs).query(scaled, k=np.arange(1, count + 1))
        share = np.maximum(away, 1e-9) ** -self.power
        share /= share.sum(axis=1, keepdims=True)
        mean = np.zeros((len(scaled), self.values.shape[1]))
        for k in range(count):
            mean += share[:, k, None] * self.values[near[:, k]]
        return Prediction(mean)
