"""``sweep``, ``retry`` and ``rerun``: the verbs that make and move a sweep."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astrohpc.clock import Clock
from astrohpc.errors import ConfigError
from astrohpc.files import readable_failures
from astrohpc.launch.compose import compose
from astrohpc.launch.output import count, many, note, say, table
from astrohpc.launch.show import headline, next_command, progress_bar, views_of
from astrohpc.outcome import Outcome
from astrohpc.slurm.client import SlurmClient
from astrohpc.slurm.directives import format_indices
from astrohpc.slurm.whoami import own_job
from astrohpc.sweep import board, breaker, provenance
from astrohpc.sweep import config as configs
from astrohpc.sweep.advance import Step, advance, check_room
from astrohpc.sweep.builds import missing_executables
from astrohpc.sweep.create import create_or_extend, planned_members
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.ledger import Book
from astrohpc.sweep.members import Member, read_table
from astrohpc.sweep.plan import make_plan
from astrohpc.sweep.report import write_report
from astrohpc.sweep.session import Session
from astrohpc.sweep.standing import standing
from astrohpc.sweep.state import State
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
        if wait and session.ledger.fold().open():
            return follow(session)
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
    done = counts["done"] + counts["elsewhere"]
    rest = ", ".join(
        f"{counts[s]} {s}" for s in ("queued", "running", "silent", "stopped") if counts[s]
    )
    if plan.tasks_later:
        later = count(plan.tasks_later, "task")
        say(f"{name}: the queue takes nothing more of yours now; {later} follow later")
        say(f"next: python -m astrohpc.launch watch {name}, or the same command again")
        return
    say(
        f"{name}: nothing to submit; {done} of {len(members)} members are done"
        + (f", {rest}" if rest else "")
    )
    if step.account.book.open("array"):
        say(f"next: python -m astrohpc.launch watch {name}")
    elif counts["stopped"]:
        say(f"next: python -m astrohpc.launch status {name} --members")
    else:
        say(
            f"next: look at {session.folder.reports}, or python -m astrohpc.launch tensorboard {name}"
        )


def follow(session: Session) -> int:
    """Watch until nothing is in the queue; do the keeper's work where there is none."""
    kept: dict[int, State] = {}
    patience = max(session.config.site.query_interval_s, 15)
    stepped = session.clock.now()
    with progress_bar() as bar:
        while True:
            looked = session.clock.now()
            book, views = views_of(session, kept)
            stand = standing(views, session.clock.now())
            bar.show(stand, session.clock.now())
            if book.stopped or not book.open():
                break
            pause = 0.5 if session.config.site.scheduler == "local" else 2.0
            session.clock.sleep(max(pause, 10 * (session.clock.now() - looked)))
            keeper_dead = session.config.site.scheduler == "local" and not _any_runner(session)
            if keeper_dead or session.clock.now() - stepped > 2 * patience:
                stepped = session.clock.now()
                with session.folder.lock(session.clock, note):
                    step = advance(session, read_table(session.folder.table))
                many(step.account.notes)
    if not book.reported:
        report(session)
    book, views = views_of(session, kept)
    stand = standing(views, session.clock.now())
    say(f"{session.folder.path.name}: {headline(stand)}")
    for outcome, number in stand.causes.items():
        say(f"{number} ended as {outcome.replace('_', ' ')}")
    if book.stopped:
        say(f"stopped: {book.stopped}")
    _show_worlds(session, views)
    _compare_with_original(session, views)
    say(f"next: {next_command(session, stand, book)}")
    return 1 if stand.counts.get("stopped") or book.stopped else 0


def _compare_with_original(session: Session, views: Sequence[View]) -> None:
    """Say how many members of a rerun came out the same to the last bit."""
    if session.config.rerun_of is None:
        return
    original = Session.of(SweepFolder(Path(session.config.rerun_of)), session.clock, note)
    _, before = views_of(original)
    then = {view.member.planet: _result(view) for view in before if view.status == "done"}
    same = sum(
        view.status == "done" and then.get(view.member.planet) == _result(view) for view in views
    )
    say(f"rerun: {same} of {len(then)} results of {original.folder.path.name} are identical")


def _result(view: View) -> dict[str, object]:
    """What a member found, without how long it took."""
    assert isinstance(view.state, State)
    return {name: value for name, value in view.state.summary.items() if name != "cpu_s"}


def _any_runner(session: Session) -> bool:
    return any(one.phase != "over" for one in session.scheduler.jobs())


def report(session: Session) -> list[Path]:
    """Write the table, the plot and TensorBoard's file from what there is now."""
    _, views = views_of(session)
    board.feed(session.folder, session.engine, views, session.clock)
    return write_report(
        session.folder, views, engine=session.engine.name, source=session.engine.description
    )


def _show_worlds(session: Session, views: Sequence[View]) -> None:
    """Print the first few worlds; the rest is in the report."""
    rows = []
    for view in views:
        if view.status == "done" and isinstance(view.state, State):
            rows.append((view, view.state.summary))
    if not rows:
        return
    names = [name for name in rows[0][1] if name not in ("cpu_s", "converged")]
    table(
        ("index", "id", *names),
        [
            (str(view.member.index), view.member.id, *(_short(summary.get(name)) for name in names))
            for view, summary in rows[:8]
        ],
        title=f"{session.folder.path.name}, the first of {len(rows)} worlds ({session.engine.description})",
    )
    for path in sorted(session.folder.reports.glob("worlds.*")):
        say(f"wrote {path}")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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
    local = session.config.site.scheduler == "local"
    if (local if wait is None else wait) and session.ledger.fold().open():
        return follow(session)
    return 0


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
