"""provenance.json: what made a sweep — commit and uncommitted diff, environment, versions, digests."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astrohpc.clock import Clock, iso
from astrohpc.files import digest, write_atomic
from astrohpc.sweep.folder import SweepFolder
from astrohpc.version import VERSION


def record(
    folder: SweepFolder, written: Mapping[str, Any], clock: Clock, command: Sequence[str]
) -> None:
    """Append what made this version of the sweep; earlier entries stay."""
    entries = read(folder)
    entries.append(
        {
            "time": iso(clock.now()),
            "command": list(command),
            "config_digest": digest(dict(written)),
            **environment(),
        }
    )
    write_atomic(folder.provenance, json.dumps(entries, indent=1) + "\n")


def read(folder: SweepFolder) -> list[dict[str, Any]]:
    """All entries, oldest first; an unreadable file counts as empty, for it only informs."""
    try:
        entries = json.loads(folder.provenance.read_text())
    except (OSError, ValueError):
        return []
    return entries if isinstance(entries, list) else []


def environment() -> dict[str, Any]:
    """Return the code and the packages that we are."""
    import importlib.metadata  # noqa: PLC0415 - it brings half of the standard library

    source = _source()
    return {
        "astrohpc": VERSION,
        "git_commit": commit(),
        "git_diff": _git(source, "diff", "HEAD"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "executable": sys.executable,
        "modules": os.environ.get("LOADEDMODULES", ""),
        "packages": sorted(
            f"{package.name}=={package.version}" for package in importlib.metadata.distributions()
        ),
    }


def commit() -> str | None:
    """The commit of our code, None where that is no checkout."""
    return _git(_source(), "rev-parse", "HEAD")


def _source() -> Path:
    return Path(__file__).resolve().parent.parent


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs between two entries, in sentences."""
    found = []
    for key, words in (("astrohpc", "astrohpc"), ("git_commit", "commit"), ("python", "Python")):
        if then.get(key) != now.get(key):
            found.append(
                f"{words} was {then.get(key) or 'unknown'}, is {now.get(key) or 'unknown'}"
            )
    if (then.get("git_diff") or "") != (now.get("git_diff") or ""):
        found.append("the uncommitted changes differ")
    packages = set(then.get("packages", ())) - set(now.get("packages", ()))
    if packages:
        some = ", ".join(sorted(packages)[:5])
        found.append(
            f"{len(packages)} packages had other versions ({some}{', …' if len(packages) > 5 else ''})"
        )
    return found


def _git(where: Path, *arguments: str) -> str | None:
    """Output of git in our source tree, or None where that is no checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(where), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
