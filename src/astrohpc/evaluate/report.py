"""An evaluation in tables: for the page, for a terminal, and as files that programs read.

A score stands with the interval of 90 % that drawing planets anew gives it.
"""

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from astrohpc.evaluate.bootstrap import Interval, interval, paired
from astrohpc.evaluate.job import PLANETS, SCORES
from astrohpc.evaluate.metrics import METRICS, Scores
from astrohpc.evaluate.run import Results
from astrohpc.evaluate.verdict import PLAIN, Verdict
from astrohpc.files import write_atomic

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]

REFERENCE = "pca_gp"  # what every other method is held against
_DETAILS = (
    "rmse",
    "mae",
    "bias",
    "pooled_r2",
    "pattern_correlation",
    "contrast_rmse",
    "fine_power",
    "crps",
    "spread_skill",
    "coverage_90",
)
_COLUMNS = (
    "method",
    "trained",
    "planets",
    "part",
    "means",
    "variable",
    "unit",
    "level",
    "metric",
    "value",
    "low",
    "high",
    "data",
)


def number(value: float) -> str:
    """Three digits, or a dash where there is none."""
    return f"{value:.3g}" if math.isfinite(value) else "—"


def shown(found: Interval, say: Callable[[float], str] = number) -> str:
    """A value with its interval."""
    if not math.isfinite(found.low):
        return say(found.value)
    return f"{say(found.value)} ({say(found.low)} … {say(found.high)})"


def _share(value: float) -> str:
    """Three places: of a skill of nought nobody wants to see the rounding."""
    return f"{value + 0.0:.3f}".replace("-0.000", "0.000") if math.isfinite(value) else "—"


# ----------------------------------------------------------------------------- tables
def skill_table(results: Results, part: str) -> Table:
    """Skill of every method by variable; the one that is handed over once more as it is handed over."""
    variables = results.climates.variables
    rows = []
    for verdict, way in _lines(results, part):
        scores = verdict.scores[part, way]
        cells = [shown(interval(scores, one.name, "skill"), _share) for one in variables]
        rows.append((_title(results, verdict, way), *cells))
    return ("method", *(one.name for one in variables)), rows


def detail_table(results: Results, variable: str) -> Table:
    """All metrics of one variable on the test planets."""
    rows = []
    for verdict, way in _lines(results, "test"):
        scores = verdict.scores["test", way]
        cells = [shown(interval(scores, variable, metric)) for metric in _DETAILS]
        rows.append((_title(results, verdict, way), *cells))
    return ("method", *_DETAILS), rows


def duel_table(results: Results) -> Table:
    """Who beats the reference: the reduction of the root mean square error on the same draws of planets."""
    variables = results.climates.variables
    reference = next((one for one in results.verdicts if one.name == REFERENCE), None)
    rows: list[tuple[str, ...]] = []
    if reference is None:
        return ("method",), rows
    scores = reference.scores["test", PLAIN]
    for verdict in results.verdicts:
        if verdict.name == REFERENCE:
            continue
        cells = []
        for one in variables:
            found = paired(verdict.scores["test", PLAIN], scores, one.name, "rmse")
            cells.append(f"{found.verdict}: {shown(found.gain)}")
        rows.append((verdict.name, *cells))
    return ("method", *(one.label for one in variables)), rows


def coverage_table(results: Results) -> Table:
    """How much truth lies within the intervals of the method that is handed over."""
    names = [name for name in METRICS if name.startswith("coverage_")]
    rows: list[tuple[str, ...]] = []
    verdict = results.verdict
    for words, scores in (
        ("calibrated", verdict.scores["test", verdict.best]),
        ("as the method says", verdict.uncalibrated),
        ("calibrated, corner", verdict.scores.get(("corner", verdict.best))),
    ):
        if scores is None:
            continue
        for one in results.climates.variables:
            cells = [shown(interval(scores, one.name, name)) for name in names]
            spread = shown(interval(scores, one.name, "spread_skill"))
            rows.append((one.name, words, *cells, spread))
    titles = [name.replace("coverage_", "within ") + " %" for name in names]
    return ("variable", "intervals", *titles, "spread / error"), rows


def floor_table(results: Results) -> Table:
    """The error of what is handed over beside what the climates themselves are known to."""
    rows: list[tuple[str, ...]] = []
    scores = results.verdict.scores["test", results.verdict.best]
    rms = results.floor.rms if results.floor else {}
    for one in (one for one in results.climates.variables if one.name in rms):
        found = rms[one.name]
        error = scores.value(one.name, "rmse")
        usual = float(scores.parts(one.name, "skill")[1].mean())
        best = 1.0 - found.value**2 / usual
        rows.append(
            (one.label, shown(found), number(error), number(error / found.value), _share(best))
        )
    titles = ("one run about its climate", "error", "times as much", "best possible skill")
    return ("variable", *titles), rows


