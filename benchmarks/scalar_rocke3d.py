"""The scalar surrogate on sweeps of ROCKE-3D, every planet left out in turn, against tuned baselines.

Data are the published global means and habitability metrics of Adams, Colose et al. (2025): 47 planets
that differ in rotation, obliquity, eccentricity and periapse (``training_metrics.nc``), and 71 on circular
orbits (``circular_metrics.nc``). They are not ours and lie in a folder that is named. Every planet is
predicted by methods that were fitted, tuned and calibrated without it; intervals are over planets.

    python benchmarks/scalar_rocke3d.py FOLDER --out benchmarks/results/scalar_rocke3d.json
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import record

from astrohpc.climates.climates import Array, Climates, Input
from astrohpc.climates.table import from_table
from astrohpc.emulate.base import Emulator, Prediction
from astrohpc.emulate.process import Process, conditioned, learned
from astrohpc.emulate.scalar import Scalar
from astrohpc.emulate.tune import tuned
from astrohpc.evaluate.bootstrap import Interval, interval_of_mean, paired
from astrohpc.evaluate.domain import Domain
from astrohpc.evaluate.metrics import Scores, score
from astrohpc.evaluate.statistics import CONFIDENCES

OURS, GP = "scalar", "gp"
BASELINES = ("mean", "neighbours", "ridge", "quadratic", "pca_gp")
SEED, DRAWS, CONFIDENCE = 0, 4000, 0.9
EARTH, ALONE = "case 0", "case 46"  # of another configuration, and beyond all others in rotation


@dataclass(frozen=True, eq=False)
class Plain:
    """What one does first: a process with a length an input, for each variable by itself."""

    processes: tuple[Process, ...] = ()
    shift: Array | None = None
    scale: Array | None = None

    def fit(self, scaled: Array, values: Array, weights: Array, seed: int) -> Self:  # noqa: ARG002
        """Learn each variable."""
        shift, scale = values.mean(axis=0), values.std(axis=0)
        found = []
        for column in ((values - shift) / scale).T:
            found.append(conditioned(learned(scaled, column, "matern"), scaled, column, "matern"))
        return replace(self, processes=tuple(found), shift=shift, scale=scale)

    def predict(self, scaled: Array) -> Prediction:
        """Means and standard deviations."""
        found = [one.predict(scaled) for one in self.processes]
        mean, variance = (np.column_stack(part) for part in zip(*found, strict=True))
        return Prediction(self.shift + mean * self.scale, np.sqrt(variance) * self.scale)


@dataclass(frozen=True, eq=False)
class Result:
    """Of one method: what it said of planets left out, and how often its own intervals held them."""

    scores: Scores
    inside: dict[float, Array]  # [planet, variable]
    width: Array  # [variable]: mean of the 90 % interval's
    cpu_s: float


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    head = record.provenance("numpy", "scipy")
    training = from_table(arguments.folder / "training_metrics.nc")
    circular = from_table(arguments.folder / "circular_metrics.nc")
    found = {
        "training": compared(training),
        "circular": compared(circular),
        "earth": earth(training),
        "with_circular": with_circular(training, circular),
        "circular_from_training": circular_from_training(training, circular),
    }
    if arguments.out:
        record.write(arguments.out, {**head, **found})


# ----------------------------------------------------------------------------- every planet left out
def compared(climates: Climates) -> dict[str, Any]:
    """All methods on one sweep."""
    results = {OURS: judged(climates, Scalar.of)}
    results[GP] = judged(climates, lambda _: Plain())
    for name in BASELINES:
        results[name] = judged(climates, name)
    told = [
        one.name
        for one in climates.variables
        if results[OURS].scores.value(one.name, "skill") > 0.0
    ]
    print(f"\n{climates.source}: {len(climates)} planets, {len(told)} variables that can be told")
    found: dict[str, Any] = {"planets": len(climates), "told": told, "methods": {}}
    for name, result in results.items():
        found["methods"][name] = about(result, results[OURS], told)
        one = found["methods"][name]
        print(
            f"{name:12s} skill {_shown(one['mean_skill'])}  NRMSE {_shown(one['mean_nrmse'])}  "
            f"CRPS/spread {_shown(one['mean_crps'])}  scalar less {_shown(one['scalar_less'])}  coverage "
            + " ".join(f"{100 * c:g}: {_shown(one['coverage'][f'{c:g}'])}" for c in CONFIDENCES)
            + f"  {one['cpu_s']:.2f} s",
            flush=True,
        )
    return found


def judged(climates: Climates, method: str | Callable[[Climates], Emulator]) -> Result:
    """Leave out every planet in turn, with all tuning and calibration inside."""
    values, scaled = climates.values.astype(np.float64), climates.scaled
    count, size = values.shape
    mean, std, base = np.empty((count, size)), np.empty((count, size)), np.empty((count, size))
    inside = {one: np.empty((count, size)) for one in CONFIDENCES}
    width = np.empty((count, size))
    began = time.process_time()
    for i in range(count):
        seen = np.flatnonzero(np.arange(count) != i)
        rows = climates.take(seen)
        if isinstance(method, str):
            emulator, _, _ = tuned(
                method, scaled[seen], values[seen], climates.weights, rows.names, SEED
            )
        else:
            emulator = method(rows).fit(scaled[seen], values[seen], climates.weights, SEED)
        told = emulator.predict(scaled[i : i + 1])
        assert told.std is not None
        mean[i], std[i] = told.mean[0], told.std[0]
        base[i] = values[seen].mean(axis=0)
        for confidence in CONFIDENCES:
            low, high = interval(emulator, told, scaled[i : i + 1], confidence)
            inside[confidence][i] = (low <= values[i]) & (values[i] <= high)
            if confidence == CONFIDENCE:
                width[i] = high - low
    cpu_s = (time.process_time() - began) / count
    scores = score(climates, Prediction(mean, std), values.mean(axis=0))
    return Result(scores, inside, width.mean(axis=0), cpu_s)


def interval(
    emulator: Emulator, told: Prediction, scaled: Array, confidence: float
) -> tuple[Array, Array]:
    """A method's own interval, or a Gaussian's."""
    if isinstance(emulator, Scalar):
        low, high = emulator.interval(scaled, confidence)
        return low[0], high[0]
    from scipy.special import ndtri

    reach = ndtri(0.5 + 0.5 * confidence) * told.std[0]
    return told.mean[0] - reach, told.mean[0] + reach


def about(result: Result, ours: Result, told: list[str]) -> dict[str, Any]:
    """Numbers of one method, with intervals over planets."""
    place = [i for i, one in enumerate(result.scores.variables) if one.name in told]
    by_variable = {}
    for i, one in enumerate(result.scores.variables):
        against = paired(ours.scores, result.scores, one.name, "rmse").verdict
        by_variable[one.name] = {
            "unit": one.unit,
            **{m: result.scores.value(one.name, m) for m in ("rmse", "mae", "skill", "crps")},
            "scalar_is": against if result is not ours else "itself",
            "width_90": float(result.width[i]),
            "coverage_90": float(result.inside[CONFIDENCE][:, i].mean()),
        }
    own, other = over_variables(result.scores, told), over_variables(ours.scores, told)
    return {
        **{name: ends(values) for name, values in own.items()},
        "scalar_less": ends(other["mean_nrmse"] - own["mean_nrmse"]),
        "without": {
            name: _without(result.scores, ours.scores, told, name) for name in (EARTH, ALONE)
        },
        "coverage": {
            f"{one:g}": _listed(interval_of_mean(inside[:, place].mean(axis=1)))
            for one, inside in result.inside.items()
        },
        "cpu_s": round(result.cpu_s, 3),
        "variables": by_variable,
    }


def _without(scores: Scores, ours: Scores, told: list[str], name: str) -> dict[str, list[float]]:
    """The same where one planet does not count."""
    own, other = (over_variables(one, told, name)["mean_nrmse"] for one in (scores, ours))
    return {"mean_nrmse": ends(own), "scalar_less": ends(other - own)}


def over_variables(scores: Scores, told: list[str], without: str = "") -> dict[str, Array]:
    """Means over variables, of all planets and then of draws of them, [1 + draw]."""
    kept = [i for i, name in enumerate(scores.planets) if name != without]
    count = len(kept)
    rng = np.random.default_rng([SEED, count])
    drawn = rng.multinomial(count, np.full(count, 1.0 / count), DRAWS) / count
    weights = np.vstack([np.full(count, 1.0 / count), drawn])
    skills, errors, ranked = [], [], []
    for name in told:
        squared, base = (weights @ part[kept] for part in scores.parts(name, "skill"))
        skills.append(1.0 - squared / base)
        errors.append(np.sqrt(squared / base))
        ranked.append(weights @ scores.parts(name, "crps")[0][kept] / np.sqrt(base))
    found = {"mean_skill": skills, "mean_nrmse": errors, "mean_crps": ranked}
    return {name: np.mean(values, axis=0) for name, values in found.items()}


def ends(values: Array) -> list[float]:
    """A value, and where it lies over draws of planets."""
    tail = 0.5 * (1.0 - CONFIDENCE)
    low, high = np.quantile(values[1:], [tail, 1.0 - tail])
    return [float(values[0]), float(low), float(high)]


def _listed(one: Interval) -> list[float]:
    return [one.value, one.low, one.high]


def _shown(one: list[float]) -> str:
    return f"{one[0]:.3f} [{one[1]:.3f}, {one[2]:.3f}]"


# ----------------------------------------------------------------------------- one sweep for another
def earth(training: Climates) -> dict[str, Any]:
    """How far Earth is from what the other planets expect, and whether they are better off without it."""
    values, place = training.values.astype(np.float64), training.names.index(EARTH)
    others = np.flatnonzero(np.arange(len(training)) != place)
    rows = training.take(others)
    fitted = Scalar.of(training).fit(training.scaled[others], values[others], rows.weights, SEED)
    told = fitted.predict(training.scaled[place : place + 1])
    assert told.std is not None
    away = ((values[place] - told.mean[0]) / told.std[0])[fitted.told]
    found = {
        "tsurf_truth_less_told": float(values[place, 0] - told.mean[0, 0]),
        "in_standard_deviations": [float(away[0]), float(np.median(np.abs(away)))],
        "mean_skill_of_others_without_it": float(fitted.skill_left_out[fitted.told].mean()),
    }
    whole = Scalar.of(training).fit(training.scaled, values, training.weights, SEED).left_out.mean
    mean = (values.sum(axis=0) - values) / (len(values) - 1)
    missed, apart = (((values - one)[others] ** 2).sum(axis=0) for one in (whole, mean))
    found["mean_skill_of_others_with_it"] = float((1 - missed / apart)[fitted.told].mean())
    print(f"Earth: {found}", flush=True)
    return found


def with_circular(training: Climates, circular: Climates) -> dict[str, Any]:
    """Whether the circular runs help, as planets alike, or as planets of another experiment."""
    found = {}
    both = joined(training, circular)
    names = [one.name for one in training.variables]
    alone = judged(training, Scalar.of)
    told = [name for name in names if alone.scores.value(name, "skill") > 0.0]
    for way, columns in (("alike", slice(4)), ("apart", slice(5))):
        rows = replace(both, inputs=both.inputs[columns], params=both.params[:, columns])
        result = left_out_of(rows, len(training))
        own, other = over_variables(result, told), over_variables(alone.scores, told)
        found[way] = {
            **{name: ends(values) for name, values in own.items()},
            "alone_less": ends(other["mean_nrmse"] - own["mean_nrmse"]),
            "tsurf_rmse": result.value(names[0], "rmse"),
        }
        print(f"with the circular runs {way}: {found[way]}", flush=True)
    return found


def left_out_of(both: Climates, count: int) -> Scores:
    """Each of the first planets left out of all."""
    values, scaled = both.values.astype(np.float64), both.scaled
    mean = np.empty((count, values.shape[1]))
    for i in range(count):
        seen = np.flatnonzero(np.arange(len(both)) != i)
        fitted = Scalar.of(both).fit(scaled[seen], values[seen], both.weights, SEED)
        mean[i] = fitted.predict(scaled[i : i + 1]).mean[0]
    first = both.take(np.arange(count))
    return score(first, Prediction(mean), values[:count].mean(axis=0))


def joined(training: Climates, circular: Climates) -> Climates:
    """Both sweeps as one: a circular orbit has no eccentricity, and its periapse is anywhere."""
    empty = np.zeros((len(circular), 2))
    params = np.vstack([training.params, np.hstack([circular.params, empty])])
    which = np.repeat([0.0, 1.0], [len(training), len(circular)])
    return replace(
        training,
        inputs=(*training.inputs, Input.of("experiment", "", which)),
        params=np.column_stack([params, which]),
        values=np.vstack([training.values, circular.values]),
        names=(*training.names, *(f"circular {one}" for one in circular.names)),
    )


def circular_from_training(training: Climates, circular: Climates) -> dict[str, Any]:
    """What a surrogate of the one sweep says of the other, and whether its guard objects."""
    scaled, values = training.scaled, training.values.astype(np.float64)
    fitted = Scalar.of(training).fit(scaled, values, training.weights, SEED)
    asked = joined(training, circular).params[len(training) :, :4]
    rows = np.column_stack([one.scaled(asked[:, i]) for i, one in enumerate(training.inputs)])
    low, high = fitted.interval(rows, CONFIDENCE)
    inside = ((low <= circular.values) & (circular.values <= high)).mean(axis=1)
    missed = (circular.values - fitted.predict(rows).mean)[:, 0]
    days = asked[:, 0] / 86400.0
    found = {
        "coverage_90": _listed(interval_of_mean(inside)),
        "flagged": float(np.mean([o.flagged for o in Domain(training.inputs, scaled).judge(rows)])),
        "tsurf_truth_less_told": {
            f"{a} to {b} d": float(missed[(days >= a) & (days < b)].mean())
            for a, b in ((1, 2), (2, 6), (6, 12), (12, 24), (24, 48), (48, 96), (96, 200))
        },
    }
    print(f"circular runs by the other sweep's surrogate: {found}", flush=True)
    return found


if __name__ == "__main__":
    main()
