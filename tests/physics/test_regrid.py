import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrohpc.errors import ConfigError
from astrohpc.physics.latlon import LatLon, source_grid, target_grid
from astrohpc.physics.regrid import bilinear, conservative

METHODS = pytest.mark.parametrize("method", [conservative, bilinear])
NAN = math.nan
MODELE = source_grid("file", np.linspace(-90.0, 90.0, 46), np.arange(-177.5, 180.0, 5.0))
T21 = target_grid("T21")


def draw(grid: LatLon, *lead: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(*lead, *grid.shape))


def brute_share(source: LatLon, target: LatLon) -> np.ndarray:
    """Area of each target cell in each source cell, cell by cell from the definition."""
    area = np.zeros((*target.shape, *source.shape))
    for j, i, k, n in np.ndindex(area.shape):
        south, north = sorted(target.lat_edge_deg[j : j + 2])
        below, above = sorted(source.lat_edge_deg[k : k + 2])
        rows = math.sin(math.radians(min(north, above))) - math.sin(math.radians(max(south, below)))
        west, east = sorted(target.lon_edge_deg[i : i + 2])
        left, right = sorted(source.lon_edge_deg[n : n + 2])
        columns = sum(
            max(0.0, min(east, right + 360.0 * turn) - max(west, left + 360.0 * turn))
            for turn in range(-4, 5)
        )
        area[j, i, k, n] = max(0.0, rows) * columns
    return area


