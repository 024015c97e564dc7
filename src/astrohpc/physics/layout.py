"""What stands where in arrays of fields: variables, their channels, and the grid and layers they lie on.

Two shapes: by variable, ``[S, L, J, I]`` or ``[S, J, I]`` (samples, levels from space down, latitudes,
longitudes), or stacked for training, ``[..., C, J, I]``, in which a variable's levels are neighbours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.physics.latlon import LatLon
from astrohpc.physics.vertical import LayerEdges

Array = NDArray[np.float64]
Role = Literal["scalar", "eastward", "northward", "pressure", "category"]

ROLES: tuple[Role, ...] = ("scalar", "eastward", "northward", "pressure", "category")
_ROLE_OF: Mapping[str, Role] = {
    "ua": "eastward",
    "uas": "eastward",
    "va": "northward",
    "vas": "northward",
    "ps": "pressure",
}
# Of the canonical variables, those that are never negative; the rest are fluxes of either sign and
# components.
POSITIVE = frozenset(
    {"ts", "tas", "ta", "ps", "hus", "prw", "clw", "cli", "pr", "prsn"}
    | {"rsdt", "rsut", "rlut", "rsds", "rsus", "rlds", "rlus"}
    | {"clt", "cl", "siconc", "ice", "sftlf", "surface_albedo", "planetary_albedo"}
)


@dataclass(frozen=True)
class Block:
    """One variable: how many levels it has (0: none, one channel) and what it is."""

    name: str
    levels: int
    role: Role = "scalar"
    positive: bool = False

    def __post_init__(self) -> None:
        if self.levels < 0:
            raise ConfigError(f"{self.name}: {self.levels} levels; write 0 for a field without.")
        if self.role not in ROLES:
            raise ConfigError(
                f"{self.name}: {self.role!r} is no role; write one of {', '.join(ROLES)}."
            )
        if self.role == "pressure" and self.levels:
            raise ConfigError(f"{self.name}: surface pressure has no levels; write 0.")

    @classmethod
    def canonical(cls, name: str, levels: int) -> "Block":
        """A variable of docs/variables.md by its name."""
        return cls(name, levels, _ROLE_OF.get(name, "scalar"), name in POSITIVE)

    @property
    def channels(self) -> int:
        """How many channels of a stack it takes."""
        return max(1, self.levels)


@dataclass(frozen=True, eq=False)
class Layout:
    """Variables on one grid, in the order of a stack; ``layers`` from space down, where there are any."""

    blocks: tuple[Block, ...]
    grid: LatLon
    layers: LayerEdges | None = None

    def __post_init__(self) -> None:
        names = [block.name for block in self.blocks]
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"layout: variables {names} are none or come twice; name each once.")
        _check_grid(self.grid)
        if self.layers is not None:
            _check_layers(self.layers)
        for block in self.blocks:
            if block.levels and (self.layers is None or block.levels != self.layers.count):
                there = "no layers" if self.layers is None else f"{self.layers.count} layers"
                raise ConfigError(
                    f"{block.name}: has {block.levels} levels where the layout has {there}; "
                    "bring it to the layout's layers, or give the layers that it is on."
                )

    @classmethod
    def of_fields(
        cls, fields: Mapping[str, Any], grid: LatLon, layers: LayerEdges | None = None
    ) -> "Layout":
        """Canonical variables as the shapes of their arrays tell."""
        blocks = []
        for name, values in fields.items():
            if values.ndim not in (3, 4):
                raise ConfigError(
                    f"{name}: has {values.ndim} axes; give (sample, lat, lon) or (sample, level, lat, lon)."
                )
            blocks.append(Block.canonical(name, values.shape[1] if values.ndim == 4 else 0))
        return cls(tuple(blocks), grid, layers)

    @property
    def channels(self) -> int:
        """Channels of a stack."""
        return sum(block.channels for block in self.blocks)

    @cached_property
    def _places(self) -> dict[str, slice]:
        ends = np.cumsum([block.channels for block in self.blocks]).tolist()
        return {
            block.name: slice(end - block.channels, end)
            for block, end in zip(self.blocks, ends, strict=True)
        }

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[Block]:
        return iter(self.blocks)

    def slice(self, name: str) -> slice:
        """Which channels of a stack are this variable's."""
        if name not in self._places:
            raise ConfigError(
                f"{name}: is not in the layout, which has {', '.join(self._places)}; give its field."
            )
        return self._places[name]

    def block(self, name: str) -> Block:
        """The variable of this name."""
        self.slice(name)
        return next(block for block in self.blocks if block.name == name)

    def split(self, stack: Any) -> dict[str, Any]:
        """A stack ``[..., C, J, I]`` as views by variable, ``[..., L, J, I]`` or ``[..., J, I]``."""
        wanted = (self.channels, *self.grid.shape)
        if tuple(stack.shape[-3:]) != wanted:
            raise ConfigError(
                f"stack: has shape {tuple(stack.shape)} where (..., channel, lat, lon) is {wanted}; "
                "stack the variables of this layout, on its grid."
            )
        views = {}
        for block in self.blocks:
            part = stack[..., self.slice(block.name), :, :]
            views[block.name] = part if block.levels else part[..., 0, :, :]
        return views

    def stack(self, fields: Mapping[str, Any]) -> Any:
        """Fields by variable, one after the other along the axis of channels."""
        parts: list[Any] = []
        for block in self.blocks:
            if block.name not in fields:
                raise ConfigError(f"{block.name}: is missing from the fields to stack; give it.")
            field = fields[block.name]
            parts.append(field if block.levels else field[..., None, :, :])
        return _joined(parts)

    # ------------------------------------------------------------------------- weights
    @cached_property
    def share(self) -> Array:
        """The part of the sphere that one cell of each row covers, [J]; times I they add up to one.

        Gauss' weights on Gaussian latitudes, else the true areas between the rows' edges.
        """
        shares: Array = self.grid.row_share / self.grid.shape[1]
        return shares

    @property
    def da_pa(self) -> Array:
        """The constant part of each layer's thickness, da + db · ps, [L]."""
        return np.diff(self._edges.ap_pa)

    @property
    def db(self) -> Array:
        """The part of each layer's thickness that grows with surface pressure, [L]."""
        return np.diff(self._edges.b)

    @property
    def _edges(self) -> LayerEdges:
        if self.layers is None:
            raise ConfigError("layout: has no layers; give their edges ap and b.")
        return self.layers


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts, axis=-3)
    import torch  # noqa: PLC0415 - only who has tensors has torch

    return torch.cat(list(parts), dim=-3)


def _check_grid(grid: LatLon) -> None:
    columns = np.abs(np.diff(grid.lon_edge_deg))
    whole = abs(np.abs(np.diff(grid.lat_edge_deg)).sum() - 180.0) < 1e-6 and grid.is_round
    if not whole or np.ptp(columns) > 1e-4 * columns.mean():
        raise ConfigError(
            "layout: the grid does not cover the sphere in columns of one width; budgets need the "
            "whole of it, so give a global grid of rows and columns."
        )


def _check_layers(layers: LayerEdges) -> None:
    ap, b = np.asarray(layers.ap_pa), np.asarray(layers.b)
    if (b[-1] - b[0] or ap[-1] - ap[0]) <= 0:
        raise ConfigError(
            "layers: they stand from the ground up; give edges and fields from space down, both "
            "turned in the axis of levels."
        )
