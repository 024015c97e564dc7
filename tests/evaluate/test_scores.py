import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr
from support_evaluate import B_EDGE, COLUMNS, GRID, LEVELS, ROWS, climates, planet, rows

from astrohpc.emulate.base import Prediction
from astrohpc.errors import ConfigError
from astrohpc.evaluate.metrics import METRICS, Scores, common, score
from astrohpc.evaluate.statistics import crps, substellar_lon_deg

LAYERED, FLAT = (LEVELS, ROWS, COLUMNS), (ROWS, COLUMNS)
DAY = np.where(np.abs(GRID.lon_deg - 180.0) < 90.0, 1.0, -1.0) * np.ones((ROWS, 1))
DAY[:, np.abs(np.cos(np.radians(GRID.lon_deg))) < 1e-9] = 0.0


def weather(count: int = 6):
    """Temperatures that fall with height by far more than planets differ."""
    rng = np.random.default_rng(1)
    lapse = np.array([200.0, 240.0, 290.0])[:, None, None]
    return climates(
        {
            "ta": lapse + rng.normal(0.0, 5.0, (count, *LAYERED)),
            "ts": 280.0 + rng.normal(0.0, 5.0, (count, *FLAT)),
        }
    )


def of(made, mean, std=None) -> Scores:
    return score(made, Prediction(mean, std), rows(made).mean(axis=0))


# ----------------------------------------------------------------------------- closed forms
@pytest.mark.parametrize(("error", "std"), [(0.0, 1.0), (1.3, 0.7), (-4.0, 0.5)])
def test_crps_is_the_integral_that_defines_it(error, std):
    below = quad(lambda x: ndtr(x / std) ** 2, -20.0, -error)[0]
    above = quad(lambda x: (1.0 - ndtr(x / std)) ** 2, -error, 20.0)[0]
    found = float(crps(np.array(error), np.array(std)))
    assert found == pytest.approx(below + above, rel=1e-6)


def test_crps_of_a_sure_prediction_is_its_absolute_error():
    assert crps(np.array([-2.0, 0.0]), np.zeros(2)).tolist() == [2.0, 0.0]
    made = weather()
    scores = of(made, rows(made) + 3.0)
    assert scores.value("ts", "crps") == pytest.approx(3.0)


def test_the_training_mean_has_no_skill_and_the_truth_has_all():
    made = weather()
    mean = rows(made).mean(axis=0)
    nothing = of(made, np.tile(mean, (len(made), 1)))
    everything = of(made, rows(made))
    for variable in ("ta", "ts"):
        assert nothing.value(variable, "skill") == 0.0
        assert everything.value(variable, "skill") == 1.0
        assert nothing.by_planet(variable, "skill").tolist() == [0.0] * len(made)
    assert nothing.by_level("ta", "skill").tolist() == [0.0] * LEVELS


def test_pooled_r2_is_high_for_the_training_mean_as_it_counts_the_vertical_structure():
    made = weather()
    nothing = of(made, np.tile(rows(made).mean(axis=0), (len(made), 1)))
    assert nothing.value("ta", "pooled_r2") > 0.95
    assert "vertical structure" in METRICS["pooled_r2"].title


def test_an_error_on_one_level_counts_by_the_mass_of_the_level():
    made = weather()
    mean = rows(made)
    made.of("ta", mean)[:, 1] += 2.0  # a view
    scores = of(made, mean)
    assert scores.by_level("ta", "bias") == pytest.approx([0.0, 2.0, 0.0], abs=1e-12)
    share = np.diff(B_EDGE)[1]
    assert scores.value("ta", "mae") == pytest.approx(2.0 * share)
    assert scores.value("ta", "rmse") == pytest.approx(2.0 * np.sqrt(share))
    assert scores.value("ts", "rmse") == 0.0


def test_an_error_in_a_row_counts_by_its_area():
    made = weather()
    mean = rows(made)
    made.of("ts", mean)[:, 0] -= 1.0
    assert of(made, mean).value("ts", "bias") == pytest.approx(-GRID.row_share[0])


