"""``doctor``: prove on the machine it is on what sweeps rely on, with real jobs.

Every promise of the job script that a site's configuration can break is tried for real: that a signal
reaches the payload, that a requeued task keeps its log and leaves its neighbours alone, that arrays have
the limits that the cluster states, that MPI ranks find each other, that GPUs are handed out.
"""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from astrohpc.clock import Clock, duration
from astrohpc.errors import ConfigError
from astrohpc.files import exclusive, readable_failures
from astrohpc.launch.output import say
from astrohpc.slurm import limits as slurm_limits
from astrohpc.slurm.client import Scheduler, SchedulerRefused, SchedulerSilent, SlurmClient
from astrohpc.slurm.local import LocalScheduler
from astrohpc.slurm.render import render, write_script
from astrohpc.slurm.request import Allocation, Array, JobRequest, Site
from astrohpc.sweep import config as configs

SLOW_PROFILE_S = 10.0
PATIENCE_S = 420.0  # a requeued job may start only two minutes later


class Failed(Exception):
    """A proof that did not come out, with the remedy."""


class Skipped(Exception):
    """A proof that makes no sense here, and why."""


@dataclass
class Doctor:
    """One examination: a folder that all nodes should see, a scheduler, and what was found."""

    folder: Path
    site: Site
    allocation: Allocation
    clock: Clock
    scheduler: Scheduler
    failures: int = 0
    profile_s: float | None = None

    # -------------------------------------------------------------------------- bookkeeping
    def prove(self, what: str, proof: Callable[[], str]) -> None:
        """Try one thing and say how it went."""
        began = self.clock.now()
        try:
            said = proof()
        except Skipped as skipped:
            say(f"  -  {what}: {skipped}")
            return
        except (Failed, SchedulerRefused, SchedulerSilent, ConfigError) as failed:
            self.failures += 1
            say(f"  ✗  {what}: {failed}")
            return
        say(f"  ✓  {what}: {said} ({duration(self.clock.now() - began)})")

    def submit(
        self, kind: Any, name: str, probe: str, allocation: Allocation, array: Array | None
    ) -> str:
        """Submit one small job through the very path that sweeps use."""
        python = self.site.python or sys.executable
        request = JobRequest(
            kind=kind,
            name=f"doctor.{name}",
            comment="astrohpc doctor",
            title=f"doctor: {name}",
            folder=str(self.folder),
            log="logs/%x_%A_%a.out" if array else "logs/%x_%j.out",
            command=(python, "-m", "astrohpc.jobs.probe", probe, str(self.folder)),
            site=self.site,
            allocation=allocation,
            resources=allocation.resources(),
            array=array,
        )
        write_script(request.script, render(request))
        return self.scheduler.submit(request)

    def await_file(self, name: str, remedy: str, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait for what a probe leaves."""
        path = self.folder / name
        end = self.clock.now() + patience_s
        while self.clock.now() < end:
            with contextlib.suppress(FileNotFoundError):
                found: dict[str, Any] = json.loads(path.read_text())
                return found
            self.clock.sleep(0.5)
        raise Failed(f"{remedy}; see {self.folder}/logs")

    # -------------------------------------------------------------------------- proofs
    def one_task(self) -> Allocation:
        """The smallest piece of the allocation."""
        return replace(
            self.allocation,
            walltime="00:15:00",
            nodes=1,
            tasks_per_node=1,
            cpus_per_task=1,
            memory="500 MiB",
            gpus_per_node=0,
            exclusive=False,
        )

    def signals(self) -> str:
        """A signal reaches the payload; its task, and only it, starts again, and its log goes on."""
        job = self.submit(
            "array", "signal", "signal", self.one_task(), Array(tasks=(0, 1), throttle=2)
        )
        for task in (1, 0):
            where = self.await_file(
                f"began.{task}",
                "no task began: the folder may not be visible from the nodes, or the queue is long "
                f"(job {job} stays; look at 'squeue --me')",
            )
        self.profile_s = where["time"] - self._started(job, 0)
        self._signal(job, 0)
        got = self.await_file("signal.0", "USR1 did not reach the payload", 60)
        if got["signal"] != "SIGUSR1":
            raise Failed(f"the payload got {got['signal']} instead of USR1")
        self.await_file(
            "again.0", "the task was not requeued; set site.requeue=false and let the keeper go on"
        )
        if (self.folder / "signal.1").exists():
            raise Failed("requeueing task 0 stopped task 1 as well")
        log = self.log(job, 0)
        if log.count("start 1") != 1 or log.count("start 2") != 1:
            raise Failed(
                f"the log does not hold both starts of the task ({log.count('start ')} found)"
            )
        self._signal(job, 1)
        self.await_file("again.1", "the second task was not requeued")
        return f"USR1 reached the payload on {where['host']}, the task was requeued alone, its log appended"

    def _signal(self, job: str, task: int) -> None:
        if isinstance(self.scheduler, SlurmClient):
            self.scheduler.run(["scancel", "--batch", "--signal=USR1", f"{job}_{task}"])

    def log(self, job: str, task: int) -> str:
        """Return what a task has said so far."""
        return (self.folder / "logs" / f"doctor.signal_{job}_{task}.out").read_text()

    def _started(self, job: str, task: int) -> float:
        """When Slurm says that it started a task."""
        assert isinstance(self.scheduler, SlurmClient)
        shown = self.scheduler.run(["squeue", "--noheader", f"--jobs={job}_{task}", "--format=%S"])
        return datetime.fromisoformat(shown.split()[0]).timestamp()

    def keeper(self) -> str:
        """What the keeper does on a compute node works there: to ask, to submit, to hold a lock."""
        if not self.site.keeper:
            raise Skipped("the site profile does without (site.keeper=false)")
        with exclusive(self.folder / ".lock"):
            self.submit("single", "keeper", "keeper", self.one_task(), None)
            got = self.await_file("keeper", "the job did not run")
        if got["refused"]:
            raise Failed(
                f"on {got['host']}, {got['refused']} Set site.keeper=false; 'launch sweep' by hand, now and "
                "then, does the keeper's work"
            )
        if got["locked"]:
            raise Failed(
                f"{got['host']} does not see a lock that is held here, so that two launchers could work at "
                "once; choose runs on a file system with locks for all nodes (Lustre: -o flock)"
            )
        return f"on {got['host']} squeue, sacct and sbatch answer, and a lock held here is seen"

    def profile(self) -> str:
        """What lies between Slurm's start of a task and its first line: with NONE, the login profile."""
        if self.profile_s is None:
            raise Skipped("no task has begun")
        if self.profile_s > SLOW_PROFILE_S:
            raise Failed(
                f"tasks begin {self.profile_s:.0f} s after Slurm starts them; with site.export="
                f"{self.site.export} every task runs your login profile: make that faster, or use ALL"
            )
        late = max(self.profile_s, 0.0)
        return f"a task begins {late:.1f} s after Slurm starts it, with export {self.site.export}"

    def time_limit(self) -> str:
        """The signal comes before the time limit, by itself."""
        site = replace(self.site, signal_lead_s=60, requeue=False)
        doctor = replace(self, site=site, folder=self.folder / "limit")
        _make(doctor.folder)
        short = replace(self.one_task(), walltime="00:02:00")
        doctor.submit("single", "limit", "signal", short, None)
        got = doctor.await_file("signal.0", "no signal came before the time limit of 2 minutes")
        if got["signal"] != "SIGUSR1":
            raise Failed(
                f"only {got['signal']} came, at the limit itself; this Slurm does not honour --signal=B:"
            )
        return f"USR1 came {got['after_s']:.0f} s into a limit of 120 s, as --signal=B:USR1@60 asks"

    def array_limit(self) -> str:
        """Arrays reach as far as the cluster states, and no further."""
        assert isinstance(self.scheduler, SlurmClient)
        limits = slurm_limits.read_limits(self.scheduler, self.site, self.allocation)
        path = self.folder / "limit.sbatch"
        last = limits.max_array_size - 1
        for index, fits in ((last, True), (last + 1, False)):
            path.write_text(
                f"#!/bin/bash\n#SBATCH --array={index}\n#SBATCH --time=00:01:00\ntrue\n"
            )
            try:
                self.scheduler.test(path)
            except SchedulerRefused as refused:
                if fits:
                    raise Failed(
                        f"index {index} is refused although MaxArraySize allows it: {refused}"
                    ) from refused
            else:
                if not fits and not self.site.max_array_size:
                    raise Failed(
                        f"index {index} is accepted although MaxArraySize is {limits.max_array_size}"
                    )
        submit = limits.max_submit or "any number of"
        return f"indices to {last}, {submit} tasks queued at once, Slurm {limits.version}"

    def ranks(self) -> str:
        """MPI ranks of two nodes find each other, each on cores of its own."""
        with contextlib.suppress(ImportError):
            import mpi4py  # noqa: PLC0415, F401

            two = replace(self.one_task(), nodes=2, tasks_per_node=2)
            self.submit("mpi", "ranks", "ranks", two, None)
            got = self.await_file(
                "ranks", "the ranks did not meet; set site.mpi (srun --mpi=list) or load MPI"
            )
            if got["size"] != 4 or got["total"] != 10:
                raise Failed(
                    f"{got['size']} ranks in one world instead of 4; set site.mpi (srun --mpi=list)"
                )
            places = [(host, tuple(cores)) for host, cores in got["places"]]
            hosts = {host for host, _ in places}
            bound = (
                "each on cores of its own"
                if len(set(places)) == 4
                else "sharing cores: they are not bound"
            )
            return f"4 ranks on {len(hosts)} nodes, {bound}"
        raise Skipped("mpi4py is not installed; 'pip install astrohpc[mpi]'")

    def gpus(self) -> str:
        """Every task of a GPU job sees the node's GPUs."""
        if not self.site.gpus_per_node:
            raise Skipped("the site profile has no GPUs")
        count = min(2, self.site.gpus_per_node)
        two = replace(self.one_task(), tasks_per_node=count, gpus_per_node=count)
        self.submit("gpu", "gpus", "gpus", two, None)
        seen = [self.await_file(f"gpus.{rank}", "the GPU job did not run") for rank in range(count)]
        devices = {one["visible"] for one in seen}
        if "" in devices:
            raise Failed(
                "CUDA_VISIBLE_DEVICES is empty in a job that asked for GPUs; set site.gpu_option"
            )
        return f"{count} tasks see devices {' | '.join(sorted(devices))}, meeting at {seen[0]['meeting']}"


def examine(written: Mapping[str, Any], clock: Clock) -> int:
    """Examine the machine for the composed site and allocation."""
    config = configs.parse(written)
    runs = Path(config.runs)
    with readable_failures("runs"):
        folder = runs / f".doctor-{os.getpid()}"
        _make(folder)
        slurm = config.site.scheduler == "slurm"
        scheduler: Scheduler = SlurmClient() if slurm else LocalScheduler(folder / "local")
        doctor = Doctor(folder, config.site, config.allocation, clock, scheduler)
        say(f"doctor: site {config.site.name}, in {folder}")
        if slurm:
            doctor.prove("scheduler", lambda: _answers(doctor))
            if doctor.failures:
                shutil.rmtree(folder, ignore_errors=True)
                say("next: log in where Slurm answers, or choose site=local")
                return 1
            doctor.prove("array limits", doctor.array_limit)
            doctor.prove("signals, requeue, logs", doctor.signals)
            doctor.prove("environment", doctor.profile)
            doctor.prove("keeper", doctor.keeper)
            doctor.prove("time limit", doctor.time_limit)
            doctor.prove("MPI", doctor.ranks)
            doctor.prove("GPUs", doctor.gpus)
        else:
            doctor.prove("bash", _bash)
            doctor.prove("signals, requeue, logs", lambda: _local_signals(doctor))
    if doctor.failures:
        say(
            f"{doctor.failures} proofs failed; mend the site profile as each line says, and run this again"
        )
        return 1
    shutil.rmtree(folder, ignore_errors=True)  # after a failure its logs are evidence
    say("next: python -m astrohpc.launch plan")
    return 0


def _answers(doctor: Doctor) -> str:
    assert isinstance(doctor.scheduler, SlurmClient)
    jobs = doctor.scheduler.jobs()
    sacct = (
        "with accounting"
        if shutil.which("sacct")
        else "without sacct: ended jobs are known for minutes only"
    )
    return f"answers, {len(jobs)} jobs of yours, {sacct}"


def _bash() -> str:
    path = shutil.which("bash")
    if path is None:
        raise Failed("there is no bash; install it")
    return path


def _local_signals(doctor: Doctor) -> str:
    """Let a short limit send USR1, which must reach the payload and start the task again."""
    doctor.site = replace(doctor.site, signal_lead_s=57)
    short = replace(doctor.one_task(), walltime="00:01:00")
    job = doctor.submit("array", "signal", "signal", short, Array(tasks=(0,), throttle=1))
    got = doctor.await_file("signal.0", "USR1 did not reach the payload", 60)
    doctor.await_file("again.0", "the task was not started again", 30)
    log = doctor.log(job, 0)
    if log.count("start 1") != 1 or log.count("start 2") != 1:
        raise Failed("the log does not hold both starts of the task")
    return f"{got['signal']} came after {got['after_s']:.0f} s, 57 s before the limit; the task went on"


def _make(folder: Path) -> None:
    for name in ("logs", "scripts"):
        (folder / name).mkdir(parents=True, exist_ok=True)
