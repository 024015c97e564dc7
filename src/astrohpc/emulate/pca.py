"""Fields of many values as a few scores: the patterns in which planets differ most.

Each variable counts alike, and each of its values by area and mass. What the patterns leave out is known
too, from planets that the patterns were not made of, since an emulator has to answer for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from astrohpc.emulate.base import Array

Values = NDArray[np.floating]

_WHOLE = 1e-9  # by which a variable's weights may miss a sum of one
_TINY = float(np.finfo(np.float64).tiny)
_FOLDS = 5
_RANK = 1e-12  # share of the first pattern's variance below which a pattern is rounding


@dataclass(frozen=True, eq=False)
class Pca:
    """values = mean + scores @ patterns, and what that leaves out has the variance ``left``."""

    mean: Array  # [value]
    patterns: Array  # [pattern, value], in units of the values for a score of one
    left: Array  # [value], variance
    shares: Array  # [pattern], of the variance of all variables together

    def decoded(self, scores: Array) -> Array:
        """[planet, value] from [planet, pattern]."""
        found: Array = scores @ self.patterns
        found += self.mean
        return found

    def spread(self, variances: Array) -> Array:
        """Standard deviations [planet, value] from the scores' variances [planet, pattern]."""
        found: Array = variances @ self._squares
        found += self.left
        return np.sqrt(found, out=found)

    @cached_property
    def _squares(self) -> Array:
        # Made once: for a single planet they would cost more than all the rest.
        return np.square(self.patterns)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All of it; patterns in single precision, in which they are anyway."""
        return {
            "mean": self.mean,
            "patterns": self.patterns.astype(np.float32),
            "left": self.left,
            "shares": self.shares,
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """From ``arrays``."""
        names = ("mean", "patterns", "left", "shares")
        return cls(**{name: np.asarray(arrays[name], np.float64) for name in names})


def variables_of(weights: Array) -> list[slice]:
    """The columns of each variable: its weights have the sum one, so there it ends."""
    sums = np.cumsum(weights, dtype=np.float64)
    count = round(float(sums[-1]))
    if count < 1 or abs(sums[-1] - count) > _WHOLE * count:
        raise ValueError(f"weights: their sum is {sums[-1]:.9g}; give each variable a sum of one.")
    ends = np.searchsorted(sums, np.arange(1, count) - _WHOLE * count) + 1
    bounds = [0, *(int(end) for end in ends), len(weights)]
    return [slice(begin, end) for begin, end in pairwise(bounds)]


def pca(values: Values, weights: Array, share: float, most: int) -> tuple[Pca, Array]:
    """Patterns for ``share`` of the variance, ``most`` at most, and the planets' scores of variance one."""
    rows = np.array(values, np.float64)
    mean = rows.mean(axis=0)
    rows -= mean
    factor = _factors(rows, weights)
    if len(rows) <= rows.shape[1]:
        gram = _gram(rows, factor)
        variances, scores = _directions(gram, share, most)
        patterns = scores.T @ rows / len(rows)
        left = _left_of_others(rows, gram, len(variances))
    else:
        scaled = rows * factor
        variances, axes = _directions(scaled.T @ scaled, share, most)
        # Their columns have variance one over values; the scores' over planets.
        scores = scaled @ axes
        scores /= np.sqrt(np.maximum(np.mean(np.square(scores), axis=0), _TINY))
        variances *= rows.shape[1] / len(rows)
        patterns = scores.T @ rows / len(rows)
        inside = np.mean(np.square(rows), axis=0) - np.sum(np.square(patterns), axis=0)
        left = np.maximum(inside, 0) * len(rows) / (len(rows) - len(patterns))
    total = float(np.sum(np.square(factor) * np.mean(np.square(rows), axis=0)))
    patterns = patterns.astype(np.float32).astype(np.float64)
    return Pca(mean, patterns, left, variances / max(total, _TINY)), scores


def _factors(rows: Array, weights: Array) -> Array:
    """By which anomalies are multiplied so that each variable has a variance of one."""
    found = np.sqrt(weights)
    variance = np.mean(np.square(rows), axis=0)
    for place in variables_of(weights):
        spread = np.sqrt(np.dot(weights[place], variance[place]))
        found[place] *= 1 / spread if spread > 0 else 0.0
    return found


def _gram(rows: Array, factor: Array, block: int = 8192) -> Array:
    """Products of planets with planets; in blocks, since a second copy of the fields is large."""
    found = np.zeros((len(rows), len(rows)))
    for begin in range(0, rows.shape[1], block):
        part = rows[:, begin : begin + block] * factor[begin : begin + block]
        found += part @ part.T
    return found


def _directions(products: Array, share: float, most: int) -> tuple[Array, Array]:
    """Variances, falling, and vectors of mean square one; of the largest, as many as asked for."""
    squares, vectors = np.linalg.eigh(products)
    squares, vectors = np.maximum(squares[::-1], 0), vectors[:, ::-1]
    known = int(np.count_nonzero(squares > _RANK * squares[0]))
    sums = np.cumsum(squares)
    enough = int(np.searchsorted(sums, share * sums[-1])) + 1
    count = max(1, min(enough, most, known))
    signs = np.sign(vectors[np.argmax(np.abs(vectors[:, :count]), axis=0), np.arange(count)])
    return squares[:count] / len(products), vectors[:, :count] * signs * np.sqrt(len(products))


def _left_of_others(rows: Array, gram: Array, count: int) -> Array:
    """Variance that patterns of some planets leave in the others, [value].

    In the planets that they are made of they leave far too little: nothing at all, with as many patterns
    as planets. Of one planet there are no others: nothing is known of what is left.
    """
    if len(rows) == 1:
        return np.zeros(rows.shape[1])
    fold = np.arange(len(rows)) % min(_FOLDS, len(rows))
    found = np.zeros(rows.shape[1])
    for k in range(int(fold.max()) + 1):
        seen, other = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        own = gram[np.ix_(seen, seen)]
        cross = gram[np.ix_(other, seen)]
        middle = own.mean(axis=0)
        cross = cross - middle - cross.mean(axis=1, keepdims=True) + middle.mean()
        own = own - middle - middle[:, None] + middle.mean()
        squares, vectors = np.linalg.eigh(own)
        kept = max(0, len(seen) - min(count, len(seen) - 1))
        squares, vectors = squares[kept:], vectors[:, kept:]
        least = _RANK * squares.max(initial=0.0)  # of a single planet there are no patterns
        inverse = np.where(squares > least, 1 / np.maximum(squares, 1e-300), 0.0)
        # Each of the others as a mixture of those seen, around the mean of those seen.
        mixture = (cross @ vectors * inverse) @ vectors.T
        mixture += (1 - mixture.sum(axis=1, keepdims=True)) / len(seen)
        whole = np.zeros((len(other), len(rows)))
        whole[:, seen] = -mixture
        whole[np.arange(len(other)), other] = 1
        found += np.sum(np.square(whole @ rows), axis=0)
    return found / len(rows)
