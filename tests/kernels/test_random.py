import numpy as np
import pytest
from scipy import stats

from astrohpc.kernels import formulas
from astrohpc.kernels.random import normals, uniforms

BOTH = pytest.mark.parametrize("draw", [uniforms, normals])


def test_a_number_depends_on_seed_operation_sample_channel_and_cell_alone() -> None:
    sample, found = 2**40 + 7, normals(11, 3, [5, 2**40 + 7], (6, 3, 4))
    for channel, cell in ((0, 0), (3, 11), (4, 5), (5, 11)):
        counter = (cell, channel // 4, sample % 2**32, sample >> 32, 11, 3)
        four = formulas.normals4(*map(np.uint32, counter))
        assert found[1].reshape(6, 12)[channel, cell] == four[channel % 4]


@BOTH
@pytest.mark.parametrize("threads", [2, 3, 64])
def test_any_number_of_threads_draws_the_same(draw, threads: int) -> None:
    one = draw(1, 2, range(3), (7, 5, 9))
    np.testing.assert_array_equal(draw(1, 2, range(3), (7, 5, 9), threads), one)


@BOTH
def test_any_split_of_samples_draws_the_same(draw) -> None:
    whole = draw(1, 2, range(6), (3, 4, 5))
    parts = [draw(1, 2, part, (3, 4, 5)) for part in (range(1), range(1, 4), range(4, 6))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(draw(1, 2, [4, 0], (3, 4, 5)), whole[[4, 0]])


@BOTH
def test_seeds_operations_samples_and_channels_have_numbers_of_their_own(draw) -> None:
    drawn = [draw(seed, operation, [0, 1], (8, 64)) for seed, operation in ((0, 0), (1, 0), (0, 1))]
    numbers = np.concatenate(drawn).reshape(-1, 64)
    apart = np.corrcoef(numbers) - np.eye(len(numbers))
    assert np.abs(apart).max() < 6 / np.sqrt(64)
    assert len(np.unique(numbers[:, 0])) == len(numbers)


def test_uniform_numbers_are_uniform() -> None:
    drawn = uniforms(7, 0, range(16), (16, 64, 64)).ravel()
    assert drawn.min() > 0
    assert drawn.max() < 1
    assert stats.kstest(drawn.astype(float), "uniform").pvalue > 1e-3


def test_normal_numbers_are_normal_out_to_five_sigma() -> None:
    drawn = normals(7, 0, range(64), (16, 64, 128), threads=2).astype(np.float64).ravel()
    n = drawn.size
    assert stats.kstest(drawn[::8], "norm").pvalue > 1e-3
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((drawn**power).mean() - moment) < 4 * np.sqrt(spread / n)
    for sigma in (3.0, 4.0, 4.5, 5.0):
        expected = n * stats.norm.sf(sigma)
        for found in ((drawn > sigma).sum(), (drawn < -sigma).sum()):
            assert stats.poisson.sf(found - 1, expected) > 1e-4
            assert stats.poisson.cdf(found, expected) > 1e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 0, [0], (4,)), "seed: -1 is not in 0..2\\^32-1"),
        ((0, 2**32, [0], (4,)), "operation: 4294967296 is not"),
        ((0, 0, [-1], (4,)), "samples: they are not a list of whole numbers"),
        ((0, 0, [0.5], (4,)), "samples: they are not"),
        ((0, 0, [0], ()), "shape: \\(\\) has no cells"),
        ((0, 0, [0], (4, 0)), "shape: \\(4, 0\\) has no cells"),
        ((0, 0, [0], (2**17, 2**17)), "17179869184 cells do not fit"),
    ],
)
def test_what_a_counter_cannot_hold_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        normals(*arguments)