def law_table(results: Results) -> Table:
    """Residuals of laws, of the predicted climates and of the model's own."""
    rows: list[tuple[str, ...]] = []
    for way, laws in results.verdict.laws.items():
        for one in laws:
            row = one.row
            cells = [
                number(float(row[f"{whose}_relative_{what}"]))
                for whose in ("prediction", "truth")
                for what in ("median", "largest")
            ]
            cells += [shown(one.more), one.verdict]
            rows.append((str(row["law"]), str(row["title"]), way, *cells))
    titles = ("prediction, median", "largest", "the model's own, median", "largest", "mean more")
    return ("law", "what", "means", *titles, "than the model"), rows


def projection_table(results: Results) -> Table:
    """What projecting costs or gains: root mean square errors without and with."""
    rows: list[tuple[str, ...]] = []
    variables = results.climates.variables
    for verdict in results.verdicts:
        if len(verdict.ways) < 2:
            continue
        cells = []
        for one in variables:
            found = paired(
                verdict.scores["test", verdict.best],
                verdict.scores["test", PLAIN],
                one.name,
                "rmse",
            )
            cells.append(
                "the same"
                if abs(found.first - found.second) <= 1e-6 * abs(found.second)
                else f"{number(found.second)} → {number(found.first)}"
            )
        rows.append((verdict.name, *cells))
    return ("method", *(one.label for one in variables)), rows


def cost_table(results: Results) -> Table:
    """What each method was tuned to, and what that took."""
    rows: list[tuple[str, ...]] = [
        (
            one.name,
            "—" if one.skill is None else number(one.skill),
            number(one.mean_skill("validation")) if _has(one, "validation") else "—",
            "—" if one.cpu_s is None else f"{one.cpu_s:.1f}",
            ", ".join(f"{key} {value}" for key, value in one.settings.items()) or "—",
        )
        for one in results.verdicts
    ]
    titles = ("skill, cross-validated", "skill, validation planets", "CPU seconds", "settings")
    return ("method", *titles), rows


def _lines(results: Results, part: str) -> Iterator[tuple[Verdict, str]]:
    """Every method as it predicts; the one handed over as it is handed over, too."""
    for verdict in results.verdicts:
        if not _has(verdict, part):
            continue
        yield verdict, PLAIN
        if verdict.name == results.chosen.name and verdict.best != PLAIN:
            yield verdict, verdict.best


def _has(verdict: Verdict, part: str) -> bool:
    return (part, PLAIN) in verdict.scores


def _title(results: Results, verdict: Verdict, way: str) -> str:
    if verdict.name == results.chosen.name and way == verdict.best:
        words = "" if way == PLAIN else f"{way}, "
        return f"{verdict.name} ({words}handed over)"
    return verdict.name


# ----------------------------------------------------------------------------- files
def write_files(folder: Path, results: Results) -> None:
    """Every score as a row, and every planet of the chosen method."""
    rows = [row for verdict in results.verdicts for row in _score_rows(verdict)]
    write_atomic(folder / SCORES, _csv(_COLUMNS, rows))
    verdict = results.verdict
    planets: list[dict[str, object]] = []
    for part in ("test", "corner"):
        scores = verdict.scores.get((part, verdict.best))
        if scores is None:
            continue
        outside = dict(zip(scores.planets, results.judged[part], strict=True))
        for row in scores.planet_rows():
            judged = outside[str(row["planet"])]
            extra = {"part": part, "outside": judged.flagged, "novelty": judged.novelty}
            planets.append({"method": verdict.name, **extra, **row})
    columns = list(planets[0]) if planets else ["method"]
    write_atomic(folder / PLANETS, _csv(columns, [list(one.values()) for one in planets]))


def _score_rows(verdict: Verdict) -> Iterator[Sequence[object]]:
    for (part, way), scores in verdict.scores.items():
        about = (verdict.name, verdict.trained, len(scores.planets), part, way)
        for one in scores.variables:
            for metric in METRICS:
                found = interval(scores, one.name, metric)
                numbers = (found.value, found.low, found.high)
                unit = one.unit if METRICS[metric].own_unit else "1"
                yield (*about, one.name, unit, "", metric, *numbers, scores.mark)
        if part == "test" and way == verdict.best:
            yield from _level_rows(about, scores)


def _level_rows(about: Sequence[object], scores: Scores) -> Iterator[Sequence[object]]:
    for one in (one for one in scores.variables if one.levels):
        for metric, found in METRICS.items():
            unit = one.unit if found.own_unit else "1"
            for level, value in enumerate(scores.by_level(one.name, metric)):
                yield (*about, one.name, unit, level, metric, value, "", "", scores.mark)


def _csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([f"{one:.6g}" if isinstance(one, float) else one for one in row])
    return out.getvalue()
