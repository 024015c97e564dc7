"""Who may write a member: exclusive claims, heartbeats, fences."""

import json
import os
import threading
from pathlib import Path

import pytest
from support import FakeClock

from astrohpc.engines.base import Progress
from astrohpc.errors import ConfigError
from astrohpc.outcome import Outcome, Verdict
from astrohpc.sweep import state as states
from astrohpc.sweep.state import (
    Busy,
    Claim,
    Damaged,
    Fenced,
    State,
    claim,
    foreign_files,
    read,
    settle,
)

PROGRESS = Progress(12.0, 100.0, 288.0, 0.5, 1000.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ab" / "abcdef"


def take(folder: Path, clock: FakeClock, job: str = "1_0", stale_s: float = 60) -> Claim | Busy:
    return claim(
        folder, member="abcdef", index=4, job=job, host="node1", clock=clock, stale_s=stale_s
    )


def held(folder: Path, clock: FakeClock, job: str = "1_0") -> Claim:
    got = take(folder, clock, job)
    assert isinstance(got, Claim)
    return got


def state_of(folder: Path) -> State:
    state = read(folder)
    assert isinstance(state, State)
    return state


def test_a_member_is_claimed_reported_and_finished(folder: Path, clock: FakeClock) -> None:
    mine = held(folder, clock)
    assert state_of(folder).attempts[0].running
    mine.note(PROGRESS)
    mine.heartbeat()
    assert state_of(folder).progress["model_years"] == 12.0
    mine.finish(Verdict(Outcome.DONE, "equilibrium"), {"surface_temperature_k": 288.0})
    state = state_of(folder)
    assert state.outcome == "done"
    assert state.attempts[0].model_years == 12.0
    assert state.summary == {"surface_temperature_k": 288.0}


def test_a_done_member_is_not_run_again(folder: Path, clock: FakeClock) -> None:
    held(folder, clock).finish(Verdict(Outcome.DONE, ""), {})
    assert take(folder, clock, "2_0") == Busy("it is done", done=True)


def test_a_live_attempt_of_another_job_is_respected_until_it_is_silent(
    folder: Path, clock: FakeClock
) -> None:
    held(folder, clock, "1_0")
    clock.sleep(59)
    assert isinstance(take(folder, clock, "2_0"), Busy)
    clock.sleep(2)
    new = held(folder, clock, "2_0")
    assert [a.n for a in new.state.attempts] == [1, 2]
    assert new.state.attempts[0].outcome == "unknown"


def test_a_requeued_job_takes_its_own_member_back_at_once(folder: Path, clock: FakeClock) -> None:
    held(folder, clock, "1_0")
    assert held(folder, clock, "1_0").attempt.n == 2


def test_an_older_attempt_that_wakes_up_writes_nothing(folder: Path, clock: FakeClock) -> None:
    old = held(folder, clock, "1_0")
    new = held(folder, clock, "1_0")  # the network was cut: Slurm requeued a job that still lives
    before = (folder / "state.json").read_bytes()
    for write in (old.heartbeat, lambda: old.finish(Verdict(Outcome.DONE, ""), {})):
        with pytest.raises(Fenced, match="attempt 2 has taken over from attempt 1"):
            write()
    assert (folder / "state.json").read_bytes() == before
    new.finish(Verdict(Outcome.DONE, "second"), {})
    assert state_of(folder).attempts[-1].reason == "second"


def test_an_attempt_two_generations_old_is_kept_out_too(folder: Path, clock: FakeClock) -> None:
    old = held(folder, clock, "1_0")
    held(folder, clock, "1_0")
    new = held(folder, clock, "1_0")  # which has removed the claims before it
    with pytest.raises(Fenced, match="attempt 3 has taken over from attempt 1"):
        old.heartbeat()
    assert state_of(folder) == new.state


def test_a_job_that_is_stopped_between_its_claim_and_its_first_word_comes_too_late(
    folder: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took number 1 and fell asleep; another took that for dead, became number 2 and is at work."""
    real, others = states._take, []

    def asleep(where: Path, number: int, now: float, stale_s: float) -> int | None:
        taken = real(where, number, now, stale_s)
        if not others:
            others.append(None)
            os.utime(where / ".attempt-1", (now - 1000, now - 1000))
            others.append(held(folder, clock, "2_0"))
        return taken

    monkeypatch.setattr(states, "_take", asleep)
    late = take(folder, clock, "1_0")
    assert isinstance(late, Busy)
    assert "attempt 2 has taken over" in late.why
    assert state_of(folder).attempts[-1].job == "2_0"
    others[1].heartbeat()


def test_a_state_of_a_later_version_is_not_taken_for_a_damaged_one(
    folder: Path, clock: FakeClock
) -> None:
    held(folder, clock)
    written = json.loads((folder / "state.json").read_text()) | {"schema": 2, "mood": "good"}
    (folder / "state.json").write_text(json.dumps(written))
    with pytest.raises(ConfigError, match="a later version of astrohpc"):
        read(folder)


def test_of_many_jobs_that_come_at_once_one_gets_the_member(folder: Path, clock: FakeClock) -> None:
    folder.mkdir(parents=True)
    got: list[Claim | Busy] = []
    gate = threading.Barrier(16)

    def come(number: int) -> None:
        gate.wait()
        got.append(take(folder, clock, f"{number}_0"))

    # Files are created with the system's clock: make the fake one agree, or every claim is stale.
    clock.time = os.stat(folder).st_mtime
    threads = [threading.Thread(target=come, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(one, Claim) for one in got) == 1


def test_a_claim_whose_holder_died_before_it_wrote_is_stepped_over(
    folder: Path, clock: FakeClock
) -> None:
    folder.mkdir(parents=True)
    (folder / ".attempt-1").touch()
    os.utime(folder / ".attempt-1", (clock.now() - 100, clock.now() - 100))
    assert held(folder, clock).attempt.n == 2


def test_only_the_newest_claim_remains(folder: Path, clock: FakeClock) -> None:
    for _ in range(3):
        held(folder, clock).finish(Verdict(Outcome.CHECKPOINTED, ""), {})
    assert sorted(p.name for p in folder.iterdir()) == [".attempt-3", "state.json"]


@pytest.mark.parametrize(
    "text", ['{"a":' * 100_000, '{"id": "a", "index": 0, "summary": {"x": ' + "9" * 400 + "}}"]
)
def test_a_state_that_no_computer_can_hold_is_damaged(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(text)
    (folder / ".attempt-²").write_text("")
    assert isinstance(read(folder), Damaged)
    assert isinstance(take(folder, FakeClock()), Claim)


def test_progress_in_words_of_a_stranger_is_no_progress() -> None:
    assert states.from_json({"years": 3.0}) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 3}', "\x00" * 50])
def test_a_damaged_state_is_kept_aside_and_the_member_runs(
    folder: Path, clock: FakeClock, content: str
) -> None:
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(content)
    assert isinstance(read(folder), Damaged)
    held(folder, clock).finish(Verdict(Outcome.DONE, ""), {})
    assert (folder / "state.json.damaged").read_text() == content
    assert state_of(folder).outcome == "done"


def test_a_settled_attempt_frees_the_member_at_once(folder: Path, clock: FakeClock) -> None:
    held(folder, clock, "1_0")
    settle(folder, state_of(folder), Verdict(Outcome.NODE_FAILED, "node1 died"), clock, 512)
    assert state_of(folder).attempts[0].max_rss_mib == 512
    assert held(folder, clock, "2_0").attempt.n == 2


def test_foreign_files_are_seen_and_ours_are_not(folder: Path, clock: FakeClock) -> None:
    held(folder, clock)
    (folder / "restart.npz").touch()
    (folder / "notes.txt").touch()
    assert foreign_files(folder, frozenset({"restart.npz"})) == ["notes.txt"]
    assert foreign_files(folder / "nowhere", frozenset()) == []


def test_state_is_json_that_a_person_can_read(folder: Path, clock: FakeClock) -> None:
    held(folder, clock)
    written = json.loads((folder / "state.json").read_text())
    assert written["schema"] == 1
    assert written["attempts"][0]["job"] == "1_0"
