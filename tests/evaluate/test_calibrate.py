import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtri
from support_evaluate import COLUMNS, LEVELS, ROWS, climates, rows

from astrohpc.emulate.base import Prediction
from astrohpc.errors import ConfigError
from astrohpc.evaluate.calibrate import Calibration, calibrate
from astrohpc.evaluate.metrics import score

FLAT, LAYERED = (ROWS, COLUMNS), (LEVELS, ROWS, COLUMNS)


def scalars(count: int):
    return climates({"ts": 280.0 + 50.0 * np.sin(np.arange(count))})


def fields(rng, count: int, scale: float = 1.0):
    """Planets whose errors are wrong together: each has its own heavy-tailed size."""
    truth = 280.0 + rng.normal(0.0, 20.0, (count, *FLAT))
    made = climates({"ts": truth})
    sizes = scale * np.abs(rng.standard_t(3, (count, 1))) + 0.1
    return made, Prediction(
        rows(made) + sizes * rng.normal(size=made.values.shape), np.ones(made.values.shape)
    )


def covered(made, prediction, calibration, confidence) -> float:
    low, high = calibration.interval(prediction, confidence)
    inside = (low <= made.values) & (made.values <= high)
    return float((inside @ made.weights).mean())


# ----------------------------------------------------------------------------- the promise
@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_few_planets_of_heavy_tails_are_covered_as_promised_and_hardly_more(confidence):
    rng = np.random.default_rng(7)
    planets, found = 12, []
    for _ in range(300):
        made, prediction = fields(rng, planets + 4)
        known, new = np.arange(planets), np.arange(planets, planets + 4)
        learned = calibrate(
            made.take(known), Prediction(prediction.mean[known], prediction.std[known])
        )
        there = Prediction(prediction.mean[new], prediction.std[new])
        found.append(covered(made.take(new), there, learned, confidence))
    error = np.std(found) / np.sqrt(len(found))
    assert confidence - 2.5 * error < np.mean(found) < confidence + 1 / (planets + 1) + 2.5 * error


def test_one_number_a_planet_is_split_conformal_prediction():
    """The width is the ceil((n + 1) c)-th smallest of the ratios."""
    made = scalars(19)
    ratios = np.random.default_rng(1).permutation(np.arange(1.0, 20.0))
    prediction = Prediction(rows(made) + 2.0 * ratios[:, None], np.full((19, 1), 2.0))
    widths = calibrate(made, prediction).widths
    assert {c: float(w[0]) for c, w in widths.items()} == pytest.approx(
        {0.5: 10.0, 0.68: 14.0, 0.9: 18.0, 0.95: 19.0}, rel=1e-5
    )


def test_planets_count_alike_however_their_places_err():
    """Of 4 planets one is wrong everywhere: within 60 % of five, no place of it lies."""
    rng = np.random.default_rng(0)
    made = climates({"ts": 280.0 + rng.normal(0.0, 9.0, (4, *FLAT))})
    off = np.array([1.0, 1.0, 1.0, 100.0])[:, None]
    learned = calibrate(made, Prediction(rows(made) + off, np.ones(made.values.shape)))
    assert learned.widths[0.5][0] == pytest.approx(1.0, rel=1e-4)
    assert learned.widths[0.68][0] == pytest.approx(100.0, rel=1e-4)


def test_levels_are_learned_apart_where_asked():
    rng = np.random.default_rng(0)
    made = climates({"ta": 250.0 + rng.normal(0.0, 9.0, (40, *LAYERED))})
    off = np.array([1.0, 2.0, 3.0])[:, None, None] * rng.normal(size=(40, *LAYERED))
    prediction = Prediction(rows(made) + off.reshape(40, -1), np.ones(made.values.shape))
    apart = calibrate(made, prediction)
    assert apart.groups == ("ta[0]", "ta[1]", "ta[2]")
    assert apart.widths[0.68] == pytest.approx([1.0, 2.0, 3.0], rel=0.05)
    together = calibrate(made, prediction, by_level=False)
    assert together.groups == ("ta",)
    assert 1.0 < together.widths[0.68][0] < 3.0


def test_scores_of_a_calibrated_prediction_have_the_coverage_it_learned():
    rng = np.random.default_rng(3)
    made, prediction = fields(rng, 120, scale=3.0)
    half = np.arange(60)
    known = Prediction(prediction.mean[:60], prediction.std[:60])
    learned = calibrate(made.take(half), known)
    new = Prediction(prediction.mean[60:], prediction.std[60:])
    test = made.take(half + 60)
    mean = rows(made).mean(axis=0)
    scores = score(test, learned.applied(new), mean, learned.reach())
    for confidence in (0.5, 0.68, 0.9, 0.95):
        name = f"coverage_{100 * confidence:g}"
        assert scores.value("ts", name) == pytest.approx(covered(test, new, learned, confidence))
    raw = score(test, new, mean)
    assert raw.value("ts", "coverage_90") < 0.85
    assert abs(scores.value("ts", "coverage_90") - 0.9) < 0.05
    assert scores.value("ts", "crps") < raw.value("ts", "crps")


