"""Random states: set from one seed, saved, put back; and the deterministic mode.

What augmentation draws is counted (Philox: seed, operation and sample decide each number), so that
nothing of it needs to be saved but the seed, which is a setting.
"""

import contextlib
import os
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch


def seed_all(seed: int, step: int, rank: int) -> None:
    """Begin all random states anew, other ones for each rank, and the same whenever asked for."""
    words = np.random.SeedSequence([seed, step, rank]).generate_state(3, np.uint64)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]) % 2**32)
    torch.manual_seed(int(words[2]) % 2**63)


def states(device: torch.device) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """All random states of this process: tensors, and what JSON can say."""
    kind, words, *rest = np.random.get_state()
    version, numbers, gauss = random.getstate()
    tensors = {
        "torch": torch.get_rng_state(),
        "numpy": torch.from_numpy(np.asarray(words).astype(np.int64)),
        "python": torch.tensor(numbers, dtype=torch.int64),
    }
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    return tensors, {"numpy": [str(kind), *rest], "python": [version, gauss]}


def restore(
    device: torch.device, tensors: Mapping[str, torch.Tensor], plain: Mapping[str, Any]
) -> None:
    """Put saved states back."""
    torch.set_rng_state(tensors["torch"])
    kind, *rest = plain["numpy"]
    np.random.set_state((kind, tensors["numpy"].numpy().astype(np.uint32), *rest))
    version, gauss = plain["python"]
    random.setstate((version, tuple(tensors["python"].tolist()), gauss))
    if device.type == "cuda" and "cuda" in tensors:
        torch.cuda.set_rng_state(tensors["cuda"], device)


@contextlib.contextmanager
def untouched(device: torch.device) -> Iterator[None]:
    """Whatever is drawn within is as if it had not been."""
    before = states(device)
    try:
        yield
    finally:
        restore(device, *before)


def make_deterministic() -> None:
    """Only algorithms with one result; an operation that has none raises and names itself."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
