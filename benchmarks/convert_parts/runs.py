"""One contender's run on one dialect: prepared, measured, looked at, and cleared away."""

import os
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
    said: str  # the tool's own last line
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
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] or [""]
    found = [path.stat().st_size for path in target.rglob("*") if path.is_file()]
    failure = "" if used.code == 0 and found else f"ended with {used.code}: {lines[-1]}"
    compared, differ = 0, ()
    if not failure:
        check = compare(target, source, at_most)
        compared, differ = check.compared, check.differ
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
        said=lines[-1],
        failure=failure,
    )
    shutil.rmtree(scratch)
    return result


def warm(source: Path) -> None:
    """Bring all files into the page cache: what is measured is converting, not the disk's mood."""
    buffer = bytearray(2**22)
    for path in (one for member in files(source) for one in member):
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                continue
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
