"""Reconcile: bring what the files say and what the scheduler says to one account.

Done by whoever runs a verb that may submit, holding the sweep's lock. It asks the scheduler at most
once per ``query_interval_s``, decides nothing where the scheduler is silent, and writes down an outcome
for every attempt whose job ended without one.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from astrohpc.clock import duration
from astrohpc.outcome import Outcome, Verdict
from astrohpc.slurm.client import SUBMIT_TIMEOUT_S, JobSeen, SchedulerRefused, SchedulerSilent
from astrohpc.slurm.directives import format_indices
from astrohpc.slurm.states import HELD_BY_ACCIDENT, OUTCOME_OF_STATE
from astrohpc.slurm.whoami import own_job
from astrohpc.sweep.ledger import Book, Submission
from astrohpc.sweep.members import Member
from astrohpc.sweep.session import Session
from astrohpc.sweep.state import Attempt, Damaged, State, ended, read, settle, write
from astrohpc.sweep.survey import View, survey

# An intent without a job id that the scheduler does not know either, this long after it was written,
# was never submitted: the launcher was killed before sbatch, or sbatch before it reached slurmctld. An
# sbatch may outlive its launcher, so it is longer than we let one take.
ORPHAN_GRACE_S = SUBMIT_TIMEOUT_S + 60.0
RELEASES = 3  # of one task that Slurm holds again and again

Rows = Mapping[tuple[str, int | None], JobSeen]


@dataclass
class Account:
    """Where a sweep stands after reconciling."""

    book: Book
    views: list[View]
    current: bool  # the scheduler has just answered, or there was nothing to ask it
    notes: list[str] = field(default_factory=list)
    in_queue: int = 0  # tasks of this user that wait or run, of whatever sweep
    rest_s: float = 0.0  # until the scheduler, whose word is wanted, may be asked again


def reconcile(session: Session, members: Sequence[Member]) -> Account:
    """Settle what can be settled now; ``rest_s`` says when more can be."""
    book = session.ledger.fold()
    views = survey(session.folder, members, book, session.clock, session.stale_s)
    _settle_done(session, views, book)
    if not _worth_asking(session, book, views):
        return Account(book, views, current=True)
    rest = session.config.site.query_interval_s - (session.clock.now() - book.last_query)
    if rest > 0:
        note = f"the scheduler was asked just now; it may be asked again in {duration(rest)}"
        known = sum(len(s.live or s.array.tasks) for s in book.open("array"))
        return Account(book, views, current=False, notes=[note], in_queue=known, rest_s=rest)
    return _ask(session, members, book, views)


def _worth_asking(session: Session, book: Book, views: Iterable[View]) -> bool:
    """Whether the scheduler can tell anything that we need to know."""
    if any(submission.job is None or submission.job != own_job() for submission in book.open()):
        return True  # more is queued than the keeper that asks
    statuses = {view.status for view in views}
    if "silent" in statuses:
        return True
    limits = session.limits if statuses & {"new", "ended"} else None
    return limits is not None and limits.max_submit is not None  # how much room is left?


def _settle_done(session: Session, views: Iterable[View], book: Book) -> None:
    """Note members that are newly done, and close submissions that are all done: files tell enough.

    Members that were done and have lost their files since (deleted, or purged) are no longer settled.
    """
    lost = [v.member.index for v in views if v.status != "done" and book.is_done(v.member.index)]
    if lost:
        session.ledger.append("lost", members=format_indices(lost))
        session.say(f"{len(lost)} members were done and have lost their results; they run again")
        for index in lost:
            book.settled.pop(index)
    done = {view.member.index for view in views if view.status == "done"}
    fresh = sorted(done - book.settled.keys())
    if fresh:
        session.ledger.append("settled", outcome=str(Outcome.DONE), members=format_indices(fresh))
        book.settled |= dict.fromkeys(fresh, str(Outcome.DONE))
    existing = {view.member.index for view in views}
    for submission in book.open("array"):
        if done >= existing.intersection(submission.members()):
            _close(session, submission, began=True)


def _close(
    session: Session, submission: Submission, event: str = "closed", **details: object
) -> None:
    session.ledger.append(event, key=submission.key, **details)
    submission.closed = True


def _ask(session: Session, members: Sequence[Member], book: Book, views: Sequence[View]) -> Account:
    queries = 1
    try:
        seen = session.scheduler.jobs()
        adopted = _adopt(session, book, seen)
        rows: dict[tuple[str, int | None], JobSeen] = {(one.job, one.task): one for one in seen}
        puzzling = [view for view in views if _puzzling(session, book, view, rows)]
        names = [s.name for s in book.open() if not s.certain]
        if puzzling or names:
            queries += 1
            jobs = {job for job, _ in map(_job_of, puzzling) if job.isdigit()}
            past = session.scheduler.history(jobs, names)
            adopted += _adopt(session, book, past)
            # Accounting lags: where slurmctld has a live job, it may still tell of that job's earlier life.
            for one in past:
                known = rows.get((one.job, one.task))
                if one.phase == "over" and (known is None or known.phase == "over"):
                    rows[one.job, one.task] = one
    except SchedulerSilent as silent:
        session.ledger.append("queried", queries=queries, answered=False, jobs=[])
        note = f"the scheduler does not answer ({silent}): nothing is decided or submitted until it does"
        rest = session.config.site.query_interval_s
        return Account(book, list(views), current=False, notes=[note], rest_s=rest)
    session.ledger.append("queried", queries=queries, answered=True, jobs=_compact(seen, book))
    notes = [f"adopted job {s.job}, which an interrupted launcher had submitted" for s in adopted]
    grace = ORPHAN_GRACE_S if session.config.site.scheduler == "slurm" else 0.0
    for submission in book.open():
        if not submission.certain and session.clock.now() - submission.time > grace:
            _close(session, submission, "refused", why="the scheduler never got it")
    notes += _release_held(session, book, seen)
    begun = {attempt.job for view in views for attempt in view.attempts}
    for view in puzzling:
        notes += _explain_end(session, book, view, begun, rows)
    jobs_begun = {job.partition("_")[0] for job in begun}
    for submission in book.open():
        if submission.certain and not _alive(submission, rows):
            # Members that are settled are not read again: theirs began some time ago.
            settled = any(index in book.settled for index in submission.all_members())
            _close(session, submission, began=settled or submission.job in jobs_begun)
    book = session.ledger.fold()
    views = survey(session.folder, members, book, session.clock, session.stale_s)
    _settle_done(session, views, book)
    in_queue = sum(one.phase != "over" for one in seen)
    return Account(book, list(views), current=True, notes=notes, in_queue=in_queue)


# ------------------------------------------------------------------------------ submissions
def _adopt(session: Session, book: Book, seen: Iterable[JobSeen]) -> list[Submission]:
    """Give intents without an id the job that bears their name and is not older than they are."""
    wanted = {s.name: s for s in book.open() if not s.certain}
    adopted = []
    for one in seen:
        submission = wanted.get(one.name)
        if submission and not submission.certain and one.submitted >= submission.time - 60:
            session.ledger.append("submitted", key=submission.key, job=one.job, adopted=True)
            submission.job = one.job
            adopted.append(submission)
    return adopted


def _alive(submission: Submission, rows: Rows) -> bool:
    """Whether any task of it waits or runs."""
    assert submission.job is not None
    found = (rows.get((submission.job, task)) for task in submission.array.tasks or (None,))
    return any(one is not None and one.phase != "over" for one in found)


def _compact(seen: Iterable[JobSeen], book: Book) -> list[list[str]]:
    """Our jobs as (job, state, reason, tasks), short enough for a line of the ledger."""
    ours = {s.job for s in book.open()}
    groups: dict[tuple[str, str, str], list[int]] = {}
    for one in seen:
        if one.job in ours:
            tasks = groups.setdefault((one.job, one.state, one.reason), [])
            if one.task is not None:
                tasks.append(one.task)
    return [[*key, format_indices(tasks)] for key, tasks in groups.items()]


def _release_held(session: Session, book: Book, seen: Iterable[JobSeen]) -> list[str]:
    """Let tasks go that Slurm held because their start went wrong, but not for ever."""
    ours = {s.job for s in book.open()}
    notes = []
    for one in seen:
        name = one.job if one.task is None else f"{one.job}_{one.task}"
        held = one.job in ours and one.phase == "waiting" and one.reason == HELD_BY_ACCIDENT
        if held and book.released[name] < RELEASES:
            session.ledger.append("released", task=name)
            with contextlib.suppress(SchedulerSilent, SchedulerRefused):  # it may be gone by now
                session.scheduler.release(one.job, one.task)
                notes.append(f"released task {name}, which Slurm held because its start had failed")
    return notes


# ------------------------------------------------------------------------------ members
def _job_of(view: View) -> tuple[str, int | None]:
    """The job and task that hold a member, or that should have run it."""
    if view.status in ("running", "silent"):
        job, _, task = view.attempts[-1].job.partition("_")
        return job, int(task) if task.isdigit() else None
    if view.status == "queued" and view.submission is not None:
        return view.submission.job or "", view.task
    return "", None


def _puzzling(session: Session, book: Book, view: View, rows: Rows) -> bool:
    """Whether a member should be in some job's hands, while the scheduler has no such live job."""
    job, task = _job_of(view)
    if not job:
        return False
    if session.config.site.scheduler == "slurm":
        ours = job.isdigit()
    else:
        ours = job.startswith("local-") and view.member.index not in book.shared
    if not ours:  # started by hand, or by a neighbour's scheduler: its heartbeat is all we have
        return view.status == "silent"
    one = rows.get((job, task))
    return one is None or one.phase == "over"


