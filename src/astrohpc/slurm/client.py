"""The one class that runs Slurm's binaries. Each call is an argument list with a timeout."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from astrohpc.errors import ConfigError
from astrohpc.slurm.directives import parse_indices
from astrohpc.slurm.request import JobRequest
from astrohpc.slurm.states import REFUSALS, SILENCE, Phase, phase
from astrohpc.slurm.submission import sbatch

QUERY_TIMEOUT_S = 60.0
SUBMIT_TIMEOUT_S = 120.0


class SchedulerSilent(Exception):
    """The scheduler did not answer. Nothing follows from that about any job."""


class SchedulerRefused(ConfigError):
    """The scheduler answered, and said no."""


class NoCluster(ConfigError):
    """There is no Slurm on this machine, or it belongs to no cluster."""


@dataclass(frozen=True)
class JobSeen:
    """One job, or one task of an array, as the scheduler sees it."""

    job: str  # 1234, also for the tasks of array 1234
    task: int | None
    state: str
    reason: str = ""
    node: str = ""
    name: str = ""
    submitted: float = 0.0
    exit_code: int | None = None
    max_rss_mib: int | None = None

    @property
    def phase(self) -> Phase:
        """Whether it waits, runs, or is over."""
        return phase(self.state)


class Scheduler(Protocol):
    """What a sweep needs of a scheduler; Slurm and the local runner both give it."""

    def submit(self, request: JobRequest) -> str:
        """Submit the request's rendered script and return its job id."""

    def jobs(self) -> list[JobSeen]:
        """All of our jobs that the scheduler still knows, in one query."""

    def history(self, jobs: Iterable[str], names: Iterable[str]) -> list[JobSeen]:
        """What accounting remembers of these job ids and job names, in one query."""

    def cancel(self, jobs: Sequence[str]) -> None:
        """Stop these jobs, by id and never by name."""

    def throttle(self, job: str, at_once: int) -> None:
        """Let at most this many tasks of an array run at once from now on."""

    def release(self, job: str, task: int | None) -> None:
        """Let a task go that the scheduler itself has held."""

    def test(self, script: Path) -> str:
        """Say when the script would start, or raise SchedulerRefused; submit nothing."""


class SlurmClient:
    """Slurm through its command line."""

    def submit(self, request: JobRequest) -> str:
        """Submit, with submitit, exactly the file at ``request.script``."""
        return sbatch(request.script, lambda command: self.run(command, SUBMIT_TIMEOUT_S))

    def jobs(self) -> list[JobSeen]:
        """One squeue for all of this user's jobs, ended ones included while slurmctld knows them."""
        text = self.run(
            ["squeue", "--me", "--noheader", "--states=all", "--format=%i|%T|%N|%V|%j|%r"]
        )
        seen = []
        for line in text.splitlines():
            ident, state, node, submitted, name, reason = line.split("|", 5)
            seen += _expand(ident, JobSeen("", None, state, reason, node, name, _epoch(submitted)))
        return seen

    def history(self, jobs: Iterable[str], names: Iterable[str]) -> list[JobSeen]:
        """One sacct for jobs that slurmctld has forgotten or that left without a word.

        The steps tell two things that the job's own line does not: the peak memory, and that it was a
        step that ran out of memory although the script went on.
        """
        ids, names = sorted(set(jobs)), sorted(set(names))
        if not (ids or names) or shutil.which("sacct") is None:
            return []
        fields = "JobID,State,NodeList,Submit,ExitCode,MaxRSS,JobName,Reason"
        found: dict[str, JobSeen] = {}
        command = [
            "sacct",
            "--noheader",
            "--parsable2",
            f"--format={fields}",
            "--starttime=now-30days",
        ]
        # sacct combines --jobs and --name with AND; a name is asked for only when a launcher was killed
        for choice in ([f"--jobs={','.join(ids)}"] if ids else []) + (
            [f"--name={','.join(names)}"] if names else []
        ):
            try:
                text = self.run([*command, choice])
            except SchedulerRefused as refusal:
                if "disabled" in str(refusal):
                    return []
                raise
            _fold_sacct(text, found)
        return list(found.values())

    def cancel(self, jobs: Sequence[str]) -> None:
        """Send scancel for these ids."""
        if jobs:
            self.run(["scancel", *jobs])

    def throttle(self, job: str, at_once: int) -> None:
        """Change %N of an array that is already queued."""
        self.run(["scontrol", "update", f"JobId={job}", f"ArrayTaskThrottle={at_once}"])

    def release(self, job: str, task: int | None) -> None:
        """Release one held job or task."""
        self.run(["scontrol", "release", job if task is None else f"{job}_{task}"])

    def test(self, script: Path) -> str:
        """Run ``sbatch --test-only`` and return the scheduler's sentence."""
        return self.run(["sbatch", "--test-only", str(script)], both=True).strip()

    def run(
        self, command: Sequence[str], timeout_s: float = QUERY_TIMEOUT_S, *, both: bool = False
    ) -> str:
        """Run one Slurm command and return its output, or say how it failed."""
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except FileNotFoundError:
            raise NoCluster(
                f"site: {command[0]!r} is not on this machine; choose site=local, or log in where Slurm is."
            ) from None
        except subprocess.TimeoutExpired:
            raise SchedulerSilent(f"{command[0]} did not answer within {timeout_s:.0f} s") from None
        if done.returncode:
            message = " ".join((done.stderr or done.stdout).split())
            if "configuration source" in message:
                raise NoCluster(
                    "site: Slurm's commands are here, but no cluster; set SLURM_CONF (for the private one: "
                    'eval "$(hpc/slurm/cluster.sh env)"), or choose site=local.'
                )
            if any(sign in message for sign in SILENCE):
                raise SchedulerSilent(f"{command[0]}: {message}")
            remedy = next((text for sign, text in REFUSALS.items() if sign in message), None)
            said = re.sub(r"^(sbatch: )?(error: )?(Batch job submission failed: )?", "", message)
            raise SchedulerRefused(
                f"{command[0]} said {said!r}" + (f": {remedy}." if remedy else ".")
            )
        return done.stdout + (done.stderr if both else "")


