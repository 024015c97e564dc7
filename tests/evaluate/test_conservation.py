import numpy as np
import pytest
from support_evaluate import B_EDGE, COLUMNS, LEVELS, ROWS, climates, planet, rows

from astrohpc.climates.physical import projected, projections_for
from astrohpc.errors import ConfigError
from astrohpc.evaluate.conservation import conservation, residuals
from astrohpc.physics.thermo import thickness_m

FLAT, LAYERED = (ROWS, COLUMNS), (LEVELS, ROWS, COLUMNS)
WORLDS = [planet(stellar_flux=900.0), planet(stellar_flux=1300.0, gravity=12.0)]


def balanced():
    """A still, dry, isothermal air that reflects a third of the light and sends out the rest."""
    light = np.array([one.stellar_flux_wm2 / 4 for one in WORLDS])[:, None, None]
    middle = 0.5 * (B_EDGE[1:] + B_EDGE[:-1])
    heights = []
    for one in WORLDS:
        apart = thickness_m(250.0, middle[:-1], middle[1:], one.gas_constant_jkgk, one.gravity_ms2)
        heights.append(1000.0 + np.append(np.cumsum(apart[::-1])[::-1], 0.0))
    return climates(
        {
            "ta": np.full((2, *LAYERED), 250.0),
            "log_hus": np.full((2, *LAYERED), -12.0),
            "va": np.zeros((2, *LAYERED)),
            "zg": np.array(heights)[:, :, None, None] * np.ones(LAYERED),
            "ps": np.full((2, *FLAT), 9e4),
            "rsut": np.ones(FLAT) * light / 3,
            "rlut": np.ones(FLAT) * light * 2 / 3,
        },
        WORLDS,
    )


def changed(made, name, by):
    mean = rows(made)
    made.of(name, mean)[:] += by
    return residuals(made, mean)


def test_a_climate_in_balance_keeps_every_law_to_the_rounding_it_is_stored_with():
    found = residuals(balanced(), balanced().values)
    assert set(found) == {
        "toa_energy",
        "dry_mass",
        "meridional_mass_flux",
        "temperature",
        "humidity",
        "pressure",
        "hydrostatic",
    }
    for one in found.values():
        assert one.relative == pytest.approx(0.0, abs=1e-6)


def test_more_infrared_light_is_lost_energy_of_the_planets_own_starlight():
    found = changed(balanced(), "rlut", 3.0)["toa_energy"]
    assert found.absolute == pytest.approx([-3.0, -3.0], rel=1e-5)
    assert found.relative == pytest.approx([-3.0 / 225.0, -3.0 / 325.0], rel=1e-5)


def test_more_pressure_is_more_mass_than_the_planet_has():
    found = changed(balanced(), "ps", 900.0)["dry_mass"]
    assert found.absolute == pytest.approx([900.0 / 8.0, 900.0 / 12.0], rel=1e-6)
    assert found.relative == pytest.approx(1.0 / 101.0, rel=1e-6)


def test_wind_to_the_north_everywhere_is_a_net_flow_of_all_air():
    found = changed(balanced(), "va", 2.0)["meridional_mass_flux"]
    assert found.absolute == pytest.approx([2.0, 2.0])
    assert found.relative == pytest.approx([1.0, 1.0])


def test_warmer_air_under_the_same_heights_is_out_of_hydrostatic_balance():
    found = changed(balanced(), "ta", 25.0)["hydrostatic"]
    assert found.relative == pytest.approx(25.0 / 275.0, rel=1e-3)


def test_what_is_impossible_counts_by_how_far():
    found = changed(balanced(), "ta", -260.0)
    assert found["temperature"].absolute == pytest.approx([10.0, 10.0])


def test_prediction_and_truth_stand_side_by_side():
    made = balanced()
    mean = rows(made)
    made.of("rlut", mean)[0] += 3.0
    by_law = {one.law.name: one for one in conservation(made, mean)}
    energy = by_law["toa_energy"]
    assert energy.prediction.absolute == pytest.approx([-3.0, 0.0], abs=1e-4)
    assert energy.truth.absolute == pytest.approx([0.0, 0.0], abs=1e-4)
    assert energy.row["prediction_largest"] == pytest.approx(3.0, rel=1e-5)
    assert energy.row["unit"] == "W m-2"
    assert not energy.no_worse
    assert energy.more.value == pytest.approx(abs(energy.prediction.relative).mean(), rel=1e-3)
    assert energy.verdict == "undecided"  # of two planets one is worse
    assert by_law["dry_mass"].verdict == "no worse"
    assert by_law["dry_mass"].no_worse


def test_a_projected_prediction_is_no_worse_than_the_truth():
    made = balanced()
    rng = np.random.default_rng(0)
    mean = rows(made) * (1.0 + 0.01 * rng.normal(size=made.values.shape))
    before = conservation(made, mean)
    assert [one.law.name for one in before if not one.no_worse] == [
        "toa_energy",
        "dry_mass",
        "hydrostatic",
    ]
    kept = projected(mean, made.variables, made.axes, made.planets, projections_for(made))
    assert all(one.no_worse for one in conservation(made, kept))
    worst = conservation(made, rows(made) * 1.5)
    assert next(one for one in worst if one.law.name == "dry_mass").verdict == "worse"


def test_one_column_of_longitudes_is_a_whole_sphere():
    light = np.array([one.stellar_flux_wm2 / 4 for one in WORLDS])[:, None]
    made = climates(
        {"rsut": np.ones(ROWS) * light / 3, "rlut": np.ones(ROWS) * light * 2 / 3},
        WORLDS,
        without_longitudes=True,
    )
    found = residuals(made, rows(made) + 1.0)
    assert set(found) == {"toa_energy"}
    assert found["toa_energy"].absolute == pytest.approx([-2.0, -2.0], rel=1e-5)


def test_blocks_of_planets_do_not_change_residuals(monkeypatch):
    made = balanced()
    rng = np.random.default_rng(0)
    mean = rows(made) * (1.0 + 0.01 * rng.normal(size=made.values.shape))
    whole = residuals(made, mean)
    monkeypatch.setattr("astrohpc.evaluate.conservation._BLOCK_BYTES", 1)
    for name, one in residuals(made, mean).items():
        assert np.array_equal(one.absolute, whole[name].absolute)
        assert np.array_equal(one.relative, whole[name].relative)


def test_data_without_planets_or_places_have_no_laws():
    no_planets = climates({"rlut": np.ones((3, *FLAT)), "rsut": np.ones((3, *FLAT))})
    assert conservation(no_planets, rows(no_planets)) == ()


def test_rows_of_other_planets_are_refused():
    with pytest.raises(ConfigError, match="conservation: rows of shape"):
        conservation(balanced(), rows(balanced())[:1])
