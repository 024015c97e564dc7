"""``doctor --probe``: a site profile to begin with, from what a cluster says of itself."""

from collections.abc import Mapping
from typing import Any

import yaml

from astrohpc.launch.output import note, say
from astrohpc.slurm import limits as slurm_limits
from astrohpc.slurm.client import SlurmClient
from astrohpc.slurm.request import Site
from astrohpc.sweep import config as configs


def probe(written: Mapping[str, Any]) -> int:
    """Print a site profile with what this cluster says of itself."""
    config = configs.parse(written)
    limits = slurm_limits.read_limits(SlurmClient(), Site(name="new"), config.allocation)
    largest = max(limits.partitions.values(), key=lambda one: one.nodes, default=None)
    profile: dict[str, object] = {
        "name": limits.cluster or "mycluster",
        "description": f"Slurm {limits.version}",
        "source": "scontrol, sinfo and sacctmgr of the cluster itself",
        "cores_per_node": largest.cpus_per_node if largest else None,
        "gpus_per_node": max((one.gpus_per_node for one in limits.partitions.values()), default=0),
        "modules": [],
        "environment": {},
    }
    note(
        "save this as site/NAME.yaml in a folder of yours, edit it, and give that folder as --config-dir"
    )
    say(
        "# Read by 'launch doctor --probe'; see configs/site/ for everything else that may stand here."
    )
    say(yaml.safe_dump(profile, sort_keys=False).rstrip())
    return 0
