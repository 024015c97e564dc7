"""Grids of latitude rows and longitude columns: where cells begin and end, and what they cover.

Rows and columns stand in the order of the file, northward or southward, from any meridian.
:func:`source_grid` reads what files give, :func:`target_grid` makes a grid from its name.
"""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import roots_legendre

from astrohpc.errors import ConfigError

Array = NDArray[np.float64]

_POLE_DEG = 90.0
_CIRCLE_DEG = 360.0
# Coordinates are often written in single precision; a seam narrower than this part of the narrowest
# cell is no seam.
_SEAM = 1e-3
_MOST_ROWS, _MOST_COLUMNS = 4320, 8640


@dataclass(frozen=True, eq=False)
class LatLon:
    """Cells between meridians and parallels; ``n + 1`` edges of ``n`` rows or columns that touch."""

    lat_deg: Array
    lat_edge_deg: Array
    lon_deg: Array
    lon_edge_deg: Array

    @classmethod
    def from_edges(
        cls, lat_edge_deg: ArrayLike, lon_edge_deg: ArrayLike, where: str = "grid"
    ) -> "LatLon":
        """Cells between these edges, each axis rising or falling throughout."""
        lat_edge, lon_edge = (
            np.array(edge, dtype=np.float64) for edge in (lat_edge_deg, lon_edge_deg)
        )
        for edge, name in ((lat_edge, "lat_edge_deg"), (lon_edge, "lon_edge_deg")):
            if edge.ndim != 1 or len(edge) < 2 or not _is_steady(edge):
                raise ConfigError(
                    f"{where}: {name} must be two or more numbers that only rise or only fall; "
                    "write the edges of neighbouring cells in a row."
                )
        if np.abs(lat_edge).max() > _POLE_DEG:
            raise ConfigError(f"{where}: lat_edge_deg leaves -90..90; write degrees north.")
        span = abs(lon_edge[-1] - lon_edge[0])
        if span > _CIRCLE_DEG * (1 + 1e-12):
            raise ConfigError(
                f"{where}: lon_edge_deg spans {span:g} degrees; write at most one full circle."
            )
        return cls(_middle(lat_edge), lat_edge, _middle(lon_edge), lon_edge)

    @classmethod
    def uniform(cls, rows: int, columns: int) -> "LatLon":
        """The whole sphere in equal angles; the first column begins at the zero meridian."""
        return cls.from_edges(
            np.linspace(-_POLE_DEG, _POLE_DEG, rows + 1), np.linspace(0.0, _CIRCLE_DEG, columns + 1)
        )

    @classmethod
    def gaussian(cls, rows: int, columns: int) -> "LatLon":
        """Gaussian latitudes, northward; the first column is centred on the zero meridian.

        A row's area is its weight in Gauss' quadrature, so that area means are the model's own.
        """
        lat, lat_edge = _gaussian(rows)
        step = _CIRCLE_DEG / columns
        lon_edge: Array = -0.5 * step + step * np.arange(columns + 1, dtype=np.float64)
        lon_edge[-1] = lon_edge[0] + _CIRCLE_DEG
        return cls(lat, lat_edge, step * np.arange(columns, dtype=np.float64), lon_edge)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.lat_deg), len(self.lon_deg)

    @property
    def is_round(self) -> bool:
        """Whether the columns close the circle."""
        return bool(
            np.isclose(abs(self.lon_edge_deg[-1] - self.lon_edge_deg[0]), _CIRCLE_DEG, rtol=1e-9)
        )

    @cached_property
    def share(self) -> Array:
        """The part of the whole sphere that each cell covers, (lat, lon)."""
        rows = sine_difference(self.lat_edge_deg[:-1], self.lat_edge_deg[1:])
        columns = np.diff(self.lon_edge_deg)
        shares: Array = np.abs(np.outer(rows / 2.0, columns / _CIRCLE_DEG))
        return shares

    @cached_property
    def is_gaussian(self) -> bool:
        """Whether rows stand at Gauss' latitudes, from pole to pole."""
        rows = len(self.lat_deg)
        if rows < 2 or np.ptp(self.lat_edge_deg) < 2.0 * _POLE_DEG * (1.0 - 1e-9):
            return False
        return bool(np.abs(np.sort(self.lat_deg) - _gaussian(rows)[0]).max() < 1.8 / rows)

    @cached_property
    def row_share(self) -> Array:
        """The part of the sphere that each row stands for in a mean: its area.

        On Gaussian rows it is Gauss' weight, whatever edges a file gives them.
        """
        if self.is_gaussian:
            weights: Array = 0.5 * roots_legendre(len(self.lat_deg))[1]
            return weights
        return 0.5 * np.abs(sine_difference(self.lat_edge_deg[:-1], self.lat_edge_deg[1:]))

    @cached_property
    def arm(self) -> Array:
        """How far each row is from the axis, in radii: the root of the row's mean square.

        So the moment of inertia of a shell, 2/3 of its mass, is exact on every grid; on Gaussian
        rows it is the cosine of the latitude.
        """
        if self.is_gaussian:
            node = roots_legendre(len(self.lat_deg))[0]
            cosines: Array = np.sqrt((1.0 - node) * (1.0 + node))
            return cosines
        south, north = (
            np.radians(edge) for edge in (self.lat_edge_deg[:-1], self.lat_edge_deg[1:])
        )
        # The mean of cos² over the area is (cos² s + cos² n + 1 - sin s sin n) / 3.
        rest = 2.0 * np.cos(0.5 * (south + north)) ** 2 - np.cos(south) * np.cos(north)
        arms: Array = np.sqrt((np.cos(south) ** 2 + np.cos(north) ** 2 + rest) / 3.0)
        return arms


