"""A scheduler for one machine: the same scripts, signals, logs and exit codes, without Slurm.

``submit`` leaves a spec in the spool folder and starts a runner that belongs to nobody's terminal. The
runner waits for the submissions before it, runs array tasks several at a time with bash, sends USR1
before the time limit, TERM at it and KILL after it, and starts a task again that exits 75 after USR1.
All that is known of a job is in three small files beside its spec; nothing is kept in memory that a
kill could lose.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic
from astrohpc.settings import build
from astrohpc.slurm.client import JobSeen
from astrohpc.slurm.request import JobRequest


@dataclass(frozen=True)
class Spec:
    """One local submission."""

    name: str
    script: str
    log: str
    tasks: tuple[int | None, ...]
    walltime_s: float
    lead_s: float
    requeues: int


class LocalScheduler:
    """Runs submissions of one sweep on this machine, one after the other."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool

    def submit(self, request: JobRequest) -> str:
        """Start a runner for the request and return its id at once."""
        self.spool.mkdir(exist_ok=True)
        number = self._claim_number()
        job = f"local-{number}"
        tasks: tuple[int | None, ...] = request.array.tasks if request.array else (None,)
        cores = os.cpu_count() or 1
        at_once = max(1, cores // request.allocation.cores)
        if request.array:
            at_once = min(at_once, request.array.throttle)
        spec = Spec(
            name=request.name,
            script=str(request.script),
            log=request.log,
            tasks=tasks,
            walltime_s=request.resources.walltime_s,
            lead_s=request.site.signal_lead_s,
            requeues=request.site.requeues if request.site.requeue else 0,
        )
        write_atomic(self._file(job, "parallel"), str(at_once))
        with self._file(job, "lock").open("w") as lock:
            # The runner inherits the lock: from this line on the job is seen to be alive.
            fcntl.flock(lock, fcntl.LOCK_EX)
            write_atomic(self._file(job, "json"), json.dumps(asdict(spec)))
            with self._file(job, "log").open("ab") as log:
                runner = subprocess.Popen(
                    [sys.executable, "-m", "astrohpc.slurm.local_runner", str(self.spool), job],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=[lock.fileno()],
                    env={**os.environ, "ASTROHPC_LOCK_FD": str(lock.fileno())},
                )
        write_atomic(self._file(job, "pid"), json.dumps(_identity(runner.pid)))
        return job

    def _claim_number(self) -> int:
        number = max(map(number_of, self._specs()), default=0) + 1
        while True:
            try:
                self._file(f"local-{number}", "lock").touch(exist_ok=False)
            except FileExistsError:
                number += 1
            else:
                return number

    def jobs(self) -> list[JobSeen]:
        """Every task of every submission, from the files that the runners keep."""
        seen: list[JobSeen] = []
        for path in sorted(self._specs(), key=number_of):
            seen += self._tasks(path.stem)
        return seen

    def _specs(self) -> list[Path]:
        """Files of ours that say what was submitted; others may lie beside them."""
        return [path for path in self.spool.glob("local-*.json") if number_of(path)]

    def _tasks(self, job: str) -> Iterator[JobSeen]:
        spec, alive, events = self.spec(job), self.alive(job), self.events(job)
        submitted = self._file(job, "json").stat().st_mtime
        for task in spec.tasks:
            event = events.get(task)
            if event is None:
                state = "PENDING" if alive else "CANCELLED"
            elif event["event"] == "end":
                state = _STATE_OF_END.get(
                    event["why"], "COMPLETED" if event["rc"] == 0 else "FAILED"
                )
            elif event["event"] == "again":
                state = "PENDING" if alive else "CANCELLED"
            else:
                running = alive or _same_process(event["process"])
                state = "RUNNING" if running else "NODE_FAIL"
            yield JobSeen(
                job,
                task,
                state,
                name=spec.name,
                node="localhost",
                submitted=submitted,
                exit_code=event.get("rc") if event else None,
            )

    def history(self, jobs: Iterable[str], names: Iterable[str]) -> list[JobSeen]:
        """Nothing: the spool forgets nothing, so ``jobs`` has told all."""
        del jobs, names
        return []

    def cancel(self, jobs: Sequence[str]) -> None:
        """Ask the runners of these submissions to stop their tasks and leave."""
        for job in {job.partition("_")[0] for job in jobs}:
            if not self.alive(job):
                continue
            runner = self._runner(job)
            if runner is None and not self.alive(job):  # it has ended meanwhile
                continue
            if runner is None:
                raise ConfigError(
                    f"{self._file(job, 'pid')}: it does not say which process runs {job}, and none here "
                    "does; run this again where the sweep was started."
                )
            with contextlib.suppress(ProcessLookupError):
                os.kill(runner, signal.SIGTERM)

    def _runner(self, job: str) -> int | None:
        """The process that runs a job: as it was written down, or by its command line."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            process = json.loads(self._file(job, "pid").read_text())
            if _same_process(process):
                return int(process["pid"])
        words = [str(self.spool), job]
        for one in psutil.process_iter(["cmdline"]):
            if (one.info["cmdline"] or [])[-2:] == words:
                return one.pid
        return None

    def throttle(self, job: str, at_once: int) -> None:
        """Let the runner start at most this many tasks at once from now on."""
        write_atomic(self._file(job, "parallel"), str(at_once))

    def release(self, job: str, task: int | None) -> None:
        """Nothing is ever held here."""

    def test(self, script: Path) -> str:
        """Nothing queues on one's own machine."""
        return f"{script.name} starts at once on this machine"

    def spec(self, job: str) -> Spec:
        """What was submitted."""
        path = self._file(job, "json")
        try:
            return build(Spec, json.loads(path.read_text()), "")
        except (ValueError, RecursionError) as error:
            raise ConfigError(
                f"{path}: what was submitted cannot be read ({error}); remove that file, and members of it "
                "that are not done are submitted again."
            ) from error

    def alive(self, job: str) -> bool:
        """Whether the runner lives: it holds its lock, which the kernel drops when it dies."""
        if not self._file(job, "lock").exists():
            return False
        with self._file(job, "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def events(self, job: str) -> dict[int | None, dict[str, Any]]:
        """The last event of each task that has begun."""
        last: dict[int | None, dict[str, Any]] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in self._file(job, "tasks").read_text().splitlines():
                # The last line of a killed runner may be half.
                with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                    event = json.loads(line)
                    _ = [event[name] for name in _NEEDED[event["event"]]]
                    last[event["task"]] = event
        return last

    def _file(self, job: str, suffix: str) -> Path:
        return self.spool / f"{job}.{suffix}"


# How a runner ended a task, in Slurm's words.
_STATE_OF_END = {"timeout": "TIMEOUT", "cancel": "CANCELLED"}


# What the line of an event has to say.
_NEEDED = {"start": ("process",), "again": ("rc",), "end": ("rc", "why")}


def number_of(path: Path) -> int:
    """The number in the name of a file of a submission; 0 where it is none of ours."""
    number = path.stem[6:]
    return int(number) if number.isascii() and number.isdecimal() else 0


def _identity(pid: int) -> dict[str, float]:
    """A process as (pid, start time): a pid alone may soon belong to a stranger."""
    try:
        return {"pid": pid, "started": psutil.Process(pid).create_time()}
    except psutil.Error:
        return {"pid": pid, "started": 0.0}


def _same_process(process: dict[str, Any]) -> bool:
    try:
        there = psutil.Process(int(process["pid"]))
        return (
            abs(there.create_time() - process["started"]) < 1.0
            and there.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.Error:
        return False
