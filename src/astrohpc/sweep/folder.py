"""A sweep's folder: where things lie, and the lock that serialises launchers."""

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from astrohpc.clock import Clock, duration
from astrohpc.errors import ConfigError
from astrohpc.files import exclusive
from astrohpc.sweep.members import folder_of

LOCK_PATIENCE_S = 600.0


@dataclass(frozen=True)
class SweepFolder:
    """``runs/<sweep>/``."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "sweep.yaml"

    @property
    def table(self) -> Path:
        """Index, id and parameters of every member."""
        return self.path / "members.tsv"

    @property
    def ledger(self) -> Path:
        """The events."""
        return self.path / "events.jsonl"

    @property
    def provenance(self) -> Path:
        """Commit, versions and digests."""
        return self.path / "provenance.json"

    @property
    def limits(self) -> Path:
        """What the cluster allows, as read when the sweep was made."""
        return self.path / "limits.json"

    @property
    def breaker(self) -> Path:
        """Failures that would repeat for every member."""
        return self.path / "breaker.jsonl"

    @property
    def scripts(self) -> Path:
        """What was submitted."""
        return self.path / "scripts"

    @property
    def logs(self) -> Path:
        """What the jobs said."""
        return self.path / "logs"

    @property
    def members(self) -> Path:
        """The members' own folders."""
        return self.path / "members"

    @property
    def reports(self) -> Path:
        """Tables and plots."""
        return self.path / "reports"

    @property
    def board(self) -> Path:
        """TensorBoard's event file."""
        return self.path / "tensorboard"

    @property
    def spool(self) -> Path:
        """The local scheduler's files."""
        return self.path / "local"

    def member(self, member: str) -> Path:
        """One member's folder."""
        return folder_of(self.members, member)

    def exists(self) -> bool:
        """Whether a sweep was made here; its table is the last thing that making one writes."""
        return self.table.exists()

    def make(self) -> None:
        """Make the folders; Slurm loses a job without a word if its log folder is missing."""
        for folder in (self.path, self.scripts, self.logs, self.members, self.reports):
            folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def lock(self, clock: Clock, say: Callable[[str], None]) -> Iterator[None]:
        """Be the only launcher of this sweep; wait for another one to finish."""
        path = self.path / ".lock"
        self.path.mkdir(parents=True, exist_ok=True)
        began = clock.now()
        told = False
        while True:
            with exclusive(path) as held:
                if held:
                    path.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
                    yield
                    return
                holder = _holder(path)
            if clock.now() - began > LOCK_PATIENCE_S:
                raise ConfigError(
                    f"{self.path.name}: another launcher ({holder}) has held this sweep for more than "
                    f"{duration(LOCK_PATIENCE_S)}; let it finish, or end it, and run this again."
                )
            if not told:
                say(f"another launcher ({holder}) is at work on this sweep; waiting for it")
                told = True
            clock.sleep(0.2)


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown"


def find_sweep(named: str | None, runs: Path) -> SweepFolder:
    """The sweep that a person means: a folder, a name under ``runs``, or the most recent one."""
    if named is None:
        found = sorted(runs.glob("*/members.tsv"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise ConfigError(f"{runs}: there is no sweep here yet; 'launch sweep' makes one.")
        return SweepFolder(found[-1].parent.absolute())
    for path in (Path(named), runs / named):
        if SweepFolder(path).exists():
            return SweepFolder(path.absolute())
    known = sorted(path.parent.name for path in runs.glob("*/members.tsv"))
    raise ConfigError(
        f"{named}: there is no such sweep"
        + (f"; {runs} has {', '.join(known)}." if known else f", nor any other under {runs}.")
    )