# ----------------------------------------------------------------------------- corners
def test_methods_without_standard_deviations_get_the_usual_error_of_each_place():
    rng = np.random.default_rng(5)
    made = climates({"ts": 280.0 + rng.normal(0.0, 9.0, (200, *FLAT))})
    size = np.linspace(1.0, 5.0, made.values.shape[1])
    mean = rows(made) + size * rng.normal(size=made.values.shape)
    learned = calibrate(made.take(np.arange(100)), Prediction(mean[:100]))
    applied = learned.applied(Prediction(mean[100:]))
    assert applied.std.shape == (100, len(size))
    assert np.abs(applied.std / size - 1.0).mean() < 0.08
    test = made.take(np.arange(100, 200))
    assert covered(test, Prediction(mean[100:]), learned, 0.9) == pytest.approx(0.9, abs=0.02)


def test_few_planets_that_cannot_vouch_for_a_confidence_say_so():
    made = scalars(10)
    prediction = Prediction(rows(made) + np.arange(10.0)[:, None], np.ones((10, 1)))
    learned = calibrate(made, prediction)
    assert learned.unsure == (0.95,)
    assert learned.widths[0.95][0] == pytest.approx(9.0, rel=1e-5)
    assert "95 %" in learned.note
    assert "takes 19 planets" in learned.note
    many = scalars(19)
    assert calibrate(many, Prediction(rows(many) + 1.0, np.ones((19, 1)))).note == ""


def test_places_that_are_the_same_on_every_planet_teach_nothing():
    rng = np.random.default_rng(0)
    field = rng.normal(200.0, 20.0, (30, *FLAT))
    field[:, :, ::2] = 0.0  # night
    made = climates({"rsut": field})
    mean = rows(made) + np.where(rows(made) > 0, rng.normal(size=made.values.shape), 0.0)
    std = np.where(rows(made) > 0, 1.0, 0.0)
    learned = calibrate(made, Prediction(mean, std))
    with_one_infinite = ndtri(0.5 + 0.5 * 0.9 * 31 / 30)
    assert learned.widths[0.9][0] == pytest.approx(with_one_infinite, rel=0.03)


def test_a_prediction_that_is_always_right_has_intervals_of_no_width():
    made = scalars(20)
    learned = calibrate(made, Prediction(rows(made), np.ones((20, 1))))
    low, high = learned.interval(Prediction(rows(made), np.ones((20, 1))), 0.9)
    assert np.array_equal(low, high)
    assert learned.reach()[0.9].tolist() == [0.0]


def test_states_come_back_the_same_through_json():
    rng = np.random.default_rng(5)
    made, prediction = fields(rng, 20)
    for one in (prediction, Prediction(prediction.mean)):
        learned = calibrate(made, one)
        about, arrays = learned.state()
        back = Calibration.restored(json.loads(json.dumps(about)), arrays)
        assert np.array_equal(back.applied(one).std, learned.applied(one).std)
        assert np.array_equal(back.interval(one, 0.95), learned.interval(one, 0.95))
        assert back.note == learned.note


def test_damaged_or_other_states_are_refused_in_a_sentence():
    made, prediction = fields(np.random.default_rng(5), 20)
    about, arrays = calibrate(made, prediction).state()
    with pytest.raises(ConfigError, match="version 0 where this astrohpc knows 1"):
        Calibration.restored(about | {"schema": 0}, arrays)
    with pytest.raises(ConfigError, match="is damaged"):
        Calibration.restored({"schema": 1}, arrays)
    with pytest.raises(ConfigError, match="parts do not fit"):
        Calibration.restored(about | {"groups": ["ts", "ta"]}, arrays)


def test_other_values_and_confidences_are_refused():
    made, prediction = fields(np.random.default_rng(5), 20)
    learned = calibrate(made, prediction)
    with pytest.raises(ConfigError, match=r"confidence: 0\.8 was not calibrated"):
        learned.interval(prediction, 0.8)
    with pytest.raises(ConfigError, match="calibrate the method that made it"):
        learned.applied(replace(prediction, std=None))
    with pytest.raises(ConfigError, match="give out-of-fold predictions"):
        calibrate(made, Prediction(prediction.mean[:5], prediction.std[:5]))
