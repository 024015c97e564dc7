"""The runner of one local submission: ``python -m astrohpc.slurm.local_runner SPOOL JOB``."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from astrohpc.slurm.local import LocalScheduler, Spec, number_of

POLL_S = 0.05
KILL_WAIT_S = 30.0  # between TERM and KILL, as Slurm's default


@dataclass
class Task:
    """One array task that is running."""

    index: int | None
    process: subprocess.Popen[bytes]
    started: float
    restart: int
    warned: bool = False
    why: str = ""
    term_at: float = field(default=float("inf"))


class Runner:
    """Starts tasks in order, several at a time, and keeps a line for each start and end."""

    def __init__(self, spool: Path, job: str) -> None:
        self.scheduler = LocalScheduler(spool)
        self.job = job
        self.spec: Spec = self.scheduler.spec(job)
        self.events = (spool / f"{job}.tasks").open("a")
        self.waiting: list[tuple[int | None, int]] = [(task, 0) for task in self.spec.tasks]
        self.running: list[Task] = []
        self.cancelled = False
        self.at_once = 1
        self.told = False  # that we cannot read it

    def run(self) -> None:
        """Run until every task has ended."""
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, self._cancel)
        self._await_earlier_jobs()
        while self.running or (self.waiting and not self.cancelled):
            while self.waiting and not self.cancelled and len(self.running) < self._at_once():
                self._start(*self.waiting.pop(0))
            time.sleep(POLL_S)
            for task in list(self.running):
                self._watch(task)

    def _cancel(self, *_: object) -> None:
        self.cancelled = True

    def _await_earlier_jobs(self) -> None:
        """Submissions of one sweep run in the order of their numbers, so that a keeper comes last."""
        own = int(self.job[6:])
        locks = self.scheduler.spool.glob("local-*.lock")
        earlier = [path for path in locks if 0 < number_of(path) < own]
        for lock in earlier:
            while self.scheduler.alive(lock.stem) and not self.cancelled:
                time.sleep(POLL_S)

    def _at_once(self) -> int:
        path = self.scheduler.spool / f"{self.job}.parallel"
        with contextlib.suppress(OSError, ValueError):
            self.at_once = int(path.read_text())
            return self.at_once
        if not self.told:
            print(f"{path}: this is no number; {self.at_once} at once, as before", flush=True)
            self.told = True
        return self.at_once

    def _start(self, index: int | None, restart: int) -> None:
        log = (
            self.spec.log.replace("%x", self.spec.name)
            .replace("%A", self.job)
            .replace("%j", self.job)
        )
        name = self.job if index is None else f"{self.job}_{index}"
        path = Path(self.spec.script).parent.parent / log.replace("%a", str(index))
        # In somebody's salloc, SLURM_* would make every task believe that it is that one job.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
        environment |= {"ASTROHPC_JOB": name, "ASTROHPC_RESTART_COUNT": str(restart)}
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as output:
            process = subprocess.Popen(
                ["bash", self.spec.script, *([] if index is None else [str(index)])],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=environment,
            )
        self.running.append(Task(index, process, time.monotonic(), restart))
        started = 0.0
        with contextlib.suppress(psutil.Error):
            started = psutil.Process(process.pid).create_time()
        self._note(
            index, "start", process={"pid": process.pid, "started": started}, restart=restart
        )

    def _watch(self, task: Task) -> None:
        now = time.monotonic()
        rc = task.process.poll()
        if rc is not None:
            self.running.remove(task)
            again = rc == 75 and task.why == "warned" and task.restart < self.spec.requeues
            if again and not self.cancelled:
                self._note(task.index, "again", rc=rc)
                self.waiting.append((task.index, task.restart + 1))
            else:
                self._note(task.index, "end", rc=rc, why=task.why)
            return
        elapsed = now - task.started
        if not task.warned and elapsed >= self.spec.walltime_s - self.spec.lead_s:
            task.warned, task.why = True, "warned"
            task.process.send_signal(signal.SIGUSR1)
        over = elapsed >= self.spec.walltime_s
        if (over or self.cancelled) and task.term_at == float("inf"):
            task.why = "cancel" if self.cancelled else "timeout"
            task.term_at = now
            task.process.send_signal(signal.SIGTERM)
        if now >= task.term_at + KILL_WAIT_S:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(task.process.pid, signal.SIGKILL)

    def _note(self, task: int | None, event: str, **details: object) -> None:
        self.events.write(
            json.dumps({"task": task, "event": event, "time": time.time(), **details}) + "\n"
        )
        self.events.flush()


def main() -> None:
    """Take over the lock that the launcher took for us, and run."""
    spool, job = Path(sys.argv[1]), sys.argv[2]
    lock = int(os.environ.pop("ASTROHPC_LOCK_FD"))
    os.set_inheritable(lock, False)  # tasks must not keep the job alive after its runner
    fcntl.flock(lock, fcntl.LOCK_EX)
    Runner(spool, job).run()


if __name__ == "__main__":
    main()
