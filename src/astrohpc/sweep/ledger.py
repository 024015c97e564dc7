"""The ledger: append-only JSON lines, written before and after everything that cannot be undone.

Only the launcher that holds the sweep's lock appends. A line is on disk before the next step begins,
so that a kill at any point leaves at worst an intent without an answer, or half a last line.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from astrohpc.clock import Clock
from astrohpc.errors import ConfigError
from astrohpc.outcome import Outcome
from astrohpc.slurm.directives import format_indices, parse_indices
from astrohpc.slurm.request import Array, Resources
from astrohpc.slurm.states import phase

Kind = Literal["array", "build", "keeper"]


@dataclass
class Submission:
    """One call of sbatch, from its intent on."""

    key: str
    kind: Kind
    name: str
    time: float
    array: Array
    resources: Resources
    job: str | None = None
    closed: bool = False
    throttle: int = 0  # tasks at once, as last set
    live: frozenset[int] | None = None  # tasks that waited or ran when the scheduler was last asked

    @property
    def certain(self) -> bool:
        """Whether we know that the scheduler took it."""
        return self.job is not None

    def members(self) -> list[int]:
        """Indices of the members that its tasks have in hand, so far as is known."""
        return self._of(self.array.tasks if self.live is None else sorted(self.live))

    def all_members(self) -> list[int]:
        """Indices of the members that it was submitted for."""
        return self._of(self.array.tasks)

    def _of(self, tasks: Iterable[int]) -> list[int]:
        return [index for task in tasks for index in self.array.members(task)]


@dataclass
class Book:
    """What the ledger says, folded."""

    submissions: dict[str, Submission] = field(default_factory=dict)
    settled: dict[int, str] = field(default_factory=dict)  # final outcomes; nobody need look again
    reopened: dict[int, int] = field(default_factory=dict)  # attempts that `retry` has forgiven
    blocks: list[int] = field(default_factory=list)  # sizes in which the design has grown
    throttle: int | None = None
    released: Counter[str] = field(default_factory=Counter)  # tasks that Slurm had held by accident
    failures: Counter[str] = field(default_factory=Counter)  # members given up, by outcome
    fruitless: int = 0  # arrays in a row that ended without beginning a member
    reported: bool = False  # whether a report was written after the last change
    stopped: str = ""  # why nothing more is submitted until a person says so
    last_query: float = float("-inf")
    queries: int = 0
    seen: list[tuple[str, str, str, list[int]]] = field(default_factory=list)
    """What the scheduler last said of our jobs: job, state, reason, tasks."""
    shared: dict[int, str] = field(
        default_factory=dict
    )  # members that lie in another sweep's folder
    lost: set[str] = field(default_factory=set)  # keys of submissions whose intent is not there
    digest: str = ""  # of the design and engine that members.tsv was last made from

    def is_done(self, index: int) -> bool:
        """Whether a member was done when it was last looked at."""
        return self.settled.get(index) == Outcome.DONE

    @property
    def serial(self) -> int:
        """Number of the next submission, which makes its key another than those of all before."""
        return len(self.submissions) + len(self.lost)

    def open(self, kind: Kind | None = None) -> list[Submission]:
        """Submissions that are not known to be over."""
        return [s for s in self.submissions.values() if not s.closed and kind in (None, s.kind)]


class Ledger:
    """``events.jsonl`` of one sweep."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock

    def append(self, event: str, **details: Any) -> None:
        """Write one event and wait until the disk has it."""
        line = json.dumps({"time": round(self.clock.now(), 3), "event": event, **details}) + "\n"
        with self.path.open("ab+") as file:
            self._mend_tail(file.fileno())
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def _mend_tail(self, handle: int) -> None:
        """Take away the half line that a killed launcher left.

        It was never acted upon, for we act only once the whole line is on disk.
        """
        size = os.fstat(handle).st_size
        if size == 0 or os.pread(handle, 1, size - 1) == b"\n":
            return
        data = os.pread(handle, size, 0)
        os.ftruncate(handle, data.rfind(b"\n") + 1)

    def events(self) -> Iterable[dict[str, Any]]:
        """All events, oldest first."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        lines = data.split(b"\n")
        for number, line in enumerate(
            lines[:-1], start=1
        ):  # after the last newline: nothing, or half
            try:
                event = json.loads(line)
                if not isinstance(event, dict) or "event" not in event:
                    raise ValueError("not an event")
            except (ValueError, RecursionError):
                named = re.search(rb'"event": *"(\w+)', line)
                raise ConfigError(
                    f"{self.path}: line {number} is not an event of ours ({line[:40]!r}); "
                    + _without(named[1].decode() if named else "")
                ) from None
            yield event

    def fold(self) -> Book:
        """Read what all the events come to."""
        book = Book()
        for event in self.events():
            try:
                _apply(book, event)
            except (KeyError, TypeError, ValueError) as error:
                raise ConfigError(
                    f"{self.path}: the event {event.get('event')!r} of {event.get('time')} lacks {error}; "
                    + _without(str(event["event"]))
                ) from error
        return book


def _without(event: str) -> str:
    """What to do about a line of this event that cannot be read, and why that loses nothing."""
    remove = "restore that line from a backup, or remove that line"
    match event:
        case "created" | "extended" | "confirmed":
            return f"{remove} and give the same 'launch sweep' command again: members.tsv tells what it made."
        case "intent":
            return (
                f"{remove} and give the same 'launch sweep' command again: a member that its job still "
                "has in the queue is queued twice then, and runs once."
            )
        case "reopened" | "throttled" | "stopped" | "resumed" | "cancelled":
            return f"{remove} and give the command again that wrote it ('retry', 'throttle' or 'cancel')."
        case "":
            return (
                f"{remove} and give the same 'launch sweep' command again: the rest is found from the "
                "scheduler, members.tsv and the members' folders, but for what 'retry' and 'throttle' said."
            )
    return f"{remove}: what it recorded is found again from the scheduler and the members' folders."


def _apply(book: Book, event: dict[str, Any]) -> None:
    match event["event"]:
        case "created":
            book.blocks = [int(event["members"])]
            book.digest = event["digest"]
        case "extended":
            book.blocks.append(int(event["members"]))
            book.digest = event["digest"]
        case "confirmed":
            book.digest = event["digest"]
        case "shared":
            book.shared |= dict.fromkeys(parse_indices(event["members"]), event["home"])
        case "intent" | "submitted" | "refused" | "closed" | "shared_out":
            _apply_to_submission(book, event)
        case "reported":
            book.reported = True
        case "settled":
            book.reported = False
            indices = parse_indices(event["members"])
            book.settled |= dict.fromkeys(indices, event["outcome"])
            book.failures[event["outcome"]] += len(indices)
        case "lost":
            for index in parse_indices(event["members"]):
                book.settled.pop(index, None)
        case "reopened":
            for index, attempts in zip(
                parse_indices(event["members"]), event["attempts"], strict=True
            ):
                book.settled.pop(index, None)
                book.reopened[index] = attempts
        case "limits":
            book.queries += event["queries"]
        case "queried":
            book.last_query = event["time"]
            book.queries += event["queries"]
            if event["answered"]:
                _see(book, event["jobs"])
        case "released":
            book.released[event["task"]] += 1
        case "throttled":
            book.throttle = event["at_once"]
        case "cancelled":
            book.last_query = float("-inf")  # what was queued is gone: the next launcher must look
        case "stopped":
            book.stopped = event["why"]
        case "resumed":
            book.stopped, book.fruitless = "", 0
            book.failures.clear()


def _apply_to_submission(book: Book, event: dict[str, Any]) -> None:
    if event["event"] != "intent" and event["key"] not in book.submissions:
        book.lost.add(event["key"])  # a person has removed its intent, as we say one may
        return
    match event["event"]:
        case "intent":
            book.submissions[event["key"]] = Submission(
                key=event["key"],
                kind=event["kind"],
                name=event["name"],
                time=event["time"],
                array=Array(
                    tasks=tuple(parse_indices(event["tasks"])) if event["tasks"] else (),
                    throttle=event["throttle"],
                    offset=event["offset"],
                    pack=event["pack"],
                    only=tuple(parse_indices(event["only"])) if event["only"] else None,
                ),
                resources=Resources(
                    walltime_s=event["walltime_s"],
                    mem_mib=event["mem_mib"],
                    exclude=tuple(event["exclude"]),
                ),
                throttle=event["throttle"],
            )
        case "submitted":
            book.submissions[event["key"]].job = event["job"]
            book.reported = False
        case "refused":
            book.submissions[event["key"]].closed = True
        case "closed":
            book.submissions[event["key"]].closed = True
            if book.submissions[event["key"]].kind == "array":
                book.fruitless = 0 if event["began"] else book.fruitless + 1
        case "shared_out":
            book.submissions[event["key"]].throttle = event["at_once"]


def _see(book: Book, rows: Iterable[tuple[str, str, str, str]]) -> None:
    book.seen = [
        (job, state, why, parse_indices(tasks) if tasks else []) for job, state, why, tasks in rows
    ]
    for submission in book.open("array"):
        if submission.certain:
            submission.live = frozenset(
                task
                for job, state, _, tasks in book.seen
                if job == submission.job and phase(state) != "over"
                for task in tasks
            )


def intent_fields(submission: Submission) -> dict[str, Any]:
    """Return what the intent's line holds, the other half of folding it."""
    return {
        "key": submission.key,
        "kind": submission.kind,
        "name": submission.name,
        "tasks": format_indices(submission.array.tasks),
        "throttle": submission.array.throttle,
        "offset": submission.array.offset,
        "pack": submission.array.pack,
        "only": format_indices(submission.array.only or ()),
        "walltime_s": submission.resources.walltime_s,
        "mem_mib": submission.resources.mem_mib,
        "exclude": list(submission.resources.exclude),
    }
