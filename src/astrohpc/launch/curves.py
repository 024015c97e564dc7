"""``curves``: how trainings went, as one picture and a line each, from what TensorBoard would show."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic
from astrohpc.launch.output import note, say, table
from astrohpc.launch.training import TRAININGS
from astrohpc.sweep.folder import SweepFolder, find_sweep
from astrohpc.train.curves import LOSS, VALIDATION, Curves, draw, read
from astrohpc.train.run import MEMBER, SETTINGS

FILE = "curves.png"


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says."""
    folders = runs_of(arguments.training, arguments.runs)
    found = [read(folder) for folder in folders]
    columns = ("run", "steps", "loss", "validation", "samples per s", "went on after")
    synthetic = " (synthetic data)" if any(one.mark for one in found) else ""
    table(columns, [_row(one) for one in found], f"curves{synthetic}")
    target: Path = arguments.output or _usual(folders)
    write_atomic(target, draw(found))
    say(f"wrote {target}")
    note(f"next: look at {target}, or python -m astrohpc.launch tensorboard")
    return 0


def runs_of(named: Sequence[str], runs: Path) -> list[Path]:
    """The folders of the trainings that a person means: by name or folder, or all of a sweep."""
    if not named:
        folders = _within(find_sweep(None, runs).path / TRAININGS) or _within(runs / TRAININGS)
        if not folders:
            raise ConfigError(
                f"{runs}: the latest sweep has no training yet; run 'launch train', or name a folder."
            )
        return folders
    found: list[Path] = []
    for name in named:
        sweep = next((p for p in (Path(name), runs / name) if SweepFolder(p).exists()), None)
        if sweep is not None:
            found += _within(sweep / TRAININGS)
            continue
        places = (Path(name), runs / TRAININGS / name, *sorted(runs.glob(f"*/{TRAININGS}/{name}")))
        folder = next((path for path in places if path.is_dir()), None)
        if folder is None:
            raise ConfigError(
                f"{name}: is no training of {runs}, nor a folder; 'launch train' makes one."
            )
        found += _alone(folder)
    if not found:
        raise ConfigError(
            f"{named[0]}: it has no training yet; run 'launch train {named[0]}' first."
        )
    return found


def _within(trainings: Path) -> list[Path]:
    folders = sorted(path.parent for path in trainings.glob(f"*/{SETTINGS}"))
    return [one for folder in folders for one in _alone(folder)]


def _alone(folder: Path) -> list[Path]:
    """A training, or the members of an ensemble."""
    return sorted(path.parent for path in folder.glob(f"{MEMBER}*/{SETTINGS}")) or [folder]


def _usual(folders: Sequence[Path]) -> Path:
    """In the run's folder; of several beside the first."""
    return (folders[0] if len(folders) == 1 else folders[0].parent) / FILE


def _row(one: Curves) -> list[str]:
    values = []
    for name in (LOSS, VALIDATION, "samples per s"):
        point = one.last(name)
        values.append("—" if point is None else f"{point[1]:.4g}")
    went_on = ", ".join(f"step {step}" for step in one.resumed) or "—"
    return [one.name, str(one.steps), *values, went_on]
