import numpy as np
import pytest

from astrohpc.evaluate.harmonics import degrees, power
from astrohpc.physics.latlon import LatLon

GRID = LatLon.gaussian(16, 32)
SINE, LON = np.sin(np.radians(GRID.lat_deg)), np.radians(GRID.lon_deg)


def test_sine_of_latitude_has_all_its_mean_square_of_a_third_in_degree_one():
    for grid in (GRID, LatLon.gaussian(16, 2)):
        columns = 1 if grid is not GRID else 32
        field = np.repeat(np.sin(np.radians(grid.lat_deg))[:, None], columns, axis=1)
        found = power(field, grid.lat_deg, grid.row_share)
        assert found[1] == pytest.approx(1 / 3, rel=1e-12)
        assert np.delete(found, 1) == pytest.approx(0.0, abs=1e-12)


def test_a_wave_along_the_equator_counts_both_its_signs():
    field = np.sqrt(1 - SINE**2)[:, None] ** 4 * np.cos(4 * LON)
    found = power(field, GRID.lat_deg, GRID.row_share)
    mean_square = (GRID.row_share[:, None] * field**2).sum() / 32
    assert found[4] == pytest.approx(mean_square, rel=1e-12)
    assert found.sum() == pytest.approx(mean_square, rel=1e-12)


def test_power_adds_up_to_the_mean_square_and_does_not_know_where_the_pole_of_longitudes_is():
    rng = np.random.default_rng(0)
    waves = [
        a * SINE[:, None] + b * np.sqrt(1 - SINE**2)[:, None] * np.cos(LON - c) + d
        for a, b, c, d in rng.normal(size=(5, 4))
    ]
    field = np.stack(waves)
    found = power(field, GRID.lat_deg, GRID.row_share)
    mean_square = (GRID.row_share[:, None] * field**2).sum((1, 2)) / 32
    assert found.sum(-1) == pytest.approx(mean_square, rel=1e-12)
    turned = power(np.roll(field, 5, axis=-1), GRID.lat_deg, GRID.row_share)
    assert turned == pytest.approx(found, rel=1e-9, abs=1e-15)


def test_grids_hold_the_degrees_of_their_truncation():
    assert degrees(32, 64) == 21
    assert degrees(64, 128) == 42
    assert degrees(46, 72) == 23
    assert degrees(60, 1) == 39
    assert degrees(3, 6) == 0
