"""Everything that a training is at one moment: collected for a checkpoint, and put back.

What is whole (weights, optimiser, running mean) rank 0 saves; random states each rank saves its own.
An engine that cuts the model up saves each rank's part.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from astrohpc.errors import ConfigError
from astrohpc.models.units import InUnits
from astrohpc.train import shards
from astrohpc.train.async_save import Snapshot
from astrohpc.train.checkpoint import (
    Content,
    Manifest,
    folder_of,
    read,
    read_manifest,
    steps_there,
    verify,
)
from astrohpc.train.nested import put_together, take_apart
from astrohpc.train.precision import LossScale
from astrohpc.train.randomness import restore, seed_all, states
from astrohpc.train.settings import TrainSettings
from astrohpc.train.step import Stepper
from astrohpc.train.tensorfile import Unreadable


@dataclass
class Waiting:
    """A finished step that is not yet judged: sums over the samples of all ranks, or of this one."""

    step: int
    loss: Any  # a number, or a tensor on the device
    parts: Any
    norm: Any
    count: float
    counts: list[float]
    scale: float
    learning_rate: float
    of_all: bool = False  # whether the sums are those of all ranks

    def sums_of(self, rank: int) -> torch.Tensor:
        """What a rank adds to the sums of all; those of a checkpoint are rank 0's to tell."""
        if not self.of_all:
            return torch.cat([self.loss.reshape(1), self.parts]).double().cpu()
        own = torch.tensor([self.loss, *self.parts], dtype=torch.float64)
        return own if rank == 0 else torch.zeros_like(own)


@dataclass
class Position:
    """Where a training is. ``shift`` counts the batches that were left out by going back."""

    step: int = 0
    shift: int = 0
    best: float | None = None
    samples: int = 0
    waiting: deque[Waiting] = field(default_factory=deque)

    @property
    def batch(self) -> int:
        """The number of the next batch."""
        return self.step + self.shift


def made_of(settings: TrainSettings, stepper: Stepper, data: str) -> dict[str, Any]:
    """What a checkpoint belongs to."""
    model = stepper.engine.model
    words = {name: f"{list(v.shape)} {v.dtype}" for name, v in model.named_parameters()}
    if isinstance(model, InUnits):
        words |= model.described()
    return {"model": words, "data": data, "mathematics": dict(settings.mathematics())}


def collect(
    stepper: Stepper,
    position: Position,
    belongs: Mapping[str, Any],
    settings: TrainSettings,
    score: float | None,
) -> Snapshot:
    """All of this moment; every rank calls it at the same step."""
    engine = stepper.engine
    _sum_up(stepper, position)
    own = f"rank-{engine.rank:05d}"
    tensors, plain = {}, {}
    tensors[own], plain[own] = states(engine.device)
    sharded = shards.is_sharded(engine.model)
    model, optimizer = engine.model_state(sharded), engine.optimizer_state(sharded)
    # Parameters wait for the copy; a buffer may change with the next forward.
    waits = dict(engine.model.named_parameters())
    model = {name: value if name in waits else value.clone() for name, value in model.items()}
    flat: dict[str, torch.Tensor] = {}
    skeleton = take_apart(optimizer, flat, "optimizer")
    whole = {"model": model, "optimizer": flat}
    if stepper.mean is not None:
        whole["mean"] = stepper.mean.state()
    if sharded:
        for name, values in whole.items():
            part = f"{name}-{engine.rank:05d}"
            tensors[part], plain[part] = shards.parts_of(
                values, dict(engine.model.named_parameters())
            )
    elif engine.rank == 0:
        tensors |= whole
    if engine.rank == 0:
        plain["optimizer"] = skeleton
        plain["loop"] = {
            "step": position.step,
            "shift": position.shift,
            "best": position.best,
            "samples": position.samples,
            "waiting": [asdict(one) for one in position.waiting],
            "guards": stepper.guards.state(),
            "scale": vars(stepper.scale) if stepper.scale is not None else None,
            "mean_steps": stepper.mean.steps if stepper.mean is not None else 0,
            "micro_batch": stepper.micro.most,
            "sharded": sharded,
            "threads": torch.get_num_threads(),
            "settings": asdict(settings),
        }
    return Snapshot(position.step, tensors, plain, belongs, score)


def _sum_up(stepper: Stepper, position: Position) -> None:
    """Sums over all ranks of what waits, so that any number of ranks can go on with it."""
    for one in position.waiting:
        if not one.of_all:
            local = torch.cat([one.loss.reshape(1), one.parts]).double().cpu()
            summed = stepper.engine.sum(local).tolist()
            one.loss, one.parts, one.of_all = summed[0], summed[1:], True
            one.norm = float(one.norm)


