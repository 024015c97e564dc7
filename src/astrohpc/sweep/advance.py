"""One step of a sweep: reconcile, decide, plan, check, submit. Every verb that may submit calls this."""

import contextlib
import os
import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from astrohpc.engines.load import load_engine
from astrohpc.errors import ConfigError
from astrohpc.files import size
from astrohpc.outcome import Outcome
from astrohpc.slurm import limits as slurm_limits
from astrohpc.slurm.client import SchedulerRefused, SchedulerSilent
from astrohpc.slurm.directives import format_indices
from astrohpc.slurm.whoami import own_job
from astrohpc.sweep.breaker import signature, tripped
from astrohpc.sweep.builds import missing_executables
from astrohpc.sweep.create import append_branches
from astrohpc.sweep.ledger import Submission
from astrohpc.sweep.members import Member, member_id
from astrohpc.sweep.plan import Cost, Plan, estimate_cost, make_plan
from astrohpc.sweep.reconcile import Account, reconcile
from astrohpc.sweep.session import Session
from astrohpc.sweep.share import run_elsewhere
from astrohpc.sweep.submit import submit_plan
from astrohpc.sweep.survey import View, survey

FRUITLESS = 3  # arrays that began nothing, before a keeper stops to try


@dataclass
class Step:
    """What one step found and did."""

    account: Account
    plan: Plan
    submitted: list[Submission] = field(default_factory=list)
    branched: int = 0
    silent: str = ""


def _plan(session: Session, members: list[Member], account: Account) -> Plan:
    return make_plan(
        account.views,
        account.book,
        session.config,
        engine=str(session.config.engine["name"]),
        limits=session.limits,
        in_queue=account.in_queue,
        elsewhere=run_elsewhere(session.folder, account.book, members, session.clock),
        missing=missing_executables(session, account.views),
    )


def advance(session: Session, members: list[Member], *, patient: bool = False) -> Step:
    """Take one step. The caller holds the sweep's lock.

    ``patient`` submits nothing on old news: where ``account.rest_s`` is not 0, come again after it.
    """
    account = reconcile(session, members)
    plan = _plan(session, members, account)
    step = Step(account, plan)
    if not account.current and any("does not answer" in note for note in account.notes):
        step.silent = account.notes[-1]
        return step
    if patient and account.rest_s:
        return step
    _trip_breaker(session, account, plan)
    if plan.stopped:
        return step
    step.branched = _make_branches(session, members, account, plan)
    given_up = plan.given_up()
    for outcome in sorted({account.views[index].attempts[-1].outcome for index in given_up}):
        same = [i for i in given_up if account.views[i].attempts[-1].outcome == outcome]
        session.ledger.append("settled", outcome=outcome, members=format_indices(same))
    if step.branched:
        book = session.ledger.fold()
        views = survey(session.folder, members, book, session.clock, session.stale_s)
        account = replace(account, book=book, views=views)
        plan = step.plan = _plan(session, members, account)
    if plan.to_run:
        views = account.views
        if (
            session.config.allocation.budget_core_hours is not None
        ):  # what settled members cost counts
            views = survey(
                session.folder,
                members,
                account.book,
                session.clock,
                session.stale_s,
                all_states=True,
            )
        check_room(session, plan, views)
        session.engine.prepare()
    try:
        step.submitted = submit_plan(session, plan, session.ledger.fold())
    except SchedulerSilent as silent:
        step.silent = f"the scheduler does not answer ({silent}); run this again when it does"
    except SchedulerRefused as refusal:
        raise ConfigError(f"{refusal} Nothing was lost: mend it and run this again.") from refusal
    return step


