"""Intervals made honest: how many of its own standard deviations a method must reach to hold the truth.

Learned from planets that the method had not seen when it predicted them: out of fold, or validation.
The unit is the planet, since places of one planet err together: each planet's places have a distribution
of |error| / std, the mean of these over planets, with one more that is infinite, has a quantile, and that
is the width (conformal prediction with groups: Lee, Barber & Willett 2023). So the truth of a random
place of a *new* planet lies within with at least the confidence, whatever the errors' distribution, if
planets are drawn alike. It is a mean over planets: of a single one more or less may lie within.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from astrohpc.climates.climates import Climates
from astrohpc.emulate.base import Prediction
from astrohpc.errors import ConfigError
from astrohpc.evaluate.statistics import CONFIDENCES, Shape, tells

Array = NDArray[np.float64]

SCHEMA = 1
_SIGMA = 0.68  # the confidence whose width tells what one standard deviation is
_LEAST_STD = 1e-4  # of a level's usual one; below it nobody knows a value better than it is stored
FEWEST_PLANETS = 3


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was learned. Widths are in standard deviations as the method gives them, [group].

    A group is a level of a variable, or a whole one; ``sizes`` counts its values, in the columns' order.
    ``unsure`` are confidences that so few planets cannot vouch for: their width is the largest seen.
    """

    planets: int
    groups: tuple[str, ...]
    sizes: tuple[int, ...]
    widths: Mapping[float, Array]
    least_std: Array  # [group]
    spread: Array | None  # [value], of methods that give no standard deviation
    unsure: tuple[float, ...]

    @property
    def note(self) -> str:
        """What a reader of intervals must know; empty where all is well."""
        if not self.unsure:
            return ""
        said = ", ".join(f"{100 * one:g} %" for one in self.unsure)
        return (
            f"The interval of {said} is the widest that {self.planets} planets showed and is not vouched "
            f"for: that takes {_needed(max(self.unsure))} planets."
        )

    def applied(self, prediction: Prediction) -> Prediction:
        """The same means, with standard deviations within which 68 % lie."""
        scale = self._by_value(self.widths[_SIGMA] / _gaussian(_SIGMA))
        return replace(prediction, std=self._std(prediction) * scale)

    def reach(self) -> dict[float, Array]:
        """By confidence how many standard deviations *of applied predictions* the interval reaches, [value].

        It is what :func:`astrohpc.evaluate.metrics.score` takes as ``widths``.
        """
        unit = self.widths[_SIGMA] / _gaussian(_SIGMA)
        return {
            one: self._by_value(np.divide(width, unit, out=np.zeros_like(width), where=unit > 0))
            for one, width in self.widths.items()
        }

    def interval(self, prediction: Prediction, confidence: float) -> tuple[Array, Array]:
        """The lower and upper end for a prediction as the method gave it, [planet, value]."""
        if confidence not in self.widths:
            known = ", ".join(f"{one:g}" for one in self.widths)
            raise ConfigError(
                f"confidence: {confidence:g} was not calibrated; ask for one of {known}."
            )
        half = self._std(prediction) * self._by_value(self.widths[confidence])
        return prediction.mean - half, prediction.mean + half

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Itself as JSON and arrays, for a bundle."""
        about = {
            "schema": SCHEMA,
            "planets": self.planets,
            "groups": list(self.groups),
            "sizes": list(self.sizes),
            "confidences": list(self.widths),
            "widths": [width.tolist() for width in self.widths.values()],
            "least_std": self.least_std.tolist(),
            "unsure": list(self.unsure),
        }
        return about, {} if self.spread is None else {"spread": self.spread}

    @classmethod
    def restored(cls, about: Mapping[str, Any], arrays: Mapping[str, Array]) -> Self:
        """What :meth:`state` gave; ConfigError where it is of another version or damaged."""
        if about.get("schema") != SCHEMA:
            raise ConfigError(
                f"calibration: is of version {about.get('schema')} where this astrohpc knows {SCHEMA}; "
                "evaluate the surrogate again."
            )
        try:
            widths = [np.array(one, np.float64) for one in about["widths"]]
            found = cls(
                planets=int(about["planets"]),
                groups=tuple(about["groups"]),
                sizes=tuple(about["sizes"]),
                widths=dict(zip(about["confidences"], widths, strict=True)),
                least_std=np.array(about["least_std"], np.float64),
                spread=np.array(arrays["spread"]) if "spread" in arrays else None,
                unsure=tuple(about["unsure"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"calibration: is damaged ({error!r}); evaluate the surrogate again."
            ) from error
        lengths = {len(one) for one in (*found.widths.values(), found.least_std)}
        if lengths | {len(found.sizes)} != {len(found.groups)} or _SIGMA not in found.widths:
            raise ConfigError("calibration: its parts do not fit; evaluate the surrogate again.")
        return found

    def _by_value(self, by_group: Array) -> Array:
        return np.repeat(by_group, self.sizes)

    def _std(self, prediction: Prediction) -> Array:
        std = self.spread if prediction.std is None else prediction.std
        if std is None or std.shape[-1] != sum(self.sizes):
            raise ConfigError(
                f"calibration: was learned of {sum(self.sizes)} values with their standard deviations, "
                "which this prediction has not; calibrate the method that made it."
            )
        return np.maximum(std, self._by_value(self.least_std)) + np.zeros_like(prediction.mean)


def calibrate(climates: Climates, prediction: Prediction, *, by_level: bool = True) -> Calibration:
    """Learn from predictions of these planets that were made without them.

    A method without standard deviations gets the errors' root mean square at each place, of the other
    planets where it is itself judged.
    """
    wanted = climates.values.shape
    if prediction.mean.shape != wanted or len(climates) < FEWEST_PLANETS:
        raise ConfigError(
            f"calibration: predictions of shape {prediction.mean.shape} for {wanted[0]} planets of "
            f"{wanted[1]} values; give out-of-fold predictions of {FEWEST_PLANETS} planets or more."
        )
    names, columns, weights = _groups(climates, by_level)
    confidences = sorted({*CONFIDENCES, _SIGMA})
    widths = np.empty((len(confidences), len(names)))
    least = np.empty(len(names))
    spread = None if prediction.std is not None else np.empty(wanted[1])
    for i, (place, weight) in enumerate(zip(columns, weights, strict=True)):
        truth = climates.values[:, place]
        error = np.abs(prediction.mean[:, place] - truth)
        if spread is None:
            assert prediction.std is not None
            std = prediction.std[:, place]
        else:
            std, spread[place] = _spread(error)
        least[i] = _LEAST_STD * np.sqrt((std**2 @ weight).mean())
        ratio = _ratio(error, np.maximum(std, least[i]))
        counts = weight * tells(truth, truth.mean(axis=0, dtype=np.float64))
        widths[:, i] = _quantiles(ratio, counts, confidences)
    return Calibration(
        planets=len(climates),
        groups=names,
        sizes=tuple(place.stop - place.start for place in columns),
        widths=dict(zip(confidences, widths, strict=True)),
        least_std=least,
        spread=spread,
        unsure=tuple(one for one in confidences if len(climates) < _needed(one)),
    )


def _groups(climates: Climates, by_level: bool) -> tuple[tuple[str, ...], list[slice], list[Array]]:
    """Names, columns, and the weights of each group's values, of sum one."""
    names, columns, weights = [], [], []
    for one in climates.variables:
        place, shape = climates.places[one.name], Shape.of(climates, one)
        if by_level and one.levels:
            step = one.size // one.shape[0]
            for level in range(one.shape[0]):
                begin = place.start + level * step
                names.append(f"{one.name}[{level}]")
                columns.append(slice(begin, begin + step))
                weights.append(shape.weights[level])
        else:
            names.append(one.name)
            columns.append(place)
            weights.append((shape.weights * shape.share[:, None]).reshape(-1))
    return tuple(names), columns, weights


