"""Many ranks make the same store as one, each shard once, and a rank that dies takes nothing with it."""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import netCDF4
import numpy as np
import psutil
import pytest

if shutil.which("mpirun") is None or importlib.util.find_spec("mpi4py") is None:
    pytest.skip("needs mpirun and mpi4py", allow_module_level=True)

ROOT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}
CHANGING = {".astrohpc/report.json", ".astrohpc/lock"}


def corpus(folder: Path, count: int = 6, times: int = 12, rows: int = 192) -> Path:
    """Members that differ in size, so that ranks end at different times."""
    for m in range(count):
        path = folder / f"run{m}.nc"
        path.parent.mkdir(parents=True, exist_ok=True)
        with netCDF4.Dataset(path, "w") as data:
            for name, size in (("time", None), ("lat", rows), ("lon", 192)):
                data.createDimension(name, size)
            time_axis = data.createVariable("time", "f8", ("time",))
            time_axis.units = "days since 2000-01-01"
            time_axis[:] = np.arange(times)
            for name in ("T", "q"):
                values = np.random.default_rng(10 * m + len(name)).normal(size=(times, rows, 192))
                shape = {"zlib": True, "complevel": 1, "chunksizes": (1, rows, 192)}
                data.createVariable(name, "f4", ("time", "lat", "lon"), **shape)[:] = values
    return folder


def words(source: Path, store: Path, ranks: int, *rest: str) -> list[str]:
    job = [sys.executable, "-m", "astrohpc.jobs.convert", str(source), str(store)]
    alone = [*job, "--members", "file", "--threads", "1", "--bare", *rest]
    return alone if ranks == 1 else ["mpirun", "--oversubscribe", "-n", str(ranks), *alone]


def convert(
    source: Path, store: Path, ranks: int, *rest: str
) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        words(source, store, ranks, *rest),
        env=os.environ | ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr + done.stdout, done.stdout + done.stderr
    return done


def tree(store: Path) -> dict[str, bytes]:
    return {
        name: path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and (name := path.relative_to(store).as_posix()) not in CHANGING
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("corpus") / "in")


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("whole") / "a.zarr"
    done = convert(source, store, 1)
    assert done.returncode == 0, done.stdout + done.stderr
    return store


@pytest.mark.parametrize("ranks", [2, 3])
def test_many_ranks_make_the_same_store_and_each_shard_once(
    source: Path, whole: Path, tmp_path: Path, ranks: int
) -> None:
    store = tmp_path / "a.zarr"
    done = convert(source, store, ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{ranks} ranks × 1 thread" in done.stdout
    assert done.stdout.count("complete: every shard was proved") == 1
    assert tree(store) == tree(whole)
    report = json.loads((store / ".astrohpc" / "report.json").read_text())
    assert report["made"] == report["shards"] == 12
    assert len((store / ".astrohpc" / "journal.jsonl").read_text().splitlines()) == 12
    proof = convert(source, store, ranks, "--verify")
    assert proof.returncode == 0, proof.stdout + proof.stderr
    assert "12 shards" in proof.stdout


def test_nothing_is_left_to_do_for_many_ranks_after_one(source: Path, whole: Path) -> None:
    before = tree(whole)
    done = convert(source, whole, 2)
    assert done.returncode == 0
    assert "12 of 12 shards are there already" in done.stdout
    assert tree(whole) == before


def slowly(source: Path, store: Path, ranks: int) -> "subprocess.Popen[str]":
    """Two ranks that rest at each shard, so that somebody can come between."""
    script = (
        "import sys, time\n"
        "def hook(event, given):\n"
        "    if event == 'os.rename' and str(given[0]).endswith('.part'): time.sleep(0.4)\n"
        "sys.addaudithook(hook)\n"
        "from astrohpc.jobs.convert import main\n"
        "sys.exit(main())\n"
    )
    line = words(source, store, ranks)
    at = line.index("-m")
    line[at : at + 2] = ["-c", script]
    return subprocess.Popen(
        line, env=os.environ | ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ranks_of(job: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Its ranks; mpirun has threads and helpers of its own."""
    found = psutil.Process(job.pid).children(recursive=True)
    ranks = []
    for one in found:
        with contextlib.suppress(psutil.NoSuchProcess):  # a helper that is over, a zombie too
            if "-c" in one.cmdline():
                ranks.append(one)
    return sorted(ranks, key=lambda p: p.pid)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_is_killed_ends_the_job_and_another_goes_on(
    source: Path, whole: Path, tmp_path: Path, victim: int
) -> None:
    store = tmp_path / "a.zarr"
    job = slowly(source, store, 2)
    end = time.monotonic() + 300
    while len(list(store.glob("[Tq]/[0-9]*"))) < 3:
        assert time.monotonic() < end, job.communicate()[0]
        assert job.poll() is None, job.communicate()[0]
        time.sleep(0.02)
    ranks_of(job)[victim].send_signal(signal.SIGKILL)
    job.communicate(timeout=300)
    assert job.returncode != 0
    assert not [
        p for p in psutil.process_iter(["cmdline"]) if str(store) in (p.info["cmdline"] or [])
    ]
    there = len(list(store.glob("[Tq]/[0-9]*")))
    assert 3 <= there < 12
    done = convert(source, store, 2)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) of 12 shards are there already", done.stdout)
    assert found is not None
    # A rank of one thread has two shards in hand, and notes them when rank 0 has answered.
    assert int(found[1]) >= there - 2 * 2
    assert tree(store) == tree(whole)


def test_usr1_to_mpirun_stops_all_ranks(source: Path, whole: Path, tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    job = slowly(source, store, 2)
    end = time.monotonic() + 300
    while len(list(store.glob("[Tq]/[0-9]*"))) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    for rank in ranks_of(job):
        rank.send_signal(signal.SIGUSR1)
    said = job.communicate(timeout=300)[0]
    assert "stopped as asked; the same command goes on from here" in said, said
    assert job.returncode == 75
    assert convert(source, store, 3).returncode == 0
    assert tree(store) == tree(whole)


def test_bad_configuration_is_one_sentence_of_one_rank(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = convert(source, tmp_path / "file", 2)
    assert done.returncode == 78
    said = [line for line in done.stdout.splitlines() if "error: " in line]
    assert len({line.partition("error: ")[2] for line in said}) == 1, done.stdout
    assert "is a file, not a folder" in said[0]


def test_a_bad_member_is_left_out_whichever_rank_reads_it(source: Path, tmp_path: Path) -> None:
    mine = tmp_path / "in"
    shutil.copytree(source, mine)
    os.truncate(mine / "run4.nc", (mine / "run4.nc").stat().st_size // 2)
    done = convert(mine, tmp_path / "a.zarr", 2)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "run4.nc" in done.stdout
    report = json.loads((tmp_path / "a.zarr" / ".astrohpc" / "report.json").read_text())
    assert report["members"] == 5


@pytest.mark.slow
def test_memory_stays_within_the_budget_whatever_the_size(tmp_path: Path) -> None:
    source = corpus(tmp_path / "in", count=1, times=96, rows=384)
    for m in range(1, 8):  # 450 MB of values in all
        os.link(source / "run0.nc", source / f"run{m}.nc")
    store = tmp_path / "a.zarr"
    done = convert(source, store, 2, "--memory-mib", "128")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((store / ".astrohpc" / "report.json").read_text())
    assert report["value_bytes"] > 3 * 128 * 2**20
    assert report["peak_memory_bytes"] < 1.1 * 128 * 2**20