# What a job submitted with --export=ALL gets of our environment: who and where we are, nothing else.
_KEPT = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "LC_ALL", "TZ", "KRB5CCNAME")
_KEPT_OF_SLURM = ("SLURM_CONF", "SLURM_CLUSTERS")


def clean_environment() -> dict[str, str]:
    """Return the environment in which Slurm's commands run, and which --export=ALL gives to jobs.

    Inside a job, SLURM_* describe that job, not the one to be submitted; SBATCH_* override directives
    silently, so that the text would not be what runs; and what a shell has gathered in a day
    (PYTHONPATH, CONDA_*, LD_LIBRARY_PATH) would make two submissions of one text differ.
    """
    kept = {name: os.environ[name] for name in _KEPT + _KEPT_OF_SLURM if name in os.environ}
    kept["SLURM_BITSTR_LEN"] = "0"  # else squeue shortens long array lists to 64 characters
    kept["SLURM_TIME_FORMAT"] = "standard"
    return kept


def _expand(ident: str, seen: JobSeen) -> list[JobSeen]:
    """One line of squeue as tasks: ``12``, ``12_3``, ``12_[4-9,12%8]``."""
    job, _, tasks = ident.partition("_")
    indices: list[int | None] = list(parse_indices(tasks.strip("[]"))) if tasks else [None]
    return [replace(seen, job=job, task=task) for task in indices]


def _fold_sacct(text: str, found: dict[str, JobSeen]) -> None:
    for line in text.splitlines():
        ident, state, node, submitted, code, rss, name, reason = line.split("|", 7)
        ident, _, step = ident.partition(".")
        if not step:
            job = JobSeen("", None, state, reason, node, name, _epoch(submitted), _exit_code(code))
            found |= {_ident(one): one for one in _expand(ident, job)}
        elif ident in found:
            job = found[ident]
            found[ident] = replace(
                job,
                state=state if state == "OUT_OF_MEMORY" else job.state,
                max_rss_mib=max(filter(None, (job.max_rss_mib, _rss_mib(rss))), default=None),
            )


def _ident(seen: JobSeen) -> str:
    return seen.job if seen.task is None else f"{seen.job}_{seen.task}"


def _exit_code(text: str) -> int | None:
    """The exit code of ``code:signal``, 128 + signal where there was one."""
    code, _, number = text.partition(":")
    if not code.isdigit():
        return None
    return 128 + int(number) if number not in ("", "0") else int(code)


def _epoch(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def _rss_mib(text: str) -> int | None:
    match = re.fullmatch(r"([\d.]+)([KMGT]?)", text)
    if not match:
        return None
    return round(
        float(match[1]) * {"": 2**-20, "K": 2**-10, "M": 1, "G": 2**10, "T": 2**20}[match[2]]
    )
