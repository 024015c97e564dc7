"""What the tests of training share: small arrays on disk, settings, and a training in this process."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from astrohpc.clock import SystemClock
from astrohpc.settings import build
from astrohpc.train.checkpoint import folder_of, read_manifest
from astrohpc.train.engines.base import Engine
from astrohpc.train.engines.single import Single
from astrohpc.train.loop import Trainer
from astrohpc.train.settings import TrainSettings
from astrohpc.train.sources import Source, open_source
from astrohpc.train.task import GlobalMeans, Task

CPU = torch.device("cpu")


def make_arrays(folder: Path, count: int = 60, seed: int = 0) -> Path:
    """Two channels on a map of two by three, as a smooth function of four inputs."""
    folder.mkdir(parents=True, exist_ok=True)
    params = np.random.default_rng(seed).random((count, 4)).astype("f4")
    means = np.stack([params.sum(1), params[:, 0] * params[:, 1]], 1)
    pattern = np.linspace(-0.1, 0.1, 6).reshape(2, 3)
    np.save(folder / "params.npy", params)
    np.save(folder / "fields.npy", (means[:, :, None, None] + pattern).astype("f4"))
    return folder


def settings_of(source: Path, /, **changes: Any) -> TrainSettings:
    """A training of a second; nested groups are merged."""
    written: dict[str, Any] = {
        "steps": 24,
        "batch": 8,
        "ema": 0.9,
        "optimizer": {"lr": 1e-2},
        "schedule": {"warmup_steps": 2},
        "data": {"source": str(source)},
        "checkpoint": {"every_steps": 6},
        "log": {"every_steps": 1},
        "hang_s": 0,
    }
    for name, value in changes.items():
        group = isinstance(value, Mapping)
        written[name] = {**written.get(name, {}), **value} if group else value
    return build(TrainSettings, written, "train")


class Told(list[str]):
    """What a training said."""

    @property
    def all(self) -> str:
        return "\n".join(self)


def trainer_in(folder: Path, settings: TrainSettings, **more: Any) -> Trainer:
    """A trainer of the small network on one process."""
    return small_trainer(folder, settings, Single(CPU), **more)


def small_trainer(
    folder: Path,
    settings: TrainSettings,
    engine: Engine,
    *,
    say: Callable[[str], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    model: Mapping[str, Any] | None = None,
    task: Callable[..., GlobalMeans] = GlobalMeans,
    **more: Any,
) -> Trainer:
    """A trainer of the small network."""
    small = {"width": 8, "depth": 1, **(model or {})}
    return trainer_with(
        folder, settings, engine, lambda source: task(source, small), say=say, stop=stop, **more
    )


def trainer_with(
    folder: Path,
    settings: TrainSettings,
    engine: Engine,
    task_of: Callable[[Source], Task],
    *,
    say: Callable[[str], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
    **more: Any,
) -> Trainer:
    """A trainer of any task."""
    torch.use_deterministic_algorithms(False)
    source = open_source(settings.data, settings.seed, folder)
    return Trainer(
        settings, task_of(source), source, engine, folder, SystemClock(), say, stop, **more
    )


def digests(folder: Path, step: int) -> dict[str, str]:
    """What every file of a checkpoint is, by its name."""
    manifest = read_manifest(folder_of(folder / "checkpoints", step))
    return {name: seen for name, (_, seen) in manifest.files.items()}


def loop_state(folder: Path, step: int) -> dict[str, Any]:
    """What a checkpoint says of the loop."""
    found: dict[str, Any] = json.loads(
        (folder_of(folder / "checkpoints", step) / "loop.json").read_text()
    )
    return found


class Stopper:
    """Asks to stop when asked for the n-th time, which is before step n (from 0)."""

    def __init__(self, at: int, act: Callable[[], bool] = lambda: True) -> None:
        self.at, self.act, self.calls = at, act, 0

    def __call__(self) -> bool:
        self.calls += 1
        return self.act() if self.calls == self.at + 1 else False
