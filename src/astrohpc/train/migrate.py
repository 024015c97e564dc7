"""Bringing old checkpoints to today's version: one numbered function a change, never edited afterwards.

Each takes tensors by file and what JSON says by file, as its version had them, and returns those of
the next version.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

Tensors = dict[str, Mapping[str, torch.Tensor]]
Plain = dict[str, Any]


def _to_2(tensors: Tensors, plain: Plain) -> tuple[Tensors, Plain]:
    """Version 1 called the running mean ``ema`` and did not say how many steps it has seen: all."""
    if "ema" in tensors:
        tensors["mean"] = tensors.pop("ema")
    if "loop" in plain:
        plain["loop"]["mean_steps"] = plain["loop"]["step"]
    return tensors, plain


MIGRATIONS: Mapping[int, Callable[[Tensors, Plain], tuple[Tensors, Plain]]] = {1: _to_2}
VERSION = 1 + max(MIGRATIONS)


def migrate(version: int, tensors: Tensors, plain: Plain) -> tuple[Tensors, Plain]:
    """The content of a checkpoint of ``version`` as today's version would have it."""
    for number in range(version, VERSION):
        tensors, plain = MIGRATIONS[number](tensors, plain)
    return tensors, plain
