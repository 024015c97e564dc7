"""``sweep``, ``retry`` and ``rerun``: the verbs that make and move a sweep."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from astrohpc.clock import Clock
from astrohpc.errors import ConfigError
from astrohpc.files import readable_failures
from astrohpc.launch.compose import compose
from astrohpc.launch.follow import conclude, follow, report
from astrohpc.launch.output import count, many, note, say
from astrohpc.outcome import Outcome
from astrohpc.slurm.client import SlurmClient
from astrohpc.slurm.directives import format_indices
from astrohpc.slurm.whoami import own_job
from astrohpc.sweep import breaker, provenance
from astrohpc.sweep import config as configs
from astrohpc.sweep.advance import Step, advance, check_room
from astrohpc.sweep.builds import missing_executables
from astrohpc.sweep.create import create_or_extend, planned_members
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.ledger import Book
from astrohpc.sweep.members import Member, read_table
from astrohpc.sweep.plan import make_plan
from astrohpc.sweep.session import Session
from astrohpc.sweep.submit import CANCELLED
from astrohpc.sweep.survey import View, survey

KEEPER_PATIENCE_S = 900.0  # with a scheduler that does not answer; half of the keeper's time limit


def open_session(written: Mapping[str, Any], clock: Clock) -> Session:
    """A session on the sweep that a composed configuration names, which need not exist yet."""
    config = configs.parse(written)
    return Session(SweepFolder(config.folder), written, config, clock, note)


def sweep(session: Session, *, wait: bool | None, command: Sequence[str]) -> int:
    """Make or extend the sweep, submit what is missing, and follow it if asked to."""
    with readable_failures("runs"):
        _early_checks(session)
        with session.folder.lock(session.clock, note):
            existed = session.folder.exists()
            members, fresh = create_or_extend(session, command)
            if session.ledger.fold().stopped == CANCELLED:
                session.ledger.append("resumed")
            if fresh and existed:
                name, old = session.folder.path.name, len(members) - fresh
                say(f"{count(fresh, 'member')} added to the {old} of {name}")
            step = advance(session, members)
        _tell(session, step, members)
        if wait is None:
            wait = session.config.site.scheduler == "local"
        return _wait_or_leave(session, wait)


def _wait_or_leave(session: Session, wait: bool) -> int:
    """Follow what is queued; where nothing is, nothing is left to do but a report."""
    if session.ledger.fold().open():
        return follow(session) if wait else 0
    if conclude(session):
        say(
            f"wrote the table and the plot of {session.folder.path.name} to {session.folder.reports}"
        )
    return 0


def _early_checks(session: Session) -> None:
    """Refuse what cannot work before anything is made: planets, partition, disk, budget."""
    if session.folder.exists():
        return
    if isinstance(session.scheduler, SlurmClient):
        session.limits = session.read_limits()  # a plan may do without a cluster, a sweep may not
    members = planned_members(session)
    views = [View(member, "new") for member in members]
    plan = make_plan(
        views,
        Book(),
        session.config,
        engine=session.engine.name,
        limits=session.limits,
        missing=missing_executables(session, views),
    )
    check_room(session, plan, views)


def keep(folder: SweepFolder, clock: Clock) -> int:
    """What the keeper does: one step on the scheduler's word, then the report; its successor goes on.

    Until the scheduler answers, or may be asked again, it waits without holding the lock; what a person
    changed meanwhile is read anew.
    """
    patience_ends = clock.now() + KEEPER_PATIENCE_S
    while True:
        with readable_failures("runs"), folder.lock(clock, note):
            session = Session.of(folder, clock, note)
            if _dismissed(session):
                return 0
            members = read_table(folder.table)
            step = advance(session, members, patient=True)
            wait_s = step.account.rest_s or (
                session.config.site.query_interval_s if step.silent else 0
            )
            if not wait_s or clock.now() > patience_ends:
                _tell(session, step, members)
                report(session)
                session.ledger.append("reported")
                for submission in session.ledger.fold().open("keeper"):
                    if submission.job == own_job():
                        session.ledger.append("closed", key=submission.key, began=True)
                return 0
        clock.sleep(wait_s)


def _dismissed(session: Session) -> bool:
    """Whether this keeper's work was done by somebody else while it waited for its turn."""
    keepers = (s for s in session.ledger.fold().submissions.values() if s.kind == "keeper")
    return any(keeper.closed and keeper.job == own_job() for keeper in keepers)


