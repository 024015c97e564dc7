"""What is submitted with a plan, and what is left when the scheduler refuses half of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from support import FakeClock

from astrohpc.launch.compose import compose
from astrohpc.launch.sweeping import open_session
from astrohpc.slurm.client import SchedulerRefused
from astrohpc.slurm.limits import Limits, Partition
from astrohpc.slurm.render import render
from astrohpc.slurm.request import JobRequest
from astrohpc.sweep.create import create_or_extend
from astrohpc.sweep.plan import make_plan
from astrohpc.sweep.session import Session
from astrohpc.sweep.submit import keeper_request, submit_plan
from astrohpc.sweep.survey import View

SHORT = Partition("main", True, True, 600, 4, 8, 8000, 0)


@dataclass
class Takes:
    """A scheduler that takes so many submissions of arrays, and every keeper."""

    arrays: int
    taken: list[JobRequest] = field(default_factory=list)

    def submit(self, request: JobRequest) -> str:
        if request.kind == "array":
            if not self.arrays:
                raise SchedulerRefused("sbatch said 'no'.")
            self.arrays -= 1
        self.taken.append(request)
        return str(100 + len(self.taken))


@pytest.fixture
def opened(tmp_path: Path, clock: FakeClock) -> Callable[..., Session]:
    def opened(*overrides: str) -> Session:
        words = [f"runs={tmp_path}", "sweep.n=6", "site=slurm-test", "allocation=single"]
        session = open_session(compose([*words, *overrides]), clock)
        session.limits = Limits("test", "22.05.8", 3, 3, 100, True, {"main": SHORT})
        create_or_extend(session, ["test"])
        return session

    return opened


def submit(
    session: Session,
    takes: Takes,
    in_queue: int = 0,
    missing: dict[int, str] | None = None,
) -> None:
    session.scheduler = takes  # type: ignore[assignment]
    members, _ = create_or_extend(session, ["test"])
    book = session.ledger.fold()
    views = [View(member, "new") for member in members]
    plan = make_plan(
        views,
        book,
        session.config,
        engine="ebm",
        limits=session.limits,
        in_queue=in_queue,
        missing=missing,
    )
    submit_plan(session, plan, book)


def test_a_keeper_waits_for_every_array(opened: Callable[..., Session]) -> None:
    takes = Takes(2)
    submit(opened(), takes)
    assert [one.kind for one in takes.taken] == ["array", "array", "single"]
    assert takes.taken[2].dependency == "afterany:101:102"


def test_arrays_that_were_taken_keep_their_keeper_where_a_later_one_is_refused(
    opened: Callable[..., Session],
) -> None:
    session, takes = opened(), Takes(1)
    with pytest.raises(SchedulerRefused):
        submit(session, takes)
    assert [one.kind for one in takes.taken] == ["array", "single"]
    assert takes.taken[1].dependency == "afterany:101"
    assert [s.job for s in session.ledger.fold().open()] == ["101", "102"]


def test_where_the_queue_is_full_a_keeper_looks_again_later(
    opened: Callable[..., Session],
) -> None:
    takes = Takes(2)
    submit(opened(), takes, in_queue=100)
    assert [one.kind for one in takes.taken] == ["single"]
    text = render(takes.taken[0])
    assert "#SBATCH --begin=now+10minutes" in text
    assert "--dependency" not in text


def test_members_wait_for_the_jobs_that_build_their_executables(
    opened: Callable[..., Session],
) -> None:
    """Of six members, the first three need one of two executables, one of which is beyond index 2."""
    session, takes = opened("allocation.build_cpus=2"), Takes(9)
    submit(session, takes, missing={0: "a", 1: "a", 4: "b"})
    commands = [request.command[2] for request in takes.taken]
    assert commands == [
        "astrohpc.jobs.build",
        "astrohpc.jobs.build",
        "astrohpc.jobs.member",
        "astrohpc.jobs.member",
        "astrohpc.jobs.member",
        "astrohpc.jobs.member",
        "astrohpc.launch",
    ]
    first, second, *members, keeper = takes.taken
    assert first.array is not None
    assert second.array is not None
    assert [*first.array.members(0), *second.array.members(1)] == [0, 4]
    assert "#SBATCH --cpus-per-task=2" in render(first)
    waits = {
        index: request.dependency
        for request in members
        if request.array
        for task in request.array.tasks
        for index in request.array.members(task)
    }
    both = "afterany:101:102"
    assert waits == {0: both, 1: both, 2: None, 3: None, 4: both, 5: None}
    assert keeper.dependency == "afterany:103:104:105:106"
    kinds = [s.kind for s in session.ledger.fold().open()]
    assert kinds == ["build"] * 2 + ["array"] * 4 + ["keeper"]


def test_the_keeper_fits_where_the_members_fit(opened: Callable[..., Session]) -> None:
    session = opened("allocation.reservation=course", "allocation.modules=[python/3.11]")
    text = render(keeper_request(session, 7, ["1"]))
    assert "#SBATCH --time=00:10:00" in text, "the partition gives ten minutes, not thirty"
    assert "#SBATCH --reservation=course" in text
    assert "module load python/3.11" in text
    session.limits = replace(session.limits, partitions={})
    assert "#SBATCH --time=00:30:00" in render(keeper_request(session, 7, ["1"]))
