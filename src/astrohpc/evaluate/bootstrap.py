"""Intervals over planets: how much of a score is the luck of which planets were held out.

Places of one planet err together, so planets are drawn, not places. The percentiles are widened as
Student's t is against the Gaussian, without which intervals of few planets are too narrow (Hesterberg
2015).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from astrohpc.errors import ConfigError
from astrohpc.evaluate.metrics import Metric, Scores, metric_of

Array = NDArray[np.float64]
Verdict = Literal["better", "worse", "undecided"]

DRAWS = 2000
CONFIDENCE = 0.9


@dataclass(frozen=True)
class Interval:
    """A value and where it lies with some confidence, from so many planets; NaN where nobody knows."""

    value: float
    low: float
    high: float
    confidence: float
    planets: int

    def holds(self, value: float) -> bool:
        """Whether a value lies in it."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same planets; ``gain`` is how much smaller the first's loss is.

    It is in the metric's own unit; of a metric that has a value to meet, it is how much nearer to it.
    """

    first: float
    second: float
    gain: Interval
    share: float  # of the draws in which the first is better

    @property
    def verdict(self) -> Verdict:
        """Whether the first beats the second: only where the whole interval says so."""
        if self.gain.low > 0.0:
            return "better"
        return "worse" if self.gain.high < 0.0 else "undecided"


def interval(
    scores: Scores,
    variable: str,
    metric: str,
    level: int | None = None,
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval:
    """A metric over all planets with its interval."""
    parts = scores.parts(variable, metric, level)
    drawn, planets = _drawn(metric_of(metric), parts, seed)
    return _interval(scores.value(variable, metric, level), drawn, planets, confidence)


def paired(
    first: Scores,
    second: Scores,
    variable: str,
    metric: str,
    level: int | None = None,
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Comparison:
    """Whether one method beats another: both are asked about the same draws of planets."""
    if first.planets != second.planets:
        raise ConfigError(
            "paired: the two scores are of different planets; predict the same ones, in the same order."
        )
    about = metric_of(metric)
    parts = [one.parts(variable, metric, level) for one in (first, second)]
    known = np.isfinite(parts[0]).all(axis=0) & np.isfinite(parts[1]).all(axis=0)
    values = [one.value(variable, metric, level) for one in (first, second)]
    losses = [about.loss(_drawn(about, one[:, known], seed)[0]) for one in parts]
    gains = losses[1] - losses[0]
    there = gains[np.isfinite(gains)]
    ones, others = (about.loss(np.array(one)) for one in values)
    return Comparison(
        values[0],
        values[1],
        _interval(float(others - ones), gains, int(known.sum()), confidence),
        float((there > 0.0).mean() + 0.5 * (there == 0.0).mean()) if len(there) else float("nan"),
    )


def interval_of_mean(values: Array, *, confidence: float = CONFIDENCE, seed: int = 0) -> Interval:
    """The mean of one number a planet, with its interval; planets without a number do not count."""
    known = values[np.isfinite(values)]
    if not len(known):
        return Interval(float("nan"), float("nan"), float("nan"), confidence, 0)
    drawn = _weights(len(known), seed) @ known
    return _interval(float(known.mean()), drawn, len(known), confidence)


# ----------------------------------------------------------------------------- draws
def _drawn(metric: Metric, parts: Array, seed: int) -> tuple[Array, int]:
    """A metric of each draw of the planets that have it, and how many planets these are."""
    known = parts[:, np.isfinite(parts).all(axis=0)]
    planets = known.shape[1]
    if planets == 0:
        return np.full(DRAWS, np.nan), 0
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = metric.formula(*(known @ _weights(planets, seed).T))
    return np.asarray(drawn), planets


@lru_cache(maxsize=2)
def _weights(planets: int, seed: int) -> Array:
    """What each planet counts in each draw, [draw, planet]; of sum one."""
    rng = np.random.default_rng([seed, planets])
    found: Array = rng.multinomial(planets, np.full(planets, 1.0 / planets), DRAWS) / planets
    found.flags.writeable = False
    return found


def _interval(value: float, drawn: Array, planets: int, confidence: float) -> Interval:
    there = drawn[np.isfinite(drawn)]
    if planets < 2 or not len(there):
        return Interval(value, float("nan"), float("nan"), confidence, planets)
    t = float(stdtrit(planets - 1, 0.5 * (1.0 - confidence)))
    tail = float(ndtr(t * np.sqrt(planets / (planets - 1.0))))
    low, high = np.quantile(there, [tail, 1.0 - tail])
    return Interval(value, float(low), float(high), confidence, planets)
