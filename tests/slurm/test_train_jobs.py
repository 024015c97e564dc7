"""Trainings as jobs of several ranks on the private Slurm, undisturbed and under the accidents of clusters.

All have one model and one batch in float64, so that every answer is compared with every other. The jobs of
the module are submitted together, before the first test.
"""

import importlib.util
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from support import Launcher, until
from support_slurm import Cluster
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from astrohpc.train import shards
from astrohpc.train.checkpoint import folder_of, read, read_manifest, steps_there

pytestmark = pytest.mark.slow
if importlib.util.find_spec("horovod") is None:
    pytest.skip("needs Horovod (hpc/horovod.sh)", allow_module_level=True)

STEPS, SAVED_EVERY = 120, 10
# Gradients differ by their rounding, 1e-16, and AdamW adds it up over the steps: of the largest weight of a
# tensor 1e-15 was measured between any two engines. It leaves room for another machine's order of sums.
WEIGHTS_RTOL = 1e-12
LOSS_RTOL = 2e-7  # TensorBoard keeps float32


def write_arrays(folder: Path, seed: int) -> Path:
    """Two channels on a map of two by three, as a smooth function of four inputs; synthetic."""
    folder.mkdir(parents=True)
    params = np.random.default_rng(seed).random((60, 4)).astype("f4")
    means = np.stack([params.sum(1), params[:, 0] * params[:, 1]], 1)
    pattern = np.linspace(-0.1, 0.1, 6).reshape(2, 3)
    np.save(folder / "params.npy", params)
    np.save(folder / "fields.npy", (means[:, :, None, None] + pattern).astype("f4"))
    return folder


GLOO, MPI = "+site.environment.HOROVOD_CONTROLLER=gloo", "+site.environment.HOROVOD_CONTROLLER=mpi"
ORDER = {
    "torn": (2, "allocation.memory=900 MiB"),  # beside the next two on two of the four nodes
    # Both have got on when they are stopped: they start again though no start in vain is allowed.
    "limited": (
        4,
        GLOO,
        "allocation.walltime=00:30:00",
        "site.signal_lead_s=180",
        "site.requeues=0",
    ),
    "killed": (4, MPI, "site.requeues=0"),
    "unplugged": (2, GLOO, "allocation.memory=7500 MiB"),  # none but it is on its nodes
    "gloo-2": (2, GLOO),
    "mpi-2": (2, MPI),
    "gloo-4": (4, GLOO),
    "mpi-4": (4, MPI),
    "ddp": (2, "train.engine=ddp"),
    "fsdp": (2, "train.engine=fsdp"),
}


