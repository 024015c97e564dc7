"""The engine over its members: settings, builds, verdicts. What is built is a stand-in of ours."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from standins.modele import T0_K
from support import REPOSITORY
from support_rocke3d import DECK, RUNDECKS, SHARED, needs_rundecks, run_folder, written
from support_standin import BUILD, PLANET, House, settings, write_deck

from astrohpc.engines.load import load_engine
from astrohpc.engines.rocke3d.engine import Rocke3d
from astrohpc.engines.rocke3d.makeinput import make_input, shortened
from astrohpc.engines.rocke3d.rundeck import Rundeck
from astrohpc.engines.rocke3d.series import Row, Span, order, read_row
from astrohpc.engines.rocke3d.settings import Rocke3dSettings
from astrohpc.errors import ConfigError
from astrohpc.outcome import Outcome
from astrohpc.settings import build
from astrohpc.sweep.members import member_id

CONFIG = REPOSITORY / "configs" / "engine" / "rocke3d.yaml"
REAL = SHARED / "gcm" / "modelE_8x10"
SHORT = {"max_years": 0.4, "min_years": 0.1}


def silent(_text: str) -> None:
    return None


# ------------------------------------------------------------------ settings
def test_the_configuration_file_says_every_setting_and_the_defaults(tmp_path: Path) -> None:
    written_there = yaml.safe_load(CONFIG.read_text())
    fields = {one.name: one for one in dataclasses.fields(Rocke3dSettings)}
    assert set(written_there) == {"name", *fields}
    given = {name for name, one in settings(tmp_path).items() if written_there.get(name) != one}
    engine = load_engine({**written_there, **{name: settings(tmp_path)[name] for name in given}})
    assert isinstance(engine, Rocke3d)
    for name, one in fields.items():
        if one.default is not dataclasses.MISSING and name not in given and name != "launcher":
            assert getattr(engine.settings, name) == one.default, name


def test_what_only_the_user_knows_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"engine\.(deck|radiation)"):
        load_engine(yaml.safe_load(CONFIG.read_text()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"deck": " "}, "deck: the text is empty"),
        ({"build": []}, "build: the command is empty"),
        ({"build": ["bash", "build.sh"]}, "does not name {executable}"),
        ({"build": ["bash", "{exe}"]}, "'exe' is no placeholder; choose from {deck}"),
        ({"build": ["bash", "{"]}, "is no placeholder"),
        ({"launcher": ["srun", ""]}, "launcher: a word of the command is empty"),
        ({"max_years": 0.0}, "max_years: 0 lies outside"),
        ({"min_years": 7.0}, "min_years: 7 is above max_years"),
        ({"remedy_dt_factor": 1.5}, "remedy_dt_factor: 1.5 lies outside 0.05 … 1"),
        ({"poll_seconds": 60.0}, "poll_seconds"),
        ({"dt_s": 0.0}, "dt_s: 0 lies outside"),
        ({"parameters": {"KOCEEN": 1}}, "did you mean 'KOCEAN'"),
        ({"parameters": {"KOCEAN": 7}}, "KOCEAN"),
        ({"parameters": {"planet_s0": 3.0}}, "stellar_flux"),
        ({"mean_yaers": 5}, "did you mean 'mean_years'"),
    ],
)
def test_a_bad_setting_is_one_sentence(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_engine(settings(tmp_path, **changes))
    assert words in str(caught.value)
    assert str(caught.value).startswith("engine.")


def test_how_a_run_is_kept_makes_no_other_member(house: House) -> None:
    first = member_id(PLANET, house.engine())
    for same in (
        {"max_years": 50.0},
        {"launcher": ["srun"]},
        {"executables": "/elsewhere"},
        {"checkpoint_days": 3.0},
        {"keep_restarts": 2},
        {"leg_years": 1.0},
    ):
        assert member_id(PLANET, house.engine(**same)) == first, same
    for other in (
        {"source": "another"},
        {"dt_s": 100.0},
        {"tolerance_k": 0.2},
        {"remedy_dt_factor": 0.5},
        {"parameters": {"KOCEAN": 0}},
    ):
        assert member_id(PLANET, house.engine(**other)) != first, other
    write_deck(house.folder / "other", DECK.replace("NIsurf=1", "NIsurf=2"))
    assert member_id(PLANET, house.engine(deck=str(house.folder / "other" / "toy.R"))) != first


def test_a_deck_is_read_at_one_place_and_found_at_another(house: House) -> None:
    copy = write_deck(house.folder / "copy")
    assert house.engine(deck=str(copy)).physics() == house.engine().physics()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("DATEI=1", "DATEI=5", "first day"),
        (" ISTART=2,IRANDI=0, YEARE=0001,MONTHE=1,DATEE=1,HOURE=1,\n", "", "no cold start"),
        ("#define PLANET_PARAMS Toy", "#define OTHER", "PLANET_PARAMS"),
    ],
)
def test_a_deck_that_cannot_serve_is_refused(house: House, old: str, new: str, words: str) -> None:
    assert old in DECK
    deck = write_deck(house.folder / "bad", DECK.replace(old, new))
    with pytest.raises(ConfigError, match=words):
        house.engine(deck=str(deck)).check(PLANET)


def test_missing_input_data_are_named_before_anything_is_submitted(house: House) -> None:
    engine = house.engine()
    engine.prepare()
    (house.folder / "inputs" / "start.nc").unlink()
    with pytest.raises(ConfigError, match=r"start\.nc is not there, which the deck opens as AIC"):
        engine.prepare()


def test_the_estimate_follows_from_the_settings(house: House) -> None:
    estimate = house.engine(core_hours_per_year=2.0, max_years=10.0).estimate()
    assert estimate.cpu_s == 2.0 * 3600 * 10
    assert (
        house.engine(keep_output=True).estimate().disk_bytes > house.engine().estimate().disk_bytes
    )


# ------------------------------------------------------------------ input
def test_the_remedy_gives_steps_that_the_model_accepts(house: House) -> None:
    engine = house.engine()
    run_input = make_input(engine.configuration(PLANET), engine.settings)
    short = shortened(run_input, 0.3)
    ratio = float(short.parameters["DTsrc"]) / float(short.parameters["DT"])  # type: ignore[arg-type]
    assert ratio == pytest.approx(round(ratio))
    assert round(ratio) % 2 == 0
    assert float(short.parameters["DT"]) <= 0.3 * float(run_input.parameters["DT"])  # type: ignore[arg-type]
    assert short.parameters["DT_XUfilter"] == short.parameters["DT"], "the filter follows"
    assert shortened(run_input, 1.0) == run_input


def test_input_data_may_lie_deeper_than_the_model_s_texts_are_long(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    engine = load_engine(settings(deep))
    assert isinstance(engine, Rocke3d)
    written = make_input(engine.configuration(PLANET), engine.settings).input_files["AIC"]
    assert written.startswith("...")
    assert written.endswith("/inputs/start.nc")
    assert len(written) == 128


@needs_rundecks
def test_a_published_deck_becomes_an_input_file(tmp_path: Path) -> None:
    deck = RUNDECKS / "t1e__aqua_slab.R"
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    for name in Rundeck.read(deck).data_files.values():
        (inputs / name).touch()
    (inputs / "GHG.AllOnes.txt").touch()
    engine = load_engine(settings(tmp_path, deck=str(deck), input_files=str(inputs)))
    assert isinstance(engine, Rocke3d)
    run_input = make_input(engine.configuration(PLANET), engine.settings)
    assert run_input.run == "t1e__aqua_slab"
    assert run_input.parameters["KRSF"] == 1, "months between restarts, as the setting says"
    assert run_input.parameters["planet_s0"] == 1000.0
    assert run_input.input_files["OHT"] == str(inputs / "zero_OHT_4x5_100m.nc")
    assert run_input.start is not None
    assert run_input.start.year == 1
    assert run_input.cold_end is not None


def test_lengths_in_rows_are_whole_orbits() -> None:
    base = {**settings(Path("/tmp")), "mean_years": 1.0, "max_years": 10.0}
    base.pop("name")
    made = build(Rocke3dSettings, base, "engine")
    short_orbit = Span.of(made, orbit_s=6.1 * 86400, months_per_row=12)
    assert short_orbit.mean == 60, "orbits of 6.1 days in a Julian year"
    assert short_orbit.most == 599
    long_orbit = Span.of(made, orbit_s=29.5 * 365.25 * 86400, months_per_row=1)
    assert (long_orbit.mean, long_orbit.most) == (12, 5), "a mean over less than an orbit is none"


def test_equilibrium_wants_balance_and_no_drift(tmp_path: Path) -> None:
    given = settings(tmp_path)
    given.pop("name")
    made = build(Rocke3dSettings, given, "engine")
    span = Span.of(made, 365.25 * 86400, 12)

    def rows(*pairs: tuple[float, float]) -> list[Row]:
        return [
            Row(n + 1.0, kelvin, flux, 0.3, 250.0, 1.0, n * 1000, n * 1000 + 1000, 31557.6, f"{n}")
            for n, (kelvin, flux) in enumerate(pairs)
        ]

    assert span.judged_at(rows((280, 0.1), (280.05, 0.1)), made) == 2
    assert span.judged_at(rows((280, 0.1), (280.2, 0.1)), made) is None, "it still warms"
    assert span.judged_at(rows((280, 5.0), (280, 5.0)), made) is None, "it is not in balance"
    assert span.judged_at(rows((270, 5.0), (280, 1.0), (280, 0.1), (280, 0.0)), made) == 3


@pytest.mark.skipif(
    not REAL.is_dir(),
    reason=f"no output of ModelE in {REAL}; set ASTROHPC_SHARED to a folder with data/gcm",
)
def test_the_row_of_a_real_file_has_its_known_means() -> None:
    """Values of gcm.md, formed there by ModelE's own tools."""
    months = [read_row(REAL / f"{name}1850.accAR12.nc", 0, 0.0) for name in ("JAN", "FEB", "MAR")]
    assert [row.toa_balance_wm2 for row in months] == pytest.approx([37.0, 34.2, 31.2], abs=0.05)
    assert all(286.0 < row.surface_temperature_k < 293.0 for row in months)
    assert all(0.25 < row.planetary_albedo < 0.29 for row in months)
    assert order(months) == months
    with pytest.raises(ConfigError, match="an acc file was lost"):
        order([months[0], months[2]])