def test_rmse_of_all_planets_is_of_all_places_and_planet_rmse_a_mean_of_planets():
    made = weather(2)
    mean = rows(made)
    mean[0] += 1.0
    mean[1] += 7.0
    scores = of(made, mean)
    assert scores.value("ts", "rmse") == pytest.approx(5.0)
    assert scores.value("ts", "planet_rmse") == pytest.approx(4.0)
    assert scores.by_planet("ts", "rmse") == pytest.approx([1.0, 7.0])


def test_patterns_correlate_whatever_their_mean_and_size():
    made = weather()
    level_mean = made.of("ta").mean(axis=(2, 3), keepdims=True)
    for factor, wanted in ((0.3, 1.0), (-2.0, -1.0)):
        mean = rows(made)
        made.of("ta", mean)[:] = 50.0 + factor * (made.of("ta") - level_mean)
        assert of(made, mean).value("ta", "pattern_correlation") == pytest.approx(wanted, abs=1e-6)


def test_fine_power_falls_with_the_square_of_a_pattern_that_is_too_smooth():
    made = weather()
    mean = rows(made)
    mean[:, made.places["ts"]] *= 0.5
    scores = of(made, mean)
    assert scores.value("ts", "fine_power") == pytest.approx(0.25, rel=1e-6)
    number, truth, ours = scores.spectrum("ts")
    assert number.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert ours == pytest.approx(0.25 * truth, rel=1e-5)


# ----------------------------------------------------------------------------- uncertainty
def test_gaussian_errors_of_the_predicted_size_are_covered_as_often_as_said():
    rng = np.random.default_rng(1)
    made = climates({"ts": 280.0 + rng.normal(0.0, 9.0, (60, *FLAT))})
    std = np.full(made.values.shape, 2.0)
    right = of(made, rows(made) + rng.normal(0.0, 2.0, std.shape), std)
    places = std.size / 4  # of equal weight they would be more
    for confidence in (0.5, 0.68, 0.9, 0.95):
        found = right.value("ts", f"coverage_{100 * confidence:g}")
        assert abs(found - confidence) < 4 * np.sqrt(confidence * (1 - confidence) / places)
    assert right.value("ts", "spread_skill") == pytest.approx(1.0, abs=0.03)
    assert right.value("ts", "crps") == pytest.approx(2.0 / np.sqrt(np.pi), rel=0.03)
    half = of(made, rows(made) + rng.normal(0.0, 4.0, std.shape), std)
    assert half.value("ts", "spread_skill") == pytest.approx(0.5, abs=0.02)
    assert half.value("ts", "coverage_90") == pytest.approx(2 * ndtr(0.5 * 1.645) - 1, abs=0.03)


def test_places_that_are_the_same_on_every_planet_lend_no_coverage():
    rng = np.random.default_rng(1)
    field = np.where(DAY > 0, rng.normal(200.0, 20.0, (30, *FLAT)), 0.0)
    made = climates({"rsut": field})
    std = np.full(made.values.shape, 1e-3)  # sure, and wrong wherever there is light
    mean = rows(made)
    mean[:, made.values.any(axis=0)] += 1.0
    assert of(made, mean, std).value("rsut", "coverage_95") == 0.0


def test_without_standard_deviations_there_is_no_coverage():
    made = weather()
    scores = of(made, rows(made))
    assert np.isnan(scores.value("ts", "coverage_90"))
    assert np.isnan(scores.value("ts", "spread_skill"))


# ----------------------------------------------------------------------------- day and night
def lit(count: int = 4):
    rng = np.random.default_rng(1)
    light = np.maximum(0.0, -np.cos(np.radians(GRID.lon_deg))) * np.ones((ROWS, 1))
    clouds = rng.uniform(0.2, 0.6, (count, *FLAT))
    worlds = [planet(locked=i != 1) for i in range(count)]
    fields = {"rsut": light * clouds, "ts": 250.0 + rng.normal(0.0, 5.0, (count, *FLAT))}
    return climates(fields, worlds)


def test_the_substellar_point_is_where_the_light_falls():
    made = lit()
    assert substellar_lon_deg(made) == 180.0
    assert substellar_lon_deg(made.only(["ts"])) is None
    assert substellar_lon_deg(made.take(np.array([1]))) is None  # not locked


