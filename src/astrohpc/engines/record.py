"""How a member ended, in the file that its engine writes last and that speaks for all the rest."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from astrohpc.engines.base import Engine
from astrohpc.errors import ConfigError
from astrohpc.files import digest, write_atomic
from astrohpc.outcome import Outcome, Verdict
from astrohpc.planet import Planet

CLIMATE, RECORD = "climate.nc", "outcome.json"
COMMAND_LOG = "command.log"  # what a program of the user's own printed


@dataclass(frozen=True)
class Record:
    """How a member ended, as ``outcome.json`` has it."""

    member: str
    verdict: Verdict
    summary: Mapping[str, float | str]
    climate_bytes: int  # size of the climate that belongs to it; 0 where there is none


def save_record(folder: Path, record: Record) -> None:
    """Write how the member ended; written last, so it speaks for all the rest."""
    content = {
        "member": record.member,
        "outcome": record.verdict.outcome.value,
        "reason": record.verdict.reason,
        "summary": dict(record.summary),
        "climate_bytes": record.climate_bytes,
    }
    write_atomic(folder / RECORD, json.dumps(content, indent=1) + "\n")


def load_record(folder: Path) -> Record | None:
    """How the member ended, or None while it has not."""
    try:
        content: dict[str, Any] = json.loads((folder / RECORD).read_text())
        verdict = Verdict(Outcome(content["outcome"]), content["reason"])
        return Record(content["member"], verdict, content["summary"], content["climate_bytes"])
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return None


def recorded_verdict(folder: Path) -> Verdict | None:
    """The verdict that the record holds, unless the climate that belongs to it is not there."""
    ended = load_record(folder)
    if ended is None:
        return None
    done = ended.verdict.outcome is Outcome.DONE
    return ended.verdict if not done or climate_size(folder) == ended.climate_bytes else None


def of_member(engine: Engine, planet: Planet) -> str:
    """What stands in the files of a member, so that no other one takes them for its own."""
    return digest({"planet": asdict(planet), "physics": dict(engine.physics())})


def ended_before(engine: Engine, folder: Path, member: str) -> Verdict | None:
    """How the member ended before, if that still stands; ConfigError where the record is another's."""
    ended = load_record(folder)
    if ended is None:
        return None
    check_member(folder / RECORD, ended.member, member)
    return ended.verdict if engine.verdict(folder) == ended.verdict else None


def check_member(path: Path, found: str, expected: str) -> None:
    """Refuse a file that another planet or other settings left here."""
    if found != expected:
        raise ConfigError(
            f"{path}: belongs to another member ({found[:12]}…, not {expected[:12]}…); "
            "move it away, or run this member in a folder of its own."
        )


def climate_size(folder: Path) -> int:
    """Bytes of the climate in this folder; 0 where there is none."""
    path = folder / CLIMATE
    return path.stat().st_size if path.exists() else 0