# ------------------------------------------------------------------ executables
def test_planets_share_an_executable_unless_what_is_compiled_differs(house: House) -> None:
    engine = house.engine()
    key = engine.executable(PLANET)
    brighter = dataclasses.replace(PLANET, stellar_flux_wm2=1200.0)
    larger = dataclasses.replace(PLANET, radius_m=6e6)
    assert engine.executable(brighter) == key
    assert engine.executable(larger) != key
    assert house.engine(source="another").executable(PLANET) != key


def test_without_its_executable_a_member_says_which_and_where(house: House) -> None:
    engine = house.engine()
    verdict = house.run(engine)
    assert verdict.outcome is Outcome.BAD_CONFIG
    assert engine.executable(PLANET) in verdict.reason
    assert str(house.folder / "executables") in verdict.reason


def test_an_executable_is_built_once_and_found_again(house: House) -> None:
    told: list[str] = []
    engine = house.engine()
    key = engine.executable(PLANET)
    assert not engine.built(key)
    engine.build(PLANET, told.append)
    assert engine.built(key)
    assert told[-1].endswith("built")
    engine.build(PLANET, told.append)
    assert len(told) == 2, "nothing more was done"
    kept = {path.name for path in (house.folder / "executables" / key).iterdir()}
    assert kept == {"modele.exe", "deck.R", "planet_params.f90", "build.log"}


