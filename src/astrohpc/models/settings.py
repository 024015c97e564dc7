"""What a person may choose about a model; nothing here needs torch."""

from dataclasses import dataclass
from typing import Literal

from astrohpc.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class MlpSettings:
    """The small network from a planet's parameters to its climate."""

    name: Literal["mlp"] = "mlp"
    learns: Literal["means", "fields"] = "means"  # global means, or every level and cell
    width: int = 64
    depth: int = 2  # blocks of two layers
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.width < 1 or self.depth < 0:
            raise ConfigError(
                f"width, depth: {self.width} and {self.depth} make no network; write 1 or more, 0 or more."
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout: {self.dropout} is not a share; write 0 to below 1.")
