"""Rundecks (``.R``): what ModelE is built from and run with, read and written without loss."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from astrohpc.engines.rocke3d.parameterfile import ParameterFile, find_begin, parse_rest
from astrohpc.engines.rocke3d.text import (
    Place,
    check_ascii,
    comment_aligned,
    content,
    read_text,
    split,
)
from astrohpc.errors import ConfigError
from astrohpc.settings import suggest

_KIND = "rundeck"
HEADER = "header"
OPTIONS_END = "End Preprocessor Options"
# In their usual order, of which only the last place of the label is a rule.
SECTIONS = (
    "Preprocessor Options",
    "Run Options",
    "Object modules",
    "Components",
    "Component Options",
    "Data input files",
    "Label and Namelist",
)
_NEEDED = ("Preprocessor Options", "Object modules", "Components", "Data input files")
_LABEL = "Label and Namelist"
_HEADING = re.compile(r"(?P<name>[A-Za-z][A-Za-z ]*[A-Za-z])\s*(?P<colon>:)?\s*(\(.*\))?\s*")
_DEFINE = re.compile(r"#\s*define\s+(?P<name>\w+)(?P<gap>\s*)(?P<value>.*)", re.ASCII)
_SETTING = re.compile(r"\s*(?P<name>[\w.+-]+)\s*=\s*(?P<value>\S.*)", re.ASCII)
# As ModelE's set-up finds them: any number on a line.
_DATA_FILE = re.compile(r"(?P<name>[\w.+-]+)\s*=\s*(?P<value>[\w./+-]+)", re.ASCII)
_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True)
class Rundeck(ParameterFile):
    """A rundeck. ``places`` says of each line before the parameters in which section it stands."""

    places: tuple[str, ...] = field(kw_only=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file."""
        return cls._parse(read_text(path, _KIND), str(path))

    @classmethod
    def parse(cls, data: bytes, file: str = "rundeck") -> Self:
        """Read the bytes of a file; errors call it ``file``."""
        return cls._parse(split(data, file, _KIND), file)

    @classmethod
    def _parse(cls, lines: tuple[str, ...], file: str) -> Self:
        begin = find_begin(lines, file, _KIND)
        places = _sections(lines[:begin], file)
        block, mark, namelists = parse_rest(lines, file, begin, deck=True)
        return cls(file, lines[: begin + 1], block, mark, namelists, places=(*places, ""))

    def _in(self, section: str) -> Iterator[tuple[int, str]]:
        for index, place in enumerate(self.places):
            if place == section:
                yield index, _statement(self.head[index])

    @property
    def name(self) -> str:
        """The run's name, with which the label begins."""
        return self.label.partition("(")[0].partition(" ")[0]

    @property
    def label(self) -> str:
        """The label, which the model writes into its files."""
        lines = (self.head[index].strip() for index, _ in self._in(_LABEL))
        return " ".join(line for line in lines if line and not line.startswith("!"))

    @property
    def options(self) -> dict[str, str]:
        """Preprocessor options that are on, with their values, such as ``PLANET_PARAMS``."""
        return {
            found["name"]: found["value"].strip()
            for _, text in self._in(SECTIONS[0])
            if (found := _DEFINE.fullmatch(text))
        }

    @property
    def modules(self) -> tuple[str, ...]:
        """Object modules in their order, which decides between two that define the same."""
        return tuple(self._words("Object modules"))

    @property
    def components(self) -> tuple[str, ...]:
        """Components that are linked."""
        return tuple(self._words("Components"))

    @property
    def component_options(self) -> dict[str, str]:
        """Options by component, such as ``OPTS_Ent``."""
        return dict(self._settings("Component Options"))

    @property
    def run_options(self) -> dict[str, str]:
        """Options of the run, such as ``STACKSIZE`` in KiB."""
        return dict(self._settings("Run Options"))

    @property
    def data_files(self) -> dict[str, str]:
        """Input data by the name under which the model opens it."""
        return {
            found["name"]: found["value"]
            for _, text in self._in("Data input files")
            for found in _DATA_FILE.finditer(text)
            if not text.startswith("#")
        }

    @property
    def includes(self) -> tuple[str, ...]:
        """Files that ``make rundeck`` has yet to put in; a deck that can be built has none."""
        texts = (*self.head, *self.parameters.lines)
        found = (re.match(r'#\s*include\s+"([^"]+)"', text) for text in texts)
        return tuple(match[1] for match in found if match)

    def _words(self, section: str) -> Iterator[str]:
        for _, text in self._in(section):
            if not text.startswith("#"):
                yield from text.split()

    def _settings(self, section: str) -> Iterator[tuple[str, str]]:
        for _, text in self._in(section):
            found = _SETTING.fullmatch(text)
            if found and not text.startswith("#"):
                yield found["name"], found["value"].strip()

    def with_option(self, name: str, value: str = "") -> Self:
        """The deck with a preprocessor option set, in place if it is on already."""
        if not _WORD.fullmatch(name) or not re.fullmatch(r"[\w.+-]*", value, re.ASCII):
            raise ConfigError(f"{self.file}: #define {name} {value}: use letters, digits and '_'.")
        if self.options.get(name) == value:
            return self
        for index, text in self._in(SECTIONS[0]):
            found = _DEFINE.fullmatch(text)
            if found and found["name"] == name:
                at = len(text) - len(found["value"])
                new = text[:at].rstrip() + (f" {value}" if value else "")
                tail = comment_aligned(text, new, self.head[index][len(text) :])
                return self._with_line(index, new + tail)
        ends = (index for index, text in self._in(SECTIONS[0]) if _is_options_end(text))
        index = next(ends)
        line = f"#define {name} {value}".rstrip() + self._line_end()
        return replace(
            self,
            head=(*self.head[:index], line, *self.head[index:]),
            places=(*self.places[:index], SECTIONS[0], *self.places[index:]),
        )

    def with_data_file(self, name: str, value: str) -> Self:
        """The deck with one piece of input data replaced; it must be there already."""
        if not re.fullmatch(r"[\w./+-]+", value, re.ASCII):
            raise ConfigError(
                f"{self.file}: {name}: ModelE's set-up cannot read {value!r}; use letters, digits "
                "and '_ . / + -'."
            )
        for index, text in self._in("Data input files"):
            for found in _DATA_FILE.finditer(text):
                if found["name"] == name and not text.startswith("#"):
                    new = text[: found.start("value")] + value + text[found.end() :]
                    tail = comment_aligned(text, new, self.head[index][len(text) :])
                    return self._with_line(index, new + tail)
        raise ConfigError(
            f"{self.file}: {name}: the deck opens no such input file"
            + suggest(name, self.data_files)
        )

    def _with_line(self, index: int, line: str) -> Self:
        return replace(self, head=(*self.head[:index], line, *self.head[index + 1 :]))

    def _line_end(self) -> str:
        return "\r\n" if self.head[0].endswith("\r\n") else "\n"


