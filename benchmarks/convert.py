"""NetCDF → Zarr: our converter and its peers on one workload, in one run, interleaved.

The workload is synthetic (`convert_parts/corpus.py`): 8 members × 8 months, 1.95 GB decoded, as NetCDF-4,
classic and packed NetCDF. A run is a process with all that it starts, held on two cores: wall from its
start to its end, imports included; CPU and memory of the whole tree; the source warm in the page cache.
Round after round all contenders follow each other (A B C A B C), the floor of one core among them, and
medians are compared. Peers run with the predecessor's codec (``seed``: Blosc zstd 5, bit-shuffle) and
with our two parameters (``tuned``: level 1, one block a chunk). Every store is read back and compared.

    python benchmarks/convert.py --repeats 3 --out benchmarks/results/convert.json
    python benchmarks/convert.py --scale small --repeats 1 --only tensorstore --only astrohpc
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from statistics import median

from convert_parts.contenders import FOLDER, Contender, contenders, install_peers
from convert_parts.corpus import SCALES, VARIANTS, corpus, default_folder
from convert_parts.floors import Step, total_cpu_s
from convert_parts.gates import gates
from convert_parts.peer_versions import provenance
from convert_parts.runs import Run, one_run, warm

CORES = 2
SAMPLED_FIELDS = 96  # of a peer's store; ours are compared whole, once


def main() -> None:
    """Measure all, print tables and gates."""
    given = _arguments()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    sources = corpus(given.work / f"corpus-{given.scale}", given.scale)
    venv = given.peers_venv or given.work / "peers"
    chosen = [one for one in contenders(venv) if _wanted(one, given.only)]
    if any(not one.ours for one in chosen):
        install_peers(venv)
    scratch = given.work / "scratch"
    tiny = corpus(given.work / "corpus-tiny", "tiny")
    for one in chosen:  # what is compiled or cached at a first start is no part of a conversion
        _progress(0, given.repeats, one_run(one, tiny["nc4"], scratch, 0))
    runs: list[Run] = []
    floors: list[dict[str, Step]] = []
    for repeat in range(given.repeats):
        for variant in given.variants:
            if variant == "nc4":
                floors.append(_floors(sources[variant], scratch))
            for one in chosen:
                if variant not in one.variants:
                    continue
                whole = one.ours and repeat == 0
                at_most = None if whole else SAMPLED_FIELDS
                runs.append(one_run(one, sources[variant], scratch, at_most))
                _progress(repeat + 1, given.repeats, runs[-1])
    print(f"Synthetic data, {SCALES[given.scale].decoded_bytes / 1e9:.2f} GB decoded.\n")
    for variant in given.variants:
        print("\n".join(table(variant, runs)), end="\n\n")
    if floors:
        print("\n".join(floor_table(floors)), end="\n\n")
    judged = list(gates(runs, floors))
    print("\n".join(["| gate | number | verdict |", "|---|---|---|", *map(str, judged)]))
    if given.out:
        pythons = {"astrohpc": sys.executable}
        pythons |= {name: str(venv / name / "bin" / "python") for name in ("zarr3", "zarr2")}
        result = {
            **provenance(pythons),
            "scale": given.scale,
            "synthetic": True,
            "gates": [asdict(one) for one in judged],
            "floors": [{name: asdict(step) for name, step in one.items()} for one in floors],
            "runs": [asdict(run) for run in runs],
        }
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def table(variant: str, runs: list[Run]) -> Iterable[str]:
    """One row a contender, medians; failures with their reason."""
    yield (
        f"| {variant} (synthetic) | wall s | by its own clock | CPU s | of it system | sync s | MB of the tree "
        "| MB of a process | store MB | files | values |"
    )
    yield "|---|" + "---:|" * 9 + "---|"
    names = dict.fromkeys(run.name for run in runs if run.variant == variant)
    for name in names:
        mine = [run for run in runs if run.variant == variant and run.name == name]
        good = [run for run in mine if not run.failure]
        if not good:
            yield f"| {name} | " + "– | " * 9 + f"failed: {mine[0].failure} |"
            continue
        numbers = [
            f"{median(getattr(run, what) for run in good):{form}}"
            for what, form in (
                ("wall_s", ".2f"),
                ("cpu_s", ".2f"),
                ("system_s", ".2f"),
                ("sync_s", ".2f"),
                ("tree_pss_mb", ".0f"),
                ("process_pss_mb", ".0f"),
                ("store_mb", ".1f"),
                ("files", ".0f"),
            )
        ]
        own = [run.own_s for run in good if run.own_s is not None]
        numbers.insert(1, f"{median(own):.2f}" if own else "")
        findings = [text for run in good for text in run.differ]
        values = f"{findings[0]} (of {len(findings)})" if findings else "equal"
        failed = f", {len(mine) - len(good)} of {len(mine)} failed" * (len(good) < len(mine))
        yield f"| {name} | {' | '.join(numbers)} | {values}{failed} |"


def floor_table(floors: list[dict[str, Step]]) -> Iterable[str]:
    """What one core takes for each step, and in sum."""
    yield "| floor, one core (nc4) | MB/s of CPU | CPU s | wall s |"
    yield "|---|---:|---:|---:|"
    for name in floors[0]:
        steps = [one[name] for one in floors]
        if not steps[0].nbytes:
            yield f"| {name} | refused by the file system | – | – |"
            continue
        rate = median(step.nbytes / max(step.cpu_s, 1e-9) for step in steps) / 1e6
        cpu_s, wall_s = (median(getattr(s, what) for s in steps) for what in ("cpu_s", "wall_s"))
        yield f"| {name} | {rate:.0f} | {cpu_s:.3f} | {wall_s:.3f} |"
    for proof, words in ((False, "sum"), (True, "sum with one decoding as proof")):
        yield f"| {words} | | {median(total_cpu_s(one, proof=proof) for one in floors):.3f} | |"


def _floors(source: Path, scratch: Path) -> dict[str, Step]:
    shutil.rmtree(scratch, ignore_errors=True)
    warm(source)
    done = subprocess.run(
        [sys.executable, "-m", "convert_parts.floors", str(source), str(scratch)],
        cwd=FOLDER,
        stdout=subprocess.PIPE,
        check=True,
    )
    shutil.rmtree(scratch, ignore_errors=True)
    return {name: Step(**step) for name, step in json.loads(done.stdout).items()}


def _progress(repeat: int, repeats: int, run: Run) -> None:
    words = run.failure or f"wall {run.wall_s:.2f} s, CPU {run.cpu_s:.2f} s, {run.said}"
    print(f"# {repeat}/{repeats} {run.variant}: {run.name}: {words}", file=sys.stderr, flush=True)


def _wanted(one: Contender, only: list[str]) -> bool:
    return not only or any(word in one.name for word in only)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", choices=SCALES, default="full")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORDS",
        help="contenders whose name has these words, as 'tensorstore tuned'; may be given several times",
    )
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
