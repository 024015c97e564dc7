"""Winds on the corners of cells, as ModelE keeps them: what each corner weighs, and the way to centres.

Row ``j`` of corners is the southern edge of row ``j`` of cells, so that row 0 lies beyond the south
pole and holds nothing; column ``i`` is the eastern edge of column ``i``.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.physics.latlon import LatLon

Array = NDArray[np.float64]


def corner_grid(cells: LatLon) -> LatLon:
    """The cells around the corners, without the row that holds nothing.

    They reach from centre to centre of the model's own cells, and from the outermost rows of centres
    to the poles, so that they cover the sphere once. Rows of ``cells`` rise northward.
    """
    edge = cells.lat_deg.copy()
    edge[[0, -1]] = cells.lat_edge_deg[[0, -1]]
    lon = cells.lon_edge_deg[1:]
    lon_edge = np.append(cells.lon_deg, cells.lon_deg[0] + 360.0)
    return LatLon(cells.lat_edge_deg[1:-1].copy(), edge, lon.copy(), lon_edge)


def to_cells(corners: NDArray[Any]) -> Array:
    """Move values (..., lat, lon) from the corners of cells to their centres: means of the corners.

    Missing corners count for nothing. At a pole the mean is that of the one row of corners there is.
    A wind that turns with the planet keeps its angular momentum to second order in a row's height.
    """
    rows = corners[..., 1:, :]
    both = np.concatenate([rows[..., :1, :], rows, rows[..., -1:, :]], axis=-2)
    four = [
        side
        for rows in (both[..., :-1, :], both[..., 1:, :])
        for side in (rows, np.roll(rows, 1, -1))
    ]
    known = sum(np.isfinite(side).astype(np.float64) for side in four)
    total = sum(np.nan_to_num(side) for side in four)
    return np.asarray(np.where(known > 0, total / np.maximum(known, 1.0), np.nan))
