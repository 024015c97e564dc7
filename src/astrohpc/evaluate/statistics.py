"""What a prediction's errors are, place by place, and their weighted means: a number by planet and level.

Everything that metrics and intervals are made of passes through here once. A mean over levels or
planets of these means is the mean over all of their places, so nothing has to look at a field again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from astrohpc.climates.climates import Climates, Variable
from astrohpc.emulate.base import Prediction
from astrohpc.errors import ConfigError
from astrohpc.evaluate.harmonics import degrees, power

Array = NDArray[np.float64]

CONFIDENCES = (0.5, 0.68, 0.9, 0.95)
_BLOCK_BYTES = 2**25  # of one statistic of one variable
_SAME = 1e-5  # of a variable's spread by which a place must differ between planets, to be one to predict
_RIGHT_ANGLE_DEG = 90.0
_ON_THE_EDGE = 1e-9  # cosine of a zenith angle at the terminator


@dataclass(frozen=True, eq=False)
class Means:
    """Weighted means of one variable's statistics, [planet, level] each; one level where it has none.

    ``share`` is what each level weighs, ``power_truth`` and ``power_prediction`` the mean square by
    angular degree, [planet, degree], with no degrees where there is no sphere.
    """

    by_level: Mapping[str, Array]
    share: Array
    power_truth: Array
    power_prediction: Array

    def whole(self) -> dict[str, Array]:
        """Over all levels, [planet] each."""
        return {name: values @ self.share for name, values in self.by_level.items()}

    def level(self, number: int) -> dict[str, Array]:
        """Of one level, from space down, [planet] each."""
        return {name: values[:, number] for name, values in self.by_level.items()}


@dataclass(frozen=True, eq=False)
class Shape:
    """A variable's columns as [level, lat, lon], with one of what it has not, and how much each weighs."""

    size: tuple[int, int, int]
    weights: Array  # [level, cell], of sum one on each level
    share: Array  # [level]

    @classmethod
    def of(cls, climates: Climates, variable: Variable) -> "Shape":
        """From the variable's own shape and weights."""
        levels = variable.shape[0] if variable.levels else 1
        flat = variable.shape[1:] if variable.levels else variable.shape
        rows, columns = (*flat, 1, 1)[:2]
        weights = climates.weights[climates.places[variable.name]].reshape(levels, -1)
        share = weights.sum(axis=1)
        return cls((levels, rows, columns), weights / share[:, None], share / share.sum())

    @property
    def row_share(self) -> Array:
        """The part of the sphere that each row covers."""
        levels, rows, columns = self.size
        return np.asarray(self.weights.reshape(levels, rows, columns)[0].sum(axis=-1))


def means(
    climates: Climates,
    prediction: Prediction,
    training_mean: Array,
    widths: Mapping[float, Array] | None = None,
) -> dict[str, Means]:
    """The means of each variable's statistics.

    ``widths`` says by confidence how many standard deviations an interval reaches to either side, one
    number a value (as a calibration learned it); without it they are those of a Gaussian.
    """
    _check(climates, prediction, training_mean, widths)
    factors = widths or {
        one: np.full(len(training_mean), ndtri(0.5 + 0.5 * one)) for one in CONFIDENCES
    }
    return {
        one.name: _of_variable(climates, one, prediction, training_mean, factors)
        for one in climates.variables
    }


def _check(
    climates: Climates,
    prediction: Prediction,
    training_mean: Array,
    widths: Mapping[float, Array] | None,
) -> None:
    wanted = climates.values.shape
    if widths is not None and set(widths) != set(CONFIDENCES):
        raise ConfigError(
            f"widths: are of {sorted(widths)} where {CONFIDENCES} are judged; learn the calibration again."
        )
    for what, found in (
        ("prediction.mean", prediction.mean.shape),
        ("prediction.std", wanted if prediction.std is None else prediction.std.shape),
        ("training_mean", (wanted[0], *training_mean.shape)),
    ):
        if found != wanted:
            raise ConfigError(
                f"{what}: has shape {found} where {climates.source} has {wanted}; predict these "
                "planets' values, with the variables in the same order."
            )
    for what, rows in (("prediction.mean", prediction.mean), ("prediction.std", prediction.std)):
        if rows is None or np.isfinite(rows).all():
            continue
        wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        raise ConfigError(
            f"{what}: is no number for {climates.names[wrong[0]]} and {len(wrong) - 1} more planets; "
            "leave this method out, or train it again."
        )


