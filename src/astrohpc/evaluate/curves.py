"""Pictures of scores: by level, of intervals, of laws, and of the domain. Call them within ``drawing()``."""

from typing import Any

import numpy as np

from astrohpc.climates.climates import Variable
from astrohpc.evaluate.bootstrap import interval
from astrohpc.evaluate.run import Results
from astrohpc.evaluate.statistics import CONFIDENCES
from astrohpc.evaluate.verdict import PLAIN
from astrohpc.store.pictures import logarithmic, png

_WIDE_IN, _HIGH_IN, _DPI = 4.6, 2.9, 80
_FLOOR = 1e-9  # of a law's scale; what is kept better is drawn here
_TRUTH, _OURS = "0.3", "C0"


def draw_levels(results: Results, one: Variable) -> bytes:
    """Root mean square error and skill of every method by level, from space down."""
    figure, axes = _panels(2)
    levels = np.arange(1, one.shape[0] + 1)
    for verdict in results.verdicts:
        scores = verdict.scores["test", PLAIN]
        own = verdict.name == results.chosen.name
        look: dict[str, Any] = {"lw": 2.0, "zorder": 3} if own else {"lw": 0.9}
        for axis, metric in zip(axes, ("rmse", "skill"), strict=True):
            axis.plot(scores.by_level(one.name, metric), levels, label=verdict.name, **look)
    for axis, words in zip(axes, (f"root mean square error [{one.unit}]", "skill"), strict=True):
        axis.invert_yaxis()
        axis.set_xlabel(words)
        axis.set_ylabel("level, from space down")
        axis.grid(alpha=0.25)
    axes[1].set_xlim(left=max(-0.5, axes[1].get_xlim()[0]))
    axes[0].legend(fontsize=5.5, frameon=False, ncols=2)
    return _finished(figure, f"{one.name}: test planets", results)


def draw_calibration(results: Results) -> bytes:
    """The share of truth within intervals against what they promise, after and before calibration."""
    verdict = results.verdict
    figure, axes = _panels(2)
    promised = np.array(CONFIDENCES)
    for axis, words, scores in (
        (axes[0], "calibrated", verdict.scores["test", verdict.best]),
        (axes[1], "as the method says", verdict.uncalibrated),
    ):
        axis.plot([0.4, 1], [0.4, 1], lw=0.6, color="0.5")
        axis.set_title(words, loc="left")
        axis.set_xlabel("promised share")
        axis.set_ylabel("share of truth within")
        axis.grid(alpha=0.25)
        if scores is None:
            axis.text(0.7, 0.5, "it says nothing of how sure it is", ha="center")
            continue
        variables = results.climates.variables
        for k, one in enumerate(variables):
            found = [interval(scores, one.name, f"coverage_{100 * c:g}") for c in CONFIDENCES]
            values = np.array([each.value for each in found])
            ends = np.array([[each.low, each.high] for each in found])
            apart = promised + 0.006 * (k - len(variables) / 2)
            bars = np.abs(ends.T - values)
            axis.errorbar(apart, values, yerr=bars, fmt=".-", ms=3, lw=0.7, label=one.name)
    axes[0].legend(fontsize=6, frameon=False, ncols=2, loc="upper left")
    return _finished(figure, "Are the intervals honest? Bars: 90 % over planets", results)


def draw_laws(results: Results) -> bytes:
    """How far each law is from being kept, a point a planet: the model's own, predicted, projected."""
    verdict = results.verdict
    shown = {
        way: {one.law.name: np.abs(one.prediction.relative) for one in laws}
        for way, laws in verdict.laws.items()
    }
    own = {one.law.name: np.abs(one.truth.relative) for one in verdict.laws[verdict.best]}
    # A law that nothing breaks, as values within their bounds, says nothing in a picture.
    names = [
        name for name in own if max(float(of[name].max()) for of in (own, *shown.values())) > _FLOOR
    ]
    figure, (axis,) = _panels(1, wide=1.6)
    kinds = [("the model's own", own, _TRUTH), *(
        (way, laws, f"C{k}") for k, (way, laws) in enumerate(shown.items())
    )]  # fmt: skip
    for k, (words, laws, colour) in enumerate(kinds):
        for i, name in enumerate(names):
            values = np.maximum(laws[name], _FLOOR)
            at = np.full(len(values), i + 0.22 * (k - (len(kinds) - 1) / 2))
            label = words if i == 0 else None
            axis.plot(at, values, ".", ms=3, color=colour, alpha=0.5, label=label)
            axis.plot(at[:1], [np.median(values)], "_", ms=14, mew=1.5, color=colour)
    logarithmic(axis, "y")
    axis.set_xticks(np.arange(len(names)), [name.replace("_", "\n") for name in names])
    axis.set_ylabel("|residual| / scale")
    axis.legend(fontsize=6, frameon=False)
    axis.grid(alpha=0.25, axis="y")
    words = "Conservation on the test planets, a point each; dashes: medians"
    return _finished(figure, words, results)


def draw_domain(results: Results) -> bytes:
    """Errors of planets against how unlike they are to all that was trained on."""
    figure, (axis,) = _panels(1)
    for part, colour in (("test", "C0"), ("corner", "C3")):
        scores = results.verdict.scores.get((part, results.verdict.best))
        if scores is None:
            continue
        first = scores.variables[0]
        axis.plot(
            [one.novelty for one in results.judged[part]],
            scores.by_planet(first.name, "rmse"),
            ".",
            ms=5,
            color=colour,
            label=part,
        )
    axis.axvline(1.0, lw=0.8, color="0.5")
    axis.set_xlabel("distance to what was trained on / usual distance")
    axis.set_ylabel(f"error of {results.climates.variables[0].label}")
    axis.legend(fontsize=7, frameon=False)
    axis.grid(alpha=0.25)
    return _finished(figure, "Beyond the line a planet is called outside", results)


def _panels(count: int, wide: float = 1.0) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second

    figure: Any = Figure(figsize=(_WIDE_IN * count * wide, _HIGH_IN), dpi=_DPI)
    box = 1.0 / count
    axes = [figure.add_axes((k * box + 0.16 * box, 0.2, 0.8 * box, 0.6)) for k in range(count)]
    return figure, axes


def _finished(figure: Any, words: str, results: Results) -> bytes:
    figure.text(0.01, 0.97, words, va="top", fontsize=9)
    if results.climates.mark:
        mark = results.climates.mark
        figure.text(0.99, 0.97, mark, va="top", ha="right", fontsize=10, color="tab:red")
    return png(figure)
