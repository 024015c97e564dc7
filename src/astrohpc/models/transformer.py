"""A transformer from a planet's parameters to its climate, in sizes up to 13 billion parameters.

The sequence is a token for each parameter, then one for each place of the map (one for the whole
planet, where global means are asked for). All look at all, and each place's token becomes the values
of all channels there: one pass gives the fields.

A thousand climate runs hold some 3 × 10⁸ values; the largest size would want a thousand times as many.
It shows that the engine trains what does not fit one GPU, and is no better climate model.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from astrohpc.errors import ConfigError
from astrohpc.models.settings import TransformerSettings
from astrohpc.models.units import InUnits

_BASE = 10_000.0  # of the rotary angles


class Attention(nn.Module):
    """Each token looks at all of its sample; how far apart they stand is told by rotation."""

    def __init__(self, size: TransformerSettings) -> None:
        super().__init__()
        self.heads = size.heads
        self.ask = nn.Linear(size.hidden, 3 * size.hidden, bias=False)
        self.out = nn.Linear(size.hidden, size.hidden, bias=False)

    def forward(self, x_BTW: Tensor) -> Tensor:
        """What each token takes from the others."""
        batch, time, width = x_BTW.shape
        q, k, v = self.ask(x_BTW).view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        found = nn.functional.scaled_dot_product_attention(rotated(q), rotated(k), v)
        out: Tensor = self.out(found.transpose(1, 2).reshape(batch, time, width))
        return out


class Block(nn.Module):
    """Attention and a feed-forward layer, each beside a path that leaves what comes in as it is."""

    def __init__(self, size: TransformerSettings) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.RMSNorm(size.hidden), nn.RMSNorm(size.hidden)
        self.attention = Attention(size)
        self.up = nn.Linear(size.hidden, size.inner, bias=False)
        self.down = nn.Linear(size.inner, size.hidden, bias=False)

    def forward(self, x_BTW: Tensor) -> Tensor:
        """What comes in, and what this block adds to it."""
        x_BTW = x_BTW + self.attention(self.norm_1(x_BTW))
        added: Tensor = self.down(nn.functional.gelu(self.up(self.norm_2(x_BTW))))
        return x_BTW + added


class Transformer(InUnits):
    """``inputs`` numbers to ``outputs`` channels at each of ``places``, in their own units on both sides.

    Of the table of words an input has two rows (its name, and what one spread of it adds) and a place
    has one; of the table of answers a channel has one. Rows beyond are there for data that need them.
    """

    def __init__(
        self, inputs: int, outputs: int, *, size: TransformerSettings, places: int = 1
    ) -> None:
        super().__init__(inputs, outputs)
        if max(2 * inputs + places, outputs) > size.vocabulary:
            raise ConfigError(
                f"model.vocabulary: {size.vocabulary} rows are too few for {inputs} inputs (two each), "
                f"{places} places and {outputs} channels; write {max(2 * inputs + places, outputs)} or more."
            )
        self.inputs, self.outputs, self.places, self.size = inputs, outputs, places, size
        self.words = nn.Parameter(torch.empty(size.vocabulary, size.hidden))
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.blocks))
        self.norm = nn.RMSNorm(size.hidden)
        self.answers = nn.Parameter(torch.empty(size.vocabulary, size.hidden))

    def beginnings(self) -> Mapping[str, float]:
        """Words of size one, and blocks that together add about as much."""
        found = {"words": 1.0}
        for number in range(self.size.blocks):
            for name, width in (("attention.out", self.size.hidden), ("down", self.size.inner)):
                found[f"blocks.{number}.{name}.weight"] = 1 / math.sqrt(
                    2 * self.size.blocks * width
                )
        return found

    def described(self) -> Mapping[str, str]:
        """Heads and places, which the weights would fit in any number."""
        return {"heads": str(self.size.heads), "places": str(self.places)}

    def forward(self, params_BP: Tensor) -> Tensor:
        """Channels by place: [B, C, K]."""
        kinds = [self.inputs, self.inputs, self.places]
        name_PW, spread_PW, place_KW = torch.split(self.words[: sum(kinds)], kinds)
        value_BP = self.inward(params_BP)
        x_BTW = torch.cat(
            [
                name_PW + value_BP.unsqueeze(-1) * spread_PW,
                place_KW.expand(len(params_BP), -1, -1).to(value_BP.dtype),
            ],
            dim=1,
        )
        for block in self.blocks:
            x_BTW = block(x_BTW)
        normal_BKC = nn.functional.linear(
            self.norm(x_BTW[:, self.inputs :]), self.answers[: self.outputs]
        )
        # Not a view, on which FSDP2 could not hang its hooks.
        return self.outward(normal_BKC).transpose(1, 2).contiguous()


def rotated(x_BHTD: Tensor) -> Tensor:
    """Pairs of numbers turned by an angle that grows with the place: products then know distances only."""
    time, half = x_BHTD.shape[-2], x_BHTD.shape[-1] // 2
    place = torch.arange(time, device=x_BHTD.device, dtype=torch.float32)
    speed = _BASE ** (-torch.arange(half, device=x_BHTD.device, dtype=torch.float32) / half)
    angle = place[:, None] * speed
    cosine, sine = angle.cos().to(x_BHTD.dtype), angle.sin().to(x_BHTD.dtype)
    a, b = x_BHTD.chunk(2, dim=-1)
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], dim=-1)
