"""What was done of a store, shard by shard: how a killed conversion goes on where it stopped.

Each rank appends to a file of its own, so no lock is needed. A line is believed only if the shard that
it tells of is there, of that length, with a whole index.
"""

import base64
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic
from astrohpc.store.codec import Damaged
from astrohpc.store.rounding import Losses
from astrohpc.store.shard_index import check_shard
from astrohpc.store.tally import Statistics

FOLDER = ".astrohpc"
_WHOLE = "journal.jsonl"


@dataclass(frozen=True, eq=False)
class Done:
    """One shard as it was written."""

    path: str  # of the array
    key: str
    digest: str
    nbytes: int
    checks: NDArray[np.uint32]
    statistics: Statistics
    direct: bool
    losses: Losses = field(default_factory=Losses)

    def line(self) -> str:
        """As JSON."""
        record = {
            "array": self.path,
            "key": self.key,
            "digest": self.digest,
            "bytes": self.nbytes,
            "checks": base64.standard_b64encode(self.checks.astype("<u4").tobytes()).decode(),
            "statistics": _numbers(self.statistics),
            "direct": self.direct,
            "losses": self.losses.record(),
        }
        return json.dumps(record, allow_nan=False)

    @classmethod
    def parse(cls, line: str) -> "Done | None":
        """From a line; None where a kill cut it."""
        try:
            record = json.loads(line)
            checks = np.frombuffer(base64.standard_b64decode(record["checks"]), "<u4")
            return cls(
                record["array"],
                record["key"],
                record["digest"],
                int(record["bytes"]),
                checks.astype(np.uint32),
                _statistics(record["statistics"]),
                bool(record["direct"]),
                Losses.parse(record["losses"]),
            )
        except (ValueError, KeyError, TypeError):
            return None


def _numbers(one: Statistics) -> list[float | None]:
    """Without infinities, which JSON has not."""
    numbers = (one.count, one.missing, one.minimum, one.maximum, one.total)
    return [number if math.isfinite(number) else None for number in numbers]


def _statistics(numbers: Sequence[float | None]) -> Statistics:
    count, missing, minimum, maximum, total = numbers
    return Statistics(
        int(count or 0),
        int(missing or 0),
        math.inf if minimum is None else minimum,
        -math.inf if maximum is None else maximum,
        math.nan if total is None else total,
    )


class Journal:
    """The journal of one rank, open for appending."""

    def __init__(self, store: Path, rank: int) -> None:
        folder = store / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / f"journal-{rank}.jsonl").open("a", encoding="utf-8")

    def note(self, done: Done) -> None:
        """Append a line; the file system has it when this returns."""
        self._file.write(done.line() + "\n")
        self._file.flush()

    def close(self) -> None:
        """Wait until the disk has all of it."""
        os.fsync(self._file.fileno())
        self._file.close()


def read_journal(store: Path) -> dict[str, Done]:
    """The last word on each shard, by key."""
    found: dict[str, Done] = {}
    folder = store / FOLDER
    files = [folder / _WHOLE, *sorted(folder.glob("journal-*.jsonl"))]
    for path in files:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            done = Done.parse(line)
            if done is not None:
                found[done.key] = done
    return found


def merge_journals(store: Path, done: Iterable[Done]) -> None:
    """Write one journal of the shards that count, in the order of their keys, and drop the ranks' own."""
    lines = sorted(one.line() for one in done)
    write_atomic(store / FOLDER / _WHOLE, "".join(line + "\n" for line in lines), durable=True)
    for path in (store / FOLDER).glob("journal-*.jsonl"):
        path.unlink()


def stands(store: Path, done: Done) -> bool:
    """Whether the shard is on disk as it was written, as far as its length and its index tell."""
    try:
        return check_shard(store / done.key, len(done.checks)) == done.nbytes
    except (OSError, Damaged):
        return False


def read_record(store: Path, name: str) -> Mapping[str, Any] | None:
    """A JSON file of ours beside the journal; None where there is none."""
    try:
        found = json.loads((store / FOLDER / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise ConfigError(
            f"{store / FOLDER / name}: cannot be read; remove the store and convert again."
        ) from None
    return found if isinstance(found, dict) else None
