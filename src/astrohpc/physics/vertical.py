"""Bringing columns to other layers so that their mass-weighted integrals stay what they are.

A layer is what lies between two pressures ``ap + b * ps``: of the model's own layers, of layers at
fixed shares of the surface pressure (:func:`sigma_layers`) or between fixed pressures
(:func:`pressure_layers`). The value of a target layer is the mean over the air that it shares with the
model's layers, weighted by mass; under hydrostatic balance mass is pressure difference over gravity,
which cancels, so no planet is needed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrohpc.errors import ConfigError
from astrohpc.kernels import layers as kernel
from astrohpc.physics.regrid import as_kind

Array = NDArray[np.float64]

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class LayerEdges:
    """Edges of ``n`` layers that touch, from space down or from the ground up: (n + 1) each."""

    ap_pa: Array
    b: Array

    def __post_init__(self) -> None:
        shapes = {np.shape(self.ap_pa), np.shape(self.b)}
        if len(shapes) != 1 or len(self.ap_pa) < 2:
            raise ConfigError(
                f"layers: edges ap of shape {np.shape(self.ap_pa)} and b of {np.shape(self.b)} do not "
                "belong together; give both for each edge, two or more."
            )
        if not (np.isfinite(self.ap_pa).all() and np.isfinite(self.b).all()):
            raise ConfigError("layers: edges ap and b have gaps; mend them before regridding.")

    @property
    def count(self) -> int:
        """Layers."""
        return len(self.b) - 1

    def downward(self) -> tuple[Array, Array, NDArray[np.intp]]:
        """Edges ``ap`` and ``b`` from space down, and which layer lies under each but the last.

        ``b`` tells the order, as it only grows towards the ground; where it is the same everywhere
        the pressures are fixed and ``ap`` tells.
        """
        ap, b = np.asarray(self.ap_pa, np.float64), np.asarray(self.b, np.float64)
        number = np.arange(self.count)
        grows = b[-1] - b[0] or ap[-1] - ap[0]
        return (
            (ap, b, number) if grows > 0 else (ap[::-1].copy(), b[::-1].copy(), number[::-1].copy())
        )


def sigma_layers(edges: ArrayLike) -> LayerEdges:
    """Layers between fixed shares of the surface pressure."""
    share = np.array(edges, dtype=np.float64)
    if share.ndim != 1 or not _is_steady(share) or share.min() < 0.0 or share.max() > 1.0:
        raise ConfigError(
            "sigma_edges: they must be numbers in 0..1 that only rise or only fall; write them so."
        )
    return LayerEdges(np.zeros_like(share), share)


def pressure_layers(edges_pa: ArrayLike) -> LayerEdges:
    """Layers between fixed pressures."""
    pressure = np.array(edges_pa, dtype=np.float64)
    if pressure.ndim != 1 or not _is_steady(pressure) or pressure.min() < 0.0:
        raise ConfigError(
            "pressure_edges_pa: they must be numbers from 0 on that only rise or only fall; "
            "write them in Pa."
        )
    return LayerEdges(pressure, np.zeros_like(pressure))


def remap_layers(
    values: NDArray[Any],
    ps_pa: NDArray[Any],
    source: LayerEdges,
    target: LayerEdges,
    *,
    fill: float | None = None,
    min_fraction: float = 0.5,
) -> NDArray[Any]:
    """Bring ``values`` (..., lev, lat, lon) with ``ps_pa`` (..., lat, lon) to the target's layers.

    A target layer that reaches beyond the top or into the ground is the mean of its part that has
    air, and missing where none has. Missing values (not a number, or ``fill``) count for nothing;
    where less than ``min_fraction`` of a layer's air has a value it is missing, and so is a column
    without a surface pressure. Missing comes out as ``fill``, or else as not a number. Single
    precision stays single, summed in double.

    The sum of value times :func:`air_pa` over target layers is that over the source's layers, where
    the target reaches from the source's top to the ground and nothing is missing.
    """
    values, ps = np.asarray(values), np.asarray(ps_pa)
    wanted = (*values.shape[:-3], *values.shape[-2:])
    if values.ndim < 3 or values.shape[-3] != source.count or ps.shape != wanted:
        raise ConfigError(
            f"layers: values of shape {values.shape} and surface pressures of shape {ps.shape} are not "
            f"(..., {source.count} layers, lat, lon) and (..., lat, lon); leave this variable out or "
            "give the layers that it is on."
        )
    if not 0.0 < min_fraction <= 1.0:
        raise ConfigError(
            f"min_fraction: {min_fraction} is not a part of a layer; write a number above 0, at most 1."
        )
    kind = np.float32 if values.dtype.kind == "f" and values.dtype.itemsize <= 4 else np.float64
    missing = as_kind(fill, kind)
    cells = int(np.prod(values.shape[-2:]))
    columns: NDArray[Any] = np.ascontiguousarray(values, dtype=kind).reshape(
        -1, source.count, cells
    )
    out = np.empty((len(columns), target.count, cells), dtype=kind)
    crossed = kernel.remap(
        columns,
        _without_fill(ps, fill).reshape(-1, cells),
        missing,
        *source.downward(),
        *target.downward(),
        min_fraction - _ROUNDING,
        missing,
        out,
    )
    if crossed:
        raise ConfigError(
            f"layers: in {crossed} columns the edges ap + b * ps cross; check that ap and ps are in Pa."
        )
    return out.reshape(*values.shape[:-3], target.count, *values.shape[-2:])


def air_pa(ps_pa: NDArray[Any], source: LayerEdges, target: LayerEdges) -> Array:
    """How thick each target layer's part with air is, in pressure: (..., lev', lat, lon)."""
    ps = np.asarray(ps_pa, dtype=np.float64)
    cells = int(np.prod(ps.shape[-2:]))
    columns = np.ascontiguousarray(ps).reshape(-1, cells)
    air = np.empty((len(columns), target.count, cells))
    source_ap, source_b, _ = source.downward()
    kernel.shared_mass(columns, source_ap, source_b, *target.downward(), air)
    return air.reshape(*ps.shape[:-2], target.count, *ps.shape[-2:])


def _without_fill(ps: NDArray[Any], fill: float | None) -> Array:
    """Surface pressures in double precision, not a number where they are the fill."""
    pressure = ps.astype(np.float64)
    if fill is not None:
        with np.errstate(over="ignore"):
            pressure[ps == ps.dtype.type(fill)] = np.nan
    return pressure


def _is_steady(values: Array) -> bool:
    steps = np.diff(values)
    return bool(
        len(steps) and np.isfinite(values).all() and ((steps > 0).all() or (steps < 0).all())
    )
