"""What a finished training leaves for use: networks in plain words and tensors, and what they start from.

    for plain, tensors in networks(folder):
        network = rebuilt(plain, tensors)

The checkpoint that validated best is taken, with the running mean of its weights where there is one.
What a network adds is believed as far as validation told at the end (``trust.py``).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from astrohpc.emulate.base import Array, Emulator, Prediction
from astrohpc.errors import ConfigError
from astrohpc.models.unet import Unet
from astrohpc.train import shards
from astrohpc.train.checkpoint import Manifest, folder_of, read, read_manifest, steps_there, verify
from astrohpc.train.first_guess import FirstGuess, read_guess
from astrohpc.train.run import CHECKPOINTS, NETWORK, TRUST, Run
from astrohpc.train.tensorfile import Unreadable

_AT_ONCE = 16  # planets

Plain = dict[str, Any]
State = dict[str, Tensor]


def networks(folder: Path) -> list[tuple[Plain, State]]:
    """Of a run's folder, or of each member of an ensemble."""
    return [written(member) for member in members(folder)]


def rebuilt(plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Unet:
    """The network itself, ready for use; nothing else is read."""
    return Unet.of(plain, tensors)


def guess_of(folder: Path) -> FirstGuess:
    """What the networks of a run start from; members of an ensemble start from the same."""
    member = members(folder)[0]
    _, manifest = best(member)
    return read_guess(member, manifest.made_of["data"])


def members(folder: Path) -> list[Path]:
    """The folders of an ensemble's members, or that of the run, being alone."""
    run = Run.of(folder.absolute())
    return [one.folder for one in run.members] or [run.folder]


def best(run: Path) -> tuple[Path, Manifest]:
    """The checkpoint that validated best, or the newest where none was validated."""
    found: list[tuple[float, int, Path, Manifest]] = []
    for step in steps_there(run / CHECKPOINTS):
        folder = folder_of(run / CHECKPOINTS, step)
        try:
            manifest = read_manifest(folder)
        except Unreadable:
            continue
        if not verify(folder, manifest, sorted(manifest.files)):
            score = float("inf") if manifest.score is None else manifest.score
            found.append((score, -step, folder, manifest))
    if not found:
        raise ConfigError(
            f"{run}: it has no whole checkpoint yet; run 'launch train' to its end first."
        )
    _, _, folder, manifest = min(found, key=lambda one: one[:2])
    return folder, manifest


def written(run: Path) -> tuple[Plain, State]:
    """The network of one training, from its best checkpoint."""
    try:
        plain = json.loads((run / NETWORK).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{run}: its {NETWORK} cannot be read ({error}); it is written by 'launch train model=unet'."
        ) from error
    _, manifest = best(run)
    tensors = best_tensors(run)
    tensors["trust"] = _trust(run, plain, manifest.step, tensors["trust"])
    return plain, tensors


def best_tensors(run: Path) -> State:
    """Weights and buffers of the best checkpoint, whole, however many ranks wrote them."""
    folder, manifest = best(run)
    content = read(folder, manifest, lambda name: name.startswith(("model", "mean", "loop")))
    if content.plain["loop"]["sharded"]:
        content = shards.joined(content, manifest.ranks, {})
    return dict(content.tensors["model"]) | dict(content.tensors.get("mean", {}))


def _trust(run: Path, plain: Plain, step: int, whole: Tensor) -> Tensor:
    """How far each channel is believed; wholly, if nobody has asked yet."""
    path = run / TRUST
    said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if said.get("step") != step:
        return whole
    channels = [
        said["trust"][one["name"]]
        for one in plain["variables"]
        for _ in range(max(1, one["levels"]))
    ]
    return torch.tensor(channels, dtype=whole.dtype)


@dataclass(frozen=True, eq=False)
class Surrogate:
    """Networks beside one first guess: planets in, means and spreads out, as an emulator does."""

    emulator: Emulator
    networks: Sequence[Unet]

    @classmethod
    def of(cls, folder: Path) -> "Surrogate":
        """Of a run's folder."""
        made = [rebuilt(plain, tensors) for plain, tensors in networks(folder)]
        return cls(guess_of(folder).emulator, made)

    def predict(self, scaled: Array) -> Prediction:
        """Mean and spread of the mixture of what the networks say."""
        return combined(self.networks, scaled, self.emulator.predict(scaled))


def combined(made: Sequence[Unet], scaled: Array, guess: Prediction) -> Prediction:
    """What networks make of a first guess of planets, all together.

    The variance is the mean of theirs, and that of their means.
    """
    if guess.std is None:
        raise ValueError("guess: it has no spread, from which the networks' own would follow.")
    mean, std = np.empty_like(guess.mean), np.empty_like(guess.std)
    for begin in range(0, len(scaled), _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
        found = [_said(one, scaled[part], guess.mean[part], guess.std[part]) for one in made]
        means, stds = np.stack([one for one, _ in found]), np.stack([one for _, one in found])
        mean[part] = means.mean(axis=0)
        std[part] = np.sqrt(np.square(stds).mean(axis=0) + means.var(axis=0))
    return Prediction(mean, std)


def _said(network: Unet, scaled: Array, mean: Array, std: Array) -> tuple[Array, Array]:
    """Of one network, as rows; in its own precision."""
    dtype, channels = network.unit.dtype, len(network.unit)
    with torch.inference_mode():
        fields = (
            torch.from_numpy(one).to(dtype).reshape(len(one), channels, -1) for one in (mean, std)
        )
        found = network(torch.from_numpy(scaled).to(dtype), *fields)
    rows = [one.double().flatten(1).numpy() for one in found]
    return rows[0], rows[1]
