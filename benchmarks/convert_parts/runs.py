"""One contender's run on one dialect: prepared, measured, looked at, and cleared away."""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from convert_parts.check import compare
from convert_parts.contenders import Contender
from convert_parts.corpus import files
from convert_parts.measure import run as measure

LIMIT_S = 1200.0


@dataclass(frozen=True)
class Run:
    """What is known of one run; ``failure`` is empty where it went well."""

    variant: str
    tool: str
    codec: str
    mode: str
    wall_s: float
    cpu_s: float
    system_s: float  # the kernel's share of cpu_s
    sync_s: float  # until the disk had what the page cache held when the process ended
    tree_pss_mb: float
    process_pss_mb: float
    store_mb: float
    files: int
    compared: int
    differ: tuple[str, ...]
    own_s: float | None  # seconds by the tool's own clock, without imports, where it tells them
    said: str  # the line with them, or the last one
    failure: str

    @property
    def name(self) -> str:
        """As the tables have it."""
        return f"{self.tool} {self.codec}, {self.mode}"


def one_run(one: Contender, source: Path, scratch: Path, at_most: int | None) -> Run:
    """Convert into an empty place with a warm source, then compare ``at_most`` fields (None: all)."""
    target, log = scratch / "target.zarr", scratch / "log"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    warm(source)
    used = measure((*one.command, str(source), str(target)), log, one.environment, LIMIT_S)
    began = time.monotonic()
    subprocess.run(["sync", "-f", str(scratch)], check=True)
    sync_s = time.monotonic() - began
    lines = log.read_text(errors="replace").splitlines()
    found = [path.stat().st_size for path in target.rglob("*") if path.is_file()]
    failure = (
        "" if used.code == 0 and found else f"ended with {used.code}: {_last(lines, 'rror: ')}"
    )
    compared, differ = 0, ()
    if not failure:
        check = compare(target, source, at_most)
        compared, differ = check.compared, check.differ
    said = _last(lines, ", CPU ")
    own = re.search(r"\(([\d.]+) s, ", said)
    result = Run(
        variant=source.name,
        tool=one.tool,
        codec=one.codec,
        mode=one.mode,
        wall_s=used.wall_s,
        cpu_s=used.cpu_s,
        system_s=used.system_s,
        sync_s=sync_s,
        tree_pss_mb=used.tree_pss_mb,
        process_pss_mb=used.process_pss_mb,
        store_mb=sum(found) / 1e6,
        files=len(found),
        compared=compared,
        differ=differ,
        own_s=float(own[1]) if own else None,
        said=said,
        failure=failure,
    )
    shutil.rmtree(scratch)
    return result


def _last(lines: list[str], word: str) -> str:
    """The last line with this word, else the last with anything."""
    spoken = [line for line in lines if line.strip()]
    return ([line for line in spoken if word in line] or spoken or [""])[-1]


def warm(source: Path) -> None:
    """Bring all files into the page cache: what is measured is converting, not the disk's mood."""
    buffer = bytearray(2**22)
    for path in (one for member in files(source) for one in member):
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                continue
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
