"""Ridge on values and on components."""

import json

import numpy as np
import pytest
from support_emulate import planets

from astrohpc.emulate.ridge import Basis, PcaRidge, Ridge, features

ONE = np.full(5, 0.2)


def _inputs(count: int = 30) -> np.ndarray:
    return np.random.default_rng(0).random((count, 3))


def test_a_linear_climate_is_found_exactly() -> None:
    x = _inputs()
    y = 3 + x @ np.random.default_rng(1).normal(size=(3, 5))
    found = Ridge(penalty=1e-12).fit(x[:20], y[:20], ONE, 0).predict(x[20:])
    np.testing.assert_allclose(found.mean, y[20:], atol=1e-8)
    assert found.std is not None
    assert found.std.max() < 1e-8


def test_products_of_inputs_need_the_second_degree() -> None:
    x = _inputs()
    y = (x[:, :1] * x[:, 1:2]) @ np.ones((1, 5))
    line = Ridge(degree=1, penalty=1e-12).fit(x[:20], y[:20], ONE, 0).predict(x[20:])
    bent = Ridge(degree=2, penalty=1e-12).fit(x[:20], y[:20], ONE, 0).predict(x[20:])
    np.testing.assert_allclose(bent.mean, y[20:], atol=1e-8)
    assert np.abs(line.mean - y[20:]).max() > 0.05


def test_the_coefficients_are_those_of_the_normal_equations() -> None:
    x, y = _inputs(), np.random.default_rng(1).normal(size=(30, 5))
    f = features(x, 2)
    middle = f.mean(axis=0)
    g = f - middle
    slopes = np.linalg.solve(g.T @ g + 0.3 * 30 * np.eye(f.shape[1]), g.T @ (y - y.mean(axis=0)))
    new = np.random.default_rng(2).random((4, 3))
    expected = y.mean(axis=0) + (features(new, 2) - middle) @ slopes
    found = Ridge(degree=2, penalty=0.3).fit(x, y, ONE, 0).predict(new)
    np.testing.assert_allclose(found.mean, expected)


def test_a_planets_part_in_its_own_prediction_tells_what_leaving_it_out_does() -> None:
    x, y = _inputs(12), np.random.default_rng(1).normal(size=(12, 1))
    penalty = 0.05
    basis = Basis.of(x, 1)
    fitted = Ridge(penalty=penalty).fit(x, y, np.ones(1), 0).predict(x).mean
    guess = (y - fitted)[:, 0] / (1 - basis.own(penalty))
    for k in range(12):
        kept = np.arange(12) != k
        # The penalty is by planet, and one is fewer.
        without = Ridge(penalty=penalty * 12 / 11).fit(x[kept], y[kept], np.ones(1), 0)
        assert y[k, 0] - without.predict(x[[k]]).mean[0, 0] == pytest.approx(guess[k])


def test_more_features_than_planets_are_no_trouble() -> None:
    made = planets(seen=8)
    found = Ridge(degree=2, penalty=0.01).fit(made.scaled[:8], made.values[:8], made.weights, 0)
    prediction = found.predict(made.scaled[8:])
    assert np.isfinite(prediction.mean).all()
    assert np.isfinite(prediction.std).all()
    assert made.skill(prediction.mean) > 0.5


def test_nine_of_ten_lie_in_the_interval_where_the_climate_is_linear_with_noise() -> None:
    draw = np.random.default_rng(3)
    x = draw.random((1030, 3))
    y = x @ draw.normal(size=(3, 5)) + 0.1 * draw.normal(size=(1030, 5))
    for method in (Ridge(penalty=1e-6), PcaRidge(degree=1, share=1.0)):
        found = method.fit(x[:30], y[:30], np.ones(5), 0).predict(x[30:])
        assert 0.84 < np.mean(np.abs(y[30:] - found.mean) < 1.645 * found.std) < 0.95


def test_written_and_read_again_it_says_the_same() -> None:
    x, y = _inputs(), np.random.default_rng(1).normal(size=(30, 5))
    before = Ridge(degree=2).fit(x, y, ONE, 0)
    settings, arrays = before.state()
    after = Ridge.restored(json.loads(json.dumps(settings)), arrays)
    np.testing.assert_array_equal(after.predict(x).mean, before.predict(x).mean)
    np.testing.assert_array_equal(after.predict(x).std, before.predict(x).std)


def test_a_component_of_noise_is_shrunk_and_one_of_signal_is_not() -> None:
    draw = np.random.default_rng(4)
    x = draw.random((40, 3))
    signal = (x @ [1.0, 2.0, -1.0])[:, None] + 1e-3 * draw.normal(size=(40, 1))
    values = np.concatenate([10 * signal, draw.normal(size=(40, 1))], axis=1)
    # One variable of two values: the larger spread comes first.
    found = PcaRidge(degree=1, share=1.0).fit(x, values, np.array([0.5, 0.5]), 0)
    assert found.penalties is not None
    assert found.penalties[1] > 100 * found.penalties[0]


@pytest.mark.parametrize("method", [Ridge(), PcaRidge()])
def test_before_it_has_learned_it_says_so(method: Ridge | PcaRidge) -> None:
    with pytest.raises(ValueError, match="ridge: it has learned nothing yet"):
        method.predict(np.zeros((1, 2)))
