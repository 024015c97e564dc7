"""A sweep's bill holds every attempt: finished, repeated, failed and running."""

import math
from pathlib import Path

import pytest
import yaml
from support import REPOSITORY

from astrohpc.engines.series import append_row
from astrohpc.errors import ConfigError
from astrohpc.planet import Planet
from astrohpc.sweep.cost import shortened, sweep_cost
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.members import Member, write_table
from astrohpc.sweep.state import Attempt, State, write

PLANET = Planet.from_config(
    {
        "radius": "1 R_earth",
        "gravity": "9.8 m/s2",
        "rotation_period": "10 d",
        "surface_pressure": "1 bar",
        "co2": "400 ppm",
        "ch4": 0,
        "stellar_flux": "900 W/m2",
        "stellar_temperature": "3000 K",
        "tidally_locked": True,
    }
)
IDS = tuple(f"{k:016x}" for k in range(6))
CORES = 4


def read_group(group: str, name: str) -> dict:
    return yaml.safe_load((REPOSITORY / "configs" / group / f"{name}.yaml").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    made = SweepFolder(tmp_path / "runs" / "small")
    made.make()
    config = {
        "runs": str(tmp_path / "runs"),
        "sweep": read_group("sweep", "exoplasim-t21") | {"name": "small"},
        "engine": read_group("engine", "ebm"),
        "site": read_group("site", "local"),
        "allocation": read_group("allocation", "small") | {"cpus_per_task": 2, "tasks_per_node": 2},
        "policy": read_group("policy", "default"),
    }
    made.config.write_text(yaml.safe_dump(config))
    write_table(made.table, [Member(k, one, PLANET) for k, one in enumerate(IDS)])
    made.ledger.write_text("")
    return made


def attempt(n: int, seconds: float | None, outcome: str) -> Attempt:
    ended = None if seconds is None else 100.0 * n + seconds
    return Attempt(n=n, job="7_0", host="a", started=100.0 * n, ended=ended, outcome=outcome)


def put(folder: SweepFolder, index: int, *attempts: Attempt, **summary: float | str) -> None:
    home = folder.member(IDS[index])
    home.mkdir(parents=True)
    write(
        home,
        State(id=IDS[index], index=index, attempts=attempts, summary=summary, updated=150.0),
    )


def fill(folder: SweepFolder) -> None:
    """Done; done at the second try; blown up; running; not begun; damaged."""
    put(folder, 0, attempt(1, 10.0, "done"), cpu_s=36.0, model_years=2.0, converged="true")
    put(
        folder,
        1,
        attempt(1, 20.0, "preempted"),
        attempt(2, 30.0, "done"),
        cpu_s=144.0,
        model_years=3.0,
        converged="false",
    )
    put(folder, 2, attempt(1, 5.0, "blown_up"), attempt(2, 6.0, "blown_up"))
    put(folder, 3, attempt(1, None, ""))
    home = folder.member(IDS[5])
    home.mkdir(parents=True)
    (home / "state.json").write_text("{")


def test_every_attempt_counts_on_all_of_its_cores(folder: SweepFolder) -> None:
    fill(folder)
    cost = sweep_cost(folder)
    assert cost.cores == CORES
    assert cost.finishing_core_s == pytest.approx(CORES * 40.0)
    assert cost.repeated_core_s == pytest.approx(CORES * 20.0)
    assert cost.unfinished_core_s == pytest.approx(CORES * 11.0)
    assert cost.running_core_s == pytest.approx(CORES * 50.0)  # to its last word
    assert cost.core_s == pytest.approx(CORES * 121.0)
    assert cost.core_s_a_climate == pytest.approx(CORES * 121.0 / 2)
    assert (cost.members, cost.done, cost.settled, cost.unfinished) == (6, 2, 1, 1)
    assert (cost.attempts, cost.untold) == (6, 1)
    assert cost.model_years == 5.0


def test_processor_time_of_failed_attempts_is_at_the_rate_of_those_that_counted(
    folder: SweepFolder,
) -> None:
    fill(folder)
    cost = sweep_cost(folder)
    assert cost.counted == 2
    assert cost.use == pytest.approx(180.0 / (CORES * 60.0))
    assert cost.cpu_s == pytest.approx(CORES * 121.0 * 0.75)


def test_a_sweep_of_which_nothing_is_done_has_no_price_a_climate(folder: SweepFolder) -> None:
    put(folder, 2, attempt(1, 5.0, "blown_up"))
    cost = sweep_cost(folder)
    assert cost.core_s_a_climate == math.inf
    assert math.isnan(cost.use)
    assert cost.unfinished_core_s == pytest.approx(CORES * 5.0)


def test_the_jobs_of_the_ledger_sign_the_bill(folder: SweepFolder) -> None:
    intent = (
        '{"time": 1.0, "event": "intent", "key": "aa", "kind": "array", "name": "small.aa", "tasks": "0", '
        '"throttle": 1, "offset": 0, "pack": 6, "only": "", "walltime_s": 60, "mem_mib": 10, "exclude": [], '
        '"digest": ""}\n'
    )
    folder.ledger.write_text(
        intent + '{"time": 2.0, "event": "submitted", "key": "aa", "job": "4711"}\n'
    )
    assert sweep_cost(folder).jobs == ("4711",)


# ----------------------------------------------------------------------------- shorter runs
def way(folder: SweepFolder, index: int, temps_k: list[float], settled_k: float) -> None:
    put(
        folder,
        index,
        attempt(1, 10.0, "done"),
        cpu_s=10.0 * len(temps_k),
        surface_temperature_k=settled_k,
    )
    for k, temp_k in enumerate(temps_k):
        append_row(folder.member(IDS[index]), (0.5 * (k + 1), temp_k, 0.0, 0.3, 0.1, 100.0))


def test_shorter_runs_cost_less_and_say_less(folder: SweepFolder) -> None:
    way(folder, 0, [290.0, 285.0, 281.0, 280.2], 280.0)
    way(folder, 1, [264.0, 259.0], 260.0)
    found = shortened(folder, IDS[:2])
    assert [one.model_years for one in found] == [0.5, 1.0, 1.5, 2.0]
    assert [one.core_s for one in found] == pytest.approx([10.0, 20.0, 25.0, 30.0])
    assert found[0].rms_k == pytest.approx(math.sqrt((10.0**2 + 4.0**2) / 2))
    assert found[1].rms_k == pytest.approx(math.sqrt(5.0**2 / 2))  # the second has ended
    assert found[-1].rms_k == 0.0


def test_members_without_a_way_are_left_out_and_none_at_all_is_said(folder: SweepFolder) -> None:
    way(folder, 0, [290.0, 285.0], 284.0)
    put(folder, 1, attempt(1, 5.0, "blown_up"))
    assert [one.model_years for one in shortened(folder, IDS[:3])] == [0.5, 1.0]
    with pytest.raises(ConfigError, match="none of its members has a series"):
        shortened(folder, IDS[1:3])
