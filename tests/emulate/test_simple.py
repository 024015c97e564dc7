"""The mean of all planets, and the nearest ones."""

import numpy as np
import pytest

from astrohpc.emulate.simple import Mean, Neighbours

X = np.array([[0.0], [0.1], [0.4], [1.0]])
Y = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0], [10.0, 1.0]])
ONE = np.ones(2)


def test_the_mean_is_the_same_for_all_and_its_spread_that_of_one_more_planet() -> None:
    found = Mean().fit(X, Y, ONE, 0).predict(np.zeros((3, 1)))
    np.testing.assert_allclose(found.mean, [[4, 1]] * 3)
    # s² (1 + 1/N), with s² the unbiased variance.
    np.testing.assert_allclose(found.std, [[(Y[:, 0].var(ddof=1) * 1.25) ** 0.5, 0]] * 3)


def test_the_mean_comes_back_from_its_state() -> None:
    mean = Mean().fit(X, Y, ONE, 0)
    again = Mean.restored(*mean.state())
    np.testing.assert_array_equal(again.predict(X).mean, mean.predict(X).mean)
    np.testing.assert_array_equal(again.predict(X).std, mean.predict(X).std)


def test_one_neighbour_is_copied() -> None:
    found = Neighbours(count=1).fit(X, Y, ONE, 0).predict(np.array([[0.06], [0.9]]))
    np.testing.assert_allclose(found.mean, Y[[1, 3]])


@pytest.mark.parametrize(("power", "expected"), [(0.0, 1.0), (1.0, 2 / 4), (2.0, 2 / 10)])
def test_the_nearer_counts_more_by_the_power_of_its_distance(power: float, expected: float) -> None:
    at = np.array([[0.025]])  # three times as far from the second as from the first
    found = Neighbours(count=2, power=power).fit(X, Y, ONE, 0).predict(at)
    assert found.mean[0, 0] == pytest.approx(expected)


def test_a_planet_that_was_seen_is_itself() -> None:
    found = Neighbours(count=3).fit(X, Y, ONE, 0).predict(X)
    np.testing.assert_allclose(found.mean, Y, atol=1e-6)


def test_there_are_no_more_neighbours_than_planets() -> None:
    found = Neighbours(count=9, power=0.0).fit(X, Y, ONE, 0).predict(X[:1])
    np.testing.assert_allclose(found.mean, [[4, 1]])


def test_no_neighbour_is_refused() -> None:
    with pytest.raises(ValueError, match="count: 0 neighbours"):
        Neighbours(count=0)


@pytest.mark.parametrize("method", [Mean(), Neighbours()])
def test_before_it_has_learned_it_says_so(method: Mean | Neighbours) -> None:
    with pytest.raises(ValueError, match="it has learned nothing yet"):
        method.predict(X)
