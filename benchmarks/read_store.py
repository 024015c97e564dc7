"""Random training samples out of a store: samples a second and CPU of each, by reader, interleaved.

The store is that of convert.py's synthetic workload, written by zarr-python with our two parameters and
by our converter; every reader reads both. A sample is all eight fields of one random (member, time);
batches of 32 go into arrays that are there already. Each measurement is a process of its own, held on two
cores, with a warm page cache; start and imports are not counted, for a training run pays them once.

    python benchmarks/read_store.py --repeats 5 --out benchmarks/results/read_store.json
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from convert_parts.contenders import FOLDER, contenders, install_peers
from convert_parts.corpus import SCALES, SURFACE, UPPER, corpus, default_folder, files
from convert_parts.peer_versions import provenance

CORES = 2
LESS_CPU = 2.5
PEERS = ("zarr", "zarrs", "tensorstore", "zarrista")


def main() -> None:
    """Measure all and print a table and a ratio."""
    given = _arguments()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    source = corpus(given.work / f"corpus-{given.scale}", given.scale)["nc4"]
    venv = given.peers_venv or given.work / "peers"
    install_peers(venv)
    scratch = given.work / "scratch-read"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    shapes = uncompressed(source, scratch / "npy")
    stores = {"stock Blosc": _made("zarr tuned", source, scratch / "blosc.zarr", venv)}
    stores |= {"ours": _made("astrohpc planes", source, scratch / "ours.zarr", venv)}
    # What is still on its way to the disk would slow the first readers.
    subprocess.run(["sync", "-f", str(scratch)], check=True)
    readers = [(name, store, where) for store, where in stores.items() if where for name in PEERS]
    if stores["ours"]:
        readers.append(("astrohpc", "ours", stores["ours"]))
    readers.append(("npy", "uncompressed", scratch / "npy"))
    runs: dict[str, list[dict[str, Any]]] = {}
    for repeat in range(given.repeats):
        for name, store, where in readers:
            found = read(name, where, shapes, venv, given.batches, repeat)
            runs.setdefault(f"{name}, {store}", []).append(found)
            print(
                f"# {repeat + 1}/{given.repeats} {name}, {store}: {found}",
                file=sys.stderr,
                flush=True,
            )
    shutil.rmtree(scratch)
    print(f"Synthetic data, {SCALES[given.scale].decoded_bytes / 1e9:.2f} GB decoded.\n")
    print("| reader, store (synthetic) | samples/s | CPU ms a sample | values |")
    print("|---|---:|---:|---|")
    for name, one in runs.items():
        reference = [run["checksum"] for run in runs["npy, uncompressed"]]
        values = "equal" if [run["checksum"] for run in one] == reference else "DIFFER"
        print(
            f"| {name} | {median(run['samples_per_s'] for run in one):.0f} "
            f"| {median(run['cpu_ms_per_sample'] for run in one):.2f} | {values} |"
        )
    print(f"\n{gate(runs)}")
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        pythons = {"astrohpc": sys.executable, "zarr3": str(venv / "zarr3" / "bin" / "python")}
        result = {**provenance(pythons), "scale": given.scale, "synthetic": True, "runs": runs}
        given.out.write_text(json.dumps(result, indent=1) + "\n")


def gate(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Our reader against tensorstore on the store that suits it best."""
    cost = {name: median(run["cpu_ms_per_sample"] for run in found) for name, found in runs.items()}
    theirs = min(ms for name, ms in cost.items() if name.startswith("tensorstore"))
    ours = cost.get("astrohpc, ours")
    promise = f"CPU a sample of tensorstore ÷ ours ≥ {LESS_CPU:g}"
    if ours is None:
        return f"{promise}: not measured"
    return f"{promise}: {theirs / ours:.2f} {'PASS' if theirs / ours >= LESS_CPU else 'fail'}"


def read(
    name: str, store: Path, shapes: dict[str, tuple[int, ...]], venv: Path, batches: int, seed: int
) -> dict[str, Any]:
    """One measurement in a process of its own."""
    python = sys.executable if name == "astrohpc" else str(venv / "zarr3" / "bin" / "python")
    command = [python, "-m", "convert_parts.peers.read"]
    command += ["--reader", name, "--store", str(store), "--shapes", json.dumps(shapes)]
    command += ["--batches", str(batches), "--seed", str(seed), "--threads", str(CORES)]
    done = subprocess.run(command, cwd=FOLDER, stdout=subprocess.PIPE, check=True, timeout=600)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def uncompressed(source: Path, folder: Path) -> dict[str, tuple[int, ...]]:
    """Write the fields as ``.npy``, (member, time, …), one file's share at a time; returns the shapes."""
    import netCDF4

    folder.mkdir()
    members = files(source)
    shapes: dict[str, tuple[int, ...]] = {}
    for name in UPPER + SURFACE:
        target = None
        for member, paths in enumerate(members):
            for place, path in enumerate(paths):
                with netCDF4.Dataset(path) as file:
                    file.set_auto_maskandscale(False)
                    values = file[name][:]
                records = len(values)
                shapes[name] = (len(members), records * len(paths), *values.shape[1:])
                if target is None:
                    target = np.lib.format.open_memmap(
                        folder / f"{name}.npy", "w+", np.dtype("f4"), shapes[name]
                    )
                target[member, place * records : (place + 1) * records] = values
    return shapes


def _made(words: str, source: Path, target: Path, venv: Path) -> Path | None:
    """The store that a contender of convert.py makes; None where it cannot."""
    one = next(one for one in contenders(venv) if one.name.startswith(words))
    done = subprocess.run(
        [*one.command, str(source), str(target)],
        env={**os.environ, **one.environment},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        print(f"# {one.name} made no store and is left out", file=sys.stderr)
        return None
    return target


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", choices=SCALES, default="full")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, default=8, help="of 32 samples, in each measurement")
    parser.add_argument(
        "--work", type=Path, default=default_folder(), help="for workload, peers and stores (8 GB)"
    )
    parser.add_argument("--peers-venv", type=Path, help="the peers' environments, else in --work")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    given = parser.parse_args()
    given.work = given.work.resolve()
    return given


if __name__ == "__main__":
    main()
