import numpy as np
import pytest

from astrohpc.physics.bgrid import corner_grid, to_cells
from astrohpc.physics.latlon import source_grid

# ModelE's 4x5 degrees: half boxes at the poles.
LAT = np.linspace(-90.0, 90.0, 46)
CELLS = source_grid("file", LAT, np.arange(-177.5, 180.0, 5.0))


def test_corners_become_centres() -> None:
    """A wind that grows eastward and northward by one a cell is exact inside; poles use one row."""
    corners = np.add.outer(np.arange(6.0), np.arange(4.0))
    corners[0] = np.nan
    centres = to_cells(corners)
    # Corner (j, i) is the south-east one of cell (j, i): its centre lies half a row north and west.
    assert centres[1:5, 1:] == pytest.approx(corners[1:5, 1:])
    assert centres[0, 1:] == pytest.approx(corners[1, 1:] - 0.5)
    assert centres[5, 1:] == pytest.approx(corners[5, 1:] - 0.5)
    assert np.isnan(to_cells(np.full((3, 6, 4), np.nan))).all()


def test_cells_around_corners_cover_the_sphere_and_meet_the_model_s() -> None:
    corners = corner_grid(CELLS)
    assert corners.shape == (45, 72)
    assert corners.row_share.sum() == pytest.approx(1.0, abs=1e-14)
    assert corners.lat_deg == pytest.approx(np.arange(-88.0, 90.0, 4.0))
    assert corners.lon_deg[0] == -175.0  # east of the first cell's centre
    assert corners.lat_edge_deg[1:-1] == pytest.approx(CELLS.lat_deg[1:-1])


def test_a_wind_that_turns_with_the_planet_keeps_its_momentum_to_second_order() -> None:
    """Halving the rows' height makes the error four times smaller."""
    errors = []
    for rows in (23, 45):
        lat = np.linspace(-90.0, 90.0, rows + 1)
        cells = source_grid("file", lat, np.arange(0.0, 360.0, 5.0))
        corners = corner_grid(cells)
        wind = np.vstack([np.full((1, 72), np.nan), np.repeat(corners.arm[:, None], 72, axis=1)])
        there = (corners.share * corners.arm[:, None] * wind[1:]).sum()
        here = (cells.share * cells.arm[:, None] * to_cells(wind)).sum()
        assert there == pytest.approx(2 / 3, rel=1e-13)
        errors.append(abs(here - there))
    assert errors[1] < errors[0] / 3.0 < 0.01
