"""``throttle``, ``cancel`` and ``explain``: hold the reins of a sweep, and hear its story."""

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path

from astrohpc.clock import duration, iso
from astrohpc.engines.base import Progress
from astrohpc.engines.record import COMMAND_LOG
from astrohpc.errors import ConfigError
from astrohpc.launch.output import note, say
from astrohpc.launch.show import views_of
from astrohpc.outcome import Outcome
from astrohpc.planet import PARAMETERS
from astrohpc.slurm.client import SchedulerSilent
from astrohpc.slurm.states import phase, reason_sentence
from astrohpc.sweep.ledger import Book
from astrohpc.sweep.plan import allot, branch_depths, decision_for
from astrohpc.sweep.session import Session
from astrohpc.sweep.state import Attempt, Damaged, State, from_json
from astrohpc.sweep.submit import CANCELLED, share_out
from astrohpc.sweep.survey import View

LOCAL_STOP_S = 60.0  # for a restart to be written; a runner kills after half of it


def throttle(session: Session, at_once: int) -> int:
    """Let at most ``at_once`` tasks run at once, over all arrays of the sweep, from now on."""
    if at_once < 1:
        raise ConfigError(f"N: {at_once} would let nothing run; write 1 or more, or use 'cancel'.")
    with session.folder.lock(session.clock, note):
        book = session.ledger.fold()
        arrays = [s for s in book.open("array") if s.job]
        session.ledger.append("throttled", at_once=at_once)
        serial = session.config.site.scheduler == "local"
        weights = [len(s.array.tasks) for s in arrays]
        shares = [at_once] * len(arrays) if serial else [max(1, n) for n in allot(at_once, weights)]
        for submission, share in zip(arrays, shares, strict=True):
            share_out(session, submission, share)
    say(
        f"{session.folder.path.name}: at most {at_once} tasks at once, in {len(arrays)} queued arrays"
    )
    say(f"next: python -m astrohpc.launch watch {session.folder.path.name}")
    return 0


def cancel(session: Session) -> int:
    """Stop all that is queued or running, by the ids in the ledger; members keep their restarts."""
    with session.folder.lock(session.clock, note):
        book = session.ledger.fold()
        if not book.open():
            say(f"{session.folder.path.name}: nothing is queued or running")
            return 0
        if any(not s.certain for s in book.open()):
            note(
                "an interrupted launcher may have submitted a job whose id we lack; 'sweep' will find it"
            )
        jobs = [s.job for s in book.open() if s.job]
        session.ledger.append("stopped", why=CANCELLED)
        try:
            session.scheduler.cancel(jobs)
        except SchedulerSilent as silent:
            raise ConfigError(
                f"{session.folder.path.name}: nothing more is submitted, but the scheduler does not answer "
                f"({silent}) and jobs {', '.join(jobs)} may go on; run 'cancel' again later."
            ) from silent
        for keeper in book.open("keeper"):
            session.ledger.append("closed", key=keeper.key, began=True)
        session.ledger.append("cancelled")
    name = session.folder.path.name
    if not jobs:
        say(f"{name}: nothing was queued or running")
    else:
        say(f"{name}: asked jobs {', '.join(jobs)} to stop; what runs writes its restart first")
    if session.config.site.scheduler == "local":
        _await_end(session)
    say("next: the same 'launch sweep' command again continues where it stopped")
    return 0


def _await_end(session: Session) -> None:
    """On one's own machine "cancelled" means that nothing runs any more."""
    patience_ends = session.clock.now() + LOCAL_STOP_S
    while any(one.phase != "over" for one in session.scheduler.jobs()):
        if session.clock.now() > patience_ends:
            say(
                f"some model still writes its restart after {LOCAL_STOP_S:.0f} s; it stops by itself"
            )
            return
        session.clock.sleep(0.1)


# ------------------------------------------------------------------------------ explain
def explain(session: Session, named: str) -> int:
    """Tell a member's story: what it is, what happened, what comes next."""
    book, views = views_of(session)
    view = _find(views, named)
    member = view.member
    say(f"member {member.index} ({member.id}) of {session.folder.path.name}" + _label(view))
    say(f"  planet: {_planet(view)}")
    if member.overrides:
        say(f"  branch of {member.branch_of} with {dict(member.overrides)}")
    say(f"  folder: {session.folder.member(member.id)}")
    if isinstance(view.state, Damaged):
        say(f"  its state.json is damaged; the next attempt begins a new one: {view.state.path}")
    if not view.attempts:
        say("  no attempt has begun")
    for attempt in view.attempts:
        say(f"  attempt {attempt.n}: {_story(attempt)}")
        for line in _evidence(session, book, attempt):
            say(f"      | {line}")
    for line in _own_words(session, view):
        say(f"      {COMMAND_LOG}: {line}")
    progress = from_json(view.state.progress) if isinstance(view.state, State) else None
    if progress and view.status in ("running", "silent"):
        say(
            f"  now in model year {progress.model_years:.0f} of at most {progress.limit_years:.0f}"
            + _so_far(progress)
        )
    say(
        f"  what comes next: {_next(session, book, view, branch_depths([v.member for v in views]))}"
    )
    return 0


