"""Units that tables leave out or get wrong: what is impossible is seen, said, and else asked for.

Real tables have the logarithm of a period without saying so, and degrees Celsius that are called kelvin.
What a number cannot be is decided by nature's bounds; where more than one reading is possible, a person
must say.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from astrohpc.climates.climates import Array, Input
from astrohpc.climates.columns import SI, Column
from astrohpc.errors import ConfigError
from astrohpc.planet import PARAMETERS, to_si

_WORDS = {
    "day": "d",
    "days": "d",
    "hour": "h",
    "hours": "h",
    "degree": "deg",
    "degrees": "deg",
    "°": "deg",
    "radian": "rad",
    "radians": "rad",
    "seconds": "s",
}
_BASES = {"log2": 2.0, "log10": 10.0, "ln": float(np.e)}
_LOGARITHM = re.compile(r"(log2|log10|ln)\s*\(?\s*([^()]*?)\s*\)?")
_LOG2_DAYS = "log2(d)"
_COLDEST_K = 2.7  # nothing is colder than the sky
_COLD_K = 150.0
_MARGIN = 0.02  # of the domain, by which a reading may lie beyond it and still be meant


@dataclass(frozen=True, eq=False)
class Reading:
    """A column in SI; ``unit`` is how it was written, ``said`` what a person must know of that."""

    values: Array
    unit: str
    said: str = ""


def reading(column: Column, wanted: str = "", trained: tuple[Input, str] | None = None) -> Reading:
    """An input in SI. ``wanted`` is the unit that a person says it has.

    ``trained`` is the input as a surrogate knows it, and how its table wrote it: numbers without a unit
    are such, if that lies in the domain.
    """
    if column.name not in PARAMETERS:
        return Reading(column.values, column.unit)
    parameter = PARAMETERS[column.name]
    unit = wanted or column.unit
    if unit == SI:
        return Reading(column.values, parameter.unit)
    said = ""
    if not unit and parameter.unit:
        unit, said = _guess(column, trained)
    values = _in_si(column, unit)
    known = values[np.isfinite(values)]
    slack = 1e-9 * parameter.high
    if len(known) and (known.min() < parameter.low or known.max() > parameter.high + slack):
        worst = known.min() if known.min() < parameter.low else known.max()
        raise ConfigError(
            f"{column.name}: {parameter.shown(float(worst))} is impossible (values are "
            f"{np.nanmin(column.values):g} to {np.nanmax(column.values):g}, in "
            f"{unit or 'no unit'}); {_remedy(column.name)}"
        )
    return Reading(values, unit, said)


def in_kelvin_or_not(columns: Sequence[Column]) -> tuple[list[Column], list[str]]:
    """Temperatures that are called kelvin and cannot be: in degrees Celsius, with a sentence."""
    called = [one for one in columns if one.unit in ("K", "kelvin", "Kelvin")]
    wrong = [one for one in called if np.nanmin(one.values, initial=np.inf) < _COLDEST_K]
    if not wrong:
        return list(columns), []
    # A file that has it wrong once has it wrong wherever that is possible.
    cold = [one for one in called if np.nanmax(one.values, initial=-np.inf) < _COLD_K]
    found = [replace(one, unit="degC") if one in cold else one for one in columns]
    names = ", ".join(one.name for one in cold)
    worst = min(float(np.nanmin(one.values)) for one in wrong)
    return found, [f"{names}: called K, but {worst:.4g} K is impossible, so taken as °C"]


def _guess(column: Column, trained: tuple[Input, str] | None) -> tuple[str, str]:
    """The unit of numbers without one, and a sentence; ConfigError where nobody can know."""
    name, known = column.name, column.values[np.isfinite(column.values)]
    if trained is not None:
        return _as_trained(column, *trained)
    if name in ("rotation_period", "orbital_period") and len(known) and known.min() <= 0:
        days = 2.0 ** np.array([known.min(), known.max()])
        return _LOG2_DAYS, (
            f"{name}: has no unit, and {known.min():g} is no period, so taken as log2(days): "
            f"{days[0]:.4g} to {days[1]:.4g} d"
        )
    parameter = PARAMETERS[name]
    if parameter.unit == "rad" and len(known) and known.max() > parameter.high:
        return (
            "deg",
            f"{name}: has no unit, and {known.max():g} is beyond radians, so taken as degrees",
        )
    raise ConfigError(f"{name}: has no unit; {_remedy(name)}")


def _as_trained(column: Column, one: Input, written: str) -> tuple[str, str]:
    """Of the ways to write that input, the first that lies in the domain, else that is possible at all."""
    name, parameter = column.name, PARAMETERS[column.name]
    tried = (written, parameter.shown_unit)
    for unit in tried:
        if _is_within(column, unit, one):
            return unit, f"{name}: has no unit; taken as {unit}, which lies in the domain"
    for unit in tried:
        values = _in_si(column, unit)
        if (values >= parameter.low).all() and (values <= parameter.high).all():
            return unit, f"{name}: has no unit; taken as {unit}, which is possible"
    raise ConfigError(f"{name}: has no unit, and is impossible as {written}; {_remedy(name)}")


def _is_within(column: Column, unit: str, one: Input) -> bool:
    values = _in_si(column, unit)
    if one.logarithm and not (values > 0).all():
        return False
    places = one.scaled(values)
    return bool((places >= -_MARGIN).all() and (places <= 1 + _MARGIN).all())


def _in_si(column: Column, unit: str) -> Array:
    """Numbers of a unit in SI; of a logarithm of one, too."""
    found = _LOGARITHM.fullmatch(unit)
    values = column.values
    if found:
        with np.errstate(over="ignore"):
            values = _BASES[found[1]] ** values
        unit = found[2]
    return values * _factor(column.name, unit)


def _factor(name: str, unit: str) -> float:
    unit = _WORDS.get(unit, unit)
    if not PARAMETERS[name].unit and unit in ("", "1"):
        return 1.0
    return to_si(name, f"1 {unit}")


def _remedy(name: str) -> str:
    unit = PARAMETERS[name].shown_unit or "1"
    return (
        f"write it in the table, as '{name} [{unit}]', or to train from it as units.{name}={unit}."
    )


def check_known(units: Mapping[str, str], columns: Sequence[Column]) -> None:
    """ConfigError where a unit is said of what is no input of the table."""
    names = [one.name for one in columns]
    for name in units:
        if name not in names:
            raise ConfigError(
                f"units.{name}: the table has no such input; it has {', '.join(names)}."
            )
