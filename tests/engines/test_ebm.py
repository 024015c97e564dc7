import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray
import yaml
from support import REPOSITORY, make_planet
from support_ebm import DWARF, SEASONS, run, settle

from astrohpc.engines import record
from astrohpc.engines.base import Engine
from astrohpc.engines.ebm import PHYSICS_VERSION, Ebm, EbmSettings
from astrohpc.engines.ebm_model import (
    State,
    build_world,
    energy_residual,
    has_converged,
    land_by_band,
    run_year,
)
from astrohpc.errors import ConfigError
from astrohpc.outcome import Outcome
from astrohpc.physics.grid import Bands
from astrohpc.settings import build


def test_the_configuration_is_the_defaults() -> None:
    written = yaml.safe_load((REPOSITORY / "configs/engine/ebm.yaml").read_text())
    assert next(iter(written)) == "name"
    assert written.pop("name") == "ebm"
    assert build(EbmSettings, written, "engine") == EbmSettings()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"bands": 2}, "bands"),
        ({"step_days": 0.0}, "step_days"),
        ({"step_days": 400.0}, "step_days"),
        ({"land_fraction": (0.2, 1.2)}, "land_fraction"),
        ({"land_fraction": ()}, "land_fraction"),
        ({"ice_albedo": (0.6,)}, "ice_albedo"),
        ({"cloud_scattering": (0.1, 0.1, 0.1)}, "cloud_scattering"),
        ({"ice_full_k": 290.0}, "ice_full_k"),
        ({"max_years": float("nan")}, "max_years"),
    ],
)
def test_a_bad_setting_is_named_with_its_remedy(change: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{word}: .*(write|lower)"):
        EbmSettings(**change)


def test_how_often_it_saves_is_no_physics() -> None:
    engine: Engine = Ebm(EbmSettings())
    often = Ebm(EbmSettings(checkpoint_seconds=1.0))
    assert engine.physics() == often.physics()
    assert engine.physics()["version"] == PHYSICS_VERSION
    assert engine.physics() != Ebm(EbmSettings(step_days=2.5)).physics()


def test_land_in_zones_keeps_its_area() -> None:
    bands = Bands.uniform(60)
    zones = (1.0, 0.2, 0.0, 0.4, 0.9)
    edge = np.sin(np.linspace(-math.pi / 2, math.pi / 2, 6))
    assert bands.mean(land_by_band(bands, zones)) == pytest.approx(np.dot(np.diff(edge) / 2, zones))
    assert land_by_band(bands, (0.3,)) == pytest.approx(np.full(60, 0.3))


@pytest.mark.parametrize(
    "change", [{"surface_pressure": "1 Pa"}, {"ch4": "20 %"}, {"stellar_flux": "2 W/m2"}]
)
def test_a_planet_beyond_its_radiation_is_refused(tmp_path: Path, change: dict[str, str]) -> None:
    planet = make_planet(**change)
    with pytest.raises(ConfigError, match=rf"^{next(iter(change))}: .* choose another engine"):
        Ebm(EbmSettings()).check(planet)
    assert run(tmp_path, planet)[1].outcome is Outcome.BAD_CONFIG


def test_golden_numbers_belong_to_this_physics_version(tmp_path: Path) -> None:
    engine, verdict = run(tmp_path, make_planet(**SEASONS))
    assert verdict.outcome is Outcome.DONE
    found = {name: value for name, value in engine.summary(tmp_path).items() if name != "cpu_s"} | {
        "version": PHYSICS_VERSION
    }
    golden = json.loads((Path(__file__).parent / "golden_ebm.json").read_text())
    assert found.keys() == golden.keys()
    for name, value in golden.items():
        number = isinstance(value, float)
        expected = pytest.approx(value, rel=1e-9, abs=1e-9) if number else value
        assert found[name] == expected, (
            f"{name} changed: if that is meant, bump PHYSICS_VERSION and renew golden_ebm.json"
        )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(SEASONS, id="seasons"),
        pytest.param(
            {"obliquity": "60 deg", "eccentricity": 0.5, "orbital_period": "90 d"}, id="eccentric"
        ),
        pytest.param({"eccentricity": 0.3, "orbital_period": "40000 d"}, id="long orbit"),
        pytest.param(DWARF, id="locked"),
        pytest.param({"stellar_flux": "800 W/m2"}, id="snowball"),
    ],
)
@pytest.mark.parametrize("start", ["warm", "cold"])
def test_energy_is_conserved_to_round_off(changes: dict[str, object], start: str) -> None:
    planet = make_planet(**{**changes})
    world = build_world(planet, EbmSettings(start=start))
    state = State.at_start(world)
    before = world.bands.mean(world.heat_capacity * state.temp_k)
    while state.years[0] * world.year_s < 120 * 3.15576e7:
        year = run_year(world, state)
    absorbed, emitted = state.totals[:2].sum(), state.totals[2:].sum()
    gained = world.bands.mean(world.heat_capacity * state.temp_k) - before
    assert year.status == 0
    assert abs(gained - (absorbed - emitted)) < 1e-12 * before
    assert abs(energy_residual(world, state)) < 1e-14


