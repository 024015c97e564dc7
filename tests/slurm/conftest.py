"""A private real Slurm for the whole session, and the launcher on it."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import REPOSITORY, Launcher
from support_slurm import SCRIPT, Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    missing = [tool for tool in ("slurmctld", "slurmd", "munged") if not _found(tool)]
    if missing:
        pytest.skip(
            f"{missing[0]} is not installed: 'sudo hpc/slurm/cluster.sh install' (hpc/test.sh does)"
        )
    root = Path(f"/var/tmp/astrohpc-test-{os.getpid()}")
    shared = ":".join({str(REPOSITORY), sys.prefix, sys.base_prefix})
    environment = {
        **os.environ,
        "ASTROHPC_CLUSTER_ROOT": str(root),
        "ASTROHPC_CLUSTER_SHARED": shared,
    }
    up = subprocess.run(
        [str(SCRIPT), "up"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        exports = subprocess.run(
            [str(SCRIPT), "env"], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for word in shlex.split(exports):
            name, equals, value = word.partition("=")
            if equals:
                environment[name] = value
        (root / "work").mkdir(mode=0o777, exist_ok=True)
        yield Cluster(root, environment, namespaces="netns mode" in up.stdout)
    finally:
        subprocess.run(
            [str(SCRIPT), "down", "--wipe"], env=environment, capture_output=True, check=False
        )


def _found(tool: str) -> bool:
    return shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is not None


@pytest.fixture
def launch(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Launcher]:
    """The launcher, in a folder that all nodes see, on a healthy and empty cluster."""
    folder = cluster.root / "work" / request.node.name.replace("[", "-").rstrip("]")
    folder.mkdir(exist_ok=True)
    yield Launcher(folder, cluster.environment)
    cluster.run("scancel", "--quiet", "--user", cluster.run("id", "-un").strip(), code=None)
    cluster.verb("up")
    cluster.drain()
    shutil.rmtree(folder, ignore_errors=True)
