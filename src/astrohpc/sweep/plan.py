"""Plan: from where members stand to what is submitted now, what waits, what it costs. Pure."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from astrohpc.engines.base import Estimate
from astrohpc.outcome import Outcome
from astrohpc.slurm.limits import Limits
from astrohpc.slurm.request import Allocation, Array, Resources
from astrohpc.sweep.config import Config
from astrohpc.sweep.ledger import Book
from astrohpc.sweep.members import Member
from astrohpc.sweep.policy import Decision, decide
from astrohpc.sweep.survey import View

MOST_TASKS = 10_000  # in one array: a sparse list of more would not fit a command line


@dataclass(frozen=True)
class Chunk:
    """One array to submit. ``after`` chains it where there are more arrays than may run at once."""

    array: Array
    resources: Resources
    after: int | str | None = None  # the chunk of this plan, or the job, that it waits for
    needs_build: bool = False  # some of its members' executables are not built yet


@dataclass
class Plan:
    """All that a launch would do."""

    counts: Counter[str] = field(default_factory=Counter)
    to_run: list[int] = field(default_factory=list)
    fresh: int = 0  # of them, never tried before
    decisions: dict[int, Decision] = field(default_factory=dict)  # for members that ended otherwise
    chunks: list[Chunk] = field(default_factory=list)
    throttles: dict[str, int] = field(default_factory=dict)  # key of a submission → new throttle
    tasks_later: int = 0  # tasks of later waves
    builds: dict[str, int] = field(default_factory=dict)  # key of an executable → a member with it
    stopped: str = ""

    @property
    def tasks(self) -> int:
        """Array tasks that would be submitted now."""
        return sum(len(chunk.array.tasks) for chunk in self.chunks)

    def remedies(self) -> list[int]:
        """Members of which a branch is to be made."""
        return [index for index, d in self.decisions.items() if d.action == "remedy"]

    def given_up(self) -> list[int]:
        """Members that the policy will not run again."""
        return [index for index, d in self.decisions.items() if d.action == "stop"]


def make_plan(
    views: Sequence[View],
    book: Book,
    config: Config,
    *,
    engine: str,
    limits: Limits | None = None,
    in_queue: int = 0,
    elsewhere: frozenset[int] = frozenset(),
    missing: Mapping[int, str] | None = None,
) -> Plan:
    """Plan what follows from ``views``.

    ``elsewhere`` are members that another sweep is running; ``missing`` names executables that are
    not there, by the members that need them.
    """
    plan = Plan(stopped=book.stopped)
    base = config.allocation.resources()
    branches = branch_depths([view.member for view in views])
    wanted: dict[int, Resources] = {}
    for view in views:
        index = view.member.index
        status = "elsewhere" if index in elsewhere and view.status != "done" else view.status
        plan.counts[status] += 1
        if status == "new":
            plan.fresh += 1
            wanted[index] = base
        elif status == "ended" and view.submission is None:
            decision = decision_for(view, book, config, engine, limits, branches)
            if decision is None:
                wanted[index] = base
                continue
            plan.decisions[index] = decision
            if decision.runs:
                wanted[index] = decision.resources
    if plan.stopped:
        return plan
    plan.to_run = sorted(wanted)
    needed = {index: key for index, key in (missing or {}).items() if index in wanted}
    plan.builds = _to_build(needed, book)
    _chunk(plan, wanted, needed, len(views), book, config, limits, in_queue)
    return plan


def _to_build(missing: Mapping[int, str], book: Book) -> dict[str, int]:
    """The keys that no queued job builds, each with a member that stands for it."""
    queued = {index for submission in book.open("build") for index in submission.all_members()}
    building = {missing[index] for index in queued if index in missing}
    chosen: dict[str, int] = {}
    for index, key in missing.items():
        if key not in building:
            chosen.setdefault(key, index)
    return chosen


def decision_for(
    view: View,
    book: Book,
    config: Config,
    engine: str,
    limits: Limits | None,
    branches: Mapping[str, int],
) -> Decision | None:
    """What the policy says of a member that ended otherwise than done; None if that is forgiven."""
    attempts = view.attempts[book.reopened.get(view.member.index, 0) :]
    if not attempts or attempts[-1].running:
        return None
    partition = partition_limits(config.allocation, limits)
    return decide(
        attempts,
        config.policy,
        config.allocation.resources(),
        engine=engine,
        max_mem_mib=partition[0],
        max_walltime_s=partition[1],
        branches=branches.get(view.member.id, 0),
    )


def partition_limits(
    allocation: Allocation, limits: Limits | None
) -> tuple[int | None, int | None]:
    """Most memory and walltime that the partition gives."""
    if limits is None:
        return None, None
    for one in limits.partitions.values():
        if one.name == allocation.partition or (allocation.partition is None and one.default):
            return one.mem_mib_per_node, one.max_walltime_s
    return None, None


def branch_depths(members: Sequence[Member]) -> dict[str, int]:
    """How many remedies lie behind each member."""
    depths: dict[str, int] = {}
    for member in members:  # a branch's row comes after the row that it remedies
        depths[member.id] = depths.get(member.branch_of, -1) + 1 if member.branch_of else 0
    return depths


# ------------------------------------------------------------------------------ chunks
def _chunk(
    plan: Plan,
    wanted: Mapping[int, Resources],
    unbuilt: Mapping[int, str],
    existing: int,
    book: Book,
    config: Config,
    limits: Limits | None,
    in_queue: int,
) -> None:
    """Group members into tasks, tasks into arrays; keep within what may be queued and may run."""
    pack = config.allocation.members_per_task
    size = min(limits.max_array_tasks, MOST_TASKS) if limits else MOST_TASKS
    tasks: dict[int, Resources] = {}
    for index, resources in wanted.items():
        tasks[index // pack] = _most(tasks.get(index // pack), resources)
    room = len(tasks)
    if limits and limits.max_submit is not None:
        ours = len(plan.builds) + (1 if config.site.keeper else 0)
        room = max(0, limits.max_submit - in_queue - ours)
    now = dict(sorted(tasks.items())[:room])
    plan.tasks_later = len(tasks) - len(now)
    waiting = {index // pack for index in unbuilt}
    groups: dict[tuple[int, Resources, bool], list[int]] = {}
    for task, resources in now.items():
        groups.setdefault((task // size, resources, task in waiting), []).append(task)
    total = book.throttle or config.allocation.throttle
    open_arrays = [s for s in book.open("array") if s.job is not None]
    serial = limits is None  # the local scheduler runs one array after the other
    weights = [] if serial else [len(s.live or s.array.tasks) for s in open_arrays]
    weights += [len(group) for group in groups.values()]
    shares = [total] * len(weights) if serial else allot(total, weights)
    if not serial:
        plan.throttles = {
            s.key: share
            for s, share in zip(open_arrays, shares, strict=False)
            if s.job and share and share != s.throttle
        }
        shares = shares[len(open_arrays) :]
    lanes: list[int | str] = [] if serial else [s.job for s in open_arrays if s.job]
    for (number, resources, waits), group, share in zip(
        groups, groups.values(), shares, strict=True
    ):
        after = None
        if share == 0:  # more arrays than may run at once: wait for one that runs
            after = lanes.pop(0)
        lanes.append(len(plan.chunks))
        plan.chunks.append(
            Chunk(
                Array(
                    tasks=tuple(task - number * size for task in group),
                    throttle=max(1, share),
                    offset=number * size * pack,
                    pack=pack,
                    only=_only(group, pack, wanted, existing),
                ),
                resources,
                after,
                waits,
            )
        )


def _only(
    tasks: Sequence[int], pack: int, wanted: Mapping[int, Resources], existing: int
) -> tuple[int, ...] | None:
    """The members that these tasks are to run, where they have others too; None where they are all."""
    inside = [i for task in tasks for i in range(task * pack, min((task + 1) * pack, existing))]
    chosen = tuple(index for index in inside if index in wanted)
    return None if len(chosen) == len(inside) else chosen


def _most(a: Resources | None, b: Resources) -> Resources:
    if a is None:
        return b
    return replace(
        a,
        walltime_s=max(a.walltime_s, b.walltime_s),
        mem_mib=max(a.mem_mib, b.mem_mib),
        exclude=tuple(sorted({*a.exclude, *b.exclude})),
    )


def allot(total: int, weights: Sequence[int]) -> list[int]:
    """Share ``total`` in proportion to ``weights``, whole numbers, at least one each while it lasts.

    >>> allot(10, [1000, 1000, 200])
    [4, 4, 2]
    >>> allot(2, [5, 5, 5])
    [1, 1, 0]
    """
    if len(weights) >= total:
        return [1] * total + [0] * (len(weights) - total)
    rest = total - len(weights)
    whole = sum(weights) or 1
    shares = [1 + rest * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(rest * weights[i] % whole))
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares


# ------------------------------------------------------------------------------ cost
@dataclass(frozen=True)
class Cost:
    """What a plan is expected to use, and the most that it can."""

    expected_core_h: float
    ceiling_core_h: float
    spent_core_h: float
    disk_bytes: int
    files: int
    measured: bool  # from members of this sweep, not from the engine's own estimate


def estimate_cost(
    plan: Plan, views: Sequence[View], allocation: Allocation, estimate: Estimate
) -> Cost:
    """Cost of the members that a plan would run, in core hours as a scheduler counts them."""
    spans = [
        attempt.ended - attempt.started
        for view in views
        for attempt in view.attempts
        if attempt.ended is not None
    ]
    done = [
        attempt.ended - attempt.started
        for view in views
        for attempt in view.attempts
        if attempt.ended is not None and attempt.outcome == Outcome.DONE
    ]
    member_s = sum(done) / len(done) if done else estimate.cpu_s / allocation.cores
    hours = allocation.cores / 3600.0
    tasks = math.ceil(len(plan.to_run) / allocation.members_per_task)
    walltime_s = allocation.resources().walltime_s
    files_of_ours = 2  # state.json and the newest claim; a task's log is shared by its members
    return Cost(
        expected_core_h=len(plan.to_run) * member_s * hours,
        ceiling_core_h=tasks * walltime_s * hours,
        spent_core_h=sum(spans) * hours,
        disk_bytes=len(plan.to_run) * estimate.disk_bytes,
        files=len(plan.to_run) * (estimate.files + files_of_ours) + tasks,
        measured=bool(done),
    )
