"""One Gaussian process: its likelihood, its derivative, its predictions."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from astrohpc.emulate import process
from astrohpc.emulate.process import KERNELS, Kernel, conditioned, learned

BOTH = pytest.mark.parametrize("kernel", sorted(KERNELS))


def _covariance(sizes: np.ndarray, a: np.ndarray, b: np.ndarray, kernel: Kernel) -> np.ndarray:
    """Written out, pair by pair."""
    lengths, (part, trend, _) = np.exp(sizes[:-3]), np.exp(sizes[-3:])
    found = np.empty((len(a), len(b)))
    for i, one in enumerate(a):
        for j, two in enumerate(b):
            r = np.linalg.norm((one - two) / lengths)
            matern = (1 + 5**0.5 * r + 5 * r**2 / 3) * np.exp(-(5**0.5) * r)
            shape = matern if kernel == "matern" else np.exp(-(r**2) / 2)
            found[i, j] = part * shape + trend * (1 + (2 * one - 1) @ (2 * two - 1))
    return found


@pytest.fixture(scope="module")
def few() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.random((12, 3)), draw.normal(size=12), np.array([-0.7, 0.2, 1.0, 0.3, -1.1, -2.0])


@BOTH
def test_the_likelihood_is_that_of_a_normal_distribution(kernel: Kernel, few) -> None:
    inputs, data, sizes = few
    whole = _covariance(sizes, inputs, inputs, kernel) + np.exp(sizes[-1]) * np.eye(12)
    value, _ = process._negative_likelihood(sizes, inputs, data, kernel)
    expected = -multivariate_normal(cov=whole).logpdf(data) - 6 * np.log(2 * np.pi)
    assert value == pytest.approx(expected, rel=1e-6)


@BOTH
def test_its_derivative_is_that_of_small_steps(kernel: Kernel, few) -> None:
    inputs, data, sizes = few
    _, slope = process._negative_likelihood(sizes, inputs, data, kernel)
    for k, step in enumerate(1e-5 * np.eye(len(sizes))):
        above, _ = process._negative_likelihood(sizes + step, inputs, data, kernel)
        below, _ = process._negative_likelihood(sizes - step, inputs, data, kernel)
        assert slope[k] == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-6)


@BOTH
def test_it_predicts_the_conditional_normal_distribution(kernel: Kernel, few) -> None:
    inputs, data, sizes = few
    new = np.random.default_rng(1).random((4, 3)) * 2
    noise = np.exp(sizes[-1])
    whole = _covariance(sizes, inputs, inputs, kernel) + noise * np.eye(12)
    cross, own = _covariance(sizes, new, inputs, kernel), _covariance(sizes, new, new, kernel)
    mean, variance = conditioned(sizes, inputs, data, kernel).predict(new)
    np.testing.assert_allclose(mean, cross @ np.linalg.solve(whole, data), rtol=1e-6)
    expected = np.diag(own - cross @ np.linalg.solve(whole, cross.T)) + noise
    np.testing.assert_allclose(variance, expected, rtol=1e-6)


@BOTH
def test_a_line_is_continued_beyond_the_planets_seen(kernel: Kernel) -> None:
    inputs = np.random.default_rng(2).random((30, 2))
    data = 2 * (inputs @ [1.0, -1.0])
    mean, _ = conditioned(learned(inputs, data, kernel), inputs, data, kernel).predict(
        np.array([[1.3, -0.3]])
    )
    assert mean[0] == pytest.approx(3.2, abs=0.05)


@BOTH
def test_a_bend_is_found_where_a_trend_with_noise_would_do_too(kernel: Kernel) -> None:
    inputs = np.random.default_rng(3).random((60, 4))
    data = np.cos(6 * inputs[:, 0])
    data = (data - data.mean()) / data.std()
    sizes = learned(inputs[:40], data[:40], kernel)
    mean, _ = conditioned(sizes, inputs[:40], data[:40], kernel).predict(inputs[40:])
    assert np.mean(np.square(mean - data[40:])) < 0.02
    assert np.argmin(sizes[:4]) == 0  # and what the others do not do has longer lengths


def test_noise_is_found_to_be_noise() -> None:
    draw = np.random.default_rng(4)
    inputs = draw.random((80, 3))
    data = draw.normal(size=80)
    mean, variance = conditioned(learned(inputs, data, "matern"), inputs, data, "matern").predict(
        draw.random((50, 3))
    )
    assert np.abs(mean).max() < 0.7
    assert 0.7 < variance.mean() < 1.4


def test_nine_of_ten_hold_of_data_that_a_process_made() -> None:
    draw = np.random.default_rng(5)
    sizes = np.array([-1.0, 0.0, 0.0, -1.0, -3.0])
    inside = []
    for _ in range(20):
        inputs = draw.random((70, 2))
        whole = _covariance(sizes, inputs, inputs, "matern") + np.exp(-3) * np.eye(70)
        data = np.linalg.cholesky(whole) @ draw.normal(size=70)
        found = conditioned(
            learned(inputs[:40], data[:40], "matern"), inputs[:40], data[:40], "matern"
        )
        mean, variance = found.predict(inputs[40:])
        inside.append(np.abs(data[40:] - mean) < 1.645 * np.sqrt(variance))
    assert 0.85 < np.mean(inside) < 0.94
