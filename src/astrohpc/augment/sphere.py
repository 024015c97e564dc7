"""The sphere of a layout as kernels want it: rows with their neighbours across the poles, control points."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.kernels.warp import Controls, Globe
from astrohpc.physics.layout import Layout

Array = NDArray[np.float64]

LEAST_POINTS, MOST_POINTS = 8, 256
# Where the map's local stretching stays within 1 ± this, no two places have one source.
STRETCH = 0.5
# A row is a pole where it reaches it and is about half as high as the next: ModelE's have one value.
_HALF_BOX = 0.75
_REACH = 2.0  # of a control point, in distances between them
_PROBES = 4096


def globe_of(layout: Layout) -> Globe:
    """The grid of a layout for :mod:`astrohpc.kernels.warp`."""
    grid = layout.grid
    rows, columns = grid.shape
    if rows < 3 or columns < 4:
        raise ConfigError(
            f"grid: {rows} rows of {columns} columns; augmentation needs 3 rows and 4 columns."
        )
    lat = np.radians(grid.lat_deg)
    height = np.abs(np.diff(grid.lat_edge_deg))
    pole = np.zeros(rows, np.uint8)
    for end, inner in ((0, 1), (rows - 1, rows - 2)):
        if height[end] < _HALF_BOX * height[inner]:
            pole[end] = 1
    cos_lat, sin_lat = np.cos(lat), np.sin(lat)
    lat = np.where(pole, np.sign(lat) * 0.5 * np.pi, lat)
    cos_lat[pole == 1], sin_lat[pole == 1] = 0.0, np.sign(lat[pole == 1])
    order = np.arange(rows) if lat[-1] > lat[0] else np.arange(rows)[::-1]
    rising = lat[order]
    lon = np.radians(grid.lon_deg)
    westward = grid.lon_deg[-1] < grid.lon_deg[0]
    return Globe(
        np.concatenate([[-np.pi - rising[0]], rising, [np.pi - rising[-1]]]),
        np.concatenate([order[:1], order, order[-1:]]).astype(np.int64),
        cos_lat,
        sin_lat,
        np.cos(lon),
        np.sin(lon),
        (-columns if westward else columns) / (2.0 * np.pi),
        pole,
        np.ascontiguousarray(layout.share, np.float64),
        np.ascontiguousarray(grid.arm, np.float64),
    )


def fibonacci(count: int) -> Array:
    """Points spread evenly over the sphere, [count, 3]."""
    at = np.arange(count) + 0.5
    z = 1.0 - 2.0 * at / count
    turn = np.pi * (1.0 + np.sqrt(5.0)) * at
    level = np.sqrt(1.0 - z * z)
    return np.stack([level * np.cos(turn), level * np.sin(turn), z], axis=1)


@lru_cache(maxsize=16)
def controls_of(count: int) -> Controls:
    """Control points, and how far each is heard."""
    edge = float(np.cos(min(_REACH * np.sqrt(4.0 * np.pi / count), np.pi)))
    return Controls(fibonacci(count), edge, 1.0 / (1.0 - edge))


@lru_cache(maxsize=16)
def bend(count: int) -> float:
    """How fast a field of turns of at most 1 rad can change, in radians a radian.

    Turns are means of those of the control points, whose weights p add up to one; where all of them are
    at most 1 long, the change is at most the sum of the sizes of the gradients of p.
    """
    controls = controls_of(count)
    x = fibonacci(_PROBES)
    part = np.clip((x @ controls.at.T - controls.edge) * controls.scale, 0.0, None)
    weight, slope = part**4, 4.0 * controls.scale * part**3
    all_weights = weight.sum(axis=1, keepdims=True)
    gradient = slope[:, :, None] * controls.at[None]
    gradient -= (gradient @ x[:, :, None]) * x[:, None, :]  # along the sphere
    p = weight / all_weights
    of_all = gradient.sum(axis=1, keepdims=True)
    change = (gradient - p[:, :, None] * of_all) / all_weights[:, :, None]
    return float(np.linalg.norm(change, axis=2).sum(axis=1).max())


def largest_turn_deg(count: int) -> float:
    """The largest turn of control points that cannot fold the sphere, with a margin."""
    return float(np.degrees(STRETCH / bend(count)))
