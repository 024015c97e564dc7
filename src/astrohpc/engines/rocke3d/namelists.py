"""The Fortran namelists ``&INPUTZ`` and ``&INPUTZ_cold``: where a run starts and ends.

A rundeck keeps both in one group: its lines that begin with ISTART are what ModelE's set-up moves to
``&INPUTZ_cold``, for the first hour of a cold start. The last assignment of a name counts.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from astrohpc.engines.rocke3d.text import MAX_LINE, Place, check_ascii
from astrohpc.errors import ConfigError
from astrohpc.settings import suggest

# What the model's own namelist declares; anything else stops it with "Error in NAMELIST parameters".
_DATES = tuple(f"{part}{end}" for end in "IE" for part in ("YEAR", "MONTH", "DATE", "HOUR"))
_OTHERS = "IYEAR1 IHOURE TIMEE ISTART IRANDI KDIAG QCHECK IWRITE JWRITE ITWRITE"
KEYS = frozenset((*_DATES, *_OTHERS.split()))
_KEY = re.compile(r"(?P<key>[A-Za-z_]\w*)\s*=\s*", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_VALUES = re.compile(r"[+-]?[\w.*]+(\s*,\s*[+-]?[\w.*]+)*", re.ASCII)


@dataclass(frozen=True, order=True)
class ModelDate:
    """A date of a model's calendar: twelve months and 24 hours whatever the planet."""

    year: int
    month: int = 1
    day: int = 1
    hour: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (("year", 0, 99999), ("month", 1, 12), ("hour", 0, 24)):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(
                    f"{name}: {getattr(self, name)} lies outside {low} … {high}; choose one inside."
                )
        # Month lengths follow the orbit, so how many days there are is for the model to say.
        if self.day < 1:
            raise ConfigError(f"day: {self.day} is not a day of a month; the first is 1.")


@dataclass(frozen=True)
class _Found:
    key: str
    line: int
    start: int
    end: int
    written: str


