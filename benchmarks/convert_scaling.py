"""Weak scaling of the converter over 1, 2 and 4 ranks, and what a paper model makes of a thousand.

Each rank gets one member of the synthetic workload of ``convert.py`` (243 MB decoded). On few cores wall
time says little; that the CPU time a rank does not grow with the number of ranks is what is measured,
and how many times a second rank 0 can say which shard is next. The model takes these two, and two
numbers of the file system that are assumptions: its bandwidth and how many files it makes a second.

    python benchmarks/convert_scaling.py --work FOLDER --out benchmarks/results/convert_scaling.json
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from convert_parts.corpus import corpus, default_folder
from convert_parts.peer_versions import provenance

RANKS = (1, 2, 4)
ASKS = 20_000
ASK = """
import time
from astrohpc.store.ranks import Mpi
ranks = Mpi(); ranks.begin()
if ranks.rank == 0:
    ranks.end()
else:
    began = time.perf_counter()
    for _ in range({asks}): ranks.next()
    print((time.perf_counter() - began) / {asks}, flush=True)
    ranks.end()
"""


def environment() -> dict[str, str]:
    """For mpirun as root, and more ranks than cores."""
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return {**os.environ, **root, "OMPI_MCA_mpi_yield_when_idle": "1"}


def convert(nc4: Path, ranks: int, folder: Path) -> dict[str, float]:
    """One conversion with a member a rank, and what the tool says of it."""
    source, target = folder / f"in{ranks}", folder / f"out{ranks}.zarr"
    source.mkdir(exist_ok=True)
    for member in range(ranks):
        link = source / f"member{member}"
        if not link.exists():
            link.mkdir()
            for path in sorted((nc4 / f"member{member}").glob("*.nc")):
                (link / path.name).hardlink_to(path)
    subprocess.run(["rm", "-rf", str(target)], check=True)
    words = ["mpirun", "-n", str(ranks), "--oversubscribe", sys.executable, "-m"]
    words += ["astrohpc.jobs.convert", str(source), str(target), "--threads", "1"]
    words += ["--members", "folder", "--memory-mib", "150", "--bare"]
    began = time.perf_counter()
    subprocess.run(words, check=True, env=environment(), stdout=subprocess.DEVNULL)
    wall_s = time.perf_counter() - began
    said = json.loads((target / ".astrohpc" / "report.json").read_text())
    return {
        "wall_s": wall_s,
        "cpu_s_per_rank": said["cpu_s"] / ranks,
        "bytes_per_rank": said["value_bytes"] / ranks,
        "shards_per_rank": said["shards"] / ranks,
        "peak_mb": said["peak_memory_bytes"] / 1e6,
    }


def answer_s() -> float:
    """How long rank 0 takes to answer, asked without pause."""
    words = ["mpirun", "-n", "2", "--oversubscribe", sys.executable, "-c", ASK.format(asks=ASKS)]
    said = subprocess.run(words, check=True, env=environment(), capture_output=True, text=True)
    return float(said.stdout.split()[0])


def model(
    measured: dict[str, float], ask_s: float, disk_gbs: float, files_per_s: float
) -> list[Any]:
    """Seconds for 2 TB on n ranks: the slowest of computing, reading and writing, making files, asking."""
    total = 2e12
    shard_bytes = 64 * 2**20
    shards = total / shard_bytes
    rows = []
    for ranks in (1, 10, 100, 1000):
        parts = {
            "compute": total / measured["bytes_per_rank"] * measured["cpu_s_per_rank"] / ranks,
            "disk": 1.55 * total / (disk_gbs * 1e9),  # 0.77 in and 0.78 out of each byte of values
            "files": 2 * shards / files_per_s,  # made under one name, renamed to another
            "asking": shards * ask_s,
        }
        slowest = max(parts, key=lambda name: parts[name])
        rows.append({"ranks": ranks, **parts, "seconds": parts[slowest], "limit": slowest})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=None, help="where the workload is, or is made")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--disk-gbs", type=float, default=100.0, help="assumed, GB/s in and out")
    parser.add_argument("--files-per-s", type=float, default=20_000.0, help="assumed")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    work = arguments.work or default_folder()
    nc4 = corpus(work, "full")["nc4"]
    runs: dict[int, list[dict[str, float]]] = {ranks: [] for ranks in RANKS}
    with tempfile.TemporaryDirectory(dir=work) as folder:
        for _ in range(arguments.repeats):
            for ranks in RANKS:
                runs[ranks].append(convert(nc4, ranks, Path(folder)))
    found = {
        ranks: {name: median(run[name] for run in those) for name in those[0]}
        for ranks, those in runs.items()
    }
    ask_s = median(answer_s() for _ in range(3))
    print(
        "| ranks | wall s | CPU s a rank | ÷ one rank | peak MB a rank |\n|---:|---:|---:|---:|---:|"
    )
    for ranks, one in found.items():
        ratio = one["cpu_s_per_rank"] / found[1]["cpu_s_per_rank"]
        print(
            f"| {ranks} | {one['wall_s']:.2f} | {one['cpu_s_per_rank']:.2f} | {ratio:.2f} | "
            f"{one['peak_mb']:.0f} |"
        )
    print(f"\nrank 0 answers in {1e6 * ask_s:.0f} µs, {1 / ask_s:.0f} times a second\n")
    rows = model(found[2], ask_s, arguments.disk_gbs, arguments.files_per_s)
    print(
        f"2 TB of values, model: {arguments.disk_gbs:g} GB/s and {arguments.files_per_s:g} files/s are "
        "assumed\n\n| ranks | compute s | disk s | files s | asking s | limit |\n|---:|---:|---:|---:|---:|---|"
    )
    for row in rows:
        numbers = " | ".join(f"{row[name]:.0f}" for name in ("compute", "disk", "files", "asking"))
        print(f"| {row['ranks']} | {numbers} | {row['limit']} |")
    if arguments.out:
        content = {
            **provenance({"astrohpc": sys.executable}),
            "synthetic": True,
            "measured": found,
            "answer_s": ask_s,
            "model": rows,
        }
        arguments.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
