"""The scalar surrogate: a few numbers a planet from a few dozen planets, with intervals that hold.

All numbers share the shape of one additive Gaussian process. Shares (0 to 1) are told in their logit, so
that neither a prediction nor an interval leaves their range. A number that planets left out show to be
beyond telling is told by its mean, with the interval that this deserves.

Intervals are cross-validation+ (jackknife+ of Barber, Candès, Ramdas & Tibshirani 2021, in standard
deviations of the process): each planet trained on says how far a process that had not seen it missed it,
and what that process says of the new planet. They hold with at least 1 - 2α of planets drawn alike
whatever the errors' distribution, and with 1 - α but for contrived cases.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from astrohpc.climates.climates import Climates, Input
from astrohpc.emulate.additive import Additive, conditioned, learned, parts_of, priors
from astrohpc.emulate.base import Array, Prediction
from astrohpc.emulate.features import Features

Bounds = tuple[tuple[float, float] | None, ...]

_EDGE = 0.01  # of a share's range by which its ends are taken inward, for they have no logit
_SIGMA = 0.68
_BLOCK = 2**22  # numbers in memory at once
_ONE_BY_ONE = 100  # planets up to which each is left out alone, and sizes are learned without it
_FOLDS = 20  # beyond that


@dataclass(frozen=True, eq=False)
class _Left:
    """Processes that have not seen some planets, and how far each missed those, [planet, number]."""

    processes: tuple[Additive, ...]
    fold: NDArray[np.int64]  # [planet]: which process has not seen it
    mean: Array
    std: Array
    miss: Array  # in standard deviations


@dataclass(frozen=True, eq=False)
class _Known:
    """What was learned from."""

    chosen: NDArray[np.int64]  # numbers of the planets that were learned from
    scaled: Array
    values: Array  # [planet, number], as given
    sizes: Array
    fold_sizes: Array  # [fold, size]
    fold: NDArray[np.int64]
    told: NDArray[np.bool_]  # [number]: whether more than its mean can be told


@dataclass(frozen=True, kw_only=True, eq=False)
class Scalar:
    """Settings, and what was learned with them.

    ``bounds`` has the range of each number that has one. Of more than ``most_planets`` so many are drawn
    from the seed, and sizes follow from the first ``most_for_sizes`` of those.
    """

    inputs: tuple[Input, ...]
    bounds: Bounds
    most_planets: int = 1000
    most_for_sizes: int = 300
    known: _Known | None = None
    process: Additive | None = None
    left: _Left | None = None

    @classmethod
    def of(cls, climates: Climates) -> Self:
        """For data: shares are known by having no unit and lying between 0 and 1, percentages alike."""
        found: list[tuple[float, float] | None] = []
        for one in climates.variables:
            high = {"": 1.0, "1": 1.0, "%": 100.0}.get(one.unit, 0.0)
            values = climates.of(one.name)
            share = high > 0 and bool((values >= 0).all() and (values <= high).all())
            found += [(0.0, high) if share else None] * one.size
        return cls(inputs=climates.inputs, bounds=tuple(found))

    def fit(self, scaled: Array, values: Array, weights: Array, seed: int) -> Self:  # noqa: ARG002
        """Learn; every number counts alike, whatever the weights."""
        order = np.random.default_rng([seed, 0x5C]).permutation(len(scaled))
        chosen = np.sort(order[: self.most_planets])
        scaled, values = np.asarray(scaled, np.float64)[chosen], values[chosen].astype(np.float64)
        nothing = np.empty(0)
        everything = np.ones(values.shape[1], bool)
        fold = _folds(len(scaled), seed)
        data = _Known(chosen, scaled, values, nothing, nothing, fold, everything)
        made = self._learned(data)
        told = made.skill_left_out > 0
        return made if told.all() else self._learned(replace(data, told=told))

    def predict(self, scaled: Array) -> Prediction:
        """Medians, and standard deviations within which 68 % lie."""
        mean, _ = self._told(self._process, self._features.of(np.asarray(scaled, np.float64)))
        low, high = self.interval(scaled, _SIGMA)
        half = 0.5 * (high - low)
        return Prediction(self._back(mean), half / ndtri(0.5 + 0.5 * _SIGMA))

    def interval(self, scaled: Array, confidence: float) -> tuple[Array, Array]:
        """The ends between which the truth of a new planet lies with a confidence, [planet, number].

        Of fewer than 1 / (1 - confidence) planets, the widest that they vouch for.
        """
        features = self._features.of(np.asarray(scaled, np.float64))
        left = self._left
        count = len(left.fold)
        rank = min(count, int(np.ceil(confidence * (count + 1) - 1e-9)))
        step = max(1, _BLOCK // (count * len(self.bounds)))
        ends: list[tuple[Array, Array]] = []
        for begin in range(0, len(features), step):
            some = features[begin : begin + step]
            told = [self._told(one, some) for one in left.processes]
            mean = np.stack([one for one, _ in told])[left.fold]  # [trained on, planet, number]
            reach = np.stack([one for _, one in told])[left.fold] * left.miss[:, None]
            high = np.partition(mean + reach, rank - 1, axis=0)[rank - 1]
            low = np.partition(mean - reach, count - rank, axis=0)[count - rank]
            ends.append((self._back(low), self._back(high)))
        if not ends:
            return np.empty((0, len(self.bounds))), np.empty((0, len(self.bounds)))
        return np.concatenate([one for one, _ in ends]), np.concatenate([one for _, one in ends])

    @property
    def left_out(self) -> Prediction:
        """What was said of each planet trained on by the process that had not seen it."""
        left = self._left
        width = _quantile(left.miss, _SIGMA) / ndtri(0.5 + 0.5 * _SIGMA)
        low, high = (self._back(left.mean + side * width * left.std) for side in (-1.0, 1.0))
        return Prediction(self._back(left.mean), 0.5 * (high - low))

    @property
    def skill_left_out(self) -> Array:
        """[number]: skill of :attr:`left_out` against the mean of the planets that were seen."""
        values, left = self._data.values, self._left
        missed, apart = np.zeros(values.shape[1]), np.zeros(values.shape[1])
        for k in range(len(left.processes)):
            seen, other = left.fold != k, left.fold == k
            missed += np.sum((values[other] - self._back(left.mean[other])) ** 2, axis=0)
            apart += np.sum((values[other] - values[seen].mean(axis=0)) ** 2, axis=0)
        return 1.0 - missed / np.where(apart > 0, apart, np.inf)

    @property
    def chosen(self) -> NDArray[np.int64]:
        """Numbers of the planets that were learned from, of those given; all unless they are very many."""
        return self._data.chosen

    @property
    def told(self) -> NDArray[np.bool_]:
        """[number]: whether more than its mean is told."""
        return self._data.told

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        """Settings, and all that prediction needs."""
        known = self._data
        settings = {
            "inputs": [asdict(one) for one in self.inputs],
            "bounds": [None if one is None else list(one) for one in self.bounds],
            "most_planets": self.most_planets,
            "most_for_sizes": self.most_for_sizes,
        }
        return settings, {
            "chosen": known.chosen,
            "scaled": known.scaled,
            "values": known.values,
            "sizes": known.sizes,
            "fold_sizes": known.fold_sizes,
            "fold": known.fold,
            "told": known.told.astype(np.uint8),
        }

    @classmethod
    def restored(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]
    ) -> Self:
        """From ``state``; the same predictions."""
        made = cls(
            inputs=tuple(Input(**one) for one in settings["inputs"]),
            bounds=tuple(
                None if one is None else (float(one[0]), float(one[1]))
                for one in settings["bounds"]
            ),
            most_planets=settings["most_planets"],
            most_for_sizes=settings["most_for_sizes"],
        )
        scaled, values, sizes, fold_sizes = (
            np.asarray(arrays[name], np.float64)
            for name in ("scaled", "values", "sizes", "fold_sizes")
        )
        chosen, fold = (np.asarray(arrays[name], np.int64) for name in ("chosen", "fold"))
        told = np.asarray(arrays["told"]) > 0
        return made._conditioned(_Known(chosen, scaled, values, sizes, fold_sizes, fold, told))

    # ------------------------------------------------------------------------- learning
    def _learned(self, data: _Known) -> Self:
        """Sizes from the numbers that can be told; of few planets, without each fold in turn."""
        features, rows = self._features.of(data.scaled), self._forth(data.values)[:, data.told]
        parts = parts_of(self._features.groups)
        folds = range(int(data.fold.max()) + 1)
        some = slice(self.most_for_sizes)
        sizes, _ = priors(parts)
        if data.told.any():
            sizes = learned(parts, features[some], rows[some])
        fold_sizes = np.tile(sizes, (len(folds), 1))
        if data.told.any() and len(rows) <= _ONE_BY_ONE:
            seen = [data.fold != k for k in folds]
            fold_sizes = np.array([learned(parts, features[k], rows[k], sizes) for k in seen])
        return self._conditioned(replace(data, sizes=sizes, fold_sizes=fold_sizes))

    def _conditioned(self, known: _Known) -> Self:
        """Processes of known sizes that have seen all planets, and all but each fold."""
        features, data = self._features.of(known.scaled), self._forth(known.values)
        parts = parts_of(self._features.groups)
        made = replace(self, known=known, process=conditioned(parts, known.sizes, features, data))
        processes = []
        mean, std = np.empty_like(data), np.empty_like(data)
        for k, sizes in enumerate(known.fold_sizes):
            seen, other = known.fold != k, known.fold == k
            processes.append(conditioned(parts, sizes, features[seen], data[seen]))
            mean[other], std[other] = made._told(processes[-1], features[other])
        miss = np.abs(data - mean) / std
        return replace(made, left=_Left(tuple(processes), known.fold, mean, std, miss))

    def _told(self, process: Additive, features: Array) -> tuple[Array, Array]:
        """What a process says, and the plain mean and spread of numbers that it cannot tell."""
        mean, std = process.predict(features)
        told = self._data.told
        return np.where(told, mean, process.shift), np.where(told, std, process.scale)

    # ------------------------------------------------------------------------- ranges
    def _forth(self, values: Array) -> Array:
        """Numbers with a range as the logit of their place in it."""
        found = np.array(values, np.float64)
        for i, bounds in enumerate(self.bounds):
            if bounds is not None:
                place = np.clip((found[:, i] - bounds[0]) / (bounds[1] - bounds[0]), 0.0, 1.0)
                found[:, i] = logit(_EDGE + (1 - 2 * _EDGE) * place)
        return found

    def _back(self, told: Array) -> Array:
        found = np.array(told, np.float64)
        for i, bounds in enumerate(self.bounds):
            if bounds is not None:
                place = np.clip((expit(found[:, i]) - _EDGE) / (1 - 2 * _EDGE), 0.0, 1.0)
                found[:, i] = bounds[0] + place * (bounds[1] - bounds[0])
        return found

    # ------------------------------------------------------------------------- what there is
    @property
    def _features(self) -> Features:
        return Features(self.inputs)

    @property
    def _data(self) -> _Known:
        if self.known is None:
            raise ValueError("scalar: it has learned nothing yet; fit it first.")
        return self.known

    @property
    def _process(self) -> Additive:
        if self.process is None:
            raise ValueError("scalar: it has learned nothing yet; fit it first.")
        return self.process

    @property
    def _left(self) -> _Left:
        if self.left is None:
            raise ValueError("scalar: it has learned nothing yet; fit it first.")
        return self.left


def _folds(planets: int, seed: int) -> NDArray[np.int64]:
    """Each planet alone, or of many planets an even share."""
    if planets <= _ONE_BY_ONE:
        return np.arange(planets)
    return np.random.default_rng([seed, 0xF0]).permutation(planets) % _FOLDS


def _quantile(misses: Array, confidence: float) -> Array:
    """[number]: how far to reach to hold so many planets, and one more that may lie anywhere."""
    count = len(misses)
    rank = min(count, int(np.ceil(confidence * (count + 1) - 1e-9)))
    found: Array = np.sort(misses, axis=0)[rank - 1]
    return found
