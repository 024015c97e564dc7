"""Members that two sweeps of one ``runs`` folder have in common are run once.

The second sweep's member folder is a link to the first one's. There is no index to go stale: a sweep
that is made or extended looks through its neighbours' tables once.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping

from astrohpc.clock import Clock
from astrohpc.errors import ConfigError
from astrohpc.sweep import config as configs
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.ledger import Book, Ledger
from astrohpc.sweep.members import Member


def link_shared(
    folder: SweepFolder, members: Iterable[Member], extent: Mapping[str, object]
) -> dict[str, list[int]]:
    """Link members that a neighbour has; return their indices by the neighbour's name.

    ``extent`` is how far ours go: a neighbour whose members go less far, or farther, keeps its own.
    """
    wanted = {member.id: member.index for member in members}
    found: dict[str, list[int]] = {}
    for table in sorted(folder.path.parent.glob("*/members.tsv")):
        neighbour = SweepFolder(table.parent)
        if neighbour.path == folder.path or not wanted:
            continue
        if not os.access(neighbour.members, os.W_OK):
            continue  # somebody else's: what it has not finished we could not finish there
        common = wanted.keys() & _ids(neighbour)
        if common and extent and not _goes_as_far(neighbour, extent):
            continue
        for member in common:
            if neighbour.member(member).is_symlink():
                continue  # it is at home in a third sweep, which has its turn
            _link(folder, neighbour, member)
            found.setdefault(neighbour.path.name, []).append(wanted.pop(member))
    return found


def _goes_as_far(neighbour: SweepFolder, extent: Mapping[str, object]) -> bool:
    with contextlib.suppress(ConfigError, OSError, KeyError, AttributeError):
        engine = configs.load(neighbour.config)["engine"]
        return all(engine.get(name) == value for name, value in extent.items())
    return False


def _ids(folder: SweepFolder) -> set[str]:
    with contextlib.suppress(OSError), folder.table.open() as file:
        next(file, None)
        return {line.split("\t", 2)[1] for line in file if line.count("\t") > 2}
    return set()


def _link(folder: SweepFolder, home: SweepFolder, member: str) -> None:
    target = home.member(member)
    target.mkdir(parents=True, exist_ok=True)
    link = folder.member(member)
    link.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        link.symlink_to(os.path.relpath(target, link.parent))


def run_elsewhere(
    folder: SweepFolder, book: Book, members: Iterable[Member], clock: Clock
) -> frozenset[int]:
    """Indices of shared members that their home sweep has in the queue right now."""
    homes: dict[str, set[str]] = {}
    elsewhere = set()
    for member in members:
        home = book.shared.get(member.index)
        if home is None or member.index in book.settled:
            continue
        place = folder.member(member.id)
        if not place.exists():  # its home was deleted: from now on it is ours
            if place.is_symlink():
                place.unlink(missing_ok=True)
            continue
        if home not in homes:
            homes[home] = _queued_ids(SweepFolder(folder.path.parent / home), clock)
        if member.id in homes[home]:
            elsewhere.add(member.index)
    return frozenset(elsewhere)


def _queued_ids(home: SweepFolder, clock: Clock) -> set[str]:
    with contextlib.suppress(ConfigError, OSError):
        open_arrays = Ledger(home.ledger, clock).fold().open("array")
        queued = {index for submission in open_arrays for index in submission.members()}
        with home.table.open() as file:
            next(file, None)
            rows = (line.split("\t", 2) for line in file)
            return {row[1] for row in rows if int(row[0]) in queued}
    return set()
