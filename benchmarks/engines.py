"""Our Horovod engine, Horovod's own optimiser and DDP: steps a second and CPU time a step.

Three models as different as can be: one that computes (a convolutional net, 28 tensors), one that sends
(an MLP of 25 million parameters, 6 tensors), one of many small tensors (400). Two processes of one thread
each, over Gloo on this machine. The processes of all ways live side by side, stopped but for those of one
way, which does a few steps; then the next has its turn. So all ways see the same machine, and ratios within
a round mean something on a busy one. Medians over rounds. Data is synthetic.

    python benchmarks/engines.py --rounds 7
"""

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import record
import torch
from teams import Team, rounds, serve, together
from torch import Tensor, nn

from astrohpc.train.engines import horovod_start
from astrohpc.train.engines.choose import EngineSettings, open_engine
from astrohpc.train.engines.rendezvous import find_place

WAYS = ("ours", "stock", "ddp")
WARM_UP = 3
STEPS = {"conv": 5, "mlp": 4, "many": 25}  # of a turn


class Residual(nn.Module):
    """A layer whose input is added to its output, so that 200 of them train."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.1 * torch.relu(self.layer(x))


def conv() -> tuple[nn.Module, Tensor]:
    layers: list[nn.Module] = []
    for k in range(7):
        layers += [nn.Conv2d(5 if k == 0 else 56, 56, 3, padding=1), nn.GroupNorm(8, 56), nn.GELU()]
    return nn.Sequential(*layers), torch.randn(4, 5, 64, 64)


def mlp() -> tuple[nn.Module, Tensor]:
    wide = nn.Linear(1024, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1024)
    return nn.Sequential(*wide), torch.randn(16, 1024)


def many() -> tuple[nn.Module, Tensor]:
    return nn.Sequential(*(Residual(nn.Linear(46, 46)) for _ in range(200))), torch.randn(32, 46)


MODELS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "conv": conv,
    "mlp": mlp,
    "many": many,
}


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=1e-3)


def by_engine(name: str, model: nn.Module, x: Tensor, bucket_mib: float) -> Callable[[], None]:
    engine, _ = open_engine(EngineSettings(engine=name, bucket_mib=bucket_mib))
    called = engine.prepare(model, sgd)

    def step() -> None:
        with engine.accumulate(last=True):
            engine.backward(called(x).square().mean())
        engine.finish_gradients()
        engine.step()

    return step


def by_stock(model: nn.Module, x: Tensor) -> Callable[[], None]:
    """Horovod as its documentation says, with its own defaults."""
    import horovod.torch as hvd

    horovod_start.start_gloo(find_place(), hvd, 300.0)
    optimizer = hvd.DistributedOptimizer(sgd(model), named_parameters=model.named_parameters())
    hvd.broadcast_parameters(model.state_dict(), root_rank=0)

    def step() -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    return step


def work(way: str, name: str, bucket_mib: float) -> None:
    """One rank: as many steps as each line of our input says, and a line of wall and CPU time back."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, x = MODELS[name]()
    engine = {"ours": "horovod"}.get(way, way)
    step = by_stock(model, x) if way == "stock" else by_engine(engine, model, x, bucket_mib)
    serve(step=step)


def started(way: str, name: str, given: argparse.Namespace) -> Team:
    words = ["--worker", way, name, "--bucket-mib", str(given.bucket_mib)]
    team = Team([sys.executable, __file__, *words], given.ranks)
    team.turn(WARM_UP)
    return team


def measure(name: str, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """All rounds of one model."""
    with together(
        {way: lambda way=way: started(way, name, given) for way in given.ways}
    ) as all_teams:
        told = rounds(all_teams, STEPS[name], given.rounds)
    found = {}
    for way in given.ways:
        against = [(one["ddp"], one[way]) for one in told]
        ratios = [ddp[0] / ours[0] for ddp, ours in against]
        found[way] = {
            "steps_per_s": 1.0 / statistics.median(one[way][0] for one in told),
            "cpu_s_per_step": statistics.median(one[way][1] for one in told),
            "steps_per_s_over_ddp": statistics.median(ratios),
            "quartiles": [round(q, 3) for q in statistics.quantiles(ratios, n=4)],
            "cpu_over_ddp": statistics.median(ours[1] / ddp[1] for ddp, ours in against),
        }
        print(
            f"{name:5} {way:6}",
            {k: v if isinstance(v, list) else round(v, 4) for k, v in found[way].items()},
            flush=True,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--bucket-mib", type=float, default=EngineSettings.bucket_mib)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", nargs=2, metavar=("WAY", "MODEL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(*given.worker, given.bucket_mib)
    head = provenance(given)
    found = {name: measure(name, given) for name in given.models}
    if given.out:
        record.write(given.out, {**head, "models": found})


def provenance(given: argparse.Namespace) -> dict[str, object]:
    return {
        **record.provenance("torch", "horovod"),
        "data": "synthetic",
        "ranks": given.ranks,
        "rounds": given.rounds,
        "bucket_mib": given.bucket_mib,
        "cycle_ms": float(os.environ.get("HOROVOD_CYCLE_TIME", horovod_start.CYCLE_MS)),
    }


if __name__ == "__main__":
    main()
