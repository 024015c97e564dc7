"""Sweeps on a real Slurm, undisturbed: chunks, throttle, waves, bare sbatch, chains, refusals."""

import re
import shutil
import subprocess
import sys

import pytest
from support import SLOW, Launcher, events, outcomes, rows, states, until
from support_slurm import Cluster

from astrohpc.launch.compose import compose
from astrohpc.settings import build
from astrohpc.slurm.render import render, write_script
from astrohpc.slurm.request import Allocation, Array, JobRequest, Site

pytestmark = pytest.mark.slurm

SITE = ("site=slurm-test", "site.query_interval_s=1", "site.signal_lead_s=60")


def test_arrays_beyond_the_limit_are_chunked(launch: Launcher, cluster: Cluster) -> None:
    """Tasks 1000 … 1004 of a cluster whose arrays end at index 1000."""
    folder = launch.sweep_folder()
    launch("sweep", *SITE, "sweep.n=1000", "--dry-run")
    plan = launch("plan", *SITE, "sweep.n=1005", "allocation.members_per_task=1")
    assert "array 0-1000: 1001 tasks" in plan.out
    assert "array 0-3: 4 tasks" in plan.out
    said = launch("sweep", *SITE, "sweep.n=1005", "allocation.members_per_task=200", "--wait")
    assert "1005 of 1005 members done" in said.out
    more = launch("sweep", *SITE, "sweep.n=1006", "allocation.members_per_task=1", "--wait")
    assert "1006 of 1006 members done" in more.out
    script = max(
        (folder / "scripts").glob("*.sbatch"),
        key=lambda p: ("--array" in p.read_text(), p.stat().st_mtime),
    )
    assert "#SBATCH --array=4%" in script.read_text()
    assert "1001 + task * 1" in script.read_text()


def test_one_throttle_holds_over_all_arrays_and_can_be_changed(
    launch: Launcher, cluster: Cluster
) -> None:
    words = (
        "sweep.n=12",
        *SLOW,
        "engine.max_years=1000",
        "allocation.throttle=3",
        "site.max_array_size=5",
    )
    launch("sweep", *SITE, *words)
    jobs = [event["job"] for event in events(launch.sweep_folder(), "submitted")]
    assert len(jobs) == 4  # 5 + 5 + 2 tasks, and the keeper
    until(lambda: sum("RUNNING" in line for line in cluster.queue()) == 3, "three running tasks")
    for _ in range(5):
        assert sum("RUNNING" in line for line in cluster.queue()) <= 3
    assert launch("throttle", "6").code == 0
    shown = [cluster.run("scontrol", "show", "job", job) for job in jobs[:3]]
    limits = [int(re.search(r"ArrayTaskThrottle=(\d+)", text)[1]) for text in shown]  # type: ignore[index]
    assert sum(limits) == 6
    until(lambda: sum("RUNNING" in line for line in cluster.queue()) == 6, "six running tasks")
    assert "at most as many" not in launch("explain", "11").out
    launch("cancel")


def test_a_waiting_member_is_explained_in_a_sentence(launch: Launcher, cluster: Cluster) -> None:
    words = ("sweep.n=3", *SLOW, "engine.max_years=1000", "allocation.throttle=1")
    launch("sweep", *SITE, *words)
    until(lambda: any("RUNNING" in line for line in cluster.queue()), "a running task")
    launch("sweep", *SITE, *words)
    told = launch("explain", "2").out
    assert "as many members run as the throttle allows; 'throttle' changes it" in told
    launch("cancel")


def test_waves_stay_within_the_submit_limit_and_the_keeper_sends_the_next(
    launch: Launcher, cluster: Cluster
) -> None:
    """QOS capped lets a user queue 50 jobs; 70 tasks need two waves, and nobody is at the keyboard."""
    said = launch(
        "sweep", *SITE, "sweep.n=70", "allocation.members_per_task=1", "allocation.qos=capped"
    )
    assert said.code == 0, said.all
    assert "21 tasks follow when there is room in the queue" in said.out
    until(lambda: len(outcomes(launch.sweep_folder())) == 70, "the second wave")
    cluster.drain()
    assert outcomes(launch.sweep_folder()) == {i: ["done"] for i in range(70)}


