"""Submission through submitit, with our script as the payload instead of a pickle.

submitit's executor normally writes a header from its own keyword arguments and a payload that
unpickles a function. Here the function *is* a rendered script: the file that ``--dry-run`` printed,
byte for byte, is the file that sbatch reads, and it needs neither submitit nor a pickle to run.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from submitit.core import core, utils
from submitit.slurm import slurm


class Script:
    """A rendered script, as submitit wants its work: something callable."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> None:
        """Refuse to run in the launcher; a script runs under sbatch or bash."""
        raise RuntimeError(f"{self.path} is run by sbatch or bash, not called")


class ScriptExecutor(slurm.SlurmExecutor):
    """submitit's Slurm executor for scripts that exist already.

    ``run`` executes a command and returns its output; the client gives one with a timeout, which
    submitit's own call has not.
    """

    def __init__(self, folder: Path, run: Callable[[Sequence[str]], str]) -> None:
        core.Executor.__init__(self, folder)  # not PicklingExecutor's: nothing is pickled
        self._run = run

    def _internal_process_submissions(
        self, delayed_submissions: list[utils.DelayedSubmission]
    ) -> list[core.Job[Any]]:
        jobs: list[core.Job[Any]] = []
        for submission in delayed_submissions:
            assert isinstance(submission.function, Script)
            command = self._make_submission_command(submission.function.path)
            job_id = self._get_job_id_from_submission_command(self._run(command))
            jobs.append(slurm.SlurmJob(folder=self.folder, job_id=job_id))
        return jobs


def sbatch(script: Path, run: Callable[[Sequence[str]], str]) -> str:
    """Submit one script with submitit and return its job id."""
    return str(ScriptExecutor(script.parent, run).submit(Script(script)).job_id)
