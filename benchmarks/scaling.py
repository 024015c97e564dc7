"""Weak and strong scaling over processes: Horovod, DDP and FSDP on one model, and a hundred GPUs on paper.

An MLP of 8.4 million parameters, processes of one thread over Gloo on this machine. Against each engine runs
``apart``: as many processes that compute the same and never talk, so that cores which are shared cost both
alike, and what is left is what talking costs. Weak: 32 rows a rank; strong: 64 rows over all ranks. All-reduces
are timed by themselves; a model of a step (scaling_parts/paper.py) with their cost is held against the steps
that were measured, and then reckons A100s with a network that is assumed. Medians over rounds. Data is
synthetic.

    python benchmarks/scaling.py --rounds 7 --out benchmarks/results/scaling.json
"""

import argparse
import itertools
import statistics
import sys
from pathlib import Path
from typing import Any

import record
import torch
from scaling_parts import paper
from teams import Team, rounds, serve, together
from torch import nn

from astrohpc.train.engines.base import Engine
from astrohpc.train.engines.choose import EngineSettings, open_engine

ENGINES = ("horovod", "ddp", "fsdp")
APART = "apart"
WIDTHS = (1024, 2048, 2048, 1024)
ROWS = {"weak": 32, "strong": 64}
SIZES = tuple(2**k for k in (16, 20, 22, 24, 25))  # bytes
STEPS, SUMS, WARM_UP = 5, 4, 2
PAPER_GPUS = (1, 4, 16, 32, 64, 100)


