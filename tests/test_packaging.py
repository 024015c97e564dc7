"""What is installed is what is written: one package out of five folders, with its templates and configs."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the committed files, built from a copy so that nothing is left in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, names):
        source, target = REPOSITORY / name, folder / "tree" / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet"]
    done = subprocess.run(
        [*build, "--wheel-dir", str(folder), str(folder / "tree")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return next(folder.glob("astrohpc-*.whl"))


def test_a_wheel_carries_every_module_template_and_config(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    places = {
        "src/astrohpc": "astrohpc",
        "jobs": "astrohpc/jobs",
        "kernels": "astrohpc/kernels",
        "configs": "astrohpc/configs",
        "sbatch_templates": "astrohpc/sbatch_templates",
    }
    for folder, package in places.items():
        for path in (REPOSITORY / folder).rglob("*"):
            if path.suffix in (".py", ".yaml", ".j2", ".typed", ".c", ".h"):
                assert f"{package}/{path.relative_to(REPOSITORY / folder)}" in inside


def test_a_wheel_runs_without_the_clone(wheel: Path, tmp_path: Path) -> None:
    """Unpacked in an empty folder, it plans a sweep and renders its script."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    program = (
        "import sys, astrohpc, astrohpc.launch.cli as cli; "
        "assert astrohpc.__file__.startswith(sys.argv[1]), astrohpc.__file__; "
        "sys.exit(cli.main(['sweep', 'sweep.n=2', '--dry-run']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "site")],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("#!/bin/bash")