def test_a_colder_star_melts_more_ice() -> None:
    sun, dwarf = (
        settle(make_planet(stellar_temperature=t, stellar_flux="1300 W/m2"), EbmSettings())[2]
        for t in ("5772 K", "2600 K")
    )
    assert dwarf.temp_k > sun.temp_k + 10.0
    assert dwarf.ice < sun.ice


def test_warm_and_cold_starts_part_where_ice_feeds_back() -> None:
    planet = make_planet(stellar_flux="1361 W/m2")
    warm, cold = (settle(planet, EbmSettings(start=start))[2] for start in ("warm", "cold"))
    assert warm.temp_k > 280.0
    assert cold.temp_k < 240.0
    assert cold.ice == pytest.approx(1.0)


def test_a_locked_planet_is_warmest_below_its_star() -> None:
    world, state, _ = settle(make_planet(**DWARF), EbmSettings())
    assert has_converged(world, state)
    assert int(state.temp_k.argmax()) == 59
    assert int(state.temp_k.argmin()) == 0
    assert 10.0 < np.ptp(state.temp_k) < 120.0


def test_the_step_does_not_decide_the_climate() -> None:
    planet = make_planet(**SEASONS)
    temps = [settle(planet, EbmSettings(step_days=days))[2].temp_k for days in (5.0, 1.0)]
    assert temps[0] == pytest.approx(temps[1], abs=0.3)


def test_the_grid_does_not_decide_the_climate() -> None:
    planet = make_planet(**SEASONS)
    temps = [settle(planet, EbmSettings(bands=bands))[2].temp_k for bands in (60, 180)]
    assert temps[0] == pytest.approx(temps[1], abs=0.3)


def test_a_step_too_long_blows_up_and_half_of_it_may_not(tmp_path: Path) -> None:
    # Bare ground under thin air follows the light within days.
    planet = make_planet(surface_pressure="0.05 bar", stellar_flux="1500 W/m2")
    settings = EbmSettings(land_fraction=(1.0,), step_days=200.0)
    engine, verdict = run(tmp_path / "long", planet, settings)
    assert verdict.outcome is Outcome.BLOWN_UP
    assert "halve step_days (now 200)" in verdict.reason
    assert engine.verdict(tmp_path / "long") == verdict
    assert run(tmp_path / "long", planet, settings)[1] == verdict
    while verdict.outcome is Outcome.BLOWN_UP:
        settings = replace(settings, step_days=settings.step_days / 2)
        _, verdict = run(tmp_path / f"{settings.step_days:g}", planet, settings)
    assert verdict.outcome is Outcome.DONE
    assert settings.step_days >= 12.5


def test_a_runaway_greenhouse_is_a_result(tmp_path: Path) -> None:
    engine, verdict = run(tmp_path, make_planet(stellar_flux="2200 W/m2"))
    assert verdict.outcome is Outcome.DONE
    assert "runaway greenhouse" in verdict.reason
    summary = engine.summary(tmp_path)
    assert summary["regime"] == "runaway"
    assert summary["converged"] == "false"
    assert float(summary["toa_balance_wm2"]) > 0.0


def test_a_runaway_within_one_long_orbit_is_a_result_too(tmp_path: Path) -> None:
    planet = make_planet(stellar_flux="4000 W/m2", eccentricity=0.1, orbital_period="100000 d")
    engine, verdict = run(tmp_path, planet)
    assert verdict.outcome is Outcome.DONE
    assert engine.summary(tmp_path)["regime"] == "runaway"
    with xarray.open_dataset(tmp_path / record.CLIMATE) as climate:
        assert bool(climate.ts[0].notnull().all())
        assert bool(climate.ts[-1].isnull().all())  # the run was over before that season came


def test_no_equilibrium_in_time_is_said_and_is_no_error(tmp_path: Path) -> None:
    engine, verdict = run(tmp_path, make_planet(**SEASONS), EbmSettings(max_years=3.0))
    assert verdict.outcome is Outcome.DONE
    assert "no equilibrium" in verdict.reason
    assert engine.summary(tmp_path)["converged"] == "false"
