"""state.json: what is known of one member, and who may write it.

An attempt is claimed by creating ``.attempt-N`` exclusively, which every file system that a cluster
shares does atomically. Whoever holds the newest claim may write; an older holder finds the newer claim
at its next write and stops. The launcher writes only after the scheduler has said that the holder is
gone.
"""

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from astrohpc.clock import Clock
from astrohpc.engines.base import Progress
from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic
from astrohpc.outcome import Outcome, Verdict
from astrohpc.settings import build

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try at a member: who, where, when, and how it ended."""

    n: int
    job: str  # 1234_5, local-1_5, or host:pid where there is no scheduler
    host: str
    started: float
    ended: float | None = None
    outcome: str = ""  # empty while it runs
    reason: str = ""
    model_years: float | None = None
    max_rss_mib: int | None = None

    @property
    def running(self) -> bool:
        """Whether it has not said how it ended."""
        return self.outcome == ""


@dataclass(frozen=True, kw_only=True)
class State:
    """The whole of ``state.json``."""

    id: str
    index: int
    attempts: tuple[Attempt, ...] = ()
    progress: Mapping[str, float] = field(default_factory=dict)
    summary: Mapping[str, float | str | bool] = field(default_factory=dict)
    updated: float = 0.0
    schema: int = SCHEMA

    @property
    def last(self) -> Attempt | None:
        """The newest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def outcome(self) -> str:
        """How the newest attempt ended; empty while it runs or where there is none."""
        return self.attempts[-1].outcome if self.attempts else ""


@dataclass(frozen=True)
class Damaged:
    """A ``state.json`` that cannot be read; the model's own files are untouched."""

    path: Path


def read(folder: Path) -> State | Damaged | None:
    """The member's state, or None where no attempt has begun."""
    path = folder / "state.json"
    try:
        written = json.loads(path.read_bytes())
        if isinstance(written, dict) and isinstance(version := written.get("schema"), int):
            _refuse_later(path, version)
        return build(State, written, "state.json")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except LaterVersion:
        raise
    except (ValueError, RecursionError):  # the latter of brackets in brackets without end
        return Damaged(path)


class LaterVersion(ConfigError):
    """A file of a later astrohpc, which must not be taken for a damaged one."""


def _refuse_later(path: Path, version: int) -> None:
    if version > SCHEMA:
        raise LaterVersion(
            f"{path}: a later version of astrohpc has written it (schema {version}, this one knows "
            f"{SCHEMA}); update this installation."
        )


def write(folder: Path, state: State) -> None:
    """Replace ``state.json``."""
    write_atomic(folder / "state.json", json.dumps(asdict(state), indent=1) + "\n")


class Fenced(Exception):
    """A newer attempt has taken this member over; whoever sees this must write nothing more."""


@dataclass(frozen=True)
class Busy:
    """Another attempt holds the member, or it needs none."""

    why: str
    done: bool = False


class Claim:
    """The right to run a member, for as long as no newer attempt exists."""

    def __init__(self, folder: Path, state: State, clock: Clock) -> None:
        self.folder = folder
        self.state = state
        self.clock = clock
        self.attempt = state.attempts[-1]

    def check(self) -> None:
        """Raise Fenced if a newer attempt exists, or existed: the newest one removes all older claims."""
        claims = _claims(self.folder)
        if max(claims, default=0) != self.attempt.n:
            newest = f"attempt {max(claims)}" if claims else "another attempt"
            raise Fenced(f"{newest} has taken over from attempt {self.attempt.n}")

    def note(self, progress: Progress) -> None:
        """Keep how far the model is, for the next time that the state is written."""
        self.state = replace(self.state, progress=asdict(progress))

    def heartbeat(self) -> None:
        """Say that we live and how far the model is."""
        self.check()
        self.state = replace(self.state, updated=self.clock.now())
        write(self.folder, self.state)

    def finish(self, verdict: Verdict, summary: Mapping[str, float | str | bool]) -> None:
        """Record how the attempt ended."""
        self.check()
        self.state = ended(self.state, verdict, self.clock.now(), summary=summary)
        write(self.folder, self.state)


