"""Scripts: pure text, the same as ever for each site, clean for shellcheck, safe against odd words."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from support import REPOSITORY

from astrohpc.errors import ConfigError
from astrohpc.launch.compose import compose
from astrohpc.settings import build
from astrohpc.slurm.render import render, write_script
from astrohpc.slurm.request import Allocation, Array, JobRequest, Site

GOLDEN = Path(__file__).parent / "golden"

# Every site profile, with the allocation that goes with it and the templates that it is for.
PROFILES = [
    ("local", "small", ("array", "single")),
    ("slurm-test", "small", ("array", "single", "mpi", "gpu")),
    ("perlmutter-cpu", "perlmutter-cpu", ("array", "mpi")),
    ("perlmutter-gpu", "perlmutter-a100", ("gpu",)),
    ("discover-milan", "discover-milan", ("array", "mpi")),
    ("discover-a100", "discover-a100", ("gpu",)),
    ("juwels-booster", "juwels-booster", ("gpu", "single")),
]
CASES = [(site, allocation, kind) for site, allocation, kinds in PROFILES for kind in kinds]


def request_of(site: str, allocation: str, kind: str, **changes: object) -> JobRequest:
    written = compose([f"site={site}", f"allocation={allocation}", "++allocation.account=m1234"])
    granted = build(Allocation, written["allocation"], "allocation")
    values: dict[str, object] = {
        "kind": kind,
        "name": f"demo.{kind}",
        "comment": "astrohpc sweep demo",
        "title": f"a {kind} job of sweep 'demo'",
        "folder": "/scratch/someone/runs/demo",
        "log": "logs/%x_%A_%a.out" if kind == "array" else "logs/%x_%j.out",
        "command": ("/opt/venv/bin/python", "-m", "astrohpc.jobs.member", "."),
        "site": build(Site, written["site"], "site"),
        "allocation": granted,
        "resources": granted.resources(),
        "array": Array(tasks=(0, 1, 2, 7), throttle=3, offset=40, pack=10)
        if kind == "array"
        else None,
        "progress": "checkpoints" if kind == "gpu" else "",
    }
    return JobRequest(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(("site", "allocation", "kind"), CASES)
def test_the_script_is_the_golden_one(
    site: str, allocation: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ASTROHPC_GOLDEN=write renews them; look at the difference before you commit it."""
    monkeypatch.setattr("astrohpc.slurm.render.VERSION", "GOLDEN")
    text = render(request_of(site, allocation, kind))
    path = GOLDEN / f"{site}.{kind}.sbatch"
    if os.environ.get("ASTROHPC_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize(("site", "allocation", "kind"), CASES)
def test_bash_and_shellcheck_have_nothing_to_say(
    site: str, allocation: str, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "job.sbatch"
    resources = request_of(site, allocation, kind).resources
    odd = request_of(
        site,
        allocation,
        kind,
        dependency="afterany:12:13",
        resources=replace(resources, exclude=("node1", "node2")),
        folder="/scratch/a folder/it's",
    )
    write_script(path, render(odd))
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert shutil.which("shellcheck"), "shellcheck is missing; hpc/test.sh installs it"
    done = subprocess.run(["shellcheck", str(path)], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_every_shipped_site_has_a_golden_script() -> None:
    shipped = {path.stem for path in (REPOSITORY / "configs" / "site").glob("*.yaml")}
    assert shipped == {site for site, _, _ in PROFILES}


def test_no_directive_follows_the_first_command() -> None:
    lines = render(request_of("slurm-test", "small", "array")).splitlines()
    directives = [i for i, line in enumerate(lines) if line.startswith("#SBATCH")]
    commands = [i for i, line in enumerate(lines) if line and not line.startswith("#")]
    assert max(directives) < min(commands)


@pytest.mark.parametrize("word", ['m1"; touch x', "m1\n#SBATCH --uid=0", "m1\ttab"])
def test_words_that_would_break_out_of_a_directive_are_refused(word: str) -> None:
    request = request_of("slurm-test", "small", "single")
    with pytest.raises(ConfigError, match="quote or a control character"):
        render(replace(request, allocation=replace(request.allocation, account=word)))


def test_shell_words_stay_words(tmp_path: Path) -> None:
    """A module, a value and a folder with shell characters in them are data, not code."""
    folder = tmp_path / "a $(touch pwned) folder"
    folder.mkdir()
    request = request_of("local", "small", "single", folder=str(folder))
    site = replace(request.site, environment={"ODD": "$(touch pwned); 'x'"})
    command = ("/bin/sh", "-c", 'printf "%s" "$ODD" >out', "$(touch pwned)")
    path = tmp_path / "job.sbatch"
    write_script(path, render(replace(request, site=site, command=command)))
    subprocess.run(["bash", str(path)], check=True, cwd=tmp_path, capture_output=True)
    assert (folder / "out").read_text() == "$(touch pwned); 'x'"
    assert not list(tmp_path.rglob("pwned"))


def test_a_setup_line_that_does_not_parse_is_refused(tmp_path: Path) -> None:
    request = request_of("local", "small", "single")
    broken = replace(request, site=replace(request.site, setup=("if true; then",)))
    with pytest.raises(ConfigError, match=r"site.setup: .* would not parse"):
        write_script(tmp_path / "job.sbatch", render(broken))
    assert not list(tmp_path.iterdir())


def test_an_array_request_needs_an_array() -> None:
    with pytest.raises(ConfigError, match="kind: a job of kind 'array'"):
        request_of("local", "small", "array", array=None)
