"""What a result says of where it comes from: day, commit, machine, versions."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
OF_INTEREST = (
    "blosc",
    "dask",
    "deflate",
    "h5py",
    "mpi4py",
    "netCDF4",
    "numcodecs",
    "numpy",
    "rechunker",
    "tensorstore",
    "xarray",
    "zarr",
    "zarrista",
    "zarrs",
)


def provenance(pythons: dict[str, str]) -> dict[str, Any]:
    """A dict for the head of a result; ``pythons`` are the interpreters that took part, by name."""
    commit = _say("git", "-C", str(REPOSITORY), "rev-parse", "HEAD")
    changed = _say("git", "-C", str(REPOSITORY), "status", "--porcelain", "--untracked-files=no")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit + (" with changes" if changed else ""),
        "machine": f"{os.cpu_count()} cores of {_processor()}, {platform.machine()}, {platform.system()}",
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "mpi": (_say("mpirun", "--version").splitlines() or [""])[0],
        "versions": {name: _versions(python) for name, python in pythons.items()},
    }


def _processor() -> str:
    """The processor's name, where Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "an unnamed processor"


def _versions(python: str) -> dict[str, str]:
    found = json.loads(_say(python, "-m", "pip", "list", "--format=json") or "[]")
    return {one["name"]: one["version"] for one in found if one["name"] in OF_INTEREST}


def _say(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return ""
    return done.stdout.strip()
