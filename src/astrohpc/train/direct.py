"""Networks that know no first guess, over mean climates: the transformer's fields, and the small network's.

They say no spread of their own. What they missed of the planets that they validate with, by channel,
stands for it; a calibration over planets makes intervals of that.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from astrohpc.emulate.base import Array, Prediction
from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic
from astrohpc.models.mlp import MlpSurrogate
from astrohpc.models.settings import (
    MlpSettings,
    ModelSettings,
    TransformerSettings,
    model_settings,
)
from astrohpc.models.transformer import Transformer
from astrohpc.models.units import InUnits
from astrohpc.train.climate_source import ClimateSource, as_params
from astrohpc.train.fields import Fields
from astrohpc.train.networks import best, best_tensors
from astrohpc.train.run import DIRECT

_AT_ONCE = 16  # planets
Plain = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Direct:
    """From planets' inputs to rows of values, and how far off those usually are."""

    plain: Plain
    network: InUnits
    spread: Array  # [value]

    @classmethod
    def of(cls, run: Path) -> Self:
        """Of a finished run's folder."""
        try:
            plain = json.loads((run / DIRECT).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{run}: its {DIRECT} cannot be read ({error}); 'launch train' writes it after the last step."
            ) from error
        spread = np.repeat(plain.pop("spread"), plain["places"])
        return cls(plain, _made(plain, best_tensors(run)), spread)

    def predict(self, scaled: Array) -> Prediction:
        """Means, and the same spread for all planets."""
        mean = np.empty((len(scaled), len(self.spread)))
        for begin in range(0, len(scaled), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            with torch.inference_mode():
                found = self.network(torch.from_numpy(as_params(scaled[part])).float())
            mean[part] = found.double().flatten(1).numpy()
        return Prediction(mean, np.broadcast_to(self.spread, mean.shape).copy())

    def state(self) -> tuple[Plain, dict[str, NDArray[Any]]]:
        """Constructor arguments in plain words, and tensors."""
        tensors = {
            name: one.detach().cpu().numpy() for name, one in self.network.state_dict().items()
        }
        return self.plain, {**tensors, "spread": self.spread}

    @classmethod
    def restored(cls, said: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """From ``state``."""
        tensors = {
            name: torch.from_numpy(np.array(one))
            for name, one in arrays.items()
            if name != "spread"
        }
        return cls(dict(said), _made(said, tensors), np.asarray(arrays["spread"], np.float64))


def settle(run: Path, task: Fields, source: ClimateSource, model: ModelSettings) -> None:
    """Write down what a finished network is made of, and what it missed of the planets to validate with."""
    plain: Plain = {
        "model": asdict(model),
        "inputs": len(source.inputs),
        "outputs": len(source.weights),
        "places": source.weights.shape[1],
        "variables": [
            {"name": one.name, "levels": one.shape[0] if one.levels else 0}
            for one in source.climates.variables
        ],
        "data": source.digest,
    }
    network = _made(plain, best_tensors(run))
    numbers = np.arange(source.count, source.count + source.held_out)
    squares = np.zeros(len(source.weights))
    share = source.weights / source.weights.sum(axis=1, keepdims=True)
    for number in numbers:
        batch = task.ahead(source.read(np.array([number]), source.room(1, pinned=False)))
        with torch.inference_mode():
            missed = (network(batch["params"]) - batch["targets"])[0].double().numpy()
        squares += (np.square(missed) * share).sum(axis=1)
    usual = network.output_spread.double().numpy()
    missed_by = np.sqrt(squares / len(numbers)) if len(numbers) else usual
    plain["spread"] = [float(one) for one in missed_by]
    plain["step"] = best(run)[1].step
    write_atomic(run / DIRECT, json.dumps(plain, indent=1) + "\n")


def _made(plain: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> InUnits:
    settings, places = model_settings(plain["model"]), plain["places"]
    sizes = plain["inputs"], plain["outputs"]
    if isinstance(settings, TransformerSettings):
        model: InUnits = Transformer(*sizes, size=settings, places=places)
    else:
        assert isinstance(settings, MlpSettings)
        own = {name: getattr(settings, name) for name in ("width", "depth", "dropout")}
        model = MlpSurrogate(*sizes, places=places, **own)
    model.load_state_dict(dict(tensors))
    return model.eval()
