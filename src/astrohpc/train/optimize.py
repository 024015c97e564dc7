"""The optimiser that settings name, and what is done to a model's blocks before it is trained."""

import functools
from collections.abc import Callable

import torch
from torch import nn
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

    What is compiled is the block with its recomputing, which the compiler then knows of.
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
    every = {"none": 0, "every_second": 2, "all": 1}[settings.recompute]
    for number, block in enumerate(blocks):
        if settings.compile:
            block.compile()
        if every and number % every == 0:
            block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