def test_contrast_is_of_the_day_less_the_night_of_locked_planets():
    made = lit()
    mean = rows(made)
    made.of("ts", mean)[:] += 1.0 + 2.5 * DAY
    scores = of(made, mean)
    assert scores.value("ts", "contrast_bias") == pytest.approx(5.0)
    assert scores.value("ts", "contrast_rmse") == pytest.approx(5.0)
    assert np.isnan(scores.by_planet("ts", "contrast_bias")[1])


def test_on_latitudes_alone_the_day_of_locked_planets_is_the_north():
    rng = np.random.default_rng(1)
    band = np.sign(GRID.lat_deg)
    made = climates(
        {"ts": 250.0 + rng.normal(0.0, 5.0, (3, ROWS))}, [planet()] * 3, without_longitudes=True
    )
    scores = of(made, rows(made) + 2.0 * band)
    assert scores.value("ts", "contrast_bias") == pytest.approx(4.0)
    assert len(scores.spectrum("ts")[0]) == 5


# ----------------------------------------------------------------------------- tables and trouble
def test_numbers_without_places_are_scored_too():
    rng = np.random.default_rng(1)
    made = climates({"ts": rng.normal(280.0, 5.0, 12)})
    scores = of(made, rows(made) + 1.0, np.full((12, 1), 1.0))
    assert scores.value("ts", "rmse") == pytest.approx(1.0)
    assert scores.value("ts", "coverage_90") == 1.0
    assert scores.value("ts", "coverage_50") == 0.0
    for name in ("fine_power", "contrast_rmse", "pattern_correlation"):
        assert np.isnan(scores.value("ts", name))


def test_tables_have_a_row_for_each_planet_and_level_with_every_metric():
    made = weather(3)
    scores = of(made, rows(made) + 1.0)
    assert [row["variable"] for row in scores.summary()] == ["ta", "ts"]
    assert [(row["planet"], row["variable"]) for row in scores.planet_rows()][3] == (
        "planet-0",
        "ts",
    )
    assert [(row["level"], row["variable"]) for row in scores.level_rows()] == [
        (0, "ta"),
        (1, "ta"),
        (2, "ta"),
    ]
    for row in (*scores.summary(), *scores.planet_rows(), *scores.level_rows()):
        assert METRICS.keys() <= row.keys()
        assert row["mae"] == pytest.approx(1.0)
    assert scores.mark == "synthetic"


def test_blocks_of_planets_do_not_change_a_score(monkeypatch):
    rng = np.random.default_rng(1)
    made = weather()
    mean = rows(made) + rng.normal(0.0, 1.0, made.values.shape)
    whole = of(made, mean, np.ones_like(mean)).planet_rows()
    monkeypatch.setattr("astrohpc.evaluate.statistics._BLOCK_BYTES", 1)
    for one, other in zip(of(made, mean, np.ones_like(mean)).planet_rows(), whole, strict=True):
        for name in METRICS:
            assert one[name] == pytest.approx(other[name], rel=1e-12, nan_ok=True)


def test_common_variables_are_those_of_all():
    made = weather()
    both, one = of(made, rows(made)), of(made.only(["ts"]), rows(made.only(["ts"])))
    assert common([both, one]) == ("ts",)


def test_predictions_of_other_planets_or_variables_are_refused():
    made = weather()
    with pytest.raises(ConfigError, match=r"prediction\.mean: has shape"):
        of(made, rows(made)[:3])
    with pytest.raises(ConfigError, match=r"widths: are of \[0\.9\]"):
        score(made, Prediction(rows(made)), rows(made)[0], {0.9: np.ones(made.values.shape[1])})
    with pytest.raises(ConfigError, match="training_mean: has shape"):
        score(made, Prediction(rows(made)), np.zeros(3))


def test_a_prediction_that_is_no_number_is_named_and_not_averaged_away():
    made = weather()
    mean = rows(made)
    mean[2, 7] = np.nan
    with pytest.raises(ConfigError, match=r"prediction\.mean: is no number for planet-2"):
        of(made, mean)


def test_unknown_names_are_refused_with_what_was_meant():
    scores = of(weather(), rows(weather()))
    with pytest.raises(ConfigError, match="did you mean 'rmse'"):
        scores.value("ts", "rsme")
    with pytest.raises(ConfigError, match="'tas' was not scored"):
        scores.value("tas", "rmse")
