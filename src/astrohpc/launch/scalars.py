"""``train model=scalar``: a surrogate of a few numbers a planet, learned here, for it takes seconds.

From a table (NetCDF with one dimension, CSV, TSV), or from a store, of which it learns the means over the
planet. The surrogate lies in the training's folder, and ``predict`` finds it.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from astrohpc.errors import ConfigError
from astrohpc.files import readable_failures, write_atomic
from astrohpc.launch.jobs import data_of, split_words
from astrohpc.launch.output import count, note, say, table
from astrohpc.launch.training import SCALAR, TRAININGS, check_name
from astrohpc.settings import suggest
from astrohpc.sweep.provenance import environment

if TYPE_CHECKING:
    from astrohpc.climates.climates import Climates
    from astrohpc.evaluate.scalars import Trained

SURROGATE = "surrogate"
LEFT_OUT = "leave_one_out.tsv"
_METRICS = ("rmse", "skill", "crps")
_UNITS = "units."
_KEYS = ("name", "seed", "data", "units.INPUT")


@dataclass(frozen=True)
class Words:
    """What a command line asks for."""

    data: str | None
    name: str = "scalar"
    seed: int = 0
    units: dict[str, str] = field(default_factory=dict)


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says."""
    words = words_of(arguments.words)
    check_name(words.name)
    data, home = data_of(words.data, arguments.runs, TRAININGS)
    folder = home / words.name
    if arguments.dry_run:
        say(f"would learn from {data} here, and write {folder / SURROGATE}")
        return 0
    with readable_failures("train"):
        return _train(words, data, folder)


def words_of(written: Sequence[str]) -> Words:
    """A name, and settings as key=value."""
    names, overrides = split_words([one for one in written if one != SCALAR])
    said = dict(one.partition("=")[::2] for one in overrides)
    units = {
        key.removeprefix(_UNITS): said.pop(key) for key in list(said) if key.startswith(_UNITS)
    }
    data = said.pop("data", None)
    if data is not None:
        names = [*names, data]
    if len(names) > 1:
        raise ConfigError(f"{names[1]}: is one name too many; write what to train on once.")
    for key in said:
        if key not in _KEYS:
            raise ConfigError(f"{key}: model=scalar has no such setting{suggest(key, _KEYS)}")
    seed = said.get("seed", "0")
    if not seed.isdecimal():
        raise ConfigError(f"seed: {seed!r} is no whole number; write for example seed=1.")
    return Words(names[0] if names else None, said.get("name", "scalar"), int(seed), units)


def _train(words: Words, data: Path, folder: Path) -> int:
    from astrohpc.evaluate import bundle  # noqa: PLC0415 - numpy
    from astrohpc.evaluate.scalars import train_scalar  # noqa: PLC0415

    climates, written = _climates(words, data)
    for name, why in (*climates.excluded, *climates.constant):
        note(f"left out: {name}: {why}")
    trained = train_scalar(climates, written, words.seed)
    provenance = {"data": str(data), "seed": words.seed, "units": words.units, **environment()}
    bundle.write(folder / SURROGATE, trained.surrogate, provenance)
    write_atomic(folder / LEFT_OUT, _left_out(trained))
    _tell(trained, climates, folder)
    return 0


def _climates(words: Words, data: Path) -> tuple["Climates", dict[str, str]]:
    from astrohpc.climates.columns import is_table  # noqa: PLC0415
    from astrohpc.climates.means import over_planets  # noqa: PLC0415
    from astrohpc.climates.store import from_store  # noqa: PLC0415
    from astrohpc.climates.table import read_table  # noqa: PLC0415

    if is_table(data):
        found = read_table(data, words.units)
        for text in found.said:
            note(text)
        return found.climates, dict(found.written)
    if words.units:
        raise ConfigError(f"units: {data} says its units itself; leave them out.")
    return over_planets(from_store(data)), {}


def _left_out(trained: "Trained") -> str:
    """Scores of the planets, each predicted by what had not seen it."""
    lines = ["\t".join(("variable", "unit", "planets", *_METRICS))]
    scores = trained.scores
    for one in scores.variables:
        values = [f"{scores.value(one.name, metric):.6g}" for metric in _METRICS]
        lines.append("\t".join((one.name, one.unit, str(len(scores.planets)), *values)))
    return "\n".join(lines) + "\n"


def _tell(trained: "Trained", climates: "Climates", folder: Path) -> None:
    scores = trained.scores
    mark = f" ({climates.mark} data)" if climates.mark else ""
    table(
        ("variable", *_METRICS),
        [
            (one.label, *(f"{scores.value(one.name, metric):.3g}" for metric in _METRICS))
            for one in scores.variables
        ],
        title=f"{count(len(scores.planets), 'planet')}, each predicted without itself{mark}",
    )
    for name in trained.untold:
        note(f"{name}: planets left out are told no better than by the mean, so it is told by that")
    say(f"wrote {folder / SURROGATE}")
    say(f"next: python -m astrohpc.launch predict planets.csv {folder / SURROGATE}")
