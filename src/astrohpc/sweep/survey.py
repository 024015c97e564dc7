"""Where every member stands, read from files alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from astrohpc.clock import Clock
from astrohpc.outcome import Outcome
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.ledger import Book, Submission
from astrohpc.sweep.members import Member
from astrohpc.sweep.state import Attempt, Damaged, State, read

Status = Literal[
    "new",  # never submitted, or submitted by nobody now
    "queued",  # a submission that is not over covers it
    "running",  # its job wrote within the last heartbeats
    "silent",  # its job has not written for long; only the scheduler can tell why
    "ended",  # its last attempt ended otherwise than done, and nothing covers it
    "stopped",  # the policy will not run it again
    "branched",  # a remedy of it runs as another row
    "done",
]


@dataclass
class View:
    """One member, as its files show it."""

    member: Member
    status: Status
    state: State | Damaged | None = None
    submission: Submission | None = None

    @property
    def attempts(self) -> Sequence[Attempt]:
        """Attempts so far."""
        return self.state.attempts if isinstance(self.state, State) else ()

    @property
    def task(self) -> int | None:
        """The array task that covers it."""
        if self.submission is None:
            return None
        array = self.submission.array
        return (self.member.index - array.offset) // array.pack


def survey(
    folder: SweepFolder,
    members: Sequence[Member],
    book: Book,
    clock: Clock,
    stale_s: float,
    *,
    all_states: bool = False,
    kept: dict[int, State] | None = None,
) -> list[View]:
    """Read where each member stands; settled ones are not read again unless ``all_states``.

    A member that was done counts only while its state is there: results are deleted, and purged.

    ``kept`` collects the states of members that are done, so that who looks often reads them once.
    """
    covering: dict[int, Submission] = {}
    for submission in book.open("array"):
        for index in submission.members():
            covering[index] = submission
    now = clock.now()
    views = []
    for member in members:
        settled = book.settled.get(member.index)
        state: State | Damaged | None = kept.get(member.index) if kept else None
        if state is None and (all_states or settled is None):
            state = read(folder.member(member.id))
        view = View(member, "new", state, covering.get(member.index))
        if settled == Outcome.DONE and not _still_there(folder, view, all_states=all_states):
            settled = None
        forgiven = book.reopened.get(member.index, 0)
        view.status = _settled(settled) if settled else _status(view, now, stale_s, forgiven)
        if kept is not None and isinstance(state, State) and view.status == "done":
            kept[member.index] = state
        views.append(view)
    return views


def _still_there(folder: SweepFolder, view: View, *, all_states: bool) -> bool:
    if view.state is None and not all_states:
        return (folder.member(view.member.id) / "state.json").exists()
    return isinstance(view.state, State)


def _settled(outcome: str) -> Status:
    if outcome == Outcome.DONE:
        return "done"
    return "branched" if outcome == "branched" else "stopped"


def _status(view: View, now: float, stale_s: float, forgiven: int) -> Status:
    """``forgiven`` is how many attempts were made before it was reopened: their end is no longer its."""
    state = view.state
    if (
        isinstance(state, State)
        and state.outcome == Outcome.DONE
        and len(state.attempts) > forgiven
    ):
        return "done"
    if isinstance(state, State) and state.last and state.last.running:
        return "running" if now - state.updated < stale_s else "silent"
    if view.submission is not None:
        return "queued"
    return "ended" if state is not None else "new"
