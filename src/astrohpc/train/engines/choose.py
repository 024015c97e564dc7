"""Which engine trains, and why."""

from dataclasses import dataclass
from typing import Literal

import torch

from astrohpc.errors import ConfigError
from astrohpc.train.engines import horovod_start
from astrohpc.train.engines.base import Engine
from astrohpc.train.engines.failures import met
from astrohpc.train.engines.rendezvous import Place, find_place

NAMES = ("auto", "single", "horovod", "ddp", "fsdp")


@dataclass(frozen=True)
class EngineSettings:
    """How processes share a training."""

    engine: str = "auto"
    bucket_mib: float = 25.0
    """Gradients that are sent together. Larger ones cost fewer messages, smaller ones start earlier."""
    unused_parameters: bool = False
    """Whether some parameters get no gradient in some steps; DDP looks for them only if told."""
    timeout_s: float = 300.0
    """How long a collective waits for a rank that is alive but silent."""

    def __post_init__(self) -> None:
        if self.engine not in NAMES:
            raise ConfigError(f"engine: {self.engine!r} is none of {', '.join(NAMES)}; write one.")
        for name, value in (("bucket_mib", self.bucket_mib), ("timeout_s", self.timeout_s)):
            if not 0.0 < value < float("inf"):
                raise ConfigError(f"{name}: {value} is not above 0; write a positive number.")


@dataclass(frozen=True)
class Choice:
    """An engine's name and the sentence that says why it is this one."""

    name: Literal["single", "horovod", "ddp", "fsdp"]
    why: str


def choose(settings: EngineSettings, size: int, horovod_is_built: bool) -> Choice:
    """What ``auto`` means: one process alone, many by Horovod, or by DDP where Horovod is not built."""
    if settings.engine == "single" and size > 1:
        raise ConfigError(
            f"engine: single is one process and {size} were started; start one, or take "
            "train.engine=horovod."
        )
    if settings.engine == "horovod" and not horovod_is_built:
        raise ConfigError(horovod_start.NOT_BUILT)
    if settings.engine != "auto":
        return Choice(settings.engine, f"engine {settings.engine}, as train.engine says")  # type: ignore[arg-type]
    if size == 1:
        return Choice("single", "engine single, for one process")
    if horovod_is_built:
        return Choice("horovod", f"engine horovod, for {size} processes")
    return Choice(
        "ddp", f"engine ddp, for {size} processes: Horovod is not built here (hpc/horovod.sh does)"
    )


def device_of(place: Place) -> torch.device:
    """The GPU of this local rank, or the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    count = torch.cuda.device_count()
    # Slurm may show each task its own GPU only, which is then number 0 to all.
    if place.local_size > count > 1:
        raise ConfigError(
            f"GPUs: {place.local_size} processes share a node of {count}; start one process a GPU."
        )
    device = torch.device("cuda", place.local_rank % count)
    torch.cuda.set_device(device)
    return device


def open_engine(
    settings: EngineSettings,
    place: Place | None = None,
    param_dtype: torch.dtype | None = None,
) -> tuple[Engine, Choice]:
    """Meet the other ranks. ``param_dtype`` is what FSDP computes in, with sums in float32."""
    place = place or find_place()
    choice = choose(settings, place.size, horovod_start.is_built())
    engine = _opened(choice.name, settings, place, param_dtype)
    if engine.size > 1:
        met(engine)
    return engine, choice


def _opened(
    name: str, settings: EngineSettings, place: Place, param_dtype: torch.dtype | None
) -> Engine:
    device = device_of(place)
    bucket_bytes, timeout_s = int(settings.bucket_mib * 2**20), settings.timeout_s
    if name == "single":
        from astrohpc.train.engines.single import Single  # noqa: PLC0415

        return Single(device)
    if name == "horovod":
        from astrohpc.train.engines.horovod import Horovod  # noqa: PLC0415

        return Horovod(place, device, bucket_bytes=bucket_bytes, timeout_s=timeout_s)
    if name == "ddp":
        from astrohpc.train.engines.ddp import Ddp  # noqa: PLC0415

        return Ddp(
            place,
            device,
            bucket_bytes=bucket_bytes,
            timeout_s=timeout_s,
            unused_parameters=settings.unused_parameters,
        )
    from torch.distributed.fsdp import MixedPrecisionPolicy  # noqa: PLC0415

    from astrohpc.train.engines.fsdp import Fsdp  # noqa: PLC0415

    policy = MixedPrecisionPolicy(param_dtype=param_dtype, reduce_dtype=torch.float32)
    return Fsdp(place, device, timeout_s=timeout_s, precision=policy if param_dtype else None)
