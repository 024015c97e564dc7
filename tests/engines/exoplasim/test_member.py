"""Members of real ExoPlaSim at T21, ten or twenty days long."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from netCDF4 import Dataset
from support import REPOSITORY, make_planet, until
from support_exoplasim import (
    EXPLOSIVE,
    differing,
    explosive_planet,
    global_mean,
    installed,
    run,
    settings,
    stop_in_leg,
)

from astrohpc.engines import record, series
from astrohpc.engines.base import Progress
from astrohpc.engines.conformance import check_conformance
from astrohpc.engines.exoplasim import Exoplasim, files
from astrohpc.engines.exoplasim_output import Stamps, convert
from astrohpc.errors import ConfigError
from astrohpc.outcome import Outcome, Verdict

pytestmark = [installed, pytest.mark.slow, pytest.mark.usefixtures("built")]


def test_a_member_ends_in_a_climate_and_little_else(whole: Path) -> None:
    engine = Exoplasim(settings(run_days=20.0))
    assert {path.name for path in whole.iterdir()} <= engine.files()
    assert engine.verdict(whole) == Verdict(Outcome.DONE, "20 days run, as asked")
    assert check_conformance(whole / "climate.nc") == []
    found = [path for path in whole.rglob("*") if path.is_file()]
    assert len(found) <= engine.estimate().files
    assert sum(path.stat().st_size for path in found) < engine.estimate().disk_bytes
    summary = engine.summary(whole)
    assert 240 < float(summary["surface_temperature_k"]) < 300
    assert summary["converged"] == "false"
    with Dataset(whole / "climate.nc") as file:  # a store tells its readers who has no equilibrium
        assert file.converged == "false"
        assert file.toa_balance_wm2 == summary["toa_balance_wm2"]
    assert 5 < float(summary["cpu_s"]) < 200
    assert [round(one.model_years * 365.25, 6) for one in engine.series(whole)] == [10.0, 20.0]


def test_a_member_that_is_done_is_not_run_again(whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    assert run(whole, run_days=20.0)[1].outcome is Outcome.DONE
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_time_stamps_are_those_of_the_records(whole: Path) -> None:
    """Left alone, the post-processor makes twelve of any number, between the records."""
    with Dataset(whole / "climate.nc") as file:
        assert file["time"][:].tolist() == [2.5, 7.5, 12.5, 17.5]
        assert file["time_bnds"][:].tolist() == [[0, 5], [5, 10], [10, 15], [15, 20]]


def test_signs_and_units_are_canonical(whole: Path) -> None:
    path = whole / "climate.nc"
    assert global_mean(path, "ps") == pytest.approx(1e5, rel=1e-3)
    assert global_mean(path, "rsdt") == pytest.approx(1361 / 4, rel=2e-3)
    assert 0.05 < global_mean(path, "rsut") / global_mean(path, "rsdt") < 0.6
    assert 150 < global_mean(path, "rlut") < 300
    assert 0 < global_mean(path, "hfls") < 100
    assert 0 < global_mean(path, "pr") < 1e-4
    latent = global_mean(path, "hfls") / global_mean(path, "evspsbl")
    assert 2.4e6 < latent < 2.9e6
    row = series.read_rows(whole)[-1]
    with Dataset(path) as file:
        assert file["ts"][-1].mean() == pytest.approx(row[1], abs=5)


def test_a_stop_and_a_resume_give_the_same_bits(whole: Path, tmp_path: Path) -> None:
    engine, verdict, _ = run(tmp_path, run_days=20.0, stop=stop_in_leg(tmp_path, 1))
    assert verdict == Verdict(Outcome.CHECKPOINTED, "stopped; the restart is of day 10")
    assert engine.verdict(tmp_path).outcome is Outcome.CHECKPOINTED
    assert run(tmp_path, run_days=20.0)[1].outcome is Outcome.DONE
    assert differing(tmp_path, whole) == []
    assert restarts(tmp_path) == restarts(whole)
    assert [row[:5] for row in series.read_rows(tmp_path)] == [
        row[:5] for row in series.read_rows(whole)
    ]


def test_a_member_killed_hard_leaves_no_orphan_and_resumes(whole: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from support_exoplasim import run\n"
        "run(Path(sys.argv[1]), run_days=20.0)"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(REPOSITORY / "tests")]
    process = subprocess.Popen(command)
    until(stop_in_leg(tmp_path, 1), "output of the second leg")
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert family
    _, alive = psutil.wait_procs(family, timeout=300)
    assert alive == []
    assert run(tmp_path, run_days=20.0)[1].outcome is Outcome.DONE
    assert differing(tmp_path, whole) == []


def test_two_members_in_one_parent_do_not_collide_and_ten_days_become_twenty(
    whole: Path, tmp_path: Path
) -> None:
    """Both folders have one name, under two parents; one goes on after it was done."""
    planets = {"a": make_planet(), "b": make_planet(stellar_flux="1000 W/m2")}
    ends: dict[str, Verdict] = {}

    def member(name: str) -> None:
        ends[name] = run(tmp_path / name / "member", planets[name])[1]

    threads = [threading.Thread(target=member, args=(name,)) for name in planets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.outcome for one in ends.values()} == {Outcome.DONE}
    a, b = tmp_path / "a" / "member", tmp_path / "b" / "member"
    assert global_mean(b / "climate.nc", "rsdt") == pytest.approx(250.0, rel=2e-3)

    farther = Exoplasim(settings(run_days=20.0))
    waits = farther.verdict(a)
    assert waits == Verdict(
        Outcome.CHECKPOINTED, "10 days run, as asked; now 20 days are asked for"
    )
    _, verdict, _ = run(a, run_days=20.0)
    assert verdict == Verdict(Outcome.DONE, "20 days run, as asked")
    assert differing(a, whole) == []
    assert Exoplasim(settings(run_days=10.0)).verdict(a) == verdict, "it has more than is asked"


def test_progress_is_reported_while_a_leg_runs(tmp_path: Path) -> None:
    seen: list[Progress] = []
    engine = Exoplasim(settings(output_days=1.0))
    verdict = engine.run(
        make_planet(),
        tmp_path,
        stop=lambda: bool(seen) and seen[-1].model_years > 0,
        report=seen.append,
    )
    assert verdict.reason == "stopped; the restart is of day 0"
    assert 200 < seen[-1].surface_temperature_k < 300
    assert abs(seen[-1].toa_balance_wm2) < 200
    # Before there is anything to know it says that it lives, and that it knows nothing.
    assert all(np.isnan(one.surface_temperature_k) for one in seen if one.model_years == 0)


def test_a_blow_up_is_explained_and_stays_in_its_folder(tmp_path: Path) -> None:
    """The package would move the member to <parent>/<name>_crashed, over its neighbours' evidence."""
    for name in ("one", "other"):
        engine, verdict, _ = run(tmp_path / name, explosive_planet(), **EXPLOSIVE)
        assert verdict.outcome is Outcome.BLOWN_UP
        assert verdict.reason == (
            "the model crashed with SIGFPE between day 5 and 10; halve timestep_min (now 720)"
        )
        assert engine.verdict(tmp_path / name) == verdict
        assert (tmp_path / name / "model" / "plasim_diag").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"one", "other"}


