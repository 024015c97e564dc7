"""What a person may choose about a model; nothing here needs torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from astrohpc.errors import ConfigError
from astrohpc.settings import build, suggest


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


@dataclass(frozen=True, kw_only=True)
class TransformerSettings:
    """The transformer; its sizes alone decide the count. The default has 13.15 billion (63 blocks: 12.95)."""

    name: Literal["transformer"] = "transformer"
    # The global means of the fields, or the fields: a token for each cell of the map.
    mode: Literal["scalar", "datacube"] = "datacube"
    hidden: int = 4096
    heads: int = 64
    inner: int = 16384  # of the feed-forward layers
    vocabulary: int = 32000  # rows of the table of words, and of that of answers
    blocks: int = 64

    def __post_init__(self) -> None:
        sizes = (self.hidden, self.heads, self.inner, self.vocabulary, self.blocks)
        if min(sizes) < 1 or self.hidden % (2 * self.heads):
            raise ConfigError(
                f"heads: a width of {self.hidden} is no whole even number for each of {self.heads}; write "
                "sizes from 1 on, and a width that twice the heads divide."
            )

    @property
    def parameters(self) -> int:
        """How many there are: matrices without biases, a scale for each norm, words and answers apart."""
        block = 4 * self.hidden**2 + 2 * self.hidden * self.inner + 2 * self.hidden
        return self.blocks * block + 2 * self.vocabulary * self.hidden + self.hidden


@dataclass(frozen=True, kw_only=True)
class UnetSettings:
    """The U-Net over mean climates, which learns what a first guess leaves out."""

    name: Literal["unet"] = "unet"
    # What is guessed first: a method of ``emulate``, tuned by cross-validation over planets.
    guess: Literal["mean", "ridge", "quadratic", "pca_gp"] = "pca_gp"
    trials: int = 8  # settings of the guess that are tried
    folds: int = 5  # of planets, each guessed by what learned from the others
    width: int = 32  # channels of the finest stage; the n-th has n times as many
    stages: int = 2  # times that cells are doubled after the patches
    blocks: int = 1  # of a stage, on the way down and up
    patch: int = 2  # cells by cells that the first layer takes as one
    dropout: float = 0.1
    loss: Literal["nll", "crps"] = "nll"
    # Of nll: 0 is the likelihood, 1 weighs squared errors alike however unsure it is.
    beta: float = 0.5
    # Of conservation laws, in their residuals of the guess, beside the loss of a variable.
    soft: float = 0.0

    def __post_init__(self) -> None:
        if min(self.width, self.blocks, self.patch, self.trials) < 1 or self.stages < 0:
            raise ConfigError(
                "width, stages, blocks, patch, trials: these make no network; write 1 or more, stages 0 "
                "or more."
            )
        if self.folds < 2:
            raise ConfigError(f"folds: {self.folds} leave nothing to guess from; write 2 or more.")
        for name, most in (("dropout", 0.9), ("beta", 1.0), ("soft", 100.0)):
            if not 0 <= getattr(self, name) <= most:
                raise ConfigError(
                    f"{name}: {getattr(self, name)} is out of bounds; write 0 to {most:g}."
                )


ModelSettings = MlpSettings | TransformerSettings | UnetSettings
KINDS: Mapping[str, type[MlpSettings] | type[TransformerSettings] | type[UnetSettings]] = {
    "mlp": MlpSettings,
    "transformer": TransformerSettings,
    "unet": UnetSettings,
}


def model_settings(written: Mapping[str, Any]) -> ModelSettings:
    """The settings of the model that ``name`` says, by default the small network."""
    name = written.get("name", "mlp")
    if name not in KINDS:
        raise ConfigError(f"model.name: there is no model {name!r}{suggest(str(name), KINDS)}")
    return build(KINDS[name], written, "model")
