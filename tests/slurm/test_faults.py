"""Sweeps on a real Slurm under the accidents of real clusters. Whatever happens, each member ends once."""

import os
import signal
import stat
import time
from pathlib import Path

import pytest
from support import SLOW, Launcher, events, outcomes, states, until
from support_slurm import Cluster

pytestmark = pytest.mark.slurm

SITE = ("site=slurm-test", "site.query_interval_s=1", "site.signal_lead_s=60")


def shim(launch: Launcher, cluster: Cluster, name: str, script: str) -> str:
    """A command that stands before the real one in PATH, as a fault between us and it."""
    folder = launch.folder / "bin"
    folder.mkdir(exist_ok=True)
    real = cluster.run("which", name).strip()
    path = folder / name
    path.write_text(f"#!/bin/bash\nreal={real}\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"{folder}:{launch.environment['PATH']}"


# ------------------------------------------------------------------------------ the launcher dies
@pytest.mark.parametrize(
    ("moment", "script"),
    [
        ("before sbatch", 'kill -9 "$PPID"; exit 1'),
        ("after sbatch", '"$real" --hold "$@" >/dev/null; kill -9 "$PPID"; exit 1'),
    ],
    ids=["before", "after"],
)
def test_a_launcher_killed_between_intent_and_job_id_loses_and_doubles_nothing(
    launch: Launcher, cluster: Cluster, moment: str, script: str, request: pytest.FixtureRequest
) -> None:
    words = ("sweep", *SITE, "sweep.n=6", "allocation.members_per_task=2")
    killed = launch.start(*words, PATH=shim(launch, cluster, "sbatch", script))
    killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL
    folder = launch.sweep_folder()
    assert len(events(folder, "intent")) == 1
    assert events(folder, "submitted") == []
    if moment == "before sbatch":
        soon = launch(*words)
        assert "nothing to submit" in soon.out, (
            "the intent is young: sbatch may still be on its way"
        )
        (old,) = events(folder, "intent")
        aged = (
            (folder / "events.jsonl").read_text().replace(str(old["time"]), str(old["time"] - 600))
        )
        (folder / "events.jsonl").write_text(aged)
    time.sleep(1.1)  # SITE lets the scheduler be asked once a second
    said = launch(*words)
    adopted = [event for event in events(folder, "submitted") if event.get("adopted")]
    if moment == "after sbatch":
        assert "adopted job" in said.err
        (one,) = adopted
        cluster.run("scontrol", "release", one["job"])
    else:
        assert "6 members submitted as 3 tasks" in said.out
    until(lambda: set(outcomes(folder)) == set(range(6)), "all members")
    cluster.drain()
    launch(*words)
    assert outcomes(folder) == {i: ["done"] for i in range(6)}


def test_a_launcher_killed_at_any_moment_leaves_one_live_job_a_member(
    launch: Launcher, cluster: Cluster
) -> None:
    words = ("sweep", *SITE, "sweep.n=8", "allocation.members_per_task=1", "site.max_array_size=3")
    for step in range(6):
        process = launch.start(*words)
        time.sleep(0.45 + 0.12 * step)
        process.kill()
        process.communicate()
    folder = launch.sweep_folder()
    until(lambda: "submitted" in launch(*words).out or not cluster.queue(), "a whole submission")
    cluster.drain()
    launch(*words, "--wait")
    assert {i: tries.count("done") for i, tries in outcomes(folder).items()} == dict.fromkeys(
        range(8), 1
    )


def test_two_launchers_at_once_submit_once(launch: Launcher, cluster: Cluster) -> None:
    words = ("sweep", *SITE, "sweep.n=6", "allocation.members_per_task=2")
    both = [launch.start(*words) for _ in range(2)]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("6 members submitted" in text for text in said) == 1
    assert sum("nothing to submit" in text for text in said) == 1
    cluster.drain()
    assert outcomes(launch.sweep_folder()) == {i: ["done"] for i in range(6)}


# ------------------------------------------------------------------------------ Slurm is ill
def test_a_scheduler_that_does_not_answer_means_unknown_and_never_failed(
    launch: Launcher, cluster: Cluster
) -> None:
    words = ("sweep", *SITE, "sweep.n=2", *SLOW, "engine.max_years=300")
    launch(*words)
    folder = launch.sweep_folder()
    until(lambda: len(states(folder)) == 2, "both members")
    cluster.verb("controller-stop")
    try:
        silent = launch(*words)
        assert silent.code == 0
        assert "the scheduler does not answer" in silent.all
        assert "nothing is decided or submitted" in silent.all
        assert all(tries[-1] in ("", "done") for tries in outcomes(folder).values())
        assert launch("status").code == 0, "status reads files and needs no scheduler"
        fresh = launch("sweep", *SITE, "sweep.n=2", "sweep.name=other")
        assert fresh.code == 2
        assert "does not answer" in fresh.err
    finally:
        cluster.verb("controller-cont")
    cluster.drain()
    launch(*words)
    assert {tuple(tries) for tries in outcomes(folder).values()} == {("done",)}
    assert len([e for e in events(folder, "intent") if e["kind"] == "array"]) == 1


def test_a_sweep_goes_on_while_accounting_is_down(launch: Launcher, cluster: Cluster) -> None:
    cluster.verb("accounting-kill")
    said = launch("sweep", *SITE, "sweep.n=4", "allocation.members_per_task=1", "--wait")
    assert said.code == 0, said.all
    assert outcomes(launch.sweep_folder()) == {i: ["done"] for i in range(4)}
    cluster.verb("up")


def test_a_controller_that_is_killed_and_comes_back_keeps_the_sweep(
    launch: Launcher, cluster: Cluster
) -> None:
    launch("sweep", *SITE, "sweep.n=4", *SLOW, "engine.max_years=150")
    folder = launch.sweep_folder()
    until(lambda: len(states(folder)) == 4, "all members")
    time.sleep(6)  # slurmctld saves its state every five seconds
    cluster.verb("controller-kill")
    cluster.verb("up")
    cluster.drain()
    launch("sweep", *SITE, "sweep.n=4", *SLOW, "engine.max_years=150", "--wait")
    assert {tries[-1] for tries in outcomes(folder).values()} == {"done"}
    assert all(tries.count("done") == 1 for tries in outcomes(folder).values())


# ------------------------------------------------------------------------------ nodes and limits
def node_of(cluster: Cluster, task: str) -> str:
    return cluster.run("squeue", "--noheader", f"--jobs={task}", "--format=%N").strip()


def array_job(folder: Path) -> str:
    names = {e["key"] for e in events(folder, "intent") if e["kind"] == "array"}
    return next(str(e["job"]) for e in events(folder, "submitted") if e["key"] in names)


def test_a_dead_node_s_member_goes_on_elsewhere(launch: Launcher, cluster: Cluster) -> None:
    words = ("sweep.n=1", *SLOW, "engine.max_years=400", "engine.checkpoint_seconds=1")
    launch("sweep", *SITE, *words)
    folder = launch.sweep_folder()
    until(lambda: list(folder.glob("members/*/*/restart.npz")), "a restart")
    node = node_of(cluster, f"{array_job(folder)}_0")
    cluster.verb("node-kill", node.removeprefix("node"))
    cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    until(lambda: len(states(folder)[0]["attempts"]) == 2, "a second attempt")
    cluster.verb("node-start", node.removeprefix("node"))
    until(lambda: outcomes(folder)[0][-1] == "done", "the end")
    first, second = states(folder)[0]["attempts"]
    assert first["outcome"] == "unknown"
    assert second["host"] != node
    log = next((folder / "members").glob("*/*/ebm.log")).read_text()
    assert "resumed" in log


def test_a_node_cut_off_from_the_network_cannot_write_over_its_successor(
    launch: Launcher, cluster: Cluster
) -> None:
    """Slurm requeues the job while the old copy goes on, and both see the same folder."""
    if not cluster.namespaces:
        pytest.skip("the cluster runs in plain mode: its nodes share one network")
    launch(
        "sweep", *SITE, "sweep.n=1", *SLOW, "engine.max_years=900", "engine.checkpoint_seconds=1"
    )
    folder = launch.sweep_folder()
    until(lambda: list(folder.glob("members/*/*/restart.npz")), "a restart")
    node = node_of(cluster, f"{array_job(folder)}_0")
    number = node.removeprefix("node")
    log = next((folder / "logs").glob("demo.*_0.out"))
    cluster.verb("node-cut", number)
    try:
        cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
        until(lambda: "attempt 2 has taken over from attempt 1" in log.read_text(), "the fence")
        attempts = states(folder)[0]["attempts"]
        assert [a["host"] != node for a in attempts] == [False, True]
    finally:
        cluster.verb("node-heal", number)
    until(lambda: outcomes(folder)[0][-1] == "done", "the end")
    assert len(states(folder)[0]["attempts"]) == 2


def test_a_preempted_member_writes_its_restart_and_continues(
    launch: Launcher, cluster: Cluster
) -> None:
    launch(
        "sweep",
        *SITE,
        "sweep.n=1",
        *SLOW,
        "engine.max_years=500",
        "allocation.partition=grace",
        "+allocation.exclusive=true",
    )
    folder = launch.sweep_folder()
    until(lambda: _years(folder) > 0, "some model years")
    node = node_of(cluster, f"{array_job(folder)}_0")
    cluster.run(
        "sbatch",
        "--partition=urgent",
        f"--nodelist={node}",
        "--exclusive",
        "--wrap=sleep 3",
        "--output=/dev/null",
    )
    until(lambda: "checkpointed" in outcomes(folder)[0], "a checkpoint")
    until(lambda: outcomes(folder)[0][-1] == "done", "the end")
    attempts = states(folder)[0]["attempts"]
    assert attempts[0]["model_years"] > 0
    assert attempts[-1]["model_years"] == 500
    log = next((folder / "logs").glob("demo.*_0.out")).read_text()
    assert "start 1," in log
    assert "start 2," in log


def _years(folder: Path) -> float:
    """How far member 0 says that it is; 0 before its first word."""
    state = states(folder).get(0)
    return float(state["progress"].get("model_years", 0.0)) if state else 0.0


@pytest.mark.slow
def test_a_member_longer_than_its_time_limit_continues_until_it_is_done(
    launch: Launcher, cluster: Cluster
) -> None:
    """A true limit of two minutes: USR1 a minute before it, a restart, a requeue, the same task again."""
    launch(
        "sweep", *SITE, "sweep.n=1", *SLOW, "engine.max_years=2500", "allocation.walltime=00:02:00"
    )
    folder = launch.sweep_folder()
    until(lambda: "checkpointed" in outcomes(folder).get(0, []), "the time limit")
    job = array_job(folder)
    until(lambda: outcomes(folder)[0][-1] == "done", "the end")
    attempts = states(folder)[0]["attempts"]
    assert {a["outcome"] for a in attempts[:-1]} == {"checkpointed"}
    # The same task goes on. Where a starved node is cut off between restart and requeue, the keeper's task does.
    assert [a["job"] for a in attempts].count(f"{job}_0") >= 2
    years = [a["model_years"] for a in attempts]
    assert years == sorted(set(years))


def test_requeueing_one_task_leaves_its_neighbours_alone(
    launch: Launcher, cluster: Cluster
) -> None:
    launch("sweep", *SITE, "sweep.n=3", *SLOW, "engine.max_years=400")
    folder = launch.sweep_folder()
    until(lambda: len(states(folder)) == 3, "all members")
    time.sleep(1)
    last = f"{array_job(folder)}_2"  # the last task shares its id with the array
    cluster.run("scancel", "--batch", "--signal=USR1", last)
    until(lambda: "checkpointed" in outcomes(folder)[2], "a checkpoint")
    until(lambda: all(tries[-1] == "done" for tries in outcomes(folder).values()), "the end")
    assert outcomes(folder) == {0: ["done"], 1: ["done"], 2: ["checkpointed", "done"]}


def test_a_folder_that_nodes_cannot_see_is_explained(launch: Launcher, cluster: Cluster) -> None:
    """Slurm then starts nothing and logs nothing: the classic way to lose an afternoon."""
    if not cluster.namespaces:
        pytest.skip("the cluster runs in plain mode: its nodes share one /tmp")
    hidden = Path("/tmp") / f"astrohpc-hidden-{os.getpid()}"
    said = launch("sweep", *SITE, "sweep.n=1", f"runs={hidden}")
    assert said.code == 0
    cluster.drain()
    again = launch("sweep", *SITE, "sweep.n=1", f"runs={hidden}")
    told = launch("explain", "0", "--runs", str(hidden))
    import shutil

    shutil.rmtree(hidden, ignore_errors=True)
    assert again.code == 0
    assert "before the model began" in told.out
    assert "no log at" in told.out
