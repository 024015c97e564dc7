"""Settings by cross-validation: over planets, with one budget, and nobody judged on what it has seen."""

from functools import partial

import numpy as np
import pytest
from support_emulate import Planets, planets

from astrohpc.climates.split import folds as folds_of
from astrohpc.emulate.methods import CHOICES, METHODS
from astrohpc.emulate.ridge import Ridge
from astrohpc.emulate.simple import Mean, Neighbours
from astrohpc.emulate.tune import WithSpread, drawn, out_of_fold, tuned
from astrohpc.errors import ConfigError


@pytest.fixture(scope="module")
def made() -> Planets:
    return planets(seen=40)


def _data(made: Planets) -> tuple:
    return made.scaled[: made.seen], made.values[: made.seen], made.weights, made.names


def test_no_planet_is_predicted_from_its_own_fold() -> None:
    names = [f"planet-{i}" for i in range(20)]
    fold = folds_of(names, 5, 0)
    values = np.eye(20)  # each planet marks a column of its own
    found = out_of_fold(
        Mean, np.zeros((20, 1)), values, np.full(20, 1 / 20), names, folds=5, seed=0
    )
    np.testing.assert_array_equal(found.mean > 0, fold[:, None] != fold)


def test_out_of_fold_predictions_do_not_depend_on_the_order_of_planets(made: Planets) -> None:
    scaled, values, weights, names = _data(made)
    order = np.random.default_rng(0).permutation(len(names))
    one = out_of_fold(Ridge, scaled, values, weights, names, 5, 0)
    other = out_of_fold(
        Ridge, scaled[order], values[order], weights, [names[i] for i in order], 5, 0
    )
    np.testing.assert_allclose(other.mean, one.mean[order])
    assert one.std is not None
    np.testing.assert_allclose(other.std, one.std[order], rtol=1e-6)


def test_there_is_no_spread_out_of_fold_where_the_method_has_none(made: Planets) -> None:
    assert out_of_fold(Neighbours, *_data(made), folds=4, seed=0).std is None


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_the_same_number_of_trials_and_none_twice(name: str) -> None:
    every = np.prod([len(one) for one in CHOICES[name].values()], dtype=int)
    found = drawn(name, trials=8, seed=0)
    assert len(found) == (1 if name == "mean" else 8) <= every
    assert len({str(one) for one in found}) == len(found)
    assert found[0] == {setting: choices[0] for setting, choices in CHOICES[name].items()}


def test_the_setting_of_the_highest_skill_is_taken(made: Planets) -> None:
    data = _data(made)
    emulator, settings, skill = tuned("quadratic", *data, seed=0)
    skills = {}
    for one in drawn("quadratic", trials=8, seed=0):
        found = out_of_fold(partial(METHODS["quadratic"], **one), *data, folds=5, seed=0)
        usual = out_of_fold(Mean, *data, folds=5, seed=0)
        by_variable = [
            1
            - np.square(found.mean - data[1])[:, place].sum()
            / np.square(usual.mean - data[1])[:, place].sum()
            for place in (slice(80), slice(80, 100))
        ]
        skills[one["penalty"]] = np.mean(by_variable)
    assert settings == {"penalty": max(skills, key=skills.__getitem__)}
    assert skill == pytest.approx(max(skills.values()))
    expected = Ridge(degree=2, **settings).fit(*data[:3], 0).predict(made.scaled[40:])
    np.testing.assert_array_equal(emulator.predict(made.scaled[40:]).mean, expected.mean)


def test_the_mean_has_no_skill_out_of_fold(made: Planets) -> None:
    _, settings, skill = tuned("mean", *_data(made), seed=0)
    assert settings == {}
    assert skill == pytest.approx(0, abs=1e-12)


def test_a_method_without_a_spread_gets_that_of_planets_it_had_not_seen(made: Planets) -> None:
    data = _data(made)
    emulator, settings, _ = tuned("neighbours", *data, seed=0, trials=2)
    assert isinstance(emulator, WithSpread)
    missed = out_of_fold(partial(Neighbours, **settings), *data, folds=5, seed=0).mean - data[1]
    expected = np.sqrt(np.mean(np.square(missed), axis=0))
    found = emulator.predict(made.scaled[40:43])
    np.testing.assert_allclose(found.std, [expected] * 3)
    again = emulator.fit(*data[:3], seed=0).predict(made.scaled[40:43])
    np.testing.assert_array_equal(again.mean, found.mean)


def test_a_method_with_a_spread_keeps_its_own(made: Planets) -> None:
    emulator, _, _ = tuned("ridge", *_data(made), seed=0, trials=1)
    assert isinstance(emulator, Ridge)


def test_rows_in_single_precision_are_taken_as_they_are(made: Planets) -> None:
    scaled, values, weights, names = _data(made)
    _, _, double = tuned("ridge", scaled, values, weights, names, 0, 1)
    _, _, single = tuned("ridge", scaled, values.astype(np.float32), weights, names, 0, 1)
    assert single == pytest.approx(double, abs=1e-5)


def test_a_variable_that_no_planet_differs_in_counts_as_no_skill(made: Planets) -> None:
    scaled, values, weights, names = _data(made)
    same = np.concatenate([values, np.ones((40, 1))], axis=1)
    _, _, skill = tuned("ridge", scaled, same, np.append(weights, 1.0), names, 0, 1)
    _, _, alone = tuned("ridge", scaled, values, weights, names, 0, 1)
    assert skill == pytest.approx(alone * 2 / 3)


def test_an_unknown_method_is_named_with_the_nearest(made: Planets) -> None:
    with pytest.raises(ConfigError, match=r"method: there is no 'pca_pg'.*pca_gp"):
        tuned("pca_pg", *_data(made), seed=0)


def test_more_folds_than_planets_are_refused(made: Planets) -> None:
    with pytest.raises(ConfigError, match="folds: 41 of 40 planets cannot be made; write 2 to 40"):
        out_of_fold(Mean, *_data(made), folds=41, seed=0)
