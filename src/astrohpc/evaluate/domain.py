"""The domain that a surrogate was trained on, and whether a planet lies in it.

A planet is outside where an input lies beyond those trained on, or where the nearest of the training
planets are farther from it than such planets are from each other. The second is judged by the training
planets' own distances, each without itself, so that of planets drawn like them about one in a hundred is
called outside. An emulator that must extrapolate is wrong in ways that its own error bars do not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from astrohpc.climates.climates import Input
from astrohpc.errors import ConfigError
from astrohpc.planet import PARAMETERS

Array = NDArray[np.float64]

SCHEMA = 1
_NEIGHBOURS = 3
_FALSE_ALARMS = 0.01  # of planets that are drawn like the training planets
_FEWEST_PLANETS = 3


@dataclass(frozen=True)
class Judgement:
    """Of one planet: whether it is outside, and a sentence that says so and why."""

    flagged: bool
    sentence: str
    novelty: float  # distance to the nearest training planets over the largest that is usual


@dataclass(frozen=True, eq=False)
class Domain:
    """The training planets' inputs, scaled as the emulator sees them, [planet, input]."""

    inputs: tuple[Input, ...]
    trained: Array

    def __post_init__(self) -> None:
        shape = (len(self.trained), len(self.inputs))
        if self.trained.shape != shape or shape[0] < _FEWEST_PLANETS:
            raise ConfigError(
                f"domain: training planets of shape {self.trained.shape} for {shape[1]} inputs; give "
                f"{_FEWEST_PLANETS} planets or more, a column an input."
            )
        if not np.isfinite(self.trained).all():
            raise ConfigError("domain: an input of a training planet is no number; leave it out.")

    def judge(self, scaled: ArrayLike) -> list[Judgement]:
        """Each of some planets."""
        rows = np.asarray(scaled, np.float64).reshape(-1, len(self.inputs))
        novelty = self.novelty(rows)
        return [self._judged(row, float(one)) for row, one in zip(rows, novelty, strict=True)]

    def novelty(self, scaled: Array) -> Array:
        """[planet]: above 1 where it is farther from the training planets than is usual among them."""
        found = np.full(len(scaled), np.inf)
        known = np.isfinite(scaled).all(axis=1)
        if known.any():
            found[known] = self._distance(scaled[known], itself=False) / self._usual
        return found

    def state(self) -> dict[str, Any]:
        """Itself as JSON."""
        return {
            "schema": SCHEMA,
            "inputs": [asdict(one) for one in self.inputs],
            "trained": self.trained.tolist(),
        }

    @classmethod
    def restored(cls, about: Mapping[str, Any]) -> Self:
        """What :meth:`state` gave; ConfigError where it is of another version or damaged."""
        if about.get("schema") != SCHEMA:
            raise ConfigError(
                f"domain: is of version {about.get('schema')} where this astrohpc knows {SCHEMA}; "
                "train the surrogate again."
            )
        try:
            inputs = tuple(Input(**one) for one in about["inputs"])
            return cls(inputs, np.array(about["trained"], np.float64))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"domain: is damaged ({error!r}); train the surrogate again."
            ) from error

    # ------------------------------------------------------------------------- distances
    @cached_property
    def _periods(self) -> Array:
        """After which a scaled input is the same again; 0 for those that never are."""
        return np.array(
            [one.period / (one.high - one.low) if one.period else 0.0 for one in self.inputs]
        )

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self._around(self.trained), boxsize=self._periods)

    def _around(self, scaled: Array) -> Array:
        """Angles brought to one turn."""
        turns = self._periods > 0.0
        found = scaled.copy()
        found[:, turns] %= self._periods[turns]
        # A remainder can round up to the whole turn, which the tree takes for outside of it.
        found[:, turns] = np.where(found[:, turns] < self._periods[turns], found[:, turns], 0.0)
        return found

    def _distance(self, scaled: Array, *, itself: bool) -> Array:
        """Mean distance to the nearest training planets, without the first where that is oneself."""
        count = min(_NEIGHBOURS, len(self.trained) - 1)
        first = 2 if itself else 1
        ranks = list(range(first, first + count))
        apart, _ = self._tree.query(self._around(scaled), k=ranks)
        return np.asarray(apart.mean(axis=1))

    @cached_property
    def _usual(self) -> float:
        """The distance that of planets drawn like the training planets one in a hundred exceeds."""
        apart = np.sort(self._distance(self.trained, itself=True))
        place = int(np.ceil((1.0 - _FALSE_ALARMS) * (len(apart) + 1))) - 1
        found = float(apart[min(place, len(apart) - 1)])
        return found if found > 0.0 else 1.0  # every planet comes many times over

    @cached_property
    def _box(self) -> tuple[Array, Array]:
        """Lowest and highest inputs, and beyond them as far as neighbours are apart on average.

        So far the ends of a drawn sample lie within those of what it was drawn from.
        """
        low, high = self.trained.min(axis=0), self.trained.max(axis=0)
        gap = (high - low) / (len(self.trained) - 1)
        return low - gap, high + gap

    def _judged(self, row: Array, novelty: float) -> Judgement:
        said = [text for i, value in enumerate(row) if (text := self._beyond(i, float(value)))]
        if said:
            return Judgement(True, f"Outside of the domain: {'; '.join(said)}.", novelty)
        if novelty > 1.0:
            return Judgement(
                True,
                f"Outside of the domain: the nearest training planets are {novelty:.3g} times as far away "
                "as is usual among them, so that this mix of inputs was not trained on.",
                novelty,
            )
        return Judgement(False, "Within the domain that was trained on.", novelty)

    def _beyond(self, i: int, value: float) -> str:
        """What is wrong with one input by itself; empty where nothing is."""
        one, period = self.inputs[i], float(self._periods[i])
        low, high = float(self._box[0][i]), float(self._box[1][i])
        if not np.isfinite(value):
            return f"{one.name} is no number that this surrogate can take"
        within = low <= value <= high
        if period and not within:
            within = (value - low) % period <= high - low
        if within:
            return ""
        ends = (float(self.trained[:, i].min()), float(self.trained[:, i].max()))
        shown = [_shown(one, end) for end in (value, *ends)]
        return f"{one.name} is {shown[0]} where {shown[1]} to {shown[2]} was trained on"


def _shown(one: Input, scaled: float) -> str:
    """A scaled input as people read it."""
    if one.logarithm:
        value = float(one.low * (one.high / one.low) ** scaled)
    else:
        value = one.low + scaled * (one.high - one.low)
    if one.name in PARAMETERS:
        return PARAMETERS[one.name].shown(value)
    return f"{value:.4g}" if one.unit in ("", "1") else f"{value:.4g} {one.unit}"


def auroc(inside: Sequence[float] | Array, outside: Sequence[float] | Array) -> float:
    """How well a number tells planets outside from planets inside: 1 always, 0.5 not at all.

    The chance that a planet outside has the larger number, ties counting half.
    """
    n, m = len(inside), len(outside)
    if not (n and m):
        return float("nan")
    ranks = rankdata(np.concatenate([inside, outside]))
    return float((ranks[n:].sum() - m * (m + 1) / 2.0) / (n * m))
