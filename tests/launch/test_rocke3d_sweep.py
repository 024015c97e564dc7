"""Sweeps of ``engine=rocke3d`` through the command line, with a stand-in of our own for the model."""

import json

import pytest
from support import Launcher, events, outcomes, rows, states
from support_standin import BUILD, PLANET, settings

from astrohpc.engines.load import load_engine
from astrohpc.engines.rocke3d.engine import Rocke3d

SHARED_VALUES = (
    "{radius: 5000 km, gravity: 7 m/s2, surface_pressure: 800 hPa, rotation_period: 1 d, "
    "orbital_period: 361 d, co2: 280 ppm, ch4: 0, stellar_temperature: 5772 K}"
)


@pytest.fixture
def words(launch: Launcher) -> list[str]:
    """The words of a sweep of two planets that differ in their starlight."""
    folder = launch.folder
    (folder / "planets.csv").write_text("name,stellar_flux [W/m2]\na,1000\nb,1100\n")
    given = settings(folder, max_years=2.0)
    given.pop("name")
    radiation = given.pop("radiation")
    given["build"] = "[" + ",".join(f"'{word}'" for word in BUILD) + "]"
    return [
        *("sweep", "sweep=table", f"sweep.file={folder / 'planets.csv'}", "sweep.name=worlds"),
        *("engine=rocke3d", f"+sweep.fixed={SHARED_VALUES}", "allocation.members_per_task=1"),
        *(f"engine.{name}={value}" for name, value in given.items()),
        *(f"engine.radiation.{name}={value}" for name, value in radiation.items()),
    ]


def test_the_executable_is_built_first_and_once(launch: Launcher, words: list[str]) -> None:
    said = launch(*words)
    assert said.code == 0, said.all
    folder = launch.sweep_folder("worlds")
    assert outcomes(folder) == {0: ["done"], 1: ["done"]}
    assert [event["kind"] for event in events(folder, "intent")] == ["build", "array", "keeper"]
    assert len([path for path in (launch.folder / "executables").iterdir() if path.is_dir()]) == 1
    assert (folder / "reports" / "worlds.tsv").exists()


def test_an_executable_that_cannot_be_built_is_told_and_built_at_the_next_try(
    launch: Launcher, words: list[str]
) -> None:
    broken = [word for word in words if not word.startswith("engine.build=")]
    said = launch(*broken, "engine.build=[bash,-c,'echo no compiler here; false','{executable}']")
    folder = launch.sweep_folder("worlds")
    assert said.code == 1
    assert outcomes(folder) == {0: ["bad_config"], 1: ["bad_config"]}
    assert "is not built" in states(folder)[0]["attempts"][0]["reason"]
    launch(*words)
    said = launch("retry", "worlds")
    assert said.code == 0, said.all
    assert "2 of 2 members done" in said.out


def test_a_blown_up_member_gets_a_branch_with_the_remedy(
    launch: Launcher, words: list[str]
) -> None:
    launch(*words, "--dry-run")
    folder = launch.sweep_folder("worlds")
    engine = load_engine(settings(launch.folder))
    assert isinstance(engine, Rocke3d)
    engine.build(PLANET, print)
    blow_up = json.dumps({"blow_up": "sigfpe", "month": 3, "dt_above": 150})
    said = launch(*words, ASTROHPC_STANDIN=blow_up)
    table, final = rows(folder), outcomes(folder)
    assert [final[index] for index in range(4)] == [["blown_up"]] * 2 + [["done"]] * 2, said.all
    assert table[2]["branch_of"] == table[0]["id"]
    assert json.loads(table[2]["overrides"]) == {"remedy_dt_factor": 0.5}
    assert states(folder)[2]["summary"]["remedies"] == 1.0


def test_a_time_limit_cuts_a_member_into_attempts(launch: Launcher, words: list[str]) -> None:
    engine = load_engine(settings(launch.folder))
    assert isinstance(engine, Rocke3d)
    engine.build(PLANET, print)
    slow = json.dumps({"slow_s": 0.02})
    said = launch(
        *words, "site.signal_lead_s=55", "allocation.walltime=00:01:00", ASTROHPC_STANDIN=slow
    )
    final = outcomes(launch.sweep_folder("worlds"))
    assert said.code == 0, said.all
    for tries in final.values():
        assert tries[-1] == "done"
        assert set(tries[:-1]) == {"checkpointed"}
        assert len(tries) >= 3, "two years of 0.02 s a day are 14 s, of which 5 fit"


def test_a_raised_ceiling_lets_members_go_on_and_another_ceiling_is_not_shared(
    launch: Launcher, words: list[str]
) -> None:
    launch(*words)
    before = states(launch.sweep_folder("worlds"))
    said = launch(*words, "engine.max_years=3.0")
    assert "2 members that were done go on from where they ended" in said.err, said.all
    assert "2 of 2 members done" in said.out
    after = states(launch.sweep_folder("worlds"))
    for index, state in after.items():
        assert [attempt["outcome"] for attempt in state["attempts"]] == ["done", "done"]
        assert state["summary"]["model_years"] > before[index]["summary"]["model_years"]
    assert "nothing to submit; 2 of 2" in launch(*words, "engine.max_years=3.0").out

    launch(*words, "sweep.name=shorter")
    shorter = states(launch.sweep_folder("shorter"))
    assert shorter[0]["summary"]["model_years"] == before[0]["summary"]["model_years"]
    launch(*words, "sweep.name=longer", "engine.max_years=3.0")
    assert not events(launch.sweep_folder("longer"), "intent"), "what goes as far is shared"
