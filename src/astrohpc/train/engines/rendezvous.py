"""Who we are among the ranks, as srun, mpirun, torchrun or our own spawner says, and where rank 0 is."""

import os
import re
import socket
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from astrohpc.errors import ConfigError

Environment = Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """One rank's place. ``cross`` counts nodes that have a process of our local rank."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    cross_rank: int = 0
    cross_size: int = 1
    node: int = 0
    launcher: str = "none"
    address: str = "127.0.0.1"  # of rank 0; empty where the launcher does not tell
    port: int = 0

    def __post_init__(self) -> None:
        for name, value, size in (
            ("rank", self.rank, self.size),
            ("local rank", self.local_rank, self.local_size),
            ("cross rank", self.cross_rank, self.cross_size),
        ):
            if not 0 <= value < size:
                raise ConfigError(
                    f"{self.launcher}: {name} {value} is not within 0..{size - 1}; its variables in "
                    "the environment do not belong together, start it afresh."
                )

    @property
    def one_node(self) -> bool:
        """Whether all ranks are on this machine."""
        return self.local_size == self.size

    def meet(self) -> tuple[str, int]:
        """Address and port of rank 0, for engines that need one."""
        if not self.address or not self.port:
            raise ConfigError(
                f"MASTER_ADDR: {self.launcher} does not tell the ranks of several nodes where rank 0 is; "
                "set MASTER_ADDR and MASTER_PORT for all of them (mpirun -x), or start with srun."
            )
        return self.address, self.port


def find_place(environment: Environment = os.environ) -> Place:
    """Read the launcher's variables; the innermost launcher counts, and none makes one rank."""
    # torchrun and our spawner first: they run within a job of Slurm, whose variables they inherit.
    if "RANK" in environment and "WORLD_SIZE" in environment:
        return _from_torchrun(environment)
    if "OMPI_COMM_WORLD_RANK" in environment:
        return _from_mpirun(environment)
    # A batch script has SLURM_PROCID and SLURM_NTASKS too, and is one process; only srun's have this.
    if "SLURM_STEP_NUM_TASKS" in environment and "SLURM_PROCID" in environment:
        return _from_srun(environment)
    return Place()


def _from_torchrun(environment: Environment) -> Place:
    rank, size = _number(environment, "RANK"), _number(environment, "WORLD_SIZE")
    local_rank = _number(environment, "LOCAL_RANK", rank)
    local_size = _number(environment, "LOCAL_WORLD_SIZE", size)
    launcher = environment.get("ASTROHPC_LAUNCHER", "torchrun")
    if size % local_size:
        raise ConfigError(
            f"LOCAL_WORLD_SIZE: {size} ranks do not divide into nodes of {local_size}; "
            f"let {launcher} start equally many on each node."
        )
    return Place(
        rank, size, local_rank, local_size, rank // local_size, size // local_size,
        rank // local_size, launcher,
        environment.get("MASTER_ADDR", "127.0.0.1" if local_size == size else ""),
        _number(environment, "MASTER_PORT", 0),
    )  # fmt: skip


def _from_mpirun(environment: Environment) -> Place:
    rank, size = (_number(environment, f"OMPI_COMM_WORLD_{name}") for name in ("RANK", "SIZE"))
    local_rank = _number(environment, "OMPI_COMM_WORLD_LOCAL_RANK")
    local_size = _number(environment, "OMPI_COMM_WORLD_LOCAL_SIZE")
    one_node = local_size == size
    job = environment.get("PMIX_NAMESPACE", environment.get("OMPI_MCA_ess_base_jobid", "0"))
    return Place(
        rank, size, local_rank, local_size,
        # mpirun does not tell the other nodes; MPI's own Horovod does not ask.
        rank // local_size, max(1, -(-size // local_size)), rank // local_size, "mpirun",
        environment.get("MASTER_ADDR", "127.0.0.1" if one_node else ""),
        _number(environment, "MASTER_PORT", _port(job) if one_node else 0),
    )  # fmt: skip


def _from_srun(environment: Environment) -> Place:
    local_rank = _number(environment, "SLURM_LOCALID")
    counts = _tasks_per_node(environment.get("SLURM_STEP_TASKS_PER_NODE", "1"))
    node = _number(environment, "SLURM_NODEID", 0)
    job = f"{environment.get('SLURM_JOB_ID', '')}.{environment.get('SLURM_STEP_ID', '')}"
    return Place(
        _number(environment, "SLURM_PROCID"), _number(environment, "SLURM_STEP_NUM_TASKS"),
        local_rank, counts[node],
        sum(count > local_rank for count in counts[:node]),
        sum(count > local_rank for count in counts), node, "srun",
        environment.get("MASTER_ADDR", _srun_address(environment, len(counts))),
        _number(environment, "MASTER_PORT", _port(job)),
    )  # fmt: skip


def _srun_address(environment: Environment, nodes: int) -> str:
    return "127.0.0.1" if nodes == 1 else first_host(environment.get("SLURM_STEP_NODELIST", ""))


def first_host(nodelist: str) -> str:
    """The first of Slurm's ``gpu[003-007,9],login1``: ``gpu003``."""
    found = re.match(r"([^\[,]+)(?:\[([0-9]+)[^\]]*\]([^,]*))?", nodelist)
    if found is None:
        return ""
    prefix, number, suffix = found.groups()
    return prefix + (number or "") + (suffix or "")


def _tasks_per_node(text: str) -> list[int]:
    """Slurm's ``2(x3),1`` is 2, 2, 2, 1."""
    counts: list[int] = []
    for found in re.finditer(r"(\d+)(?:\(x(\d+)\))?", text):
        counts += [int(found[1])] * int(found[2] or 1)
    return counts


def _number(environment: Environment, name: str, otherwise: int | None = None) -> int:
    text = environment.get(name)
    if text is None and otherwise is not None:
        return otherwise
    try:
        return int(text or "")
    except ValueError:
        raise ConfigError(
            f"{name}: {text!r} is no number; start the ranks with srun, mpirun, torchrun or "
            "python -m astrohpc.train.spawn, which set it."
        ) from None


def _port(job: str) -> int:
    """A port that all ranks of a job derive alike, below those that the system hands out."""
    return 12000 + zlib.crc32(job.encode()) % 18000


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
