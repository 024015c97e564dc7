"""Pictures of an evaluation as PNG: climates that nobody had seen beside what was predicted, and how sure.

Call :func:`pictures` once; it sets matplotlib up. Names are TensorBoard's, by groups.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.climates.climates import Climates, Variable
from astrohpc.emulate.base import Prediction
from astrohpc.evaluate.curves import draw_calibration, draw_domain, draw_laws, draw_levels
from astrohpc.evaluate.run import Results
from astrohpc.evaluate.verdict import ways_of
from astrohpc.gallery.pictures import draw_fields
from astrohpc.store.pictures import drawing, png
from astrohpc.store.scenes import Axis

Array = NDArray[np.float64]

_WIDE_IN, _HIGH_IN, _DPI = 4.2, 2.9, 80
_LEVEL = 0.9


def pictures(results: Results) -> dict[str, bytes]:
    """All pictures by name."""
    truth = results.climates.take(results.parts.test)
    _, said, calibration = ways_of(results.chosen, "test", truth, results.projections)[-1]
    bounds = calibration.interval(said, _LEVEL)
    found: dict[str, bytes] = {}
    with drawing():
        chosen = _planets(results)
        for one in truth.variables:
            found |= dict(_of_variable(truth, one, said, bounds, chosen))
        for one in truth.variables:
            if one.shape:
                found[f"means/{one.name}"] = _means(truth, one, said.mean)
        for one in truth.variables:
            if one.levels:
                found[f"levels/{one.name}"] = draw_levels(results, one)
        found["calibration"] = draw_calibration(results)
        if results.verdict.laws.get(results.verdict.best):
            found["conservation"] = draw_laws(results)
        found["domain"] = draw_domain(results)
    return found


def _planets(results: Results) -> list[tuple[int, str]]:
    """The test planet with the usual error and the one with the largest, by skill over all variables."""
    scores = results.verdict.scores["test", results.verdict.best]
    errors = np.zeros(len(scores.planets))
    for one in scores.variables:
        size = scores.by_planet(one.name, "rmse")
        errors += size / max(float(np.median(size)), float(np.finfo(np.float64).tiny))
    order = np.argsort(errors, kind="stable")
    usual, worst = int(order[len(order) // 2]), int(order[-1])
    found = [(usual, "usual error")]
    return found if usual == worst else [*found, (worst, "largest error")]


# ----------------------------------------------------------------------------- climates
def _of_variable(
    truth: Climates,
    one: Variable,
    said: Prediction,
    bounds: tuple[Array, Array],
    chosen: list[tuple[int, str]],
) -> Iterator[tuple[str, bytes]]:
    """Maps and sections where there are such, curves along latitude, or points with bars."""
    theirs, ours, low, high = (
        truth.of(one.name, rows).astype(np.float64) for rows in (truth.values, said.mean, *bounds)
    )
    words = f"{one.long_name}, planets held out"
    if not one.shape:
        yield f"compared/{one.name}", _points(truth, one, words, (theirs, ours, low, high))
        return
    cells = len(one.shape) - one.levels
    for k, (i, which) in enumerate(chosen, start=1):
        name = f"compared/{one.name}/{k}"
        title = f"truth, {truth.names[i][:12]} ({which})"
        if cells == 1 and not one.levels:
            curves = [values[i].reshape(-1) for values in (theirs, ours, low, high)]
            yield name, _curves(truth, one, f"{words}: {title[7:]}", curves)
            continue
        if cells == 2:
            place = -1 if one.levels else slice(None)
            panels = _panels(title, theirs[i][place], ours[i][place])
            where = f"{words}, lowest level" if one.levels else words
            yield name, _drawn(truth, one, where, ("lat", "lon"), panels)
        if one.levels:
            shape = (one.shape[0], one.shape[1], -1)
            a, b = (values[i].reshape(shape).mean(axis=2) for values in (theirs, ours))
            where = f"{words}, mean along latitudes"
            yield f"{name}/section", _drawn(truth, one, where, ("lev", "lat"), _panels(title, a, b))


def _panels(title: str, truth: Array, predicted: Array) -> list[tuple[str, Array]]:
    return [(title, truth), ("prediction", predicted), ("prediction − truth", predicted - truth)]


def _drawn(
    truth: Climates,
    one: Variable,
    words: str,
    axes: tuple[str, str],
    panels: list[tuple[str, Array]],
) -> bytes:
    y, x = (axis_of(truth, name, one) for name in axes)
    return draw_fields(one.name, words, one.unit, (y, x), panels, truth.mark)


def axis_of(truth: Climates, name: str, one: Variable) -> Axis:
    """An axis for a picture: degrees, or the share of the surface pressure, or numbers."""
    if name == "lev":
        if "b" in truth.axes and len(truth.axes["b"]) == one.shape[0] + 1:
            edges = truth.axes["b"] + truth.axes["ap_pa"] / 1e5
            return Axis("pressure / surface", "vertical", "", (edges[1:] + edges[:-1]) / 2, True)
        return Axis("level", "vertical", "", np.arange(1.0, one.shape[0] + 1), True)
    unit = "degrees_north" if name == "lat" else "degrees_east"
    return Axis(name, name, unit, truth.axes[name])


def _curves(truth: Climates, one: Variable, words: str, values: list[Array]) -> bytes:
    """Truth and prediction along latitude with its interval, and the difference."""
    theirs, ours, low, high = values
    figure = _figure(2)
    lat = truth.axes["lat"]
    both = figure.add_axes((0.08, 0.17, 0.40, 0.62))
    apart = figure.add_axes((0.58, 0.17, 0.40, 0.62))
    both.fill_between(lat, low, high, color="C0", alpha=0.2, lw=0)
    both.plot(lat, ours, color="C0", lw=1.2, label="prediction, with its 90 % interval")
    both.plot(lat, theirs, color="black", lw=1.0, ls="--", label="truth")
    both.legend(fontsize=6, frameon=False)
    apart.fill_between(lat, low - ours, high - ours, color="C0", alpha=0.2, lw=0)
    apart.plot(lat, theirs - ours, color="black", lw=1.0)
    apart.axhline(0.0, lw=0.5, color="0.5")
    for axis, title in ((both, "both"), (apart, "truth − prediction")):
        axis.set_title(title, loc="left")
        axis.set_xlabel("lat [degrees_north]")
        axis.set_ylabel(one.unit)
    return _finished(figure, f"{one.label}: {words}", truth.mark)


def _points(truth: Climates, one: Variable, words: str, values: tuple[Array, ...]) -> bytes:
    """Prediction with its interval against truth, a point a planet."""
    theirs, ours, low, high = values
    figure = _figure(1)
    axis = figure.add_axes((0.17, 0.17, 0.78, 0.62))
    bars = np.stack([ours - low, high - ours])
    axis.errorbar(theirs, ours, yerr=bars, fmt=".", ms=4, lw=0.7, color="C0")
    _diagonal(axis, theirs, ours)
    axis.set_xlabel(f"truth [{one.unit}]")
    axis.set_ylabel(f"prediction [{one.unit}]")
    return _finished(figure, f"{one.name}: {words}", truth.mark)


def _means(truth: Climates, one: Variable, mean: Array) -> bytes:
    """The planet's mean: prediction against truth, a point a planet."""
    place = truth.places[one.name]
    weights = truth.weights[place]
    theirs = truth.values[:, place].astype(np.float64) @ weights
    ours = mean[:, place] @ weights
    figure = _figure(1)
    axis = figure.add_axes((0.17, 0.17, 0.78, 0.62))
    axis.plot(theirs, ours, ".", ms=5, color="C0")
    _diagonal(axis, theirs, ours)
    axis.set_xlabel(f"truth [{one.unit}]")
    axis.set_ylabel(f"prediction [{one.unit}]")
    axis.set_title("means over the planet, a point each", loc="left")
    return _finished(figure, f"{one.name}: {one.long_name}", truth.mark)


def _diagonal(axis: Any, one: Array, other: Array) -> None:
    ends = [float(min(one.min(), other.min())), float(max(one.max(), other.max()))]
    axis.plot(ends, ends, lw=0.6, color="0.5")
    axis.grid(alpha=0.25)


def _figure(panels: int) -> Any:
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second

    return Figure(figsize=(panels * _WIDE_IN, _HIGH_IN), dpi=_DPI)


def _finished(figure: Any, words: str, mark: str) -> bytes:
    most = 62 * int(figure.get_figwidth() // _WIDE_IN) - (12 if mark else 0)
    figure.text(0.01, 0.97, words[:most], va="top", fontsize=9)
    if mark:
        figure.text(0.99, 0.97, mark, va="top", ha="right", fontsize=10, color="tab:red")
    return png(figure)
