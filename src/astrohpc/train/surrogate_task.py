"""What a U-Net learns of mean climates: means and spreads beside those of a first guess.

Values count by area and mass, and variables alike; errors are measured in the usual error of the
guess, so that what it does well and what it does badly weigh the same.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from astrohpc.climates.climates import Climates
from astrohpc.engines.variables import VARIABLES
from astrohpc.errors import ConfigError
from astrohpc.models.settings import UnetSettings
from astrohpc.models.unet import LEAST_SPREAD, MOST_FOLD, Channel, Unet, UnetShape
from astrohpc.train import initial
from astrohpc.train.climate_source import ClimateSource
from astrohpc.train.first_guess import unit_of
from astrohpc.train.soft_laws import SoftLaws
from astrohpc.train.sources import Batch
from astrohpc.train.task import Loss

LEAST_LOG_SPREAD = math.log(LEAST_SPREAD) - MOST_FOLD
_SPREAD_OF_SCALED = 0.29  # of numbers that are everywhere between 0 and 1 alike


class ResidualFields:
    """From a planet's inputs and a first guess of its fields to the fields, each value with its spread."""

    def __init__(self, source: ClimateSource, settings: UnetSettings) -> None:
        assert source.guess is not None
        self.source, self.settings = source, settings
        self.parts = tuple(source.channels)
        self.shape = shape_of(source.climates, settings)
        self._score = SCORES[settings.loss]
        channels = source.weights.shape[0]
        known, guess = slice(0, source.count), source.guess
        errors = source.climates.values[known].astype(np.float64) - guess.mean[known]
        unit = unit_of(errors, source.climates.weights, channels)
        self._unit = torch.from_numpy(unit)
        self.share = torch.from_numpy(source.weights.copy())
        self.laws = None
        if settings.soft:
            self.laws = SoftLaws(
                source.climates, source.count, guess.mean[known].astype(np.float64)
            )
        self._part_of = torch.zeros(channels, dtype=torch.int64)
        for i, part in enumerate(source.channels.values()):
            self._part_of[part] = i

    def model(self) -> nn.Module:
        """A network in the units of its data."""
        return Unet(self.shape)

    def begin(self, model: nn.Module, seed: int) -> None:
        """First weights, which add nothing to the guess, and the size of all numbers."""
        assert isinstance(model, Unet)
        initial.begin(model, seed, model.beginnings())
        known = self.source.climates.values[: self.source.count].astype(np.float64)
        mean, spread = _sizes(known, self.source.weights)
        with torch.no_grad():
            model.input_mean.fill_(0.5)
            model.input_spread.fill_(_SPREAD_OF_SCALED)
            model.output_mean.copy_(torch.from_numpy(mean))
            model.output_spread.copy_(torch.from_numpy(spread))
            model.unit.copy_(self._unit)

    def ahead(self, batch: Batch) -> Batch:
        """Fields as [B, C, cell]."""
        names = {"fields": "targets", "guess": "guess", "spread": "spread"}
        return {"scaled": batch["scaled"], "number": batch["number"]} | {
            new: batch[old].flatten(2) for old, new in names.items()
        }

    def count(self, batch: Batch) -> tuple[float, NDArray[np.float64]]:
        """Of planets and variables; shares of values have the sum one within each."""
        planets, kinds = len(batch["targets"]), len(self.parts)
        return float(planets * kinds), np.full(kinds, float(planets))

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The score of every value, by its share."""
        mean, spread = model(batch["scaled"], batch["guess"], batch["spread"])
        # In float32 at least, for variances of bfloat16 are no variances.
        with torch.autocast(mean.device.type, enabled=False):
            unit = self._unit.to(mean.device, mean.dtype)[:, None]
            share = self.share.to(mean.device, mean.dtype)
            error = (batch["targets"] - mean) / unit
            # What is validated is not made smaller by a weight: the same proper score for every loss.
            score = self._score if torch.is_grad_enabled() else crps
            scores = score(error, spread / unit, self.settings.beta) * share
        total = scores.sum()
        if self.laws is not None and torch.is_grad_enabled():
            broken = self.laws(mean, batch["number"]).sum()
            total = total + self.settings.soft * len(self.parts) * broken
        with torch.no_grad():
            squares = (error.detach() * unit).square() * share
            parts, by_part = self._by_part(scores.detach()), self._by_part(squares)
        return Loss(total, parts, by_part)

    def predict(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the data have, and what the network makes of the same planets."""
        mean, _ = model(batch["scaled"], batch["guess"], batch["spread"])
        return batch["targets"], mean

    def _by_part(self, values_BCK: Tensor) -> Tensor:
        found = values_BCK.new_zeros(len(self.parts))
        return found.index_add_(0, self._part_of.to(found.device), values_BCK.sum((0, 2)))


