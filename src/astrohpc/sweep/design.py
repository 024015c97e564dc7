"""Designs: from axes or a table to a list of planets, always the same list for the same words."""

import csv
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.files import canonical_json
from astrohpc.planet import PARAMETERS, Planet, to_si
from astrohpc.settings import suggest

MOST_PLANETS = 1_000_000  # in one sweep; ids and tables are made for so many


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One parameter that varies: a range, or a list of values."""

    low: object = None
    high: object = None
    scale: Literal["linear", "log"] = "linear"
    n: int | None = None  # points of a grid
    values: tuple[object, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Design:
    """Which planets a sweep is made of."""

    name: str
    design: Literal["sobol", "lhs", "grid", "table"]
    description: str = ""
    n: int | None = None
    seed: int = 0
    axes: Mapping[str, Axis] = field(default_factory=dict)
    fixed: Mapping[str, object] = field(default_factory=dict)
    file: str | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        drawn = self.design in ("sobol", "lhs")
        if drawn and (self.n is None or self.n < 1):
            raise ConfigError(
                f"n: a {self.design} design needs a number of planets; write for example n: 64."
            )
        if self.seed < 0:
            raise ConfigError(f"seed: {self.seed} is below 0; write 0 or a positive whole number.")
        if self._size() > MOST_PLANETS:
            raise ConfigError(
                f"{'n' if drawn else 'axes'}: this design has more than {MOST_PLANETS} planets; "
                "write fewer, and make several sweeps."
            )
        if not drawn and self.n is not None:
            raise ConfigError(
                f"n: a {self.design} design has as many planets as it lists; remove n."
            )
        if self.design == "table" and self.file is None:
            raise ConfigError(
                "file: where is the table of planets? Write for example sweep.file=planets.csv."
            )
        if self.design != "table" and self.file is not None:
            raise ConfigError(
                f"file: a {self.design} design reads no table; remove file, or use sweep=table."
            )
        if self.design != "table" and not self.axes:
            raise ConfigError("axes: nothing varies; name at least one parameter.")
        known = [*PARAMETERS, "tidally_locked"]
        for group, names in (("axes", self.axes), ("fixed", self.fixed)):
            for name in names:
                if name not in known:
                    raise ConfigError(
                        f"{group}.{name}: there is no such parameter{suggest(name, known)}"
                    )
        if self.design == "table" and self.axes:
            name = next(iter(self.axes))
            raise ConfigError(
                f"axes.{name}: a table lists its planets, so that nothing else varies; remove axes, "
                f"or make {name} a column."
            )
        for name in set(self.axes) & set(self.fixed):
            raise ConfigError(f"fixed.{name}: it is an axis too; keep one of the two.")
        if drawn:
            for name, axis in self.axes.items():
                if axis.values is not None or axis.n is not None or name == "tidally_locked":
                    raise ConfigError(
                        f"axes.{name}: a {self.design} design draws from ranges; write low and high."
                    )

    def _size(self) -> int:
        """How many planets there will be, where that is known before they are made."""
        if self.design == "grid":
            axes = self.axes.values()
            return math.prod(
                axis.n or 1 if axis.values is None else len(axis.values) for axis in axes
            )
        return self.n or 0


def _check_name(name: str) -> None:
    good = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    if not name or not set(name) <= good or name[0] in ".-" or len(name) > 60:
        raise ConfigError(
            f"name: {name!r} cannot name a folder and a job; use up to 60 letters, digits, '.', '_' and '-'."
        )


@dataclass(frozen=True)
class Draw:
    """A planet of a design, with the name that its table gave it."""

    planet: Planet
    label: str = ""


def draw(design: Design, blocks: Sequence[int] = ()) -> list[Draw]:
    """Make the planets of ``design``.

    ``blocks`` are the sizes in which a drawn design has grown, (1000, 200) after an extension by 200.
    A Sobol sequence is the same however it grew. A Latin hypercube cannot be extended and stay one:
    each block is a hypercube of its own, so that earlier planets stay what they were.
    """
    for name, value in design.fixed.items():
        try:
            _fixed(name, value)
        except ConfigError as error:
            raise ConfigError(f"sweep.fixed.{error}") from error
    if design.design == "table":
        return _table(design)
    if design.design == "grid":
        points = itertools.product(
            *(_grid_values(name, axis) for name, axis in design.axes.items())
        )
        return [
            Draw(_planet(design, dict(zip(design.axes, point, strict=True)))) for point in points
        ]
    sizes = list(blocks) or [design.n or 0]
    if design.design == "sobol":
        return _drawn(design, sum(sizes), _sobol(design))
    draws: list[Draw] = []
    for size in sizes:
        draws += _drawn(design, size, _latin_hypercube(design, start=len(draws)))
    return draws


# ------------------------------------------------------------------------------ drawn designs
Unit = NDArray[np.float64]


def _sobol(design: Design) -> Callable[[int, int], Unit]:
    from scipy.stats import qmc  # noqa: PLC0415 - 0.7 s, needed only when a sweep is new

    def points(first: int, count: int) -> Unit:
        sampler = qmc.Sobol(len(design.axes), scramble=True, rng=np.random.default_rng(design.seed))
        whole = 1 << max(
            0, (first + count - 1).bit_length()
        )  # powers of two: scipy warns otherwise
        return np.asarray(sampler.random(whole)[first : first + count])

    return points


def _latin_hypercube(design: Design, start: int) -> Callable[[int, int], Unit]:
    from scipy.stats import qmc  # noqa: PLC0415 - 0.7 s, needed only when a sweep is new

    def points(first: int, count: int) -> Unit:
        rng = np.random.default_rng([design.seed, start, first])
        return np.asarray(qmc.LatinHypercube(len(design.axes), rng=rng).random(count))

    return points


def _drawn(design: Design, count: int, points: Callable[[int, int], Unit]) -> list[Draw]:
    """Draw until ``count`` planets are possible; corners of a box may hold impossible ones.

    ThousandWorlds' own box reaches CO2 + CH4 > 1, for example. The sequence goes on past such points, so
    that the planets before them do not change.
    """
    scales = {name: _range(name, axis) for name, axis in design.axes.items()}
    draws: list[Draw] = []
    first = 0
    problem: ConfigError | None = None
    while len(draws) < count:
        missing = count - len(draws)
        for row in points(first, missing):
            values = {
                name: scale(float(u)) for (name, scale), u in zip(scales.items(), row, strict=True)
            }
            try:
                draws.append(Draw(_planet(design, values)))
            except ConfigError as error:
                problem = error
        first += missing
        if not draws and problem is not None and first >= 8:
            raise ConfigError(f"sweep: none of the first {first} planets is possible; {problem}")
        if first > 20 * count + 64:
            raise ConfigError(
                f"axes: fewer than one in twenty planets of this domain is possible; narrow it. "
                f"The last one failed so: {problem}"
            )
    return draws


def _range(name: str, axis: Axis) -> Callable[[float], float]:
    if axis.low is None or axis.high is None:
        raise ConfigError(
            f"sweep.axes.{name}: a range needs both low and high; write them with their units."
        )
    low, high = _end(name, "low", axis.low), _end(name, "high", axis.high)
    if not low < high:
        raise ConfigError(
            f"sweep.axes.{name}: low ({axis.low}) must be below high ({axis.high}); exchange them."
        )
    if axis.scale == "log":
        if low <= 0:
            raise ConfigError(
                f"sweep.axes.{name}: a log axis cannot begin at {axis.low}; write a low above 0."
            )
        return lambda u: low * (high / low) ** u
    return lambda u: low + (high - low) * u


def _end(name: str, end: str, value: object) -> float:
    try:
        return to_si(name, value)
    except ConfigError as error:
        raise ConfigError(f"sweep.axes.{name}.{end}: {error}") from error


# ------------------------------------------------------------------------------ grid and table
def _grid_values(name: str, axis: Axis) -> list[object]:
    if axis.values is not None:
        values = [_fixed(name, value) for value in axis.values]
        for i, value in enumerate(values):
            if value in values[:i]:
                raise ConfigError(
                    f"sweep.axes.{name}: {axis.values[i]} stands there twice; remove one of the two."
                )
        return values
    if axis.n is None or axis.n < 2:
        raise ConfigError(
            f"sweep.axes.{name}: a grid needs a list of values, or low, high and n (2 or more)."
        )
    scale = _range(name, axis)
    return [scale(i / (axis.n - 1)) for i in range(axis.n)]


def _table(design: Design) -> list[Draw]:
    path = Path(design.file or "").expanduser()
    names, rows = table_rows(path)
    _check_columns(design, path, names)
    draws: list[Draw] = []
    lines_of: dict[str, int] = {}  # where each planet stands
    for number, (label, values) in enumerate(rows, start=2):
        try:
            draws.append(Draw(_planet(design, values), label))
        except ConfigError as error:
            raise ConfigError(f"file: {path}, planet line {number}: {error}") from error
        before = lines_of.setdefault(canonical_json(asdict(draws[-1].planet)), number)
        if before != number:
            raise ConfigError(
                f"file: {path}, planet lines {before} and {number} are the same planet; remove one."
            )
    return draws


def table_rows(path: Path) -> tuple[list[str], list[tuple[str, dict[str, object]]]]:
    """The columns of a table of planets, and of each line its name and its values in SI."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"file: {path} cannot be read ({error}); name a CSV or TSV file."
        ) from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) < 2:
        raise ConfigError(
            f"file: {path} has no planets; write a header line and a line for each planet."
        )
    try:
        rows = list(csv.reader(lines, delimiter="\t" if "\t" in lines[0] else ","))
    except csv.Error as error:
        raise ConfigError(
            f"file: {path} is not a table ({error}); is a quotation mark open?"
        ) from error
    header = [_column(path, cell) for cell in rows[0]]
    names = [name for name, _ in header]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ConfigError(f"file: {path} has two columns {name!r}; remove one of them.")
    found: list[tuple[str, dict[str, object]]] = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise ConfigError(
                f"file: {path}, planet line {number}: {len(row)} cells under {len(header)} columns; "
                "complete the line."
            )
        label, values = "", dict[str, object]()
        try:
            for (name, unit), cell in zip(header, row, strict=True):
                if name == "name":
                    label = cell.strip()
                elif cell.strip():
                    values[name] = _cell(name, unit, cell.strip())
        except ConfigError as error:
            raise ConfigError(f"file: {path}, planet line {number}: {error}") from error
        found.append((label, values))
    return names, found


