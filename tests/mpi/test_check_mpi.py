"""Many ranks give the report of one, to the byte, and stop together."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support_quality import World, quiet, write_world

if shutil.which("mpirun") is None or importlib.util.find_spec("mpi4py") is None:
    pytest.skip("needs mpirun and mpi4py", allow_module_level=True)

ROOT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}


def corpus(folder: Path) -> Path:
    """Members that differ in length and in how well they keep the laws; one cannot be read."""
    for number in range(5):
        times = 2 + 3 * number
        drift = (1 + 1e-6 * number * np.arange(times))[:, None, None]
        world = World(times=times, fields={"ps": quiet(times)["ps"] * drift}, kind="f8")
        write_world(folder / f"{number}.nc", world)
    (folder / "5.nc").write_bytes(b"CDF\x01")
    return folder


def check(source: Path, into: Path, ranks: int) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-m", "astrohpc.jobs.check", str(source), "--into", str(into)]
    line = words if ranks == 1 else ["mpirun", "--oversubscribe", "-n", str(ranks), *words]
    done = subprocess.run(
        line, env=os.environ | ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert "Traceback" not in done.stderr + done.stdout, done.stdout + done.stderr
    return done


def test_many_ranks_give_the_report_of_one(tmp_path: Path) -> None:
    source = corpus(tmp_path / "in")
    reports = {}
    for ranks in (1, 2, 3):
        into = tmp_path / f"by{ranks}"
        done = check(source, into, ranks)
        assert done.returncode == 3, done.stdout + done.stderr
        assert done.stdout.count("grade ") - done.stdout.count(", grade ") == 1, done.stdout
        assert {path.name for path in into.iterdir()} == {"check.json", "check.html", "check.lock"}
        reports[ranks] = (into / "check.json").read_bytes()
    assert reports[1] == reports[2] == reports[3]
    assert b"5.nc" in reports[1]
    again = check(source, tmp_path / "by2", 2)
    assert again.returncode == 3
    assert "nothing has changed since this was checked" in again.stdout


def test_what_cannot_be_done_is_one_sentence_of_one_rank(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = check(tmp_path / "empty", tmp_path / "into", 2)
    assert done.returncode == 78
    said = {line.partition("error: ")[2] for line in done.stdout.splitlines() if "error: " in line}
    assert len(said) == 1, done.stdout
