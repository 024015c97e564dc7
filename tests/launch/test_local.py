"""A whole sweep on this machine: the path that a laptop user takes, and the accidents on it."""

import csv
import json
import os
import signal
import time
from pathlib import Path

import netCDF4
import psutil
import pytest
from support import SLOW, Launcher, events, outcomes, rows, states, until

SMALL = ("sweep.n=6", "allocation.members_per_task=2")


def test_a_sweep_ends_with_a_table_a_plot_and_the_next_step(launch: Launcher) -> None:
    said = launch("sweep", *SMALL)
    assert said.code == 0
    assert "6 members submitted as 3 tasks of job local-1" in said.out
    assert "6 of 6 members done" in said.out
    assert "idealised energy-balance model" in said.out
    assert said.out.splitlines()[-1].startswith("next: look at")
    folder = launch.sweep_folder()
    assert outcomes(folder) == {i: ["done"] for i in range(6)}
    lines = (folder / "reports" / "worlds.tsv").read_text().splitlines()
    assert "synthetic" in lines[0]
    worlds = list(csv.DictReader(lines[1:], delimiter="\t"))
    assert all(180 < float(world["surface_temperature_k"]) < 420 for world in worlds)
    assert (folder / "reports" / "worlds.png").stat().st_size > 10_000
    for path in folder.glob("members/*/*/climate.nc"):
        with netCDF4.Dataset(path) as data:
            assert data.Conventions.startswith("CF-")


def test_at_most_five_files_a_member_are_ours(launch: Launcher) -> None:
    launch("sweep", *SMALL)
    folder = launch.sweep_folder()
    ours = [p for p in folder.glob("members/*/*/*") if p.name == "state.json" or p.name[0] == "."]
    logs = list((folder / "logs").iterdir())
    assert len(ours) + len(logs) <= 5 * 6


def test_the_same_command_again_does_nothing_and_a_larger_n_adds(launch: Launcher) -> None:
    launch("sweep", *SMALL)
    folder = launch.sweep_folder()
    before = (folder / "events.jsonl").read_bytes()
    again = launch("sweep", *SMALL)
    assert "nothing to submit; 6 of 6 members are done" in again.out
    assert (folder / "events.jsonl").read_bytes() == before
    more = launch("sweep", "sweep.n=9", SMALL[1])
    assert "3 members added to the 6 of demo" in more.out
    assert outcomes(folder) == {i: ["done"] for i in range(9)}


def test_what_is_submitted_is_what_the_dry_run_printed(launch: Launcher) -> None:
    printed = launch("sweep", *SMALL, "--dry-run")
    assert printed.code == 0
    assert not launch.sweep_folder().exists()
    launch("sweep", *SMALL)
    scripts = sorted((launch.sweep_folder() / "scripts").glob("*.sbatch"))
    texts = [path.read_text() for path in scripts]
    array = next(text for text in texts if "--array" in text)
    assert array in printed.out