def sine_difference(from_deg: Array, to_deg: Array) -> Array:
    """sin(to) - sin(from), without the loss of digits that this form has near a pole."""
    begin, end = np.radians(from_deg), np.radians(to_deg)
    difference: Array = 2.0 * np.cos(0.5 * (begin + end)) * np.sin(0.5 * (end - begin))
    return difference


def target_grid(name: str) -> LatLon:
    """The grid called ``latlon 46x72``, ``gaussian 32x64`` or, by its spectral truncation, ``T21``.

    ``Tn`` has the fewest columns, with no prime factor above 5, that hold products of two waves up to
    n without aliasing (3 n + 1), and half as many rows.

    >>> target_grid("T21").shape, target_grid("T42").shape, target_grid("latlon 46x72").shape
    ((32, 64), (64, 128), (46, 72))
    """
    if found := re.fullmatch(r"\s*(latlon|gaussian)\s+(\d{1,5})\s*x\s*(\d{1,5})\s*", name):
        kind, rows, columns = found[1], int(found[2]), int(found[3])
    elif found := re.fullmatch(r"\s*T(\d{1,4})\s*", name):
        kind, columns = "gaussian", 3 * int(found[1]) + 1
        while columns % 4 or not _is_smooth(columns):
            columns += 1
        rows = columns // 2
    else:
        raise ConfigError(
            f"regrid: {name!r} is not the name of a grid; write 'latlon ROWSxCOLUMNS', "
            "'gaussian ROWSxCOLUMNS' or a truncation such as 'T42'."
        )
    if not (2 <= rows <= _MOST_ROWS and 2 <= columns <= _MOST_COLUMNS):
        raise ConfigError(
            f"regrid: {name!r} has {rows} rows and {columns} columns; write 2 to {_MOST_ROWS} rows "
            f"and 2 to {_MOST_COLUMNS} columns."
        )
    return LatLon.uniform(rows, columns) if kind == "latlon" else LatLon.gaussian(rows, columns)


