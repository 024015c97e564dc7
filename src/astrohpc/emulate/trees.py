"""Principal components, and boosted trees for the scores of each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor

from astrohpc.emulate.base import Array, Prediction
from astrohpc.emulate.pca import Pca, Values, pca


@dataclass(frozen=True, kw_only=True, eq=False)
class PcaTrees:
    """Settings of the trees, and what was learned with them."""

    share: float = 0.99
    most: int = 32
    rounds: int = 150
    rate: float = 0.1
    depth: int = 3
    sample: float = 0.7  # share of the planets that a tree is grown on
    components: Pca | None = None
    trees: Sequence[Any] = ()

    def fit(self, scaled: Array, values: Values, weights: Array, seed: int) -> Self:
        """Components of all planets, and trees for each."""
        components, scores = pca(values, weights, self.share, self.most)
        trees = [
            GradientBoostingRegressor(
                n_estimators=self.rounds,
                learning_rate=self.rate,
                max_depth=self.depth,
                subsample=self.sample,
                random_state=np.random.RandomState([seed, k]),
            ).fit(scaled, one)
            for k, one in enumerate(scores.T)
        ]
        return replace(self, components=components, trees=trees)

    def predict(self, scaled: Array) -> Prediction:
        """Of how sure it is, it knows nothing."""
        if self.components is None:
            raise ValueError("pca_trees: it has learned nothing yet; fit it first.")
        scores = np.column_stack([one.predict(scaled) for one in self.trees])
        return Prediction(self.components.decoded(scores))
