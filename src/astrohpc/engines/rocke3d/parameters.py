"""What the model does not check: that a run-time parameter exists, and that its value makes sense.

An unknown name is only listed in the log at a normal end, ``KOCEAN=7`` is taken as a slab ocean, and
a real number without its point stops the run. ``engine.extra_parameters`` declares what the table
does not have.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from astrohpc.engines.rocke3d.known import KNOWN, Kind, Known
from astrohpc.engines.rocke3d.text import Scalar, Value
from astrohpc.errors import ConfigError

__all__ = ["KNOWN", "Declared", "Known", "check", "check_all", "fit"]

_KINDS: dict[str, tuple[type, str]] = {
    "real": (float, "a real number"),
    "integer": (int, "a whole number"),
    "text": (str, "text in quotes"),
}
_FILE = "_file_"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A parameter that the table does not have, as a person declares it."""

    kind: Kind
    meaning: str = "declared in the configuration"
    unit: str = ""
    low: float = -1e300
    high: float = 1e300
    values: tuple[int, ...] = (1, 1)

    def __post_init__(self) -> None:
        if len(self.values) != 2 or not 1 <= self.values[0] <= self.values[1]:
            raise ConfigError(
                f"values: {list(self.values)} is not the fewest and the most values of a list; "
                "write for example [1, 1]."
            )
        if self.low > self.high:
            raise ConfigError(f"low: {self.low:g} is above high ({self.high:g}); swap them.")

    def known(self, name: str) -> Known:
        """The same as an entry of the table."""
        fewest, most = self.values
        return Known(name, self.kind, self.meaning, self.unit, self.low, self.high, (fewest, most))


def lookup(name: str, extra: Mapping[str, Known] | None = None) -> Known:
    """What is known of ``name``, whatever its case; ConfigError with what was perhaps meant."""
    wanted = name.lower()
    table = {**KNOWN, **{key.lower(): known for key, known in (extra or {}).items()}}
    if wanted in table:
        return table[wanted]
    if wanted.startswith(_FILE):
        return Known(name, "text", "where an input file is")
    close = difflib.get_close_matches(wanted, table, n=1, cutoff=0.7)
    hint = (
        f"did you mean {table[close[0]].name!r}?"
        if close
        else "correct it, or declare it under engine.extra_parameters."
    )
    raise ConfigError(f"{name}: no such parameter is known and the model would ignore it; {hint}")


def check(name: str, value: Value, extra: Mapping[str, Known] | None = None) -> None:
    """Refuse a parameter that the model would ignore, misunderstand, or stop at.

    >>> check("DT", 225.0)
    >>> check("DT", 225)
    Traceback (most recent call last):
        ...
    astrohpc.errors.ConfigError: DT: 225 is not a real number to the model; write 225.0.
    """
    known = lookup(name, extra)
    values: tuple[Scalar, ...] = value if isinstance(value, tuple) else (value,)
    fewest, most = known.values
    if not fewest <= len(values) <= most:
        wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
        raise ConfigError(f"{name}: {len(values)} values are given; write {wanted}.")
    for one in values:
        _check_one(name, one, known)


def _check_one(name: str, one: Scalar, known: Known) -> None:
    kind, words = _KINDS[known.kind]
    if type(one) is not kind:
        if kind is float and isinstance(one, int) and not isinstance(one, bool):
            remedy = f"write {float(one)!r}"
        elif kind is int and isinstance(one, float) and one.is_integer():
            remedy = f"write {int(one)}"
        else:
            remedy = f"write {words}"
        raise ConfigError(f"{name}: {one!r} is not {words} to the model; {remedy}.")
    if known.choices and one not in known.choices:
        shown = ", ".join(map(str, known.choices[:12]))
        more = " …" if len(known.choices) > 12 else ""
        raise ConfigError(
            f"{name}: {one!r} is none of {shown}{more} ({known.meaning}); choose one."
        )
    if not isinstance(one, str) and not known.low <= one <= known.high:
        unit = f" {known.unit}" if known.unit else ""
        raise ConfigError(
            f"{name}: {one:g}{unit} lies outside {known.low:g} … {known.high:g}{unit} "
            f"({known.meaning}); choose a value inside."
        )


def fit(name: str, value: object, extra: Mapping[str, Known] | None = None) -> Value:
    """What a person wrote in a configuration, with the type that the model wants, checked."""
    known = lookup(name, extra)
    given = value if isinstance(value, list | tuple) else (value,)
    fitted = tuple(
        float(one)
        if known.kind == "real" and isinstance(one, int) and not isinstance(one, bool)
        else one
        for one in given
    )
    result: Value = fitted if isinstance(value, list | tuple) and len(fitted) != 1 else fitted[0]
    check(name, result, extra)
    return result


def check_all(parameters: Mapping[str, Value], extra: Mapping[str, Known] | None = None) -> None:
    """Check every parameter of a deck or of an ``I`` file, and what holds between them."""
    for name, value in parameters.items():
        check(name, value, extra)
    low, high = (parameters.get(f"{side}GroundTemperature") for side in ("min", "max"))
    if isinstance(low, float) and isinstance(high, float) and low >= high:
        raise ConfigError(
            f"minGroundTemperature: {low:g} degC is not below maxGroundTemperature ({high:g} degC); "
            "lower it."
        )
    check_steps(parameters)


def check_steps(parameters: Mapping[str, Value]) -> None:
    """Refuse a DT that does not go an even number of times into DTsrc, as the model would.

    Finite-volume dynamics, on the cubed sphere, take the physics' own step.
    """
    source, step = parameters.get("DTsrc"), parameters.get("DT")
    if isinstance(source, float) and isinstance(step, float) and 0 < step != source:
        even = max(2, 2 * round(source / step / 2))
        if round(source / step) != even:
            raise ConfigError(
                f"DT: {step:g} s goes {source / step:.3g} times into DTsrc ({source:g} s) and the "
                f"model wants an even number; write {source / even!r}."
            )
