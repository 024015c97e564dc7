"""Members: one planet × one engine setting, known by the hash of what decides the physics."""

import csv
import io
import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from astrohpc.engines.base import Engine
from astrohpc.errors import ConfigError
from astrohpc.files import digest, write_atomic
from astrohpc.planet import Planet

ID_LENGTH = 16  # 64 bits: a collision among a million members has odds of 1 to 37 million


@dataclass(frozen=True)
class Member:
    """One row of ``members.tsv``. Its index never moves; its id says what it is."""

    index: int
    id: str
    planet: Planet
    label: str = ""
    branch_of: str = ""  # id of the member that this one remedies
    overrides: Mapping[str, Any] = field(default_factory=dict)  # engine settings of this row alone


def member_id(planet: Planet, engine: Engine, physics: Mapping[str, Any] | None = None) -> str:
    """Hash of planet, engine, settings, executable and inputs. Never of resources, site or attempt.

    ``physics`` is the engine's, for who asks it once for thousands of planets.
    """
    physics = engine.physics() if physics is None else physics
    whole = {"planet": planet_values(planet), "engine": engine.name, "physics": physics}
    return digest(whole)[:ID_LENGTH]


def planet_values(planet: Planet) -> dict[str, Any]:
    """The planet as plain values, in the order of its fields."""
    return {f.name: getattr(planet, f.name) for f in fields(Planet)}


def folder_of(members: Path, member: str) -> Path:
    """Where a member's model lives; two levels, because file systems dislike folders of thousands."""
    return members / member[:2] / member


_HEAD = ["index", "id", "label", "branch_of", "overrides"]


def write_table(path: Path, members: Iterable[Member]) -> None:
    """Write ``members.tsv``: numbers as Python prints them, so that reading gives the same bits."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(_HEAD + [f.name for f in fields(Planet)])
    for member in members:
        overrides = json.dumps(member.overrides, sort_keys=True) if member.overrides else ""
        head = [member.index, member.id, member.label, member.branch_of, overrides]
        values = planet_values(member.planet).values()
        writer.writerow(head + ["" if value is None else value for value in values])
    write_atomic(path, out.getvalue(), durable=True)


def read_table(path: Path, wanted: Container[int] | None = None) -> list[Member]:
    """Read ``members.tsv``, or only the rows of ``wanted`` indices."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file, delimiter="\t")
            if list(rows.fieldnames or ()) != [*_HEAD, *(f.name for f in fields(Planet))]:
                raise ValueError("its first line is not ours")
            members = [
                _member(row) for row in rows if wanted is None or int(row["index"]) in wanted
            ]
        if wanted is None and [member.index for member in members] != list(range(len(members))):
            raise ValueError("its indices do not count up from 0")
        return members
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise ConfigError(
            f"{path}: the members cannot be read ({error}); restore the file from a backup, "
            "or sweep into a new name."
        ) from error


def _member(row: dict[str, str]) -> Member:
    values: dict[str, Any] = {}
    for spec in fields(Planet):
        cell = row[spec.name]
        if spec.name == "tidally_locked":
            values[spec.name] = cell == "True"
        else:
            values[spec.name] = float(cell) if cell else None
    return Member(
        index=int(row["index"]),
        id=row["id"],
        planet=Planet(**values),
        label=row["label"],
        branch_of=row["branch_of"],
        overrides=json.loads(row["overrides"]) if row["overrides"] else {},
    )
