"""What a check finds: plain numbers and words, the same in the journal, the report and the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from astrohpc.quality.grades import grade


@dataclass(frozen=True)
class Kept:
    """How one law is kept by one member.

    A share is |residual| over tolerance: up to 1 is kept. The curve has the largest share of each
    stretch of times, from the time that ``curve_at`` says on. A law that nothing can be judged by here
    is reported: it has a mean, and its curve the value itself. None is what is no number.
    """

    law: str
    samples: int  # in which it could be measured
    judged: int
    passed: int
    mean: float | None  # of the value, in the law's unit
    residual: float | None  # the worst, in the law's unit
    relative: float | None  # the same as part of what it is measured by
    tolerance: float | None  # by which it was judged, in the form that the law is judged in
    share: float | None
    time: int  # of the worst
    curve_at: tuple[int, ...]
    curve: tuple[float | None, ...]


@dataclass(frozen=True)
class Unchecked:
    """A law that could not be held against a member, and what it would need."""

    law: str
    needs: str


@dataclass(frozen=True)
class MemberResult:
    """All that was found of one member."""

    name: str
    samples: int
    laws: tuple[Kept, ...] = ()
    unchecked: tuple[Unchecked, ...] = ()
    faults: tuple[str, ...] = ()  # values that are no numbers, by place
    left_out: tuple[str, ...] = ()  # variables, or the member as a whole

    @property
    def judged(self) -> int:
        """Pairs of sample and law."""
        return sum(one.judged for one in self.laws)

    @property
    def passed(self) -> int:
        """Pairs within tolerance."""
        return sum(one.passed for one in self.laws)

    @property
    def grade(self) -> str:
        """The member's grade."""
        return grade(self.passed, self.judged)


@dataclass(frozen=True)
class LawAbout:
    """What a report says of a law itself."""

    name: str
    title: str
    unit: str
    tolerance: str  # as it was judged by, in words


@dataclass(frozen=True)
class Report:
    """What came of a check."""

    title: str
    source: str
    mark: str  # "synthetic" where the data say so of themselves
    key: str  # digest of all that the report is made of
    provenance: dict[str, object]
    laws: tuple[LawAbout, ...]
    members: tuple[MemberResult, ...]
    notes: tuple[str, ...] = ()

    @property
    def judged(self) -> int:
        """Pairs of sample and law."""
        return sum(one.judged for one in self.members)

    @property
    def passed(self) -> int:
        """Pairs within tolerance."""
        return sum(one.passed for one in self.members)

    @property
    def grade(self) -> str:
        """The grade of all."""
        return grade(self.passed, self.judged)

    @property
    def clean(self) -> bool:
        """Whether all that was judged is within tolerance and nothing was left out."""
        whole = not any(one.faults or one.left_out for one in self.members)
        return whole and self.judged > 0 and self.passed == self.judged

    def of_law(self, law: str) -> Sequence[tuple[MemberResult, Kept]]:
        """How the members keep one law, in their order."""
        return [(one, kept) for one in self.members for kept in one.laws if kept.law == law]
