"""Principal components, and a few small networks whose mean gives the scores of all."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from astrohpc.emulate.base import Array, Prediction
from astrohpc.emulate.pca import Pca, Values, pca

_FEW = 1000  # planets up to which all are seen at every step


@dataclass(frozen=True, kw_only=True, eq=False)
class PcaMlp:
    """Settings of the networks, and what was learned with them."""

    share: float = 0.99
    most: int = 64
    width: int = 32
    depth: int = 1
    decay: float = 0.1
    steps: int = 300
    members: int = 3
    components: Pca | None = None
    networks: Sequence[Any] = ()

    def fit(self, scaled: Array, values: Values, weights: Array, seed: int) -> Self:
        """Components of all planets, and networks from the inputs to their scores."""
        components, scores = pca(values, weights, self.share, self.most)
        # A component counts by its variance, as its error in the fields does.
        goals = scores * _sizes(components)
        if goals.shape[1] == 1:
            goals = goals[:, 0]
        few = len(goals) <= _FEW
        networks = []
        for k in range(self.members):
            network = MLPRegressor(
                hidden_layer_sizes=(self.width,) * self.depth,
                activation="tanh",
                solver="lbfgs" if few else "adam",
                alpha=self.decay,
                max_iter=self.steps,
                early_stopping=not few,
                learning_rate_init=3e-3,
                random_state=np.random.RandomState([seed, k]),
            )
            with warnings.catch_warnings():
                # The steps are a setting, and few of them are as good as a penalty.
                warnings.simplefilter("ignore", ConvergenceWarning)
                networks.append(network.fit(2 * scaled - 1, goals))
        return replace(self, components=components, networks=networks)

    def predict(self, scaled: Array) -> Prediction:
        """Of how sure it is, it knows nothing."""
        if self.components is None:
            raise ValueError("pca_mlp: it has learned nothing yet; fit it first.")
        found = [one.predict(2 * scaled - 1).reshape(len(scaled), -1) for one in self.networks]
        mean = np.mean(found, axis=0)
        return Prediction(self.components.decoded(mean / _sizes(self.components)))


def _sizes(components: Pca) -> Array:
    """Of the components, the first one's being one."""
    found: Array = np.sqrt(components.shares / components.shares[0])
    return found
