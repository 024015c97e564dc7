"""One member held against the laws: blocks, sums, residuals, and what is kept of them."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from astrohpc.errors import ConfigError
from astrohpc.physics.law import Budget
from astrohpc.physics.lawbook import BUDGETS
from astrohpc.physics.layout import Layout
from astrohpc.physics.sums import ZonalSums, zonal_sums
from astrohpc.quality.faults import Faults
from astrohpc.quality.gpu import fields_on_gpu
from astrohpc.quality.request import Opened, mark_of_member
from astrohpc.quality.results import LawAbout, MemberResult, Unchecked
from astrohpc.quality.settings import CheckSettings
from astrohpc.quality.stream import Stream
from astrohpc.quality.subject import Fields, Subject, subject_of
from astrohpc.quality.tally import Tally
from astrohpc.settings import suggest

# A mean over a month may lie above the saturation of its mean temperature.
ON_REQUEST = ("saturation",)
_FEW = 2  # samples that say something of change


def laws_of(names: Sequence[str]) -> tuple[Budget, ...]:
    """The laws of these names, or all; ConfigError where there is no such law."""
    for name in names:
        if name not in BUDGETS:
            raise ConfigError(f"laws: there is no {name!r}{suggest(name, BUDGETS)}")
    return tuple(law for law in BUDGETS.values() if not names or law.name in names)


def statement(law: Budget) -> str:
    """What a report depends on of a law that may be stated anew."""
    engines = sorted((name, one.limit, one.relative) for name, one in law.engines.items())
    own = (law.tolerance.limit, law.tolerance.relative)
    return f"{law.name} {law.kind} {law.needs} {law.uses} {own} {engines}"


def wanted(laws: Iterable[Budget]) -> tuple[str, ...]:
    """All variables that these laws take in."""
    return tuple(dict.fromkeys(name for law in laws for name in (*law.needs, *law.uses)))


def open_subject(opened: Opened, number: int, name: str, laws: Iterable[Budget]) -> Subject:
    """One member, ready to be read; ConfigError where it cannot be."""
    holder = opened.member(number)
    return subject_of(holder, _where(opened, name), wanted(laws))


def _where(opened: Opened, name: str) -> str:
    if opened.request.files:
        return name or opened.request.source.name
    return f"member {name}" if name else opened.request.source.name


class Check:
    """The check of one member."""

    def __init__(
        self,
        opened: Opened,
        number: int,
        name: str,
        settings: CheckSettings,
        points: int,
        threads: int,
    ) -> None:
        self._opened, self._number, self._name = opened, number, name
        self._settings, self._points, self._threads = settings, points, threads
        self.mark = ""

    def run(self, stop: Callable[[], bool], far: Callable[[float], None]) -> MemberResult | None:
        """What was found; None where we were asked to stop. What cannot be read is in the result."""
        where, laws = _where(self._opened, self._name), laws_of(self._settings.laws)
        try:
            subject = open_subject(self._opened, self._number, self._name, laws)
            self.mark = mark_of_member(subject.holder)
            try:
                return self._judged(subject, laws, stop, far)
            finally:
                subject.holder.close()
        except (ConfigError, OSError) as error:
            text = str(error)
            sentence = text if text.startswith((f"{where}: ", "/")) else f"{where}: {text}"
            return MemberResult(self._name, 0, left_out=(sentence,))

    def _judged(
        self,
        subject: Subject,
        laws: Sequence[Budget],
        stop: Callable[[], bool],
        far: Callable[[float], None],
    ) -> MemberResult | None:
        faults = Faults(subject.where)
        tallies: dict[str, Tally] = {}
        possible = [law.name for law in self._asked(laws) if law.applies(subject.names)]
        if subject.layout is not None and possible:
            stream = Stream(
                subject.layout,
                subject.holder.attrs,
                possible,
                subject.samples,
                subject.axes.times_s,
                str(subject.holder.attrs.get("engine", "")),
            )
            for begin, fields in subject.blocks():
                if stop():
                    return None
                fields, sums = self._sums(fields, subject.layout, faults, begin)  # noqa: PLW2901
                end = begin + sums.samples
                first, found = stream.add(sums, last=end == subject.samples)
                for start, residuals in (
                    (first, found),
                    (begin, stream.columns(fields, sums)),
                ):
                    for one in residuals:
                        if not np.isfinite(one.value).any():
                            continue
                        law = one.budget.name
                        if law not in tallies:
                            tallies[law] = Tally(law, subject.samples, self._points)
                        tallies[law].add(start, one)
                far(end / subject.samples)
        return MemberResult(
            self._name,
            subject.samples,
            tuple(tallies[law.name].kept() for law in laws if law.name in tallies),
            tuple(_unchecked(subject, laws, tallies, self._settings.laws)),
            faults.sentences(),
            subject.left_out,
        )

    def _asked(self, laws: Sequence[Budget]) -> Iterator[Budget]:
        """All laws but those that say little of means in time, unless they are asked for by name."""
        for law in laws:
            if law.name not in ON_REQUEST or law.name in self._settings.laws:
                yield law

    def _sums(
        self, fields: Fields, layout: Layout, faults: Faults, begin: int
    ) -> tuple[Fields, ZonalSums]:
        """The sums of a block, and its fields without infinities."""

        def summed(values: Fields) -> ZonalSums:
            there = fields_on_gpu(values) if self._settings.device == "cuda" else values
            return zonal_sums(there, layout, threads=self._threads, missing="skip")

        cleaned = fields
        try:
            sums = summed(fields)
        except ConfigError:
            cleaned = faults.without_infinities(fields, begin)
            sums = summed(cleaned)
        faults.note_missing(sums.bad, layout, begin, fields)
        return cleaned, sums


# ----------------------------------------------------------------------------- what is not checked
def _unchecked(
    subject: Subject,
    laws: Iterable[Budget],
    tallies: Mapping[str, Tally],
    asked: Collection[str],
) -> Iterator[Unchecked]:
    for law in laws:
        tally = tallies.get(law.name)
        if tally is not None and (tally.judged or not tally.could_be_judged):
            continue
        yield Unchecked(law.name, needs_of(subject, law, asked))


def needs_of(subject: Subject, law: Budget, asked: Collection[str], *, before: bool = False) -> str:
    """What a law lacks in this member; ``before`` values are read it may be nothing that is known."""
    if not law.applies(subject.names):
        lacking = [subject.missing[name] for name in law.needs if name in subject.missing]
        return (" or " if law.kind == "bound" else ", ").join(lacking)
    if law.name in ON_REQUEST and law.name not in asked:
        return f"to be asked for, as check.laws=[{law.name}]"
    if law.kind == "constant" and subject.samples < _FEW:
        return "two times or more"
    if law.kind == "closure" and any(name in subject.missing for name in law.uses):
        against = (subject.missing[name] for name in law.uses if name in subject.missing)
        return f"{', '.join(against)} to be held against"
    return "" if before else "samples in which all of its values are numbers"


def about(names: Sequence[str], members: Sequence[MemberResult]) -> tuple[LawAbout, ...]:
    """What a report says of the laws; a tolerance is told as members were judged by it."""
    found = []
    for law in laws_of(names):
        limits = {
            kept.tolerance
            for one in members
            for kept in one.laws
            if kept.law == law.name and kept.judged and kept.tolerance is not None
        }
        said = " or ".join(tolerance(law, limit) for limit in sorted(limits))
        found.append(LawAbout(law.name, law.title, law.unit, said or "reported"))
    return tuple(found)


def tolerance(law: Budget, limit: float) -> str:
    """A tolerance in words."""
    if not math.isfinite(limit) or law.kind == "total":
        return "reported"
    return f"{limit:.3g} relative" if law.tolerance.relative else f"{limit:.3g} {law.unit}".rstrip()