def _statement(line: str) -> str:
    """A line before the parameters without its comment; there '#' begins a directive, not a comment."""
    return re.split(r"!|/\*", line, maxsplit=1)[0].rstrip()


def _sections(lines: Sequence[str], file: str) -> tuple[str, ...]:
    """Of each line before the parameters, the section it belongs to; a heading belongs to none."""
    places: list[str] = []
    seen: dict[str, int] = {}
    section = HEADER
    for number, line in enumerate(lines, 1):
        place, text = Place(file, number), _statement(line)
        heading = _heading(text)
        if heading is not None:
            if heading in seen:
                raise place.error(
                    f"section {heading!r} began in line {seen[heading]} already; join the two."
                )
            if section == SECTIONS[0]:
                raise place.error(
                    f"{SECTIONS[0]!r} has not ended; add a line {OPTIONS_END!r} before this one."
                )
            if _LABEL in seen:
                raise place.error(
                    f"section {heading!r} comes after {_LABEL!r}, where it would be read as a label; "
                    "move it before."
                )
            seen[heading] = number
            section = heading
            places.append("")
            continue
        if section != HEADER:
            check_ascii(text, place)
            _check_line(section, text, place)
        elif _is_options_end(text):
            raise place.error(f"{OPTIONS_END!r} has no beginning; add {SECTIONS[0]!r} before it.")
        places.append(section)
        if section == SECTIONS[0] and _is_options_end(text):
            section = ""
    for needed in (*_NEEDED, _LABEL):
        if needed not in seen:
            raise ConfigError(f"{file}: there is no section {needed!r}; add it, even if empty.")
    return tuple(places)


def _heading(text: str) -> str | None:
    found = _HEADING.fullmatch(text)
    if found is None:
        return None
    name = " ".join(found["name"].split())
    with_colon = bool(found["colon"])
    plain = name in SECTIONS[:2]
    return name if name in SECTIONS and (with_colon or plain) else None


def _is_options_end(text: str) -> bool:
    return " ".join(text.split()) == OPTIONS_END


def _check_line(section: str, text: str, place: Place) -> None:
    """Refuse what cannot stand in a section, above all a heading that is misspelled."""
    if section == _LABEL or not text.strip() or _is_options_end(text):
        return
    found = _HEADING.fullmatch(text)
    if found and (found["colon"] or section in ("", SECTIONS[0])):
        name = found["name"]
        raise place.error(f"unknown section {name!r}{suggest(name, (*SECTIONS, OPTIONS_END))}")
    if text.startswith("#"):
        return
    if section in ("", SECTIONS[0]):
        raise place.error(
            f"{content(text).strip()!r} stands in no section; put it under one, or '!' before it."
        )
    pattern = _DATA_FILE if section == "Data input files" else _SETTING
    if section.endswith(("Options", "files")) and pattern.sub("", text).strip(" ,\t"):
        raise place.error(f"{text.strip()!r} is not 'name=value'; write it so.")