def _check_columns(design: Design, path: Path, names: Sequence[str]) -> None:
    """Refuse what says one thing twice: the second word would go unheard."""
    for name in names:
        if name in design.fixed:
            raise ConfigError(
                f"sweep.fixed.{name}: {path} has a column of that name; keep one of the two."
            )


def _column(path: Path, cell: str) -> tuple[str, str]:
    """Name and unit of a header cell: ``radius [R_earth]``, ``co2``, ``name``."""
    name, _, unit = cell.strip().partition("[")
    name, unit = name.strip(), unit.rstrip("] ").strip()
    if name not in (*PARAMETERS, "tidally_locked", "name"):
        known = [*PARAMETERS, "tidally_locked", "name"]
        raise ConfigError(f"file: {path}: there is no parameter {name!r}{suggest(name, known)}")
    return name, unit


def _cell(name: str, unit: str, cell: str) -> object:
    if name == "tidally_locked":
        if cell.lower() not in ("true", "false"):
            raise ConfigError(
                f"tidally_locked: {cell!r} is neither true nor false; write one of them."
            )
        return cell.lower() == "true"
    return to_si(name, f"{cell} {unit}".strip() if unit else cell)


def _planet(design: Design, values: Mapping[str, object]) -> Planet:
    """Join what varies (SI already) with what is fixed (as people write it)."""
    merged = {
        name: _fixed(name, value) for name, value in design.fixed.items() if name not in values
    }
    merged |= values
    locked = merged.pop("tidally_locked", False)
    if not isinstance(locked, bool):
        raise ConfigError(
            f"tidally_locked: {locked!r} is neither true nor false; write one of them."
        )
    numbers = {
        name: float(value) for name, value in merged.items() if isinstance(value, int | float)
    }
    return Planet.from_si(numbers, tidally_locked=locked)


def _fixed(name: str, value: object) -> object:
    return value if name == "tidally_locked" else to_si(name, value)