def newest_good(
    stepper: Stepper, checkpoints: Path, tell: Callable[[str], None], until: int | None = None
) -> tuple[Path, Manifest] | None:
    """The newest checkpoint that is whole; None where there is none, ConfigError where none is good.

    ``until`` is the last step whose checkpoint will do.

    Ranks share the reading, and all come to the same verdict.
    """
    engine = stepper.engine
    steps = engine.broadcast(steps_there(checkpoints) if engine.rank == 0 else [])
    steps = [step for step in steps if until is None or step <= until]
    for step in steps:
        folder = folder_of(checkpoints, step)
        manifest, found = None, []
        try:
            manifest = read_manifest(folder)
            found = verify(folder, manifest, sorted(manifest.files)[engine.rank :: engine.size])
        except Unreadable as error:
            found = [str(error)]
        wrong = sorted({words for one in engine.gather(found) for words in one})
        if not wrong and manifest is not None:
            return folder, manifest
        tell(
            f"the checkpoint of step {step} is damaged ({'; '.join(wrong[:3])}); looking for the one before"
        )
    if steps:
        raise ConfigError(
            f"{checkpoints}: none of its {len(steps)} checkpoints is whole; put back a copy of one, or begin "
            "under another name."
        )
    return None


def put_back(
    stepper: Stepper,
    position: Position,
    folder: Path,
    manifest: Manifest,
    belongs: Mapping[str, Any],
    settings: TrainSettings,
) -> None:
    """Become what a checkpoint says, at this or at another number of ranks."""
    engine = stepper.engine
    refuse_other(folder, manifest.made_of, belongs)
    own = f"rank-{engine.rank:05d}"
    content = read(
        folder, manifest, lambda name: not name.startswith("rank-") or name.startswith(own)
    )
    loop = content.plain["loop"]
    if loop.get("sharded"):
        weights = dict(engine.model.named_parameters())
        content = shards.joined(content, manifest.ranks, weights)
    same = manifest.ranks == engine.size
    _load_tensors(stepper, content, loop)
    if same:
        restore(engine.device, content.tensors[own], content.plain[own])
    else:
        seed_all(settings.seed, position_key(loop["step"]), engine.rank + 1)
    position.step, position.shift = loop["step"], loop["shift"]
    position.best, position.samples = loop["best"], loop["samples"]
    position.waiting = deque(Waiting(**one) for one in loop["waiting"])
    stepper.guards.load(loop["guards"])
    if stepper.scale is not None:
        stepper.scale = LossScale(**loop["scale"])
    stepper.micro.most = min(stepper.micro.most, loop["micro_batch"])
    if engine.device.type == "cpu" and loop["threads"] != torch.get_num_threads():
        stepper.tell(
            f"OMP_NUM_THREADS was {loop['threads']} and is {torch.get_num_threads()}: sums are in another "
            "order now, and weights will differ in their last bits from those of an uninterrupted run"
        )


def position_key(step: int) -> int:
    """What random states of a step begin from; 0 is for making the model."""
    return step + 1


def _load_tensors(stepper: Stepper, content: Content, loop: Mapping[str, Any]) -> None:
    engine = stepper.engine
    if stepper.mean is not None:
        engine.load_model_state({**content.tensors["model"], **content.tensors["mean"]})
        stepper.mean.take_over(loop["mean_steps"])
    engine.load_model_state(content.tensors["model"])
    engine.load_optimizer_state(
        put_together(content.plain["optimizer"], content.tensors["optimizer"])
    )


def refuse_other(folder: Path, saved: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """ConfigError where a checkpoint is of another model, other data or other mathematics."""
    theirs, mine = saved["model"], ours["model"]
    if theirs != mine:
        name = next(n for n in [*mine, *theirs] if theirs.get(n) != mine.get(n))
        raise ConfigError(
            f"{folder}: it is of another model ({name}: there {theirs.get(name, 'none')}, here "
            f"{mine.get(name, 'none')}); take that model's settings, or another name."
        )
    if saved["data"] != ours["data"]:
        raise ConfigError(
            f"{folder}: it was trained on other data (digest {saved['data'][:12]}, here "
            f"{ours['data'][:12]}); take those data, or another name."
        )
    for name, value in ours["mathematics"].items():
        if saved["mathematics"].get(name) != value:
            raise ConfigError(
                f"train.{name}: it was {saved['mathematics'].get(name)} in {folder} and is {value} now, "
                "which would not be the same training; write what it was, or take another name."
            )
