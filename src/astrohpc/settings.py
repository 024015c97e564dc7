"""From a mapping that a person wrote to a frozen dataclass, with errors that name the field."""

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

from astrohpc.errors import ConfigError

T = TypeVar("T")


def suggest(name: str, known: Iterable[str]) -> str:
    """End a sentence about a word that is not known: what was perhaps meant, or all there is."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; choose from {', '.join(known)}."


def build(kind: type[T], written: object, where: str) -> T:
    """Build the dataclass ``kind`` from ``written``; ``where`` is the path that errors name.

    Unknown and missing keys, and values of a wrong type, become one sentence. Nested dataclasses are
    built in turn; lists become tuples; an int serves where a float is asked for.
    """
    if not isinstance(written, Mapping):
        raise ConfigError(
            f"{where}: {written!r} is not a group of settings; write 'key: value' lines."
        )
    inside = f"{where}." if where else ""
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in fields(kind) if f.init}  # type: ignore[arg-type]
    for name in written:
        if name not in known:
            raise ConfigError(
                f"{inside}{name}: there is no such setting{suggest(str(name), known)}"
            )
    values: dict[str, Any] = {}
    for name, spec in known.items():
        if name in written:
            values[name] = _convert(hints[name], written[name], f"{inside}{name}")
        elif spec.default is MISSING and spec.default_factory is MISSING:
            raise ConfigError(
                f"{inside}{name}: this setting is needed and has no default; write it."
            )
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{inside}{error}") from error


def _convert(hint: Any, value: object, where: str) -> object:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None:
        if type(None) in options or hint in (object, Any):
            return None
        raise ConfigError(f"{where}: a value is needed here; write {_describe(hint)}.")
    for option in options:
        origin = typing.get_origin(option)
        if is_dataclass(option) and isinstance(option, type):
            return build(option, value, where)
        if origin is tuple and isinstance(value, list | tuple):
            inner = typing.get_args(option)[0]
            return tuple(_convert(inner, item, f"{where}[{i}]") for i, item in enumerate(value))
        if origin in (dict, Mapping) and isinstance(value, Mapping):
            inner = typing.get_args(option)[1]
            return {
                str(key): _convert(inner, item, f"{where}.{key}") for key, item in value.items()
            }
        if origin is typing.Literal and value in typing.get_args(option):
            return value
        if option is float and isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                raise ConfigError(
                    f"{where}: this number is too large; write one below 1e308."
                ) from None
        if option in (object, Any):
            return value
        if isinstance(option, type) and type(value) is option:
            return value
    raise ConfigError(f"{where}: {value!r} does not fit; write {_describe(hint)}.")


_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text (with its unit, or in quotes)",
    bool: "true or false",
}


def _describe(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        parts = [_describe(option) for option in typing.get_args(hint) if option is not type(None)]
        return " or ".join(parts)
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    if typing.get_origin(hint) is tuple:
        return "a list"
    if typing.get_origin(hint) in (dict, Mapping):
        return "a group of settings"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))