def _of_variable(
    climates: Climates,
    variable: Variable,
    prediction: Prediction,
    training_mean: Array,
    widths: Mapping[float, Array],
) -> Means:
    shape = Shape.of(climates, variable)
    place = climates.places[variable.name]
    base = training_mean[place].reshape(shape.size[0], -1)
    # Values are told from one constant, lest squares of large numbers hide small differences.
    origin = float(np.einsum("lc,lc,l->", base, shape.weights, shape.share))
    differs = tells(climates.values[:, place], training_mean[place]).reshape(base.shape)
    contrast = _day_less_night(climates, shape)
    sphere = degrees(*shape.size[1:]) if variable.shape else 0
    parts: list[dict[str, Array]] = []
    powers: dict[str, list[Array]] = {"truth": [], "prediction": []}
    for rows in _blocks(len(climates), variable.size):
        flat = (len(range(*rows.indices(len(climates)))), *base.shape)
        truth = climates.values[rows, place].astype(np.float64).reshape(flat) - origin
        mean = prediction.mean[rows, place].reshape(flat) - origin
        std = None if prediction.std is None else prediction.std[rows, place].reshape(flat)
        part = _errors(truth, mean, base - origin, shape.weights)
        part |= _patterns(truth, mean, shape.weights)
        part |= _spread(mean - truth, std, shape.weights)
        reach = {one: values[place].reshape(base.shape) for one, values in widths.items()}
        part |= _inside(mean - truth, std, reach, shape.weights * differs)
        part["contrast_error"] = _contrast(mean - truth, contrast, climates, rows)
        part["contrast_truth"] = _contrast(truth, contrast, climates, rows)
        for name, one in (("truth", truth), ("prediction", mean)):
            found = _power(one, climates, shape) if sphere else np.empty((*one.shape[:2], 0))
            finer = found[..., found.shape[-1] // 2 :]
            part[f"fine_{name}"] = finer.sum(-1) if sphere else np.full(one.shape[:2], np.nan)
            powers[name].append(np.einsum("pld,l->pd", found, shape.share))
        parts.append(part)
    return Means(
        {name: np.concatenate([one[name] for one in parts]) for name in parts[0]},
        shape.share,
        np.concatenate(powers["truth"]),
        np.concatenate(powers["prediction"]),
    )


def _blocks(planets: int, size: int) -> Iterator[slice]:
    step = max(1, _BLOCK_BYTES // (8 * size))
    return (slice(begin, min(begin + step, planets)) for begin in range(0, planets, step))


# ----------------------------------------------------------------------------- statistics
def _mean(values: Array, weights: Array) -> Array:
    """[planet, level] of [planet, level, cell]."""
    return np.asarray(np.einsum("plc,lc->pl", values, weights))


def _errors(truth: Array, mean: Array, base: Array, weights: Array) -> dict[str, Array]:
    error, base_error = mean - truth, base - truth
    return {
        "error": _mean(error, weights),
        "absolute": _mean(np.abs(error), weights),
        "squared": _mean(error**2, weights),
        "base_squared": _mean(base_error**2, weights),
        "truth": _mean(truth, weights),
        "truth_squared": _mean(truth**2, weights),
    }


def _patterns(truth: Array, mean: Array, weights: Array) -> dict[str, Array]:
    """Variances and covariance over a level, of which a correlation is made."""
    truth, mean = (one - _mean(one, weights)[..., None] for one in (truth, mean))
    return {
        "pattern_truth": _mean(truth**2, weights),
        "pattern_prediction": _mean(mean**2, weights),
        "pattern_both": _mean(truth * mean, weights),
    }


def _spread(error: Array, std: Array | None, weights: Array) -> dict[str, Array]:
    if std is None:
        variance = np.full(error.shape[:2], np.nan)
        return {"variance": variance, "crps": _mean(np.abs(error), weights)}
    return {"variance": _mean(std**2, weights), "crps": _mean(crps(error, std), weights)}


def crps(error: Array, std: Array) -> Array:
    """The continuous ranked probability score of a Gaussian; of a sure prediction the absolute error."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = error / std
        bell = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
        found = std * (z * (2.0 * ndtr(z) - 1.0) + 2.0 * bell - 1.0 / np.sqrt(np.pi))
    return np.where(std > 0.0, found, np.abs(error))


def _inside(
    error: Array, std: Array | None, widths: Mapping[float, Array], weights: Array
) -> dict[str, Array]:
    """The share of a level within each interval, of its places that differ between planets."""
    total = weights.sum(axis=1, keepdims=True)
    share = np.divide(weights, total, out=np.full_like(weights, np.nan), where=total > 0.0)
    found = {}
    for confidence, width in widths.items():
        name = f"inside_{100 * confidence:g}"
        if std is None:
            found[name] = np.full(error.shape[:2], np.nan)
        else:
            found[name] = _mean((np.abs(error) <= width * std).astype(np.float64), share)
    return found


def tells(values: NDArray[np.floating], mean: Array) -> NDArray[np.bool_]:
    """Which columns of rows are not the same on every planet, as reflected light is at night.

    There a prediction is right without knowing anything, and would lend its coverage to the others.
    """
    away = np.abs(values - mean).max(axis=0)
    return np.asarray(away > _SAME * np.sqrt(np.mean(away**2)))


# ----------------------------------------------------------------------------- day and night
def _day_less_night(climates: Climates, shape: Shape) -> Array | None:
    """Weights [cell] that make the mean of the day less that of the night; None where nobody knows."""
    if shape.size[1] == 1 or not climates.planets or "lat" not in climates.axes:
        return None
    if shape.size[2] == 1:
        # Of locked planets on latitudes alone, these are counted from the terminator.
        light = np.sin(np.radians(climates.axes["lat"]))[:, None]
    else:
        substellar = substellar_lon_deg(climates)
        if substellar is None:
            return None
        lat, lon = np.radians(climates.axes["lat"]), np.radians(climates.axes["lon"] - substellar)
        light = np.cos(lat)[:, None] * np.cos(lon)
    area = shape.weights[0]
    day, night = (np.where(side > _ON_THE_EDGE, area, 0.0) for side in _sides(light))
    return np.asarray(day / day.sum() - night / night.sum())


def _sides(light: Array) -> tuple[Array, Array]:
    return light.reshape(-1), -light.reshape(-1)


def substellar_lon_deg(climates: Climates) -> float | None:
    """Where the locked planets' stars stand: where their light falls, to the nearest quarter.

    Models put them at 0 or 180 degrees; clouds move the reflected light by a few degrees only. None
    where no planet is locked, or no variable tells of light.
    """
    locked = np.array([one.tidally_locked for one in climates.planets], bool)
    known = [name for name in ("rsdt", "rsut") if name in climates.places]
    if not locked.any() or not known or len(climates.variable(known[0]).shape) != 2:
        return None
    area = Shape.of(climates, climates.variable(known[0])).weights[0]
    light = climates.of(known[0])[locked].mean(axis=0, dtype=np.float64).reshape(-1) * area
    turn = np.exp(1j * np.radians(climates.axes["lon"]))
    found = np.degrees(np.angle((light.reshape(-1, len(turn)) * turn).sum()))
    return float(_RIGHT_ANGLE_DEG * np.round(found / _RIGHT_ANGLE_DEG) % 360.0)


def _contrast(values: Array, weights: Array | None, climates: Climates, rows: slice) -> Array:
    """[planet, level]; no number for planets with days."""
    if weights is None:
        return np.full(values.shape[:2], np.nan)
    locked = np.array([one.tidally_locked for one in climates.planets[rows]], bool)
    return np.where(locked[:, None], values @ weights, np.nan)


# ----------------------------------------------------------------------------- scales
def _power(values: Array, climates: Climates, shape: Shape) -> Array:
    """By degree from 1 on, [planet, level, degree]: the mean over the sphere, degree 0, has no scale."""
    fields = values.reshape(-1, *shape.size)
    return power(fields, climates.axes["lat"], shape.row_share)[..., 1:]
