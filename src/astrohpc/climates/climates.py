"""Mean climates of many planets as one table: a row a planet, a column a value of a variable.

Every method that predicts a climate, and every measure of how well, works on such rows. Humidity stands
as its decimal logarithm, in which errors are factors, and is called ``log_hus`` so that nobody takes one
for the other.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.files import digest
from astrohpc.planet import Planet
from astrohpc.settings import suggest

Array = NDArray[np.float64]
Rows = NDArray[np.float32]
Indices = NDArray[np.int64]

_MANY_TIMES = 10.0  # a positive input that spans more is taken as its logarithm
_TURN_RAD = {"longitude_of_periapse": 2 * np.pi}


@dataclass(frozen=True)
class Variable:
    """One predicted variable. ``of`` is its name in the data; the logarithm of that, if ``logarithm``."""

    name: str
    long_name: str
    unit: str
    shape: tuple[int, ...]  # levels first, where it has them; () for one number a planet
    levels: bool
    of: str
    logarithm: bool = False

    @property
    def size(self) -> int:
        """How many values a planet has of it."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def label(self) -> str:
        """Its name with its unit."""
        return f"{self.name} [{self.unit}]" if self.unit not in ("", "1") else self.name


@dataclass(frozen=True)
class Input:
    """One number that a planet is told by; ``low`` and ``high`` bound the domain that was sampled."""

    name: str
    unit: str
    low: float
    high: float
    logarithm: bool  # whether it spans so much that its logarithm is what matters
    period: float = 0.0  # after which an angle is the same again; 0: no angle

    @classmethod
    def of(cls, name: str, unit: str, values: Array) -> Self:
        """An input that was sampled at these values, in SI."""
        low, high = float(values.min()), float(values.max())
        wide = low > 0 and high > _MANY_TIMES * low
        return cls(name, unit, low, high, wide, _TURN_RAD.get(name, 0.0))

    def scaled(self, values: Array) -> Array:
        """0 at the low end of the domain and 1 at the high end; beyond where it lies beyond."""
        low, high = self.low, self.high
        if self.logarithm:
            values, low, high = np.log(values), float(np.log(low)), float(np.log(high))
        return (values - low) / (high - low)


@dataclass(frozen=True, eq=False)
class Climates:
    """Planets, what they were told by, and their climates; ``excluded`` says who was left out and why."""

    inputs: tuple[Input, ...]
    params: Array  # [planet, input], in the inputs' units
    variables: tuple[Variable, ...]
    values: Rows  # [planet, value]; the variables one after another
    weights: Array  # [value]: area and mass, with sum one within a variable
    names: tuple[str, ...]
    planets: tuple[Planet, ...]  # empty where the data are no planets of ours
    axes: Mapping[str, Array]  # lat, lon (degrees), edges a (Pa) and b, as far as there are such
    excluded: tuple[tuple[str, str], ...]
    constant: tuple[tuple[str, str], ...]  # variables that were left out, and why
    source: str
    mark: str  # "synthetic", or nothing; stands in every table and plot
    notes: Mapping[
        str, Array
    ]  # numbers by planet that came with the data: balance, years, CPU seconds

    def __len__(self) -> int:
        return len(self.params)

    @cached_property
    def places(self) -> Mapping[str, slice]:
        """The columns of each variable."""
        ends = np.cumsum([0, *(one.size for one in self.variables)])
        return {
            one.name: slice(int(begin), int(end))
            for one, begin, end in zip(self.variables, ends, ends[1:], strict=False)
        }

    def variable(self, name: str) -> Variable:
        """One by its name; ConfigError where there is none."""
        for one in self.variables:
            if one.name == name:
                return one
        known = [one.name for one in self.variables]
        raise ConfigError(f"variables: {self.source} has no {name!r}{suggest(name, known)}")

    def of(self, name: str, values: NDArray[np.floating] | None = None) -> NDArray[np.floating]:
        """One variable as [planet, level, lat, lon], of our own or of other rows with our columns."""
        rows = self.values if values is None else values
        return rows[:, self.places[name]].reshape(len(rows), *self.variable(name).shape)

    @property
    def scaled(self) -> Array:
        """The inputs without units, 0 to 1 over the domain."""
        return scaled(self.inputs, self.params)

    def take(self, chosen: Indices) -> Self:
        """Some of the planets."""
        return replace(
            self,
            params=self.params[chosen],
            values=self.values[chosen],
            names=tuple(self.names[i] for i in chosen),
            planets=tuple(self.planets[i] for i in chosen) if self.planets else (),
            notes={name: values[chosen] for name, values in self.notes.items()},
        )

    def only(self, wanted: Sequence[str]) -> Self:
        """Some of the variables, in the order asked for."""
        found = tuple(self.variable(name) for name in wanted)
        columns = [np.arange(self.places[name].start, self.places[name].stop) for name in wanted]
        chosen = np.concatenate(columns)
        return replace(
            self, variables=found, values=self.values[:, chosen], weights=self.weights[chosen]
        )

    @cached_property
    def digest(self) -> str:
        """What the data are."""
        rows = np.ascontiguousarray(self.values)
        return digest(
            [
                [one.name for one in self.inputs],
                [[one.name, list(one.shape)] for one in self.variables],
                list(self.names),
                self.params.tolist(),
                digest_of(rows),
            ]
        )


def scaled(inputs: Sequence[Input], params: Array) -> Array:
    """Rows of inputs without units, 0 to 1 over the domain."""
    return np.column_stack([one.scaled(params[:, i]) for i, one in enumerate(inputs)])


def digest_of(rows: NDArray[np.generic]) -> str:
    """Of the bytes of an array."""
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()
