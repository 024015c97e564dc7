"""One conversion as an MPI job over several nodes of the private Slurm, and what a dead node costs."""

import filecmp
import subprocess
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from support import Launcher, until
from support_slurm import Cluster

pytest.importorskip("mpi4py", reason="mpi4py is not installed: hpc/bootstrap.sh --test does it")

MEMBERS, TIMES = 6, 6
# zstd at its slowest: a job of seconds, in whose middle something can happen.
STORE = ("store.codec=blosc", "store.level=9", "store.memory_mib=128", "store.threads=1")
RANKS = ("allocation.nodes=2", "allocation.tasks_per_node=2", "allocation.cpus_per_task=1")


def write_members(folder: Path) -> None:
    """Noise on a small grid, a file a member; synthetic."""
    rng = np.random.default_rng(3)
    for member in range(MEMBERS):
        path = folder / f"member{member}" / "all.nc"
        path.parent.mkdir(parents=True)
        with netCDF4.Dataset(path, "w", format="NETCDF3_64BIT_OFFSET") as file:
            file.title = "synthetic noise"
            for name, size in (("time", None), ("lev", 20), ("lat", 46), ("lon", 72)):
                file.createDimension(name, size)
            time = file.createVariable("time", "f8", ("time",))
            time.units = "days since 0001-01-01"
            time[:] = np.arange(TIMES)
            for name in ("ta", "ua"):
                one = file.createVariable(name, "f4", ("time", "lev", "lat", "lon"))
                one.units = "1"
                one[:] = rng.normal(size=(TIMES, 20, 46, 72)).astype("f4").cumsum(axis=1)


def same(one: Path, other: Path) -> bool:
    """Whether two stores are the same to the byte; the report tells of speed, and store.json of the title."""
    mine, theirs = (
        {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()}
        for root in (one, other)
    )
    own = {name for name in mine.keys() | theirs.keys() if name.startswith(".astrohpc/")}
    assert mine.keys() - own == theirs.keys() - own
    return all(filecmp.cmp(mine[n], theirs[n], shallow=False) for n in mine.keys() - own)


def shards(store: Path) -> int:
    return len(list(store.glob("*a/[0-9]*.[0-9]*")))


@pytest.fixture
def files(launch: Launcher) -> Path:
    write_members(launch.folder / "files")
    return launch.folder / "files"


def alone(launch: Launcher, files: Path) -> Path:
    """The store as one process makes it."""
    store = launch.folder / "alone.zarr"
    said = launch("convert", str(files), str(store), *STORE)
    assert said.code == 0, said.all
    return store


def test_four_ranks_on_two_nodes_make_the_store_that_one_process_makes(
    launch: Launcher, cluster: Cluster, files: Path
) -> None:
    words = ("convert", str(files), "site=slurm-test", *RANKS, *STORE)
    script = launch(*words, "--dry-run").out
    checked = subprocess.run(
        ["shellcheck", "-"], input=script, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    assert "srun --mpi=pmix" in script
    said = launch(*words)
    assert "4 ranks × 1 thread" in said.out, said.all
    cluster.drain()
    (log,) = (launch.folder / "files.jobs" / "logs").glob("convert_*.out")
    text = log.read_text()
    assert "4 ranks × 1 thread" in text, text
    assert "complete" in text
    assert same(launch.folder / "files.zarr", alone(launch, files))
    again = launch("verify", str(files))
    assert again.code == 0, again.all
    assert "all are as the sources have them" in again.out


def test_a_node_that_dies_in_the_middle_costs_only_what_it_had_in_hand(
    launch: Launcher, cluster: Cluster, files: Path
) -> None:
    words = ("convert", str(files), "site=slurm-test", *RANKS, *STORE)
    store = launch.folder / "files.zarr"
    said = launch(*words)
    job = said.out.split()[1]
    assert "is at it already" in launch(*words).out
    until(lambda: shards(store) >= 2, "two shards")
    nodes = cluster.run("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()
    node = cluster.run("scontrol", "show", "hostnames", nodes).split()[-1]
    cluster.verb("node-kill", node.removeprefix("node"))
    cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    before = {path: path.stat().st_mtime_ns for path in store.glob("*a/[0-9]*.[0-9]*")}
    cluster.verb("node-start", node.removeprefix("node"))
    until(
        lambda: job not in cluster.run("squeue", "--noheader", "--format=%i").split(),
        "the end of the job, which Slurm may have started again",
        180,
    )
    launch(*words)
    cluster.drain()
    logs = "\n".join(
        path.read_text() for path in (launch.folder / "files.jobs" / "logs").glob("*.out")
    )
    assert "are there already" in logs
    assert "complete" in logs
    kept = [path for path, time in before.items() if path.stat().st_mtime_ns == time]
    assert len(kept) >= len(before) - 4, "at most what four ranks had not noted yet"
    assert same(store, alone(launch, files))
