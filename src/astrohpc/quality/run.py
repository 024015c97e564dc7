"""A check from beginning to end, on one rank or many: members shared out, results merged in one order.

A member is the unit of work and of the journal: a check that was stopped goes on with the members that
are not in it. Nothing in the report depends on how many ranks or threads there were.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from astrohpc.clock import Clock
from astrohpc.errors import ConfigError
from astrohpc.files import exclusive
from astrohpc.quality.check import Check, about, laws_of, statement
from astrohpc.quality.gpu import gpu_library
from astrohpc.quality.report import FILE, read_report, write_report
from astrohpc.quality.request import Names, Opened, Request, key_of, made_of
from astrohpc.quality.results import MemberResult, Report
from astrohpc.settings import build
from astrohpc.store.crew import share_out
from astrohpc.store.progress import Progress
from astrohpc.store.ranks import Ranks
from astrohpc.store.schema import read_metadata
from astrohpc.version import VERSION

_LOCK = "check.lock"
_CURVES = 6000  # points of one law's curves over all members, and at most and least of one
_MOST_POINTS, _FEWEST_POINTS = 240, 8
_UNITS = 10_000  # of progress; bytes are not known before a file is open


@dataclass(frozen=True)
class Outcome:
    """What came of it, for who writes the page and says the last word."""

    report: Report | None  # none: stopped before the end
    kept: bool  # the report of an earlier time still holds
    seconds: float


@dataclass(frozen=True)
class _Work:
    """What rank 0 tells the others."""

    key: str
    provenance: dict[str, object]
    names: Names
    todo: tuple[int, ...]  # members, the largest first
    done: dict[int, MemberResult]


def check(
    request: Request,
    ranks: Ranks,
    threads: int,
    clock: Clock,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> Outcome | None:
    """Check; the outcome at rank 0, None at the others. The report is written, the page is not."""
    began = clock.now()
    laws = laws_of(request.settings.laws)
    if request.settings.device == "cuda":
        gpu_library()  # where none is, that is said once and not of each member
    with _held(request, ranks) as problem:
        if problem:
            raise ConfigError(problem)
        found, kept, failure = None, None, ""
        if ranks.rank == 0:
            try:
                found, kept = _prepare(request, [statement(law) for law in laws], say)
            except (ConfigError, OSError) as error:
                failure = str(error)
        work, same, failure = ranks.share((found, kept is not None, failure))
        if failure:
            raise ConfigError(failure)
        if same:
            return Outcome(kept, True, clock.now() - began) if ranks.rank == 0 else None
        results, stopped, marks = _all(request, work, ranks, threads, clock, stop, say)
        gathered = ranks.gather((results, stopped, marks))
        if gathered is None:
            return None
        done = dict(work.done)
        for part in gathered:
            done |= part[0]
        mark = next((m for m in (work.names.mark, *(p[2] for p in gathered)) if m), "")
        report = None
        if len(done) == len(work.names.names):
            report = _report(request, work, [done[i] for i in range(len(done))], mark)
            write_report(request.place / FILE, report)
            for path in _journals(request.place):
                path.unlink()
        return Outcome(report, False, clock.now() - began)


@contextmanager
def _held(request: Request, ranks: Ranks) -> Iterator[str]:
    """Hold the folder of the report at rank 0; yields a sentence where that cannot be."""
    with ExitStack() as stack:
        problem = ""
        if ranks.rank == 0:
            try:
                request.place.mkdir(parents=True, exist_ok=True)
                if not stack.enter_context(exclusive(request.place / _LOCK)):
                    problem = f"{request.source}: another check of it is at work; wait until that is over."
            except OSError as error:
                problem = (
                    f"{request.place}: cannot be written ({error.strerror}); name a folder for the report "
                    "with --into."
                )
        yield ranks.share(problem)


def _prepare(
    request: Request, laws: Sequence[str], say: Callable[[str], None]
) -> tuple[_Work | None, Report | None]:
    """The work that is left; or the report of an earlier time, where it is of the same data."""
    provenance = made_of(request)
    key = key_of(request, laws, provenance)
    try:
        before = read_report(request.place / FILE)
    except ConfigError:
        before = None
    if before is not None and before.key == key:
        return None, before
    opened = Opened(request, 1, None)
    try:
        names = opened.names()
    finally:
        opened.close()
    done = {i: one for i, one in _read_journals(request.place, key) if i < len(names.names)}
    if done:
        say(f"{len(done)} of {len(names.names)} members are checked already")
    left = [i for i in range(len(names.names)) if i not in done]
    left.sort(key=lambda i: (-names.weights[i], i))
    return _Work(key, provenance, names, tuple(left), done), None


# ----------------------------------------------------------------------------- members
def _all(
    request: Request,
    work: _Work,
    ranks: Ranks,
    threads: int,
    clock: Clock,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> tuple[dict[int, MemberResult], bool, str]:
    """Check members until there are no more: results by number, whether we were stopped, the mark."""
    hands = request.settings.hands(threads, -(-len(work.todo) // ranks.size))
    root = ranks.share(read_metadata(request.source) if ranks.rank == 0 else None)
    opened = Opened(request, max(1, threads // hands), root)
    results: dict[int, MemberResult] = {}
    marks: dict[int, str] = {}
    points = max(_FEWEST_POINTS, min(_MOST_POINTS, _CURVES // len(work.names.names)))
    far = _Far(work, clock, say if ranks.rank == 0 else _quiet)
    journal = (request.place / f"check-{ranks.rank}.jsonl").open("a", encoding="utf-8")

    def labour(_hand: int, place: int) -> MemberResult | None:
        number = work.todo[place]
        check = Check(
            opened, number, work.names.names[number], request.settings, points,
            max(1, threads // hands),
        )  # fmt: skip
        made = check.run(stop, lambda share: far.within(place, share))
        marks[number] = check.mark
        return made

    def note(place: int, made: MemberResult | None) -> None:
        if made is None:
            return
        number = work.todo[place]
        results[number] = made
        line = {"key": work.key, "member": number, "result": asdict(made)}
        journal.write(json.dumps(line, allow_nan=False) + "\n")
        journal.flush()
        far.beyond(ranks.add(far.amount(place)))

    try:
        stopped = share_out(len(work.todo), range(hands), labour, note, ranks, stop)
    finally:
        opened.close()
        os.fsync(journal.fileno())
        journal.close()
    mark = next((marks[i] for i in sorted(marks) if marks[i]), "")
    return results, stopped, mark


def _quiet(_text: str) -> None:
    return


class _Far:
    """How far the check is: members that are done, by their weight, and parts of those at hand."""

    def __init__(self, work: _Work, clock: Clock, say: Callable[[str], None]) -> None:
        weights = [max(1, work.names.weights[i]) for i in work.todo]
        self._amounts = [max(1, weight * _UNITS // max(1, sum(weights))) for weight in weights]
        self._parts: dict[int, int] = {}
        self._done = 0
        self._lock = threading.Lock()
        self._said = Progress(max(1, sum(self._amounts)), clock, say)

    def amount(self, place: int) -> int:
        """A member's part of all."""
        return self._amounts[place]

    def within(self, place: int, share: float) -> None:
        """Told by the threads after each block."""
        with self._lock:
            self._parts[place] = int(share * self._amounts[place])
            self._said.share(self._done + sum(self._parts.values()))

    def beyond(self, done: int) -> None:
        """Told when a member is done: the sum over all ranks."""
        with self._lock:
            self._done = done
            self._parts = {p: n for p, n in self._parts.items() if n < self._amounts[p]}
            self._said.share(self._done + sum(self._parts.values()))


# ----------------------------------------------------------------------------- journal and report
def _journals(place: Path) -> list[Path]:
    return sorted(place.glob("check-*.jsonl"))


def _read_journals(place: Path, key: str) -> Iterable[tuple[int, MemberResult]]:
    """Members that were finished with the same data and settings; a line that a kill cut is none."""
    for path in _journals(place):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
                if record["key"] == key:
                    yield int(record["member"]), build(MemberResult, record["result"], "journal")
            except (ValueError, KeyError, TypeError, ConfigError):
                continue


def _report(request: Request, work: _Work, members: Sequence[MemberResult], mark: str) -> Report:
    provenance = {"astrohpc": VERSION, "commit": request.commit, **work.provenance}
    provenance["settings"] = dict(request.settings.decides())
    return Report(
        title=request.title,
        source=str(request.source),
        mark=mark,
        key=work.key,
        provenance=provenance,
        laws=about(request.settings.laws, members),
        members=tuple(members),
        notes=(*request.notes, *work.names.notes),
    )
