"""A U-Net over whole atmospheres: what a planet's climate is beside a first guess of it, and how sure.

It sees the first guess as fields (levels x latitudes x longitudes), and the planet's parameters, which
scale and shift the channels of every block (FiLM). Its last layers begin at zero: before the first step
it says what the guess says, with the guess's own spread.

A network of some hundred thousand weights over maps of 32 x 64 is made of horizontal convolutions and
of matrices between neighbouring levels; together they see three dimensions, at a third of the cost of
cubes.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from astrohpc.models.sphere import continued, gathered, neighbours, spread_out
from astrohpc.models.units import InUnits
from astrohpc.settings import build

_ODD_SHARE = 4  # of the channels within, one in so many is taken for a component of a vector
_LEAST_CELLS = 4  # along an axis that is still halved: fewer say nothing of a pattern
LEAST_SPREAD = 0.05  # in units of the residual: a guess that is surer of a value is not believed
MOST_FOLD = 3.0  # the spread changes by no more than this power of e
_TOLD = 64  # numbers that a planet's parameters become


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One variable of the fields; ``levels`` 0 for a map. ``odd``: a component of a horizontal vector."""

    name: str
    levels: int = 0
    odd: bool = False


@dataclass(frozen=True, kw_only=True)
class UnetShape:
    """All that makes the network, in plain words: with its tensors they are the network again."""

    inputs: int
    variables: tuple[Channel, ...]
    lat: tuple[float, ...]  # degrees
    lon: tuple[float, ...]
    depth: tuple[float, ...]  # of each level: the share of the air that lies above
    width: int = 32
    stages: int = 2
    blocks: int = 1
    patch: int = 2
    dropout: float = 0.0

    @property
    def cells(self) -> tuple[int, int, int]:
        """Levels, rows and columns; one level where there are none."""
        return max(1, len(self.depth)), len(self.lat), len(self.lon)

    def plain(self) -> dict[str, Any]:
        """For a JSON file."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found


class Block(nn.Module):
    """What a cell, those around it and those above and below make of each other, told of the planet."""

    def __init__(self, width: int, told: int, dropout: float) -> None:
        super().__init__()
        self.width, self.odd = width, width // _ODD_SHARE
        self.film = nn.Linear(told, 2 * width)
        self.around = nn.Conv2d(width, width, 3)
        self.up = nn.Linear(3 * width, 2 * width)
        self.drop = nn.Dropout(dropout)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x_BLHWC: Tensor, told_BF: Tensor) -> Tensor:
        """What comes in, and what this block adds to it."""
        scale, shift = self.film(told_BF)[:, None, None, None].chunk(2, dim=-1)
        y = functional.layer_norm(x_BLHWC, (self.width,)) * (1.0 + scale) + shift
        y = _convolved(self.around, y, self.odd)
        y = functional.gelu(self.up(neighbours(functional.gelu(y))))
        added: Tensor = self.down(self.drop(y))
        return x_BLHWC + added


class Unet(InUnits):
    """Scaled inputs and a first guess with its spread to a better mean and spread, [B, channel, cell]."""

    unit: Tensor
    trust: Tensor
    places: Tensor

    def __init__(self, shape: UnetShape) -> None:
        channels = sum(max(1, one.levels) for one in shape.variables)
        super().__init__(shape.inputs, channels)
        self.shape = shape
        self.layered = [one for one in shape.variables if one.levels]
        self.flat = [one for one in shape.variables if not one.levels]
        # What a spread of the residual is: the unit in which this network thinks.
        self.register_buffer("unit", torch.ones(channels, device="cpu"))
        # How far each channel is believed, from 0 (the guess alone) to 1.
        self.register_buffer("trust", torch.ones(channels, device="cpu"))
        self.register_buffer("places", _places(shape), persistent=False)
        self.steps = _halvings(shape)
        widths = [shape.width * (1 + stage) for stage in range(len(self.steps))]
        _, rows, columns = self.steps[0]
        seen = 2 * len(shape.variables) + len(self.places)
        self.told = nn.ModuleList([nn.Linear(shape.inputs, _TOLD), nn.Linear(_TOLD, _TOLD)])
        self.first = nn.Conv2d(seen, widths[0], (rows + 2, columns + 2), (rows, columns))
        along = [*range(len(widths)), *range(len(widths) - 2, -1, -1)]  # down and up again
        self.stages = [stage for stage in along for _ in range(shape.blocks)]
        self.blocks = nn.ModuleList(
            Block(widths[stage], _TOLD, shape.dropout) for stage in self.stages
        )
        cells = [int(np.prod(step)) for step in self.steps]
        self.narrow = nn.ModuleList(
            nn.Linear(cells[k + 1] * a, b) for k, (a, b) in enumerate(pairwise(widths))
        )
        self.widen = nn.ModuleList(
            nn.Linear(b, cells[k + 1] * a) for k, (a, b) in enumerate(pairwise(widths))
        )
        self.join = nn.ModuleList(nn.Linear(2 * width, width) for width in widths[:-1])
        self.last = nn.ModuleDict()
        if self.layered:
            self.last["layered"] = nn.Linear(widths[0], 2 * len(self.layered) * rows * columns)
        if self.flat:
            self.last["flat"] = nn.Linear(2 * widths[0], 2 * len(self.flat) * rows * columns)

    @classmethod
    def of(cls, plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "Unet":
        """The network that :meth:`UnetShape.plain` and a state describe."""
        model = cls(build(UnetShape, plain, "network"))
        model.load_state_dict(dict(tensors))
        return model.eval()

    def beginnings(self) -> Mapping[str, float]:
        """Nothing is added to the guess at first, and planets are treated nearly alike."""
        zero = {f"last.{name}.weight": 0.0 for name in self.last}
        return zero | {f"blocks.{i}.film.weight": 0.1 for i in range(len(self.blocks))}

    def described(self) -> Mapping[str, str]:
        """Where the cells lie and what the channels are."""
        plain = self.shape.plain()
        return {name: json.dumps(plain[name]) for name in ("variables", "lat", "lon", "depth")}

    def forward(
        self, scaled_BP: Tensor, guess_BCK: Tensor, spread_BCK: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, in the units of the data."""
        unit_C1 = self.unit[:, None]
        spread_BCK = torch.maximum(spread_BCK.to(unit_C1.dtype), LEAST_SPREAD * unit_C1)
        told = (scaled_BP - self.input_mean) / self.input_spread
        for layer in self.told:
            told = functional.gelu(layer(told))
        x = self._stem(guess_BCK, spread_BCK)
        x = self._through(x, told)
        more_BCK, fold_BCK = self._answers(x).to(self.unit.dtype).unbind(-1)
        fold_BCK = MOST_FOLD * torch.tanh(fold_BCK / MOST_FOLD)
        trust_C1 = self.trust[:, None]
        return guess_BCK + trust_C1 * unit_C1 * more_BCK, spread_BCK * (trust_C1 * fold_BCK).exp()

    def _stem(self, guess_BCK: Tensor, spread_BCK: Tensor) -> Tensor:
        """Guess, its spread, and where a cell is; groups of cells become one."""
        normal = (guess_BCK - self.output_mean[:, None]) / self.output_spread[:, None]
        unsure = (spread_BCK / self.unit[:, None]).log()
        fields = [*self._apart(unsure), *self._apart(normal)]
        # Components of vectors last: across a pole they change their sign.
        odd = [False] * len(self.shape.variables) + [one.odd for one in self.shape.variables]
        places = self.places.to(normal.dtype).expand(len(normal), -1, -1, -1, -1).unbind(1)
        even_fields = [one for one, is_odd in zip(fields, odd, strict=True) if not is_odd]
        odd_fields = [one for one, is_odd in zip(fields, odd, strict=True) if is_odd]
        x_BLHWC = torch.stack([*places, *even_fields, *odd_fields], dim=-1)
        return _convolved(self.first, x_BLHWC, len(odd_fields))

    def _through(self, x: Tensor, told: Tensor) -> Tensor:
        """Down to ever larger cells and up again, past what was there on the way down."""
        kept: list[Tensor] = []
        before = 0
        for stage, block in zip(self.stages, self.blocks, strict=True):
            if stage > before:
                kept.append(x)
                x = self.narrow[before](gathered(x, self.steps[stage]))
            elif stage < before:
                x = spread_out(self.widen[stage](x), self.steps[before])
                x = self.join[stage](torch.cat([x, kept.pop()], dim=-1))
            x, before = block(x, told), stage
        return x

    def _answers(self, x_BLHWC: Tensor) -> Tensor:
        """[B, C, K, 2]: the residual in its units, and by which power of e the spread is another."""
        _, rows, columns = self.steps[0]
        x_BLHWC = functional.layer_norm(x_BLHWC, (x_BLHWC.shape[-1],))
        found: dict[str, Tensor] = {}
        if self.layered:
            y = spread_out(self.last["layered"](x_BLHWC), (1, rows, columns)).flatten(2, 3)
            for one, y_BLK2 in zip(self.layered, y.chunk(len(self.layered), -1), strict=True):
                found[one.name] = y_BLK2
        if self.flat:
            column = torch.cat([x_BLHWC.mean(1, keepdim=True), x_BLHWC[:, -1:]], dim=-1)
            y = spread_out(self.last["flat"](column), (1, rows, columns)).flatten(2, 3)
            for one, y_BLK2 in zip(self.flat, y.chunk(len(self.flat), -1), strict=True):
                found[one.name] = y_BLK2
        return torch.cat([found[one.name] for one in self.shape.variables], dim=1)

    def _apart(self, x_BCK: Tensor) -> list[Tensor]:
        """Each variable as [B, L, H, W]; a map is the same on all levels."""
        levels, rows, columns = self.shape.cells
        sizes = [max(1, one.levels) for one in self.shape.variables]
        x_BCHW = x_BCK.reshape(*x_BCK.shape[:2], rows, columns)
        parts = torch.split(x_BCHW, sizes, dim=1)
        return [part.expand(-1, levels, -1, -1) for part in parts]