def mlp() -> nn.Module:
    layers: list[nn.Module] = []
    for wide, next_one in itertools.pairwise(WIDTHS):
        layers += [nn.Linear(wide, next_one), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def work(way: str, task: str) -> None:
    """One rank: steps of so many rows, or sums."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    engine, _ = open_engine(EngineSettings(engine="single" if way == APART else way))
    if task == "sums":
        values = {f"sum{n}": torch.zeros(n // 4) for n in SIZES}
        serve(**{name: lambda one=one: engine.sum(one) for name, one in values.items()})
    else:
        serve(step=step_of(engine, int(task)))


def step_of(engine: Engine, n_rows: int) -> Any:
    model = engine.prepare(mlp(), lambda m: torch.optim.SGD(m.parameters(), lr=1e-3))
    x = torch.randn(n_rows, WIDTHS[0])

    def step() -> None:
        with engine.accumulate(last=True):
            engine.backward(model(x).square().mean())
        engine.finish_gradients()
        engine.step()

    return step


def started(way: str, task: str, ranks: int) -> Team:
    team = Team([sys.executable, __file__, "--worker", way, task], ranks, apart=way == APART)
    for act in [f"sum{n}" for n in SIZES] if task == "sums" else ["step"]:
        team.turn(WARM_UP, act)
    return team


def steps(kind: str, ranks: int, count: int) -> dict[str, dict[str, Any]]:
    """All engines at so many ranks, in the same rounds."""
    n_rows = ROWS[kind] if kind == "weak" else ROWS[kind] // ranks
    ways = (APART, *ENGINES) if ranks > 1 else (APART,)
    starts = {way: lambda way=way: started(way, str(n_rows), ranks) for way in ways}
    with together(starts) as teams:
        told = rounds(teams, STEPS, count)
    found = {}
    for way in ways:
        ratios = [one[APART][0] / one[way][0] for one in told]
        found[way] = {
            "wall_s": statistics.median(one[way][0] for one in told),
            "cpu_s_a_rank": statistics.median(one[way][1] for one in told),
            "samples_per_s": ranks * n_rows / statistics.median(one[way][0] for one in told),
            "efficiency": statistics.median(ratios),
            "quartiles": [round(q, 3) for q in statistics.quantiles(ratios, n=4)],
        }
        one = found[way]
        print(
            f"| {kind} | {ranks} | {way} | {1e3 * one['wall_s']:.0f} | {1e3 * one['cpu_s_a_rank']:.0f} | "
            f"{one['samples_per_s']:.0f} | {one['efficiency']:.2f} | {one['quartiles'][0]:.2f} to "
            f"{one['quartiles'][2]:.2f} |",
            flush=True,
        )
    return found


def sums(way: str, ranks: int, count: int) -> dict[str, Any]:
    """Seconds of a sum by its size, and the line through them."""
    with together({way: lambda: started(way, "sums", ranks)}) as teams:
        told = [{n: teams[way].turn(SUMS, f"sum{n}")[0] for n in SIZES} for _ in range(count)]
    seconds = {n: statistics.median(one[n] for one in told) for n in SIZES}
    network = fitted(seconds, ranks)
    print(
        f"| {ranks} | {way} | "
        + " | ".join(f"{1e3 * one:.2f}" for one in seconds.values())
        + f" | {1e3 * network.message_s:.2f} | {network.bytes_per_s / 1e9:.2f} |",
        flush=True,
    )
    return {"seconds": seconds, "message_s": network.message_s, "bytes_per_s": network.bytes_per_s}


def fitted(seconds: dict[int, float], ranks: int) -> paper.Network:
    """A message costs what the smallest sum took; the rest of the largest is its bytes."""
    small, large = min(seconds), max(seconds)
    messages, share = 2 * (ranks - 1), 2.0 * (ranks - 1) / ranks
    message_s = seconds[small] / messages
    per_byte_s = (seconds[large] - seconds[small]) / (share * (large - small))
    return paper.Network(message_s, 1.0 / max(per_byte_s, 1e-12))


def held(found: dict[str, Any], network: dict[str, Any], ranks: int) -> dict[str, float]:
    """The model's step with everything hidden and with nothing, and the one that was measured."""
    n_bytes = 4.0 * sum(p.numel() for p in mlp().parameters())
    buckets = paper.cut(n_bytes, EngineSettings.bucket_mib * 2**20)
    one = paper.Work(found[APART]["wall_s"], buckets)
    costs = paper.Network(network["message_s"], network["bytes_per_s"])
    hidden, bare = (one.step_s(ranks, costs, hidden=h) for h in (True, False))
    measured = found["horovod"]["wall_s"]
    print(
        f"| {ranks} | {1e3 * hidden:.0f} to {1e3 * bare:.0f} | {1e3 * measured:.0f} | "
        f"{measured / bare:.2f} |"
    )
    return {"hidden_s": hidden, "bare_s": bare, "measured_s": measured}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(*given.worker)
    result: dict[str, Any] = {**record.provenance("torch", "horovod"), "data": "synthetic"}
    many = [n for n in given.ranks if n > 1]
    print(
        "| scaling (synthetic) | ranks | engine | ms a step | CPU ms a rank | samples/s | against apart | "
        "quartiles |\n|---|---:|---|---:|---:|---:|---:|---|"
    )
    for kind in ROWS:
        result[kind] = {n: steps(kind, n, given.rounds) for n in given.ranks}
    print(
        "\n| ranks | all-reduce | "
        + " | ".join(f"{n / 2**20:g} MiB, ms" for n in SIZES)
        + " | a message, ms | GB/s |\n|---:|---|"
        + "---:|" * (len(SIZES) + 2)
    )
    result["sums"] = {n: {way: sums(way, n, given.rounds) for way in ENGINES[:2]} for n in many}
    print("\n| ranks | model, ms: all hidden to nothing | measured | over nothing hidden |")
    print("|---:|---|---:|---:|")
    result["model"] = {n: held(result["weak"][n], result["sums"][n]["horovod"], n) for n in many}
    result["assumed"], result["paper"] = paper.ASSUMED, paper.rows(PAPER_GPUS)
    print(f"\nOn paper, A100s: {'; '.join(f'{k} {v:g}' for k, v in paper.ASSUMED.items())}\n")
    print("| model | GPUs | compute, ms | step, ms | efficiency |\n|---|---:|---:|---|---|")
    for row in result["paper"]:
        fast, slow = row["step_s"]
        best, worst = row["efficiency"]
        print(
            f"| {row['model']} | {row['gpus']} | {1e3 * row['compute_s']:.0f} | {1e3 * fast:.0f} to "
            f"{1e3 * slow:.0f} | {worst:.2f} to {best:.2f} |"
        )
    if given.out:
        record.write(given.out, result)


if __name__ == "__main__":
    main()
