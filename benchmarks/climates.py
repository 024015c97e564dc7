"""The climates that surrogates learn from: which planets were run, which settled, and what that took.

    python benchmarks/climates.py runs/exoplasim-t21 --out benchmarks/results/exoplasim-t21.tsv \
        --docs docs/climates.md --picture docs/images/climates.png

It runs nothing: the sweep's folder tells. Kept are one row a member, with its parameters, its spin-up and
whether it settled, and the tables and the picture of the page.
"""

import argparse
import csv
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import record

from astrohpc.sweep import config as configs
from astrohpc.sweep.cost import SweepCost, sweep_cost
from astrohpc.sweep.folder import SweepFolder

KEPT = (
    *("index", "id", "status", "stellar_flux_wm2", "co2_fraction", "surface_pressure_pa"),
    *("rotation_period_s", "surface_temperature_k", "planetary_albedo", "ice_fraction"),
    *("toa_balance_wm2", "converged", "model_years", "cpu_s"),
)
Row = dict[str, str]


def main() -> None:
    """Read the sweep, and write what is asked for."""
    given = _arguments()
    sweep = SweepFolder(given.sweep.absolute())
    text = (sweep.reports / "worlds.tsv").read_text(encoding="utf-8")
    comment, _, table = text.partition("\n")
    rows = list(csv.DictReader(table.splitlines(), delimiter="\t"))
    page = _page(sweep, sweep_cost(sweep), rows, comment.lstrip("# "))
    print(page)
    if given.out:
        write_rows(given.out, rows, comment)
    if given.docs:
        record.into(given.docs, page)
    if given.picture:
        draw(given.picture, rows)


def _page(sweep: SweepFolder, cost: SweepCost, rows: list[Row], model: str) -> str:
    config = configs.parse(configs.load(sweep.config))
    done = [row for row in rows if row["status"] == "done"]
    settled = [row for row in done if row["converged"] == "true"]
    made = record.provenance("exoplasim")
    lines = [
        f"{model}. {made['date']}, {made['machine']}, ExoPlaSim {made['versions']['exoplasim']}.",
        "",
        "| | |",
        "|---|---|",
        f"| planets asked for | {len(rows)} |",
        f"| run to their end | {len(done)} |",
        f"| settled, and learned from | {len(settled)} |",
        *_spans(settled),
        f"| core-seconds, all attempts | {cost.core_s:,.0f} |",
        f"| processor seconds a settled climate, median | {np.median(_of(settled, 'cpu_s')):.0f} |",
        "",
        "| domain | least | greatest | scale |",
        "|---|---|---|---|",
    ]
    for name, axis in config.sweep.axes.items():
        lines.append(f"| {name} | {axis.low} | {axis.high} | {axis.scale} |")
    lines += [
        "",
        "Which of those run had settled when their model year was over, by mean surface temperature:",
        "",
        "| | run | settled |",
        "|---|---|---|",
    ]
    temperature, known = _of(done, "surface_temperature_k"), [row in settled for row in done]
    edges = [-np.inf, 255.0, 265.0, 275.0, 285.0, np.inf]
    for low, high in itertools.pairwise(edges):
        there = (temperature >= low) & (temperature < high)
        words = f"{low:g}–{high:g} K".replace("-inf–", "below ").replace("–inf K", " K and more")
        lines.append(f"| {words} | {there.sum()} | {int(np.array(known)[there].sum())} |")
    return "\n".join(lines)


def _spans(rows: list[Row]) -> list[str]:
    """Least, median and greatest of what is said of each climate."""
    found = []
    for name, words, digits in (
        ("model_years", "model years to settle", 2),
        ("surface_temperature_k", "mean surface temperature, K", 0),
        ("planetary_albedo", "planetary albedo", 2),
        ("ice_fraction", "share of ice", 2),
        ("toa_balance_wm2", "balance at the top of the atmosphere, W m⁻²", 1),
    ):
        low, middle, high = np.quantile(_of(rows, name), [0.0, 0.5, 1.0])
        found.append(f"| {words} | {low:.{digits}f} … {middle:.{digits}f} … {high:.{digits}f} |")
    return found


def _of(rows: list[Row], name: str) -> Any:
    return np.array([float(row[name]) for row in rows])


def write_rows(path: Path, rows: list[Row], comment: str) -> None:
    """One row a member."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(comment + "\n")
        writer = csv.DictWriter(
            file, KEPT, delimiter="\t", lineterminator="\n", extrasaction="ignore"
        )
        writer.writeheader()
        writer.writerows({name: _short(row[name]) for name in KEPT} for row in rows)


def _short(cell: str) -> str:
    """Seven digits say all of it."""
    try:
        return f"{float(cell):.7g}" if "." in cell or "e" in cell else cell
    except ValueError:
        return cell


def draw(path: Path, rows: list[Row]) -> None:
    """The planets over two of their parameters, coloured by temperature; crosses did not settle."""
    from matplotlib.figure import Figure

    done = [row for row in rows if row["status"] == "done"]
    figure = Figure(figsize=(8.4, 3.2), dpi=100, layout="constrained")
    temperature = _of(done, "surface_temperature_k")
    scale = {"vmin": temperature.min(), "vmax": temperature.max(), "cmap": "inferno"}
    settled = np.array([row["converged"] == "true" for row in done])
    pairs = (
        (("stellar_flux_wm2", 1.0), ("co2_fraction", 1e6)),
        (
            ("rotation_period_s", 1 / 86400),
            ("surface_pressure_pa", 1e-5),
        ),
    )
    words = ("starlight [W m-2]", "CO2 [ppm]"), ("rotation period [d]", "surface pressure [bar]")
    axes = figure.subplots(1, 2)
    for axis, pair, labels in zip(axes, pairs, words, strict=True):
        x, y = (_of(done, name) * factor for name, factor in pair)
        for these, marker in ((settled, "o"), (~settled, "x")):
            drawn = axis.scatter(
                x[these], y[these], c=temperature[these], marker=marker, s=22, **scale
            )
        axis.set(xlabel=labels[0], ylabel=labels[1], yscale="log")
    axes[1].set_xscale("log")
    for axis, ticks in ((axes[1].xaxis, (5, 10, 20, 50)), (axes[1].yaxis, (0.7, 1, 1.4, 2))):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)
    figure.colorbar(drawn, ax=axes, label="mean surface temperature [K]")
    figure.suptitle("ExoPlaSim T21, locked ocean planets; crosses had not settled", fontsize=9)
    figure.savefig(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", type=Path, help="the folder of a sweep of ExoPlaSim")
    parser.add_argument("--out", type=Path, help="keep a row a member")
    parser.add_argument("--docs", type=Path, help="a page whose table is to be replaced")
    parser.add_argument("--picture", type=Path, help="draw the planets")
    return parser.parse_args()


if __name__ == "__main__":
    main()
