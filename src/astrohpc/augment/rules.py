"""What each variable keeps: how its total is restored, and what a chain may therefore declare."""

import numpy as np

from astrohpc.errors import ConfigError
from astrohpc.kernels import desk, totals
from astrohpc.kernels.desk import Blocks
from astrohpc.physics.layout import Block, Layout

# Of the canonical variables, the parts of a whole: never above 1.
SHARES = frozenset(("clt", "siconc", "ice", "surface_albedo", "planetary_albedo", "sftlf", "cl"))
# Temperatures are positive, but what their total means (enthalpy) is restored by a shift.
TEMPERATURES = frozenset(("ta", "ts", "tas"))
_KIND = {
    "scalar": desk.SCALAR,
    "pressure": desk.SCALAR,
    "eastward": desk.EASTWARD,
    "northward": desk.NORTHWARD,
    "category": desk.CATEGORY,
}
_MASS_FLUX = {"free": totals.NONE, "kept": totals.ROWS, "zero": totals.ROWS_ZERO}


def blocks_of(layout: Layout, mass_flux: str) -> Blocks:
    """The table of blocks of a layout."""
    names = [block.name for block in layout]
    pressures = [k for k, block in enumerate(layout) if block.role == "pressure"]
    if len(pressures) > 1:
        raise ConfigError(
            f"{names[pressures[1]]}: a second surface pressure; leave one in the layout."
        )
    table = np.zeros((len(names), 5), np.int64)
    low, high = np.full(len(names), -np.inf), np.full(len(names), np.inf)
    for k, block in enumerate(layout):
        mate = _mate(block, layout)
        table[k] = (
            layout.slice(block.name).start,
            block.levels,
            _KIND[block.role],
            rule_of(block, mass_flux),
            names.index(mate) if mate else -1,
        )
        if block.positive:
            low[k] = 0.0
        if block.name in SHARES:
            high[k] = 1.0
    mates = set(table[:, desk.MATE].tolist())
    for k, block in enumerate(layout):
        if block.role == "northward" and k not in mates:
            raise ConfigError(
                f"{block.name}: a northward wind without its eastward part cannot be turned; put both "
                "next to each other into the layout, or call it a scalar."
            )
    layers = layout.layers
    thickness = (layout.da_pa, layout.db) if layers else (np.zeros(0), np.zeros(0))
    if not pressures and np.any(thickness[0]) and np.any(thickness[1]):
        raise ConfigError(
            "ps: layers between a pressure and a share of the surface pressure have no mass without it; "
            "put ps into the layout."
        )
    return Blocks(
        table,
        low.astype(np.float32),
        high.astype(np.float32),
        np.ascontiguousarray(thickness[0], np.float64),
        np.ascontiguousarray(thickness[1], np.float64),
        pressures[0] if pressures else -1,
    )


def rule_of(block: Block, mass_flux: str) -> int:
    """How the total of a variable is restored."""
    if block.role == "category":
        return totals.NONE
    if block.role == "eastward":
        return totals.SPIN
    if block.role == "northward":
        return _MASS_FLUX[mass_flux] if block.levels else totals.NONE
    if block.role == "pressure" or block.name in TEMPERATURES or not block.positive:
        return totals.MEAN
    return totals.SHARE if block.name in SHARES else totals.FACTOR


def declared(layout: Layout, mass_flux: str, *, one_air: bool = True) -> tuple[str, ...]:
    """What a chain keeps of a layout: the names of the promises of docs/augment.md.

    ``one_air`` is whether partners are made of air of the same heat capacity.
    """
    weighed = any(block.role == "pressure" for block in layout)
    found = ["means"]
    if weighed:
        found.append("dry_air")
    for block in layout:
        if block.positive:
            found.append("positivity")
        if block.name in SHARES:
            found.append("shares")
        if not (weighed and block.levels):
            continue
        if block.name == "hus":
            found.append("water")
        elif block.name == "ta" and one_air:
            found.append("enthalpy")
        elif block.role == "eastward":
            found.append("angular_momentum")
        elif block.role == "northward" and mass_flux != "free":
            found.append("mass_flux")
    return tuple(dict.fromkeys(found))


def _mate(block: Block, layout: Layout) -> str | None:
    """The northward part of an eastward wind: the same name with v for u, or the next in the layout."""
    if block.role != "eastward":
        return None
    twin = "v".join(block.name.split("u", 1))
    others = [b.name for b in layout if b.role == "northward" and b.levels == block.levels]
    if twin in others:
        return twin
    blocks = list(layout)
    after = blocks[blocks.index(block) + 1 :][:1]
    if after and after[0].name in others:
        return after[0].name
    raise ConfigError(
        f"{block.name}: an eastward wind without its northward part cannot be turned; put both next to "
        "each other into the layout, or call it a scalar."
    )
