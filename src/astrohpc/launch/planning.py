"""``plan``, and ``--dry-run``: what a sweep would do and cost. Nothing is submitted or written."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from astrohpc.clock import duration
from astrohpc.files import readable_failures, size
from astrohpc.launch.output import count, say, table
from astrohpc.slurm.client import NoCluster
from astrohpc.slurm.directives import format_indices
from astrohpc.slurm.render import render
from astrohpc.sweep.advance import check_room
from astrohpc.sweep.builds import missing_executables
from astrohpc.sweep.create import planned_members
from astrohpc.sweep.plan import Plan, make_plan
from astrohpc.sweep.session import Session
from astrohpc.sweep.submit import requests_of
from astrohpc.sweep.survey import View, survey


def plan(session: Session, *, dry_run: bool) -> int:
    """Say what a sweep would do and cost; ``dry_run`` prints the very scripts. Submits nothing."""
    with readable_failures("runs"):
        members = planned_members(session)
        book = session.ledger.fold()
        views = survey(
            session.folder, members, book, session.clock, session.stale_s, all_states=True
        )
        limits = session.limits
        planned = make_plan(
            views,
            book,
            session.config,
            engine=str(session.config.engine["name"]),
            limits=limits,
            missing=missing_executables(session, views),
        )
        for index in planned.to_run:
            if not members[index].overrides:
                session.engine.check(members[index].planet)
        if dry_run:
            for request in requests_of(session, planned, book):
                say(render(request))
            return 0
        _print_plan(session, planned, views)
    return 0


def _print_plan(session: Session, planned: Plan, views: Sequence[View]) -> None:
    config = session.config
    retried = len(planned.to_run) - planned.fresh
    total = count(len(views), "member")
    say(f"{config.sweep.name}: {total} on site {config.site.name} in {session.folder.path}")
    rows = [("new", planned.fresh), ("again", retried), ("done already", planned.counts["done"])]
    rows += [(name, planned.counts[name]) for name in ("queued", "running", "silent", "stopped")]
    table(("members", "what"), [(str(count), name) for name, count in rows if count])
    for index, decision in list(planned.decisions.items())[:5]:
        say(f"member {index}: {decision.action}: {decision.why}")
    if planned.builds:
        say(f"executables to build first, each in a task of its own: {len(planned.builds)}")
        for key, index in list(planned.builds.items())[:10]:
            say(f"  {key}, for member {index} and its like")
    for chunk in planned.chunks:
        span = format_indices(chunk.array.tasks)
        say(
            f"array {span if len(span) < 60 else span[:57] + '…'}: {count(len(chunk.array.tasks), 'task')}, "
            f"{count(chunk.array.pack, 'member')} each, {chunk.array.throttle} at once, "
            f"{duration(chunk.resources.walltime_s)}, {chunk.resources.mem_mib} MiB"
        )
    if planned.tasks_later:
        say(f"{planned.tasks_later} tasks in later waves: the queue takes no more at a time")
    cost = check_room(session, planned, list(views))
    source = "measured on members of this sweep" if cost.measured else "the engine's own estimate"
    say(
        f"core hours: {cost.expected_core_h:.3g} expected ({source}), {cost.ceiling_core_h:.3g} at most, "
        f"{cost.spent_core_h:.3g} spent"
    )
    budget = config.allocation.budget_core_hours
    if budget is not None:
        share = 100 * (cost.spent_core_h + cost.expected_core_h) / budget
        say(f"budget: {share:.0f} % of {budget:g} core hours")
    say(f"disk: {size(cost.disk_bytes)} in {cost.files} files")
    if session.limits is not None:
        many_tasks = session.limits.max_submit
        say(
            f"cluster {session.limits.cluster}, Slurm {session.limits.version}: arrays up to "
            f"{session.limits.max_array_size} tasks, {many_tasks or 'any number of'} tasks queued at once"
        )
    if planned.chunks:
        say(f"start: {_test(session, planned)}")
    say("next: the same command with 'sweep' instead of 'plan'")


def _test(session: Session, planned: Plan) -> str:
    """Ask sbatch when the first array would start, with a script that is thrown away."""
    request = requests_of(session, planned, session.ledger.fold())[0]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / request.script.name
        # The sweep's folder may not exist yet, and sbatch would refuse to change to it.
        script.write_text(re.sub(r"--chdir=.*", "--chdir=/", render(request)))
        try:
            return session.scheduler.test(script)
        except NoCluster:
            return "not asked, for this machine belongs to no cluster"
