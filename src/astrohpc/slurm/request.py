"""JobRequest: all that a script says, as one frozen value. ``submit`` takes nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from astrohpc.errors import ConfigError
from astrohpc.slurm.directives import format_indices, parse_mem_mib, parse_walltime_s


@dataclass(frozen=True, kw_only=True)
class Site:
    """One machine: what its scheduler is, what it allows, and how a program is started on it.

    Facts of the machine only; who pays and how much is an :class:`Allocation`.
    """

    name: str
    scheduler: Literal["slurm", "local"] = "slurm"
    description: str = ""
    source: str = ""  # where the facts were read, and when
    python: str | None = None  # interpreter on the compute nodes; none: the one that launches
    export: Literal["NONE", "ALL"] = "NONE"
    modules: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    setup: tuple[str, ...] = ()  # further shell lines, run before errors become fatal
    srun: tuple[str, ...] = ("--cpu-bind=cores", "--kill-on-bad-exit=1")
    mpi: str | None = None  # srun --mpi=…; none: the site's default
    hint: str | None = None
    gpu_option: Literal["gpus-per-node", "gres"] = "gpus-per-node"
    gpu_type: str | None = None  # a100, where the site wants the kind named
    cores_per_node: int | None = None
    gpus_per_node: int = 0
    signal_lead_s: int = 120  # Slurm may be 60 s early; the rest is for writing the restart
    requeue: bool = True
    requeues: int = (
        4  # in place; a longer chain continues as a new job; of a training, without progress
    )
    account_needed: bool = False  # it takes no job that does not say who pays
    keeper: bool = True  # compute nodes may run sbatch
    max_array_size: int | None = None  # none: ask the cluster
    max_submit: int | None = None  # none: ask the cluster
    query_interval_s: int = 60
    heartbeat_s: float = 30.0
    limit_files: int | None = None  # inodes the scratch file system gives one user
    tensorboard: Literal["login", "job"] = "login"
    login_cpu_s: int = 1200  # CPU time that login nodes tolerate from one process

    def __post_init__(self) -> None:
        if self.signal_lead_s < 1:
            raise ConfigError("signal_lead_s: it must be at least 1; write for example 120.")
        if self.query_interval_s < 0 or self.heartbeat_s <= 0:
            raise ConfigError("query_interval_s, heartbeat_s: they must be positive.")

    @property
    def stale_s(self) -> float:
        """Age of a heartbeat after which a running member counts as silent."""
        return max(4 * self.heartbeat_s, 10.0)


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """Who pays, and how much one task gets. Never part of a member's identity."""

    name: str
    account: str | None = None
    partition: str | None = None
    qos: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    walltime: str = "01:00:00"
    nodes: int = 1
    tasks_per_node: int = 1
    cpus_per_task: int = 1
    memory: str = "2 GiB"  # a node's share, per node
    gpus_per_node: int = 0
    exclusive: bool = False
    members_per_task: int = 1
    throttle: int = 100  # tasks at once, over all arrays of the sweep
    budget_core_hours: float | None = None
    build_walltime: str = "01:00:00"  # for engines whose executable depends on the planet
    build_cpus: int = 4
    build_memory: str = "8 GiB"
    modules: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = ("nodes", "tasks_per_node", "cpus_per_task", "members_per_task", "throttle")
        for name in (*counts, "build_cpus"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"{name}: {getattr(self, name)} is less than one; write 1 or more."
                )
        if self.gpus_per_node < 0:
            raise ConfigError("gpus_per_node: it cannot be negative; write 0 or more.")
        for name in ("walltime", "build_walltime"):
            parse_walltime_s(getattr(self, name), name)
        for name in ("memory", "build_memory"):
            parse_mem_mib(getattr(self, name), name)

    def resources(self) -> "Resources":
        """What the first attempt of a task asks for."""
        return Resources(
            walltime_s=parse_walltime_s(self.walltime, "walltime"),
            mem_mib=parse_mem_mib(self.memory, "memory"),
        )

    def for_builds(self) -> "Allocation":
        """The same payer, with what a build needs."""
        return replace(
            self,
            walltime=self.build_walltime,
            nodes=1,
            tasks_per_node=1,
            cpus_per_task=self.build_cpus,
            memory=self.build_memory,
            gpus_per_node=0,
            exclusive=False,
            members_per_task=1,
        )

    @property
    def cores(self) -> int:
        """Cores that one running task holds."""
        return self.nodes * self.tasks_per_node * self.cpus_per_task


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What an attempt may get more of than the one before it, and where it must not run again."""

    walltime_s: int
    mem_mib: int
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Array:
    """Which array tasks, how many at once, and which members they stand for."""

    tasks: tuple[int, ...]
    throttle: int
    offset: int = 0  # member index of task 0
    pack: int = 1  # members a task
    only: tuple[int, ...] | None = None  # of them; none: all

    @property
    def spec(self) -> str:
        """The value of ``--array``."""
        return f"{format_indices(self.tasks)}%{self.throttle}"

    def members(self, task: int) -> Sequence[int]:
        """Member indices that array task ``task`` is to run."""
        first = self.offset + task * self.pack
        whole = range(first, first + self.pack)
        return whole if self.only is None else [index for index in whole if index in self._wanted]

    @cached_property
    def _wanted(self) -> frozenset[int]:
        return frozenset(self.only or ())


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """One submission. ``render(request)`` is its script, to the last byte."""

    kind: Literal["array", "single", "mpi", "gpu"]
    name: str
    comment: str
    title: str
    folder: str  # where the job runs; logs/ and scripts/ lie in it
    log: str
    command: tuple[str, ...]
    site: Site
    allocation: Allocation
    resources: Resources
    array: Array | None = None
    dependency: str | None = None
    begin: str | None = None  # not before: now+10minutes
    progress: str = ""  # a folder within ``folder`` whose last name changes as the job gets on

    def __post_init__(self) -> None:
        if (self.kind == "array") != (self.array is not None):
            raise ConfigError(
                f"kind: a job of kind {self.kind!r} does not go with array={self.array}."
            )
        for value in (self.name, self.comment, self.folder, self.log, self.title):
            if any(ord(c) < 32 for c in value) or '"' in value:
                raise ConfigError(
                    f"name: {value!r} has a quote or a control character, which a script header "
                    "cannot carry; rename the sweep or its folder."
                )

    @property
    def script(self) -> Path:
        """Where its text lies."""
        return Path(self.folder) / "scripts" / f"{self.name}.sbatch"

    @property
    def modules(self) -> tuple[str, ...]:
        """The site's modules, then the allocation's."""
        return self.site.modules + self.allocation.modules

    @property
    def environment(self) -> dict[str, str]:
        """The site's variables, overridden by the allocation's."""
        return {**self.site.environment, **self.allocation.environment}
