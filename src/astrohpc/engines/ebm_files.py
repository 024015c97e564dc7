"""What the energy-balance model keeps in a member's folder, apart from its climate.

A restart is a ``.npz`` whose zip comment is the checksum of all that precedes it, so damage is seen
before anything is parsed. The one before is kept until the next has arrived. Nothing here waits for
the disk: a busy one takes seconds for that, and what a power cut loses is noticed and made again.
"""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrohpc.engines.record import CLIMATE, RECORD, check_member
from astrohpc.engines.series import SERIES
from astrohpc.files import write_atomic

Array = NDArray[np.float64]

RESTART, PREVIOUS, LOG = "restart.npz", "restart.prev.npz", "ebm.log"
_SEAL_BYTES = 64  # a SHA-256 in hexadecimal


def save_restart(folder: Path, member: str, arrays: Mapping[str, Array]) -> None:
    """Write the restart; the last one becomes the previous one."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, member=np.array(member), **arrays)
    # A zip file ends with the length of its comment and the comment; ours holds the checksum.
    body = buffer.getvalue()[:-2] + _SEAL_BYTES.to_bytes(2, "little")
    current = folder / RESTART
    if current.exists():
        current.replace(folder / PREVIOUS)
    write_atomic(current, body + hashlib.sha256(body).hexdigest().encode())


def load_restart(path: Path, member: str) -> dict[str, Array] | None:
    """The arrays in a restart, or None where there is none or it is damaged."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    body, seal = raw[:-_SEAL_BYTES], raw[-_SEAL_BYTES:]
    if hashlib.sha256(body).hexdigest().encode() != seal:
        return None
    with np.load(io.BytesIO(raw), allow_pickle=False) as stored:
        check_member(path, str(stored["member"]), member)
        return {name: stored[name] for name in stored.files if name != "member"}


def remove_torn(folder: Path) -> None:
    """Remove what an attempt that was killed while it wrote left under a temporary name."""
    for name in (RESTART, SERIES, CLIMATE, RECORD):
        for path in folder.glob(f".{name}.*"):
            path.unlink(missing_ok=True)


def log(folder: Path, instant: str, sentence: str) -> None:
    """Add a line to the member's log."""
    with (folder / LOG).open("a") as file:
        file.write(f"{instant} {sentence}\n")
