"""Where warped cells come from: turns of the whole sphere in closed form, on every kind of grid."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from astrohpc.augment.sphere import controls_of, globe_of, largest_turn_deg
from astrohpc.kernels import formulas_warp
from astrohpc.kernels.formulas_warp import angle, place, turned
from astrohpc.kernels.statement import printed, twin
from astrohpc.kernels.warp import Controls, Globe, Taps, gather, gather_wind, pad, trace
from astrohpc.physics.latlon import LatLon, source_grid
from astrohpc.physics.layout import Block, Layout

Array = NDArray[np.float64]


@twin
def warped_fields(globe: Globe, controls: Controls, half: Array, fields, taps: Taps):
    """Fields [3, J * I] (a scalar, two parts of a wind) gathered from their sources."""
    rows, columns = len(globe.cos_lat), len(globe.cos_lon)
    trace(globe, controls, half, taps)
    padded = np.empty((3, rows * (columns + 1)), np.float32)
    for k in range(3):
        pad(fields[k], rows, columns, padded[k])
    out = np.empty_like(fields)
    gather(padded[0], taps, out[0])
    gather_wind(padded[1], padded[2], taps, out[1], out[2])
    return out


def grid_named(kind: str, rows: int = 16, columns: int = 32) -> LatLon:
    lon = 360.0 / columns * np.arange(columns) + 3.0
    lat = -90.0 + 180.0 / rows * (np.arange(rows) + 0.5)
    return {
        "gaussian": lambda: LatLon.gaussian(rows, columns),
        "modele": lambda: source_grid("test", np.linspace(-90.0, 90.0, rows + 1), lon - 180.0),
        "southward": lambda: source_grid("test", lat[::-1], lon),
        "westward": lambda: source_grid("test", lat, lon[::-1]),
        "odd": lambda: LatLon.uniform(rows, columns - 1),
    }[kind]()


def warp(grid: LatLon, half: Array, fields: list[Array]) -> tuple[NDArray[np.float32], Taps]:
    globe = globe_of(Layout((Block("x", 0),), grid))
    cells = grid.shape[0] * grid.shape[1]
    taps = Taps(
        *(np.empty(cells, np.uint32) for _ in range(2)),
        *(np.empty(cells, np.float32) for _ in range(6)),
    )
    flat = np.stack([field.ravel() for field in fields]).astype(np.float32)
    out = warped_fields(globe, controls_of(len(half)), half, flat, taps)
    return out.reshape(3, *grid.shape), taps


def everywhere(axis: tuple[float, float, float], turn_rad: float, points: int = 16) -> Array:
    """The same turn at all control points."""
    unit = np.array(axis) / np.linalg.norm(axis)
    return np.tile(math.tan(0.5 * turn_rad) * unit, (points, 1))


def unit_vectors(grid: LatLon) -> tuple[Array, Array, Array]:
    """Place, east and north of each cell, [J, I, 3]."""
    lat, lon = np.meshgrid(np.radians(grid.lat_deg), np.radians(grid.lon_deg), indexing="ij")
    x = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)
    east = np.stack([-np.sin(lon), np.cos(lon), 0 * lon], -1)
    return x, east, np.cross(x, east)


def matrix(axis: tuple[float, float, float], turn_rad: float) -> Array:
    """Rodrigues' formula with sine and cosine."""
    n = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -n[2], n[1]], [n[2], 0, -n[0]], [-n[1], n[0], 0]])
    return np.eye(3) + math.sin(turn_rad) * cross + (1 - math.cos(turn_rad)) * cross @ cross


def smooth(x: Array) -> Array:
    return x[..., 0] * x[..., 1] + 0.5 * x[..., 2] ** 2 + 0.3 * x[..., 0]


def test_every_formula_of_the_warp_has_a_twin_in_cuda() -> None:
    statements = [value for value in vars(formulas_warp).values() if hasattr(value, "statement")]
    text = printed(*statements)
    assert len(statements) >= 14
    assert text.count("__device__") >= len(statements)


def test_angles_are_those_of_the_library_to_1e10() -> None:
    for y, x in np.random.default_rng(0).normal(size=(2000, 2)):
        assert abs(angle(y, x) - math.atan2(y, x)) < 1e-10
    assert (angle(0.0, 1.0), angle(0.0, 0.0)) == (0.0, 0.0)
    assert angle(0.0, -1.0) == math.pi


