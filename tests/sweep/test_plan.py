"""Plans: which members, in which arrays, within which limits — a pure function of where things stand."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_planet

from astrohpc.engines.base import Estimate
from astrohpc.launch.compose import compose
from astrohpc.slurm.limits import Limits, Partition
from astrohpc.slurm.request import Array, Resources
from astrohpc.sweep.config import Config, parse
from astrohpc.sweep.ledger import Book, Submission
from astrohpc.sweep.members import Member
from astrohpc.sweep.plan import Plan, allot, estimate_cost, make_plan
from astrohpc.sweep.state import Attempt, State
from astrohpc.sweep.survey import Status, View

PLANET = make_planet()
NODE = Partition("main", True, True, None, 4, 8, 8000, 0)


WHOLE = parse(compose(["site=slurm-test", "allocation=single"]))


def config(pack: int = 1, throttle: int = 100) -> Config:
    return replace(
        WHOLE, allocation=replace(WHOLE.allocation, members_per_task=pack, throttle=throttle)
    )


def limits(array: int = 1001, submit: int | None = None) -> Limits:
    return Limits("test", "22.05.8", array, array, submit, True, {"main": NODE})


def views(n: int, status: Status = "new", ends: Sequence[str] = ()) -> list[View]:
    found = []
    for index in range(n):
        member = Member(index, f"{index:016x}", PLANET)
        tries = tuple(
            Attempt(n=i + 1, job="1_0", host="node1", started=0, ended=10, outcome=end)
            for i, end in enumerate(ends)
        )
        found.append(View(member, status, State(id=member.id, index=index, attempts=tries)))
    return found


def plan(stand: list[View], book: Book | None = None, **how: object) -> Plan:
    how.setdefault("limits", limits())
    whole = how.pop("config", config())
    return make_plan(stand, book or Book(), whole, engine="ebm", **how)  # type: ignore[arg-type]


def covered(made: Plan) -> list[int]:
    return sorted(
        index
        for chunk in made.chunks
        for task in chunk.array.tasks
        for index in chunk.array.members(task)
    )


def test_a_sweep_beyond_the_array_limit_is_cut_into_chunks_by_offset() -> None:
    made = plan(views(25), limits=limits(array=11))
    assert [chunk.array.tasks for chunk in made.chunks] == [
        tuple(range(11)),
        tuple(range(11)),
        tuple(range(3)),
    ]
    assert [chunk.array.offset for chunk in made.chunks] == [0, 11, 22]
    assert max(max(chunk.array.tasks) for chunk in made.chunks) <= 10
    assert covered(made) == list(range(25))


def test_a_retry_is_a_sparse_array_of_the_same_numbers() -> None:
    stand = views(30, "done")
    for index in (3, 17, 28):
        stand[index] = views(30, "ended", ["timed_out"])[index]
    made = plan(stand, limits=limits(array=11))
    assert [(c.array.tasks, c.array.offset) for c in made.chunks] == [
        ((3,), 0),
        ((6,), 11),
        ((6,), 22),
    ]
    assert covered(made) == [3, 17, 28]


def test_members_are_packed_and_keep_their_task_when_the_sweep_grows() -> None:
    made = plan([*views(45, "done")[:45], *views(60)[45:]], config=config(pack=20))
    assert [chunk.array.tasks for chunk in made.chunks] == [(2,)]
    assert list(made.chunks[0].array.members(2)) == list(range(45, 60))


@given(st.integers(1, 400), st.integers(1, 20), st.integers(2, 50), st.integers(1, 40))
def test_every_member_is_in_exactly_one_task(n: int, pack: int, array: int, throttle: int) -> None:
    made = plan(views(n), limits=limits(array=array), config=config(pack=pack, throttle=throttle))
    tasks = [(c.array.offset, t) for c in made.chunks for t in c.array.tasks]
    assert len(tasks) == len(set(tasks))
    assert [index for index in covered(made) if index < n] == list(range(n))
    assert sum(c.array.throttle for c in made.chunks if c.after is None) <= max(throttle, 1)


def test_one_throttle_is_shared_by_all_arrays() -> None:
    made = plan(views(2200), config=config(throttle=110))
    assert sum(chunk.array.throttle for chunk in made.chunks) == 110
    assert [chunk.array.throttle for chunk in made.chunks] == [50, 50, 10]


def test_more_arrays_than_may_run_at_once_wait_in_lanes() -> None:
    made = plan(views(55), limits=limits(array=11), config=config(throttle=2))
    assert [chunk.after for chunk in made.chunks] == [None, None, 0, 1, 2]
    assert {chunk.array.throttle for chunk in made.chunks} == {1}


def open_array(
    tasks: Sequence[int], throttle: int = 100, live: Sequence[int] | None = None
) -> Book:
    array = Array(tasks=tuple(tasks), throttle=throttle)
    resources = Resources(walltime_s=60, mem_mib=100)
    one = Submission("k", "array", "demo.k", 0.0, array, resources, job="77")
    one.live = None if live is None else frozenset(live)
    return Book(submissions={"k": one})


def test_a_running_array_gives_up_its_share_of_the_throttle() -> None:
    stand = [*views(10, "queued"), *views(20)[10:]]
    made = plan(stand, open_array(range(10)))
    assert made.throttles == {"k": 50}
    assert made.chunks[0].array.throttle == 50


def test_a_share_once_given_up_comes_back_when_there_is_room_again() -> None:
    book = open_array(range(10))
    book.submissions["k"].throttle = 50  # set while a neighbour ran
    stand = [*views(10, "queued"), *views(11, "done")[10:]]
    assert plan(stand, book).throttles == {"k": 100}
    book.submissions["k"].throttle = 100
    assert plan(stand, book).throttles == {}


def test_a_retry_leaves_the_neighbours_in_its_task_alone() -> None:
    """What blew up is in the same task as the branch that remedies it, and must not run again."""
    stand = [*views(3, "branched"), *views(6)[3:]]
    made = plan(stand, config=config(pack=20))
    assert [(c.array.tasks, c.array.only) for c in made.chunks] == [((0,), (3, 4, 5))]
    assert covered(made) == [3, 4, 5]


def test_a_member_that_a_live_task_has_in_hand_waits() -> None:
    stand = views(4, "ended", ["timed_out"])
    book = open_array(range(4), live=[1])
    stand[1].submission = book.submissions["k"]
    assert covered(plan(stand, book)) == [0, 2, 3]


def test_waves_stay_within_what_may_be_queued() -> None:
    made = plan(views(100), limits=limits(submit=50), in_queue=9)
    assert (made.tasks, made.tasks_later) == (40, 60)  # 50, less 9 of others, less the keeper


def test_different_needs_go_in_different_arrays() -> None:
    stand = [*views(2), *views(4, "ended", ["out_of_memory"])[2:]]
    made = plan(stand)
    assert [(c.array.tasks, c.resources.mem_mib) for c in made.chunks] == [
        ((0, 1), 2048),
        ((2, 3), 3072),
    ]


def test_a_task_gets_the_most_that_one_of_its_members_needs() -> None:
    stand = [*views(1), *views(2, "ended", ["out_of_memory"])[1:]]
    made = plan(stand, config=config(pack=2))
    assert [(c.array.tasks, c.resources.mem_mib) for c in made.chunks] == [((0,), 3072)]


def test_each_executable_is_built_once_and_only_its_members_wait() -> None:
    missing = {index: f"radius{index % 3}" for index in range(12)}
    made = plan(views(24), missing=missing)
    assert made.builds == {"radius0": 0, "radius1": 1, "radius2": 2}
    assert [(len(c.array.tasks), c.needs_build) for c in made.chunks] == [(12, True), (12, False)]


def test_an_executable_that_a_queued_job_builds_is_not_built_again() -> None:
    book = open_array([1])
    book.submissions["k"].kind = "build"
    made = plan(views(6), book, missing={index: f"radius{index % 2}" for index in range(6)})
    assert made.builds == {"radius0": 0}
    assert all(chunk.needs_build for chunk in made.chunks)


def test_a_stopped_sweep_submits_nothing() -> None:
    assert plan(views(5), Book(stopped="breaker")).chunks == []


def test_members_of_another_sweep_are_left_to_it() -> None:
    made = plan(views(4), elsewhere=frozenset({1, 2}))
    assert covered(made) == [0, 3]
    assert made.counts["elsewhere"] == 2


def test_forgiven_members_start_a_new_count() -> None:
    stand = views(1, "ended", ["bad_config"])
    assert plan(stand).given_up() == [0]
    assert covered(plan(stand, Book(reopened={0: 1}))) == [0]


@given(st.integers(1, 200), st.lists(st.integers(1, 1000), min_size=1, max_size=30))
def test_a_throttle_is_shared_out_whole(total: int, weights: list[int]) -> None:
    shares = allot(total, weights)
    assert sum(shares) == total
    if len(weights) < total:
        assert min(shares) >= 1
        pairs = itertools.combinations(zip(weights, shares, strict=True), 2)
        assert all((a <= b) == (v <= w) or v == w or a == b for (v, a), (w, b) in pairs)


def test_costs_are_measured_once_members_are_done() -> None:
    estimate = Estimate(cpu_s=3600, disk_bytes=1000, files=4)
    guess = estimate_cost(plan(views(10)), views(10), config().allocation, estimate)
    assert (guess.expected_core_h, guess.measured) == (10.0, False)
    assert guess.ceiling_core_h == 40.0
    done = views(10, "done", ["done"])
    stand = [*done, *views(20)[10:]]
    known = estimate_cost(plan(stand), stand, config().allocation, estimate)
    assert known.expected_core_h == pytest.approx(10 * 10 / 3600)
    assert known.spent_core_h == pytest.approx(10 * 10 / 3600)
    assert known.measured
