"""What must be looked at column by column: integrals over any layers, hydrostatic balance, saturation.

Sums along rows cannot tell these, so they read the fields again, one sample at a time, in float64.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.physics.integrals import like
from astrohpc.physics.law import Amount
from astrohpc.physics.layout import Layout
from astrohpc.physics.thermo import q_sat, thickness_m, virtual_temperature_k
from astrohpc.physics.vertical import LayerEdges, air_pa
from astrohpc.physics.worlds import Worlds

Array = NDArray[np.float64]


def column_integral(values: NDArray[Any], ps_pa: NDArray[Any], layers: LayerEdges) -> Array:
    """The integral of values (..., level, lat, lon) over dp of the air in each layer, (..., lat, lon).

    For layers of any kind, also between fixed pressures: of a layer that reaches into the ground only
    the part above it counts, and one below it counts for nothing, whatever it holds. A missing value
    where there is air makes its column missing.
    """
    values = np.asarray(values)
    wanted = (*values.shape[:-3], *values.shape[-2:])
    if values.ndim < 3 or values.shape[-3] != layers.count or np.shape(ps_pa) != wanted:
        raise ConfigError(
            f"columns: values of shape {values.shape} and ps of shape {np.shape(ps_pa)} are not "
            f"(..., {layers.count} levels, lat, lon) and (..., lat, lon); give both on one grid."
        )
    ground = LayerEdges(np.zeros(2), np.array([0.0, 1.0]))
    air = air_pa(np.asarray(ps_pa), ground, layers)
    inside = np.where(air > 0.0, values.astype(np.float64), 0.0)
    return np.asarray((inside * air).sum(axis=-3))


def pressure_pa(ps_pa: Any, layers: LayerEdges) -> Any:
    """Pressure in the middle of each layer, (..., level, lat, lon): the mean of its edges.

    Double precision of arrays; tensors stay what they are.
    """
    ps = np.asarray(ps_pa, np.float64) if isinstance(ps_pa, np.ndarray) else ps_pa
    ap, b = (
        like(ps, 0.5 * (edge[1:] + edge[:-1])[:, None, None]) for edge in (layers.ap_pa, layers.b)
    )
    return ap + b * ps[..., None, :, :]


def hydrostatic(fields: Mapping[str, Any], layout: Layout, worlds: Worlds) -> Amount:
    """How far heights of neighbouring layers lie from hydrostatic balance: rms over the sphere, m.

    The air between two layers has the mean of their virtual temperatures. Relative to the rms of the
    distances between layers. Dry air where there is no humidity.
    """

    def one(s: int) -> tuple[float, float]:
        p = pressure_pa(_sample(fields, "ps", s), layout.layers or _no_layers())
        warm = _sample(fields, "ta", s)
        gas = float(worlds.gas_constant_jkgk[s])
        if "hus" in fields:
            warm = virtual_temperature_k(warm, _sample(fields, "hus", s), gas)
        mean = 0.5 * (warm[1:] + warm[:-1])
        height = _sample(fields, "zg", s)
        apart = height[:-1] - height[1:]
        wanted = thickness_m(mean, p[:-1], p[1:], gas, float(worlds.gravity_ms2[s]))
        error, size = (
            float(np.sqrt(((part**2).mean(axis=0).sum(axis=-1) * layout.share).sum()))
            for part in (apart - wanted, wanted)
        )
        return error, size

    return _each(one, fields, layout, ("ps", "ta", "zg"))


def saturation(fields: Mapping[str, Any], layout: Layout, worlds: Worlds) -> Amount:
    """How far the worst cell's specific humidity lies above saturation, and that saturation."""

    def one(s: int) -> tuple[float, float]:
        p = pressure_pa(_sample(fields, "ps", s), layout.layers or _no_layers())
        most = q_sat(_sample(fields, "ta", s), p, float(worlds.gas_constant_jkgk[s]))
        over = _sample(fields, "hus", s) - most
        worst = np.unravel_index(np.argmax(over / most), over.shape)
        return float(np.maximum(0.0, over[worst])), float(most[worst])

    return _each(one, fields, layout, ("ps", "ta", "hus"))


def _each(
    one: Callable[[int], tuple[float, float]],
    fields: Mapping[str, Any],
    layout: Layout,
    needs: tuple[str, ...],
) -> Amount:
    for name in needs:
        if name not in fields or name not in layout:
            raise ConfigError(f"{name}: is needed to look at columns; give its field.")
    found = np.array([one(s) for s in range(len(fields["ps"]))], dtype=np.float64)
    return Amount(found[:, 0], found[:, 1])


def _sample(fields: Mapping[str, Any], name: str, s: int) -> Array:
    values = fields[name][s]
    values = values if isinstance(values, np.ndarray) else values.detach().double().cpu().numpy()
    return values.astype(np.float64)


def _no_layers() -> LayerEdges:
    raise ConfigError("layers: the layout has none; give their edges ap and b.")