@dataclass(frozen=True)
class Namelists:
    """The end of a rundeck or an ``I`` file, from the line after ``&&END_PARAMETERS``."""

    file: str
    first_line: int = field(compare=False)  # as read; an edit before it moves it
    lines: tuple[str, ...]
    roles: tuple[str, ...]  # of each line: "warm", "cold", or "" where the model reads nothing
    closing: Mapping[str, int]  # of each group: the line with its slash

    @classmethod
    def parse(cls, lines: Sequence[str], file: str, first_line: int, *, deck: bool) -> "Namelists":
        """Find the groups; ConfigError where one is unknown, missing or does not end."""
        roles: list[str] = []
        closing: dict[str, int] = {}
        group = ""
        for index, line in enumerate(lines):
            place = Place(file, first_line + index)
            text = _content(line).strip()
            if not group and text.startswith("&"):
                name, _, text = text.partition(" ")
                group = _group(name, closing, place)
            role = ""
            if group:
                check_ascii(text, place)
                if len(_content(line)) > MAX_LINE:
                    raise place.error(f"the model reads {MAX_LINE} characters of a line; break it.")
                cold = group == "INPUTZ_COLD" or (deck and text.upper().startswith("ISTART"))
                role = "cold" if cold else "warm"
                if text.endswith("/") or text.upper() in ("&END", "$END"):
                    closing[group] = index
                    group = ""
            roles.append(role)
        if group:
            raise Place(file, first_line + len(lines) - 1).error(
                f"&{group} does not end, so the file may be cut short; end it with a line ' /'."
            )
        if "INPUTZ" not in closing:
            raise Place(file, first_line + len(lines) - 1).error(
                "there is no &INPUTZ, which says when the run starts and ends, so the file may be "
                "cut short; add ' &INPUTZ', the dates, and ' /'."
            )
        self = cls(file, first_line, tuple(lines), tuple(roles), closing)
        self._check()
        return self

    def _check(self) -> None:
        for index, line in enumerate(self.lines):
            if not self.roles[index]:
                continue
            place = Place(self.file, self.first_line + index)
            text = re.sub(r"^\s*&\w+|/\s*$|&END\s*$", "", _content(line), flags=re.IGNORECASE)
            first = _KEY.search(text)
            before = text[: first.start()] if first else text
            if before.strip(" ,\t"):
                raise place.error(f"{before.strip()!r} is not 'NAME=value'; write it so.")
            for found in self._scan(index):
                if found.key not in KEYS:
                    raise place.error(
                        f"{found.key}: &INPUTZ has no such name and the model would stop"
                        + suggest(found.key, KEYS)
                    )
                if not _VALUES.fullmatch(found.written):
                    raise place.error(f"{found.key}: {found.written!r} is not a number; write one.")

    def _scan(self, index: int) -> list[_Found]:
        text = _content(self.lines[index])
        keys = list(_KEY.finditer(text))
        found = []
        ends = [match.start() for match in keys[1:]] + [len(text)] * bool(keys)
        for match, end in zip(keys, ends, strict=True):
            raw = text[match.end() : end]
            written = re.sub(r"(/|&END)\s*$", "", raw, flags=re.IGNORECASE).rstrip(" ,\t")
            start = match.end()
            found.append(_Found(match["key"].upper(), index, start, start + len(written), written))
        return found

    def _last(self, key: str, role: str) -> _Found | None:
        last = None
        for index, its in enumerate(self.roles):
            if its == role:
                last = next((f for f in reversed(self._scan(index)) if f.key == key), last)
        return last

    def get(self, key: str, *, cold: bool = False) -> int | None:
        """An integer of the run's namelist, or of the cold start's."""
        found = self._last(key, "cold" if cold else "warm")
        if found is None:
            return None
        if not _INTEGER.fullmatch(found.written):
            raise Place(self.file, self.first_line + found.line).error(
                f"{key}: {found.written!r} is not a whole number; write one."
            )
        return int(found.written)

    @property
    def has_cold(self) -> bool:
        """Whether it says how to start from nothing."""
        return "cold" in self.roles

    def assignments(self, *, cold: bool) -> list[str]:
        """What a group says, line by line, without its name, its slash and comments."""
        role = "cold" if cold else "warm"
        bare = (
            re.sub(r"^\s*&\w+|/\s*$|&END\s*$", "", _content(line), flags=re.IGNORECASE).strip()
            for line, its in zip(self.lines, self.roles, strict=True)
            if its == role
        )
        return [line for line in bare if line]

    def date(self, letter: str, *, cold: bool = False) -> ModelDate | None:
        """The date that starts (``I``) or ends (``E``) the run; absent parts are the model's own."""
        year = self.get(f"YEAR{letter}", cold=cold)
        if year is None:
            return None
        parts = (self.get(f"{part}{letter}", cold=cold) for part in ("MONTH", "DATE", "HOUR"))
        month, day, hour = parts
        return ModelDate(
            year,
            1 if month is None else month,
            1 if day is None else day,
            0 if hour is None else hour,
        )

    def dated(self, letter: str, date: ModelDate, *, cold: bool = False) -> "Namelists":
        """These namelists with another start (``I``) or end (``E``)."""
        changed = self
        for part, number in (
            ("YEAR", date.year),
            ("MONTH", date.month),
            ("DATE", date.day),
            ("HOUR", date.hour),
        ):
            changed = changed.set(f"{part}{letter}", number, cold=cold)
        return changed

    def set(self, key: str, number: int, *, cold: bool = False) -> "Namelists":
        """These namelists with one integer changed in place, or added at the end of its group."""
        if self.get(key, cold=cold) == number:
            return self
        found = self._last(key, "cold" if cold else "warm")
        if found is None:
            return self._added(key, number, cold=cold)
        line = self.lines[found.line]
        padded = len(found.written) > 1 and found.written.startswith("0")
        written = str(number).zfill(len(found.written)) if padded else str(number)
        return self._with_line(found.line, line[: found.start] + written + line[found.end :])

    def _with_line(self, index: int, line: str) -> "Namelists":
        return replace(self, lines=(*self.lines[:index], line, *self.lines[index + 1 :]))

    def _added(self, key: str, number: int, *, cold: bool) -> "Namelists":
        role = "cold" if cold else "warm"
        if cold and not self.has_cold:
            raise ConfigError(
                f"{self.file}: {key}: there is no cold start to change; add a line "
                "' ISTART=2,IRANDI=0, YEARE=...' to &INPUTZ, or &INPUTZ_cold to the I file."
            )
        # In a rundeck a line of its own would belong to the run, not to the cold start, unless it
        # begins with ISTART; so a name for the cold start joins the line that is there.
        last = max(index for index, its in enumerate(self.roles) if its == role)
        in_deck = cold and "INPUTZ_COLD" not in self.closing
        if in_deck:
            text = _content(self.lines[last])
            body = text.rstrip().rstrip("/").rstrip(" ,")
            rest = self.lines[last][len(body) :]
            return self._with_line(last, f"{body}, {key}={number}{rest}")
        index = self.closing["INPUTZ_COLD" if cold else "INPUTZ"]
        closing = self.lines[index]
        if _content(closing).strip() not in ("/", "&END"):  # the slash shares a line with names
            at = _content(closing).rindex("/")
            return self._with_line(
                index, f"{closing[:at].rstrip(' ,')}, {key}={number} {closing[at:]}"
            )
        end = "\r\n" if closing.endswith("\r\n") else "\n"
        return replace(
            self,
            lines=(*self.lines[:index], f" {key}={number},{end}", *self.lines[index:]),
            roles=(*self.roles[:index], role, *self.roles[index:]),
            closing={name: at + (at >= index) for name, at in self.closing.items()},
        )


def _group(written: str, closing: Mapping[str, int], place: Place) -> str:
    group = written[1:].upper()
    if group not in ("INPUTZ", "INPUTZ_COLD"):
        raise place.error(
            f"unknown section {written}; after &&END_PARAMETERS come &INPUTZ and &INPUTZ_cold, "
            "each ended by '/'."
        )
    if group in closing:
        raise place.error(f"{written}: there is a second one; remove one of the two.")
    return group


def _content(line: str) -> str:
    return line.partition("!")[0].rstrip("\r\n")
