"""Linear and quadratic functions of the inputs with small coefficients.

On all values at once with one penalty, which is the same as on all principal components; or on each of the
first components with a penalty of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from astrohpc.emulate.base import Array, Prediction
from astrohpc.emulate.pca import Pca, Values, pca

_PENALTIES = 10.0 ** np.arange(-6, 3, 0.5)
_LEAST = 1e-6  # share of itself that a planet at least lacks in its own prediction


def features(scaled: Array, degree: int) -> Array:
    """Inputs from -1 to 1 and, at degree two, their products."""
    first = 2 * np.asarray(scaled, np.float64) - 1
    if degree == 1:
        return first
    i, j = np.triu_indices(first.shape[1])
    return np.column_stack([first, first[:, i] * first[:, j]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Basis:
    """Features of the planets seen as directions of their own, so that any penalty is a division."""

    degree: int
    middle: Array  # [feature]
    turn: Array  # [feature, direction], to columns of squares ``squares``
    squares: Array  # [direction]
    seen: Array  # [planet, direction], columns of length one

    @classmethod
    def of(cls, scaled: Array, degree: int) -> Self:
        """Of some planets."""
        found = features(scaled, degree)
        middle = found.mean(axis=0)
        seen, lengths, turn = np.linalg.svd(found - middle, full_matrices=False)
        known = lengths > 1e-10 * max(lengths[0], 1e-300)
        return cls(
            degree=degree,
            middle=middle,
            turn=turn[known].T,
            squares=np.square(lengths[known]),
            seen=seen[:, known],
        )

    def along(self, scaled: Array) -> Array:
        """Other planets' features in our directions, [planet, direction]."""
        found: Array = (features(scaled, self.degree) - self.middle) @ self.turn
        return found

    def kept(self, penalty: float) -> Array:
        """By direction, the share of the free fit that a penalty leaves."""
        return self.squares / (self.squares + penalty * len(self.seen))

    def own(self, penalty: float) -> Array:
        """How much each planet takes part in its own prediction, with the intercept."""
        found: Array = 1 / len(self.seen) + np.square(self.seen) @ self.kept(penalty)
        return np.minimum(found, 1 - _LEAST)

    def reach(self, along: Array, penalty: float) -> Array:
        """Of other planets, variance of their mean in units of the noise's, about."""
        found: Array = 1 / len(self.seen) + np.square(along) @ (self.kept(penalty) / self.squares)
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Ridge:
    """One penalty for all values. ``std`` grows with the distance from the planets seen."""

    degree: int = 1
    penalty: float = 0.01  # times the number of planets, on features from -1 to 1
    middle: Array | None = None  # [feature]
    turn: Array | None = None  # [feature, direction]
    reach: Array | None = None  # [direction], of a unit along it
    slopes: Array | None = None  # [direction + 1, value]; the last is the mean
    noise: Array | None = None  # [value], standard deviation

    def fit(self, scaled: Array, values: Values, weights: Array, seed: int) -> Self:  # noqa: ARG002
        """Coefficients, and the noise from what each planet misses that takes no part itself."""
        basis = Basis.of(scaled, self.degree)
        rows = np.array(values, np.float64)
        mean = rows.mean(axis=0)
        rows -= mean
        kept = basis.kept(self.penalty)
        fitted = kept[:, None] * (basis.seen.T @ rows)
        rows -= basis.seen @ fitted
        np.square(rows, out=rows)
        free = 1 / (1 - basis.own(self.penalty))
        return replace(
            self,
            middle=basis.middle,
            turn=basis.turn,
            reach=kept / basis.squares,
            slopes=np.vstack([fitted / np.sqrt(basis.squares)[:, None], mean]),
            noise=np.sqrt(free @ rows / len(rows)),
        )

    def predict(self, scaled: Array) -> Prediction:
        """Means and standard deviations."""
        _, arrays = self.state()
        middle, turn, reach, slopes, noise = (
            np.asarray(one, np.float64) for one in arrays.values()
        )
        along = (features(scaled, self.degree) - middle) @ turn
        mean = along @ slopes[:-1] + slopes[-1]
        more = np.sqrt(1 + np.square(along) @ reach)
        return Prediction(mean, more[:, None] * noise)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        """Settings, and all that prediction needs."""
        names = ("middle", "turn", "reach", "slopes", "noise")
        arrays = {name: found for name in names if (found := getattr(self, name)) is not None}
        if len(arrays) < len(names):
            raise ValueError("ridge: it has learned nothing yet; fit it first.")
        return {"degree": self.degree, "penalty": self.penalty}, arrays

    @classmethod
    def restored(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]
    ) -> Self:
        """From ``state``."""
        found = {name: np.asarray(one, np.float64) for name, one in arrays.items()}
        return cls(**{**settings, **found})


@dataclass(frozen=True, kw_only=True, eq=False)
class PcaRidge:
    """A penalty for each principal component, of the lowest error of planets left out one by one."""

    degree: int = 2
    share: float = 0.99
    most: int = 64
    components: Pca | None = None
    basis: Basis | None = None
    penalties: Array | None = None  # [component]
    slopes: Array | None = None  # [direction, component]
    noise: Array | None = None  # [component], variance

    def fit(self, scaled: Array, values: Values, weights: Array, seed: int) -> Self:  # noqa: ARG002
        """Components, then a penalty and coefficients for each."""
        components, scores = pca(values, weights, self.share, self.most)
        basis = Basis.of(scaled, self.degree)
        free = basis.seen.T @ scores
        errors, noises = [], []
        for penalty in _PENALTIES:
            missed = scores - basis.seen @ (basis.kept(penalty)[:, None] * free)
            apart = 1 - basis.own(penalty)[:, None]
            errors.append(np.mean(np.square(missed / apart), axis=0))
            noises.append(np.mean(np.square(missed) / apart, axis=0))
        best = np.argmin(errors, axis=0)
        penalties = _PENALTIES[best]
        kept = np.column_stack([basis.kept(float(one)) for one in penalties])
        return replace(
            self,
            components=components,
            basis=basis,
            penalties=penalties,
            slopes=kept * free / np.sqrt(basis.squares)[:, None],
            noise=np.array(noises)[best, np.arange(len(best))],
        )

    def predict(self, scaled: Array) -> Prediction:
        """Means and standard deviations."""
        if self.components is None or self.basis is None or self.penalties is None:
            raise ValueError("pca_ridge: it has learned nothing yet; fit it first.")
        assert self.slopes is not None
        assert self.noise is not None
        along = self.basis.along(scaled)
        reach = np.column_stack([self.basis.reach(along, float(one)) for one in self.penalties])
        return Prediction(
            self.components.decoded(along @ self.slopes),
            self.components.spread(self.noise * (1 + reach)),
        )
