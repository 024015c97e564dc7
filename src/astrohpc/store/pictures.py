"""Drawing what a report page shows: one PNG a variable, with its panels side by side."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.plan import MEMBER
from astrohpc.store.scenes import Axis, Curve, Field, Scene

_PANEL_IN, _HEIGHT_IN, _DPI = 4.2, 2.9, 80
_NAMES = 12  # members that are named at an axis; of more their numbers
_DEGREES = (-90, -45, -20, 0, 20, 45, 90)
_STYLE: Any = {
    "text.parse_math": False,  # a $ in a name is a $
    "font.size": 8,
    "axes.titlesize": 8,
    "hatch.linewidth": 0.4,
    "axes.formatter.useoffset": False,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Set matplotlib up for a page; a letter that its font lacks is no reason to say anything."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second that a conversion without a page need not pay

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def draw(scene: Scene, mark: str) -> bytes:
    """The picture of a scene as PNG; ``mark`` is written over it, where there is something to warn of."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    count = len(scene.panels)
    width = _PANEL_IN * count
    figure: Any = Figure(figsize=(width, _HEIGHT_IN), dpi=_DPI)
    for k, panel in enumerate(scene.panels):
        left, box = k / count, 1.0 / count
        colours = isinstance(panel, Field)
        axis = figure.add_axes((left + 0.16 * box, 0.17, (0.62 if colours else 0.78) * box, 0.62))
        if isinstance(panel, Field):
            mesh = _field(axis, panel)
            bar = figure.add_axes((left + 0.80 * box, 0.17, 0.03 * box, 0.62))
            figure.colorbar(mesh, cax=bar, ticks=_ticks()).ax.tick_params(labelsize=7)
        else:
            _curve(axis, panel, scene)
        axis.set_title(_short(panel.title, 56))
    unit = f" [{scene.unit}]" if scene.unit else ""
    words = f"{scene.name}: {scene.long_name}" if scene.long_name else scene.name
    figure.text(
        0.01, 0.97, _short(words, (34 if mark else 46) * count) + unit, va="top", fontsize=10
    )
    if mark:
        figure.text(0.99, 0.97, mark, va="top", ha="right", fontsize=10, color="tab:red")
    return png(figure)


def png(figure: Any) -> bytes:
    """A figure as PNG, with a palette of its own: a third of the bytes, for colours are few."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415 - matplotlib's own

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    out = io.BytesIO()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image.quantize(256).save(out, format="png")
    return out.getvalue()


def logarithmic(axis: Any, which: str) -> None:
    """Powers of ten in plain digits, for the house's pages do without mathematical text."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415

    getattr(axis, f"set_{which}scale")("log")
    of = getattr(axis, f"{which}axis")
    of.set_major_locator(LogLocator(numticks=6))
    of.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    of.set_minor_formatter(NullFormatter())


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _field(axis: Any, panel: Field) -> Any:
    """Colours on two axes; hatched where there is nothing."""
    x, y = _edges(panel.x, northward=False), _edges(panel.y, northward=True)
    low, high, colours = _range(panel.values if panel.limits is None else np.array(panel.limits))
    axis.patch.set(facecolor="0.9", hatch="////", edgecolor="0.6")
    mesh = axis.pcolormesh(
        x, y, np.ma.masked_invalid(panel.values), cmap=colours, vmin=low, vmax=high, rasterized=True
    )
    _label(axis, "x", panel.x)
    _label(axis, "y", panel.y, sine=panel.y.kind == "lat")
    if panel.y.kind == "vertical" and panel.y.downward:
        axis.invert_yaxis()
    return mesh


def _range(values: NDArray[np.float64]) -> tuple[float, float, str]:
    """From the least to the greatest value; what lies on both sides of zero has white there."""
    there = values[np.isfinite(values)]
    if not there.size:
        return 0.0, 1.0, "viridis"
    low, high = float(there.min()), float(there.max())
    if low < 0 < high and min(-low, high) > 0.02 * max(-low, high):
        most = max(-low, high)
        return -most, most, "RdBu_r"
    return low, high if high > low else low + 1.0, "viridis"


def _edges(axis: Axis, *, northward: bool) -> NDArray[np.float64]:
    """Where cells end: halfway between their middles, and by area where latitude goes upward."""
    counted: NDArray[np.float64] = np.arange(len(axis.values) + 1, dtype=np.float64) - 0.5
    if axis.values.dtype.kind == "O" or axis.kind == MEMBER:
        return counted
    middle = axis.values.astype(np.float64)
    if axis.kind == "lon":
        middle = np.unwrap(middle, period=360.0)
    steps = np.diff(middle)
    if len(middle) < 2 or not ((steps > 0).all() or (steps < 0).all()):
        return counted
    inner = middle[:-1] + steps / 2
    edges: NDArray[np.float64] = np.concatenate(
        [[middle[0] - steps[0] / 2], inner, [middle[-1] + steps[-1] / 2]]
    )
    if axis.kind == "lat":
        edges = np.clip(edges, -90.0, 90.0)
        edges = np.asarray(np.sin(np.radians(edges)) if northward else edges)
    return edges


def _ticks() -> Any:
    """A few round numbers: half of a picture's time goes into its ticks."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    return MaxNLocator(5)


def _label(axis: Any, which: str, of: Axis, *, sine: bool = False) -> None:
    """Name and unit, and ticks that a person can read."""
    set_label, set_ticks = getattr(axis, f"set_{which}label"), getattr(axis, f"set_{which}ticks")
    set_label(_short(of.label, 40))
    if of.values.dtype.kind == "O":
        if len(of.values) <= _NAMES:
            set_ticks(np.arange(len(of.values)), [_short(str(one), 12) for one in of.values])
            if which == "x":
                axis.tick_params(axis="x", labelrotation=20)
        else:
            set_label(f"{of.label}, by number")
    elif sine:
        low, high = sorted(axis.get_ylim())
        seen = [d for d in _DEGREES if low - 1e-9 <= np.sin(np.radians(d)) <= high + 1e-9]
        set_ticks(np.sin(np.radians(seen)), [f"{d}°" for d in seen])
    else:
        getattr(axis, f"{which}axis").set_major_locator(_ticks())


def _curve(axis: Any, panel: Curve, scene: Scene) -> None:
    """A line with its points; where a value is missing it has a gap."""
    named = panel.x.values.dtype.kind == "O"
    x = np.arange(len(panel.values)) if named else panel.x.values.astype(np.float64)
    upright = panel.x.kind == "vertical"
    look = {"marker": ".", "ms": 4 if len(x) < 60 else 0, "lw": 0 if named else 1}
    if upright:
        axis.plot(panel.values, x, **look)
        if panel.x.downward:
            axis.invert_yaxis()
    else:
        axis.plot(x, panel.values, **look)
    if not np.isfinite(panel.values).any():
        axis.text(0.5, 0.5, "no values", ha="center", va="center", transform=axis.transAxes)
    _label(axis, "y" if upright else "x", panel.x)
    (axis.set_xlabel if upright else axis.set_ylabel)(_short(scene.unit, 24))
    axis.grid(alpha=0.25)