def source_grid(
    where: str,
    lat_deg: ArrayLike,
    lon_deg: ArrayLike,
    lat_bounds_deg: ArrayLike | None = None,
    lon_bounds_deg: ArrayLike | None = None,
) -> LatLon:
    """The grid of a file from its coordinates and, where it has them, their bounds (n, 2).

    Without bounds, Gaussian latitudes get Gaussian rows; else an edge is half a step of the inner
    rows away from them (polar rows may be half cells, wherever their centre is said to be) or, where
    steps differ, in the middle between centres. ``where`` is the file's name, for errors.
    """
    lat = _axis(where, "latitudes", lat_deg)
    lon = np.unwrap(_axis(where, "longitudes", lon_deg), period=_CIRCLE_DEG)
    for axis, name in ((lat, "latitudes"), (lon, "longitudes")):
        if not _is_steady(axis):
            raise ConfigError(
                f"{where}: its {name} neither rise nor fall throughout, so its grid is unstructured or "
                "broken; leave regridding out, or bring it to rows and columns with another tool first."
            )
    if np.abs(lat).max() > _POLE_DEG * (1 + 1e-6):
        raise ConfigError(f"{where}: its latitudes leave -90..90; give them in degrees north.")
    lat = np.clip(lat, -_POLE_DEG, _POLE_DEG)
    northward, eastward = _direction(lat), _direction(lon)
    lat_edge = (
        _edges_of_rows(where, lat[::northward])
        if lat_bounds_deg is None
        else _edges_from_bounds(where, "latitudes", lat[::northward], lat_bounds_deg, northward)
    )
    lon_edge = (
        _edges_of_columns(where, lon[::eastward])
        if lon_bounds_deg is None
        else _edges_from_bounds(where, "longitudes", lon[::eastward], lon_bounds_deg, eastward)
    )
    return LatLon(lat, _to_poles(lat_edge)[::northward], lon, _closed(where, lon_edge)[::eastward])


def _axis(where: str, name: str, values: ArrayLike) -> Array:
    axis = np.array(values, dtype=np.float64)
    if axis.ndim != 1:
        raise ConfigError(
            f"{where}: its {name} have {axis.ndim} axes, so its grid is curvilinear; leave regridding "
            "out, or bring it to rows and columns with another tool first."
        )
    if not len(axis) or not np.isfinite(axis).all():
        raise ConfigError(
            f"{where}: its {name} have gaps or no values; mend them before regridding."
        )
    return axis


def _edges_of_rows(where: str, lat: Array) -> Array:
    """Edges from centres that rise."""
    if len(lat) < 2:
        raise ConfigError(f"{where}: one latitude has no edges; give its bounds.")
    gaussian, gaussian_edge = _gaussian(len(lat))
    if np.abs(lat - gaussian).max() < 0.01 * 180.0 / len(lat):
        return gaussian_edge
    inner = lat[1:-1]
    step = np.diff(inner)
    if len(step) and np.allclose(step, step.mean(), rtol=1e-3):
        between = inner[0] + step.mean() * (np.arange(len(lat) - 1) - 0.5)
    else:
        between = _middle(lat)
    if not (lat[0] < between[0] and between[-1] < lat[-1]):  # the outermost rows are much nearer
        between = _middle(lat)
    ends = np.clip([2 * lat[0] - between[0], 2 * lat[-1] - between[-1]], -_POLE_DEG, _POLE_DEG)
    return np.concatenate([ends[:1], between, ends[1:]])


def _edges_of_columns(where: str, lon: Array) -> Array:
    """Edges from centres that rise; they close the circle where the last gap is a step like others."""
    if len(lon) < 2:
        raise ConfigError(f"{where}: one longitude has no edges; give its bounds.")
    steps = np.diff(lon)
    gap = _CIRCLE_DEG - (lon[-1] - lon[0])
    if gap < _SEAM * steps.min():
        raise ConfigError(
            f"{where}: its longitudes come round to the first meridian again; drop the last column."
        )
    between = _middle(lon)
    if gap <= 1.5 * steps.max():
        return np.concatenate([[lon[0] - 0.5 * gap], between, [lon[-1] + 0.5 * gap]])
    return np.concatenate([[2 * lon[0] - between[0]], between, [2 * lon[-1] - between[-1]]])