def _convolved(layer: nn.Module, x_BLHWC: Tensor, odd: int) -> Tensor:
    """A horizontal convolution on every level."""
    x_NHWC = continued(x_BLHWC.flatten(0, 1), odd)
    found: Tensor = layer(x_NHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return found.reshape(*x_BLHWC.shape[:2], *found.shape[1:])


def _halvings(shape: UnetShape) -> list[tuple[int, int, int]]:
    """By how much cells become larger before each stage, by axis: where an even number is left."""
    cells = list(shape.cells)
    found = []
    for stage in range(shape.stages + 1):
        wanted = [1, shape.patch, shape.patch] if stage == 0 else [2, 2, 2]
        step = [
            by if size % by == 0 and size >= _LEAST_CELLS * by else 1
            for size, by in zip(cells, wanted, strict=True)
        ]
        if stage and step == [1, 1, 1]:
            break
        cells = [size // by for size, by in zip(cells, step, strict=True)]
        found.append((step[0], step[1], step[2]))
    return found


def _places(shape: UnetShape) -> Tensor:
    """Where each cell is, as numbers of about one: [place, L, H, W]."""
    lat, lon = np.radians(shape.lat)[:, None], np.radians(shape.lon)[None, :]
    depth = np.array(shape.depth or [0.5])[:, None, None]
    found = [np.sin(lat), np.cos(lat), np.sin(lon), np.cos(lon), 2.0 * depth - 1.0]
    whole = np.stack([np.broadcast_to(one, shape.cells) for one in found])
    return torch.from_numpy(np.ascontiguousarray(whole, np.float32))
