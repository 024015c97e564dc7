"""Known integrals over the sphere on each kind of grid."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import sph_harm_y

from astrohpc.physics.integrals import Integrals
from astrohpc.physics.latlon import LatLon, source_grid, target_grid
from astrohpc.physics.layout import Layout
from astrohpc.physics.sums import zonal_sums

GAUSSIAN = target_grid("T21")
MODELE = source_grid("file", np.linspace(-90.0, 90.0, 46), np.arange(-177.5, 180.0, 5.0))
REGULAR = target_grid("latlon 36x72")
SOUTHWARD = source_grid("file", GAUSSIAN.lat_deg[::-1].astype("f4"), GAUSSIAN.lon_deg)
GRIDS = {"gaussian": GAUSSIAN, "half polar boxes": MODELE, "regular": REGULAR, "south": SOUTHWARD}


def area_mean(field: NDArray, grid: LatLon) -> float:
    fields = {"x": np.ascontiguousarray(np.broadcast_to(field, grid.shape))[None]}
    layout = Layout.of_fields(fields, grid)
    return float(Integrals(zonal_sums(fields, layout, threads=1), layout).area_mean("x")[0])


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_a_uniform_field_is_its_own_mean(grid: LatLon) -> None:
    assert area_mean(np.full((1, 1), 288.15), grid) == pytest.approx(288.15, rel=1e-14)


@pytest.mark.parametrize("grid", [GAUSSIAN, SOUTHWARD], ids=["north", "south"])
@pytest.mark.parametrize("power", range(0, 40))
def test_polynomials_in_the_sine_are_integrated_exactly_by_gauss(grid: LatLon, power: int) -> None:
    """Up to degree 63 with 32 rows: 1/(n + 1) for even n, 0 for odd ones."""
    node = np.polynomial.legendre.leggauss(32)[0]
    node = node if grid is GAUSSIAN else node[::-1]
    wanted = 1.0 / (power + 1) if power % 2 == 0 else 0.0
    assert area_mean(node[:, None] ** power, grid) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("degree", "order"), [(1, 0), (1, 1), (2, 0), (5, 3), (21, 21), (20, 4)])
def test_spherical_harmonics_have_no_mean(degree: int, order: int) -> None:
    colatitude, longitude = np.radians(90.0 - GAUSSIAN.lat_deg), np.radians(GAUSSIAN.lon_deg)
    values = sph_harm_y(degree, order, colatitude[:, None], longitude).real
    assert area_mean(values, GAUSSIAN) == pytest.approx(0.0, abs=1e-12)
    square = area_mean(values**2, GAUSSIAN) * 4.0 * np.pi
    assert square == pytest.approx(1.0 if order == 0 else 0.5, abs=1e-12)


def cell_means_of_squares(grid: LatLon) -> tuple[NDArray, NDArray]:
    """Means over each cell of z² and of x², x towards the zero meridian and z towards the pole."""
    s, n = np.sin(np.radians(grid.lat_edge_deg[:-1])), np.sin(np.radians(grid.lat_edge_deg[1:]))
    z2 = (s * s + s * n + n * n) / 3.0
    w, e = np.radians(grid.lon_edge_deg[:-1]), np.radians(grid.lon_edge_deg[1:])
    cosine2 = 0.5 + (np.sin(2 * e) - np.sin(2 * w)) / (4.0 * (e - w))
    return z2[:, None] * np.ones(grid.shape[1]), np.outer(1.0 - z2, cosine2)


@pytest.mark.parametrize("grid", [MODELE, REGULAR], ids=["half polar boxes", "regular"])
def test_means_of_cells_add_up_to_a_third_of_the_square_of_the_radius(grid: LatLon) -> None:
    for values in cell_means_of_squares(grid):
        assert area_mean(values, grid) == pytest.approx(1 / 3, rel=1e-12)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_a_shell_has_two_thirds_of_its_mass_as_moment_of_inertia(grid: LatLon) -> None:
    assert area_mean(grid.arm[:, None] ** 2, grid) == pytest.approx(2 / 3, rel=1e-13)


def test_arms_on_gaussian_rows_are_cosines() -> None:
    assert pytest.approx(np.cos(np.radians(GAUSSIAN.lat_deg)), rel=1e-12) == GAUSSIAN.arm


def test_a_cosine_of_latitude_is_not_the_weight_of_a_gaussian_row() -> None:
    """What a common shortcut would get wrong, and by how much: the mean of the sine's square."""
    cosine = np.cos(np.radians(GAUSSIAN.lat_deg))
    square = np.sin(np.radians(GAUSSIAN.lat_deg)) ** 2
    shortcut = (cosine * square).sum() / cosine.sum()
    assert abs(shortcut - 1 / 3) > 1e-4
    assert area_mean(square[:, None], GAUSSIAN) == pytest.approx(1 / 3, abs=1e-13)


def test_only_gaussian_rows_are_taken_for_such() -> None:
    assert GAUSSIAN.is_gaussian
    assert SOUTHWARD.is_gaussian
    assert not MODELE.is_gaussian
    assert not REGULAR.is_gaussian


def test_bounds_in_the_middle_of_gaussian_rows_do_not_spoil_their_weights() -> None:
    lat = GAUSSIAN.lat_deg
    middle = np.concatenate([[-90.0], 0.5 * (lat[1:] + lat[:-1]), [90.0]])
    grid = source_grid("file", lat, GAUSSIAN.lon_deg, np.column_stack([middle[:-1], middle[1:]]))
    assert grid.row_share == pytest.approx(np.polynomial.legendre.leggauss(32)[1] / 2, rel=1e-12)
