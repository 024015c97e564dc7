"""``launch check`` from the command line as people use it: sweeps, stores, files, jobs and errors."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import Launcher
from support_quality import World, quiet, write_world

SMALL = ("sweep.n=3", "allocation.members_per_task=3")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    launch = Launcher(tmp_path_factory.mktemp("sweep"))
    said = launch("sweep", *SMALL)
    assert said.code == 0, said.all
    said = launch("convert")
    assert said.code == 0, said.all
    return launch.folder / "runs"


@pytest.fixture
def swept(sweep: Path, launch: Launcher) -> Launcher:
    shutil.copytree(sweep, launch.folder / "runs", symlinks=True)
    return launch


def drifting() -> World:
    ps = quiet()["ps"] * (1 + 1e-4 * np.arange(4))[:, None, None]
    return World(fields={"ps": ps})


def test_a_sweep_is_checked_in_its_store_and_has_a_copy_of_the_page(swept: Launcher) -> None:
    said = swept("check")
    assert said.code == 0, said.all
    folder = swept.sweep_folder()
    report = json.loads((folder / "store.zarr" / ".astrohpc" / "check.json").read_text())
    assert len(report["members"]) == 3
    assert report["provenance"].keys() == {"astrohpc", "commit", "journal", "settings"}
    page = (folder / "reports" / "check.html").read_text()
    assert page == (folder / "store.zarr" / ".astrohpc" / "check.html").read_text()
    assert "synthetic" in page
    assert "# sweep demo (synthetic data): 3 members, 36 samples" in said.out
    assert "not checked: dry_mass, pressure: needs ps" in said.out
    assert said.out.splitlines()[-1].startswith("next: look at ")
    again = swept("check", "demo")
    assert again.code == 0, again.all
    assert "nothing has changed since this was checked; it was not read again" in again.out
    # A store that was converted and had its statistics made again is the same store.
    assert swept("convert", "demo").code == 0
    assert "nothing has changed" in swept("check", str(folder / "store.zarr")).out


def test_a_sweep_without_a_store_is_checked_in_its_climates(swept: Launcher) -> None:
    folder = swept.sweep_folder()
    stored = swept("check", "demo").out
    shutil.rmtree(folder / "store.zarr")
    said = swept("check", "demo")
    assert said.code == 0, said.all
    assert (folder / "reports" / "check.json").is_file()
    table = [line for line in stored.splitlines() if line.startswith(("toa_energy", "temperature"))]
    assert all(line in said.out for line in table)


def test_a_file_that_does_not_keep_a_law_is_named_with_exit_code_three(launch: Launcher) -> None:
    good = write_world(launch.folder / "good.nc", World())
    bad = write_world(launch.folder / "bad.nc", drifting())
    said = launch("check", str(good))
    assert said.code == 0, said.all
    assert (launch.folder / "good.check" / "check.html").is_file()
    said = launch("check", str(good), str(bad), "--into", "both")
    assert said.code == 3, said.all
    assert "beyond tolerance: bad.nc, grade " in said.out
    assert "dry_mass in 3 of 4" in said.out
    assert (launch.folder / "both" / "check.json").is_file()
    assert f"python -m astrohpc.launch check {good} {bad}" in said.out.splitlines()[-1]


def test_some_laws_alone_and_no_page(launch: Launcher) -> None:
    bad = write_world(launch.folder / "bad.nc", drifting())
    said = launch("check", str(bad), "check.laws=[water,cloud]", "check.page=false")
    assert said.code == 0, said.all
    assert "dry_mass" not in said.out
    assert not (launch.folder / "bad.check" / "check.html").exists()


def test_months_of_one_run_are_one_member_if_asked(launch: Launcher) -> None:
    folder = launch.folder / "months"
    write_world(folder / "1.nc", World(times=1))
    write_world(folder / "2.nc", World(times=4))
    (folder / "1.nc").unlink()
    said = launch("check", str(folder), "check.members=one")
    assert said.code == 0, said.all
    assert "1 member, 4 samples" in said.out


def test_explain_says_what_would_be_checked_and_writes_nothing(launch: Launcher) -> None:
    good = write_world(launch.folder / "good.nc", World(fields={"va": None}))
    said = launch("check", str(good), "--explain")
    assert said.code == 0, said.all
    assert "meridional_mass_flux" in said.out and "0 of 1" in said.out
    assert "4 samples" in said.out
    assert not (launch.folder / "good.check").exists()


def test_a_dry_run_prints_the_command_or_the_script(launch: Launcher, tmp_path: Path) -> None:
    good = write_world(launch.folder / "good.nc", World())
    said = launch("check", str(good), "--dry-run")
    assert "astrohpc.jobs.check" in said.out
    said = launch("check", str(good), "site=slurm-test", "--dry-run")
    assert said.code == 0, said.all
    assert "srun --mpi=pmix" in said.out
    assert "astrohpc.jobs.check" in said.out
    gpu = launch("check", str(good), "site=slurm-test", "allocation.gpus_per_node=1", "--dry-run")
    assert gpu.code == 0, gpu.all
    assert "MASTER_PORT" in gpu.out
    assert not (launch.folder / "good.check").exists()
    assert not (launch.folder / "good.jobs").exists()
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    script = tmp_path / "script.sh"
    script.write_text(said.out)
    checked = subprocess.run(
        ["shellcheck", "-s", "bash", script], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_errors_are_one_sentence_and_end_with_two(launch: Launcher) -> None:
    good = write_world(launch.folder / "good.nc", World())
    (launch.folder / "empty").mkdir()
    (launch.folder / "text.nc").write_text("mine")
    for words, part in (
        (("check", "nowhere"), "is neither a file, nor a folder, nor a sweep"),
        (("check", "empty"), "nor a folder with NetCDF files"),
        (("check", str(good), "empty"), "is no file; name one sweep, store or folder"),
        (("check", str(good), "check.laws=[mass]"), "laws: there is no 'mass'"),
        (("check", str(good), "check.device=tpu"), "check.device"),
        (("check", str(good), "check.memory_mib=1"), "check.memory_mib"),
        (("check", "text.nc"), "no law could be held against it"),
    ):
        said = launch(*words)
        assert said.code == 2, (words, said.all)
        assert [line for line in said.all.splitlines() if part in line], (words, said.all)


def test_a_gpu_that_is_not_there_is_said(launch: Launcher) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: the extra train has it")
    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    good = write_world(launch.folder / "good.nc", World())
    said = launch("check", str(good), "check.device=cuda")
    assert said.code == 2, said.all
    assert "device: cuda was asked for, but " in said.err
    assert "left out" not in said.all


def test_a_signal_stops_it_at_a_block_and_the_same_command_goes_on(launch: Launcher) -> None:
    folder = launch.folder / "in"
    for name in ("a", "b", "c"):
        write_world(folder / f"{name}.nc", World())
    script = (
        "import os, signal, sys\n"
        "import astrohpc.quality.run as run\n"
        "whole = run.Check.run\n"
        "def once(self, stop, far):\n"
        "    made = whole(self, stop, far)\n"
        "    os.kill(os.getpid(), signal.SIGUSR1)\n"
        "    return made\n"
        "run.Check.run = once\n"
        "from astrohpc.jobs.check import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 75, done.stdout + done.stderr
    assert "stopped as asked; the same command goes on from here" in done.stdout
    assert not (launch.folder / "in.check" / "check.json").exists()
    said = launch("check", str(folder))
    assert said.code == 0, said.all
    assert "of 3 members are checked already" in said.out