@dataclass(frozen=True)
class Job:
    """One training of the module, by its name."""

    launch: Launcher
    cluster: Cluster
    name: str
    job: str  # Slurm's number; empty for one that runs here

    @property
    def folder(self) -> Path:
        return self.launch.folder / "runs" / "trainings" / self.name

    @property
    def text(self) -> str:
        """What its log says."""
        return "".join(path.read_text() for path in (self.folder / "logs").glob("*.out"))

    @property
    def saved(self) -> int:
        """The step of the newest checkpoint; 0 for none."""
        return max(steps_there(self.folder / "checkpoints"), default=0)

    def ended(self) -> "Job":
        # Slurm's queue does not show a job in the moment of its requeue.
        until(lambda: re.search(r"\] exit (0|2|65|78): ", self.text), f"the end of {self.name}")
        return self

    def sum(self) -> str:
        """The hash of the weights that all ranks had at the last step."""
        found = re.findall(rf"trained at step {STEPS} of {STEPS}, weights (\w{{16}})", self.text)
        assert len(found) == 1, self.text
        return str(found[0])

    def starts(self) -> int:
        return len(re.findall(r"\] start \d+, ", self.text))

    def weights(self) -> dict[str, torch.Tensor]:
        """Of the last checkpoint, whole."""
        folder = folder_of(self.folder / "checkpoints", STEPS)
        manifest = read_manifest(folder)
        content = read(folder, manifest, lambda name: not name.startswith("rank-"))
        if content.plain["loop"]["sharded"]:
            content = shards.joined(content, manifest.ranks, {})
        return dict(content.tensors["model"])

    def curve(self, tag: str = "loss") -> dict[int, float]:
        """A curve as TensorBoard itself reads it."""
        events = EventAccumulator(str(self.folder / "tensorboard")).Reload()
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        assert len(found) == len(dict(found)), "no step has two values"
        return dict(found)

    def rank(self, number: int) -> int:
        """The process of a rank, as this machine numbers it."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                if b"astrohpc.jobs.train" not in words or str(self.folder).encode() not in words:
                    continue
                environment = (process / "environ").read_bytes().split(b"\0")
            except OSError:  # it has just ended
                continue
            if b"SLURM_PROCID=%d" % number in environment and not words[0].endswith(b"srun"):
                return int(process.name)
        raise AssertionError(f"rank {number} of {self.name} is gone")

    def node(self, number: int) -> str:
        """The name of a node of its."""
        named = self.cluster.run("squeue", "--noheader", f"--jobs={self.job}", "--format=%N")
        return self.cluster.run("scontrol", "show", "hostnames", named.strip()).split()[number]

    def under_way(self) -> "Job":
        until(lambda: self.saved >= 2 * SAVED_EVERY, f"two checkpoints of {self.name}")
        return self


Trains = Callable[..., Job]


@pytest.fixture(scope="module")
def train(cluster: Cluster) -> Iterator[Trains]:
    """Begin a training of so many ranks, spread over two nodes."""
    launch = Launcher(cluster.root / "work" / "trainings", cluster.environment)
    launch.folder.mkdir()
    write_arrays(launch.folder / "arrays", seed=0)

    def begin(name: str, ranks: int, *words: str, data: str = "arrays") -> Job:
        if ranks > 1:
            # What is tested is what the tests import, also where that is not what is installed.
            path = os.environ.get("PYTHONPATH")
            words = (
                "site=slurm-test",
                "allocation.nodes=2",
                f"allocation.tasks_per_node={ranks // 2}",
                "allocation.cpus_per_task=1",
                "allocation.memory=3500 MiB",  # two such jobs share a node
                *([f"+site.environment.PYTHONPATH={path}"] if path else []),
                *words,
            )
        said = launch(
            "train", data, f"train.name={name}", "model.width=8", "model.depth=1",
            f"train.steps={STEPS}", "train.batch=8", "train.precision=fp64", "train.ema=0",
            "train.schedule.warmup_steps=2", "train.optimizer.lr=1e-2", "train.agree_every=30",
            f"train.checkpoint.every_steps={SAVED_EVERY}", "train.validate_every=60",
            "train.log.every_steps=1", *words, OMP_NUM_THREADS="1",
        )  # fmt: skip
        assert said.code == 0, said.all
        return Job(launch, cluster, name, said.out.split()[1] if ranks > 1 else "")

    yield begin
    user = cluster.run("id", "-un").strip()
    cluster.run("scancel", "--quiet", "--user", user, code=None)
    cluster.verb("up")
    cluster.drain()
    shutil.rmtree(launch.folder, ignore_errors=True)


# ------------------------------------------------------------------------------ accidents
def reach_the_limit(job: Job) -> None:
    """A rank stands still until Slurm's warning comes, so that no machine is too fast for the test."""
    cluster = job.cluster
    frozen = job.under_way().rank(1)
    os.kill(frozen, signal.SIGSTOP)
    try:
        elapsed = cluster.run("squeue", "--noheader", f"--jobs={job.job}", "--format=%M").strip()
        minutes = int(elapsed.split(":")[-2])  # a test does not run for hours
        # Of a limit in two minutes at most, the warning three minutes before it is due at once.
        cluster.run("scontrol", "update", f"jobid={job.job}", f"timelimit={minutes + 2}")
        until(lambda: "USR1: asking the payload" in job.text, "Slurm's warning")
    finally:
        os.kill(frozen, signal.SIGCONT)
    until(lambda: "exit 75: checkpointed" in job.text, "the end of the first part")
    cluster.run("scontrol", "update", f"jobid={job.job}", "timelimit=30")


def kill_a_rank(job: Job) -> None:
    os.kill(job.under_way().rank(1), signal.SIGKILL)


def pull_the_plug(job: Job, torn: Job | None) -> None:
    os.kill(job.under_way().rank(1), signal.SIGSTOP)
    if torn is not None:
        torn.ended()  # a node that starts anew has lost the arrays that were its own
    node = job.node(1)
    job.cluster.verb("node-kill", node.removeprefix("node"))
    job.cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    job.cluster.verb("node-start", node.removeprefix("node"))


@dataclass(frozen=True)
class Jobs:
    """The jobs of the module, and what is done to some of them."""

    jobs: dict[str, Job]
    accidents: dict[str, "Future[None]"]

    def __getitem__(self, name: str) -> Job:
        """A job that has ended, with what was to happen to it."""
        if name in self.accidents:
            self.accidents[name].result()
        return self.jobs[name].ended()


