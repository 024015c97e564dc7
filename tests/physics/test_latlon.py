import numpy as np
import pytest

from astrohpc.errors import ConfigError
from astrohpc.physics.grid import Bands
from astrohpc.physics.latlon import LatLon, source_grid, target_grid

LON = np.arange(0.0, 360.0, 5.0)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("T21", (32, 64)),
        ("T31", (48, 96)),
        ("T42", (64, 128)),
        ("T63", (96, 192)),
        ("T85", (128, 256)),
        ("T106", (160, 320)),
        ("T170", (256, 512)),
        ("gaussian 32x64", (32, 64)),
        ("latlon 46x72", (46, 72)),
    ],
)
def test_a_named_grid_has_its_shape_and_covers_the_sphere(
    name: str, shape: tuple[int, int]
) -> None:
    grid = target_grid(name)
    assert grid.shape == grid.share.shape == shape
    assert grid.share.sum() == pytest.approx(1.0, abs=1e-14)
    assert grid.is_round
    assert grid.lat_deg[0] < 0 < grid.lat_deg[-1]


@pytest.mark.parametrize("name", ["T0x", "latlon 46", "latlon 46x", "healpix 8", "t21", ""])
def test_an_unknown_name_is_refused_with_examples(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^regrid: .*write 'latlon"):
        target_grid(name)


@pytest.mark.parametrize("name", ["T5000", "latlon 1x72", "latlon 9999x10"])
def test_a_grid_beyond_reason_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^regrid: .*rows"):
        target_grid(name)


def test_equal_angles_have_the_areas_of_bands() -> None:
    assert LatLon.uniform(46, 72).share.sum(axis=1) == pytest.approx(
        Bands.uniform(46).weight, rel=1e-13
    )


def test_a_gaussian_row_covers_its_quadrature_weight() -> None:
    node, weight = np.polynomial.legendre.leggauss(64)
    grid = target_grid("T42")
    assert grid.lat_deg == pytest.approx(np.degrees(np.arcsin(node)), abs=1e-10)
    assert grid.share.sum(axis=1) == pytest.approx(weight / 2, rel=1e-11)


@pytest.mark.parametrize("polar_deg", [90.0, 89.0])
@pytest.mark.parametrize("order", [1, -1])
def test_polar_rows_are_half_cells_wherever_their_centre_is_said_to_be(
    polar_deg: float, order: int
) -> None:
    lat = np.linspace(-90.0, 90.0, 46)
    lat[0], lat[-1] = -polar_deg, polar_deg
    grid = source_grid("file", lat[::order], LON)
    edge = np.concatenate([[-90.0], np.arange(-88.0, 90.0, 4.0), [90.0]])
    assert grid.lat_edge_deg[::order] == pytest.approx(edge, abs=1e-12)


def test_centres_of_single_precision_give_the_grid_of_the_name() -> None:
    for name in ("T21", "latlon 45x90", "latlon 18x7"):
        meant = target_grid(name)
        found = source_grid("file", meant.lat_deg.astype("f4"), meant.lon_deg.astype("f4"))
        assert found.is_round
        assert found.lat_edge_deg == pytest.approx(meant.lat_edge_deg, abs=1e-4)
        assert found.share.sum() == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize(
    "lon",
    [
        LON,
        LON - 180.0,
        LON[::-1],
        np.where(LON >= 180.0, LON - 360.0, LON),  # steps back in the middle
        LON + 2.5,
    ],
)
def test_columns_close_the_circle_from_wherever_they_begin(lon: np.ndarray) -> None:
    grid = source_grid("file", np.linspace(-88.0, 88.0, 45), lon)
    assert grid.is_round
    assert grid.share.sum() == pytest.approx(1.0, abs=1e-14)
    assert (grid.lon_deg - lon) % 360.0 == pytest.approx(0.0)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("order", [1, -1])
def test_bounds_are_read_in_either_order_and_across_the_seam(swap: bool, order: int) -> None:
    meant = target_grid("T21")
    lat_bounds = np.stack([meant.lat_edge_deg[:-1], meant.lat_edge_deg[1:]], axis=1)
    lon_bounds = np.stack([meant.lon_edge_deg[:-1], meant.lon_edge_deg[1:]], axis=1) % 360.0
    assert lon_bounds[0, 0] > lon_bounds[0, 1]  # 357.2 to 2.8
    if swap:
        lat_bounds = lat_bounds[:, ::-1]
    found = source_grid(
        "file",
        meant.lat_deg[::order],
        meant.lon_deg,
        lat_bounds[::order].astype("f4"),
        lon_bounds.astype("f4"),
    )
    assert found.lat_edge_deg[::order] == pytest.approx(meant.lat_edge_deg, abs=1e-4)
    assert found.lon_edge_deg == pytest.approx(meant.lon_edge_deg, abs=1e-4)
    assert found.is_round
    assert found.share.sum() == pytest.approx(1.0, abs=1e-14)


def test_one_column_and_one_row_are_a_grid_if_they_have_bounds() -> None:
    grid = source_grid("file", [0.0], [180.0], [[-90.0, 90.0]], [[0.0, 360.0]])
    assert grid.share == pytest.approx(np.ones((1, 1)))


@pytest.mark.parametrize(
    ("lat", "lon", "bounds", "word"),
    [
        (np.zeros((3, 4)), np.zeros((3, 4)), None, "curvilinear"),
        ([10.0, 30.0, 20.0], [0.0, 5.0, 3.0], None, "unstructured"),
        ([10.0, 20.0], [0.0, 40.0, 20.0], None, "unstructured"),
        ([10.0, np.nan], LON, None, "gaps"),
        ([-100.0, 100.0], LON, None, "-90..90"),
        ([10.0], LON, None, "bounds"),
        ([10.0, 20.0], [0.0], None, "bounds"),
        ([10.0, 20.0], np.append(LON, 360.0), None, "drop the last column"),
        ([10.0, 20.0], LON, [[5.0, 15.0], [16.0, 25.0]], "gaps"),
        ([10.0, 20.0], LON, [[5.0, 15.0], [14.0, 25.0]], "overlap"),
        ([10.0, 20.0], LON, [[11.0, 15.0], [15.0, 25.0]], "miss their centres"),
        ([10.0, 20.0], LON, [5.0, 15.0], "pairs"),
    ],
)
def test_what_is_no_grid_of_rows_and_columns_is_refused_by_name(
    lat: object, lon: object, bounds: object, word: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^member\.nc: .*{word}"):
        source_grid("member.nc", lat, lon, bounds)


@pytest.mark.parametrize(
    ("lat", "lon", "word"),
    [
        ([0.0, 10.0, 5.0], [0.0, 10.0], "lat_edge_deg"),
        ([0.0, 95.0], [0.0, 10.0], "-90..90"),
        ([0.0, 10.0], [0.0], "lon_edge_deg"),
        ([0.0, 10.0], [0.0, 400.0], "full circle"),
    ],
)
def test_explicit_edges_are_checked(lat: list[float], lon: list[float], word: str) -> None:
    with pytest.raises(ConfigError, match=rf"^grid: .*{word}"):
        LatLon.from_edges(lat, lon)
