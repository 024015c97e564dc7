"""Reconciling with a scheduler that says what no real one can be made to say at will.

Everything else is real: the ledger, the members' folders, the engine that judges what a model left. What
a real Slurm does say is tested in tests/slurm.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from support import FakeClock
from support_scene import JOB, Scene, Scripted, every_task, seen

from astrohpc.launch.compose import compose
from astrohpc.launch.sweeping import open_session
from astrohpc.outcome import Outcome, Verdict
from astrohpc.sweep.create import create_or_extend
from astrohpc.sweep.reconcile import ORPHAN_GRACE_S, RELEASES
from astrohpc.sweep.state import read, write


@pytest.fixture
def scene(tmp_path: Path, clock: FakeClock) -> Scene:
    words = [f"runs={tmp_path}", "sweep.n=4", "site=slurm-test", "allocation=single"]
    session = open_session(compose(words), clock)
    scheduler = Scripted()
    session.scheduler = scheduler
    session.limits = None
    members, _ = create_or_extend(session, ["test"])
    return Scene(session, scheduler, members, clock)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("NODE_FAIL", "node_failed"),
        ("BOOT_FAIL", "node_failed"),
        ("OUT_OF_MEMORY", "out_of_memory"),
        ("TIMEOUT", "timed_out"),
        ("DEADLINE", "timed_out"),
        ("PREEMPTED", "preempted"),
        ("CANCELLED by 0", "preempted"),
        ("FAILED", "unknown"),
        ("REVOKED", "unknown"),
    ],
)
def test_what_slurm_says_of_a_lost_attempt_is_its_outcome(
    scene: Scene, state: str, outcome: str
) -> None:
    scene.submitted()
    scene.running(2)
    scene.scheduler.queue = every_task("RUNNING")
    scene.scheduler.queue[2] = seen(2, state)
    scene.scheduler.past = [seen(2, state, max_rss_mib=77)]
    account = scene.reconcile()
    assert scene.last(2).outcome == outcome
    assert scene.last(2).max_rss_mib == 77
    assert [view.status for view in account.views] == ["queued", "queued", "ended", "queued"]
    assert account.notes == [f"member 2: {outcome.replace('_', ' ')}, {scene.last(2).reason}"]
    assert not scene.home(1).exists()


def test_what_the_model_left_counts_where_slurm_knows_no_reason(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.submitted()
    scene.running(0)
    left = Verdict(Outcome.BLOWN_UP, "the temperature is not a number in year 3")
    monkeypatch.setattr(scene.session.engine, "verdict", lambda folder: left)
    scene.scheduler.past = [seen(0, "FAILED", exit_code=1)]
    scene.reconcile()
    assert (scene.last(0).outcome, scene.last(0).reason) == ("blown_up", left.reason)


def test_a_job_that_nobody_remembers_is_unknown_and_never_failed(scene: Scene) -> None:
    scene.submitted()
    scene.running(0)
    account = scene.reconcile()
    assert scene.last(0).outcome == "unknown"
    assert account.book.open() == []
    assert [view.status for view in account.views] == ["ended", "new", "new", "new"]


@pytest.mark.parametrize("half", ["queue", "past"])
def test_a_scheduler_that_does_not_answer_decides_nothing(scene: Scene, half: str) -> None:
    scene.submitted()
    before = scene.running(0)
    scene.scheduler.silent = half
    scene.clock.time += 10_000
    account = scene.reconcile()
    assert not account.current
    assert account.rest_s == 60
    assert "does not answer" in account.notes[0]
    assert read(scene.home(0)) == before
    assert [view.status for view in account.views] == ["silent", "queued", "queued", "queued"]
    assert scene.session.ledger.fold().open("array")


def test_a_state_that_a_later_slurm_invents_is_alive(scene: Scene) -> None:
    scene.submitted()
    scene.running(0)
    scene.scheduler.queue = every_task("TELEPORTING")
    account = scene.reconcile()
    assert scene.last(0).running
    assert account.in_queue == 4
    assert account.views[0].status == "running"


def test_the_scheduler_is_asked_once_a_minute_at_most(scene: Scene) -> None:
    scene.submitted()
    scene.scheduler.queue = every_task("PENDING")
    assert scene.reconcile().current
    scene.clock.time += 45
    account = scene.reconcile()
    assert not account.current
    assert account.rest_s == pytest.approx(15)
    assert scene.scheduler.asked == ["queue"], "and accounting only where something is puzzling"
    scene.clock.time += 15
    assert scene.reconcile().current


def test_nothing_in_the_queue_means_nothing_to_ask(scene: Scene) -> None:
    assert scene.reconcile().current
    assert scene.scheduler.asked == []


def test_a_member_that_ends_while_we_ask_has_the_last_word(scene: Scene) -> None:
    scene.submitted()
    state = scene.running(0)
    done = replace(state.attempts[0], ended=scene.clock.now(), outcome="done", reason="fine")

    def speak() -> None:
        write(scene.home(0), replace(state, attempts=(done,)))

    scene.scheduler.meanwhile = speak
    scene.scheduler.past = [seen(0, "NODE_FAIL")]
    account = scene.reconcile()
    assert scene.last(0).outcome == "done"
    assert account.views[0].status == "done"


# ------------------------------------------------------------------------------ before the model began
def test_a_script_that_fails_before_the_model_is_written_down_for_its_member(scene: Scene) -> None:
    scene.submitted()
    scene.scheduler.queue = every_task("PENDING")
    scene.scheduler.queue[1] = seen(1, "FAILED", exit_code=127)
    scene.scheduler.past = [seen(1, "FAILED", exit_code=127)]
    account = scene.reconcile()
    assert scene.last(1).outcome == "unknown"
    assert "exit code 127" in scene.last(1).reason
    assert account.notes == ["member 1: its script ended before the model began; see its log"]
    assert not scene.home(0).exists()


def test_a_script_that_refused_its_own_words_is_a_bad_configuration(scene: Scene) -> None:
    scene.submitted()
    scene.scheduler.past = [seen(1, "FAILED", exit_code=78)]
    scene.reconcile()
    assert scene.last(1).outcome == "bad_config"


@pytest.mark.parametrize(
    "end", [("CANCELLED by 0", 0), ("COMPLETED", 0), ("FAILED", 69), ("FAILED", 75)]
)
def test_a_task_that_had_nothing_to_run_leaves_no_trace(scene: Scene, end: tuple[str, int]) -> None:
    scene.submitted()
    scene.scheduler.past = [seen(1, end[0], exit_code=end[1])]
    account = scene.reconcile()
    assert not scene.home(1).exists()
    assert account.views[1].status == "new"


def test_a_task_whose_first_member_is_done_did_begin(scene: Scene) -> None:
    scene.submitted()
    scene.done(1)
    scene.scheduler.past = [seen(1, "FAILED", exit_code=127)]
    scene.reconcile()
    assert len(scene.state(1).attempts) == 1
    assert scene.session.ledger.fold().fruitless == 0


def test_a_member_whose_results_were_deleted_is_no_longer_done(scene: Scene) -> None:
    for index in range(4):
        scene.done(index)
    scene.reconcile()
    assert scene.session.ledger.fold().settled.keys() == {0, 1, 2, 3}
    (scene.home(2) / "state.json").unlink()
    account = scene.reconcile()
    assert [view.status for view in account.views] == ["done", "done", "new", "done"]
    assert scene.session.ledger.fold().settled.keys() == {0, 1, 3}


def test_an_unanswered_intent_whose_members_are_all_done_is_over(scene: Scene) -> None:
    """No question to the scheduler could tell more than their files do."""
    scene.submitted(job=None)
    for index in range(4):
        scene.done(index)
    assert not scene.reconcile().book.open()
    assert scene.scheduler.asked == []


def test_an_array_that_begins_nothing_is_counted_until_a_person_resumes(scene: Scene) -> None:
    scene.submitted()
    scene.reconcile()
    assert scene.session.ledger.fold().fruitless == 1
    scene.session.ledger.append("resumed")
    assert scene.session.ledger.fold().fruitless == 0


# ------------------------------------------------------------------------------ submissions
def test_an_orphan_is_adopted_by_its_name(scene: Scene) -> None:
    scene.submitted(job=None)
    scene.scheduler.queue = [
        seen(task, "PENDING", submitted=scene.clock.now() + 1) for task in range(4)
    ]
    account = scene.reconcile()
    assert [s.job for s in account.book.open()] == [JOB]
    assert account.notes == [f"adopted job {JOB}, which an interrupted launcher had submitted"]


def test_an_older_job_of_the_same_name_is_not_adopted(scene: Scene) -> None:
    scene.submitted(job=None)
    scene.scheduler.queue = [
        seen(task, "PENDING", submitted=scene.clock.now() - 3600) for task in range(4)
    ]
    account = scene.reconcile()
    assert [s.job for s in account.book.open()] == [None]


def test_an_intent_that_slurm_never_got_is_dropped_but_not_at_once(scene: Scene) -> None:
    scene.submitted(job=None)
    assert scene.reconcile().book.open(), "sbatch may be on its way"
    scene.clock.time += ORPHAN_GRACE_S + 60
    account = scene.reconcile()
    assert account.book.open() == []
    assert [view.status for view in account.views] == ["new"] * 4


def test_a_task_held_by_accident_is_released_a_few_times(scene: Scene) -> None:
    scene.submitted()
    held = seen(3, "PENDING", reason="launch failed requeued held")
    scene.scheduler.queue = [*every_task("PENDING")[:3], held]
    for _ in range(RELEASES + 2):
        scene.reconcile()
        scene.clock.time += 60
    assert scene.scheduler.released == [(JOB, 3)] * RELEASES


def test_an_array_is_over_when_none_of_its_tasks_is_left(scene: Scene) -> None:
    scene.submitted()
    scene.scheduler.queue = [seen(3, "RUNNING"), *every_task("COMPLETED")[:3]]
    assert scene.reconcile().book.open("array")
    scene.clock.time += 60
    scene.scheduler.queue = []
    assert not scene.reconcile().book.open("array")


def test_accounting_s_memory_of_an_earlier_life_does_not_kill_a_requeued_task(scene: Scene) -> None:
    scene.submitted()
    scene.running(1)
    scene.scheduler.queue = [seen(task, "PENDING") for task in (0, 2, 3)]
    scene.scheduler.past = [seen(0, "NODE_FAIL"), seen(1, "NODE_FAIL")]
    account = scene.reconcile()
    assert scene.last(1).outcome == "node_failed"
    assert [view.status for view in account.views] == ["queued", "ended", "queued", "queued"]


def test_a_silent_member_is_asked_about_although_nothing_is_queued(scene: Scene) -> None:
    """It was started with 'sbatch scripts/…' by hand, and its node died."""
    scene.running(0, job="99_0")
    scene.clock.time += 10_000
    scene.scheduler.past = [replace(seen(0, "NODE_FAIL"), job="99")]
    account = scene.reconcile()
    assert scene.last(0).outcome == "node_failed"
    assert account.views[0].status == "ended"


@pytest.mark.parametrize("site", ["slurm-test", "local"])
def test_a_neighbour_s_live_attempt_is_left_alone_by_who_cannot_see_its_job(
    scene: Scene, site: str
) -> None:
    slurm = site == "slurm-test"
    scene.session.config = replace(
        scene.session.config, site=replace(scene.session.config.site, scheduler=_kind(slurm))
    )
    scene.submitted(job=JOB if slurm else "local-1")
    scene.session.ledger.append("shared", members="0", home="other")
    scene.running(0, job="local-1_0" if slurm else "4711_0")
    scene.scheduler.queue = [
        replace(seen(task, "PENDING"), job=JOB if slurm else "local-1") for task in range(4)
    ]
    scene.reconcile()
    assert scene.last(0).running
    scene.clock.time += 1000
    scene.reconcile()
    assert scene.last(0).outcome == "unknown"


def _kind(slurm: bool) -> Literal["slurm", "local"]:
    return "slurm" if slurm else "local"


def test_a_member_started_by_hand_is_judged_by_its_heartbeat(scene: Scene) -> None:
    scene.submitted()
    scene.scheduler.queue = every_task("PENDING")
    scene.running(0, job="laptop:4711")
    scene.reconcile()
    assert scene.last(0).running
    scene.clock.time += 1000
    scene.reconcile()
    assert scene.last(0).outcome == "unknown"
