"""Metrics, each stated once as a formula over means of statistics, and the scores that they make.

The means are taken by planet first, because planets are what is independent: an interval over planets
(:mod:`astrohpc.evaluate.bootstrap`) draws planets and asks the same formulas again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from astrohpc.climates.climates import Climates, Variable
from astrohpc.emulate.base import Prediction
from astrohpc.errors import ConfigError
from astrohpc.evaluate.statistics import CONFIDENCES, Means, means
from astrohpc.settings import suggest

Array = NDArray[np.float64]
Part = Callable[[Mapping[str, Array]], Array]


@dataclass(frozen=True)
class Metric:
    """A number of merit: ``formula`` of the means over planets of each of ``parts``.

    ``best`` is ``low``, ``high`` or the value that it should have.
    """

    name: str
    title: str
    own_unit: bool  # whether it is in the variable's unit, and not a pure number
    best: Literal["low", "high"] | float
    parts: tuple[Part, ...]
    formula: Callable[..., Array]

    def loss(self, value: Array) -> Array:
        """How bad a value is, smaller being better."""
        if self.best == "low":
            return value
        return -value if self.best == "high" else np.abs(value - self.best)


def _of(name: str) -> Part:
    return lambda s: s[name]


def _same(value: Array) -> Array:
    return value


def _ratio(one: Array, other: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(other > 0.0, one / other, np.nan)
    return found


def _skill(squared: Array, base: Array) -> Array:
    return 1.0 - _ratio(squared, base)


def _pooled(squared: Array, truth: Array, truth_squared: Array) -> Array:
    return 1.0 - _ratio(squared, truth_squared - truth**2)


def _correlation(s: Mapping[str, Array]) -> Array:
    size = np.sqrt(s["pattern_truth"] * s["pattern_prediction"])
    return _ratio(s["pattern_both"], size)


def _coverage(confidence: float) -> Metric:
    percent = f"{100 * confidence:g}"
    return Metric(
        f"coverage_{percent}",
        f"share of truth within the {percent} % interval",
        False,
        confidence,
        (_of(f"inside_{percent}"),),
        _same,
    )


_TABLE = (
    Metric(
        "skill",
        "skill against the training mean at each place",
        False,
        "high",
        (_of("squared"), _of("base_squared")),
        _skill,
    ),
    Metric("rmse", "root mean square error", True, "low", (_of("squared"),), np.sqrt),
    Metric(
        "planet_rmse",
        "mean over planets of each one's root mean square error",
        True,
        "low",
        (lambda s: np.sqrt(s["squared"]),),
        _same,
    ),
    Metric("mae", "mean absolute error", True, "low", (_of("absolute"),), _same),
    Metric("bias", "mean error", True, 0.0, (_of("error"),), _same),
    Metric(
        "pooled_r2",
        "pooled R² (includes vertical structure)",
        False,
        "high",
        (_of("squared"), _of("truth"), _of("truth_squared")),
        _pooled,
    ),
    Metric(
        "pattern_correlation",
        "correlation of patterns on a level, mean over planets",
        False,
        "high",
        (_correlation,),
        _same,
    ),
    Metric(
        "contrast_rmse",
        "error of the day's mean less the night's, locked planets",
        True,
        "low",
        (lambda s: s["contrast_error"] ** 2,),
        np.sqrt,
    ),
    Metric(
        "contrast_bias",
        "mean error of the day's mean less the night's, locked planets",
        True,
        0.0,
        (_of("contrast_error"),),
        _same,
    ),
    Metric(
        "fine_power",
        "power in the finer half of angular scales, of the truth's",
        False,
        1.0,
        (_of("fine_prediction"), _of("fine_truth")),
        _ratio,
    ),
    Metric("crps", "continuous ranked probability score", True, "low", (_of("crps"),), _same),
    Metric(
        "spread_skill",
        "predicted standard deviation over root mean square error",
        False,
        1.0,
        (_of("variance"), _of("squared")),
        lambda variance, squared: np.sqrt(_ratio(variance, squared)),
    ),
    *(_coverage(one) for one in CONFIDENCES),
)
METRICS: Mapping[str, Metric] = {one.name: one for one in _TABLE}


def metric_of(name: str) -> Metric:
    """A metric by its name; ConfigError where there is none."""
    if name not in METRICS:
        raise ConfigError(f"metric: there is no {name!r}{suggest(name, METRICS)}")
    return METRICS[name]


@dataclass(frozen=True, eq=False)
class Scores:
    """What one method's prediction of some planets is worth; ``mark`` stands in every table of it."""

    variables: tuple[Variable, ...]
    planets: tuple[str, ...]
    mark: str
    means: Mapping[str, Means]

    def parts(self, variable: str, metric: str, level: int | None = None) -> Array:
        """What a metric averages over planets, [part, planet]; not a number where a planet has none."""
        found = self._means(variable)
        statistics = found.whole() if level is None else found.level(level)
        return np.stack([part(statistics) for part in metric_of(metric).parts])

    def value(self, variable: str, metric: str, level: int | None = None) -> float:
        """Over all planets, and all levels unless one is named (from space down)."""
        parts = self.parts(variable, metric, level)
        known = np.isfinite(parts).all(axis=0)
        if not known.any():
            return float("nan")
        return float(metric_of(metric).formula(*parts[:, known].mean(axis=1)))

    def by_planet(self, variable: str, metric: str, level: int | None = None) -> Array:
        """[planet]."""
        return np.asarray(metric_of(metric).formula(*self.parts(variable, metric, level)))

    def by_level(self, variable: str, metric: str) -> Array:
        """[level], from space down."""
        count = len(self._means(variable).share)
        return np.array([self.value(variable, metric, level) for level in range(count)])

    def spectrum(self, variable: str) -> tuple[Array, Array, Array]:
        """Angular degrees from 1, and the mean power of truth and of prediction at each."""
        found = self._means(variable)
        count = found.power_truth.shape[1]
        return (
            np.arange(1.0, count + 1.0),
            found.power_truth.mean(axis=0),
            found.power_prediction.mean(axis=0),
        )

    def summary(self) -> list[dict[str, float | str]]:
        """A row a variable: every metric over all planets."""
        return [
            _about(one) | {name: self.value(one.name, name) for name in METRICS}
            for one in self.variables
        ]

    def planet_rows(self) -> list[dict[str, float | str]]:
        """A row a planet and variable."""
        found = []
        for one in self.variables:
            columns = {name: self.by_planet(one.name, name) for name in METRICS}
            found += [
                {"planet": planet} | _about(one) | {n: float(c[i]) for n, c in columns.items()}
                for i, planet in enumerate(self.planets)
            ]
        return found

    def level_rows(self) -> list[dict[str, float | str]]:
        """A row a level of each variable that has levels, from space down, over all planets."""
        found: list[dict[str, float | str]] = []
        for one in (one for one in self.variables if one.levels):
            columns = {name: self.by_level(one.name, name) for name in METRICS}
            found += [
                {"level": i} | _about(one) | {n: float(c[i]) for n, c in columns.items()}
                for i in range(one.shape[0])
            ]
        return found

    def _means(self, variable: str) -> Means:
        if variable not in self.means:
            raise ConfigError(
                f"variable: {variable!r} was not scored{suggest(variable, self.means)}"
            )
        return self.means[variable]


def score(
    climates: Climates,
    prediction: Prediction,
    training_mean: Array,
    widths: Mapping[float, Array] | None = None,
) -> Scores:
    """Score a prediction of these planets, which no method may have seen.

    ``training_mean`` [value] is the mean of the planets trained on; skill is against it. ``widths``
    are a calibration's, for its intervals' coverage; without them intervals are a Gaussian's.
    """
    found = means(climates, prediction, training_mean, widths)
    return Scores(climates.variables, climates.names, climates.mark, found)


def _about(variable: Variable) -> dict[str, float | str]:
    return {"variable": variable.name, "unit": variable.unit}


def common(scores: Sequence[Scores]) -> tuple[str, ...]:
    """The variables that all of some scores have, in the order of the first."""
    return tuple(
        one.name for one in scores[0].variables if all(one.name in other.means for other in scores)
    )
