"""What tests of augmentation share: small layouts, plausible synthetic batches, totals by plain numpy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.augment.rules import SHARES, TEMPERATURES
from astrohpc.physics.latlon import LatLon, source_grid
from astrohpc.physics.layout import Block, Layout
from astrohpc.physics.vertical import LayerEdges, sigma_layers

Array = NDArray[np.float64]

GRIDS = ("gaussian", "modele", "uniform", "southward", "westward", "odd")
LAYERS = ("sigma", "hybrid", "pressure")


def grid_of(kind: str, rows: int = 8, columns: int = 16) -> LatLon:
    """A global grid; ``modele`` has half boxes at the poles, ``odd`` an odd number of columns."""
    step = 360.0 / columns
    lon = step * (np.arange(columns) + 0.5)
    lat = -90.0 + 180.0 / rows * (np.arange(rows) + 0.5)
    if kind == "gaussian":
        return LatLon.gaussian(rows, columns)
    if kind == "modele":
        return source_grid("test", np.linspace(-90.0, 90.0, rows + 1), lon - 180.0)
    if kind == "southward":
        return source_grid("test", lat[::-1], lon)
    if kind == "westward":
        return source_grid("test", lat, lon[::-1])
    if kind == "odd":
        return LatLon.uniform(rows + 1, columns - 1)
    return LatLon.uniform(rows, columns)


def layers_of(kind: str, levels: int = 4) -> LayerEdges:
    """Layers from space down."""
    edges = np.linspace(0.0, 1.0, levels + 1)
    if kind == "sigma":
        return sigma_layers(edges)
    if kind == "pressure":
        return LayerEdges(8e4 * edges, 0.0 * edges)
    return LayerEdges(2e4 * edges * (1.0 - edges), edges**1.5)


def layout_of(
    grid: str = "gaussian",
    layers: str = "sigma",
    levels: int = 4,
    names: tuple[str, ...] = ("ta", "hus", "ua", "va", "cl"),
    flat: tuple[str, ...] = ("ps", "ts", "clt", "pr", "hfss"),
) -> Layout:
    """Canonical variables on a small grid."""
    blocks = [Block.canonical(name, levels) for name in names]
    blocks += [Block.canonical(name, 0) for name in flat]
    return Layout(tuple(blocks), grid_of(grid), layers_of(layers, levels))


def synthetic(layout: Layout, samples: int, times: int, seed: int = 1) -> NDArray[np.float32]:
    """Noise around plausible means [B, T, C, J, I]; rows on a pole have one value."""
    random = np.random.default_rng(seed)
    batch = random.normal(size=(samples, times, layout.channels, *layout.grid.shape))
    for block in layout:
        part = batch[:, :, layout.slice(block.name)]
        if block.role == "pressure":
            part[:] = 1e5 + 2e3 * part
        elif block.name in TEMPERATURES:
            part[:] = 260.0 + 20.0 * part
        elif block.name in SHARES:
            part[:] = np.clip(0.5 + 0.4 * part, 0.0, 1.0)
        elif block.positive:
            part[:] = 0.01 * part**2
        else:
            part *= 10.0
    height = np.abs(np.diff(layout.grid.lat_edge_deg))
    for row, inner in ((0, 1), (-1, -2)):
        if height[row] < 0.75 * height[inner]:
            batch[..., row, :] = batch[..., row, :1]
    return batch.astype(np.float32)


def spread_of(layout: Layout) -> Array:
    """Spreads of :func:`synthetic`, small for the surface pressure."""
    spread = np.ones(layout.channels)
    for block in layout:
        size = {"ps": 2e3, "ta": 20.0, "ts": 20.0, "ua": 10.0, "va": 10.0, "hus": 0.01}
        spread[layout.slice(block.name)] = size.get(block.name, 0.4)
    return spread


def thickness(layout: Layout, block: Block, fields: NDArray[Any]) -> Array:
    """What weighs a block's values [..., L, J, I]: the layers' pressure thickness, or 1."""
    if not block.levels:
        return np.ones((1, 1, 1))
    ps = fields[..., layout.slice("ps"), :, :].astype(np.float64)
    return layout.da_pa[:, None, None] + layout.db[:, None, None] * ps


def rows_of(layout: Layout, block: Block, fields: NDArray[Any]) -> Array:
    """Sums of a block along rows and levels, weighted, [..., J]: written anew, not the kernel's."""
    part = fields[..., layout.slice(block.name), :, :].astype(np.float64)
    return np.einsum("...lji->...j", part * thickness(layout, block, fields))


def total_of(layout: Layout, block: Block, fields: NDArray[Any], *, size: bool = False) -> Array:
    """The total that a block keeps, [...]; with ``size`` that of its values without signs."""
    rows = rows_of(layout, block, np.abs(fields) if size else fields)
    lever = layout.share * (layout.grid.arm if block.role == "eastward" else 1.0)
    return rows @ lever