POSTPROCESS = """
import sys, exoplasim
model = exoplasim.Model.__new__(exoplasim.Model)
model.radius, model.gravity, model.gascon, model.recursecheck = 1.0, 9.81, 297.0, False
model.extension, model.workdir = ".nc", "."
model._configuredpostprocessor = {"regular": False}
model.integritycheck = lambda name: True
model.postprocess(sys.argv[1], None, times=None, timeaverage=False, crashifbroken=True)
"""


def test_truncated_post_processing_is_avoided_and_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten stamps are as many as layers: the package writes a third of the file and exits with 0."""
    monkeypatch.setattr(files, "tidy", lambda *_, **__: None)
    assert run(tmp_path, output_days=1.0)[1].outcome is Outcome.DONE
    assert check_conformance(tmp_path / "climate.nc") == []
    with Dataset(tmp_path / "climate.nc") as file:
        assert file["time"][:].tolist() == [day + 0.5 for day in range(10)]

    model = tmp_path / "model"
    command = [sys.executable, "-c", POSTPROCESS, "joined"]
    subprocess.run(command, cwd=model, check=True, stdout=subprocess.DEVNULL)  # exits with 0
    stamps = Stamps(step_s=2700.0, averaged=True)
    with pytest.raises(ConfigError, match=r"lacks .*time stamps are as many as an axis lev has"):
        convert(model / "joined.nc", tmp_path / "out.nc", make_planet(), stamps)


def test_a_damaged_restart_falls_back_to_the_one_before(tmp_path: Path) -> None:
    short = {"leg_days": 2.0, "output_days": 1.0, "run_days": 6.0}
    run(tmp_path / "whole", **short)
    folder = tmp_path / "member"
    run(folder, stop=stop_in_leg(folder, 2), **short)
    newest = sorted((folder / "model").glob("restart.*"))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    assert run(folder, **short)[1].outcome is Outcome.DONE
    assert f"{newest.name} is damaged" in (folder / files.LOG).read_text()
    assert differing(folder, tmp_path / "whole") == []


def test_an_orbit_is_the_planets_own(tmp_path: Path) -> None:
    """At periapse over the northern solstice; told less, the model takes the Earth's orbit of 1950."""
    short = {"leg_days": 2.0, "output_days": 1.0, "run_days": 2.0}
    planet = make_planet(
        obliquity="60 deg", eccentricity=0.3, longitude_of_periapse="90 deg", rotation_period="2 d"
    )
    assert run(tmp_path, planet, **short)[1].outcome is Outcome.DONE
    found = global_mean(tmp_path / "climate.nc", "rsdt")
    assert found == pytest.approx(1361 / 4 / 0.7**2, rel=1e-3)
    with Dataset(tmp_path / "climate.nc") as file:
        light = file["rsdt"][:].mean(axis=(0, 2))
        north = file["lat"][:] > 0
        assert light[north].mean() > 5 * light[~north].mean()
        assert light[file["lat"][:] < -40].max() < 1.0  # polar night
        assert light[-1] == pytest.approx(1361 / 0.7**2 * np.sin(np.radians(60)), rel=0.05)


