"""One member held against the laws: blocks, sums, residuals, and what is kept of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.physics.budgets import BUDGETS, Residual
from astrohpc.physics.law import Budget, Tolerance
from astrohpc.physics.layout import Layout
from astrohpc.physics.sums import ZonalSums, zonal_sums, zonal_sums_torch
from astrohpc.quality.faults import Faults
from astrohpc.quality.request import Opened, mark_of_member
from astrohpc.quality.results import Kept, LawAbout, MemberResult, Unchecked
from astrohpc.quality.settings import CheckSettings
from astrohpc.quality.stream import Stream
from astrohpc.quality.subject import Fields, Subject, subject_of
from astrohpc.settings import suggest

_FEW = 2  # samples that say something of change


def laws_of(names: Sequence[str]) -> tuple[Budget, ...]:
    """The laws of these names, or all; ConfigError where there is no such law."""
    for name in names:
        if name not in BUDGETS:
            raise ConfigError(f"laws: there is no {name!r}{suggest(name, BUDGETS)}")
    return tuple(law for law in BUDGETS.values() if not names or law.name in names)


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
        possible = [law.name for law in laws if law.measure and law.applies(subject.names)]
        if subject.layout is not None and possible:
            stream = Stream(
                subject.layout,
                subject.holder.attrs,
                possible,
                subject.axes.times_s,
                str(subject.holder.attrs.get("engine", "")),
            )
            for begin, fields in subject.blocks():
                if stop():
                    return None
                sums = self._sums(fields, subject.layout, faults, begin)
                end = begin + sums.samples
                first, found = stream.add(sums, last=end == subject.samples)
                for one in found:
                    tally = tallies.setdefault(
                        one.budget.name, Tally(one.budget.name, subject.samples, self._points)
                    )
                    tally.add(first, one)
                far(end / subject.samples)
        return MemberResult(
            self._name,
            subject.samples,
            tuple(tally.kept() for tally in tallies.values() if tally.judged),
            tuple(_unchecked(subject, laws, tallies)),
            faults.sentences(),
            subject.left_out,
        )

    def _sums(self, fields: Fields, layout: Layout, faults: Faults, begin: int) -> ZonalSums:
        if self._settings.device == "cuda":
            sums = _on_gpu(fields, layout)
            if sums is not None:
                return sums
        try:
            sums = zonal_sums(fields, layout, threads=self._threads, missing="skip")
        except ConfigError:
            cleaned = faults.without_infinities(fields, begin)
            sums = zonal_sums(cleaned, layout, threads=self._threads, missing="skip")
        faults.note_missing(sums.bad, layout, begin)
        return sums


def _on_gpu(fields: Mapping[str, NDArray[Any]], layout: Layout) -> ZonalSums | None:
    """Sums of a block on the GPU; None where a value is no number, which the CPU then names."""
    import torch  # noqa: PLC0415 - only who has a GPU needs it

    if not torch.cuda.is_available():
        raise ConfigError(
            "device: cuda was asked for and torch finds no GPU; write check.device=cpu, or ask for a node "
            "with one."
        )
    there = {name: torch.from_numpy(values).cuda() for name, values in fields.items()}
    made = zonal_sums_torch(there, layout)
    arrays = [one.cpu().numpy() for one in vars(made).values()]
    return ZonalSums(*arrays) if np.isfinite(arrays[0]).all() else None


class Tally:
    """How one law is kept by one member, as its blocks come; a few numbers, whatever the length."""

    def __init__(self, law: str, samples: int, points: int) -> None:
        self._law = law
        self._stretch = -(-samples // points)  # times that share a point of the curve
        self.judged = self._passed = 0
        self._worst: tuple[float, float, float, int] | None = (
            None  # share, residual, relative, time
        )
        self._tolerance = np.nan
        self._curve: dict[int, float] = {}

    def add(self, first: int, one: Residual) -> None:
        """The residuals of samples from ``first`` on."""
        self.judged += int(one.judged.sum())
        self._passed += int(one.passed.sum())
        self._tolerance = one.tolerance.limit
        error = np.abs(one.relative if one.tolerance.relative else one.residual)
        share = np.where(one.judged, _shares(error, one.tolerance.limit), np.nan)
        for k in np.flatnonzero(one.judged).tolist():
            number = first + k
            at = number // self._stretch * self._stretch
            self._curve[at] = max(self._curve.get(at, 0.0), float(share[k]))
            if self._worst is None or share[k] > self._worst[0]:
                self._worst = (
                    float(share[k]), float(one.residual[k]), float(one.relative[k]), number,
                )  # fmt: skip

    def kept(self) -> Kept:
        """What the report says of it."""
        assert self._worst is not None, "only what was judged is told"
        share, residual, relative, time = self._worst
        return Kept(
            self._law,
            self.judged,
            self._passed,
            _finite(residual),
            _finite(relative),
            _finite(self._tolerance),
            _finite(share),
            time,
            tuple(sorted(self._curve)),
            tuple(_finite(self._curve[at]) for at in sorted(self._curve)),
        )


def _shares(error: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Of the tolerance; where that is nought, nothing but nought is within."""
    shares: NDArray[np.float64] = np.divide(
        error, limit, out=np.where(error == 0, 0.0, np.inf), where=limit > 0
    )
    return shares


def _finite(number: float) -> float | None:
    """As JSON has it: no infinities, and as many digits as the report is written with."""
    return float(f"{number:.12g}") if np.isfinite(number) else None


# ----------------------------------------------------------------------------- what is not checked
def _unchecked(
    subject: Subject, laws: Iterable[Budget], tallies: Mapping[str, Tally]
) -> Iterator[Unchecked]:
    for law in laws:
        if law.name in tallies and tallies[law.name].judged:
            continue
        yield Unchecked(law.name, needs_of(subject, law))


def needs_of(subject: Subject, law: Budget, *, before: bool = False) -> str:
    """What a law lacks in this member; ``before`` values are read it may be nothing that is known."""
    if not law.applies(subject.names):
        lacking = [subject.missing[name] for name in law.needs if name in subject.missing]
        return (" or " if law.kind == "bound" else ", ").join(lacking)
    if law.measure is None:
        return "the columns of cells, which a loader or a model has and a check of sums has not"
    if law.kind == "constant" and subject.axes.times_s is None:
        return subject.axes.why_no_times
    if law.kind == "total":
        return "an amount to be held against: other things change it in time"
    if before:
        return ""
    return "values that are all numbers, and something to be held against"


def about(names: Sequence[str], members: Sequence[MemberResult]) -> tuple[LawAbout, ...]:
    """What a report says of the laws; a tolerance is told as members were judged by it."""
    found = []
    for law in laws_of(names):
        limits = sorted(
            {kept.tolerance for one in members for kept in one.laws if kept.law == law.name}
            - {None},
            key=lambda limit: limit or 0.0,
        )
        meant = law.tolerance
        said = " or ".join(_tolerance(law, meant, limit) for limit in limits if limit is not None)
        found.append(
            LawAbout(law.name, law.title, law.unit, said or _tolerance(law, meant, meant.limit))
        )
    return tuple(found)


def _tolerance(law: Budget, meant: Tolerance, limit: float) -> str:
    return f"{limit:g} relative" if meant.relative else f"{limit:g} {law.unit}".rstrip()
