"""Climate models on the real Slurm: executables built first, legs over several jobs, a canonical end.

The ROCKE-3D of these tests is a stand-in of our own (tests/standins/modele.py) that keeps ModelE's file
contract; no part of ModelE runs here.
"""

import json
import subprocess
from pathlib import Path

import yaml
from support import Launcher, events, outcomes, states, until
from support_slurm import Cluster
from support_standin import settings

from astrohpc.engines.conformance import check_conformance

SITE = ("site=slurm-test", "site.query_interval_s=1", "site.signal_lead_s=60")
GRID = """
name: radius_flux
design: grid
axes:
  radius: {values: [0.8 R_earth, 1.0 R_earth, 1.2 R_earth, 1.4 R_earth]}
  stellar_flux: {low: 900 W/m2, high: 1300 W/m2, n: 6}
fixed:
  gravity: 9 m/s2
  surface_pressure: 800 hPa
  rotation_period: 1 d
  orbital_period: 361 d
  co2: 400 ppm
  ch4: 0
  stellar_temperature: 5772 K
"""


def standin(launch: Launcher, **changes: object) -> tuple[str, ...]:
    """A config folder with the grid and with engine=toy, the stand-in; the words that choose them."""
    own = launch.folder / "own"
    for group in ("engine", "sweep"):
        (own / group).mkdir(parents=True, exist_ok=True)
    toy = {"defaults": ["rocke3d", "_self_"], **settings(launch.folder, **changes)}
    (own / "engine" / "toy.yaml").write_text(yaml.safe_dump(toy, sort_keys=False))
    (own / "sweep" / "radius_flux.yaml").write_text(GRID)
    words = ("sweep=radius_flux", "engine=toy", "allocation.build_memory=500 MiB", *SITE)
    return (*words, "--config-dir", str(own))


def test_a_plan_of_24_worlds_names_four_executables_and_its_scripts_are_clean(
    launch: Launcher,
) -> None:
    words = standin(launch)
    said = launch("plan", *words)
    assert said.code == 0, said.all
    assert "radius_flux: 24 members on site slurm-test" in said.out
    assert "executables to build first, each in a task of its own: 4" in said.out
    assert "core hours:" in said.out
    assert "disk:" in said.out
    scripts = launch("plan", *words, "--dry-run").out.split("#!/bin/bash\n")[1:]
    assert len(scripts) == 3, "the builds, the members, the keeper"
    for number, text in enumerate(scripts):
        path = launch.folder / f"{number}.sbatch"
        path.write_text("#!/bin/bash\n" + text)
        checked = subprocess.run(
            ["shellcheck", str(path)], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout
    assert "astrohpc.jobs.build" in scripts[0]
    assert "--dependency=afterany" in scripts[1]


def test_24_worlds_on_four_executables_go_through_three_time_limits_to_canonical_climates(
    launch: Launcher, cluster: Cluster
) -> None:
    """Six years take each model 28 s, and Slurm's signal leaves its job 15 s at a time, or a few more."""
    words = standin(launch, max_years=6.0, min_years=6.0, launcher=slowly(0.013))
    limits = ("allocation.walltime=00:02:00", "site.signal_lead_s=105")
    each = "allocation.members_per_task=1"
    said = launch("sweep", *words, *limits, each, "--wait", timeout=900)
    assert "24 of 24 members done" in said.out, said.all
    folder = launch.sweep_folder("radius_flux")
    for state in states(folder).values():
        tries = [attempt["outcome"] for attempt in state["attempts"]]
        said_why = [(one["outcome"], one.get("reason")) for one in state["attempts"]]
        assert tries == ["checkpointed"] * (len(tries) - 1) + ["done"], said_why
        assert len(tries) >= 3
    print("\nlegs a member:", sorted(len(tries) for tries in outcomes(folder).values()))
    built = [path for path in (launch.folder / "executables").iterdir() if path.is_dir()]
    assert len(built) == 4
    (build,) = [event for event in events(folder, "intent") if event["kind"] == "build"]
    assert build["tasks"] == "0,6,12,18"
    for path in folder.glob("members/*/*/climate.nc"):
        assert check_conformance(path) == []
    again = launch("sweep", *words, *limits, each)
    assert "nothing to submit; 24 of 24" in again.out


def test_a_run_cut_into_legs_joins_without_a_seam(launch: Launcher, cluster: Cluster) -> None:
    """USR1 in the middle, three times: the same climate as without, to the bit."""
    one = ("sweep.axes.radius.values=[1 R_earth]", "sweep.axes.stellar_flux={values: [1000 W/m2]}")
    years = {"max_years": 12.0, "min_years": 12.0}
    words = (*standin(launch, **years), *one)
    launch("sweep", *words, "sweep.name=calm", "share=false", "--wait")
    words = (*standin(launch, **years, launcher=slowly(0.01)), *one)
    launch("sweep", *words, "sweep.name=cut", "share=false")
    folder = launch.sweep_folder("cut")
    for stop in range(1, 4):
        until(lambda: _rows(folder) >= 3 * stop, f"{3 * stop} months")  # noqa: B023
        job = states(folder)[0]["attempts"][-1]["job"]
        cluster.run("scancel", "--batch", "--signal=USR1", job)
        until(lambda: len(states(folder)[0]["attempts"]) > stop, "the next leg")  # noqa: B023
    until(lambda: states(folder)[0]["attempts"][-1]["outcome"] == "done", "the end")
    tries = [attempt["outcome"] for attempt in states(folder)[0]["attempts"]]
    assert tries == ["checkpointed"] * 3 + ["done"]
    calm = states(launch.sweep_folder("calm"))[0]["summary"]
    cut = states(folder)[0]["summary"]
    assert {k: v for k, v in cut.items() if k != "cpu_s"} == {
        k: v for k, v in calm.items() if k != "cpu_s"
    }


def slowly(seconds_a_day: float) -> list[str]:
    """A launcher that tells the stand-in to take its time; a job gets nothing of our environment."""
    return ["env", f"ASTROHPC_STANDIN={json.dumps({'slow_s': seconds_a_day})}"]


def _rows(folder: Path) -> int:
    texts = [path.read_text() for path in folder.glob("members/*/*/series.csv")]
    return max((text.count("\n") - 1 for text in texts), default=0)
