"""Where each cell of a warped sphere comes from, and the gathering of values from there.

A warp is a smooth field of turns: the source of a place x is x turned by a vector that control points
around x agree on. So longitude has no seam, the poles are places like others, and a wind is carried from
its source to x by the turn itself.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astrohpc.kernels.formulas_warp import (
    angle,
    between,
    carried,
    control_weight,
    fabs_of,
    onward,
    place,
    turned,
)
from astrohpc.kernels.statement import f32

Array = NDArray[np.float64]
Singles = NDArray[Any]  # of float32: to a type checker its numbers are no floats


class Globe(NamedTuple):
    """A grid of J rows and I columns of equal width that close the circle; rows as arrays hold them.

    ``lat`` [J + 2] are the rows' latitudes in radians, rising, with one more beyond each pole: the
    nearest row seen across it. ``row`` [J + 2] says which row of the arrays each is. ``pole`` [J] is 1
    where a row lies on a pole and has one value (cosine 0, sine 1 or -1). ``per_rad`` is the number of
    columns a radian, negative where they run westward. ``share`` [J] is the part of the sphere of one
    cell: its sum over all cells is 1.
    """

    lat: Array
    row: NDArray[np.int64]
    cos_lat: Array
    sin_lat: Array
    cos_lon: Array
    sin_lon: Array
    per_rad: float
    pole: NDArray[np.uint8]
    share: Array
    arm: Array


class Controls(NamedTuple):
    """Control points: unit vectors [K, 3], the cosine at which their reach ends, 1 / (1 - edge)."""

    at: Array
    edge: float
    scale: float


class Taps(NamedTuple):
    """For each cell of [J * I]: its four sources in an array of J rows of I + 1 (the first once more).

    The western neighbour in the southern row is ``south``, in the northern one ``north``; the eastern
    ones follow them. ``fx`` and ``fy`` go eastward in the two rows. ``first`` and ``second`` weigh the
    rows; one is negative where the row is seen across a pole, where winds change sign. ``cosine`` and
    ``sine`` turn a wind.
    """

    south: NDArray[np.uint32]
    north: NDArray[np.uint32]
    fx: Singles
    fy: Singles
    first: Singles
    second: Singles
    cosine: Singles
    sine: Singles


@njit(nogil=True, error_model="numpy")
def trace(globe: Globe, controls: Controls, half: Array, taps: Taps) -> None:
    """Fill ``taps`` for the turns ``half`` [K, 3]: axis times the tangent of half the angle.

    A cell is seen with its own meridian as the zero one, so that where nothing turns nothing is rounded.
    """
    rows, columns = len(globe.cos_lat), len(globe.cos_lon)
    total, gx, gy, gz = np.empty(columns), np.empty(columns), np.empty(columns), np.empty(columns)
    at = 1
    for j in range(rows):
        up, out = globe.sin_lat[j], globe.cos_lat[j]
        for i in range(columns):
            total[i], gx[i], gy[i], gz[i] = 0.0, 0.0, 0.0, 0.0
        for k in range(len(half)):
            cx, cy, cz = out * controls.at[k, 0], out * controls.at[k, 1], up * controls.at[k, 2]
            hx, hy, hz = half[k, 0], half[k, 1], half[k, 2]
            for i in range(columns):
                dot = globe.cos_lon[i] * cx + globe.sin_lon[i] * cy + cz
                weight = control_weight(dot, controls.edge, controls.scale)
                total[i] += weight
                gx[i] += weight * hx
                gy[i] += weight * hy
                gz[i] += weight * hz
        for i in range(columns):
            n = j * columns + i
            ax, ay, az = gx[i] / total[i], gy[i] / total[i], gz[i] / total[i]
            radial = globe.cos_lon[i] * ax + globe.sin_lon[i] * ay
            east = globe.cos_lon[i] * ay - globe.sin_lon[i] * ax
            sx, sy, sz = turned(radial, east, az, out, 0.0, up)
            ex, ey, ez = turned(radial, east, az, 0.0, 1.0, 0.0)
            taps.cosine[n], taps.sine[n] = carried(sx, sy, sz, ex, ey, ez)
            if globe.pole[j] and i > 0:  # one place, one value
                m = j * columns
                taps.south[n], taps.north[n] = taps.south[m], taps.north[m]
                taps.fx[n], taps.fy[n] = taps.fx[m], taps.fy[m]
                taps.first[n], taps.second[n] = taps.first[m], taps.second[m]
                continue
            lat = angle(sz, np.sqrt(sx * sx + sy * sy))
            while at > 0 and lat < globe.lat[at]:
                at -= 1
            while at < rows and lat >= globe.lat[at + 1]:
                at += 1
            gap = globe.lat[at + 1] - globe.lat[at]
            part = (lat - globe.lat[at]) / gap if gap > 0.0 else 0.0
            part = place(min(max(part, 0.0), 1.0))
            column = i + angle(sy, sx) * globe.per_rad
            taps.south[n], taps.fx[n] = _tap(globe.row[at], column, at == 0, columns)
            taps.north[n], taps.fy[n] = _tap(globe.row[at + 1], column, at == rows, columns)
            taps.first[n] = part - 1.0 if at == 0 else 1.0 - part
            taps.second[n] = -part if at == rows else part


@njit(nogil=True, error_model="numpy")
def _tap(row: int, column: float, across: bool, columns: int) -> tuple[Any, Any]:
    """Where a row of I + 1 is read, and how far east of there; half a circle on when seen across a pole."""
    where = place(column + 0.5 * columns if across else column)
    west = int(np.floor(where))
    return np.uint32(row * (columns + 1) + west % columns), f32(where - west)


@njit(nogil=True, error_model="numpy")
def pad(plane: Singles, rows: int, columns: int, padded: Singles) -> None:
    """Rows with their first value once more at the end."""
    for j in range(rows):
        for i in range(columns):
            padded[j * (columns + 1) + i] = plane[j * columns + i]
        padded[j * (columns + 1) + columns] = plane[j * columns]


@njit(nogil=True, error_model="numpy")
def gather(padded: Singles, taps: Taps, plane: Singles) -> None:
    """Values of a scalar at the sources."""
    one = np.uint32(1)
    for n in range(len(plane)):
        south, north = taps.south[n], taps.north[n]
        plane[n] = between(
            fabs_of(taps.first[n]),
            fabs_of(taps.second[n]),
            taps.fx[n],
            taps.fy[n],
            padded[south],
            padded[south + one],
            padded[north],
            padded[north + one],
        )


@njit(nogil=True, error_model="numpy")
def gather_nearest(padded: Singles, taps: Taps, plane: Singles) -> None:
    """Values of the source cells that are nearest: kinds of things have no means."""
    half = f32(0.5)
    for n in range(len(plane)):
        north = fabs_of(taps.second[n]) > half
        at = taps.north[n] if north else taps.south[n]
        east = taps.fy[n] if north else taps.fx[n]
        plane[n] = padded[at + np.uint32(1)] if east > half else padded[at]


@njit(nogil=True, error_model="numpy")
def gather_wind(
    padded_u: Singles, padded_v: Singles, taps: Taps, plane_u: Singles, plane_v: Singles
) -> None:
    """Winds of the sources, carried to the cells."""
    one = np.uint32(1)
    for n in range(len(plane_u)):
        south, north = taps.south[n], taps.north[n]
        first, second, fx, fy = taps.first[n], taps.second[n], taps.fx[n], taps.fy[n]
        u = between(
            first,
            second,
            fx,
            fy,
            padded_u[south],
            padded_u[south + one],
            padded_u[north],
            padded_u[north + one],
        )
        v = between(
            first,
            second,
            fx,
            fy,
            padded_v[south],
            padded_v[south + one],
            padded_v[north],
            padded_v[north + one],
        )
        plane_u[n] = onward(taps.cosine[n], taps.sine[n], u, v)
        plane_v[n] = onward(taps.cosine[n], -taps.sine[n], v, u)
