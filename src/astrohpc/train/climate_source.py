"""Mean climates as samples: a planet a sample, those to validate with behind those to train on.

Planets to test with, and those of the corner, are not among them, so that no training can have seen
them. A batch has ``scaled`` inputs of 0 to 1, the same as ``params`` of 1 to 2, ``fields``, the ``number``
of each planet, and where there is a first guess ``guess`` and ``spread``.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrohpc.climates.climates import Array, Climates
from astrohpc.climates.split import Split, split
from astrohpc.climates.store import from_store
from astrohpc.errors import ConfigError
from astrohpc.files import digest
from astrohpc.models.settings import ModelSettings, UnetSettings
from astrohpc.store.scenes import Axis
from astrohpc.store.schema import META
from astrohpc.train.about import About, Variable
from astrohpc.train.engines.base import Engine
from astrohpc.train.first_guess import FirstGuess, first_guess
from astrohpc.train.plan import Indices
from astrohpc.train.settings import DataSettings, TrainSettings
from astrohpc.train.sources import Batch


class ClimateSource:
    """Samples of some climates, parted by planet."""

    shards: Indices | None = None
    lengths: Indices | None = None

    def __init__(self, climates: Climates, parts: Split, guess: FirstGuess | None = None) -> None:
        self.parts, self.guess = parts, guess
        self.climates = climates.take(np.concatenate([parts.train, parts.validation]))
        self.count, self.held_out = len(parts.train), len(parts.validation)
        self.inputs = tuple(one.name for one in climates.inputs)
        self._cells = cells_of(climates)
        cells = int(np.prod(self._cells))
        self.channels: Mapping[str, slice] = {
            name: slice(part.start // cells, part.stop // cells)
            for name, part in climates.places.items()
        }
        channels = climates.values.shape[1] // cells
        self.weights = climates.weights.reshape(channels, cells)
        self.area = (self.weights.mean(axis=0) / self.weights.mean()).reshape(self._cells)
        shape = (len(self.climates), channels, *self._cells)
        self._arrays: dict[str, NDArray[Any]] = {
            "params": as_params(self.climates.scaled).astype(np.float32),
            "fields": self.climates.values.reshape(shape),
            "scaled": self.climates.scaled.astype(np.float32),
            "number": np.arange(len(self.climates)),
        }
        if guess is not None:
            self._arrays |= {
                "guess": guess.mean.reshape(shape),
                "spread": guess.spread.reshape(shape),
            }

    @cached_property
    def about(self) -> About:
        """What its numbers are, for people."""
        axes = self.climates.axes
        found = []
        cells = tuple(
            Axis(name, name, "degrees", axes[name])
            for name in ("lat", "lon")
            if len(axes.get(name, ())) > 1
        )
        for one in self.climates.variables:
            own = cells
            if one.levels:
                own = (
                    Axis("level", "vertical", "", np.arange(1.0, one.shape[0] + 1), True),
                    *cells,
                )
            unit = "" if one.unit == "1" else one.unit
            found.append(Variable(one.name, one.long_name, unit, own, one.levels))
        return About(self.climates.mark, tuple(found), lambda number: self.climates.names[number])

    @cached_property
    def digest(self) -> str:
        """Of the climates, of who is trained on, and of what was guessed first."""
        return digest([self.climates.digest, self.count]) if self.guess is None else self.guess.seen

    def room(self, count: int, *, pinned: bool) -> Batch:
        """Memory for a batch."""
        return {
            name: torch.empty(
                (count, *one.shape[1:]),
                dtype=torch.int64 if one.dtype.kind == "i" else torch.float32,
                pin_memory=pinned,
            )
            for name, one in self._arrays.items()
        }

    def read(self, samples: Indices, out: Batch) -> Batch:
        """Copy planets."""
        found = {name: tensor[: len(samples)] for name, tensor in out.items()}
        for name, tensor in found.items():
            tensor.numpy()[...] = self._arrays[name][samples]
        return found

    def all_params(self) -> NDArray[np.float64]:
        """The inputs of all planets to train on: [planet, P]."""
        return as_params(self.climates.scaled[: self.count])


def as_params(scaled: Array) -> Array:
    """Inputs for models that take those that span much for logarithms: 1 to 2, for these are so already."""
    return 1.0 + scaled


def open_climates(
    train: TrainSettings, model: ModelSettings, folder: Path, engine: Engine
) -> ClimateSource:
    """The climates that settings name, with a first guess where the model wants one."""
    data = train.data
    climates = engine.together(lambda: _read(data, folder))
    parts = engine.together(lambda: _parted(climates, train))
    guess = None
    if isinstance(model, UnetSettings):
        guess = first_guess(climates, parts, model, data.split.seed, folder, engine)
    return ClimateSource(climates, parts, guess)


def cells_of(climates: Climates) -> tuple[int, ...]:
    """The cells of a map, which all variables share; one where they are numbers."""
    shapes = {one.shape[1:] if one.levels else one.shape for one in climates.variables}
    if len(shapes) > 1:
        raise ConfigError(
            f"train.data.variables: those of {climates.source} have different maps ({sorted(shapes)}); name "
            "variables of one."
        )
    return shapes.pop() or (1,)


def _read(data: DataSettings, base: Path) -> Climates:
    path = (base / Path(data.source).expanduser()).absolute()
    if not (path / META).is_file():
        raise ConfigError(
            f"train.data.source: {path} is no store of a sweep, of which mean climates could be made; run "
            "'launch convert' first."
        )
    if data.inputs or data.tokens:
        raise ConfigError(
            "train.data.inputs, train.data.tokens: mean climates have all inputs that differ, and one "
            "length; leave these out."
        )
    return from_store(path, data.variables, unconverged=data.unconverged)


def _parted(climates: Climates, train: TrainSettings) -> Split:
    parts = split(climates, train.data.split)
    if train.validate_every and not len(parts.validation):
        raise ConfigError(
            f"train.data.split.validation: it leaves none of {len(climates)} planets to validate with; "
            "write a larger share, or train.validate_every=0."
        )
    return parts
