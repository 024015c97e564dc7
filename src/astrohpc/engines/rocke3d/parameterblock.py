"""The lines from ``&&PARAMETERS`` to ``&&END_PARAMETERS``, in a rundeck and in a run's ``I`` file.

A block is a value: an edit gives a new one in which every line that was not asked about is the same.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from astrohpc.engines.rocke3d.text import (
    MAX_LINE,
    MAX_NAME,
    NAME,
    Place,
    Value,
    check_ascii,
    comment_aligned,
    content,
    format_value,
    parse_value,
)
from astrohpc.errors import ConfigError

BEGIN, END = "&&PARAMETERS", "&&END_PARAMETERS"
_ASSIGNMENT = re.compile(r"(?P<lead>\s*)(?P<name>[^\s=,']+)(?P<equals>[\s=,]+)(?P<value>.*)")


@dataclass(frozen=True)
class Entry:
    """One line: a parameter, or (with an empty name) anything else, kept as it is in ``lead``."""

    lead: str
    name: str = ""
    equals: str = ""
    written: str = ""
    tail: str = ""
    value: Value = ""

    def __str__(self) -> str:
        return self.lead + self.name + self.equals + self.written + self.tail

    def changed(self, value: Value) -> "Entry":
        """The same line with another value, its comment where it was."""
        written = format_value(self.name, value)
        tail = comment_aligned(self.written, written, self.tail)
        return replace(self, written=written, value=value, tail=tail)


def parse_line(line: str, place: Place) -> Entry:
    """One line of a block; ConfigError where the model would stop, or misread it in silence."""
    text = content(line)
    check_ascii(text, place)
    if len(text) > MAX_LINE:
        raise place.error(
            f"the model cuts lines at {MAX_LINE} characters and this has {len(text)}; shorten it."
        )
    if not text.strip(" \t=,"):
        return Entry(line)
    found = _ASSIGNMENT.fullmatch(text)
    if found is None or not NAME.fullmatch(found["name"]):
        raise place.error(f"{text.strip()!r} is not 'name=value'; write it so, or put '!' before.")
    name, written = found["name"], found["value"].rstrip(" ,")
    if len(name) > MAX_NAME:
        raise place.error(f"{name}: a name has at most {MAX_NAME} characters; shorten it.")
    if "=" not in found["equals"]:
        raise place.error(f"{text.strip()!r} has no '='; write name=value, or put '!' before it.")
    if "=" in re.sub(r"'[^']*'", "", written):
        raise place.error(
            f"{text.strip()!r} is not one 'name=value'; write each parameter on a line of its own."
        )
    value = parse_value(name, written, place)
    used = len(found["lead"]) + len(name) + len(found["equals"]) + len(written)
    return Entry(found["lead"], name, found["equals"], written, line[used:], value)


@dataclass(frozen=True)
class ParameterBlock(Mapping[str, Value]):
    """Parameters by name, whatever its case; a line given twice counts once, as the model reads it."""

    file: str
    entries: tuple[Entry, ...]

    @classmethod
    def parse(cls, lines: Sequence[str], file: str, first_line: int) -> "ParameterBlock":
        """Read the lines between the two marks; ``first_line`` is where the first of them stands."""
        entries: list[Entry] = []
        seen: dict[str, tuple[int, Entry]] = {}
        for number, line in enumerate(lines, first_line):
            place = Place(file, number)
            entry = parse_line(line, place)
            entries.append(entry)
            if not entry.name:
                continue
            earlier = seen.setdefault(entry.name.lower(), (number, entry))
            if not _same(earlier[1].value, entry.value):
                raise place.error(
                    f"{entry.name}: it is {entry.written} here and {earlier[1].written} in line "
                    f"{earlier[0]}, and the model takes the last; remove one of the two."
                )
        return cls(file, tuple(entries))

    @property
    def lines(self) -> tuple[str, ...]:
        """The text, line by line."""
        return tuple(map(str, self.entries))

    def _find(self, name: str) -> Entry | None:
        wanted = name.lower()
        return next((entry for entry in self.entries if entry.name.lower() == wanted), None)

    def __getitem__(self, name: str) -> Value:
        entry = self._find(name)
        if entry is None:
            raise KeyError(name)
        return entry.value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(name) and self._find(name) is not None

    def __iter__(self) -> Iterator[str]:
        seen: set[str] = set()
        for entry in self.entries:
            if entry.name and entry.name.lower() not in seen:
                seen.add(entry.name.lower())
                yield entry.name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def updated(self, changes: Mapping[str, Value]) -> "ParameterBlock":
        """The block with these values: in place where a name is there, at the end where it is not."""
        block = self
        for name, value in changes.items():
            block = block._set(name, value)
        return block

    def _set(self, name: str, value: Value) -> "ParameterBlock":
        if name in self:
            wanted = name.lower()
            entries = tuple(
                entry.changed(value)
                if entry.name.lower() == wanted and not _same(entry.value, value)
                else entry
                for entry in self.entries
            )
        else:
            if not NAME.fullmatch(name) or len(name) > MAX_NAME:
                raise ConfigError(
                    f"{self.file}: {name!r} cannot name a parameter; use at most {MAX_NAME} "
                    "letters, digits and '_'."
                )
            line = f"{self._indent()}{name}={format_value(name, value)}{self._line_end()}"
            entries = (*self.entries, parse_line(line, Place(self.file, 0)))
        for entry in entries:
            if entry.name.lower() == name.lower() and len(content(str(entry))) > MAX_LINE:
                raise ConfigError(
                    f"{self.file}: {name}: the line has more than the {MAX_LINE} characters that "
                    "the model reads; give fewer or shorter values."
                )
        return replace(self, entries=entries)

    def without(self, name: str) -> "ParameterBlock":
        """The block without a parameter, and without its comment, which was about it."""
        if name not in self:
            raise ConfigError(f"{self.file}: {name}: it is not among the parameters to remove.")
        kept = (entry for entry in self.entries if entry.name.lower() != name.lower())
        return replace(self, entries=tuple(kept))

    def _indent(self) -> str:
        return next((entry.lead for entry in self.entries if entry.name), "")

    def _line_end(self) -> str:
        return "\r\n" if self.entries and str(self.entries[0]).endswith("\r\n") else "\n"


def _same(one: Value, other: Value) -> bool:
    """Whether the model would read the same: type and value."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other
