"""What a cluster allows, read from it once and kept with the sweep."""

import getpass
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic
from astrohpc.settings import build, suggest
from astrohpc.slurm.client import SchedulerRefused, SchedulerSilent, SlurmClient
from astrohpc.slurm.request import Allocation, Resources, Site


@dataclass(frozen=True)
class Partition:
    """One partition, by what its nodes have. Zero or None means that Slurm sets no limit."""

    name: str
    default: bool
    up: bool
    max_walltime_s: int | None
    nodes: int
    cpus_per_node: int
    mem_mib_per_node: int
    gpus_per_node: int


@dataclass(frozen=True)
class Limits:
    """What a cluster allows one user."""

    cluster: str
    version: str
    max_array_size: int  # indices run from 0 to this minus one
    max_array_tasks: int  # of them in one array
    max_submit: int | None
    accounting: bool
    partitions: Mapping[str, Partition] = field(default_factory=dict)


QUERIES = 4


def read_limits(client: SlurmClient, site: Site, allocation: Allocation) -> Limits:
    """Ask the cluster with QUERIES short commands; the site profile overrides what it states."""
    config = dict(
        re.findall(
            r"^(\w+)\s+= (.*)$", client.run(["scontrol", "show", "config"]), flags=re.MULTILINE
        )
    )
    array = int(config.get("MaxArraySize", "1001"))
    tasks = re.search(r"max_array_tasks=(\d+)", config.get("SchedulerParameters", ""))
    accounting = "slurmdbd" in config.get("AccountingStorageType", "")
    submit = _submit_limit(client, allocation) if accounting else None
    jobs = int(config.get("MaxJobCount", "10000"))
    return Limits(
        cluster=config.get("ClusterName", ""),
        version=config.get("SLURM_VERSION", ""),
        max_array_size=min(array, site.max_array_size or array),
        max_array_tasks=min(array, site.max_array_size or array, int(tasks[1]) if tasks else array),
        max_submit=min(filter(None, (submit, site.max_submit, jobs)), default=None),
        accounting=accounting,
        partitions=_partitions(client),
    )


def stated_limits(site: Site) -> Limits:
    """What a site's profile states, for who plans for a cluster on a machine that has no Slurm."""
    node = Partition(
        name="any",
        default=True,
        up=True,
        max_walltime_s=None,
        nodes=1_000_000,
        cpus_per_node=site.cores_per_node or 1_000_000,
        mem_mib_per_node=1_000_000_000,
        gpus_per_node=site.gpus_per_node,
    )
    return Limits(
        cluster=site.name,
        version="not asked",
        max_array_size=site.max_array_size or 1001,
        max_array_tasks=site.max_array_size or 1001,
        max_submit=site.max_submit,
        accounting=False,
        partitions={"any": node},
    )


def _submit_limit(client: SlurmClient, allocation: Allocation) -> int | None:
    """The smallest MaxSubmit of the associations and the QOS that the jobs would use."""
    fields = "format=Account,Partition,MaxSubmit,GrpSubmit,DefaultQOS"
    found: list[int] = []
    qos = allocation.qos
    try:
        command = ["sacctmgr", "--noheader", "--parsable2", "show"]
        rows = client.run([*command, "assoc", f"user={getpass.getuser()}", fields])
        for row in rows.splitlines():
            account, partition, user_max, group_max, default_qos = row.split("|")
            if allocation.account in (None, account) and partition in ("", allocation.partition):
                found += [int(n) for n in (user_max, group_max) if n]
                qos = qos or default_qos or None
        rows = client.run([*command, "qos", "format=Name,MaxSubmitPU,MaxSubmitPA,GrpSubmit"])
        for row in rows.splitlines():
            name, *limits = row.split("|")
            if name == qos:
                found += [int(n) for n in limits if n]
    except (SchedulerRefused, SchedulerSilent):
        return None  # a site may keep sacctmgr from its users, or from its compute nodes
    return min(found, default=None)