def _explain_end(
    session: Session, book: Book, view: View, begun: set[str], rows: Rows
) -> list[str]:
    """Write down how an attempt ended that left no word, or that a task ended before it began."""
    one = rows.get(_job_of(view))
    folder = session.folder.member(view.member.id)
    before, view.state = view.state, read(folder)
    if view.attempts != (before.attempts if isinstance(before, State) else ()):
        return []  # it spoke between our look at its files and our question to the scheduler
    if isinstance(view.state, State) and view.status in ("running", "silent"):
        verdict = _verdict(session, view, one)
        view.state = settle(
            folder, view.state, verdict, session.clock, one.max_rss_mib if one else None
        )
        return [
            f"member {view.member.index}: {verdict.outcome.replace('_', ' ')}, {verdict.reason}"
        ]
    if isinstance(view.state, Damaged) or one is None or view.submission is None:
        return []
    neighbours = view.submission.array.members(one.task or 0)
    if _never_began(one, begun) and not any(index in book.settled for index in neighbours):
        folder.mkdir(parents=True, exist_ok=True)
        write(folder, _unborn(view, one, session.clock.now()))
        return [f"member {view.member.index}: its script ended before the model began; see its log"]
    return []


def _verdict(session: Session, view: View, one: JobSeen | None) -> Verdict:
    """Decide how an attempt ended that left no word: the scheduler first, then the model's files."""
    job = view.attempts[-1].job
    if one is not None:
        word = one.state.partition(" ")[0]
        outcome = OUTCOME_OF_STATE.get(word)
        if outcome is not None:
            return Verdict(outcome, f"Slurm ended job {job} on {one.node or 'no node'} as {word}")
    left = session.engine.verdict(session.folder.member(view.member.id))
    if left is not None and left.outcome is not Outcome.DONE:
        return left
    code = f" with exit code {one.exit_code}" if one and one.exit_code is not None else ""
    return Verdict(Outcome.UNKNOWN, f"job {job} is gone{code} and left no reason")