def test_a_script_runs_by_hand(launch: Launcher) -> None:
    import subprocess

    launch("sweep", *SMALL, "--detach")
    launch("cancel")
    folder = launch.sweep_folder()
    script = next(p for p in (folder / "scripts").iterdir() if "--array" in p.read_text())
    for task in ("0", "1", "2"):
        done = subprocess.run(
            ["bash", str(script), task], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert {i: tries[-1] for i, tries in outcomes(folder).items()} == dict.fromkeys(
        range(6), "done"
    )


def test_a_task_that_meets_its_time_limit_continues(launch: Launcher) -> None:
    said = launch(
        "sweep",
        "sweep.n=1",
        *SLOW,
        "engine.max_years=400",
        "site.signal_lead_s=48",  # twelve seconds: Python on a busy machine needs some to start
        "allocation.walltime=00:01:00",
    )
    assert "1 of 1 members done" in said.out, said.all
    tries = states(launch.sweep_folder())[0]["attempts"]
    assert [a["outcome"] for a in tries][-1] == "done"
    assert {a["outcome"] for a in tries[:-1]} == {"checkpointed"}
    assert len(tries) >= 2
    years = [a["model_years"] for a in tries]
    assert years == sorted(years)
    log = next((launch.sweep_folder() / "logs").glob("demo.*_0.out")).read_text()
    assert "start 1," in log
    assert "start 2," in log


def test_an_interrupted_sweep_ends_as_an_uninterrupted_one(
    launch: Launcher, tmp_path: Path
) -> None:
    words = ("sweep.n=2", *SLOW, "engine.max_years=40")
    launch("sweep", *words, "sweep.name=calm")
    stormy = launch.start("sweep", *words, "sweep.name=stormy", "share=false", "--detach")
    stormy.communicate()
    folder = launch.sweep_folder("stormy")
    until(lambda: states(folder), "a member began")
    assert launch("cancel", "stormy").code == 0
    until(lambda: "checkpointed" in outcomes(folder).get(0, []), "a checkpoint")
    launch("sweep", *words, "sweep.name=stormy", "share=false")
    for index, state in states(folder).items():
        calm = states(launch.sweep_folder("calm"))[index]
        same = set(state["summary"]) - {"cpu_s"}
        assert {k: state["summary"][k] for k in same} == {k: calm["summary"][k] for k in same}
    assert outcomes(folder)[0] == ["checkpointed", "done"]


def kill_tree(pid: int) -> None:
    """A power failure: the process and all that it started."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        process.kill()


def test_a_killed_launcher_and_runner_lose_and_double_nothing(launch: Launcher) -> None:
    """kill -9 of the launcher, then of the runner with all its tasks, at many moments."""
    words = ("sweep", "sweep.n=12", "allocation.members_per_task=3", "site.heartbeat_s=0.5")
    folder = launch.sweep_folder()
    for step in range(8):
        process = launch.start(*words)
        time.sleep(0.25 + 0.25 * step)
        process.kill()
        process.communicate()
        if step % 3 == 2:
            for runner in psutil.process_iter(["cmdline"]):
                line = runner.info["cmdline"] or []
                if "astrohpc.slurm.local_runner" in line and str(folder / "local") in line:
                    kill_tree(runner.pid)
    said = launch(*words)
    assert said.code == 0, said.all
    final = outcomes(folder)
    assert sorted(final) == list(range(12))
    assert all(tries[-1] == "done" and tries.count("done") == 1 for tries in final.values())
    assert "12 of 12 members" in said.out


def test_what_was_cancelled_goes_on_with_the_next_command_however_soon(launch: Launcher) -> None:
    """A site that is asked once a minute only: 'cancel' itself knows that the queue is another now."""
    words = ("sweep.n=2", *SLOW, "engine.max_years=40", "site.query_interval_s=3600")
    launch("sweep", *words, "--detach")
    folder = launch.sweep_folder()
    until(lambda: states(folder), "a member began")
    launch("cancel")
    until(lambda: all(s["attempts"][-1]["outcome"] for s in states(folder).values()), "all stopped")
    said = launch("sweep", *words)
    assert "2 of 2 members done" in said.out


def test_cancel_returns_when_nothing_runs_any_more(launch: Launcher) -> None:
    launch("sweep", "sweep.n=2", *SLOW, "engine.max_years=2000", "--detach")
    folder = launch.sweep_folder()
    until(lambda: states(folder), "a member began")
    launch("cancel")
    assert all(tries[-1] == "checkpointed" for tries in outcomes(folder).values())


def test_a_sweep_inside_somebody_s_allocation_is_told_apart_from_it(launch: Launcher) -> None:
    """SLURM_* of an salloc, or of an array job, must not reach the tasks of the local scheduler."""
    said = launch(
        "sweep",
        *SMALL,
        SLURM_JOB_ID="777",
        SLURM_ARRAY_JOB_ID="770",
        SLURM_ARRAY_TASK_ID="3",
        SLURM_RESTART_COUNT="2",
    )
    assert "6 of 6 members done" in said.out
    jobs = {s["attempts"][0]["job"] for s in states(launch.sweep_folder()).values()}
    assert jobs == {"local-1_0", "local-1_1", "local-1_2"}


def test_a_runner_whose_launcher_was_killed_is_adopted(launch: Launcher) -> None:
    launch("sweep", "sweep.n=2", *SLOW, "engine.max_years=40", "--detach")
    folder = launch.sweep_folder()
    ledger = folder / "events.jsonl"
    until(lambda: states(folder), "a member began")
    lines = [line for line in ledger.read_text().splitlines() if '"submitted"' not in line]
    ledger.write_text("\n".join(lines) + "\n")  # as if it had been killed before it wrote the id
    said = launch("sweep", "sweep.n=2", *SLOW, "engine.max_years=40")
    assert "adopted job local-1" in said.err
    assert "2 of 2 members done" in said.out
    assert all(len(tries) == 1 for tries in outcomes(folder).values())


def test_a_budget_counts_what_was_spent_before(launch: Launcher) -> None:
    words = ("allocation.members_per_task=1", "sweep.axes.co2.low=20 ppm")
    launch("sweep", "sweep.n=4", *words)
    spent = sum(
        a["ended"] - a["started"]
        for s in states(launch.sweep_folder()).values()
        for a in s["attempts"]
    )
    budget = f"allocation.budget_core_hours={spent / 3600 * 1.01}"
    refused = launch("sweep", "sweep.n=64", *words, budget)
    assert refused.code == 2
    assert "are spent" in refused.err


def test_two_launchers_at_once_do_the_work_once(launch: Launcher) -> None:
    words = ("sweep", *SMALL)
    both = [launch.start(*words) for _ in range(2)]
    for process in both:
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0, out
    assert outcomes(launch.sweep_folder()) == {i: ["done"] for i in range(6)}
    intents = events(launch.sweep_folder(), "intent")
    assert sum(intent["kind"] == "array" for intent in intents) == 1


def test_a_member_of_two_sweeps_runs_once(launch: Launcher) -> None:
    launch("sweep", *SMALL, "sweep.name=a")
    said = launch("sweep", "sweep.n=8", SMALL[1], "sweep.name=b")
    assert "8 of 8 members" in said.out
    assert all(len(tries) == 1 for tries in outcomes(launch.sweep_folder("b")).values())


# A thin sky over land under a strong star, stepped far too boldly: it truly blows up, and a shorter
# step cures it.
BOLD = (
    "sweep.n=2",
    "sweep.axes.stellar_flux={low: 1480 W/m2, high: 1500 W/m2}",
    "sweep.fixed.surface_pressure=0.05 bar",
    "sweep.fixed.obliquity=0 deg",
    "engine.land_fraction=[1.0]",
    "engine.step_days=200",
)


def test_a_blown_up_member_is_remedied_by_branches(launch: Launcher) -> None:
    said = launch("sweep", *BOLD, "policy.rules.blown_up.limit=8")
    folder = launch.sweep_folder()
    table = rows(folder)
    final = outcomes(folder)
    assert said.code == 0, said.all
    assert final[0] == ["blown_up"]
    assert table[2]["branch_of"] == table[0]["id"]
    assert json.loads(table[2]["overrides"]) == {"step_days": 100.0}
    assert final[len(table) - 1] == ["done"]
    assert json.loads(table[-1]["overrides"])["step_days"] <= 100
    told = launch("explain", "0")
    assert "a branch with the declared remedy runs as another row" in told.out
    assert "blown up after" in told.out


def test_remedies_that_do_not_help_stop(launch: Launcher) -> None:
    said = launch(
        "sweep", *BOLD, "policy.rules.blown_up.limit=1", "policy.remedies.ebm.step_days=0.99"
    )
    assert said.code == 1
    assert "2 ended as blown up" in said.out
    last = len(rows(launch.sweep_folder())) - 1
    assert "remedies have been tried 1 times" in launch("explain", str(last)).out


def test_a_foreign_file_is_refused_and_left_alone(launch: Launcher) -> None:
    launch("sweep", *SMALL, "--dry-run")
    launch("sweep", *SMALL, "--detach")
    launch("cancel")
    folder = launch.sweep_folder()
    ident = rows(folder)[5]["id"]
    home = folder / "members" / ident[:2] / ident
    home.mkdir(parents=True, exist_ok=True)
    (home / "thesis.tex").write_text("mine")
    launch("sweep", *SMALL)
    if outcomes(folder)[5][-1] != "done":
        assert "thesis.tex" in launch("explain", "5").out
    assert (home / "thesis.tex").read_text() == "mine"


def test_a_truncated_restart_is_survived(launch: Launcher) -> None:
    words = ("sweep.n=1", *SLOW, "engine.max_years=60", "engine.checkpoint_seconds=0.2")
    launch("sweep", *words, "--detach")
    folder = launch.sweep_folder()
    until(lambda: list(folder.glob("members/*/*/restart.prev.npz")), "two restarts")
    launch("cancel")
    until(lambda: "checkpointed" in outcomes(folder).get(0, []), "a checkpoint")
    restart = next(folder.glob("members/*/*/restart.npz"))
    restart.write_bytes(restart.read_bytes()[:100])
    said = launch("sweep", *words)
    assert "1 of 1 members done" in said.out


def test_equal_bad_configurations_open_the_breaker(launch: Launcher) -> None:
    """Every member meets a foreign file: five fail alike, the others are not even begun."""
    words = ("sweep.n=12", "allocation.members_per_task=1", "allocation.throttle=1")
    launch("sweep", *words, "--detach")
    launch("cancel")
    folder = launch.sweep_folder()
    begun = set(outcomes(folder))
    for row in rows(folder):
        home = folder / "members" / row["id"][:2] / row["id"]
        home.mkdir(parents=True, exist_ok=True)
        (home / "thesis.tex").write_text("mine")
    said = launch("sweep", *words)
    assert said.code == 1
    failed = [i for i, tries in outcomes(folder).items() if tries[-1] == "bad_config"]
    assert 5 <= len(failed) <= 12 - len(begun)
    assert len(outcomes(folder)) < 12, "the breaker kept the rest from beginning"
    again = launch("sweep", *words)
    assert "stopped" in again.out
    for path in folder.glob("members/*/*/thesis.tex"):
        path.unlink()
    healed = launch("retry")
    assert "another chance for" in healed.out
    assert all(tries[-1] == "done" for tries in outcomes(folder).values())
    assert len(outcomes(folder)) == 12


def test_a_rerun_from_the_folder_alone_gives_the_same_bits(launch: Launcher) -> None:
    launch("sweep", *SMALL)
    said = launch("rerun", "demo")
    assert said.code == 0
    assert "rerun: 6 of 6 results of demo are identical" in said.out
    other = launch("rerun", "demo", "allocation.walltime=00:10:00", "--detach")
    assert other.code == 0
    written = (launch.folder / "runs" / "demo.rerun2" / "sweep.yaml").read_text()
    assert "walltime: 00:10:00" in written.replace("'", "")
    assert "members_per_task: 2" in written, "what was not overridden stays as it was"
    assert (launch.folder / "runs" / "demo.rerun1" / "members.tsv").exists()


def test_ctrl_c_leaves_the_work_running_and_says_so(launch: Launcher) -> None:
    process = launch.start("sweep", "sweep.n=1", *SLOW, "engine.max_years=60")
    folder = launch.sweep_folder()
    until(lambda: states(folder), "a member began")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "'watch' looks again" in out
    said = launch("watch", "--interval", "0.2")
    assert "1 of 1 members done" in said.out


@pytest.mark.skipif(os.geteuid() != 0, reason="a disk of our own needs mount, which needs root")
def test_a_full_disk_is_a_sentence_and_nothing_is_half_written(launch: Launcher) -> None:
    import subprocess

    disk = launch.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], check=True)
    try:
        launch.environment["ASTROHPC_RUNS"] = str(disk / "runs")
        refused = launch("sweep", "sweep.n=64")
        assert refused.code == 2
        assert "free space" in refused.err
        (disk / "ballast").write_bytes(b"x" * 50_000)
        full = launch("sweep", "sweep.n=1")
        assert full.code == 2
        assert full.err.count("\n") == 1
        assert "free space" in full.err
        assert not list((disk / "runs").rglob("*.tmp*"))
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        assert launch("sweep", "sweep.n=1").code == 0
    finally:
        for process in psutil.process_iter(["cmdline"]):
            if any(str(disk) in word for word in process.info["cmdline"] or []):
                process.kill()
        subprocess.run(["umount", "-l", str(disk)], check=True)
