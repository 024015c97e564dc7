"""Tables of planets as columns of numbers, out of NetCDF with one dimension or out of text.

What is an input is known by its name, or by being a coordinate; everything else was measured. Text has a
header, and units in it (``rotation_period [d]``) or in a line below it.
"""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astrohpc.climates.climates import Array
from astrohpc.errors import ConfigError
from astrohpc.planet import PARAMETERS, to_si

TEXT = (".csv", ".tsv", ".txt")
NETCDF = (".nc", ".nc4", ".cdf")
# As others call our parameters.
_SYNONYMS = {
    "longitude_at_periapse": "longitude_of_periapse",
    "longitude_at_perihelion": "longitude_of_periapse",
    "longitude_of_perihelion": "longitude_of_periapse",
    "longitude_of_periastron": "longitude_of_periapse",
}
_NAMES = ("name", "planet", "case", "label", "member", "id")
SI = "SI"  # the unit of a column whose cells had their own


@dataclass(frozen=True, eq=False)
class Column:
    """One column, as written."""

    name: str
    unit: str
    long_name: str
    values: Array


@dataclass(frozen=True, eq=False)
class Columns:
    """A table: who the planets are, what they are told by, and what was measured."""

    names: tuple[str, ...]
    inputs: tuple[Column, ...]
    others: tuple[Column, ...]


def is_table(path: Path) -> bool:
    """Whether a path is called like a table that we read."""
    return path.suffix.lower() in (*TEXT, *NETCDF)


def read_columns(path: Path) -> Columns:
    """Read a table; ConfigError where it is none."""
    if path.suffix.lower() in NETCDF:
        return _netcdf(path)
    if path.suffix.lower() in TEXT:
        return _text(path)
    raise ConfigError(
        f"{path}: is no table by its name; name a file that ends in {', '.join((*TEXT, *NETCDF))}."
    )


def plain_name(written: str) -> str:
    """A name without blanks, and ours where others have another word."""
    name = re.sub(r"\W+", "_", written.strip()).strip("_")
    lower = name.lower()
    known = _SYNONYMS.get(lower, lower)
    return known if known in PARAMETERS else name


# ----------------------------------------------------------------------------- NetCDF
def _netcdf(path: Path) -> Columns:
    import netCDF4  # noqa: PLC0415 - text needs none

    try:
        with netCDF4.Dataset(path) as file:
            return _of_dataset(path, file)
    except OSError as error:
        raise ConfigError(
            f"{path}: it cannot be read as NetCDF ({error.strerror or error}); copy it again."
        ) from error


def _of_dataset(path: Path, file: Any) -> Columns:
    dims = {one.dimensions for one in file.variables.values() if one.dimensions}
    if len(dims) != 1 or len(next(iter(dims))) != 1:
        raise ConfigError(
            f"{path}: its variables are on {len(dims)} sets of dimensions, and a table of planets has one "
            "dimension, the planets; convert files with maps by 'launch convert'."
        )
    (dim,) = next(iter(dims))
    told = {
        name
        for one in file.variables.values()
        for name in str(getattr(one, "coordinates", "")).split()
    }
    names = [f"{dim} {i}" for i in range(len(file.dimensions[dim]))]
    inputs: list[Column] = []
    others: list[Column] = []
    for written, one in file.variables.items():
        if not one.dimensions:
            continue
        if one.dtype is str or one.dtype.kind not in "iuf":
            names = [str(value) for value in one[:]]
            continue
        if written == dim:
            names = [f"{dim} {value:g}" for value in np.ma.filled(one[:], -1)]
            continue
        name = plain_name(written)
        column = Column(
            name,
            str(getattr(one, "units", "")).strip(),
            str(getattr(one, "long_name", written)),
            np.ma.filled(np.ma.asarray(one[:], dtype=np.float64), math.nan),
        )
        (inputs if written in told or name in PARAMETERS else others).append(column)
    return Columns(tuple(names), tuple(inputs), tuple(others))


# ----------------------------------------------------------------------------- text
def _text(path: Path) -> Columns:
    header, units, rows = _cells(path)
    names = [f"planet {i + 1}" for i in range(len(rows))]
    inputs: list[Column] = []
    others: list[Column] = []
    for i, written in enumerate(header):
        label, _, unit = written.partition("[")
        unit = unit.rstrip("] ").strip() or units[i]
        name = plain_name(label)
        cells = [row[i].strip() for row in rows]
        if name.lower() in _NAMES:
            names = cells
        elif name in PARAMETERS:
            inputs.append(_input(path, name, unit, cells))
        else:
            values = [_number(path, name, number, cell) for number, cell in enumerate(cells, 1)]
            others.append(Column(name, unit, label.strip(), np.array(values)))
    seen = [one.name for one in (*inputs, *others)]
    for name in seen:
        if seen.count(name) > 1:
            raise ConfigError(f"{path}: two columns are called {name!r}; remove one of them.")
    return Columns(tuple(names), tuple(inputs), tuple(others))


def _cells(path: Path) -> tuple[list[str], list[str], list[list[str]]]:
    """Header, units (empty where there is no such line) and the rest."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        tabs = bool(lines) and "\t" in lines[0]
        rows = list(csv.reader(lines, delimiter="\t" if tabs else ","))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"{path}: it cannot be read as a table ({error}); name a CSV or TSV file."
        ) from error
    header = rows[0] if rows else []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise ConfigError(
                f"{path}, line {number}: {len(row)} cells under {len(header)} columns; complete the line."
            )
    units = [""] * len(header)
    body = rows[1:]
    if len(body) > 1 and _are_units(header, body[0]):
        units, body = [cell.strip() for cell in body[0]], body[1:]
    if not body:
        raise ConfigError(f"{path}: it has no planets; write a header line and a line for each.")
    return header, units, body


def _are_units(header: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether a line has units: words, of which some may be 1 or nothing.

    Digits that units have do not make a number of them: ``m^2``, ``kg m-2``, ``log2(d)``, ``W/m2``.
    """
    own = [
        re.sub(r"log(2|10)|(?<=[A-Za-z])[\^*]*-?\d+", "", cell.strip())
        for name, cell in zip(header, cells, strict=True)
        if plain_name(name).lower() not in _NAMES
    ]
    words = [one for one in own if one not in ("", "1")]
    return bool(words) and not any(c.isdigit() for one in words for c in one)


def _input(path: Path, name: str, unit: str, cells: Sequence[str]) -> Column:
    """A column of plain numbers, or of quantities with their own units, as ``6.1 d``."""
    long_name = PARAMETERS[name].meaning
    try:
        values = [float(cell) if cell else math.nan for cell in cells]
    except ValueError:
        try:
            values = [to_si(name, cell) if cell else math.nan for cell in cells]
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
        unit = SI
    return Column(name, unit, long_name, np.array(values))


def _number(path: Path, name: str, number: int, cell: str) -> float:
    try:
        return float(cell) if cell else math.nan
    except ValueError:
        raise ConfigError(
            f"{path}: {cell!r} in column {name!r} of planet {number} is no number; mend it, or remove the "
            "column."
        ) from None
