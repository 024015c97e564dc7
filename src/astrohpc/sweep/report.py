"""The report of a sweep: a table of worlds, and one plot that shows them all."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from astrohpc.files import temporary_beside, write_atomic
from astrohpc.planet import PARAMETERS, Planet
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.state import State
from astrohpc.sweep.survey import View


def write_report(
    folder: SweepFolder, views: Sequence[View], *, engine: str, source: str
) -> list[Path]:
    """Write ``reports/worlds.tsv`` and ``reports/worlds.png`` from what the members' states say."""
    rows = [_row(view) for view in views]
    folder.reports.mkdir(exist_ok=True)
    table = folder.reports / "worlds.tsv"
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    out.write(f"# {source}\n")
    writer = csv.DictWriter(out, names, delimiter="\t", lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(table, out.getvalue())
    finished = [row for row in rows if isinstance(row.get("surface_temperature_k"), float)]
    if not finished:
        return [table]
    plot = folder.reports / "worlds.png"
    with temporary_beside(plot) as temporary:
        _plot(
            temporary,
            finished,
            f"{folder.path.name}: {len(finished)} planets, engine {engine}",
            source,
        )
    return [table, plot]


def _row(view: View) -> dict[str, Any]:
    row: dict[str, Any] = {
        "index": view.member.index,
        "id": view.member.id,
        "label": view.member.label,
        "branch_of": view.member.branch_of,
        "status": view.status,
    }
    row |= {f.name: getattr(view.member.planet, f.name) for f in fields(Planet)}
    if isinstance(view.state, State):
        for name, value in view.state.summary.items():  # an engine may use a word that is ours
            row[f"summary_{name}" if name in row else name] = value
    return row


def varying(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Planet parameters that differ between rows."""
    names = [p.field for name, p in PARAMETERS.items() if name != "mass"]
    return [n for n in names if len({row[n] for row in rows if row[n] is not None}) > 1]


def _number(value: object) -> float:
    return float(value) if isinstance(value, float | int) else math.nan


_SHOWN = {parameter.field: (name, parameter) for name, parameter in PARAMETERS.items()}


def _plot(path: Path, rows: Sequence[dict[str, Any]], title: str, source: str) -> None:
    """Surface temperature against each parameter that varies, coloured by ice."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second that jobs and repeated commands need not pay

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    names = varying(rows) or ["stellar_flux_wm2"]
    columns = min(4, len(names))
    lines = math.ceil(len(names) / columns)
    figure, axes = plt.subplots(
        lines,
        columns,
        figsize=(3.2 * columns + 1, 2.8 * lines + 0.5),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    temps = [row["surface_temperature_k"] for row in rows]
    ice = [_number(row.get("ice_fraction")) for row in rows]
    icy = not all(map(math.isnan, ice))
    settled = [row.get("converged") != "false" for row in rows]
    for axis, name in zip(axes.flat, names, strict=False):
        words, parameter = _SHOWN[name]
        factor, unit = parameter.shown_factor, parameter.shown_unit
        values = [math.nan if row[name] is None else factor * row[name] for row in rows]
        for marker, wanted in (("o", True), ("x", False)):
            of = [i for i, one in enumerate(settled) if one == wanted]
            look: dict[str, Any] = {"marker": marker, "s": 12, "lw": 0 if wanted else 1}
            if icy:  # without a number as its colour a point is not drawn
                look |= {"c": [ice[i] for i in of], "cmap": "coolwarm_r", "vmin": 0, "vmax": 1}
            axis.scatter([values[i] for i in of], [temps[i] for i in of], **look)
        axis.set_xlabel(words.replace("_", " ") + (f" [{unit}]" if unit else ""))
        if min(values) > 0 and max(values) / min(values) > 30:
            axis.set_xscale("log")
        axis.grid(alpha=0.25)
    for axis in list(axes.flat)[len(names) :]:
        axis.set_visible(False)
    for row_of_axes in axes:
        row_of_axes[0].set_ylabel("surface temperature [K]")
    if icy:
        points = axes.flat[0].collections[0]
        figure.colorbar(points, ax=axes, label="ice-covered fraction", shrink=0.8)
    crosses = "" if all(settled) else "; crosses: not in equilibrium"
    figure.suptitle(f"{title} ({source}){crosses}", fontsize=10)
    figure.savefig(path, format="png", dpi=110)
    plt.close(figure)
