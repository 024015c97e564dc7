"""What Slurm prints is read as it is: lists in brackets, steps, states that we have never heard of."""

import os
import stat
from pathlib import Path

import pytest

from astrohpc.errors import ConfigError
from astrohpc.slurm.client import (
    NoCluster,
    SchedulerRefused,
    SchedulerSilent,
    SlurmClient,
    clean_environment,
)
from astrohpc.slurm.states import phase, reason_sentence


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Put a command of a given output first in PATH: for answers that no real cluster can be made to give."""

    def make(name: str, out: str = "", err: str = "", code: int = 0) -> None:
        path = tmp_path / name
        (tmp_path / f"{name}.out").write_text(out)
        (tmp_path / f"{name}.err").write_text(err)
        path.write_text(f"#!/bin/sh\ncat '{path}.out'\ncat '{path}.err' >&2\nexit {code}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return make


def test_squeue_s_lists_become_tasks(tool) -> None:  # type: ignore[no-untyped-def]
    tool(
        "squeue",
        "12|RUNNING|node1|2026-11-20T12:00:00|keeper|None\n"
        "13_[4-6,9%8]|PENDING||2026-11-20T12:00:00|demo.ab|Resources\n"
        "13_1|COMPLETING|node2|2026-11-20T12:00:00|demo.ab|None\n"
        "14|PENDING||2026-11-20T12:00:00|a|b|launch failed requeued held\n",
    )
    seen = SlurmClient().jobs()
    assert [(one.job, one.task, one.phase) for one in seen] == [
        ("12", None, "running"),
        *(("13", task, "waiting") for task in (4, 5, 6, 9)),
        ("13", 1, "running"),
        ("14", None, "waiting"),
    ]


def test_sacct_tells_memory_and_the_death_of_a_step(tool) -> None:  # type: ignore[no-untyped-def]
    tool(
        "sacct",
        "13_1|COMPLETED|node2|2026-11-20T12:00:00|137:0||demo.ab|None\n"
        "13_1.batch|COMPLETED|node2|2026-11-20T12:00:00|0:0|2048K|batch|\n"
        "13_1.0|OUT_OF_MEMORY|node2|2026-11-20T12:00:00|0:125|1.5G|python|\n"
        "13_2|CANCELLED by 1000|node2|2026-11-20T12:00:00|0:15||demo.ab|None\n",
    )
    one, two = SlurmClient().history(["13"], [])
    assert (one.state, one.exit_code, one.max_rss_mib) == ("OUT_OF_MEMORY", 137, 1536)
    assert (two.phase, two.exit_code) == ("over", 143)


def test_disabled_accounting_is_no_error(tool) -> None:  # type: ignore[no-untyped-def]
    tool("sacct", err="Slurm accounting storage is disabled\n", code=1)
    assert SlurmClient().history(["13"], ["demo.ab"]) == []


@pytest.mark.parametrize(
    "said",
    [
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
        "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
        'error: Munge encode failed: Failed to access "/run/munge/munge.socket.2"',
    ],
)
def test_silence_is_not_refusal(tool, said: str) -> None:  # type: ignore[no-untyped-def]
    tool("squeue", err=said, code=1)
    with pytest.raises(SchedulerSilent):
        SlurmClient().jobs()


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("Invalid account or account/partition combination specified", "set allocation.account"),
        ("invalid partition specified: nope", "set allocation.partition"),
        ("Requested node configuration is not available", "lower"),
        ("Invalid qos specification", "set allocation.qos"),
        (
            "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            "wait",
        ),
        ("Something that Slurm 31 will say", "Slurm 31"),
    ],
)
def test_refusals_come_with_a_remedy(tool, said: str, remedy: str) -> None:  # type: ignore[no-untyped-def]
    tool("sbatch", err=f"sbatch: error: Batch job submission failed: {said}\n", code=1)
    with pytest.raises(SchedulerRefused, match=remedy):
        SlurmClient().run(["sbatch", "x"])


def test_no_cluster_is_said_so(tool, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    tool("squeue", err="squeue: fatal: Could not establish a configuration source", code=1)
    with pytest.raises(NoCluster, match="set SLURM_CONF"):
        SlurmClient().jobs()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoCluster, match="choose site=local"):
        SlurmClient().jobs()


def test_a_command_that_hangs_is_silence(tool, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "squeue").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "squeue").chmod(0o755)
    with pytest.raises(SchedulerSilent, match="did not answer within 0 s"):
        SlurmClient().run(["squeue"], 0.3)


def test_what_sbatch_would_take_from_our_environment_is_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SBATCH_ACCOUNT", "someone")
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    monkeypatch.setenv("PYTHONPATH", "/tmp/of-today")
    cleaned = clean_environment()
    assert not {"SBATCH_ACCOUNT", "SLURM_MEM_PER_NODE", "PYTHONPATH"} & cleaned.keys()
    assert (cleaned["SLURM_CONF"], cleaned["SLURM_BITSTR_LEN"]) == ("/etc/slurm.conf", "0")


def test_a_state_of_a_later_slurm_counts_as_alive() -> None:
    assert phase("HIBERNATING") == "running"
    assert phase("CANCELLED by 0") == "over"
    assert phase("REQUEUE_HOLD") == "waiting"


def test_reasons_are_sentences() -> None:
    assert "throttle" in reason_sentence("JobArrayTaskLimit")
    assert "never start" in reason_sentence("(DependencyNeverSatisfied)")
    assert reason_sentence("NewReason") == "Slurm says 'NewReason'"


def test_a_config_error_is_what_people_see() -> None:
    assert issubclass(SchedulerRefused, ConfigError)
    assert not issubclass(SchedulerSilent, ConfigError)