def brute_conservative(
    values: np.ndarray, source: LatLon, target: LatLon, least: float
) -> np.ndarray:
    shared = brute_share(source, target)
    known = np.isfinite(values)
    weight = (shared * known).sum(axis=(2, 3))
    full = np.abs(
        np.outer(np.diff(np.sin(np.radians(target.lat_edge_deg))), np.diff(target.lon_edge_deg))
    )
    total = (shared * np.where(known, values, 0.0)).sum(axis=(2, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight >= least * full - 1e-9 * full, total / weight, NAN)


@st.composite
def grids(draw_: st.DrawFn, *, whole: bool = False) -> LatLon:
    """Grids of uneven cells in either order, from any meridian, not always of the whole sphere."""
    rows = draw_(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    columns = draw_(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    lat = np.concatenate([[0], np.cumsum(rows)]) / sum(rows)
    lon = np.concatenate([[0], np.cumsum(columns)]) / sum(columns)
    south, north = (-90.0, 90.0) if whole else draw_(st.sampled_from([(-90, 90), (-70, 35)]))
    span = 360.0 if whole else draw_(st.sampled_from([360.0, 360.0, 100.0]))
    start = draw_(st.integers(-400, 400))
    lat_edge, lon_edge = south + (north - south) * lat, start + span * lon
    lat_edge[-1], lon_edge[-1] = north, start + span
    up, along = draw_(st.sampled_from([1, -1])), draw_(st.sampled_from([1, -1]))
    return LatLon.from_edges(lat_edge[::up], lon_edge[::along])


@METHODS
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_a_constant_stays_constant(method: object, kind: str) -> None:
    values = np.full((2, *MODELE.shape), 287.3, dtype=kind)
    made = method(MODELE, T21).apply(values)
    assert made.dtype == kind
    assert made.shape == (2, 32, 64)
    assert np.abs(made / values[0, 0, 0] - 1.0).max() <= (0.0 if kind == "f4" else 5e-16)


def test_a_grid_onto_itself_changes_nothing() -> None:
    values = draw(MODELE)
    assert np.array_equal(bilinear(MODELE, MODELE).apply(values), values)
    assert np.array_equal(conservative(MODELE, MODELE).apply(values), values)


@pytest.mark.parametrize("source", [MODELE, T21, target_grid("latlon 18x7")])
@pytest.mark.parametrize("name", ["T21", "T42", "latlon 46x72", "latlon 5x4", "gaussian 7x9"])
def test_the_integral_of_field_and_area_is_conserved(source: LatLon, name: str) -> None:
    target = target_grid(name)
    values = 250.0 + draw(source, 3)
    made = conservative(source, target).apply(values)
    before = (values * source.share).sum(axis=(1, 2))
    assert (made * target.share).sum(axis=(1, 2)) == pytest.approx(before, rel=1e-12)


def test_a_field_linear_in_the_sine_of_latitude_has_its_closed_form() -> None:
    sine = np.sin(np.radians(MODELE.lat_edge_deg))
    values = np.repeat(0.5 * (sine[1:] + sine[:-1])[:, None], 72, axis=1)  # exact cell means
    target = LatLon.from_edges(MODELE.lat_edge_deg[::5], [0.0, 90.0, 360.0])
    bound = np.sin(np.radians(target.lat_edge_deg))
    exact = np.repeat(0.5 * (bound[1:] + bound[:-1])[:, None], 2, axis=1)
    assert conservative(MODELE, target).apply(values) == pytest.approx(exact, abs=1e-14)


def test_coarse_to_fine_to_coarse_is_the_identity() -> None:
    coarse, fine = target_grid("latlon 9x12"), target_grid("latlon 45x60")
    values = draw(coarse)
    there = conservative(coarse, fine).apply(values)
    assert conservative(fine, coarse).apply(there) == pytest.approx(values, abs=1e-13)


@settings(max_examples=60, deadline=None)
@given(grids(), grids(), st.integers(0, 10**6), st.sampled_from([0.05, 0.5, 1.0]))
def test_conservative_equals_the_definition(
    source: LatLon, target: LatLon, seed: int, least: float
) -> None:
    values = draw(source, seed=seed)
    values[np.random.default_rng(seed).random(values.shape) < 0.2] = NAN
    expected = brute_conservative(values, source, target, least)
    try:
        made = conservative(source, target, min_fraction=least).apply(values)
    except ConfigError:
        assert np.isnan(expected).all()
        return
    np.testing.assert_allclose(made, expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=60, deadline=None)
@given(grids(), grids(whole=True), st.integers(0, 10**6))
def test_what_the_source_covers_is_conserved(source: LatLon, target: LatLon, seed: int) -> None:
    values = 3.0 + draw(source, seed=seed)
    mask = np.random.default_rng(seed).random(values.shape) < 0.2
    mask[0, 0] = False
    try:
        remap = conservative(source, target, mask=mask, min_fraction=1e-6)
    except ConfigError:
        return
    known = np.where(remap.known_share > 1e-6, remap.known_share, 0.0)
    after = np.nansum(remap.apply(values) * target.share * known)
    before = (values * source.share)[~mask].sum()
    assert after == pytest.approx(before, rel=2e-6 if (remap.known_share < 1e-6).any() else 1e-12)


def test_the_order_of_rows_and_the_first_meridian_do_not_matter() -> None:
    values = draw(MODELE)
    lon = np.roll(MODELE.lon_deg, 31) % 360.0
    other = source_grid("file", MODELE.lat_deg[::-1], lon)
    for method in (conservative, bilinear):
        made = method(other, T21).apply(np.roll(values, 31, axis=1)[::-1])
        expected = method(MODELE, T21).apply(values)
        assert made == pytest.approx(expected, abs=1e-12)
        westward = source_grid("file", MODELE.lat_deg, MODELE.lon_deg[::-1])
        assert method(westward, T21).apply(values[:, ::-1]) == pytest.approx(expected, abs=1e-12)


def test_bilinear_is_exact_for_a_field_linear_in_the_angles() -> None:
    source = LatLon.from_edges(np.linspace(-40.0, 40.0, 21), np.linspace(10.0, 90.0, 17))
    target = LatLon.from_edges(np.linspace(-30.0, 30.0, 14), np.linspace(-340.0, -290.0, 12))
    values = source.lat_deg[:, None] + 0.3 * source.lon_deg
    exact = target.lat_deg[:, None] + 0.3 * (target.lon_deg + 360.0)
    assert bilinear(source, target).apply(values) == pytest.approx(exact, abs=1e-11)


def test_bilinear_equals_interpolation_point_by_point() -> None:
    values = draw(MODELE)
    lon = np.concatenate([MODELE.lon_deg - 360.0, MODELE.lon_deg, MODELE.lon_deg + 360.0])
    by_row = np.stack([np.interp(T21.lon_deg, lon, np.tile(row, 3)) for row in values])
    expected = np.stack([np.interp(T21.lat_deg, MODELE.lat_deg, column) for column in by_row.T]).T
    assert bilinear(MODELE, T21).apply(values) == pytest.approx(expected, abs=1e-12)


def test_bilinear_takes_the_mean_of_the_outermost_row_for_a_pole() -> None:
    source = target_grid("latlon 4x6")  # centres at 22.5 and 67.5
    target = LatLon.from_edges([-90.0, -67.5, 67.5, 90.0], [-30.0, 30.0, 90.0])
    values = draw(source)
    made = bilinear(source, target).apply(values)
    into = (78.75 - 67.5) / (90.0 - 67.5)
    for row, outer in ((0, 0), (2, 3)):
        here = 0.5 * (values[outer, [5, 0]] + values[outer, [0, 1]])  # at 0 and at 60 degrees
        assert made[row] == pytest.approx((1 - into) * here + into * values[outer].mean())
    turned = source_grid("file", source.lat_deg[::-1], source.lon_deg)
    assert bilinear(turned, target).apply(values[::-1]) == pytest.approx(made)


def test_bilinear_knows_nothing_beyond_the_edges_of_a_region() -> None:
    source = LatLon.from_edges([0.0, 10.0, 20.0], [0.0, 10.0, 20.0])
    target = LatLon.from_edges([-4.0, -2.0, 4.0, 16.0, 24.0], [-6.0, -2.0, 4.0, 16.0, 18.0, 60.0])
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    made = bilinear(source, target).apply(values)
    inside = np.zeros(made.shape, dtype=bool)
    inside[1:, 1:4] = True
    assert np.array_equal(np.isfinite(made), inside)
    assert made[1, 1] == 1.0  # the outer half of the first cell
    assert made[2, 2] == pytest.approx(2.5)
    assert made[3, 3] == 4.0


@METHODS
def test_gaps_are_left_out_and_the_rest_renormalised(method: object) -> None:
    values = np.full(MODELE.shape, 5.0)
    values[20:30, 10:30] = NAN
    made = method(MODELE, T21).apply(values)
    assert np.nanmax(np.abs(made - 5.0)) < 1e-14
    assert 20 < np.isnan(made).sum() < 200


@METHODS
def test_a_static_mask_moving_gaps_and_a_fill_are_the_same_gaps(method: object) -> None:
    values = draw(MODELE, 3).astype("f4")
    hole = np.random.default_rng(5).random(MODELE.shape) < 0.3
    with_nan = np.where(hole, np.float32(NAN), values)
    with_fill = np.where(hole, np.float32(1e20), values)
    expected = method(MODELE, T21, mask=hole).apply(values)
    assert np.isnan(expected).any()
    plain = method(MODELE, T21)
    assert np.array_equal(plain.apply(with_nan), expected, equal_nan=True)
    assert np.array_equal(method(MODELE, T21, mask=hole).apply(with_nan), expected, equal_nan=True)
    filled = plain.apply(with_fill, fill=1e20)
    assert filled.dtype == np.float32
    assert np.array_equal(filled == np.float32(1e20), np.isnan(expected))
    assert np.array_equal(filled, np.where(np.isnan(expected), np.float32(1e20), expected))


@METHODS
def test_fields_with_and_without_gaps_do_not_touch_each_other(method: object) -> None:
    values = draw(MODELE, 6)
    values[::2, 3:9, 5:20] = NAN
    remap = method(MODELE, T21)
    together = remap.apply(values)
    for one, alone in zip(values, together, strict=True):
        assert np.array_equal(remap.apply(one), alone, equal_nan=True)
    assert not np.isnan(together[1::2]).any()


def test_one_masked_cell_takes_its_weight_away_and_no_more() -> None:
    source, target = target_grid("latlon 4x4"), target_grid("latlon 2x2")
    mask = np.zeros((4, 4), dtype=bool)
    mask[0, 0] = True
    remap = conservative(source, target, mask=mask, min_fraction=0.9)
    outer, inner = source.share[0, 0], source.share[1, 0]
    left = (outer + 2 * inner) / (2 * outer + 2 * inner)
    assert remap.known_share == pytest.approx(np.array([[left, 1.0], [1.0, 1.0]]))
    values = draw(source)
    assert np.isnan(remap.apply(values)).tolist() == [[True, False], [False, False]]
    loose = conservative(source, target, mask=mask, min_fraction=0.5).apply(values)
    share = source.share[:2, :2] * ~mask[:2, :2]
    assert loose[0, 0] == pytest.approx((values[:2, :2] * share).sum() / share.sum())


@pytest.mark.parametrize(("least", "is_known"), [(0.25, True), (0.5, True), (0.51, False)])
def test_a_cell_is_missing_below_the_declared_fraction(least: float, is_known: bool) -> None:
    source = LatLon.from_edges([-90.0, 90.0], [0.0, 90.0, 180.0, 270.0, 360.0])
    target = LatLon.from_edges([-90.0, 90.0], [0.0, 180.0, 360.0])
    made = conservative(source, target, min_fraction=least).apply(np.array([[NAN, 1.0, 2.0, 2.0]]))
    assert np.isfinite(made[0, 0]) == is_known
    assert made[0, 1] == 2.0


def test_an_infinite_value_stays_where_it_is_used() -> None:
    values = draw(MODELE)
    values[23, 36] = np.inf
    made = conservative(MODELE, T21).apply(values)
    assert 1 <= np.isinf(made).sum() <= 6
    assert not np.isnan(made).any()


def test_big_endian_integers_and_strided_values_are_taken() -> None:
    values = np.round(100 * draw(MODELE, 4))
    remap = conservative(MODELE, T21)
    expected = remap.apply(values)
    assert np.array_equal(remap.apply(values.astype(">f8")), expected)
    assert np.array_equal(remap.apply(values.astype("i4")), expected)
    assert remap.apply(values.astype(">f4")).dtype == np.dtype("f4")
    assert np.array_equal(remap.apply(np.repeat(values, 2, axis=0)[::2]), expected)
    assert remap.apply(values[:0]).shape == (0, 32, 64)


def test_threads_may_share_the_weights() -> None:
    remap, values = bilinear(MODELE, T21), draw(MODELE, 64)
    expected = remap.apply(values)
    with ThreadPoolExecutor(4) as pool:
        for made in pool.map(remap.apply, [values] * 8):
            assert np.array_equal(made, expected)


@METHODS
def test_what_cannot_be_done_is_refused(method: object) -> None:
    far = LatLon.from_edges([60.0, 70.0], [0.0, 10.0])
    region = LatLon.from_edges([-20.0, 0.0, 20.0], [50.0, 60.0, 70.0])
    with pytest.raises(ConfigError, match=r"^regrid: no target cell"):
        method(region, far)
    with pytest.raises(ConfigError, match=r"^min_fraction: "):
        method(MODELE, T21, min_fraction=0.0)
    with pytest.raises(ConfigError, match=r"^mask: "):
        method(MODELE, T21, mask=np.zeros((3, 3), dtype=bool))
    with pytest.raises(ConfigError, match=r"^regrid: no target cell"):
        method(MODELE, T21, mask=np.ones(MODELE.shape, dtype=bool))
    with pytest.raises(ConfigError, match=r"^regrid: values of shape"):
        method(MODELE, T21).apply(np.zeros((4, 72, 46)))
    with pytest.raises(ConfigError, match=r"^fill .* beyond float32"):
        method(MODELE, T21).apply(np.zeros(MODELE.shape, dtype="f4"), fill=1e300)