def test_two_that_build_at_once_build_once(house: House) -> None:
    count = house.folder / "count"
    slow = [sys.executable, "-c", _SLOW_BUILD, str(count), *BUILD[1:]]
    code = (
        "import sys, json; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from support_standin import *\n"
        "from astrohpc.engines.load import load_engine\n"
        "load_engine(settings(Path(sys.argv[2]), build=json.loads(sys.argv[3])))"
        ".build(PLANET, print)\n"
    )
    import json

    write_deck(house.folder / "inputs")
    words = [sys.executable, "-c", code, str(REPOSITORY / "tests"), str(house.folder)]
    builders = [subprocess.Popen([*words, json.dumps(slow)]) for _ in range(2)]
    assert [builder.wait(120) for builder in builders] == [0, 0]
    assert count.read_text() == "x"
    engine = house.engine(build=slow)
    assert engine.built(engine.executable(PLANET))
    assert not list((house.folder / "executables").glob(".building*"))


_SLOW_BUILD = """
import runpy, sys, time
open(sys.argv[1], "a").write("x")
time.sleep(1.5)
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["bash", "-c", "echo no module named ifort; exit 3", "{executable}"], "exit code 3"),
        (["bash", "-c", "echo compiled", "{executable}"], "left no executable"),
        (["/no/such/script", "{executable}"], "cannot be started"),
        (["sleep", "30", "{executable}"], "failed"),
    ],
)
def test_a_build_that_fails_is_one_sentence_with_its_log(
    house: House, command: list[str], words: str
) -> None:
    engine = house.engine(build=command)
    with pytest.raises(ConfigError) as caught:
        engine.build(PLANET, silent)
    assert words in str(caught.value)
    key = engine.executable(PLANET)
    log = house.folder / "executables" / f"{key}.build.log"
    assert str(log) in str(caught.value)
    assert log.exists()
    assert not engine.built(key)
    house.engine().build(PLANET, silent)
    assert engine.built(key), "mended, it builds"


def test_a_build_that_does_not_end_is_ended(house: House) -> None:
    engine = house.engine(build=["bash", "-c", "sleep 60", "{executable}"], build_seconds=1.0)
    with pytest.raises(ConfigError, match="took longer than 1 s"):
        engine.build(PLANET, silent)


# ------------------------------------------------------------------ verdicts
def test_an_executable_of_another_planet_is_found_out_by_what_it_wrote(house: House) -> None:
    """As a build script that ignores what it is given would make it."""
    larger = dataclasses.replace(PLANET, radius_m=6e6)
    engine = house.built(larger, **SHORT)
    wrong = house.folder / "executables" / engine.executable(larger)
    wrong.rename(house.folder / "executables" / engine.executable(PLANET))
    verdict = house.run(engine)
    assert verdict.outcome is Outcome.BAD_CONFIG
    assert "radius 6000.0 km, but the planet asked for has 5000.0 km" in verdict.reason
    assert engine.summary(house.member()) == {}


def test_of_a_folder_without_a_word_there_is_no_verdict(house: House) -> None:
    assert house.engine().verdict(house.member()) is None
    assert house.engine().series(house.member()) == []


def test_the_end_of_a_leg_is_not_the_end(house: House) -> None:
    """The adapter was killed between a leg and the next."""
    run = house.member() / "run"
    run.mkdir()
    log = written(1, 3, "JAN", 1, 0) + " PROGRAM TERMINATED NORMALLY\n"
    run_folder(run, "13\nTerminated normally\n", log, restarts=("fort.1.nc",))
    verdict = house.engine().verdict(house.member())
    assert verdict is not None
    assert verdict.outcome is Outcome.CHECKPOINTED


def test_a_lock_that_was_left_is_not_the_users_to_remove(house: House) -> None:
    run = house.member() / "run"
    run.mkdir()
    run_folder(run, "1\nRun in progress...\n", restarts=("fort.1.nc",), locked=True)
    verdict = house.engine().verdict(house.member())
    assert verdict is not None
    assert verdict.outcome is Outcome.CHECKPOINTED
    assert "lock" not in verdict.reason


def test_a_blow_up_that_nobody_recorded_waits_for_its_remedy(house: House) -> None:
    run = house.member() / "run"
    run.mkdir()
    run_folder(run, "11\nStopped in aadvtx\n")
    blown = house.engine().verdict(house.member())
    assert blown is not None
    assert blown.outcome is Outcome.BLOWN_UP
    waiting = house.engine(remedy_dt_factor=0.5).verdict(house.member())
    assert waiting is not None
    assert waiting.outcome is Outcome.CHECKPOINTED


def test_a_lost_climate_is_harvested_again(house: House) -> None:
    engine = house.built(**SHORT)
    verdict = house.run(engine)
    climate = house.member() / "climate.nc"
    before = climate.stat().st_size
    climate.unlink()
    lost = engine.verdict(house.member())
    assert lost is not None
    assert lost.outcome is Outcome.CHECKPOINTED
    assert house.run(engine) == verdict
    assert climate.stat().st_size == before


def test_the_series_is_there_for_status_and_tensorboard(house: House) -> None:
    engine = house.built(**SHORT)
    house.run(engine)
    series = engine.series(house.member())
    assert [round(one.model_years, 3) for one in series] == [0.082, 0.165, 0.247, 0.329, 0.412]
    assert series[0].surface_temperature_k > T0_K
    assert all(one.limit_years == 0.4 for one in series)
