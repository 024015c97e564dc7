"""What a run folder tells about its last launch, gathered once and judged elsewhere.

``run_status`` alone does not do: a hard crash and a kill leave it at "Run in progress...", and the
reason stands in the log (``RUN.PRT``), in ``fort.99`` or in what the launcher wrote to stderr.
"""

import gzip
import os
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from astrohpc.engines.rocke3d.inputfile import InputFile
from astrohpc.engines.rocke3d.namelists import ModelDate
from astrohpc.errors import ConfigError

STATUS, LOCK, INPUT, FLAG, ERRORS = "run_status", "lock", "I", "flagGoStop", "modele.err"
RESTARTS = ("fort.1.nc", "fort.2.nc")
_TAIL_BYTES = 256 * 1024
_HEAD_BYTES = 64 * 1024
_END = 16 * 1024
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WRITTEN = re.compile(
    r"Restart file written on fort\.\d\s+Year\s*(\d+)\s*(\w+)\s+(\d+), Hr\s*(\d+)"
)
NORMAL_END = "PROGRAM TERMINATED NORMALLY"


@dataclass(frozen=True)
class Evidence:
    """The files of a run folder as values."""

    status: int | None = None  # None where run_status is missing or torn
    text: str = ""
    log: str = ""  # the log's head and tail
    errors: str = ""
    drag: str = ""  # the tail of fort.99
    has_log: bool = False
    log_age_s: float = 0.0
    locked: bool = False
    restarts: tuple[str, ...] = ()  # newest first
    month_starts: tuple[str, ...] = ()  # newest first
    input: InputFile | None = None
    input_error: str = ""

    @property
    def all_text(self) -> str:
        """All that was written, for signs that mean the same wherever they stand."""
        return "\n".join((self.text, self.log, self.errors, self.drag))

    @property
    def end_text(self) -> str:
        """What was written last: further up, a run may have survived what would be fatal here."""
        return "\n".join((self.text, self.log[-_END:], self.errors[-_END:], self.drag[-_END:]))

    @property
    def began(self) -> bool:
        """Whether the input was complete and time steps began."""
        return "Climate Model (re)started" in self.log or self.status == 1

    @property
    def reached(self) -> ModelDate | None:
        """The date at which the last restart of this launch was written, where the log says so."""
        found = _WRITTEN.findall(self.log)
        if not found:
            return None
        year, month, day, hour = found[-1]
        if month[:3].upper() not in _MONTHS:
            return None
        return ModelDate(int(year), _MONTHS.index(month[:3].upper()) + 1, int(day), int(hour))

    def real(self, name: str) -> float | None:
        """A real parameter of the ``I`` file."""
        value = self.input.parameters.get(name) if self.input else None
        return value if isinstance(value, float) else None


def gather(folder: Path, *, now: float, errors: str = ERRORS) -> Evidence | None:
    """Read a run folder; None where no launch has left anything."""
    status_file = folder / STATUS
    log = _newest(folder, "*.PRT") or _newest(folder, "*.PRT.gz")
    error_text = _tail(folder / errors)
    if not status_file.exists() and log is None and not error_text.strip():
        return None
    status, text = _status(status_file)
    run_input, input_error = _input(folder / INPUT)
    return Evidence(
        status=status,
        text=text,
        log=_ends(log) if log else "",
        errors=error_text,
        drag=_tail(folder / "fort.99"),
        has_log=log is not None,
        log_age_s=max(0.0, now - max(_modified(log), _modified(status_file))) if log else 0.0,
        locked=(folder / LOCK).exists(),
        restarts=_by_age(folder / name for name in RESTARTS),
        month_starts=_by_age(folder.glob("1*.rsf*")),
        input=run_input,
        input_error=input_error,
    )


def _status(path: Path) -> tuple[int | None, str]:
    lines = _tail(path).splitlines()
    try:
        return int(lines[0]), " ".join(lines[1:]).strip()
    except (IndexError, ValueError):
        return None, ""


def _input(path: Path) -> tuple[InputFile | None, str]:
    try:
        return (InputFile.read(path), "") if path.exists() else (None, "")
    except ConfigError as error:
        return None, str(error)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _by_age(paths: Iterable[Path]) -> tuple[str, ...]:
    # An empty file is what a full disk or a kill leaves of a restart.
    there = [path for path in paths if path.exists() and path.stat().st_size > 0]
    return tuple(path.name for path in sorted(there, key=_modified, reverse=True))


def _newest(folder: Path, pattern: str) -> Path | None:
    return max(folder.glob(pattern), key=_modified, default=None)


def _tail(path: Path) -> str:
    return _ends(path, head_bytes=0) if path.is_file() else ""


def _ends(path: Path, head_bytes: int = _HEAD_BYTES) -> str:
    """Head and tail of a text: a log that blew up may have grown by a line per grid box and step."""
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as packed:
                data = packed.read()
            if len(data) > head_bytes + _TAIL_BYTES:
                data = data[:head_bytes] + b"\n" + data[-_TAIL_BYTES:]
        else:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                data = file.read(head_bytes)
                if size > head_bytes + _TAIL_BYTES:
                    file.seek(-_TAIL_BYTES, os.SEEK_END)
                    data += b"\n"
                data += file.read(_TAIL_BYTES)
    except (OSError, EOFError, zlib.error):
        return ""
    return data.decode("ascii", "replace")
