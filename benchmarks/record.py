"""What a result says of where it comes from: day, commit, machine, load, versions."""

import json
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

MARKS = ("<!-- table -->", "<!-- /table -->")
REPOSITORY = Path(__file__).resolve().parents[1]


def provenance(*packages: str) -> dict[str, Any]:
    """A dict for the head of a result; ``packages`` took part. Ask before measuring, for the load."""
    commit = said("git", "-C", str(REPOSITORY), "rev-parse", "HEAD")
    changed = said("git", "-C", str(REPOSITORY), "status", "--porcelain", "--untracked-files=no")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit + (" with changes" if changed else ""),
        "machine": f"{os.cpu_count()} cores of {_processor()}, {platform.machine()}, {platform.system()}",
        "load_before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
    }


def write(path: Path, result: dict[str, Any]) -> None:
    """Keep a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


def into(page: Path, text: str) -> None:
    """Replace what stands between a page's marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    _, mark, after = rest.partition(MARKS[1])
    if not mark:
        raise SystemExit(f"{page}: it has no {MARKS[0]} … {MARKS[1]} to write the table between.")
    page.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


def said(*command: str) -> str:
    """What a command prints; nothing where there is no such command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return ""
    return done.stdout.strip()


def _processor() -> str:
    """The processor's name, where Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "an unnamed processor"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