def test_sbatch_by_hand_takes_the_same_file_as_submitit(launch: Launcher, cluster: Cluster) -> None:
    printed = launch("sweep", *SITE, "sweep.n=4", "allocation.members_per_task=2", "--dry-run").out
    launch("sweep", *SITE, "sweep.n=4", "allocation.members_per_task=2")
    folder = launch.sweep_folder()
    scripts = [path for path in (folder / "scripts").iterdir() if "--array" in path.read_text()]
    assert len(scripts) == 1
    assert scripts[0].read_text() in printed
    job = events(folder, "submitted")[0]["job"]
    kept = folder / "kept.sh"
    cluster.run("scontrol", "write", "batch_script", f"{job}_1", str(kept), code=None)
    if kept.exists():  # Slurm's own copy of what it was given
        assert kept.read_text().rstrip("\n") == scripts[0].read_text().rstrip("\n")
    cluster.drain()
    assert outcomes(folder) == {i: ["done"] for i in range(4)}
    shutil.rmtree(folder / "members")
    # By hand, from another folder, with a launcher that is not to be found.
    done = subprocess.run(
        ["sbatch", "--wait", "--parsable", str(scripts[0])],
        cwd="/",
        env={**cluster.environment, "PATH": "/usr/bin:/bin", "PYTHONPATH": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {i: tries[-1] for i, tries in outcomes(folder).items()} == dict.fromkeys(
        range(4), "done"
    )


def test_a_chain_runs_task_by_task_and_a_failure_cancels_its_partner_only(
    launch: Launcher, cluster: Cluster
) -> None:
    """aftercorr with --kill-on-invalid-dep: what the later stages of a sweep will hang on."""
    folder = launch.folder / "chain"
    for name in ("scripts", "logs"):
        (folder / name).mkdir(parents=True)
    written = compose(["site=slurm-test", "allocation=single", "allocation.memory=100 MiB"])
    site, allocation = (
        build(Site, written["site"], "site"),
        build(Allocation, written["allocation"], "a"),
    )

    def stage(name: str, code: str, dependency: str | None) -> str:
        request = JobRequest(
            kind="array",
            name=name,
            comment="chain",
            title=name,
            folder=str(folder),
            log="logs/%x_%A_%a.out",
            command=(sys.executable, "-c", code),
            site=site,
            allocation=allocation,
            resources=allocation.resources(),
            array=Array(tasks=(0, 1, 2), throttle=3),
            dependency=dependency,
        )
        write_script(request.script, render(request))
        return cluster.run("sbatch", "--parsable", str(request.script)).strip()

    fail_one = "import sys; sys.exit(65 if sys.argv[2] == '1' else 0)"
    touch = "import sys, pathlib; pathlib.Path(f'second.{sys.argv[2]}').touch()"
    first = stage("first", fail_one, None)
    second = stage("second", touch, f"aftercorr:{first}")
    cluster.drain()
    assert sorted(path.name for path in folder.glob("second.*")) == ["second.0", "second.2"]
    shown = cluster.run(
        "squeue", "--noheader", "--states=all", "--array", f"--jobs={second}", "--format=%K %T"
    )
    assert sorted(shown.split("\n")[:3]) == ["0 COMPLETED", "1 CANCELLED", "2 COMPLETED"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("allocation.account=nobody",), "set allocation.account"),
        (
            ("allocation.partition=nowhere",),
            "allocation.partition: 'nowhere' does not exist on astrohpc",
        ),
        (("allocation.qos=none",), "set allocation.qos"),
        (
            ("allocation.partition=short",),
            "allocation.walltime: 1800 s is more than partition 'short' has",
        ),
        (
            ("allocation.memory=900 GiB",),
            "allocation.memory: 921600 MiB is more than partition 'main'",
        ),
        (("allocation.cpus_per_task=64",), "allocation.cpus_per_task: 64 a node is more"),
        (("allocation.gpus_per_node=9",), "allocation.gpus_per_node: 9"),
        (("allocation.nodes=50",), "allocation.nodes: 50"),
        (("allocation.constraint=purple",), "set allocation.constraint"),
        (("allocation.budget_core_hours=1e-6",), "more than the budget of 1e-06"),
    ],
)
def test_what_the_cluster_cannot_give_is_refused_before_anything_is_queued(
    launch: Launcher, cluster: Cluster, words: tuple[str, ...], said: str
) -> None:
    refused = launch("sweep", *SITE, "sweep.n=4", *words)
    assert refused.code == 2
    assert said in refused.err.replace("\n", " ")
    assert len(refused.err.strip().splitlines()) == 1
    assert cluster.queue() == []
    assert launch("plan", *SITE, "sweep.n=4").code == 0


