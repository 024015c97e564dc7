"""Principal components of fields, and what they leave out."""

import numpy as np
import pytest

from astrohpc.emulate.pca import Pca, pca, variables_of


def test_a_variable_ends_where_its_weights_sum_to_one() -> None:
    weights = np.concatenate([np.full(7, 1 / 7), [1.0], [0.3, 0.6, 0.1]])
    assert variables_of(weights) == [slice(0, 7), slice(7, 8), slice(8, 11)]


def test_variables_end_right_among_many_uneven_values() -> None:
    rows = np.cos(np.linspace(-1.57, 1.57, 32))
    area = np.outer(rows, np.ones(64)).ravel()
    layers = np.outer(np.linspace(0.001, 1, 10), area).ravel()
    parts = [layers / layers.sum()] * 5 + [area / area.sum()] * 4
    ends = np.cumsum([len(one) for one in parts])
    assert [one.stop for one in variables_of(np.concatenate(parts))] == ends.tolist()


def test_weights_that_do_not_sum_to_one_by_variable_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weights: their sum is 1\.5; give each"):
        variables_of(np.full(3, 0.5))


def _low_rank(planets: int, values: int, rank: int) -> np.ndarray:
    draw = np.random.default_rng(1)
    return 5 + draw.normal(size=(planets, rank)) @ draw.normal(size=(rank, values))


@pytest.mark.parametrize("shape", [(20, 90), (90, 20)], ids=["few planets", "few values"])
def test_fields_of_three_patterns_come_back_from_three_scores(shape: tuple[int, int]) -> None:
    values = _low_rank(*shape, rank=3)
    found, scores = pca(values, np.full(shape[1], 1 / shape[1]), share=1.0, most=3)
    np.testing.assert_allclose(found.decoded(scores), values, atol=1e-5)
    np.testing.assert_allclose(found.shares.sum(), 1)
    np.testing.assert_allclose(np.cov(scores.T, bias=True), np.eye(3), atol=1e-9)
    assert found.left.max() < 1e-9


def test_it_takes_no_more_patterns_than_the_share_needs_and_none_of_rounding() -> None:
    values = _low_rank(20, 90, rank=3)
    weights = np.full(90, 1 / 90)
    full, _ = pca(values, weights, share=1.0, most=64)
    assert len(full.patterns) == 3
    part, _ = pca(values, weights, share=float(full.shares[0]) - 1e-6, most=64)
    assert len(part.patterns) == 1


def test_products_of_planets_and_products_of_values_give_the_same_components() -> None:
    values = _low_rank(30, 24, rank=24)
    weights = np.full(24, 1 / 24)
    few, few_scores = pca(values, weights, share=1.0, most=5)
    # Values of no weight change no component, and make values outnumber planets.
    more = np.concatenate([np.zeros((30, 40)), values], axis=1)
    many, many_scores = pca(more, np.concatenate([np.zeros(40), weights]), share=1.0, most=5)
    np.testing.assert_allclose(many.shares, few.shares, rtol=1e-9)
    np.testing.assert_allclose(
        many.decoded(many_scores)[:, 40:], few.decoded(few_scores), atol=1e-5
    )


def test_a_variables_unit_changes_nothing() -> None:
    values = _low_rank(20, 60, rank=10)
    weights = np.repeat([1 / 40, 1 / 20], [40, 20])
    unit = np.repeat([1.0, 1e4], [40, 20])
    found, scores = pca(values, weights, share=1.0, most=4)
    other, other_scores = pca(values * unit, weights, share=1.0, most=4)
    np.testing.assert_allclose(other_scores, scores, atol=1e-8)
    np.testing.assert_allclose(other.patterns, found.patterns * unit, rtol=1e-5)


def test_two_variables_count_alike_however_many_values_they_have() -> None:
    draw = np.random.default_rng(2)
    one, two = draw.normal(size=(2, 40, 1))
    values = np.concatenate([np.repeat(one, 50, axis=1), two], axis=1)
    found, _ = pca(values, np.repeat([1 / 50, 1], [50, 1]), share=1.0, most=2)
    correlation = abs(np.corrcoef(one[:, 0], two[:, 0])[0, 1])
    np.testing.assert_allclose(found.shares, [(1 + correlation) / 2, (1 - correlation) / 2])


def test_what_is_left_out_is_that_of_planets_the_patterns_have_not_seen() -> None:
    noise = np.random.default_rng(3).normal(size=(25, 400)) * 2
    found, scores = pca(noise, np.full(400, 1 / 400), share=1.0, most=64)
    np.testing.assert_allclose(found.decoded(scores), noise, atol=1e-4)  # all of it, seen
    assert 3.5 < found.left.mean() < 4.5  # nothing of it, unseen: the variance is four


def test_what_is_left_out_agrees_with_new_planets() -> None:
    draw = np.random.default_rng(4)
    basis = draw.normal(size=(40, 200)) / np.arange(1, 41)[:, None]
    values = draw.normal(size=(240, 40)) @ basis
    found, _ = pca(values[:40], np.full(200, 1 / 200), share=1.0, most=8)
    new = values[40:] - found.mean
    scores = np.linalg.lstsq(found.patterns.T, new.T, rcond=None)[0]
    missed = np.mean(np.square(new - scores.T @ found.patterns))
    assert 0.7 < found.left.mean() / missed < 1.4


def test_a_variable_without_spread_disturbs_nothing() -> None:
    values = np.concatenate([_low_rank(20, 30, rank=2), np.full((20, 30), 7.0)], axis=1)
    found, scores = pca(values, np.full(60, 1 / 30), share=1.0, most=10)
    np.testing.assert_allclose(found.decoded(scores), values, atol=1e-5)


def test_spreads_add_the_scores_variances_to_what_is_left_out() -> None:
    one = Pca(np.zeros(2), np.array([[3.0, 1.0]]), np.array([0.0, 3.0]), np.ones(1))
    np.testing.assert_allclose(one.spread(np.array([[1.0], [9.0]])), [[3, 2], [9, 12**0.5]])


@pytest.mark.parametrize("planets", [1, 2, 3])
def test_few_planets_leave_what_is_between_them(planets: int) -> None:
    """Two cannot tell by any pattern what a third would be: all that they differ by is left."""
    values = _low_rank(planets, 40, rank=3)
    found, scores = pca(values, np.full(40, 1 / 40), share=0.99, most=8)
    assert np.isfinite(found.left).all()
    assert scores.shape[0] == planets
    if planets == 2:
        np.testing.assert_allclose(found.left, (values[0] - values[1]) ** 2)