@pytest.fixture(scope="module")
def torn_arrays(cluster: Cluster) -> Iterator[Path]:
    """Other arrays on each node, in a folder that each has of its own, as /tmp is."""
    private = Path("/tmp") / f"astrohpc-arrays-{os.getpid()}"
    write_arrays(private, seed=0)
    for number in range(1, 5) if cluster.namespaces else ():
        made = write_arrays(cluster.root / "work" / f"arrays-{number}", seed=number)
        cluster.verb("exec", str(number), "cp", "-r", str(made), str(private))
    yield private
    shutil.rmtree(private)


@pytest.fixture(scope="module")
def jobs(train: Trains, cluster: Cluster, torn_arrays: Path) -> Iterator[Jobs]:
    """All at once. Those to which something happens come first, for they take longest."""
    begun: dict[str, Job] = {}
    happening = {}
    accidents: dict[str, Callable[[Job], None]] = {
        "limited": reach_the_limit,
        "killed": kill_a_rank,
        "unplugged": lambda job: pull_the_plug(job, begun.get("torn")),
    }
    with ThreadPoolExecutor(len(accidents)) as crew:
        for name, words in ORDER.items():
            if name == "torn" and not cluster.namespaces:
                continue
            data = str(torn_arrays) if name == "torn" else "arrays"
            begun[name] = train(name, *words, data=data)
            if name in accidents:
                happening[name] = crew.submit(accidents[name], begun[name])
        yield Jobs(begun, happening)


@pytest.fixture(scope="module")
def one(train: Trains, jobs: Jobs) -> Job:
    """The same training by one process with the joint batch, while Slurm has enough to do."""
    assert jobs.jobs
    return train("one", 1)


@pytest.mark.parametrize(
    ("name", "sign", "whole"),
    [
        ("limited", "exit 75: checkpointed", "gloo-4"),
        ("killed", "died; it goes on from its last checkpoint", "mpi-4"),
        ("unplugged", "CANCELLED", "gloo-2"),
    ],
)
def test_a_job_goes_on_by_itself_and_nothing_shows(
    jobs: Jobs, name: str, sign: str, whole: str
) -> None:
    """At its time limit, with a rank killed by SIGKILL, with a node without power."""
    job = jobs[name]
    assert sign in job.text, job.text
    assert job.starts() == 2, job.text
    (step,) = re.findall(rf"going on from step (\d+) of {STEPS}", job.text)
    assert 2 * SAVED_EVERY <= int(step) < STEPS
    if name == "limited":
        assert f"saved at step {step} of {STEPS}" in job.text, (
            "where it was, not a checkpoint before"
        )
    assert job.sum() == jobs[whole].sum()
    assert job.curve() == jobs[whole].curve()


def test_ranks_that_see_other_data_begin_nothing(jobs: Jobs) -> None:
    if "torn" not in jobs.jobs:
        pytest.skip("the cluster runs in plain mode: its nodes share one /tmp")
    job = jobs["torn"]
    assert re.search(r"error: data: rank 1 has \w{12} and rank 0 \w{12}; start all", job.text)
    assert job.text.count("error: data") == 1, "one rank says it for all"
    assert "exit 78: badly configured" in job.text
    assert job.starts() == 1, job.text
    assert job.saved == 0
    assert not (job.folder / "tensorboard").exists()


@pytest.mark.parametrize("name", ["gloo-2", "mpi-2", "gloo-4", "mpi-4", "ddp", "fsdp"])
def test_ranks_on_two_nodes_learn_what_one_process_learns(jobs: Jobs, one: Job, name: str) -> None:
    job = jobs[name]
    assert re.fullmatch(r"\w{16}", job.sum()), "a hash that all ranks have"
    mine, theirs = job.weights(), one.weights()
    assert mine.keys() == theirs.keys()
    for key, value in theirs.items():
        bound = WEIGHTS_RTOL * float(value.abs().max())
        assert torch.allclose(mine[key], value, rtol=0.0, atol=bound), key
    for tag in ("loss", "loss of channel_1", "gradient norm", "validation/loss"):
        ours, reference = job.curve(tag), one.curve(tag)
        assert ours.keys() == reference.keys()
        assert list(ours.values()) == pytest.approx(list(reference.values()), rel=LOSS_RTOL)
    assert list(job.curve()) == list(range(1, STEPS + 1))
    assert job.curve()[STEPS] < 0.2 * job.curve()[1], "it has learned something"


def test_gloo_and_mpi_give_two_ranks_the_same_bits(jobs: Jobs) -> None:
    """A sum of two is one sum; of four it has an order, and MPI's is another than Gloo's."""
    gloo, mpi = jobs["gloo-2"], jobs["mpi-2"]
    assert gloo.sum() == mpi.sum()
    assert gloo.curve() == mpi.curve()
