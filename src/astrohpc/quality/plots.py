"""A picture of how one law is kept: over time by each member, and the members' worst as a distribution."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from astrohpc.quality.report import number, worst_of
from astrohpc.quality.results import Kept, LawAbout, MemberResult
from astrohpc.store.pictures import logarithmic, png

_WIDTH_IN, _HEIGHT_IN, _DPI = 4.6, 2.9, 80
_NAMED = 8  # members that have a colour and a name; of more all are alike
_FLOOR = 1e-9  # of a tolerance; what is kept better is drawn here
_BEYOND, _PLAIN = "#c22", "#357"


def draw_law(law: LawAbout, found: Sequence[tuple[MemberResult, Kept]], mark: str) -> bytes:
    """The picture as PNG; ``mark`` is written over it. Call it within ``drawing()``.

    Members by whom the law was judged are drawn by their share of the tolerance; where it was judged
    by none, the values themselves are.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second

    judged = [one for one in found if one[1].judged]
    shown = judged or found
    panels = []
    if any(len(kept.curve) > 1 for _, kept in shown):
        panels.append(_curves)
    if len(shown) > 1 or not panels:
        panels.append(_spread)
    figure: Any = Figure(figsize=(_WIDTH_IN * len(panels), _HEIGHT_IN), dpi=_DPI)
    for k, panel in enumerate(panels):
        box = 1.0 / len(panels)
        axis = figure.add_axes((k * box + 0.17 * box, 0.17, 0.78 * box, 0.60))
        panel(axis, shown, "" if judged else law.unit)
    _, worst = worst_of(found)
    told = "" if worst.residual is None else f"worst {number(worst.residual)} {law.unit}; "
    limit = f"tolerance {law.tolerance}" if judged else "reported, not judged"
    figure.text(0.01, 0.97, f"{law.name}: {law.title}", va="top", fontsize=10)
    figure.text(0.01, 0.88, told + limit, va="top")
    if mark:
        figure.text(0.99, 0.88, mark, va="top", ha="right", color=_BEYOND, fontsize=10)
    return png(figure)


def _curves(axis: Any, found: Sequence[tuple[MemberResult, Kept]], unit: str) -> None:
    """|residual| over tolerance, or a value in its unit, against time; a line a member."""
    few = len(found) <= _NAMED
    for member, kept in found:
        curve = [_drawn(one, unit) for one in kept.curve]
        look: dict[str, Any] = {"lw": 1.0} if few else {"lw": 0.5, "color": _PLAIN, "alpha": 0.4}
        label = (member.name[:16] or None) if few and len(found) > 1 else None
        points: dict[str, Any] = {"marker": ".", "ms": 4} if len(curve) < 60 and few else {}
        axis.plot(kept.curve_at, curve, label=label, **look, **points)
    if few and len(found) > 1:
        axis.legend(fontsize=6, frameon=False, ncols=2)
    if not unit:
        logarithmic(axis, "y")
        axis.axhline(1.0, color=_BEYOND, lw=1.2)
    _whole_numbers(axis.xaxis)
    axis.set_xlabel("number of the time")
    axis.set_ylabel(unit or "|residual| / tolerance")
    axis.grid(alpha=0.25)


def _spread(axis: Any, found: Sequence[tuple[MemberResult, Kept]], unit: str) -> None:
    """How many members have which worst share of the tolerance, or which mean value."""
    numbers = np.array([_drawn(k.mean if unit else k.share, unit) for _, k in found])
    known = numbers[np.isfinite(numbers)]
    if unit:
        axis.hist(known, bins=30, color=_PLAIN)
    else:
        low, high = (known.min(), known.max()) if len(known) else (_FLOOR, 1.0)
        ends = np.log10(min(low, 1.0) / 1.5), np.log10(max(high, 1.0) * 1.5)
        axis.hist(known, bins=np.logspace(*ends, 31), color=_PLAIN)
        logarithmic(axis, "x")
        axis.axvline(1.0, color=_BEYOND, lw=1.2)
    lost = len(numbers) - len(known)
    if lost:
        axis.set_title(f"{lost} of {len(numbers)} members: no number", color=_BEYOND)
    axis.set_xlabel(f"mean [{unit}]" if unit else "worst |residual| / tolerance")
    _whole_numbers(axis.yaxis)
    axis.set_ylabel("members")
    axis.grid(alpha=0.25)


def _whole_numbers(of: Any) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    of.set_major_locator(MaxNLocator(5, integer=True))


def _drawn(number: float | None, unit: str) -> float:
    """What is kept to rounding is drawn at the floor of a logarithmic axis."""
    if number is None:
        return float("nan")
    return number if unit else max(number, _FLOOR)
