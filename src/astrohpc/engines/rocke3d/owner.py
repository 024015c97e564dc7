"""Who runs in a run folder, and the proof that he is gone.

The sweep allows one attempt at a time, so whatever is left of an earlier one may be ended. On this
machine a process is known by its number and its start time; of another machine we see only files,
so silence for a set time is what counts.
"""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from astrohpc.clock import Clock, duration
from astrohpc.engines.rocke3d.evidence import LOCK
from astrohpc.files import write_atomic

_SAME_START_S = 1.0
_GONE_S = 20.0


@dataclass(frozen=True)
class Owner:
    """A process that holds the folder: the model's own once it is started, until then ours."""

    host: str
    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "Owner":
        """A process of this machine."""
        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:  # it is over already
            started = 0.0
        return cls(socket.gethostname(), pid, started)

    @property
    def here(self) -> bool:
        """Whether it is of this machine."""
        return self.host == socket.gethostname()

    def alive(self) -> bool:
        """Whether it still runs; the number alone may have passed to somebody else."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _SAME_START_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def hold(run: Path, pid: int) -> Owner:
    """Write the lock in the name of a process of this machine."""
    owner = Owner.of(pid)
    write_atomic(run / LOCK, json.dumps(asdict(owner)) + "\n")
    return owner


def beat(run: Path) -> None:
    """Show other machines that somebody is here, also while the model writes nothing."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(run / LOCK)


def holder(run: Path) -> Owner | None:
    """Whom the lock names; None where there is none, or where the model's own launcher made it."""
    try:
        return Owner(**json.loads((run / LOCK).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def release(run: Path) -> None:
    """Remove the lock."""
    (run / LOCK).unlink(missing_ok=True)


def clear(
    run: Path,
    executable: Path,
    clock: Clock,
    silence_s: float,
    waiting: Callable[[], bool],
) -> str:
    """Make sure that nobody runs here, and remove the lock; else a sentence that says who does.

    What is left of an earlier attempt on this machine is ended. ``waiting`` is called as we wait for
    silence, and ends that by True.
    """
    owner = holder(run)
    if owner is not None and owner.here and owner.alive() and owner.pid != os.getpid():
        end_group(owner.pid)
    for process in working_in(run, executable):
        end_group(process.pid)
    left = working_in(run, executable)
    if left:
        return f"process {left[0].pid} still runs the model in {run} and cannot be ended; end it"
    if (run / LOCK).exists() and not (owner is not None and owner.here):
        where = f"on {owner.host}" if owner else "by a launcher of the model's own"
        seen = _last_change(run)
        while (quiet_s := _now(run) - seen) < silence_s:
            if waiting():
                return f"the folder was locked {where} {duration(quiet_s)} ago"
            clock.sleep(1.0)
            if _last_change(run) > seen:
                return (
                    f"a run that was begun {where} still writes into {run}; end it, or wait until "
                    "it is over, and then run this again"
                )
    release(run)
    return ""


def working_in(run: Path, executable: Path) -> list[psutil.Process]:
    """Processes of this machine that run this executable in this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.pid != os.getpid() and str(executable) in process.cmdline()
            if (
                ours
                and Path(process.cwd()) == run.resolve()
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def end_group(pid: int) -> None:
    """End a process and its group at once, if it leads one."""
    try:
        process = psutil.Process(pid)
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait(_GONE_S)
    except (psutil.Error, ProcessLookupError, PermissionError):
        return


def _last_change(run: Path) -> float:
    times = [
        entry.stat(follow_symlinks=False).st_mtime
        for entry in os.scandir(run)
        if entry.name[0] != "."
    ]
    return max(times, default=0.0)


def _now(run: Path) -> float:
    """The time as the file system has it, which is that of the files."""
    probe = run / ".now"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
