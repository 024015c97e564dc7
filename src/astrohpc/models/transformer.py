"""A causal transformer over tokens, in sizes up to 13 billion parameters: a load for the training engine.

A thousand climate runs hold some 3 × 10⁸ values; a model of this size would want a thousand times as
many. It shows that the engine trains what does not fit one GPU, and is no better climate model.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from astrohpc.errors import ConfigError

_BASE = 10_000.0  # of the rotary angles


@dataclass(frozen=True, kw_only=True)
class TransformerSize:
    """The sizes that decide the count; the default has 13.15 billion (with 63 blocks 12.95)."""

    hidden: int = 4096
    heads: int = 64
    inner: int = 16384  # of the feed-forward layers
    vocabulary: int = 32000
    blocks: int = 64

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 1 or self.hidden % (2 * self.heads):
            raise ConfigError(
                f"heads: a width of {self.hidden} is no whole even number for each of {self.heads}; write "
                "sizes from 1 on, and a width that twice the heads divide."
            )

    @property
    def parameters(self) -> int:
        """How many there are: matrices without biases, a scale for each norm, embedding and output apart."""
        block = 4 * self.hidden**2 + 2 * self.hidden * self.inner + 2 * self.hidden
        return self.blocks * block + 2 * self.vocabulary * self.hidden + self.hidden


class Attention(nn.Module):
    """Each token looks at itself and those before it; places are told by rotation."""

    def __init__(self, size: TransformerSize) -> None:
        super().__init__()
        self.heads = size.heads
        self.ask = nn.Linear(size.hidden, 3 * size.hidden, bias=False)
        self.out = nn.Linear(size.hidden, size.hidden, bias=False)

    def forward(self, x_BTW: Tensor) -> Tensor:
        """What each token takes from those before it."""
        batch, time, width = x_BTW.shape
        q, k, v = self.ask(x_BTW).view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        found = nn.functional.scaled_dot_product_attention(
            rotated(q), rotated(k), v, is_causal=True
        )
        out: Tensor = self.out(found.transpose(1, 2).reshape(batch, time, width))
        return out


class Block(nn.Module):
    """Attention and a feed-forward layer, each beside a path that leaves what comes in as it is."""

    def __init__(self, size: TransformerSize) -> None:
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


class Transformer(nn.Module):
    """Scores of the next token, from tokens [B, T] to [B, T, vocabulary]."""

    def __init__(self, size: TransformerSize) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size.vocabulary, size.hidden)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.blocks))
        self.norm = nn.RMSNorm(size.hidden)
        self.out = nn.Linear(size.hidden, size.vocabulary, bias=False)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """The scores."""
        x_BTW = self.embedding(tokens_BT)
        for block in self.blocks:
            x_BTW = block(x_BTW)
        scores: Tensor = self.out(self.norm(x_BTW))
        return scores


def rotated(x_BHTD: Tensor) -> Tensor:
    """Pairs of numbers turned by an angle that grows with the place: products then know distances only."""
    time, half = x_BHTD.shape[-2], x_BHTD.shape[-1] // 2
    place = torch.arange(time, device=x_BHTD.device, dtype=torch.float32)
    speed = _BASE ** (-torch.arange(half, device=x_BHTD.device, dtype=torch.float32) / half)
    angle = place[:, None] * speed
    cosine, sine = angle.cos().to(x_BHTD.dtype), angle.sin().to(x_BHTD.dtype)
    a, b = x_BHTD.chunk(2, dim=-1)
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], dim=-1)
