"""Row sums in lanes, and the corrections that restore a total."""

import math

import numpy as np
import pytest

from astrohpc.augment.sphere import globe_of
from astrohpc.kernels import totals
from astrohpc.kernels.totals import add_rows, restore
from astrohpc.physics.latlon import LatLon
from astrohpc.physics.layout import Block, Layout

GRID = LatLon.gaussian(8, 40)
GLOBE = globe_of(Layout((Block("x", 0),), GRID))


@pytest.mark.parametrize("columns", [3, 16, 32, 37, 72])
def test_row_sums_are_exact_to_double_precision(columns: int) -> None:
    random = np.random.default_rng(columns)
    x = random.normal(size=4 * columns).astype(np.float32)
    ps = (1e5 + 1e3 * random.normal(size=4 * columns)).astype(np.float32)
    rows = np.zeros(4)
    add_rows(x, ps, 120.0, 0.1, np.empty(32), rows)
    for j in range(4):
        row = slice(j * columns, (j + 1) * columns)
        terms = [float(a) * (120.0 + 0.1 * float(p)) for a, p in zip(x[row], ps[row], strict=True)]
        assert rows[j] == pytest.approx(math.fsum(terms), rel=1e-14, abs=1e-8)


def mended(rule: int, values: np.ndarray, target: np.ndarray, more: float = 0.0) -> np.ndarray:
    mass = np.full(8, 40.0)
    shift = np.empty(8, np.float32)
    gain = restore(rule, target, values.sum(axis=1), mass, GLOBE, more, shift)
    return values + (gain * values + shift[:, None].astype(np.float64))


VALUES = np.random.default_rng(4).random((8, 40)) * 0.5 + 0.2
WANTED = VALUES.sum(axis=1) * np.linspace(0.9, 1.15, 8)


@pytest.mark.parametrize("rule", [totals.MEAN, totals.FACTOR, totals.SHARE])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5])
def test_a_total_is_restored(rule: int, scale: float) -> None:
    out = mended(rule, VALUES, WANTED * scale)
    assert out.sum(axis=1) @ GLOBE.share == pytest.approx(scale * WANTED @ GLOBE.share, rel=1e-6)
    if rule == totals.SHARE:
        assert out.min() >= 0.0
        assert out.max() <= 1.0
    if rule == totals.FACTOR:
        assert np.ptp(out / VALUES) < 1e-12


def test_angular_momentum_is_restored_by_a_solid_turn() -> None:
    out = mended(totals.SPIN, VALUES, WANTED, more=0.25)
    lever = GLOBE.share * GLOBE.arm
    assert out.sum(axis=1) @ lever == pytest.approx(WANTED @ lever + 0.25, rel=1e-6)
    turn = (out - VALUES) / GLOBE.cos_lat[:, None]
    assert np.ptp(turn) < 1e-6 * abs(turn.mean()) + 1e-7


def test_rows_are_restored_one_by_one() -> None:
    np.testing.assert_allclose(mended(totals.ROWS, VALUES, WANTED).sum(axis=1), WANTED, rtol=1e-6)
    np.testing.assert_allclose(mended(totals.ROWS_ZERO, VALUES, WANTED).sum(axis=1), 0.0, atol=1e-5)


def test_where_nothing_is_left_to_multiply_it_comes_back_everywhere() -> None:
    out = mended(totals.FACTOR, 0.0 * VALUES, WANTED)
    assert out.sum(axis=1) @ GLOBE.share == pytest.approx(WANTED @ GLOBE.share, rel=1e-6)
    assert np.ptp(out) == 0.0
