"""The README's commands are run, and what it shows is what they print.

ASTROHPC_README=write puts the real output into the README; look at the difference before you commit it.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from support import REPOSITORY

README = REPOSITORY / "README.md"
PICTURES = {
    "demo.png": "demo/reports/worlds.png",
    "training.png": "demo/trainings/training/curves.png",
}
BLOCK = re.compile(r"```console\n(.*?)```\n", re.DOTALL)
FILE = re.compile(r"```yaml\n# ([\w.]+)\n(.*?)```\n", re.DOTALL)
# Which a fast machine has no time to say.
PROGRESS = re.compile(r"(\d+ %|step \d+ of \d+, ).*, ends at ")


def run(command: str, folder: Path) -> str:
    """Run one command as a reader would, and return what a terminal would show."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "VIRTUAL_ENV": sys.prefix,
        "ASTROHPC_RUNS": str(folder / "runs"),
        "OMP_NUM_THREADS": "1",  # torch's threads spin, which costs five times the CPU on a busy machine
    }
    for name in ("ASTROHPC_CONFIGS", "ASTROHPC_ACCOUNT"):
        environment.pop(name, None)
    where = REPOSITORY if command.startswith("bash hpc/") else folder
    done = subprocess.run(
        shlex.split(command),
        cwd=where,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert "Traceback" not in done.stdout, done.stdout
    return done.stdout


def shown(output: str, folder: Path) -> str:
    """Shorten output to what is the same on every machine: no clock, no progress, no place.

    A keeper of the command before may still hold the sweep, which a fast machine gets to say.
    """
    kept = []
    for line in output.replace(str(folder / "runs"), "runs").splitlines():
        if line.startswith(("[20", "bootstrap:", "another launcher")) or PROGRESS.match(line):
            continue
        kept.append(line)
    return "\n".join(kept)


def essence(text: str) -> str:
    """What must agree: words and whole numbers, but neither times nor the last digits of a climate."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", text)
    text = re.sub(r"\d+(\.\d+)? (s|min|h)\b( \d+ s)?", "SPAN", text)
    text = re.sub(
        r"\.[0-9a-f]{6}\.sbatch", ".KEY.sbatch", text
    )  # it depends on where the sweep lies
    text = re.sub(
        r"weights [0-9a-f]{16}", "weights HASH", text
    )  # their last bits are the machine's
    text = re.sub(r"-?\d+(\.\d+)?(e[+-]\d+)?", "N", text)
    text = re.sub(r"N (bytes|[KMG]iB)", "N SIZE", text)  # a rate is the machine's
    return re.sub(r"on [\w.-]+, began", "on HOST, began", re.sub(r"[ ]+", " ", text))


def test_the_readme_shows_what_its_commands_print(tmp_path: Path) -> None:
    text = README.read_text()
    fresh = text
    for name, content in FILE.findall(text):
        (tmp_path / name).write_text(content)
    for block in BLOCK.findall(text):
        parts = []
        for command in re.findall(r"^\$ (.*)$", block, flags=re.MULTILINE):
            parts.append(f"$ {command}\n{shown(run(command, tmp_path), tmp_path)}".rstrip())
        made = "\n".join(parts) + "\n"
        if os.environ.get("ASTROHPC_README") == "write":
            fresh = fresh.replace(block, made, 1)
        else:
            assert essence(made) == essence(block)
    if fresh != text:
        README.write_text(fresh)
        for name, made_at in PICTURES.items():
            shutil.copy(tmp_path / "runs" / made_at, REPOSITORY / "docs" / "images" / name)


def test_every_file_that_the_readme_names_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (REPOSITORY / target).exists(), target
