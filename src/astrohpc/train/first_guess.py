"""What a network starts from: a method without gradients, and what it said of planets it had not seen.

A planet to train on is guessed by what learned from the planets of other folds, for that is how far off
the guess will be of a new planet. The planets to validate with, and all that are asked for later, are
guessed by what learned from all planets to train on.

Rank 0 finds it once and keeps it in the run's folder, so that a run that goes on has the same bits.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrohpc.climates.climates import Array, Climates, Rows
from astrohpc.climates.split import Split
from astrohpc.emulate.base import Emulator
from astrohpc.errors import ConfigError
from astrohpc.files import digest, file_digest, temporary_beside, write_atomic
from astrohpc.models.settings import UnetSettings
from astrohpc.train.engines.base import Engine
from astrohpc.train.tensorfile import TensorFile, Unreadable, write_tensors


@dataclass(frozen=True, eq=False)
class FirstGuess:
    """What was guessed of the planets to train on and to validate with, in this order."""

    seen: str  # the digest of all that it follows from
    name: str
    settings: Mapping[str, Any]
    mean: Rows  # [planet, value]
    spread: Rows
    state: Mapping[str, NDArray[np.generic]]

    @property
    def emulator(self) -> Emulator:
        """What guesses other planets."""
        return restored(self.name, self.settings, self.state)


def restored(
    name: str, settings: Mapping[str, Any], state: Mapping[str, NDArray[np.generic]]
) -> Emulator:
    """A method from what its ``state`` gave."""
    from astrohpc.emulate.gp import PcaGp  # noqa: PLC0415 - scipy
    from astrohpc.emulate.ridge import Ridge  # noqa: PLC0415
    from astrohpc.emulate.simple import Mean  # noqa: PLC0415

    kinds: Mapping[str, Any] = {"mean": Mean, "ridge": Ridge, "quadratic": Ridge, "pca_gp": PcaGp}
    made: Emulator = kinds[name].restored(settings, state)
    return made


def wanted(climates: Climates, parts: Split, model: UnetSettings, seed: int) -> str:
    """The digest of all that a guess follows from."""
    planets = [[climates.names[i] for i in part] for part in (parts.train, parts.validation)]
    return digest([climates.digest, planets, model.guess, model.trials, model.folds, seed])


def first_guess(
    climates: Climates, parts: Split, model: UnetSettings, seed: int, folder: Path, engine: Engine
) -> FirstGuess:
    """Find it, or read what was found; every rank calls it."""
    seen = wanted(climates, parts, model, seed)
    path = _path(folder, seen)

    def find() -> None:
        if engine.rank == 0 and not path.with_suffix(".json").is_file():
            _write(path, _found(climates, parts, model, seed))

    engine.together(find)
    return engine.together(lambda: read_guess(folder, seen))


def unit_of(errors: Array, weights: Array, channels: int) -> Array:
    """The root of the mean squared error of each channel, [C]; of all planets and cells."""
    squares = np.square(errors).mean(axis=0).reshape(channels, -1)
    share = weights.reshape(channels, -1)
    found = np.sqrt((squares * share).sum(axis=1) / share.sum(axis=1))
    return np.where(found > 0, found, 1.0)


def _path(folder: Path, seen: str) -> Path:
    return folder / "guess" / f"{seen[:16]}.safetensors"


def _found(climates: Climates, parts: Split, model: UnetSettings, seed: int) -> FirstGuess:
    from astrohpc.emulate.methods import METHODS  # noqa: PLC0415 - scipy
    from astrohpc.emulate.tune import out_of_fold, tuned  # noqa: PLC0415

    known = climates.take(parts.train)
    if len(known) < model.folds:
        raise ConfigError(
            f"model.folds: {len(known)} planets to train on make no {model.folds} folds; write "
            f"{len(known)} or fewer, or run more members."
        )
    scaled, values = known.scaled, known.values.astype(np.float64)
    emulator, settings, _ = tuned(
        model.guess, scaled, values, known.weights, known.names, seed, model.trials, model.folds
    )
    before = out_of_fold(
        lambda: METHODS[model.guess](**settings),
        scaled,
        values,
        known.weights,
        known.names,
        model.folds,
        seed,
    )
    after = emulator.predict(climates.take(parts.validation).scaled)
    assert before.std is not None
    assert after.std is not None
    own, state = emulator.state()  # type: ignore[attr-defined]
    return FirstGuess(
        wanted(climates, parts, model, seed),
        model.guess,
        own,
        np.concatenate([before.mean, after.mean]).astype(np.float32),
        np.concatenate([before.std, after.std]).astype(np.float32),
        state,
    )


def _write(path: Path, guess: FirstGuess) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"mean": guess.mean, "spread": guess.spread} | {
        f"state.{name}": np.asarray(one) for name, one in guess.state.items()
    }
    with temporary_beside(path) as part:
        write_tensors(
            part,
            {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in arrays.items()},
        )
    said = {"name": guess.name, "settings": dict(guess.settings), "digest": file_digest(path)}
    write_atomic(path.with_suffix(".json"), json.dumps(said, indent=1) + "\n")


def read_guess(folder: Path, seen: str) -> FirstGuess:
    """That of a digest from a run's folder; ConfigError where it is damaged."""
    path = _path(folder, seen)
    try:
        said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if file_digest(path) != said["digest"]:
            raise Unreadable("it is not what was written")
        file = TensorFile(path)
        arrays = {name: file[name].numpy() for name in file}
    except (OSError, ValueError, KeyError, Unreadable) as error:
        raise ConfigError(
            f"{path}: the first guess cannot be read ({error}); remove {path.parent}, and it is found anew."
        ) from error
    state = {
        name.removeprefix("state."): one
        for name, one in arrays.items()
        if name.startswith("state.")
    }
    return FirstGuess(seen, said["name"], said["settings"], arrays["mean"], arrays["spread"], state)
