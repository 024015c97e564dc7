"""What an ExoPlaSim member keeps in its folder.

    restart.json  which restarts there are, what they belong to, their checksums; written after them
    model/        namelists, restart.STEPS (the last two), raw.STEPS of the legs that the climate needs
    series.csv outcome.json climate.nc   as any engine's

A leg counts from the moment that ``restart.json`` names its restart; what else lies about is of a leg
that was cut short, and is removed.
"""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from astrohpc.engines.exoplasim import raw
from astrohpc.engines.record import CLIMATE, RECORD
from astrohpc.engines.series import SERIES
from astrohpc.errors import ConfigError
from astrohpc.files import file_digest, write_atomic

RESTARTS, MODEL, LOG = "restart.json", "model", "exoplasim.log"
NEW_MODEL, WORKER_LOG = ".model.new", ".worker.log"  # while they are needed
_KEPT = 2  # restarts: the newest, and one to fall back on
_CONFIGURED = "plasim_namelist"


@dataclass(frozen=True)
class Entry:
    """A restart on disk."""

    steps: int
    sha256: str


@dataclass(frozen=True)
class Restarts:
    """``restart.json``: the restarts of a trajectory, oldest first, and CPU time spent up to them."""

    trajectory: str
    entries: tuple[Entry, ...] = ()
    cpu_s: float = 0.0

    @property
    def steps(self) -> int:
        """Time steps up to the newest restart."""
        return self.entries[-1].steps if self.entries else 0


def restart_path(folder: Path, steps: int) -> Path:
    """Where the restart after so many steps lies."""
    return folder / MODEL / f"restart.{steps:010d}"


def raw_path(folder: Path, steps: int) -> Path:
    """Where the raw output of the leg that began after so many steps lies."""
    return folder / MODEL / f"raw.{steps:010d}"


def load_restarts(folder: Path) -> Restarts | None:
    """What ``restart.json`` says, or None where there is none."""
    path = folder / RESTARTS
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        entries = tuple(Entry(**entry) for entry in content["entries"])
        return Restarts(content["trajectory"], entries, float(content["cpu_s"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: this is not a list of restarts of ours; move it away to start the member anew."
        ) from error


def keep_leg(folder: Path, restarts: Restarts, *, start: int, steps: int, cpu_s: float) -> Restarts:
    """Take a finished leg's restart and output into the member; the list is written last."""
    model = folder / MODEL
    target = restart_path(folder, steps)
    (model / "plasim_output").replace(raw_path(folder, start))
    (model / "plasim_status").replace(target)
    kept = (*restarts.entries, Entry(steps, file_digest(target)))
    restarts = replace(restarts, entries=kept[-_KEPT:], cpu_s=cpu_s)
    save_restarts(folder, restarts)
    for entry in kept[:-_KEPT]:
        restart_path(folder, entry.steps).unlink(missing_ok=True)
    return restarts


def save_restarts(folder: Path, restarts: Restarts) -> None:
    """Write the list of restarts."""
    write_atomic(folder / RESTARTS, json.dumps(asdict(restarts)) + "\n")


def newest_whole(folder: Path, restarts: Restarts) -> tuple[Restarts, list[str]]:
    """The list without the restarts that are damaged, and the names of those."""
    entries, damaged = list(restarts.entries), []
    while entries:
        path = restart_path(folder, entries[-1].steps)
        if path.exists() and file_digest(path) == entries[-1].sha256:
            break
        damaged.append(path.name)
        entries.pop()
    return replace(restarts, entries=tuple(entries)), damaged


def remove_unfinished(folder: Path, restarts: Restarts) -> None:
    """Remove what a leg that was cut short left, and temporary names of killed writers."""
    for name in (RESTARTS, SERIES, CLIMATE, RECORD):
        for path in folder.glob(f".{name}.*"):
            path.unlink(missing_ok=True)
    shutil.rmtree(folder / NEW_MODEL, ignore_errors=True)
    (folder / WORKER_LOG).unlink(missing_ok=True)
    known = {restart_path(folder, entry.steps).name for entry in restarts.entries}
    for path in (folder / MODEL).glob("restart.*"):
        if path.name not in known:
            path.unlink()
    for path in (folder / MODEL).glob("raw.*"):
        if int(path.suffix[1:]) >= restarts.steps:
            path.unlink()


def remove_old_output(folder: Path, first_needed: int) -> None:
    """Remove raw output of legs that the climate will not be made of."""
    for path in (folder / MODEL).glob("raw.*"):
        if int(path.suffix[1:]) < first_needed:
            path.unlink()


def clear_for_leg(folder: Path, start: int) -> None:
    """Give the model its restart and nothing else of former legs, whoever put it there."""
    model = folder / MODEL
    for name in ("plasim_restart", "plasim_status", "plasim_output", "Abort_Message"):
        (model / name).unlink(missing_ok=True)
    if start:
        source = restart_path(folder, start)
        found = raw.restart_step(source.read_bytes())
        if found is None:
            raise ConfigError(
                f"{source}: this is no whole restart of ExoPlaSim; move {RESTARTS} away to start anew."
            )
        shutil.copyfile(source, model / "plasim_restart")


def tidy(folder: Path, *, keep_output: bool) -> None:
    """Of a finished member, keep the namelists and the newest restart, to continue from.

    The climate of a member that goes on may have to reach back into ``output`` of before.
    """
    (folder / WORKER_LOG).unlink(missing_ok=True)
    restarts = load_restarts(folder)
    keep = {restart_path(folder, restarts.steps).name} if restarts else set()
    for path in (folder / MODEL).iterdir():
        wanted = path.name in keep or path.suffix == ".sra" or path.name.endswith("_namelist")
        if not wanted and not (keep_output and path.name.startswith("raw.")):
            path.unlink()
    if restarts and len(restarts.entries) > 1:
        save_restarts(folder, replace(restarts, entries=restarts.entries[-1:]))


def is_configured(folder: Path) -> bool:
    """Whether the model's own files are there."""
    return (folder / MODEL / _CONFIGURED).exists()