def _spread(error: Array) -> tuple[Array, Array]:
    """Root mean squares of errors by place: of all planets but each one, and of all."""
    squared = error**2
    total = squared.sum(axis=0)
    others = np.maximum(total - squared, 0.0) / (len(error) - 1)
    return np.sqrt(others), np.sqrt(total / len(error))


def _ratio(error: Array, std: Array) -> Array:
    """|error| / std; nothing is within no distance, and infinitely far from what is sure and wrong."""
    found = np.where(error > 0.0, np.inf, 0.0)
    np.divide(error, std, out=found, where=std > 0.0)
    return found


def _quantiles(ratio: Array, counts: Array, confidences: Sequence[float]) -> Array:
    """The smallest widths within which the mean planet, and one infinite, has the shares asked for.

    Where the infinite one is needed, the largest that was seen. Where no place tells anything, 1 for one
    standard deviation, and as a Gaussian has it for others.
    """
    if not counts.any():
        return np.array([_gaussian(one) for one in confidences])
    chosen = counts > 0.0
    each = counts[chosen] / counts[chosen].sum() / (len(ratio) + 1)
    values = ratio[:, chosen].reshape(-1)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(np.tile(each, len(ratio))[order])
    # The sum of so many shares is rounded; a share that is just reached counts as reached.
    first = np.searchsorted(reached, np.array(confidences) - 1e-12)
    return np.asarray(values[order][np.minimum(first, len(order) - 1)])


def _needed(confidence: float) -> int:
    """How few planets can vouch for a confidence."""
    return int(np.ceil(confidence / (1.0 - confidence) - 1e-9))


def _gaussian(confidence: float) -> float:
    return float(ndtri(0.5 + 0.5 * confidence))