def ended(
    state: State,
    verdict: Verdict,
    now: float,
    *,
    summary: Mapping[str, float | str | bool] | None = None,
    max_rss_mib: int | None = None,
) -> State:
    """The state with its newest attempt ended by ``verdict``."""
    last = replace(
        state.attempts[-1],
        ended=now,
        outcome=str(verdict.outcome),
        reason=verdict.reason,
        model_years=state.progress.get("model_years"),
        max_rss_mib=max_rss_mib,
    )
    return replace(
        state, attempts=(*state.attempts[:-1], last), summary=summary or state.summary, updated=now
    )


def claim(
    folder: Path,
    *,
    member: str,
    index: int,
    job: str,
    host: str,
    clock: Clock,
    stale_s: float,
    goes_on: Callable[[], bool] = lambda: False,
) -> Claim | Busy:
    """Take the next attempt at a member, unless it is done or someone else holds it.

    ``goes_on`` says of a member that is done whether more is asked of it now than was then.

    A running attempt of the same job is our own earlier life: Slurm requeues a task only after it has
    killed it (or, on a cut network, believes so: then fencing ends the old one). An attempt of another
    job is respected until its heartbeat is older than ``stale_s``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = read(folder)
    if isinstance(state, Damaged):
        state.path.replace(folder / "state.json.damaged")
        state = None
    if state is not None and state.outcome == Outcome.DONE and not goes_on():
        return Busy("it is done", done=True)
    last = state.last if state else None
    now = clock.now()
    if state and last and last.running and last.job != job and now - state.updated < stale_s:
        return Busy(f"job {last.job} on {last.host} is at work on it")
    number = _take(folder, (last.n if last else 0) + 1, now, stale_s)
    if number is None:
        return Busy("another job has just taken it")
    attempts = state.attempts if state else ()
    if state and last and last.running:  # it left no word, and nobody has settled it since
        lost = Verdict(Outcome.UNKNOWN, f"job {last.job} ended without a word")
        attempts = ended(state, lost, now).attempts
    new = Attempt(n=number, job=job, host=host, started=now)
    state = replace(
        state or State(id=member, index=index), index=index, attempts=(*attempts, new), updated=now
    )
    taken = Claim(folder, state, clock)
    try:
        taken.check()  # we may have been stopped for long between our claim and this line
    except Fenced as fenced:
        return Busy(str(fenced))
    write(folder, state)
    for old in sorted(_claims(folder)):
        if old < number:
            (folder / f".attempt-{old}").unlink(missing_ok=True)
    return taken


def _claims(folder: Path) -> set[int]:
    """Numbers of the attempts that have claimed the member and not been superseded."""
    names = (entry.name.removeprefix(".attempt-") for entry in os.scandir(folder))
    return {int(name) for name in names if name.isascii() and name.isdecimal()}


def _take(folder: Path, number: int, now: float, stale_s: float) -> int | None:
    """Create ``.attempt-N`` exclusively; step over claims whose holders died before they wrote."""
    while True:
        path = folder / f".attempt-{number}"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                if now - path.stat().st_mtime < stale_s:
                    return None
            number += 1
        else:
            return number


def settle(
    folder: Path, state: State, verdict: Verdict, clock: Clock, max_rss_mib: int | None = None
) -> State:
    """End an attempt whose job is gone, in the launcher's name; jobs may then claim the member anew."""
    state = ended(state, verdict, clock.now(), max_rss_mib=max_rss_mib)
    write(folder, state)
    return state


def foreign_files(folder: Path, known: frozenset[str]) -> list[str]:
    """Names in a member's folder that neither we nor its model wrote."""
    ours = {"state.json", "state.json.damaged"}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(
            entry.name
            for entry in os.scandir(folder)
            if entry.name not in known | ours and not entry.name.startswith(".")
        )
    return []


def from_json(value: Any) -> Progress | None:
    """Progress as it stands in a state, or None where none was reported yet, or none of ours."""
    with contextlib.suppress(TypeError):
        return Progress(**value) if value else None
    return None
