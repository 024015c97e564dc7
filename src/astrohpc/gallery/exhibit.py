"""One transformation on show: what it did, what it had to keep and what it kept, and its pictures.

The same lines are printed by the command, stand in its page and in docs/gallery.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from astrohpc.quality.grades import grade

DECLARED = 1e-6  # of a total: what every declared one is kept to
COLUMNS = ("what", "before", "wanted", "after", "relative", "limit", "")


@dataclass(frozen=True)
class Kept:
    """One number before and after: ``wanted`` is what it had to become, ``scale`` what its miss is a part of.

    A number without a ``limit`` is told, not judged.
    """

    what: str
    unit: str
    before: float
    wanted: float
    after: float
    scale: float
    limit: float | None = DECLARED

    @property
    def relative(self) -> float:
        """By which part of its scale it was missed."""
        return (self.after - self.wanted) / self.scale if self.scale else self.after - self.wanted

    @property
    def judged(self) -> bool:
        """Whether there is a limit that it is held against."""
        return self.limit is not None

    @property
    def passed(self) -> bool:
        """Whether that is within the limit; what is not judged is not."""
        return self.limit is not None and abs(self.relative) <= self.limit

    @property
    def cells(self) -> tuple[str, ...]:
        """As a row of a table."""
        unit = f" [{self.unit}]" if self.unit else ""
        verdict = "told" if self.limit is None else "kept" if self.passed else "MISSED"
        return (
            f"{self.what}{unit}",
            *(f"{x:.8g}" for x in (self.before, self.wanted, self.after)),
            f"{self.relative:+.1e}",
            "" if self.limit is None else f"{self.limit:.0e}",
            verdict,
        )


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A transformation: ``done`` is what was drawn of it, ``keeps`` what it declares."""

    key: str
    title: str
    done: str
    keeps: str
    kept: tuple[Kept, ...]
    png: bytes

    @property
    def grade(self) -> str:
        """Of all that is judged."""
        return grade_of([self])

    @property
    def heading(self) -> str:
        """Title, what was drawn, and the grade."""
        return f"{self.title}: {self.done}. Grade {self.grade}"


def grade_of(exhibits: Sequence[Exhibit]) -> str:
    """The grade of several."""
    judged = [kept for one in exhibits for kept in one.kept if kept.judged]
    return grade(sum(kept.passed for kept in judged), len(judged))


@dataclass(frozen=True, eq=False)
class Room:
    """Exhibits of one source. ``mark`` stands over every picture and table of what is no measurement."""

    name: str
    title: str
    source: str
    mark: str
    exhibits: tuple[Exhibit, ...]
