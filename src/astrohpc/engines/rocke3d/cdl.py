"""The templates in a raw ``acc`` file that say what each of its diagnostics is called and measures.

ModelE stores one text per category, in netCDF's own text notation: dimensions, variables with units
and long names, and the values of coordinates. We read what we need of it and start no ``ncgen``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError

_DIMENSION = re.compile(r"^\s*(\w+)\s*=\s*(\d+)\s*;")
_VARIABLE = re.compile(r"^\s*(?:float|double|int|short|char)\s+([^\s(;]+)\s*(?:\(([^)]*)\))?\s*;")
_ATTRIBUTE = re.compile(r'^\s*([^\s:]+):(\w+)\s*=\s*"(.*)"\s*;')
_VALUES = re.compile(r"^\s*(\w+)\s*=(.*)$")


@dataclass(frozen=True)
class Declared:
    """One variable as its category's template declares it."""

    dims: tuple[str, ...]
    units: str
    long_name: str


@dataclass(frozen=True)
class Template:
    """What a category holds: its dimensions, its variables, and the values of its coordinates."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    variables: Mapping[str, Declared] = field(default_factory=dict)
    coordinates: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def parse_template(lines: Iterable[str]) -> Template:
    """Read a template; text values, such as names of surface types, are left out.

    ConfigError, for the caller to name the file, where a coordinate is no row of numbers.
    """
    sizes: dict[str, int] = {}
    dims: dict[str, tuple[str, ...]] = {}
    notes: dict[tuple[str, str], str] = {}
    data: list[str] = []
    section = ""
    for line in lines:
        word = line.strip()
        if word in ("dimensions:", "variables:", "data:"):
            section = word
        elif section == "dimensions:" and (found := _DIMENSION.match(line)):
            sizes[found[1]] = int(found[2])
        elif section == "variables:" and (found := _ATTRIBUTE.match(line)):
            notes[found[1], found[2]] = found[3].strip()
        elif section == "variables:" and (found := _VARIABLE.match(line)):
            dims[found[1]] = tuple((found[2] or "").replace(" ", "").split(",")) if found[2] else ()
        elif section == "data:":
            data.append(line)
    variables = {
        name: Declared(axes, notes.get((name, "units"), ""), notes.get((name, "long_name"), ""))
        for name, axes in dims.items()
    }
    return Template(sizes, variables, _coordinates(data))


def _coordinates(lines: list[str]) -> dict[str, NDArray[np.float64]]:
    values: dict[str, NDArray[np.float64]] = {}
    for statement in "\n".join(lines).split(";"):
        found = _VALUES.match(statement.strip().replace("\n", " "))
        if not found or '"' in found[2]:
            continue
        numbers = found[2].replace(",", " ").split()
        try:
            values[found[1]] = np.array([float(number) for number in numbers])
        except ValueError as error:
            raise ConfigError(
                f"the coordinate {found[1]!r} of its template is not a row of numbers ({error})"
            ) from error
    return values
