"""Twelve real ExoPlaSim worlds on the real Slurm: ten days under accidents, then ten days more."""

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from netCDF4 import Dataset
from support import REPOSITORY, Launcher, outcomes, rows, states, until
from support_slurm import Cluster

from astrohpc.engines.conformance import check_conformance

pytest.importorskip("exoplasim", reason="the extra 'exoplasim' is not installed")
pytestmark = [pytest.mark.slurm, pytest.mark.slow]

# Thin air on a small world under a fierce star: at this time step it blows up within two days.
FIERCE = "fierce,0.3 R_earth,10 d,0.02 bar,9500 W/m2"
CALM = [f"calm{flux},1 R_earth,1 d,1 bar,{flux} W/m2" for flux in range(1000, 1440, 40)]
TABLE = "\n".join(["name,radius,rotation_period,surface_pressure,stellar_flux", FIERCE, *CALM])
KILLED, LIMITED = 1, 2


def words(table: Path, days: int) -> tuple[str, ...]:
    return (
        *("sweep", "sweep=table", f"sweep.file={table}", "sweep.name=twelve", "site=slurm-test"),
        *("sweep.fixed={gravity: 9.81 m/s2, co2: 400 ppm, ch4: 0, stellar_temperature: 5772 K,"
          " orbital_period: 365.25 d}",),
        *("engine=exoplasim", f"engine.run_days={days}", "engine.leg_days=5"),
        *("engine.output_days=5", "allocation.members_per_task=1", "site.signal_lead_s=50"),
        *("site.query_interval_s=1", "policy.rules.blown_up.action=stop"),
    )  # fmt: skip


def model_of(home: Path) -> psutil.Process:
    """The Fortran model that runs in a member's folder, as soon as one does."""
    found: list[psutil.Process] = []

    def look() -> bool:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cwd() == str(home / "model") and "python" not in process.name():
                    found.append(process)
        return bool(found)

    until(look, f"a model in {home.name}")
    return found[0]


def legs(home: Path) -> int:
    series = home / "series.csv"
    return series.read_text().count("\n") - 1 if series.exists() else 0


def test_twelve_worlds_go_ten_days_under_accidents_and_ten_days_more(
    launch: Launcher, cluster: Cluster
) -> None:
    table = launch.folder / "twelve.csv"
    table.write_text(TABLE + "\n")
    said = launch(*words(table, 10), timeout=300)
    assert "12 members submitted as 12 tasks" in said.out, said.all
    folder = launch.sweep_folder("twelve")
    homes = [folder / "members" / row["id"][:2] / row["id"] for row in rows(folder)]

    until(lambda: LIMITED in states(folder), "the member that meets its time limit")
    job = states(folder)[LIMITED]["attempts"][0]["job"]
    cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=1")
    frozen = model_of(homes[LIMITED])
    frozen.suspend()  # however fast the machine is, it will not be done before its limit
    until(lambda: legs(homes[KILLED]) >= 1, "a leg of the member that is killed")
    parents = model_of(homes[KILLED]).parents()
    (adapter,) = [one for one in parents if "astrohpc.jobs.member" in one.cmdline()]
    adapter.send_signal(signal.SIGKILL)
    (log,) = (folder / "logs").glob(f"twelve.*_{LIMITED}.out")
    until(lambda: "USR1: asking the payload" in log.read_text(), "its time limit")
    if frozen.is_running():
        frozen.resume()

    end = launch(*words(table, 10), "--wait", timeout=500)
    assert end.code == 1, end.all
    assert "11 of 12 members done" in end.out
    assert "1 ended as blown up" in end.out
    first = outcomes(folder)
    assert first.pop(0) == ["blown_up"]
    assert first[KILLED] == ["checkpointed", "done"]
    lost = states(folder)[KILLED]["attempts"][0]
    assert lost["reason"] == "the restart of day 5 waits to be resumed"
    assert set(first[LIMITED][:-1]) == {"checkpointed"}
    assert all(tries[-1] == "done" for tries in first.values())
    story = launch("explain", "0", "--sweep", "twelve").out
    assert "blown up after" in story
    assert "crashed with SIGFPE between day 0 and 5; halve timestep_min (now 45)" in story

    onward = launch(
        *words(table, 20), "allocation.throttle=2", "policy=default", "--wait", timeout=500
    )
    assert "11 members that were done go on from where they ended" in onward.err
    assert "11 members (11 of them again) submitted" in onward.out
    final = outcomes(folder)
    assert final.pop(0) == ["blown_up"]
    assert final == {index: [*tries, "done"] for index, tries in first.items()}
    for home in homes[1:]:
        assert check_conformance(home / "climate.nc") == []
        with Dataset(home / "climate.nc") as file:
            assert file["time"][:].tolist() == [2.5, 7.5, 12.5, 17.5]
    again = launch(*words(table, 20))
    assert "nothing to submit; 11 of 12 members are done" in again.out
    _print_cost(cluster, folder, launch.folder)


def _print_cost(cluster: Cluster, folder: Path, launch_folder: Path) -> None:
    """Core-seconds a model day of the jobs that went ten days on, by accounting, and of a bare script."""
    tries = [state["attempts"][-1]["job"] for i, state in states(folder).items() if i]
    told = cluster.run(
        *("sacct", "--noheader", "--parsable2", "--format=JobID,TotalCPU"),
        f"--jobs={','.join(tries)}",
    )
    steps = dict(line.split("|") for line in told.splitlines())
    used = [steps[f"{one}.batch"] for one in tries]
    assert len(used) == len(tries) == 11
    ours = sum(map(_seconds, used)) / len(used) / 10
    bare = _bare_cpu_s(launch_folder) / 10
    print(
        f"\ncore-seconds a model day: {ours:.3f} in the sweep (all of its jobs, by sacct), "
        f"{bare:.3f} by a bare script; ratio {ours / bare:.3f}"
    )


def _bare_cpu_s(folder: Path) -> float:
    """Of ten days, two at once, as the sweep ran them: neighbours on a core's caches cost too."""
    script = REPOSITORY / "benchmarks" / "exoplasim_overhead.py"
    command = [sys.executable, str(script), "--days=10", "--leg-days=5", "--repeats=1", "--out"]
    outs = [folder / f"bare{number}.json" for number in range(2)]
    quiet = subprocess.DEVNULL
    both = [subprocess.Popen([*command, str(out)], stdout=quiet, stderr=quiet) for out in outs]
    assert [one.wait(timeout=300) for one in both] == [0, 0]
    runs = [json.loads(out.read_text())["runs"]["bare"][0]["cpu_s"] for out in outs]
    return sum(map(float, runs)) / len(runs)


def _seconds(text: str) -> float:
    """Of sacct's ``[HH:]MM:SS.mmm``."""
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total
