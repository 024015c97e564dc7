"""One command and all that it starts: seconds, CPU seconds, and the peak of its memory.

Memory is the proportional set size: a page that n processes share counts 1/n in each, so that the sum
over a tree of processes is what the tree really holds.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.05
SAMPLER_SHARE = 0.05  # of a core: reading the map of a large process takes milliseconds


@dataclass(frozen=True)
class Used:
    """What one command took. ``user_s`` and ``system_s`` are of all its processes that have ended."""

    code: int
    wall_s: float
    user_s: float
    system_s: float
    tree_pss_mb: float  # peak over time of the sum over its processes
    process_pss_mb: float  # peak of the largest single process

    @property
    def cpu_s(self) -> float:
        """User and system."""
        return self.user_s + self.system_s


def _as_installed() -> dict[str, str]:
    """Our environment; what is installed has its bytecode, even where a developer wants none written."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(command: Sequence[str], log: Path, environment: Mapping[str, str], limit_s: float) -> Used:
    """Run a command to its end, what it says going to ``log``; ended by force after ``limit_s``."""
    with log.open("wb") as out:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**_as_installed(), **environment},
            start_new_session=True,
        )
        memory = _Memory(process.pid)
        guard = threading.Timer(limit_s, _end, (process.pid,))
        guard.start()
        memory.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.monotonic() - began
        finally:
            guard.cancel()
            memory.stop()
        process.returncode = os.waitstatus_to_exitcode(status)
    return Used(
        process.returncode,
        wall_s,
        usage.ru_utime,
        usage.ru_stime,
        memory.tree_kb / 1e3 * 1.024,
        memory.process_kb / 1e3 * 1.024,
    )


def _end(pid: int) -> None:
    for one in reversed(_tree(pid)):
        try:
            os.kill(one, signal.SIGKILL)
        except ProcessLookupError:
            continue


class _Memory(threading.Thread):
    """Samples a tree of processes until it is stopped."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.tree_kb, self.process_kb = pid, 0, 0
        self.ended = threading.Event()

    def run(self) -> None:
        while True:
            began = time.thread_time()
            found = [_pss_kb(one) for one in _tree(self.pid)]
            self.tree_kb = max(self.tree_kb, sum(found))
            self.process_kb = max(self.process_kb, *found)
            spent = time.thread_time() - began
            if self.ended.wait(max(SAMPLE_S, spent / SAMPLER_SHARE)):
                return

    def stop(self) -> None:
        self.ended.set()
        self.join()


def _tree(pid: int) -> list[int]:
    """The process and all below it. What ends meanwhile is left out."""
    found = [pid]
    for one in found:
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(word) for word in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def _pss_kb(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
