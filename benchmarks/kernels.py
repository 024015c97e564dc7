"""Everything that budgets and augmentation are measured by, in one call: on the CPU, and on a GPU if one is there.

On the CPU it calls `budgets.py`, `augment.py` and `augment_spectra.py` by their functions. On a GPU it sets the
bandwidth of a device-to-device copy beside sums, chains and spectra of a batch of 1.88 GB, and of torch's
operations, torch.compile and CuPy's map_coordinates doing as much of the same. Where no GPU is, the result has
the compile report and each kernel's bytes, counted, and says so. All data are synthetic.

    python benchmarks/kernels.py --out benchmarks/results/kernels.json
    python benchmarks/kernels.py --quick      # smaller batches, few repeats: whether it works, not how fast
"""

import argparse
import json
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import augment as chains
import augment_spectra as spectra
import budgets
import record
import torch
from kernels_parts import counted

from astrohpc.augment.spectra_blur import nodes_of, weights_of
from astrohpc.augment.spectra_policy import SpectraPolicy, draw
from astrohpc.gallery.spectrum_files import synthetic_spectrum

NO_GPU = "no GPU was here: nothing of a GPU was run or timed; what follows was compiled and counted"
PACKAGES = ("numpy", "numba", "scipy", "torch", "cuda-core", "cupy-cuda13x", "nvidia-cuda-nvrtc")


@dataclass(frozen=True)
class Effort:
    """How much is measured. ``chains`` are sizes of augment.py."""

    budgets_mib: int
    chains: tuple[str, ...]
    spectra: tuple[int, int]
    gigabytes: float
    repeats: int
    peaks: bool


FULL = Effort(400, ("35 MB", "300 MB"), (256, 4096), 1.88, 7, peaks=True)
QUICK = Effort(64, ("5 MB",), (32, 4096), 0.1, 3, peaks=False)
chains.SIZES["5 MB"] = ("T21", 10, 6, 2)


def on_cpu(effort: Effort) -> dict[str, Any]:
    """The three scripts' own measurements."""
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    layout, stack = budgets.batch(effort.budgets_mib)
    seconds = budgets.measure(budgets.ways(layout, stack, threads), effort.repeats)
    medians = {
        name: {
            "gb_s": stack.nbytes / statistics.median(both["wall"]) / 1e9,
            "gb_cpu_s": stack.nbytes / statistics.median(both["cpu"]) / 1e9,
        }
        for name, both in seconds.items()
    }
    torch.set_num_threads(chains.THREADS)
    fields = {size: chains.measure(size, effort.repeats) for size in effort.chains}
    if effort.peaks:
        for size, found in fields.items():
            found["extra_bytes"] = {way: chains.peak_of(size, way) for way in found["cpu_s"]}
    return {
        "budgets": {"bytes": stack.nbytes, "medians": medians},
        "chains": fields,
        "spectra": spectra.measure(*effort.spectra, effort.repeats),
    }


def not_on_gpu(gigabytes: float) -> dict[str, Any]:
    """The compile report, and bytes of the batches that would have been measured."""
    layout, _ = budgets.batch(1)  # two samples, for their layout
    grid, levels, _, times = chains.SIZES["300 MB"]
    chains.SIZES["one"] = (grid, levels, 1, 1)
    fields = chains.Work("one").layout
    count, bins = int(gigabytes * 1e9 / 4 / 4096), 4096
    policy, wavelengths = SpectraPolicy(), synthetic_spectrum(bins).wavelengths
    drawn = draw(policy, 1, range(64), bins)
    nodes = nodes_of(wavelengths, drawn.resolution, policy.native_resolution)
    weights = weights_of(nodes, drawn.resolution).weight.shape[1]

    def samples(one: Any, moments: int) -> int:
        cells = one.grid.shape[0] * one.grid.shape[1]
        return int(gigabytes * 1e9 / (4 * one.channels * moments * cells))

    return {
        "note": NO_GPU,
        "compiled": counted.compiled(),
        "counted_bytes": {
            "zonal": counted.zonal_bytes(layout, samples(layout, 1)),
            "augment": counted.chain_bytes(fields, samples(fields, times), times),
            "spectra": counted.spectra_bytes(
                count, bins, weights, drawn.knots.shape[1], drawn.gaps.shape[1]
            ),
        },
    }


def provenance(quick: bool) -> dict[str, Any]:
    """What a result was made by."""
    return {
        **record.provenance(*PACKAGES),
        "data": "synthetic",
        "run": "quick: small batches and few repeats, on a machine that may be busy"
        if quick
        else "full",
    }


def told(found: dict[str, Any]) -> str:
    """A table of what was measured."""
    cpu = found["cpu"]
    lines = [f"| {found['run'].split(':')[0]} run, synthetic data | |", "|---|---|"]
    for name, rate in cpu["budgets"]["medians"].items():
        lines.append(f"| {name} | {rate['gb_s']:.2f} GB/s, {rate['gb_cpu_s']:.2f} GB/CPU s |")
    for size, one in cpu["chains"].items():
        for name, times in one["ratio_cpu"].items():
            lines.append(f"| chain, {size}: {name} | {times:.1f} times ours, CPU time |")
    for name, times in cpu["spectra"]["times_ours"].items():
        lines.append(f"| spectra: {name} | {times:.2f} times ours, CPU time |")
    gpu = found["gpu"]
    if "note" in gpu:
        spilled = sum(one["spilled_bytes"] for one in gpu["compiled"])
        lines.append(f"| kernels compiled for GPUs, not run | {len(gpu['compiled'])} |")
        lines.append(f"| bytes they spill | {spilled} |")
        for name, one in gpu["counted_bytes"].items():
            times = (one["read"] + one["written"]) / one["batch"]
            lines.append(f"| {name}: bytes moved, counted | {times:.2f} times the batch |")
        return "\n".join([*lines, "", gpu["note"]])
    lines.append(f"| {gpu['device']}: copy | {gpu['copy_gb_s']:.0f} GB/s |")
    for part in ("budgets", "chain", "spectra"):
        for name, one in gpu[part].items():
            if "gb_s" in one:
                share = f"{one['share_of_copy']:.2f} of the copy"
                lines.append(f"| {name} | {one['gb_s']:.1f} GB/s of batch, {share} |")
            elif "failed" in one:
                lines.append(f"| {name} | failed: {one['failed']} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print a table, and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller batches, few repeats")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    asked = parser.parse_args()
    effort = QUICK if asked.quick else FULL
    found = provenance(asked.quick)
    found["cpu"] = on_cpu(effort)
    if torch.cuda.is_available():
        from kernels_parts import on_gpu

        found["gpu"] = on_gpu.measure(effort.gigabytes, effort.repeats)
    else:
        found["gpu"] = not_on_gpu(FULL.gigabytes)
    print(told(found))
    if asked.out:
        asked.out.parent.mkdir(exist_ok=True)
        asked.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