def test_a_job_that_dies_before_the_model_begins_is_told_from_a_model_that_fails(
    launch: Launcher, cluster: Cluster
) -> None:
    """`module` does not exist here: the script exits 78, and the breaker spares the rest."""
    said = launch(
        "sweep",
        *SITE,
        "sweep.n=8",
        "allocation.members_per_task=1",
        "+site.modules=[climate/9]",
        "--wait",
    )
    assert said.code == 1
    assert set(map(tuple, outcomes(launch.sweep_folder()).values())) == {("bad_config",)}
    told = launch("explain", "0").out
    assert "its script ended before the model began" in told
    assert "module: command not found" in told
    healed = launch("sweep", *SITE, "sweep.n=8", "allocation.members_per_task=1")
    assert "stopped" in healed.out
    launch("retry", "--wait")
    assert {tries[-1] for tries in outcomes(launch.sweep_folder()).values()} == {"done"}


def test_memory_grows_until_a_member_fits(launch: Launcher, cluster: Cluster) -> None:
    """60 MiB are not enough for Python and Numba; each attempt gets half as much again."""
    if "ConstrainRAMSpace=yes" not in (cluster.root / "etc" / "cgroup.conf").read_text().replace(
        " ", ""
    ):
        pytest.skip("this machine's kernel gives the private cluster no memory limits")
    words = ("sweep.n=1", "allocation.memory=60 MiB", "policy.rules.out_of_memory.limit=6")
    launch("sweep", *SITE, *words, "--wait")
    tries = states(launch.sweep_folder())[0]["attempts"]
    assert [a["outcome"] for a in tries][-1] == "done"
    assert {a["outcome"] for a in tries[:-1]} == {"out_of_memory"}
    sizes = [
        event["mem_mib"]
        for event in events(launch.sweep_folder(), "intent")
        if event["kind"] == "array"
    ]
    assert sizes == [round(60 * 1.5**n) for n in range(len(tries))]


def test_cancel_goes_by_recorded_ids_and_never_by_name(launch: Launcher, cluster: Cluster) -> None:
    launch("sweep", *SITE, "sweep.n=2", *SLOW, "engine.max_years=2000")
    name = events(launch.sweep_folder(), "intent")[0]["name"]
    other = cluster.run(
        "sbatch", "--parsable", f"--job-name={name}", "--wrap=sleep 60", "--output=/dev/null"
    ).strip()
    until(lambda: len(states(launch.sweep_folder())) == 2, "both members began")
    assert launch("cancel").code == 0
    until(
        lambda: all(line.split("_")[0].startswith(other) for line in cluster.queue()),
        "our jobs gone",
    )
    assert any(line.startswith(other) for line in cluster.queue())
    until(
        lambda: all(t[-1] == "checkpointed" for t in outcomes(launch.sweep_folder()).values()),
        "restarts",
    )
    cluster.run("scancel", other)
    cluster.drain()
    said = launch("sweep", *SITE, "sweep.n=2", *SLOW, "engine.max_years=2000")
    assert "2 members (2 of them again) submitted" in said.out
    launch("cancel")


def test_doctor_finds_the_private_cluster_healthy(launch: Launcher, cluster: Cluster) -> None:
    said = launch("doctor", "site=slurm-test", timeout=400)
    assert said.code == 0, said.all
    for proof in (
        "scheduler",
        "array limits",
        "signals, requeue, logs",
        "keeper",
        "time limit",
        "MPI",
        "GPUs",
    ):
        assert f"✓  {proof}:" in said.out, said.out


def test_doctor_probes_a_profile_to_begin_with(launch: Launcher, cluster: Cluster) -> None:
    said = launch("doctor", "--probe")
    (launch.folder / "mine" / "site").mkdir(parents=True)
    (launch.folder / "mine" / "site" / "new.yaml").write_text(said.out)
    plan = launch("plan", "site=new", "--config-dir", str(launch.folder / "mine"))
    assert plan.code == 0
    assert "cluster astrohpc, Slurm 22.05" in plan.out


def test_members_tsv_is_what_ran(launch: Launcher, cluster: Cluster) -> None:
    launch("sweep", *SITE, "sweep.n=3", "--wait")
    ran = {state["id"] for state in states(launch.sweep_folder()).values()}
    assert {row["id"] for row in rows(launch.sweep_folder())} == ran
