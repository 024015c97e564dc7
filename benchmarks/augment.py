"""A whole chain of augmentation on the CPU: fused, as torch operations, as separate passes.

The data are synthetic: noise around plausible means, in single precision. All three do the same kinds of
work (jitter, elastic warp of fields, winds and layers, mixup and CutMix by mass, noise, bounds, totals
restored) on two threads, in turns; medians are compared. Peak memory is measured in a process of each one's
own, beyond the batch and one result.

    python benchmarks/augment.py --out benchmarks/results/augment.json
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch
from augment_parts.separate import separate_passes
from augment_parts.torch_chain import TorchChain

from astrohpc.augment.chain import Chain
from astrohpc.augment.draws import draw, partners_within
from astrohpc.augment.policy import CutMix, Elastic, Jitter, Mixup, Noise, Policy
from astrohpc.augment.rules import blocks_of
from astrohpc.kernels.desk import Draws
from astrohpc.physics.latlon import target_grid
from astrohpc.physics.layout import Block, Layout
from astrohpc.physics.vertical import sigma_layers

THREADS, SEED = 2, 20260401
GATES = {"torch chain": 4.0, "separate passes": 10.0}
MOST_MEMORY = 0.05
OURS = "fused"
# Grid, layers, samples, times: about 35 MB and 300 MB; how often each is measured.
SIZES = {"35 MB": ("T21", 10, 20, 4), "300 MB": ("T42", 20, 21, 4)}
REPEATS = {"35 MB": 7, "300 MB": 3}
LAYERED, FLAT = ("ta", "hus", "ua", "va", "cl"), ("ps", "ts", "clt", "pr", "rlut")
POLICY = Policy(
    name="benchmark",
    jitter=Jitter(),
    elastic=Elastic(),
    mixup=Mixup(),
    cutmix=CutMix(),
    noise=Noise(),
    mass_flux="kept",
)


class Work:
    """One size: a synthetic batch, and the ways to augment it."""

    def __init__(self, size: str, device: str = "cpu") -> None:
        grid, levels, samples, times = SIZES[size]
        blocks = [Block.canonical(name, levels) for name in LAYERED]
        blocks += [Block.canonical(name, 0) for name in FLAT]
        self.layout = Layout(
            tuple(blocks), target_grid(grid), sigma_layers(np.linspace(0.0, 1.0, levels + 1))
        )
        self.batch = torch.from_numpy(synthetic(self.layout, samples, times)).to(device)
        self.ids = np.arange(samples)
        self.spread = np.ones(self.layout.channels) * 0.1
        table = blocks_of(self.layout, POLICY.mass_flux)
        self.draws = self.drawn(POLICY)
        assert POLICY.elastic is not None
        self.torch_chain = TorchChain(self.layout, table, POLICY.elastic.points, device)
        self.chain = Chain(POLICY)
        self.out = torch.zeros_like(self.batch)

    def drawn(self, policy: Policy) -> Draws:
        """What the chain draws."""
        samples, times = self.batch.shape[:2]
        return draw(
            policy,
            self.layout,
            seed=SEED,
            ids=self.ids,
            times=times,
            partner=partners_within(SEED, self.ids),
            spread=self.spread,
            quality=np.ones(samples),
            mean_ps_pa=np.full(samples, 1e5),
            spin_ms=np.zeros((samples, 2)),
        )

    def difference(self) -> dict[str, float]:
        """How far the fused chain and torch's are apart without noise: rms, in spreads of the variable."""
        policy = replace(POLICY, noise=None)
        done = Chain(policy)(self.batch, self.layout, seed=SEED, samples=self.ids, out=self.out)
        theirs = self.torch_chain(self.batch, self.drawn(policy))
        found = {}
        for block in self.layout:
            part = self.layout.slice(block.name)
            apart = (done.out[:, :, part] - theirs[:, :, part]).square().mean().sqrt()
            found[block.name] = float(apart / self.batch[:, :, part].std())
        return found

    def ways(self) -> dict[str, Callable[[], Any]]:
        """What is compared, by name."""
        return {
            OURS: lambda: self.chain(
                self.batch,
                self.layout,
                seed=SEED,
                samples=self.ids,
                spread=self.spread,
                out=self.out,
                threads=THREADS,
            ),
            "torch chain": lambda: self.torch_chain(self.batch, self.draws),
            "separate passes": lambda: separate_passes(self.torch_chain, self.batch, self.draws),
        }


