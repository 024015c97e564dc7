"""One rank of the conformance suite: all checks of one engine in one process, results to a file.

    python tests/support_engines.py ENGINE RESULTS.json

A check returns what was measured, or raises; the tests say what it must be.
"""

import json
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from astrohpc.errors import ConfigError
from astrohpc.train.engines.base import Engine
from astrohpc.train.engines.choose import EngineSettings, open_engine
from astrohpc.train.engines.failures import AllRefuse, RanksDiffer, run
from astrohpc.train.engines.rendezvous import find_place

SAMPLES = 24  # of the joint batch; 1, 2 and 4 ranks share it evenly


class Block(nn.Module):
    """A convolution with a norm that looks at one sample only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(2, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.nn.functional.gelu(self.norm(self.conv(x)))


class Net(nn.Module):
    """Blocks in a list, as FSDP wants them, with sizes that no number of ranks divides."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.blocks = nn.ModuleList([Block(6), Block(6)])
        self.last = nn.Linear(6, 5)
        self.register_buffer("scale", torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.last(x.mean((2, 3))) * self.scale


class Sparing(nn.Module):
    """Some parameters nobody uses, some only rank 0 uses, some are frozen."""

    def __init__(self, use: bool) -> None:
        super().__init__()
        self.always, self.sometimes, self.never = (nn.Linear(5, 5) for _ in range(3))
        self.frozen = nn.Linear(5, 5).requires_grad_(False)
        self.use = use

    def forward(self, x: Tensor) -> Tensor:
        x = self.frozen(self.always(x))
        return self.sometimes(x) if self.use else x


def net(dtype: torch.dtype = torch.float64, seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return Net().to(dtype)


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(5)
    x = torch.randn(SAMPLES, 3, 8, 6, generator=draw, dtype=torch.float64)
    y = torch.randn(SAMPLES, 5, generator=draw, dtype=torch.float64)
    return x.to(dtype), y.to(dtype)


def squares(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The loss summed over samples."""
    return (model(x) - y).square().mean(1).sum()


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)


def whole(value: Tensor) -> Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value


def difference(model: nn.Module, reference: nn.Module) -> float:
    """Largest difference of gradients, in units of each tensor's largest entry."""
    worst = 0.0
    for mine, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        if theirs.grad is None:
            assert mine.grad is None
            continue
        gap = (whole(mine.grad).double() - theirs.grad.double()).abs().max()
        worst = max(worst, float(gap / theirs.grad.double().abs().max()))
    return worst


class Checks:
    """The checks of one engine; every rank runs all of them in this order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.place = find_place()

    def open(self, bucket_mib: float = 0.002, unused: bool = False) -> Engine:
        settings = EngineSettings(
            self.name, bucket_mib=bucket_mib, unused_parameters=unused, timeout_s=120
        )
        return open_engine(settings, self.place)[0]

    def share(self, *values: Tensor) -> list[Tensor]:
        return [value.chunk(self.place.size)[self.place.rank] for value in values]

    def reference(self, model: nn.Module, dtype: torch.dtype = torch.float64) -> nn.Module:
        (squares(model, *batch(dtype)) / SAMPLES).backward()
        return model

    def gradients(self, dtype: torch.dtype) -> dict[str, float]:
        engine = self.open()
        model = engine.prepare(net(dtype, seed=3 + engine.rank), adamw)  # rank 0's weights count
        with engine.accumulate(last=True):
            engine.backward(squares(model, *self.share(*batch(dtype))) * engine.size / SAMPLES)
        engine.finish_gradients()
        reference = self.reference(net(dtype), dtype)
        found = {"gradients": difference(engine.model, reference)}
        norm = float(engine.clip(0.01))
        expected = float(nn.utils.clip_grad_norm_(reference.parameters(), 0.01))
        found |= {
            "norm": abs(norm / expected - 1.0),
            "clipped": difference(engine.model, reference),
        }
        assert expected > 0.01
        return found

    def check_gradients_fp64(self) -> dict[str, float]:
        return self.gradients(torch.float64)

    def check_gradients_fp32(self) -> dict[str, float]:
        return self.gradients(torch.float32)

    def check_uneven_accumulation(self) -> float:
        """Ranks with 3, 5, 7, 9 samples in three micro-batches each."""
        engine = self.open()
        model = engine.prepare(net(), adamw)
        counts = [3 + 2 * rank for rank in range(engine.size)]
        start = sum(counts[: engine.rank])
        x, y = (value[start : start + counts[engine.rank]] for value in batch())
        unit = engine.per_unit(len(x))
        micro = list(zip(x.tensor_split(3), y.tensor_split(3), strict=True))
        for number, (some_x, some_y) in enumerate(micro, start=1):
            with engine.accumulate(last=number == len(micro)):
                engine.backward(squares(model, some_x, some_y) * unit)
        engine.finish_gradients()
        reference, total = net(), sum(counts)
        (squares(reference, *(value[:total] for value in batch())) / total).backward()
        return difference(engine.model, reference)

    def check_unused_and_frozen(self) -> dict[str, Any]:
        """What no rank uses has no gradient and is not decayed; what one uses has the mean."""
        engine = self.open(unused=True)
        everywhere = self.name == "fsdp"  # it fails where only some ranks use a parameter
        torch.manual_seed(1)
        given = Sparing(use=everywhere or engine.rank == 0).double()
        before = {name: value.clone() for name, value in given.state_dict().items()}
        model = engine.prepare(given, adamw)
        x = torch.randn(engine.size, 5, dtype=torch.float64)
        with engine.accumulate(last=True):
            engine.backward(model(x[engine.rank :][:1]).sum())
        engine.finish_gradients()
        torch.manual_seed(1)
        reference = Sparing(use=True).double()
        for rank, sample in enumerate(x):
            reference.use = everywhere or rank == 0
            (reference(sample).sum() / engine.size).backward()
        named = dict(engine.model.named_parameters())
        none = sorted(name for name, p in named.items() if p.grad is None)
        gap = difference(engine.model, reference)
        engine.step()
        still = sorted(name for name, p in named.items() if whole(p).equal(before[name]))
        return {"none": none, "gradients": gap, "still": still, "checksum": engine.checksum()}

    def check_used_in_an_earlier_micro_batch_only(self) -> float:
        engine = self.open(unused=True)
        torch.manual_seed(1)
        model = engine.prepare(Sparing(use=True).double(), adamw)
        x = torch.randn(2, 5, dtype=torch.float64)
        for last in (False, True):
            engine.model.use = not last
            with engine.accumulate(last):
                engine.backward(model(x[int(last) :][:1]).sum())
        engine.finish_gradients()
        torch.manual_seed(1)
        reference = Sparing(use=True).double()
        for last in (False, True):
            reference.use = not last
            reference(x[int(last)]).sum().backward()
        return difference(engine.model, reference)

    def check_channels_last(self) -> dict[str, Any]:
        engine = self.open()
        model = engine.prepare(net().to(memory_format=torch.channels_last), adamw)
        x, y = self.share(*batch())
        with engine.accumulate(last=True):
            x = x.contiguous(memory_format=torch.channels_last)
            engine.backward(squares(model, x, y) * engine.size / SAMPLES)
        engine.finish_gradients()
        same = all(p.grad.stride() == p.stride() for p in engine.model.parameters())
        gap = difference(engine.model, self.reference(net()))
        engine.step()
        return {"gradients": gap, "same_strides": same, "checksum": engine.checksum()}

    def check_bfloat16(self) -> dict[str, float]:
        """Against the mean, in float32, of what the ranks had in bfloat16."""
        engine = self.open()
        model = engine.prepare(net(torch.bfloat16), adamw)
        x, y = self.share(*batch(torch.bfloat16))
        with engine.accumulate(last=True):
            engine.backward(squares(model, x, y))
        engine.finish_gradients()
        reference = net(torch.bfloat16)
        squares(reference, x, y).backward()
        for p in reference.parameters():
            p.grad = (engine.sum(p.grad.float()) / engine.size).bfloat16()
        gap = difference(engine.model, reference)
        engine.step()
        return {"gradients": gap, "checksum": engine.checksum()}

    def steps(self, engine: Engine, model: nn.Module, numbers: range) -> Iterator[float]:
        x, y = self.share(*batch(torch.float32))
        for _ in numbers:
            unit, losses = engine.per_unit(len(x)), []
            for number, (some_x, some_y) in enumerate(zip(x.split(3), y.split(3), strict=True), 1):
                with engine.accumulate(last=3 * number >= len(x)):
                    losses.append(squares(model, some_x, some_y))
                    engine.backward(losses[-1] * unit)
            engine.finish_gradients()
            engine.clip(0.5)
            engine.step()
            yield float(engine.sum(sum(losses).detach())) / SAMPLES

    def check_training(self) -> dict[str, Any]:
        engine = self.open()
        model = engine.prepare(net(torch.float32), adamw)
        losses = list(self.steps(engine, model, range(8)))
        words = set(engine.gather(engine.checksum()))
        return {"losses": losses, "checksum": engine.checksum(), "words": len(words)}

    def check_training_again(self) -> dict[str, Any]:
        return self.check_training()

    def check_resumed(self) -> dict[str, Any]:
        """Five steps, a state, a new engine, three more."""
        engine = self.open()
        model = engine.prepare(net(torch.float32), adamw)
        losses = list(self.steps(engine, model, range(5)))
        state = engine.broadcast([engine.model_state(), engine.optimizer_state()])
        other = self.open()
        model = other.prepare(net(torch.float32, seed=9), adamw)
        other.load_model_state(state[0])
        other.load_optimizer_state(state[1])
        losses += list(self.steps(other, model, range(5, 8)))
        kinds = {type(v).__name__ for v in state[0].values()}
        return {"losses": losses, "checksum": other.checksum(), "kinds": sorted(kinds)}

    def check_sharded_state(self) -> str:
        engine = self.open()
        model = engine.prepare(net(torch.float32), adamw)
        list(self.steps(engine, model, range(5)))
        state = engine.model_state(sharded=True), engine.optimizer_state(sharded=True)
        other = self.open()
        model = other.prepare(net(torch.float32, seed=9), adamw)
        other.load_model_state(state[0])
        other.load_optimizer_state(state[1])
        list(self.steps(other, model, range(5, 8)))
        return other.checksum()

    def check_collectives(self) -> dict[str, Any]:
        engine = self.open()
        rank, size = engine.rank, engine.size
        found: dict[str, Any] = {"any": [engine.any(rank == size - 1), engine.any(False)]}
        for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool):
            value = torch.tensor([[rank], [1]]).to(dtype)
            kept = value.clone()
            several = engine.sum(value), engine.max(value), engine.min(value)
            assert value.equal(kept)
            assert all(one.dtype == dtype and one.shape == (2, 1) for one in several)
            found[str(dtype)] = [one.double().flatten().tolist() for one in several]
        found["scalar"] = engine.sum(torch.tensor(2.5)).item()
        found["empty"] = engine.sum(torch.zeros(0)).shape == (0,)
        found["gather"] = engine.gather({"rank": rank, "text": "x" * rank})
        found["broadcast"] = engine.broadcast({"from": rank})
        found["per_unit"] = engine.per_unit(2 * rank + 1)
        engine.barrier()
        return found

    def check_refusals(self) -> dict[str, str]:
        """The sentence of each thing that must not pass unseen."""
        found = {}

        def refused(name: str, act: Callable[[], Any]) -> None:
            try:
                act()
                found[name] = "accepted"
            except (ConfigError, RanksDiffer) as error:
                found[name] = str(error)

        one_more = int(self.place.rank == self.place.size - 1)
        refused("data", lambda: self.open().agree({"data": f"digest {one_more}"}))
        refused("model", lambda: self.open().prepare(nn.Linear(3, 3 + one_more), adamw))
        frozen = nn.Linear(3, 3).requires_grad_(False)
        refused("untrained", lambda: self.open().prepare(frozen, adamw))
        engine = self.open()
        engine.prepare(net(torch.float32), adamw)
        refused("twice", lambda: engine.prepare(net(), adamw))
        engine.model.first.weight.requires_grad_(False)
        refused("frozen later", engine.step)
        engine.model.first.weight.requires_grad_(True)
        engine.optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))]})
        refused("added", engine.step)
        if self.name != "fsdp" and self.place.size > 1:
            if one_more:
                with torch.no_grad():
                    weight = engine.model.blocks[1].conv.weight
                    weight.view(-1).view(torch.int32)[17] ^= 1  # a bit
            refused("bit", engine.checksum)
        if self.name == "horovod":
            engine = self.open()
            model = engine.prepare(nn.Linear(3, 3), adamw)
            with engine.accumulate(last=True):
                engine.backward(model(torch.ones(3)).sum())
                refused("two backwards", lambda: engine.backward(model(torch.ones(3)).sum()))
            engine.finish_gradients()
        return found

    def check_together(self) -> dict[str, Any]:
        """What one rank, or all, refuse."""
        engine = self.open()
        found: dict[str, Any] = {"made": engine.together(lambda: engine.rank)}

        def refuse(from_rank: int) -> int:
            if engine.rank >= from_rank:
                raise ConfigError("arrays: there is no such folder; name another.")
            return 0

        for name, from_rank in (("one", engine.size - 1), ("all", 0)):
            try:
                engine.together(lambda first=from_rank: refuse(first))
            except AllRefuse as error:
                found[name] = str(error)
        return found

    def run(self) -> dict[str, Any]:
        found = {}
        for name in [name for name in dir(self) if name.startswith("check_")]:
            try:
                found[name.removeprefix("check_")] = getattr(self, name)()
            except Exception:
                traceback.print_exc()
                found[name.removeprefix("check_")] = {"error": traceback.format_exc()}
        return found


def main() -> int:
    name, out = sys.argv[1:3]
    torch.set_num_threads(1)
    checks = Checks(name)
    found = checks.run()
    engine = checks.open()
    all_found = engine.gather(found)
    if engine.rank == 0:
        Path(out).write_text(json.dumps(all_found))
    engine.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