def _edges_from_bounds(
    where: str, name: str, centers: Array, bounds_deg: ArrayLike, direction: int
) -> Array:
    """Edges from CF bounds, (n, 2), in either order within a pair; ``centers`` rise."""
    bounds = np.array(bounds_deg, dtype=np.float64)
    if bounds.shape != (len(centers), 2) or not np.isfinite(bounds).all():
        raise ConfigError(
            f"{where}: the bounds of its {name} are not {len(centers)} pairs of numbers; drop the bounds."
        )
    low, high = np.sort(bounds[::direction], axis=1).T
    if name == "longitudes":
        # A cell over the seam may be written (359, 1) or 360 degrees away: its centre tells.
        across = ((centers - low) % _CIRCLE_DEG) > (high - low) * (1 + _SEAM)
        low, high = np.where(across, high, low), np.where(across, low + _CIRCLE_DEG, high)
        turns = _CIRCLE_DEG * np.round((centers - 0.5 * (low + high)) / _CIRCLE_DEG)
        low, high = low + turns, high + turns
    seam = _SEAM * float((high - low).min())
    inside = (low - seam <= centers) & (centers <= high + seam)
    if seam <= 0.0 or not inside.all() or np.any(np.abs(high[:-1] - low[1:]) > seam):
        raise ConfigError(
            f"{where}: the bounds of its {name} leave gaps, overlap or miss their centres; "
            "mend them, or drop them to have edges midway between centres."
        )
    return np.concatenate([low[:1], 0.5 * (high[:-1] + low[1:]), high[-1:]])


def _to_poles(edge: Array) -> Array:
    """Rising edges with the outermost at the poles where only rounding keeps them away."""
    seam = _SEAM * float(np.diff(edge).min())
    edge = np.clip(edge, -_POLE_DEG, _POLE_DEG)
    edge[0] = -_POLE_DEG if edge[0] < seam - _POLE_DEG else edge[0]
    edge[-1] = _POLE_DEG if edge[-1] > _POLE_DEG - seam else edge[-1]
    return edge


def _closed(where: str, edge: Array) -> Array:
    """Rising edges that close the circle exactly where only rounding keeps them from it."""
    over = edge[-1] - edge[0] - _CIRCLE_DEG
    seam = _SEAM * float(np.diff(edge).min())
    if over > seam:
        raise ConfigError(
            f"{where}: its columns cover more than a full circle; drop those that come twice."
        )
    if over > -seam:
        edge[-1] = edge[0] + _CIRCLE_DEG
    return edge


def _gaussian(rows: int) -> tuple[Array, Array]:
    node, weight = roots_legendre(rows)
    south = np.cumsum(weight)[:-1] - 1.0
    inner = np.degrees(np.arcsin(0.5 * (south - south[::-1])))  # the same on both hemispheres
    edge = np.concatenate([[-_POLE_DEG], inner, [_POLE_DEG]])
    return np.degrees(np.arcsin(node)), edge


def _middle(values: Array) -> Array:
    middle: Array = 0.5 * (values[1:] + values[:-1])
    return middle


def _is_steady(values: Array) -> bool:
    steps = np.diff(values)
    return bool(np.isfinite(values).all() and ((steps > 0).all() or (steps < 0).all()))


def _direction(values: Array) -> int:
    """1 where values rise (or there is one), -1 where they fall: the step of a slice that rises."""
    return 1 if values[-1] >= values[0] else -1


def _is_smooth(number: int) -> bool:
    for prime in (2, 3, 5):
        while number % prime == 0:
            number //= prime
    return number == 1