def synthetic(layout: Layout, samples: int, times: int) -> np.ndarray:
    """Noise around plausible means."""
    random = np.random.default_rng(SEED)
    shape = (samples, times, layout.channels, *layout.grid.shape)
    batch = random.standard_normal(shape, dtype=np.float32)
    for block in layout:
        part = batch[:, :, layout.slice(block.name)]
        if block.role == "pressure":
            part *= 1e3
            part += 1e5
        elif block.name in ("ta", "ts"):
            part *= 10.0
            part += 260.0
        elif block.name in ("cl", "clt"):
            np.clip(0.5 + 0.2 * part, 0.0, 1.0, out=part)
        elif block.positive:
            np.abs(part, out=part)
    return batch


def peak_of(size: str, way: str) -> int:
    """Peak memory of one way beyond the batch and one result, in a process of its own, in bytes."""
    command = [sys.executable, __file__, "--peak", size, way]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


def measure_peak(size: str, way: str) -> None:
    """Print the rise of this process's largest resident memory."""
    torch.set_num_threads(THREADS)
    work = Work(size)
    if way == OURS:  # what it compiles is not what it works with
        small = work.ids[:1], work.batch[:1]
        work.chain(
            small[1],
            work.layout,
            seed=SEED,
            samples=small[0],
            partners=small[0],
            spread=work.spread,
        )
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    work.ways()[way]()
    result = 0 if way == OURS else work.batch.numpy().nbytes  # ours has its place already
    print(max(_status("VmHWM") - before - result, 0))


def _status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) * 1024


def measure(size: str, repeats: int) -> dict[str, Any]:
    """Seconds of all ways, in turns."""
    work = Work(size)
    ways = work.ways()
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(-1, repeats):
        for name, way in ways.items():
            began, spent = time.perf_counter(), time.process_time()
            way()
            if repeat >= 0:
                cpu[name].append(time.process_time() - spent)
                wall[name].append(time.perf_counter() - began)
        print(f"# {size} {repeat + 1}/{repeats}", file=sys.stderr)
    return {
        "difference": work.difference(),
        "megabytes": work.batch.numpy().nbytes / 1e6,
        "shape": list(work.batch.shape),
        "cpu_s": cpu,
        "wall_s": wall,
        "ratio_cpu": {n: statistics.median(cpu[n]) / statistics.median(cpu[OURS]) for n in ways},
        "ratio_wall": {n: statistics.median(wall[n]) / statistics.median(wall[OURS]) for n in ways},
    }


def main() -> None:
    """Measure, print a table, and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        measure_peak(*arguments.peak)
        return
    torch.set_num_threads(THREADS)
    head = record.provenance("numpy", "numba", "torch")
    found = {size: measure(size, REPEATS[size]) for size in arguments.sizes}
    print("| synthetic, float32, 2 threads | CPU s | wall s | times ours (CPU) | extra memory |")
    print("|---|---|---|---|---|")
    for size, result in found.items():
        result["extra_bytes"] = {name: peak_of(size, name) for name in result["cpu_s"]}
        for name, seconds in result["cpu_s"].items():
            part = result["extra_bytes"][name] / (result["megabytes"] * 1e6)
            print(
                f"| {size}: {name} | {statistics.median(seconds):.3f} | "
                f"{statistics.median(result['wall_s'][name]):.3f} | {result['ratio_cpu'][name]:.1f} | "
                f"{100 * part:.1f} % |"
            )
        met = all(result["ratio_cpu"][name] >= gate for name, gate in GATES.items())
        lean = result["extra_bytes"][OURS] <= MOST_MEMORY * result["megabytes"] * 1e6
        result["gates_met"] = {"speed": met, "memory": lean}
        apart = max(result["difference"].values())
        print(
            f"\n{size}: without noise, ours and the torch chain differ by {apart:.1e} spreads (rms)"
        )
        print(
            f"\n{size}: speed {'met' if met else 'missed'}, memory {'met' if lean else 'missed'}\n"
        )
    if arguments.out:
        write(arguments.out, head, found)


def write(path: Path, head: dict[str, Any], found: dict[str, Any]) -> None:
    """The results, with what they were made by."""
    result = {
        **head,
        "data": "synthetic",
        "threads": THREADS,
        "gates": {**GATES, "extra memory": MOST_MEMORY},
        "sizes": found,
    }
    record.write(path, result)


if __name__ == "__main__":
    main()
