"""How far a conversion is, for a person who waits: bytes, rate, end time, and what it took."""

import re
import resource
import time
from collections.abc import Callable
from pathlib import Path

from astrohpc.clock import Clock
from astrohpc.files import size

_EVERY_S = 5.0


class Progress:
    """Lines about bytes, not more often than every few seconds."""

    def __init__(self, total: int, clock: Clock, say: Callable[[str], None]) -> None:
        self.total, self._clock, self._say = total, clock, say
        self._began = self._said = clock.now()

    def at(self, done: int) -> None:
        """Say where it stands in bytes, if it is time to."""
        rate = self._due(done)
        if rate is not None:
            self._tell(done, rate, f" of {size(self.total)}, {size(int(rate))}/s")

    def share(self, done: int) -> None:
        """Say where it stands where no bytes are counted, if it is time to."""
        rate = self._due(done)
        if rate is not None:
            self._tell(done, rate, "")

    def _due(self, done: int) -> float | None:
        """How much is done in a second; None where there is nothing to say yet."""
        now = self._clock.now()
        if now - self._said < _EVERY_S or not 0 < done < self.total:
            return None
        self._said = now
        return done / (now - self._began)

    def _tell(self, done: int, rate: float, of: str) -> None:
        left = (self.total - done) / rate
        ends = time.strftime("%H:%M:%S", time.localtime(self._said + left))
        self._say(f"{100 * done // max(self.total, 1)} %{of}, ends at {ends}")


def peak_memory_bytes() -> int:
    """The most memory that this program ever held.

    Linux counts in ``ru_maxrss`` what the process held before it became this program, which is its parent's:
    216 MiB were reported of a conversion of 74 under a large launcher. ``VmHWM`` starts anew.
    """
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    peak_kib = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_kib * 1024


def cpu_s() -> float:
    """Seconds of CPU that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