# ------------------------------------------------------------------------------ decisions
def _make_branches(session: Session, members: list[Member], account: Account, plan: Plan) -> int:
    """Give each member with a declared remedy a new row, whose physics says what was changed."""
    rows: list[Member] = []
    known = {member.id for member in members}
    for index in plan.remedies():
        member = account.views[index].member
        decision = plan.decisions[index]
        settings = {**session.config.engine, **member.overrides}
        changed = {name: settings[name] * factor for name, factor in decision.overrides.items()}
        overrides = {**member.overrides, **changed}
        engine = load_engine(session.config.engine, overrides)
        row = Member(
            index=len(members) + len(rows),
            id=member_id(member.planet, engine),
            planet=member.planet,
            label=member.label,
            branch_of=member.id,
            overrides=overrides,
        )
        if row.id not in known:
            rows.append(row)
    if rows:
        append_branches(session, members, rows)
    if plan.remedies():
        session.ledger.append(
            "settled", outcome="branched", members=format_indices(plan.remedies())
        )
    return len(rows)


def _trip_breaker(session: Session, account: Account, plan: Plan) -> None:
    """Stop the sweep where members fail alike and at least as many failed as were done."""
    if plan.stopped:
        return
    alike: Counter[tuple[str, str]] = Counter()
    for index in plan.given_up():
        last = account.views[index].attempts[-1]
        configured = last.outcome == Outcome.BAD_CONFIG
        alike[last.outcome, signature(last.reason) if configured else ""] += 1
    for outcome, reason in alike:
        if (
            not reason
        ):  # and those that were given up before; bad configurations count in breaker.jsonl
            alike[outcome, reason] += account.book.failures[outcome]
    limit = session.config.policy.breaker
    plan.stopped = tripped(session.folder, limit)
    for (outcome, reason), count in alike.most_common(1):
        if count >= max(limit, plan.counts["done"]):
            words = outcome.replace("_", " ") + (f": {reason}" if reason else "")
            plan.stopped = plan.stopped or f"{count} members ended alike ({words})"
    if account.book.fruitless >= FRUITLESS:
        plan.stopped = (
            f"{account.book.fruitless} arrays in a row began no member; their logs say why"
        )
    if plan.stopped:
        session.ledger.append("stopped", why=plan.stopped)
        with contextlib.suppress(SchedulerSilent, SchedulerRefused):  # some may be over by now
            session.scheduler.cancel(
                [s.job for s in account.book.open() if s.job and s.job != own_job()]
            )


# ------------------------------------------------------------------------------ room
def check_room(session: Session, plan: Plan, views: list[View]) -> Cost:
    """Refuse what cannot fit: the partition, the budget, the disk, the inodes."""
    config = session.config
    cost = estimate_cost(plan, views, config.allocation, session.engine.estimate())
    if session.limits is not None:
        slurm_limits.check(session.limits, config.allocation, config.allocation.resources())
        if plan.builds:
            build = config.allocation.for_builds()
            slurm_limits.check(session.limits, build, build.resources(), builds=True)
    budget = config.allocation.budget_core_hours
    if budget is not None and cost.spent_core_h + cost.expected_core_h > budget:
        raise ConfigError(
            f"allocation.budget_core_hours: {cost.expected_core_h:.3g} core hours more are expected and "
            f"{cost.spent_core_h:.3g} are spent, which is more than the budget of {budget:g}; "
            "raise it, or lower sweep.n."
        )
    where = next(p for p in [session.folder.path, *session.folder.path.parents] if p.exists())
    free = shutil.disk_usage(where).free
    if cost.disk_bytes > free:
        raise ConfigError(
            f"runs: {where} has {size(free)} free and the sweep needs about "
            f"{size(cost.disk_bytes)}; free space, or choose another runs folder."
        )
    inodes = _free_inodes(where, config.site.limit_files)
    if inodes is not None and cost.files > inodes:
        raise ConfigError(
            f"runs: {where} has room for {inodes} files and the sweep needs about {cost.files}; "
            "remove files, or choose another runs folder."
        )
    return cost


def _free_inodes(where: Path, limit: int | None) -> int | None:
    free = os.statvfs(where).f_favail
    return min(filter(None, (free or None, limit)), default=None)
