"""What a person may choose about a training; the same words in ``configs/train`` and on the command line.

Nothing here needs torch, so that a mistake is named before anything slow is imported.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from astrohpc.climates.split import SplitSettings
from astrohpc.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """How weights follow gradients. ``fused`` none: where torch has a fused form for the device."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.0  # of matrices; biases and norms are never decayed
    betas: tuple[float, ...] = (0.9, 0.95)
    eps: float = 1e-8
    momentum: float = 0.9  # of sgd
    fused: bool | None = None

    def __post_init__(self) -> None:
        _positive(self, "lr", "eps")
        _share(self, "momentum")
        _not_negative(self, "weight_decay")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(
                f"betas: {self.betas} are not two shares; write for example [0.9, 0.95]."
            )


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """The learning rate over the steps, as a share of ``optimizer.lr``."""

    kind: Literal["constant", "cosine", "linear", "inverse_sqrt"] = "cosine"
    warmup_steps: int = 0
    final_share: float = 0.1  # of the peak, at the last step

    def __post_init__(self) -> None:
        _not_negative(self, "warmup_steps")
        _share(self, "final_share", whole=True)


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Where samples come from: a store of ours, or a folder with ``params.npy`` and ``fields.npy``."""

    source: str = ""
    variables: tuple[str, ...] = ()  # of a store; none: all of them that have values in every cell
    inputs: tuple[str, ...] = ()  # of a planet; none: all numbers that differ between members
    tokens: int = (
        0  # of a step, over all ranks, where samples are of different length; 0: by ``batch``
    )
    shards_at_once: int = 8  # samples are shuffled within so many shards at a time; 0: within all
    prefetch: int = 2  # batches that wait, ready
    threads: int = 0  # of each rank for decoding; 0 is one on every core it may use
    held_out: float = 0.0  # share of the members that are never trained on
    # Mean climates are learned, one a planet, and planets parted by ``split`` instead of ``held_out``.
    climates: bool = False
    unconverged: bool = False  # whether members that did not settle are climates, too
    split: SplitSettings = field(default_factory=SplitSettings)

    def __post_init__(self) -> None:
        _not_negative(self, "tokens", "shards_at_once", "threads")
        _share(self, "held_out")
        if self.prefetch < 1:
            raise ConfigError("prefetch: one batch at least must be on its way; write 1 or more.")


@dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """When everything is saved, and how much is kept."""

    every_steps: int = 500
    keep: int = 3  # the newest so many, and the best
    background: bool = True  # writing goes on beside the next steps

    def __post_init__(self) -> None:
        if self.every_steps < 1 or self.keep < 2:
            raise ConfigError(
                f"every_steps, keep: {self.every_steps} and {self.keep} would leave nothing to fall back "
                "on; write 1 step or more, and keep 2 or more."
            )


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """What follows a step that went wrong. Each answer is given a bounded number of times.

    A gradient that is not finite is never applied. ``skip`` goes on with the next batch, ``back`` loads
    the last checkpoint and leaves out the batches that led here, ``stop`` ends with exit code 65.
    """

    not_finite: Literal["skip", "back", "stop"] = "skip"
    spike: Literal["tell", "back", "stop"] = "tell"
    spike_factor: float = 10.0  # of the window's median loss
    gradient: Literal["tell", "skip", "back", "stop"] = "tell"
    gradient_factor: float = 20.0  # of the window's median norm
    window: int = 100  # steps
    most: int = 10  # answers of one kind within a window of steps, before it is a blow-up

    def __post_init__(self) -> None:
        for name in ("spike_factor", "gradient_factor"):
            if not getattr(self, name) > 1.0:
                raise ConfigError(f"{name}: it must be above 1; write for example 10.")
        if self.window < 8 or self.most < 1:
            raise ConfigError("window, most: write 8 steps or more, and 1 or more.")


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """What is written for people to watch. Counts are of steps; 0 is never."""

    every_steps: int = 10
    images_every: int = 0
    histograms_every: int = 0
    ranks_every: int = 100  # times of every rank are compared
    profile: tuple[int, ...] = ()  # first and last step of a profiler's trace

    def __post_init__(self) -> None:
        _not_negative(self, "images_every", "histograms_every", "ranks_every")
        if self.every_steps < 1:
            raise ConfigError("every_steps: a line every 0 steps is none; write 1 or more.")
        if self.profile and (len(self.profile) != 2 or not 0 < self.profile[0] <= self.profile[1]):
            raise ConfigError(
                f"profile: {self.profile} is no span of steps; write first and last, as [10, 12]."
            )


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """One training: what decides its mathematics first, then how it is computed and watched."""

    name: str = "training"
    seed: int = 0
    ensemble: int = 1  # trainings that differ by their seed, each in a folder of its own
    steps: int = 1000
    batch: int = 64  # samples of a step, over all ranks
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    clip_norm: float = 1.0  # of the gradient of all weights; 0: not clipped
    ema: float = 0.0  # the share of the past in the running mean of weights; 0: none is kept
    precision: Literal["fp64", "fp32", "bf16", "fp16"] = "fp32"
    guards: GuardSettings = field(default_factory=GuardSettings)
    data: DataSettings = field(default_factory=DataSettings)
    engine: Literal["auto", "single", "horovod", "ddp", "fsdp"] = "auto"
    micro_batch: int = 0  # samples that a rank computes at once; 0: found out, all that fit
    memory_share: float = 0.85  # of a GPU, or of ``memory_mib``, that may be used
    memory_mib: int = 0  # of a rank without GPU; 0: it is not looked at
    recompute: Literal["none", "every_second", "all"] = (
        "none"  # blocks whose activations are not kept
    )
    compile: bool = False  # each block by torch.compile
    deterministic: bool = True
    validate_every: int = 0  # steps; 0: never
    agree_every: int = 100  # steps after which ranks must hold the same weights; 0: never asked
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
    hang_s: float = 1800.0  # without a step; then the stacks are written and the job ends; 0: never
    log: LogSettings = field(default_factory=LogSettings)

    def __post_init__(self) -> None:
        for name in ("ensemble", "steps", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"{name}: {getattr(self, name)} is less than one; write 1 or more."
                )
        _not_negative(self, "seed", "clip_norm", "micro_batch", "memory_mib", "validate_every")
        _not_negative(self, "agree_every", "hang_s")
        _share(self, "ema")
        if not 0.1 <= self.memory_share <= 1.0:
            raise ConfigError(f"memory_share: {self.memory_share} is not in 0.1..1; write 0.85.")
        if self.schedule.warmup_steps >= self.steps:
            raise ConfigError(
                f"schedule.warmup_steps: {self.schedule.warmup_steps} of {self.steps} steps would all be "
                "warm-up; write fewer."
            )
        if self.validate_every and not (self.data.held_out or self.data.climates):
            raise ConfigError(
                "validate_every: no members are held out to validate with; write data.held_out=0.1."
            )

    def mathematics(self) -> Mapping[str, Any]:
        """What a resumed run must share with the run that it goes on with."""
        return {
            "seed": self.seed,
            "batch": self.batch,
            "tokens": self.data.tokens,
            "shards_at_once": self.data.shards_at_once,
            "held_out": self.data.held_out,
            "optimizer": self.optimizer.name,
            "precision": self.precision,
            "ema": self.ema > 0,
        }


def _positive(group: object, *names: str) -> None:
    for name in names:
        value = getattr(group, name)
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name}: {value} is not a number above 0; write for example 1e-3.")


def _not_negative(group: object, *names: str) -> None:
    for name in names:
        value = getattr(group, name)
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{name}: {value} is not a number from 0 on; write 0 or more.")


def _share(group: object, name: str, *, whole: bool = False) -> None:
    value = getattr(group, name)
    if not (0 <= value < 1 or (whole and value == 1)):
        raise ConfigError(f"{name}: {value} is not a share; write a number from 0 to below 1.")
