"""From a few numbers a planet to a surrogate with its scores; every planet is judged once, left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from astrohpc.climates.climates import Climates
from astrohpc.climates.table import asked_in_table
from astrohpc.emulate.scalar import Scalar
from astrohpc.errors import ConfigError
from astrohpc.evaluate.domain import Domain
from astrohpc.evaluate.metrics import Scores, score
from astrohpc.evaluate.surrogate import LEVEL, Asked, Surrogate

NAME = "scalar"
_WRITTEN = "written"
_FEWEST = int(np.ceil(LEVEL / (1.0 - LEVEL) - 1e-9))  # planets that can vouch for an interval


@dataclass(frozen=True, eq=False)
class Trained:
    """A surrogate, and what its planets say of it when each is left out."""

    surrogate: Surrogate
    scores: Scores
    untold: tuple[str, ...]  # variables of which no more than the mean can be told


def train_scalar(climates: Climates, written: Mapping[str, str], seed: int) -> Trained:
    """Learn from all planets; ``written`` has the units in which a table wrote its inputs."""
    if len(climates) < _FEWEST:
        raise ConfigError(
            f"{climates.source}: {len(climates)} planets cannot vouch for an interval of {100 * LEVEL:g} %; "
            f"give {_FEWEST} or more."
        )
    values = climates.values.astype(np.float64)
    emulator = Scalar.of(climates).fit(climates.scaled, values, climates.weights, seed)
    seen = climates.take(emulator.chosen)
    scores = score(seen, emulator.left_out, seen.values.mean(axis=0, dtype=np.float64))
    names = [one.name for one in climates.variables]
    about = {
        "members": len(seen),
        "skill_left_out": {name: scores.value(name, "skill") for name in names},
        "intervals": "cross-validation+ over planets",
        _WRITTEN: dict(written),
    }
    domain = Domain(climates.inputs, seen.scaled)
    surrogate = Surrogate.of(climates, NAME, emulator, domain, about)
    untold = tuple(name for name, told in zip(names, emulator.told, strict=True) if not told)
    return Trained(surrogate, scores, untold)


def asked_in_file(path: Path, surrogate: Surrogate) -> tuple[Asked, tuple[str, ...]]:
    """Planets of a table for a surrogate that knows its inputs alone; and how the table was read."""
    written = surrogate.about.get(_WRITTEN, {})
    names, params, said = asked_in_table(path, surrogate.inputs, written)
    return Asked(names, params, (), ("",) * len(names)), said


def asked_in_words(
    written: Sequence[tuple[str, Mapping[str, object]]], surrogate: Surrogate
) -> Asked:
    """Planets by name and in SI, for a surrogate that knows its inputs alone."""
    known = [one.name for one in surrogate.inputs]
    for name, said in written:
        for word in said:
            if word not in known:
                raise ConfigError(
                    f"{name}: {word} is nothing that the surrogate was trained on; it knows "
                    f"{', '.join(known)}."
                )
        for word in known:
            if not isinstance(said.get(word), int | float):
                raise ConfigError(f"{name}: it has no {word}, which the surrogate needs; add it.")
    names = tuple(name for name, _ in written)
    params = np.array([[said[word] for word in known] for _, said in written], np.float64)
    return Asked(names, params, (), ("",) * len(names))