def test_a_turn_keeps_lengths_and_turns_by_twice_the_half_angle() -> None:
    found = turned(0.0, 0.0, math.tan(0.35), 1.0, 0.0, 0.0)
    np.testing.assert_allclose(found, (math.cos(0.7), math.sin(0.7), 0.0), atol=1e-15)


def test_places_are_whole_where_they_are_nearly_so() -> None:
    assert place(7.0 + 1e-9) == 7.0
    assert place(7.0 - 1e-9) == 7.0
    assert place(0.5) == 0.5


@pytest.mark.parametrize("kind", ["gaussian", "modele", "southward", "westward", "odd"])
@pytest.mark.parametrize("shift", [0, 1, 5, 13, -4])
def test_a_turn_about_the_axis_by_whole_columns_is_exact(kind: str, shift: int) -> None:
    grid = grid_named(kind)
    fields = list(np.random.default_rng(1).normal(size=(3, *grid.shape)).astype(np.float32))
    half = everywhere((0, 0, 1), shift * 2.0 * math.pi / grid.shape[1])
    out, _ = warp(grid, half, fields)
    by = shift if kind == "westward" else -shift
    for found, field in zip(out, fields, strict=True):
        inner = (
            slice(1, -1) if kind == "modele" else slice(None)
        )  # at a pole all columns are one place
        assert np.array_equal(found[inner], np.roll(field, by, axis=1)[inner])


@pytest.mark.parametrize("kind", ["gaussian", "modele", "southward", "odd"])
@pytest.mark.parametrize(
    ("axis", "turn_deg"), [((1, 0, 0), 90.0), ((0.3, -1, 0.2), 40.0), ((0, 1, 0.5), -150.0)]
)
def test_scalars_and_solid_winds_turn_with_the_sphere_to_second_order(kind, axis, turn_deg) -> None:
    errors = []
    for rows in (16, 32):
        grid = grid_named(kind, rows, 2 * rows)
        x, east, north = unit_vectors(grid)
        wind = np.cross(np.array([0.2, -0.5, 1.0]), x)
        fields = [smooth(x), (wind * east).sum(-1), (wind * north).sum(-1)]
        out, _ = warp(grid, everywhere(axis, math.radians(turn_deg)), fields)
        turn = matrix(axis, math.radians(turn_deg))
        source = x @ turn.T
        carried = np.cross(np.array([0.2, -0.5, 1.0]), source) @ turn
        expected = [smooth(source), (carried * east).sum(-1), (carried * north).sum(-1)]
        errors.append([np.abs(a - b).max() for a, b in zip(out, expected, strict=True)])
    coarse, fine = np.array(errors)
    assert (fine < 0.02).all()
    assert (fine < 0.4 * coarse).all()


def test_a_constant_stays_to_rounding_in_any_warp() -> None:
    grid = grid_named("gaussian")
    half = (
        0.5
        * np.radians(7.0)
        * (2.0 * np.random.default_rng(3).random((32, 3)) - 1.0)
        / math.sqrt(3)
    )
    out, _ = warp(grid, half, [np.full(grid.shape, 271.3)] * 3)
    np.testing.assert_allclose(out[0], np.float32(271.3), rtol=3e-7)


@pytest.mark.parametrize("points", [8, 32, 128])
def test_the_largest_turns_do_not_fold_the_sphere(points: int) -> None:
    grid = LatLon.uniform(90, 180)
    x, _, _ = unit_vectors(grid)
    random = np.random.default_rng(points)
    for _ in range(3):
        direction = random.normal(size=(points, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        half = 0.5 * np.radians(largest_turn_deg(points)) * direction
        controls = controls_of(points)
        part = np.clip((x @ controls.at.T - controls.edge) * controls.scale, 0.0, None) ** 4
        turn = 2.0 * np.einsum("jik,kc->jic", part / part.sum(-1, keepdims=True), half)
        source = np.empty_like(x)
        for j, i in np.ndindex(*grid.shape):
            source[j, i] = turned(*(0.5 * turn[j, i]), *x[j, i])
        # Areas of the triangles that neighbours make keep their sign.
        east, north = np.roll(source, -1, 1)[:-1] - source[:-1], source[1:] - source[:-1]
        assert (np.cross(east, north) * source[:-1]).sum(-1).min() > 0.0
        distance = np.linalg.norm(source[1:] - source[:-1], axis=-1)
        apart = np.linalg.norm(x[1:] - x[:-1], axis=-1)
        assert (distance / apart).min() > 0.49
        assert (distance / apart).max() < 1.51
