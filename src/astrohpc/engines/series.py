"""``series.csv``: a member's way to equilibrium, a line a model year or leg, as every engine keeps it."""

import math
from collections.abc import Sequence
from pathlib import Path

from astrohpc.files import write_atomic

SERIES = "series.csv"
COLUMNS = (
    "model_year",
    "surface_temperature_k",
    "toa_balance_wm2",
    "planetary_albedo",
    "ice_fraction",
    "model_years_per_day",
)


def append_row(folder: Path, row: Sequence[float]) -> None:
    """Add a row to the series, and its heading to an empty one."""
    with (folder / SERIES).open("a") as file:
        if file.tell() == 0:
            file.write(",".join(COLUMNS) + "\n")
        file.write(_line(row))


def read_rows(folder: Path) -> list[tuple[float, ...]]:
    """Rows of the series; a line that a crash cut short is not one."""
    try:
        lines = (folder / SERIES).read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    rows = []
    for line in lines[1:]:
        try:
            row = tuple(float(word) for word in line.split(","))
        except ValueError:
            continue
        if len(row) == len(COLUMNS) and line.endswith("\n") and all(map(math.isfinite, row)):
            rows.append(row)
    return rows


def trim_rows(folder: Path, last_model_year: float) -> None:
    """Drop the rows after a restart, which the run is about to write again."""
    if not (folder / SERIES).exists():
        return
    kept = [row for row in read_rows(folder) if row[0] <= last_model_year * (1.0 + 1e-12)]
    head = ",".join(COLUMNS) + "\n"
    write_atomic(folder / SERIES, head + "".join(map(_line, kept)))


def _line(row: Sequence[float]) -> str:
    return ",".join(map(repr, map(float, row))) + "\n"
