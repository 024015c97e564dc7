"""The optimiser that settings name, and what is done to a model's blocks before it is trained."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.checkpoint import checkpoint

from astrohpc.errors import ConfigError
from astrohpc.train.settings import OptimizerSettings, TrainSettings

FUSED_ON = ("cpu", "cuda")


def make_optimizer(
    model: nn.Module, settings: OptimizerSettings, device: torch.device
) -> Optimizer:
    """Matrices are decayed; biases, norms and other vectors are not."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = device.type in FUSED_ON if settings.fused is None else settings.fused
    if settings.name == "sgd":
        return torch.optim.SGD(groups, settings.lr, momentum=settings.momentum, fused=fused)
    make: Callable[..., Optimizer] = (
        torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    )
    return make(groups, settings.lr, betas=tuple(settings.betas), eps=settings.eps, fused=fused)


def takes_flag(optimizer: Optimizer) -> bool:
    """Whether a step can be left out on the device itself, by a flag that nobody waits for."""
    whole = [p for group in optimizer.param_groups for p in group["params"]]
    plain = not any(hasattr(p, "to_local") for p in whole)
    return plain and all(group.get("fused") for group in optimizer.param_groups)


def prepare_blocks(model: nn.Module, settings: TrainSettings) -> None:
    """Recompute activations and compile, block by block, without changing the names of weights.

    What is recomputed is the compiled block. The other way round torch leaves all of it uncompiled, and
    says nothing.
    """
    if settings.recompute == "none" and not settings.compile:
        return
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, nn.ModuleList):
        wish = "compile" if settings.compile else "recompute"
        raise ConfigError(
            f"{wish}: {type(model).__name__} has no list of blocks to do that with; write "
            f"{'compile=false' if settings.compile else 'recompute=none'}."
        )
    if settings.compile:
        _need_compiler()
    every = {"none": 0, "every_second": 2, "all": 1}[settings.recompute]
    for number, block in enumerate(blocks):
        forward: Callable[..., Tensor] = block.forward
        if settings.compile:
            forward = torch.compile(forward)
        if every and number % every == 0:
            forward = functools.partial(checkpoint, forward, use_reentrant=False)
        block.forward = forward


def _need_compiler() -> None:
    """Say before the first step what torch would say in the middle of it."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # noqa: PLC0415 - slow to import
    from torch._inductor.exc import InvalidCxxCompiler  # noqa: PLC0415

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        raise ConfigError(
            "compile: torch finds no C++ compiler, with which it compiles; install g++ or set CXX, or "
            "write compile=false."
        ) from None
