"""Results that go, and results that come from elsewhere: nothing counts that is not there."""

import shutil

from support import Launcher, events, outcomes, rows, until

SMALL = ("sweep.n=6", "allocation.members_per_task=2")


def test_deleted_results_are_made_again(launch: Launcher) -> None:
    launch("sweep", *SMALL)
    folder = launch.sweep_folder()
    ident = rows(folder)[4]["id"]
    shutil.rmtree(folder / "members" / ident[:2] / ident)
    assert "rerun: 5 of 5 results of demo are identical" in launch("rerun", "demo").out
    assert "5 of 6 members done" in launch("status", "demo").out
    said = launch("sweep", *SMALL)
    assert "1 members were done and have lost their results" in said.err
    assert "1 member submitted as 1 task" in said.out
    assert outcomes(folder)[4] == ["done"]


def test_results_of_a_neighbour_that_was_removed_are_made_here(launch: Launcher) -> None:
    launch("sweep", *SMALL, "sweep.name=a")
    launch("sweep", *SMALL, "sweep.name=b")
    shutil.rmtree(launch.sweep_folder("a"))
    said = launch("sweep", *SMALL, "sweep.name=b")
    assert "6 members were done and have lost their results" in said.err
    assert outcomes(launch.sweep_folder("b")) == {i: ["done"] for i in range(6)}


def test_without_a_keeper_the_next_command_writes_the_report(launch: Launcher) -> None:
    words = (*SMALL, "site.keeper=false")
    launch("sweep", *words, "--detach")
    folder = launch.sweep_folder()
    until(
        lambda: len(outcomes(folder)) == 6 and all(map(any, outcomes(folder).values())), "the end"
    )
    assert not (folder / "reports" / "worlds.tsv").exists()
    said = launch("sweep", *words)
    assert (folder / "reports" / "worlds.tsv").exists(), said.all
    before = (folder / "events.jsonl").read_bytes()
    launch("sweep", *words)
    assert (folder / "events.jsonl").read_bytes() == before


def test_a_sweep_of_a_neighbour_s_members_has_a_report_too(launch: Launcher) -> None:
    launch("sweep", *SMALL, "sweep.name=a")
    launch("sweep", *SMALL, "sweep.name=b")
    assert (launch.sweep_folder("b") / "reports" / "worlds.tsv").exists()
    assert not events(launch.sweep_folder("b"), "intent")
