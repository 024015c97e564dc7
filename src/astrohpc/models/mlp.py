"""A small network from a planet's parameters to numbers of its climate: for examples, tests and baselines."""

from torch import Tensor, nn

from astrohpc.models.units import InUnits


class Block(nn.Module):
    """Two layers beside a path that leaves what comes in as it is."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.drop = nn.Dropout(dropout)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x_BW: Tensor) -> Tensor:
        """What comes in, and what this block adds to it."""
        added: Tensor = self.down(self.drop(nn.functional.gelu(self.up(self.norm(x_BW)))))
        return x_BW + added


class MlpSurrogate(InUnits):
    """``inputs`` numbers to ``outputs`` numbers, in their own units on both sides; to so many at each place.

    Given places, it returns [B, C, place].
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        places: int = 0,
        width: int = 64,
        depth: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(inputs, outputs)
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(Block(width, dropout) for _ in range(depth))
        self.places = places
        self.last = nn.Linear(width, outputs * (places or 1))

    def forward(self, params_BP: Tensor) -> Tensor:
        """The outputs in their own units."""
        x_BW = self.first(self.inward(params_BP))
        for block in self.blocks:
            x_BW = block(x_BW)
        out = self.last(x_BW)
        if not self.places:
            return self.outward(out)
        # A copy, for FSDP2 warns of views.
        return self.outward(out.unflatten(1, (self.places, -1))).transpose(1, 2).clone()