def likelihood(error: Tensor, spread: Tensor, beta: float) -> Tensor:
    """The negative logarithm of a normal density, weighted by the variance to the power ``beta``.

    Unweighted (0), what is hard to fit gets a large spread and then hardly any gradient. A constant,
    which no gradient sees, keeps it above zero, so that guards can tell what is many times as much.
    """
    score = 0.5 * (error / spread).square() + spread.log() - LEAST_LOG_SPREAD
    return score * spread.detach().pow(2.0 * beta) if beta else score


def crps(error: Tensor, spread: Tensor, beta: float) -> Tensor:  # noqa: ARG001 - one signature
    """The continuous ranked probability score of a normal distribution, in closed form."""
    z = error / spread
    below = torch.erf(z / math.sqrt(2.0))  # twice the share below z, less one
    density = torch.exp(-0.5 * z.square()) / math.sqrt(2.0 * math.pi)
    return spread * (z * below + 2.0 * density - 1.0 / math.sqrt(math.pi))


SCORES: Mapping[str, Callable[[Tensor, Tensor, float], Tensor]] = {"nll": likelihood, "crps": crps}


def shape_of(climates: Climates, settings: UnetSettings) -> UnetShape:
    """The network for these fields; ConfigError where they are none."""
    lat, lon = climates.axes.get("lat"), climates.axes.get("lon")
    if lat is None or lon is None or not all(one.shape for one in climates.variables):
        raise ConfigError(
            f"model: a U-Net learns fields, and {climates.source} has numbers without a map; take "
            "model=scalar."
        )
    levels = {one.shape[0] for one in climates.variables if one.levels}
    if len(levels) > 1:
        raise ConfigError(
            f"train.data.variables: those of {climates.source} have {sorted(levels)} levels; name variables "
            "of one kind."
        )
    layered = next((one.name for one in climates.variables if one.levels), None)
    depth: tuple[float, ...] = ()
    if layered is not None:
        thick = climates.weights[climates.places[layered]].reshape(levels.pop(), -1).sum(axis=1)
        depth = tuple(float(one) for one in np.cumsum(thick) - 0.5 * thick)
    return UnetShape(
        inputs=len(climates.inputs),
        variables=tuple(
            Channel(name=one.name, levels=one.shape[0] if one.levels else 0, odd=_is_odd(one.of))
            for one in climates.variables
        ),
        lat=tuple(float(one) for one in lat),
        lon=tuple(float(one) for one in lon),
        depth=depth,
        width=settings.width,
        stages=settings.stages,
        blocks=settings.blocks,
        patch=settings.patch,
        dropout=settings.dropout,
    )


def _is_odd(name: str) -> bool:
    """Whether a variable is a component of a horizontal vector."""
    known = VARIABLES.get(name)
    words = known.standard_name or "" if known is not None else ""
    return "eastward" in words or "northward" in words


def _sizes(
    values: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and spread of each channel over planets and cells."""
    rows = values.reshape(len(values), *weights.shape)
    share = weights / weights.sum(axis=1, keepdims=True)
    mean = np.einsum("bck,ck->c", rows, share) / len(rows)
    variance = np.einsum("bck,ck->c", np.square(rows - mean[:, None]), share) / len(rows)
    return mean, np.where(variance > 0, np.sqrt(variance), 1.0)
