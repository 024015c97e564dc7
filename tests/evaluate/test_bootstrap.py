import numpy as np
import pytest
from support_evaluate import climates, rows

from astrohpc.emulate.base import Prediction
from astrohpc.errors import ConfigError
from astrohpc.evaluate.bootstrap import interval, interval_of_mean, paired
from astrohpc.evaluate.metrics import Scores, score


def scalars(count: int):
    return climates({"ts": np.random.default_rng(2).normal(280.0, 10.0, count)})


def scores_of(made, errors) -> Scores:
    mean = rows(made) + np.asarray(errors, np.float64)[:, None]
    return score(made, Prediction(mean), rows(made).mean(axis=0))


def test_the_interval_holds_the_mean_of_few_planets_as_often_as_it_says():
    """Without widening for few planets this would be 0.82."""
    rng = np.random.default_rng(0)
    held = [interval_of_mean(rng.normal(3.0, 2.0, 8), seed=0).holds(3.0) for _ in range(1000)]
    assert abs(np.mean(held) - 0.9) < 0.03


def test_the_interval_of_many_planets_is_that_of_the_central_limit():
    values = np.random.default_rng(1).normal(5.0, 2.0, 900)
    found = interval_of_mean(values)
    error = values.std() / 30.0
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(
        (found.value - 1.645 * error, found.value + 1.645 * error), abs=0.1 * error
    )
    wider = interval_of_mean(values, confidence=0.99)
    assert wider.low < found.low < found.high < wider.high


def test_planets_without_a_number_do_not_count():
    values = np.random.default_rng(1).normal(5.0, 2.0, 20)
    with_gaps = np.insert(values, [3, 9], np.nan)
    assert interval_of_mean(with_gaps) == interval_of_mean(values)


def test_a_metric_has_its_own_value_and_an_interval_around_it():
    made = scalars(30)
    errors = np.random.default_rng(3).normal(0.0, 2.0, 30)
    scores = scores_of(made, errors)
    for name in ("rmse", "skill", "bias", "mae"):
        found = interval(scores, "ts", name)
        assert found.value == scores.value("ts", name)
        assert found.low < found.value < found.high
        assert found.planets == 30
    squared = interval_of_mean(errors**2)
    found = interval(scores, "ts", "rmse")
    assert (found.low, found.high) == pytest.approx(
        (np.sqrt(squared.low), np.sqrt(squared.high)), rel=1e-4
    )


def test_planets_that_err_alike_leave_nothing_to_chance():
    found = interval(scores_of(scalars(10), np.ones(10)), "ts", "mae")
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0), abs=1e-5)


def test_one_planet_says_nothing_of_others_and_none_says_nothing():
    one = interval_of_mean(np.array([2.0]))
    assert (one.value, one.planets) == (2.0, 1)
    assert np.isnan([one.low, one.high]).all()
    none = interval_of_mean(np.array([np.nan]))
    assert np.isnan([none.value, none.low, none.high]).all()
    made = scalars(5)
    nothing = interval(scores_of(made, np.ones(5)), "ts", "coverage_90")
    assert nothing.planets == 0
    assert np.isnan([nothing.value, nothing.low]).all()


def test_a_method_that_is_better_on_each_planet_by_little_is_better():
    """Unpaired, the planets' own difficulty would hide it."""
    made = scalars(20)
    difficulty = np.random.default_rng(4).exponential(10.0, 20)
    first, second = scores_of(made, difficulty), scores_of(made, difficulty + 0.1)
    found = paired(first, second, "ts", "mae")
    assert found.verdict == "better"
    assert found.gain.value == pytest.approx(0.1, abs=1e-5)
    assert found.share == 1.0
    alone = [interval(one, "ts", "mae") for one in (first, second)]
    assert alone[0].high > alone[1].low
    assert paired(second, first, "ts", "mae").verdict == "worse"


def test_a_method_beats_itself_nowhere():
    scores = scores_of(scalars(20), np.random.default_rng(4).normal(size=20))
    found = paired(scores, scores, "ts", "skill")
    assert found.verdict == "undecided"
    assert (found.gain.low, found.gain.value, found.gain.high) == (0.0, 0.0, 0.0)
    assert found.share == 0.5


def test_more_skill_is_better_and_less_bias_of_either_sign():
    made = scalars(20)
    near, far = scores_of(made, np.full(20, 0.5)), scores_of(made, np.full(20, -2.0))
    assert paired(near, far, "ts", "skill").verdict == "better"
    assert paired(near, far, "ts", "bias").verdict == "better"
    assert paired(near, far, "ts", "bias").gain.value == pytest.approx(1.5, abs=1e-5)


def test_scores_of_other_planets_are_not_compared():
    made = scalars(6)
    other = made.take(np.array([0, 2, 1, 3, 4, 5]))
    with pytest.raises(ConfigError, match="different planets"):
        paired(scores_of(made, np.ones(6)), scores_of(other, np.ones(6)), "ts", "rmse")


def test_the_same_seed_draws_the_same_planets():
    values = np.random.default_rng(1).normal(5.0, 2.0, 20)
    assert interval_of_mean(values, seed=1) == interval_of_mean(values, seed=1)
    assert interval_of_mean(values, seed=1) != interval_of_mean(values, seed=2)
