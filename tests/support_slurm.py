"""The private cluster as tests see it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from support import REPOSITORY, until

SCRIPT = REPOSITORY / "hpc" / "slurm" / "cluster.sh"


@dataclass(frozen=True)
class Cluster:
    """The private cluster: break it with ``verb``, ask it with ``run``."""

    root: Path
    environment: dict[str, str]
    namespaces: bool  # each node has a network, a /tmp and processes of its own

    def verb(self, *words: str) -> str:
        done = subprocess.run(
            [str(SCRIPT), *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"cluster.sh {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def run(self, *words: str, code: int | None = 0) -> str:
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert code is None or done.returncode == code, (
            f"{' '.join(words)}: {done.stdout}{done.stderr}"
        )
        return done.stdout

    def queue(self) -> list[str]:
        """Tasks that wait or run, one a line."""
        return self.run("squeue", "--noheader", "--array", "--format=%i %T %j").splitlines()

    def drain(self, seconds: float = 400) -> None:
        """Wait until nothing waits or runs."""
        until(lambda: not self.queue(), "an empty queue", seconds)
