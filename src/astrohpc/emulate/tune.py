"""Settings by cross-validation over planets, with the same number of trials for every method."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any, Self

import numpy as np

from astrohpc.climates.climates import Indices
from astrohpc.climates.split import folds as folds_of
from astrohpc.emulate.base import Array, Emulator, Prediction
from astrohpc.emulate.methods import CHOICES, METHODS
from astrohpc.emulate.pca import Values, variables_of
from astrohpc.errors import ConfigError
from astrohpc.settings import suggest


@dataclass(frozen=True, eq=False)
class WithSpread:
    """A method that does not know how sure it is, and how far it missed planets that it had not seen."""

    emulator: Emulator
    std: Array  # [value]

    def fit(self, scaled: Array, values: Array, weights: Array, seed: int) -> Self:
        """Learn anew; how far it misses is taken to be the same."""
        return replace(self, emulator=self.emulator.fit(scaled, values, weights, seed))

    def predict(self, scaled: Array) -> Prediction:
        """The same spread for all planets."""
        found = self.emulator.predict(scaled)
        return Prediction(found.mean, np.broadcast_to(self.std, found.mean.shape).copy())


def tuned(
    name: str,
    scaled: Array,
    values: Values,
    weights: Array,
    names: Sequence[str],
    seed: int,
    trials: int = 8,
    folds: int = 5,
) -> tuple[Emulator, dict[str, Any], float]:
    """A method with the best of its settings, learned from all planets; the settings, and their skill.

    The skill is that of planets not learned from, against the mean of those learned from, averaged over
    variables: 1 is perfect, 0 as good as the mean.
    """
    if name not in METHODS:
        raise ConfigError(f"method: there is no {name!r}{suggest(name, list(METHODS))}")
    fold = _folds(names, folds, seed)
    best: tuple[float, dict[str, Any], Array] | None = None
    for settings in drawn(name, trials, seed):
        factory = partial(METHODS[name], **settings)
        skill, squares = _judged(factory, scaled, values, weights, fold, seed)
        if best is None or skill > best[0]:
            best = skill, settings, squares
    assert best is not None
    skill, settings, squares = best
    emulator = METHODS[name](**settings).fit(scaled, np.asarray(values, np.float64), weights, seed)
    if emulator.predict(scaled[:1]).std is None:
        emulator = WithSpread(emulator, np.sqrt(squares))
    return emulator, settings, skill


def out_of_fold(
    factory: Callable[[], Emulator],
    scaled: Array,
    values: Values,
    weights: Array,
    names: Sequence[str],
    folds: int,
    seed: int,
) -> Prediction:
    """Of each planet, what an emulator says that learned from the planets of the other folds alone."""
    mean, std = np.empty(values.shape), np.empty(values.shape)
    sure = True
    for other, found, _ in _parts(
        factory, scaled, values, weights, _folds(names, folds, seed), seed
    ):
        mean[other] = found.mean
        sure = sure and found.std is not None
        if found.std is not None:
            std[other] = found.std
    return Prediction(mean, std if sure else None)


def drawn(name: str, trials: int, seed: int) -> list[dict[str, Any]]:
    """Settings to try: the usual ones, then others at random, none twice."""
    choices: Mapping[str, Sequence[Any]] = CHOICES[name]
    every = [dict(zip(choices, one, strict=True)) for one in product(*choices.values())]
    order = np.random.default_rng([seed, 0x7E]).permutation(len(every) - 1) + 1
    return [every[0], *(every[i] for i in order[: max(trials, 1) - 1])]


def _folds(names: Sequence[str], count: int, seed: int) -> Indices:
    if not 2 <= count <= len(names):
        raise ConfigError(
            f"folds: {count} of {len(names)} planets cannot be made; write 2 to {len(names)}."
        )
    return folds_of(names, count, seed)


def _parts(
    factory: Callable[[], Emulator],
    scaled: Array,
    values: Values,
    weights: Array,
    fold: Indices,
    seed: int,
) -> Iterator[tuple[Indices, Prediction, Array]]:
    """By fold: its planets, what is said of them, and the mean of the planets learned from."""
    for k in range(int(fold.max()) + 1):
        seen, other = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        rows = values[seen].astype(np.float64)
        found = factory().fit(scaled[seen], rows, weights, seed).predict(scaled[other])
        yield other, found, rows.mean(axis=0)


def _judged(
    factory: Callable[[], Emulator],
    scaled: Array,
    values: Values,
    weights: Array,
    fold: Indices,
    seed: int,
) -> tuple[float, Array]:
    """The skill, and the mean squares of the errors by value."""
    missed, apart = np.zeros(len(weights)), np.zeros(len(weights))
    for other, found, mean in _parts(factory, scaled, values, weights, fold, seed):
        missed += np.sum(np.square(values[other] - found.mean), axis=0)
        apart += np.sum(np.square(values[other] - mean), axis=0)
    missed, apart = missed / len(values), apart / len(values)
    skills = []
    for one in variables_of(weights):
        whole = np.dot(weights[one], apart[one])
        skills.append(1 - np.dot(weights[one], missed[one]) / whole if whole > 0 else 0.0)
    return float(np.mean(skills)), missed