def test_a_locked_planets_star_stands_still(tmp_path: Path) -> None:
    short = {"leg_days": 2.0, "output_days": 1.0, "run_days": 2.0}
    planet = make_planet(
        tidally_locked=True,
        rotation_period="6 d",
        orbital_period=None,
        stellar_temperature="2600 K",
        stellar_flux="900 W/m2",
        co2=0,
    )
    assert run(tmp_path, planet, **short)[1].outcome is Outcome.DONE
    with Dataset(tmp_path / "climate.nc") as file:
        light, lon = file["rsdt"][:], file["lon"][:]
        assert np.allclose(light[0], light[1], atol=1e-3)
        assert lon[light[0].mean(axis=0).argmax()] == 180.0
        assert light[0].max() == pytest.approx(900, rel=0.02)
        assert (light[0][:, (lon < 85) | (lon > 275)] < 1e-3).all()


def test_a_restart_of_another_planet_is_refused(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "member"
    shutil.copytree(whole, folder)
    for _ in range(2):  # with the record of how it ended, and then without
        _, verdict, _ = run(folder, make_planet(gravity="9 m/s2"), run_days=20.0)
        assert verdict.outcome is Outcome.BAD_CONFIG
        assert "belongs to another member" in verdict.reason
        (folder / record.RECORD).unlink(missing_ok=True)


def test_a_foreign_list_of_restarts_is_refused(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "member"
    shutil.copytree(whole, folder)
    (folder / record.RECORD).unlink()
    (folder / files.RESTARTS).write_text('{"restarts": 3}')
    engine, verdict, _ = run(folder, run_days=20.0)
    assert verdict.outcome is Outcome.BAD_CONFIG
    assert "this is not a list of restarts of ours; move it away" in verdict.reason
    assert engine.verdict(folder) == verdict


def restarts(folder: Path) -> list[object]:
    found: list[object] = json.loads((folder / files.RESTARTS).read_text())["entries"]
    return found