def _partitions(client: SlurmClient) -> dict[str, Partition]:
    partitions: dict[str, Partition] = {}
    for row in client.run(["sinfo", "--noheader", "--format=%P|%a|%l|%D|%c|%m|%G"]).splitlines():
        name, up, walltime, nodes, cpus, mem, gres = row.split("|")
        gpus = re.search(r"gpu(?::[A-Za-z][\w.-]*)?:(\d+)", gres)
        new = Partition(
            name=name.rstrip("*"),
            default=name.endswith("*"),
            up=up == "up",
            max_walltime_s=None if walltime == "infinite" else _walltime_s(walltime),
            nodes=int(nodes),
            cpus_per_node=int(cpus.rstrip("+")),
            mem_mib_per_node=int(mem.rstrip("+")),
            gpus_per_node=int(gpus[1]) if gpus else 0,
        )
        old = partitions.get(new.name)
        partitions[new.name] = new if old is None else _larger(old, new)
    return partitions


def _larger(a: Partition, b: Partition) -> Partition:
    """Join the kinds of node of one partition: a request must fit the largest of them."""
    return Partition(
        a.name,
        a.default,
        a.up,
        a.max_walltime_s,
        a.nodes + b.nodes,
        max(a.cpus_per_node, b.cpus_per_node),
        max(a.mem_mib_per_node, b.mem_mib_per_node),
        max(a.gpus_per_node, b.gpus_per_node),
    )


def _walltime_s(text: str) -> int:
    """Seconds of sinfo's ``[D-][HH:]MM:SS``, which pads nothing in front: ``2:00``, ``1-00:00:00``."""
    days, _, clock = text.rpartition("-")
    seconds = 0
    for part in clock.split(":"):
        seconds = 60 * seconds + int(part)
    return int(days or 0) * 86400 + seconds


_OF_BUILDS = {"walltime": "build_walltime", "cpus_per_task": "build_cpus", "memory": "build_memory"}


def check(
    limits: Limits, allocation: Allocation, resources: Resources, *, builds: bool = False
) -> None:
    """Raise ConfigError where a request cannot fit the partition, before anything is queued."""
    if not limits.partitions:
        return
    name = allocation.partition or next(
        (p.name for p in limits.partitions.values() if p.default), None
    )
    if name is None:
        return
    for one in name.split(","):
        if one not in limits.partitions:
            raise ConfigError(
                f"allocation.partition: {one!r} does not exist on {limits.cluster}"
                f"{suggest(one, limits.partitions)}"
            )
    partition = limits.partitions[name.split(",")[0]]
    asked = {
        "walltime": (resources.walltime_s, partition.max_walltime_s, "s"),
        "nodes": (allocation.nodes, partition.nodes, ""),
        "cpus_per_task": (
            allocation.cpus_per_task * allocation.tasks_per_node,
            partition.cpus_per_node,
            "a node",
        ),
        "memory": (
            0 if allocation.exclusive else resources.mem_mib,
            partition.mem_mib_per_node,
            "MiB",
        ),
        "gpus_per_node": (allocation.gpus_per_node, partition.gpus_per_node, ""),
    }
    for field_name, (value, limit, unit) in asked.items():
        if limit is not None and value > limit:
            said = _OF_BUILDS.get(field_name, field_name) if builds else field_name
            raise ConfigError(
                f"allocation.{said}: {value} {unit} is more than partition {partition.name!r} has "
                f"({limit}); lower it, or choose another allocation.partition."
            )


def save(limits: Limits, path: Path, allocation: Allocation) -> None:
    """Keep what was read beside the sweep."""
    kept = {"asked_for": _asked_for(allocation), **asdict(limits)}
    write_atomic(path, json.dumps(kept, indent=1) + "\n")


def load(path: Path, allocation: Allocation) -> Limits | None:
    """What was read before, or None where it was read for another account or is not readable."""
    try:
        written: Any = json.loads(path.read_text())
        same = written.pop("asked_for", None) == _asked_for(allocation)
        return build(Limits, written, path.name) if same else None
    except (OSError, ValueError, AttributeError):
        return None


def _asked_for(allocation: Allocation) -> dict[str, str | None]:
    """What decides which limits apply."""
    return {name: getattr(allocation, name) for name in ("account", "partition", "qos")}