# Exit codes of our own job entry: such a task has said all it had to say.
_OWN_WORDS = {0, 65, 69, 75}


def _never_began(one: JobSeen, begun: set[str]) -> bool:
    """Whether its task failed before any of its members began: a bad module, a missing interpreter."""
    if one.state.startswith(("CANCELLED", "COMPLETED")) or one.exit_code in _OWN_WORDS:
        return False
    return f"{one.job}_{one.task}" not in begun


def _unborn(view: View, one: JobSeen, now: float) -> State:
    """The member's state with an attempt that ended before the model began."""
    state = view.state if isinstance(view.state, State) else None
    state = state or State(id=view.member.id, index=view.member.index)
    number = max((attempt.n for attempt in state.attempts), default=0) + 1
    attempt = Attempt(n=number, job=f"{one.job}_{one.task}", host=one.node, started=now)
    outcome = OUTCOME_OF_STATE.get(one.state.partition(" ")[0])
    if outcome is None:
        outcome = Outcome.BAD_CONFIG if one.exit_code == 78 else Outcome.UNKNOWN
    code = "" if one.exit_code is None else f", exit code {one.exit_code}"
    reason = f"its script ended before the model began ({one.state}{code}); see its log"
    return ended(replace(state, attempts=(*state.attempts, attempt)), Verdict(outcome, reason), now)
