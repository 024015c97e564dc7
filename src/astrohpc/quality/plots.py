"""A picture of how one law is kept: over time by each member, and the members' worst as a distribution."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from astrohpc.quality.report import number
from astrohpc.quality.results import Kept, LawAbout, MemberResult
from astrohpc.store.pictures import png

_WIDTH_IN, _HEIGHT_IN, _DPI = 4.6, 2.9, 80
_NAMED = 8  # members that have a colour and a name; of more all are alike
_FLOOR = 1e-9  # of a tolerance; what is kept better is drawn here
_BEYOND = "#c22"


def draw_law(law: LawAbout, found: Sequence[tuple[MemberResult, Kept]], mark: str) -> bytes:
    """The picture as PNG; ``mark`` is written over it. Call it within ``drawing()``."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second

    over_time = any(len(kept.curve) > 1 for _, kept in found)
    many = len(found) > 1
    panels = [
        one for one, there in ((_curves, over_time), (_spread, many or not over_time)) if there
    ]
    figure: Any = Figure(figsize=(_WIDTH_IN * len(panels), _HEIGHT_IN), dpi=_DPI)
    for k, panel in enumerate(panels):
        box = 1.0 / len(panels)
        axis = figure.add_axes((k * box + 0.15 * box, 0.17, 0.80 * box, 0.60))
        panel(axis, found)
    unit = f" {law.unit}" if law.unit else ""
    worst = max(found, key=lambda one: np.inf if one[1].share is None else one[1].share)[1]
    figure.text(0.01, 0.97, f"{law.name}: {law.title}", va="top", fontsize=10)
    figure.text(
        0.01, 0.88, f"worst {number(worst.residual)}{unit}; tolerance {law.tolerance}", va="top"
    )
    if mark:
        figure.text(0.99, 0.97, mark, va="top", ha="right", color=_BEYOND, weight="bold")
    return png(figure)


def _curves(axis: Any, found: Sequence[tuple[MemberResult, Kept]]) -> None:
    """|residual| over tolerance against time, a line a member; a gap is no number."""
    few = len(found) <= _NAMED
    for member, kept in found:
        shares = [np.nan if one is None else max(one, _FLOOR) for one in kept.curve]
        look = {"lw": 1.0} if few else {"lw": 0.5, "color": "#357", "alpha": 0.4}
        label = (member.name[:16] or None) if few and len(found) > 1 else None
        points = {"marker": ".", "ms": 4} if len(shares) < 60 and few else {}
        axis.plot(kept.curve_at, shares, label=label, **look, **points)
    if few and len(found) > 1:
        axis.legend(fontsize=6, frameon=False, ncols=2)
    _tolerance(axis.axhline, axis.set_yscale)
    axis.set_xlabel("number of the time")
    axis.set_ylabel("|residual| / tolerance")
    axis.grid(alpha=0.25)


def _spread(axis: Any, found: Sequence[tuple[MemberResult, Kept]]) -> None:
    """How many members keep the law how well at their worst time."""
    shares = np.array([np.nan if k.share is None else max(k.share, _FLOOR) for _, k in found])
    known = shares[np.isfinite(shares)]
    low, high = (known.min(), known.max()) if len(known) else (_FLOOR, 1.0)
    edges = np.logspace(np.log10(min(low, 1.0) / 1.5), np.log10(max(high, 1.0) * 1.5), 31)
    axis.hist(known, bins=edges, color="#357")
    lost = len(shares) - len(known)
    if lost:
        axis.set_title(f"{lost} of {len(shares)} members: no number", color=_BEYOND)
    _tolerance(axis.axvline, axis.set_xscale)
    axis.set_xlabel("worst |residual| / tolerance")
    axis.set_ylabel("members")
    axis.grid(alpha=0.25)


def _tolerance(line: Any, scale: Any) -> None:
    scale("log")
    line(1.0, color=_BEYOND, lw=1.2)
