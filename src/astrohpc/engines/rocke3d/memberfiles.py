"""What we keep in a member's folder beside the model's run folder: how it ended, what was remedied."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from astrohpc.engines.rocke3d.configuration import Configuration
from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic
from astrohpc.outcome import Outcome, Verdict
from astrohpc.planet import Planet

RUN, CLIMATE, SERIES, RECORD, REMEDIES, LOG = (
    "run",
    "climate.nc",
    "series.csv",
    "outcome.json",
    "remedies.json",
    "rocke3d.log",
)


@dataclass(frozen=True)
class Member:
    """What an attempt is about."""

    planet: Planet
    configuration: Configuration
    executable: Path
    folder: Path
    digest: str

    @property
    def run(self) -> Path:
        """The model's own folder."""
        return self.folder / RUN


@dataclass(frozen=True)
class Record:
    """How the member ended; written last, so it speaks for all the rest."""

    member: str
    verdict: Verdict
    summary: Mapping[str, float | str]
    climate_bytes: int = 0
    converged: bool = False
    max_years: float = 0.0

    def stands(self, max_years: float) -> bool:
        """Whether there is nothing left to do under this ceiling."""
        return (
            self.verdict.outcome is not Outcome.DONE
            or self.converged
            or self.max_years >= max_years
        )


def save_record(folder: Path, record: Record) -> None:
    """Write how the member ended."""
    content = {
        **asdict(record),
        "verdict": {"outcome": record.verdict.outcome.value, "reason": record.verdict.reason},
    }
    write_atomic(folder / RECORD, json.dumps(content, indent=1) + "\n")


def load_record(folder: Path) -> Record | None:
    """How the member ended, or None while it has not."""
    try:
        content: dict[str, Any] = json.loads((folder / RECORD).read_text())
        said = content.pop("verdict")
        return Record(verdict=Verdict(Outcome(said["outcome"]), said["reason"]), **content)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Remedy:
    """A stretch that is run with a shorter time step, because the model blew up in it."""

    step: int  # of the restart that it goes back to
    first_row: int
    until_row: int
    depth: int  # how many restarts back
    why: str


@dataclass(frozen=True)
class Remedies:
    """All of a member. ``pending`` while what the last one throws away may still be there."""

    member: str
    applied: tuple[Remedy, ...] = ()
    pending: bool = False

    def shortened_until(self, row: int) -> int | None:
        """The end of the stretch in which this row lies, or None where the step is the usual one."""
        ends = [one.until_row for one in self.applied if one.first_row <= row < one.until_row]
        return max(ends, default=None)

    def with_one(self, remedy: Remedy) -> "Remedies":
        """These and one more."""
        return replace(self, applied=(*self.applied, remedy), pending=True)


def save_remedies(folder: Path, remedies: Remedies) -> None:
    """Write them before anything is thrown away."""
    write_atomic(folder / REMEDIES, json.dumps(asdict(remedies), indent=1) + "\n", durable=True)


def load_remedies(folder: Path, member: str) -> Remedies:
    """The member's remedies, none at first; ConfigError where the folder is another member's."""
    path = folder / REMEDIES
    try:
        found = _remedies(path)
    except FileNotFoundError:
        return Remedies(member)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({error}), so it is not known with which time step the run "
            "went on; remove the member's folder and run it again."
        ) from error
    check_member(path, found.member, member)
    return found


def count_remedies(folder: Path) -> int:
    """How many were applied, as far as it can be read."""
    try:
        return len(_remedies(folder / REMEDIES).applied)
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _remedies(path: Path) -> Remedies:
    content: dict[str, Any] = json.loads(path.read_text())
    applied = tuple(Remedy(**one) for one in content["applied"])
    return Remedies(content["member"], applied, content["pending"])


def check_member(path: Path, found: str, expected: str) -> None:
    """Refuse what another planet or other settings left here."""
    if found != expected:
        raise ConfigError(
            f"{path}: belongs to another member ({found[:12]}…, not {expected[:12]}…); "
            "move it away, or run this member in a folder of its own."
        )


def remove_torn(folder: Path) -> None:
    """Remove what an attempt that was killed while it wrote left under a temporary name."""
    for name in (CLIMATE, RECORD, REMEDIES, SERIES):
        for path in folder.glob(f".{name}.*"):
            path.unlink(missing_ok=True)


def climate_size(folder: Path) -> int:
    """Bytes of the climate in this folder; 0 where there is none."""
    path = folder / CLIMATE
    return path.stat().st_size if path.exists() else 0


def log(folder: Path, instant: str, sentence: str) -> None:
    """Add a line to the member's log."""
    with (folder / LOG).open("a") as file:
        file.write(f"{instant} {sentence}\n")
