"""All budgets of a batch against the speed of reading it: bytes a second, and a CPU second.

The data are synthetic noise in float32, stacked as for training: six variables on 16 layers and twelve
without, on a grid of 64 x 128. Reading is a plain sum of the same memory in single precision, compiled
with fastmath, so that the processor does as little as it can. torch does the same sums by its own
operations. All take turns in this process; medians are compared.

    python benchmarks/budgets.py --mib 400 --repeats 9 --out benchmarks/results/budgets.json
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import record
import torch

from astrohpc.physics.budgets import evaluate
from astrohpc.physics.latlon import target_grid
from astrohpc.physics.layout import Block, Layout
from astrohpc.physics.sums import zonal_sums, zonal_sums_torch
from astrohpc.physics.vertical import sigma_layers
from astrohpc.physics.worlds import Worlds

TARGET_RATIO = 0.6
LEVELS = 16
LAYERED = ("ta", "hus", "ua", "va", "zg", "cl")
FLAT = (
    *("ps", "ts", "rsdt", "rsut", "rlut", "rsds"),
    *("rsus", "rlds", "rlus", "hfss", "hfls", "prw"),
)


@numba.njit(nogil=True, fastmath=True)
def read(values: np.ndarray) -> float:
    total = values[0] * np.float32(0.0)
    for i in range(len(values)):
        total += values[i]
    return total


def batch(mib: int) -> tuple[Layout, np.ndarray]:
    """A stack of so many samples as fill the memory; every value is between a half and one."""
    blocks = [Block.canonical(name, LEVELS) for name in LAYERED]
    blocks += [Block.canonical(name, 0) for name in FLAT]
    layers = sigma_layers(np.linspace(0.0, 1.0, LEVELS + 1))
    layout = Layout(tuple(blocks), target_grid("T42"), layers)
    shape = (layout.channels, *layout.grid.shape)
    samples = max(2, (mib << 20) // (4 * int(np.prod(shape))))
    stack = np.empty((samples, *shape), np.float32)
    draw = np.random.default_rng(20261121)
    for sample in stack:
        draw.random(dtype=np.float32, out=sample)
    stack *= 0.5
    stack += 0.5
    return layout, stack


def ways(layout: Layout, stack: np.ndarray, threads: int) -> dict[str, Callable[[], object]]:
    """What is compared, by name."""
    fields, flat = layout.split(stack), stack.reshape(-1)
    tensors = layout.split(torch.from_numpy(stack))
    worlds = Worlds(*(np.full(len(stack), value) for value in (6e6, 9.8, 7e-5, 287.0, 1004.0)))
    pool = ThreadPoolExecutor(threads)
    parts = np.array_split(flat, 8 * threads)

    def budgets(count: int) -> object:
        sums = zonal_sums(fields, layout, threads=count)
        return evaluate(sums, layout, worlds)

    def by_torch() -> object:
        with torch.no_grad():
            return zonal_sums_torch(tensors, layout)

    return {
        "read, one thread": lambda: read(flat),
        f"read, {threads} threads": lambda: list(pool.map(read, parts)),
        "budgets, one thread": lambda: budgets(1),
        f"budgets, {threads} threads": lambda: budgets(threads),
        f"torch's operations, {threads} threads": by_torch,
    }


def measure(
    todo: dict[str, Callable[[], object]], repeats: int
) -> dict[str, dict[str, list[float]]]:
    seconds: dict[str, dict[str, list[float]]] = {name: {"wall": [], "cpu": []} for name in todo}
    for repeat in range(repeats + 1):
        for name, work in todo.items():
            if name.startswith("torch") and repeat > 3:
                continue  # slow, and its ratio needs no more
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            if repeat > 0:  # the first compiles
                seconds[name]["wall"].append(time.perf_counter() - wall)
                seconds[name]["cpu"].append(time.process_time() - cpu)
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    head = record.provenance("numba", "numpy", "torch")
    torch.set_num_threads(asked.threads)
    layout, stack = batch(asked.mib)
    seconds = measure(ways(layout, stack, asked.threads), asked.repeats)
    rates = {
        name: {
            "gb_a_second": [stack.nbytes / one / 1e9 for one in both["wall"]],
            "gb_a_cpu_second": [stack.nbytes / one / 1e9 for one in both["cpu"]],
        }
        for name, both in seconds.items()
    }
    median = {
        name: {kind: statistics.median(values) for kind, values in both.items()}
        for name, both in rates.items()
    }
    ours, theirs = f"budgets, {asked.threads} threads", f"read, {asked.threads} threads"
    ratio = median[ours]["gb_a_second"] / median[theirs]["gb_a_second"]
    result = {
        **head,
        "data": "synthetic",
        "shape": list(stack.shape),
        "bytes": stack.nbytes,
        "ratio_to_reading": ratio,
        "ratio_to_reading_by_cpu_time": median[ours]["gb_a_cpu_second"]
        / median[theirs]["gb_a_cpu_second"],
        "ratio_to_torch": median[ours]["gb_a_second"]
        / median[f"torch's operations, {asked.threads} threads"]["gb_a_second"],
        "medians": median,
        "rates": rates,
    }
    for name, both in median.items():
        print(f"{name:36s} {both['gb_a_second']:7.2f} GB/s {both['gb_a_cpu_second']:7.2f} GB/CPU s")
    print(f"budgets at {ratio:.2f} of reading (synthetic data)")
    if asked.out:
        record.write(asked.out, result)
    return 0 if ratio >= TARGET_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
