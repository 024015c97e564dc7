"""Principal components, and a Gaussian process for the scores of each: the method to beat.

Its uncertainty is that of the processes, and of what the components leave out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from astrohpc.emulate.base import Array, Prediction
from astrohpc.emulate.pca import Pca, Values, pca
from astrohpc.emulate.process import KERNELS, Kernel, Process, conditioned, learned


@dataclass(frozen=True, kw_only=True, eq=False)
class PcaGp:
    """Settings, and what was learned with them.

    A process costs the third power of its planets. Beyond ``most_planets`` it is made of so many, drawn
    from the seed, and beyond ``most_for_sizes`` its sizes follow from the first so many of those; the
    components are always those of all planets.
    """

    kernel: Kernel = "matern"
    share: float = 0.99  # of the variance that the components keep
    most: int = 64  # components
    most_planets: int = 1500
    most_for_sizes: int = 400
    components: Pca | None = None
    processes: Sequence[Process] = ()
    scores: Array | None = None  # [planet, component] that the processes have seen

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise ValueError(f"kernel: {self.kernel!r} is none of {', '.join(KERNELS)}.")
        if not 0 < self.share <= 1:
            raise ValueError(f"share: {self.share} is no share of the variance; write 0 to 1.")

    def fit(self, scaled: Array, values: Values, weights: Array, seed: int) -> Self:
        """Components of all planets, and a process for each."""
        components, scores = pca(values, weights, self.share, self.most)
        order = np.random.default_rng([seed, 0x69]).permutation(len(scaled))
        # In rising order where all are taken, so that the seed changes nothing there.
        chosen = order[: self.most_planets] if len(order) > self.most_planets else np.sort(order)
        inputs, scores = np.asarray(scaled, np.float64)[chosen], scores[chosen]
        some = slice(self.most_for_sizes)
        sizes = [learned(inputs[some], one[some], self.kernel) for one in scores.T]
        return replace(
            self,
            components=components,
            processes=self._processes(np.array(sizes), inputs, scores),
            scores=scores,
        )

    def predict(self, scaled: Array) -> Prediction:
        """Means and standard deviations, noise included: of another run, not of an average over runs."""
        components, inputs = self._known, np.asarray(scaled, np.float64)
        found = [one.predict(inputs) for one in self.processes]
        mean = np.column_stack([mean for mean, _ in found])
        variance = np.column_stack([variance for _, variance in found])
        return Prediction(components.decoded(mean), components.spread(variance))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        """Settings, and all that prediction needs."""
        settings = {
            name: getattr(self, name)
            for name in ("kernel", "share", "most", "most_planets", "most_for_sizes")
        }
        assert self.scores is not None
        arrays: dict[str, NDArray[np.generic]] = {
            **self._known.arrays(),
            "inputs": self.processes[0].inputs,
            "scores": self.scores,
            "sizes": np.array([one.sizes for one in self.processes]),
        }
        return settings, arrays

    @classmethod
    def restored(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]
    ) -> Self:
        """From ``state``; the same predictions."""
        made = cls(**settings)
        sizes, inputs, scores = (
            np.asarray(arrays[name], np.float64) for name in ("sizes", "inputs", "scores")
        )
        processes = made._processes(sizes, inputs, scores)
        return replace(made, components=Pca.restored(arrays), processes=processes, scores=scores)

    @property
    def _known(self) -> Pca:
        if self.components is None:
            raise ValueError("pca_gp: it has learned nothing yet; fit it first.")
        return self.components

    def _processes(self, sizes: Array, inputs: Array, scores: Array) -> tuple[Process, ...]:
        return tuple(
            conditioned(size, inputs, one, self.kernel)
            for size, one in zip(sizes, scores.T, strict=True)
        )
