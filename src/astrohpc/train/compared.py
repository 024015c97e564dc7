"""Pictures of what the model makes of worlds that it never saw, beside the truth.

Maps where samples are maps, profiles where they are lines, bars where they are single numbers. Truth and
prediction have one scale, and their difference one of its own in the same unit.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.gallery.pictures import draw_fields
from astrohpc.store.pictures import drawing, png
from astrohpc.store.scenes import Axis
from astrohpc.train.about import About, Variable
from astrohpc.train.sources import Source
from astrohpc.train.step import Stepper
from astrohpc.train.validate import predictions

Array = NDArray[np.float64]

_MEMBERS, _VARIABLES = 3, 12  # that are shown; of more the first
_WIDTH_IN, _HEIGHT_IN, _DPI = 4.2, 2.9, 80


def pictures(stepper: Stepper, source: Source, draw: bool) -> dict[str, bytes]:
    """Pictures as PNG by name; every rank takes part, and who is not to ``draw`` returns none."""
    samples = chosen(source)
    pair = predictions(stepper, source, samples)
    if pair is None or not draw:
        return {}
    names = [source.about.name_of(int(sample)) for sample in samples]
    held = "held out" if source.held_out else "trained on"
    found: dict[str, bytes] = {}
    with drawing():
        for variable in source.about.variables[:_VARIABLES]:
            part = source.channels[variable.name]
            truth, predicted = (values[:, part] for values in pair)
            if not np.isfinite(truth).any():
                continue
            found |= dict(_of_variable(variable, truth, predicted, names, held, source.about))
    return found


def chosen(source: Source) -> NDArray[np.int64]:
    """A few samples from all over what is held out, or of all where nothing is; always the same."""
    first, count = (source.count, source.held_out) if source.held_out else (0, source.count)
    few = min(_MEMBERS, count)
    return first + np.unique(((np.arange(few) + 0.5) * count / few).astype(np.int64))


def _of_variable(
    variable: Variable,
    truth: Array,
    predicted: Array,
    names: Sequence[str],
    held: str,
    about: About,
) -> Iterator[tuple[str, bytes]]:
    """The pictures of one variable, whose values are [sample, channel, …]."""
    words = f"{variable.long_name}, {held}" if variable.long_name else held
    axes = variable.axes
    if truth.ndim == 2:  # means: no cells are left, and levels perhaps
        axes = axes[:1] if variable.levels else ()
    shape = (len(truth), *(len(axis.values) for axis in axes))
    truth, predicted, axes, place = _shown(truth.reshape(shape), predicted.reshape(shape), axes)
    words = f"{words}, {place}" if place else words
    if len(axes) < 2:
        picture = _lines(variable, words, axes, truth, predicted, names, about.mark)
        yield f"compared/{variable.name}", picture
        return
    for k, name in enumerate(names):
        panels = [
            (f"truth, {name}", truth[k]),
            ("prediction", predicted[k]),
            ("prediction − truth", predicted[k] - truth[k]),
        ]
        picture = draw_fields(
            variable.name, words, variable.unit, (axes[0], axes[1]), panels, about.mark
        )
        yield f"compared/{variable.name}/{k + 1}", picture


def _shown(
    truth: Array, predicted: Array, axes: tuple[Axis, ...]
) -> tuple[Array, Array, tuple[Axis, ...], str]:
    """Cut down to two axes, the last ones: of levels the lowest, of others the middle; and which."""
    places = []
    while len(axes) > 2:
        axis, values = axes[0], np.asarray(axes[0].values)
        place = len(values) // 2
        if axis.kind == "vertical":
            place = int(np.argmax(values) if axis.downward else np.argmin(values))
        places.append(axis.where(place))
        truth, predicted, axes = truth[:, place], predicted[:, place], axes[1:]
    return truth, predicted, axes, ", ".join(places)


def _lines(
    variable: Variable,
    words: str,
    axes: tuple[Axis, ...],
    truth: Array,
    predicted: Array,
    names: Sequence[str],
    mark: str,
) -> bytes:
    """Profiles, or bars of single numbers: both, and what one is more than the other."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second

    figure: Any = Figure(figsize=(2 * _WIDTH_IN, _HEIGHT_IN), dpi=_DPI)
    both = figure.add_axes((0.08, 0.17, 0.40, 0.62))
    apart = figure.add_axes((0.58, 0.17, 0.40, 0.62))
    for k, name in enumerate(names):
        colour = f"C{k}"
        if axes:
            x = axes[0].values.astype(np.float64)
            both.plot(x, truth[k], color=colour, lw=1.2, label=name)
            both.plot(x, predicted[k], color=colour, lw=1.2, ls="--")
            apart.plot(x, predicted[k] - truth[k], color=colour, lw=1.2)
        else:
            both.bar(k - 0.2, truth[k], 0.38, color=colour)
            both.bar(k + 0.2, predicted[k], 0.38, color=colour, alpha=0.45, hatch="//")
            apart.bar(k, predicted[k] - truth[k], 0.6, color=colour)
    apart.axhline(0.0, lw=0.5, color="0.5")
    if axes:
        both.legend(fontsize=6, frameon=False)
    how = "truth solid, prediction dashed" if axes else "truth full, prediction hatched"
    for axis, title in ((both, how), (apart, "prediction − truth")):
        axis.set_title(title, loc="left")
        axis.set_ylabel(variable.unit)
        if axes:
            axis.set_xlabel(axes[0].label)
        else:
            axis.set_xticks(np.arange(len(names)), [name.replace(", ", "\n") for name in names])
    figure.text(0.01, 0.97, f"{variable.label}: {words}", va="top", fontsize=10)
    if mark:
        figure.text(0.99, 0.97, mark, va="top", ha="right", fontsize=10, color="tab:red")
    return png(figure)
