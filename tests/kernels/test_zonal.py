import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from astrohpc.kernels.lanes import LANES
from astrohpc.kernels.zonal import zonal


def run(x: NDArray, p: NDArray) -> tuple[NDArray, NDArray]:
    samples, levels, rows, columns = x.shape
    sums, bad = np.full((6, samples, levels, rows), 9.0), np.full((samples, levels, rows), 9, "i4")
    shape = (levels, rows, columns)
    size = levels * rows * columns
    zonal(x.reshape(-1), size, p.reshape(-1), rows * columns, (0, samples), shape, 0, sums, bad)
    return sums, bad


def by_the_stated_order(row: NDArray) -> float:
    """Lane by lane, then the tree, in plain Python."""
    lanes = [0.0] * LANES
    for i, value in enumerate(row):
        lanes[i % LANES] += float(value)
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [lanes[k] + lanes[k + half] for k in range(half)]
    return lanes[0]


@pytest.mark.parametrize("columns", [1, 7, 15, 16, 17, 36, 64, 72, 100])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_sums_are_those_of_the_stated_order_to_the_bit(columns: int, kind: str) -> None:
    draw = np.random.default_rng(columns)
    x = draw.normal(3.0, 2.0, (2, 3, 4, columns)).astype(kind)
    p = draw.uniform(9e4, 1e5, (2, 4, columns)).astype("f4")
    sums, bad = run(x, p)
    d, dp = x.astype("f8"), x.astype("f8") * p.astype("f8")[:, None]
    for k, terms in enumerate((d, dp, d * d, d * dp)):
        wanted = np.apply_along_axis(by_the_stated_order, -1, terms)
        assert (sums[k] == wanted).all()
    assert (sums[4] == x.min(-1)).all()
    assert (sums[5] == x.max(-1)).all()
    assert (bad == -1).all()


def test_a_small_signal_on_a_large_offset_is_summed_to_rounding() -> None:
    """A float32 field of 1e5 with steps of its last bit: the exact sum is known to math.fsum."""
    row = np.float32(1e5) + np.arange(8640, dtype="f4") % 7 * np.float32(2.0**-7)
    sums, _ = run(row.reshape(1, 1, 1, -1), row.reshape(1, 1, -1))
    values = row.astype("f8").tolist()
    assert sums[0, 0, 0, 0] == math.fsum(values)
    assert sums[1, 0, 0, 0] == pytest.approx(math.fsum(v * v for v in values), rel=1e-14)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 5, 16, 19])
def test_the_first_value_that_is_not_finite_is_found_and_left_out(
    value: float, column: int
) -> None:
    x = np.arange(2 * 3 * 20.0, dtype="f4").reshape(1, 2, 3, 20)
    p = np.ones((1, 3, 20), "f4")
    whole, _ = run(x, p)
    broken = x.copy()
    broken[0, 1, 2, [column, 19]] = value
    sums, bad = run(broken, p)
    assert bad[0, 1, 2] == column
    assert (bad == -1).sum() == bad.size - 1
    left = np.delete(x[0, 1, 2], [column, 19])
    assert sums[:, 0, 1, 2] == pytest.approx(
        [left.sum(), left.sum(), (left**2).sum(), (left**2).sum(), left.min(), left.max()]
    )
    others = np.ones((1, 2, 3), bool)
    others[0, 1, 2] = False
    assert (sums[:, others] == whole[:, others]).all()


def test_a_row_of_nothing_has_no_extremes() -> None:
    sums, bad = run(np.full((1, 1, 1, 20), np.nan), np.ones((1, 1, 20)))
    assert (bad == 0).all()
    assert (sums[:4] == 0.0).all()
    assert np.isnan(sums[4:]).all()


def test_a_square_beyond_the_range_is_not_taken_for_a_bad_value() -> None:
    sums, bad = run(np.full((1, 1, 1, 20), 1e200), np.ones((1, 1, 20)))
    assert bad[0, 0, 0] == -1
    assert sums[0, 0, 0, 0] == pytest.approx(2e201)
    assert sums[2, 0, 0, 0] == np.inf


def test_bits_of_bfloat16_are_summed_as_the_float32_they_are() -> None:
    x = np.random.default_rng(1).normal(size=(2, 2, 3, 40)).astype("f4")
    bits = (x.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    wide = (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    p = np.ones((2, 3, 40), "f4")
    assert (run(bits, p)[0] == run(wide, p)[0]).all()


def test_parts_in_any_order_by_any_threads_give_the_same_bits() -> None:
    draw = np.random.default_rng(2)
    x, p = draw.normal(size=(8, 3, 5, 70)), draw.normal(size=(8, 5, 70))
    whole, _ = run(x, p)
    sums, bad = np.zeros((6, 8, 3, 5)), np.zeros((8, 3, 5), "i4")

    def one(s: int) -> None:
        flat = x.reshape(-1)
        zonal(flat, 3 * 350, p.reshape(-1), 350, (s, s + 1), (3, 5, 70), 0, sums, bad)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, [5, 1, 7, 0, 3, 2, 6, 4]))
    assert (sums == whole).all()
