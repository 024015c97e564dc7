"""One check as an MPI job over several nodes of the private Slurm."""

import json
from pathlib import Path

import numpy as np
import pytest
from support import Launcher
from support_quality import World, quiet, write_world
from support_slurm import Cluster

pytest.importorskip("mpi4py", reason="mpi4py is not installed: hpc/bootstrap.sh --test does it")

RANKS = ("allocation.nodes=2", "allocation.tasks_per_node=2", "allocation.cpus_per_task=1")


def write_members(folder: Path) -> None:
    """Five still worlds, of which one loses its air; synthetic."""
    for number in range(5):
        leak = (1 - 1e-4 * (number == 3) * np.arange(4))[:, None, None]
        world = World(fields={"ps": quiet()["ps"] * leak})
        write_world(folder / f"member{number}.nc", world)


def test_four_ranks_on_two_nodes_give_the_report_of_one_process(
    launch: Launcher, cluster: Cluster
) -> None:
    write_members(launch.folder / "files")
    words = ("check", "files", "site=slurm-test", *RANKS)
    said = launch(*words)
    assert said.code == 0, said.all
    assert "4 ranks × 1 thread" in said.out, said.all
    cluster.drain()
    (log,) = (launch.folder / "files.jobs" / "logs").glob("check_*.out")
    text = log.read_text()
    assert "beyond tolerance: member3, grade " in text, text
    assert "exit 3: done in part" in text, text
    made = launch.folder / "files.check" / "check.json"
    alone = launch("check", "files", "--into", "alone")
    assert alone.code == 3, alone.all
    assert made.read_bytes() == (launch.folder / "alone" / "check.json").read_bytes()
    assert json.loads(made.read_text())["members"][3]["name"] == "member3"
    again = launch("check", "files")
    assert "nothing has changed since this was checked" in again.out, again.all