def _so_far(progress: Progress) -> str:
    if math.isnan(progress.surface_temperature_k):
        return ", and has reported no climate yet"
    return f": {progress.surface_temperature_k:.2f} K, balance {progress.toa_balance_wm2:+.3f} W/m2"


def _find(views: list[View], named: str) -> View:
    if named.isascii() and named.isdecimal() and len(named) < 12:
        if int(named) < len(views):
            return views[int(named)]
        raise ConfigError(
            f"MEMBER: there is no index {named}; they run from 0 to {len(views) - 1}."
        )
    found = [
        view for view in views if view.member.id.startswith(named) or view.member.label == named
    ]
    if len(found) == 1:
        return found[0]
    problem = "several members have" if found else "no member has"
    raise ConfigError(
        f"MEMBER: {problem} an id that begins with {named!r}; give its index or more of its id."
    )


def _label(view: View) -> str:
    return f", {view.member.label}" if view.member.label else ""


def _planet(view: View) -> str:
    parts = []
    for name, parameter in PARAMETERS.items():
        value = getattr(view.member.planet, parameter.field) if name != "mass" else None
        if value not in (None, 0.0):
            parts.append(f"{name.replace('_', ' ')} {parameter.shown(value)}")
    return ", ".join(parts) + (", tidally locked" if view.member.planet.tidally_locked else "")


def _story(attempt: Attempt) -> str:
    where = f"job {attempt.job}" + (f" on {attempt.host}" if attempt.host else "")
    if attempt.ended is None:
        return f"{where}, began {iso(attempt.started)}, no word of its end"
    span = duration(attempt.ended - attempt.started)
    outcome = attempt.outcome.replace("_", " ")
    return f"{where}, began {iso(attempt.started)}, {outcome} after {span}: {attempt.reason}"


def _evidence(session: Session, book: Book, attempt: Attempt) -> list[str]:
    """The last lines of an attempt's log, where it ended otherwise than well."""
    if attempt.outcome in (Outcome.DONE, Outcome.CHECKPOINTED):
        return []
    job, _, task = attempt.job.partition("_")
    names = {s.job: s.name for s in book.submissions.values()}
    log = session.folder.logs / f"{names.get(job, '')}_{job}_{task}.out"
    return _tail(log, 3) or ([f"no log at {log}"] if job in names else [])


def _own_words(session: Session, view: View) -> list[str]:
    """What a program of the user's own said last, where its last attempt ended otherwise than well."""
    last = view.attempts[-1] if view.attempts else None
    if last is None or last.outcome in ("", Outcome.DONE, Outcome.CHECKPOINTED):
        return []
    return _tail(session.folder.member(view.member.id) / COMMAND_LOG, 5)


def _tail(path: Path, lines: int) -> list[str]:
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        return file.read().decode(errors="replace").splitlines()[-lines:]
    return []


def _next(session: Session, book: Book, view: View, depths: Mapping[str, int]) -> str:
    """What follows for a member, in a sentence."""
    if view.status == "done":
        return "nothing; it is done"
    if view.status == "branched":
        return "nothing of its own; a branch with the declared remedy runs as another row"
    if book.stopped:
        return (
            f"nothing until 'launch retry' or 'launch sweep': the sweep is stopped ({book.stopped})"
        )
    if view.status == "running":
        return "it runs; nothing needs to be done"
    if view.status == "silent":
        return "its heartbeat has stopped; the next 'launch sweep' asks the scheduler what became of its job"
    if view.status == "queued":
        return _queue_story(book, view)
    if view.status == "new":
        return "it is not submitted; 'launch sweep' does that"
    engine = str(session.config.engine["name"])
    decision = decision_for(view, book, session.config, engine, session.limits, depths)
    if decision is None:
        return "it was given another chance; 'launch sweep' submits it"
    verb = "the policy stops" if decision.action == "stop" else "the policy says"
    return f"{verb}: {decision.why}"


def _queue_story(book: Book, view: View) -> str:
    submission = view.submission
    assert submission is not None
    if submission.job is None:
        return "its submission was interrupted; the next 'launch sweep' finds out whether it reached Slurm"
    for job, state, reason, tasks in book.seen:
        if job == submission.job and view.task in tasks and phase(state) == "waiting":
            asked = iso(book.last_query)
            return f"task {job}_{view.task} waits: {reason_sentence(reason)} (as of {asked})"
    return f"task {submission.job}_{view.task} is in the queue, or runs its neighbours first"
