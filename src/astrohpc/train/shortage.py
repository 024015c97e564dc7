"""What a run learned about memory: how many samples it computes at once, since when, and why.

It is kept beside the checkpoints, for a job that ended for want of memory had no time to save; the next
attempt begins with it, and says why it is slower than what was asked for.
"""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from astrohpc.files import write_atomic
from astrohpc.train.engines.base import Engine
from astrohpc.train.step import Stepper

FILE = "memory.json"


@dataclass(frozen=True)
class Shortage:
    """The newest one; ``samples`` are computed at once from ``step`` on."""

    step: int
    samples: int
    sentence: str


def keep(folder: Path, found: Shortage) -> None:
    """Write it down; a disk that cannot is told by who saves what matters more."""
    with contextlib.suppress(OSError):
        write_atomic(folder / FILE, json.dumps(asdict(found)) + "\n")


def known(folder: Path) -> Shortage | None:
    """What an earlier attempt wrote down."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Shortage(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    return None


def begin_with(folder: Path, engine: Engine, stepper: Stepper) -> str:
    """Compute no more at once than the last attempt could, on all ranks; a sentence that says why."""
    asked = stepper.settings.micro_batch or stepper.settings.batch // engine.size
    found: Shortage | None = engine.broadcast(known(folder) if engine.rank == 0 else None)
    if found is not None:
        stepper.micro.most = min(stepper.micro.most, found.samples)
    most = stepper.micro.most
    if most >= asked:
        return ""
    if found is None or most < found.samples:
        return f"{most} samples are computed at once, as in the checkpoint, and not {asked}"
    return (
        f"{most} samples are computed at once and not {asked}, because of step {found.step}: "
        f"{found.sentence}"
    )
