"""Columns of layers to other layers, by the mass that two layers share.

A layer is the pressure between two edges, ``ap + b * ps``. All arrays are (…, layer, cell) with the
layers in any order: edges rise, and ``at`` says which layer lies between which. Double precision inside.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]

# Edges that are meant to be the same differ by rounding; what they enclose is no air.
_SLIVER = 1e-13


@njit(cache=True, nogil=True, error_model="numpy")
def _edges(ap_pa: Array, b: Array, ps_pa: float, edge_pa: Array) -> bool:
    """Pressures of the edges of a column, and whether they rise."""
    rising = True
    for k in range(edge_pa.size):
        edge_pa[k] = ap_pa[k] + b[k] * ps_pa
        if k > 0 and not edge_pa[k] >= edge_pa[k - 1]:
            rising = False
    return rising


@njit(cache=True, nogil=True, error_model="numpy")
def shared_mass(
    ps_pa: NDArray[np.floating],
    source_ap_pa: Array,
    source_b: Array,
    target_ap_pa: Array,
    target_b: Array,
    target_at: Index,
    air_pa: Array,
) -> None:
    """How thick the air of each target layer is: its part between the source's top and ground."""
    source = np.empty(source_b.size)
    target = np.empty(target_b.size)
    for n in range(ps_pa.shape[0]):
        for i in range(ps_pa.shape[1]):
            _edges(source_ap_pa, source_b, ps_pa[n, i], source)
            _edges(target_ap_pa, target_b, ps_pa[n, i], target)
            for k in range(target_at.size):
                low, high = target[k], target[k + 1]
                air = min(high, source[-1]) - max(low, source[0])
                air_pa[n, target_at[k], i] = air if air > _SLIVER * (high - low) else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def remap(
    values: NDArray[np.floating],
    ps_pa: NDArray[np.floating],
    fill: float,
    source_ap_pa: Array,
    source_b: Array,
    source_at: Index,
    target_ap_pa: Array,
    target_b: Array,
    target_at: Index,
    least_share: float,
    missing: float,
    out: NDArray[np.floating],
) -> int:
    """Mass-weighted means over the target layers; returns how many columns have edges that cross.

    ``missing`` where a target layer has no air, where less than ``least_share`` of its air has a known
    value, and in all of a column without a pressure.
    """
    source = np.empty(source_b.size)
    target = np.empty(target_b.size)
    layers = source_at.size
    crossed = 0
    for n in range(ps_pa.shape[0]):
        for i in range(ps_pa.shape[1]):
            ps = ps_pa[n, i]
            if ps != ps:  # noqa: PLR0124 - NaN
                for k in range(target_at.size):
                    out[n, k, i] = missing
                continue
            rising = _edges(source_ap_pa, source_b, ps, source)
            if not (_edges(target_ap_pa, target_b, ps, target) and rising):
                crossed += 1
                continue
            s = 0
            for k in range(target_at.size):
                low, high = target[k], target[k + 1]
                air = known = total = 0.0
                while s < layers and source[s + 1] <= low:
                    s += 1
                at = s
                while at < layers and source[at] < high:
                    mass = min(high, source[at + 1]) - max(low, source[at])
                    if mass > _SLIVER * (high - low):
                        value = values[n, source_at[at], i]
                        air += mass
                        if value == value and value != fill:  # noqa: PLR0124 - NaN
                            known += mass
                            total += mass * value
                    at += 1
                fine = known > 0.0 and known >= least_share * air
                out[n, target_at[k], i] = total / known if fine else missing
    return crossed