def _tell(session: Session, step: Step, members: Sequence[Member]) -> None:
    """Say what was done, and what a person may do next."""
    many(step.account.notes)
    plan, name = step.plan, session.folder.path.name
    if step.silent:
        say(f"{name}: {step.silent}")
        return
    if plan.stopped:
        say(f"{name}: stopped, {plan.stopped}")
        say(f"next: python -m astrohpc.launch retry {name}   (once the cause is mended)")
        return
    if step.branched:
        say(f"{name}: {count(step.branched, 'member')} blew up; each has a branch with a remedy")
    arrays = [s for s in step.submitted if s.job]
    if arrays:
        tasks = sum(len(s.array.tasks) for s in arrays)
        jobs = ", ".join(str(s.job) for s in arrays)
        retried = len(plan.to_run) - plan.fresh
        again = f" ({retried} of them again)" if retried > 0 else ""
        waves = (
            f"; {plan.tasks_later} tasks follow when there is room in the queue"
            if plan.tasks_later
            else ""
        )
        say(
            f"{name}: {count(len(plan.to_run), 'member')}{again} submitted as {count(tasks, 'task')} "
            f"of job {jobs}{waves}"
        )
        say(f"next: python -m astrohpc.launch watch {name}")
        return
    counts = plan.counts
    rest = ", ".join(
        f"{counts[status]} {word}"
        for status, word in (
            ("elsewhere", "in another sweep's hands"),
            ("queued", "queued"),
            ("running", "running"),
            ("silent", "silent"),
            ("stopped", "given up"),
        )
        if counts[status]
    )
    if plan.tasks_later:
        later = count(plan.tasks_later, "task")
        say(f"{name}: the queue takes nothing more of yours now; {later} follow later")
        say(f"next: python -m astrohpc.launch watch {name}, or the same command again")
        return
    say(
        f"{name}: nothing to submit; {counts['done']} of {len(members)} members are done"
        + (f", {rest}" if rest else "")
    )
    if step.account.book.open("array"):
        say(f"next: python -m astrohpc.launch watch {name}")
    elif counts["elsewhere"]:
        say("next: the same command again, when that sweep is done with them")
    elif counts["stopped"]:
        say(f"next: python -m astrohpc.launch status {name} --members")
    else:
        say(
            f"next: look at {session.folder.reports}, or python -m astrohpc.launch tensorboard {name}"
        )


# ------------------------------------------------------------------------------ retry, rerun
def retry(
    session: Session, *, outcomes: Sequence[str], indices: Sequence[int], wait: bool | None
) -> int:
    """Forgive members that were given up, close the breaker, and submit them again."""
    with readable_failures("runs"), session.folder.lock(session.clock, note):
        members = read_table(session.folder.table)
        book = session.ledger.fold()
        views = survey(
            session.folder, members, book, session.clock, session.stale_s, all_states=True
        )
        known = {str(outcome) for outcome in Outcome}
        for outcome in outcomes:
            if outcome not in known:
                raise ConfigError(
                    f"--outcome: {outcome!r} is none; choose from {', '.join(sorted(known))}."
                )
        for index in indices:
            if not 0 <= index < len(members):
                raise ConfigError(
                    f"MEMBER: there is no index {index}; they run from 0 to {len(members) - 1}."
                )
        chosen = [
            view
            for view in views
            if view.status in ("stopped", "ended")
            and view.attempts
            and (not outcomes or view.attempts[-1].outcome in outcomes)
            and (not indices or view.member.index in indices)
        ]
        if chosen:
            session.ledger.append(
                "reopened",
                members=format_indices(view.member.index for view in chosen),
                attempts=[
                    len(view.attempts) for view in sorted(chosen, key=lambda v: v.member.index)
                ],
            )
        if book.stopped:
            session.ledger.append("resumed")
        breaker.reset(session.folder)
        say(f"{session.folder.path.name}: another chance for {count(len(chosen), 'member')}")
        step = advance(session, members)
    _tell(session, step, members)
    if wait is None:
        wait = session.config.site.scheduler == "local"
    return _wait_or_leave(session, wait)


def rerun(
    original: SweepFolder, overrides: Sequence[str], config_dir: str | None, clock: Clock
) -> Session:
    """A session for the same sweep anew, from its folder alone, beside the original.

    Site, allocation and policy may be overridden: they do not decide the physics. The members are those
    of the original's table, whatever became of the file or the package that they were drawn from.
    """
    written = configs.load(original.config)
    for override in overrides:
        if override.partition("=")[0].partition(".")[0] not in ("site", "allocation", "policy"):
            raise ConfigError(
                f"{override}: a rerun may change site, allocation and policy, not the physics; "
                "use 'sweep' for that."
            )
    if overrides:
        _override(written, overrides, compose(overrides, config_dir))
    entries = provenance.read(original)
    if entries:
        for difference in provenance.differences(entries[-1], provenance.environment()):
            note(f"not as it was: {difference}")
    number = 1
    while (original.path.parent / f"{original.path.name}.rerun{number}").exists():
        number += 1
    name = f"{original.path.name}.rerun{number}"
    written["sweep"] = {**written["sweep"], "name": name}
    written |= {"runs": str(original.path.parent), "share": False, "rerun_of": str(original.path)}
    return open_session(written, clock)


def _override(
    written: dict[str, Any], overrides: Sequence[str], composed: Mapping[str, Any]
) -> None:
    """Take from ``composed`` what the overrides name, and nothing else: a group or a single setting."""
    for override in overrides:
        *path, last = override.partition("=")[0].lstrip("+").split(".")
        there: Any = written
        value: Any = composed
        for name in path:
            there, value = there.setdefault(name, {}), value[name]
        there[last] = value[last]


def command_line() -> list[str]:
    """What was typed, for the record."""
    return ["python", "-m", "astrohpc.launch", *sys.argv[1:]]
