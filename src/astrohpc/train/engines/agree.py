"""What all ranks must have alike, proved before the first step, and weights, proved while training."""

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from astrohpc.train.engines.failures import AllRefuse

_PIECE = 1 << 20  # elements hashed at once: 8 MiB of int64
_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def model_digest(model: nn.Module) -> str:
    """Names, shapes, types and whether they are trained, of all parameters and buffers."""
    words = [
        f"{name} {tuple(value.shape)} {value.dtype} {value.requires_grad}"
        for name, value in (*model.named_parameters(), *model.named_buffers())
    ]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def must_agree(found: Sequence[Mapping[str, str]]) -> None:
    """Refuse ranks that differ; ``found`` is what each rank has, so that all of them refuse."""
    for name in found[0]:
        values = [one.get(name) for one in found]
        if len(set(values)) > 1:
            other = next(r for r, value in enumerate(values) if value != values[0])
            raise AllRefuse(
                f"{name}: rank {other} has {_short(values[other])} and rank 0 {_short(values[0])}; "
                f"start all ranks with the same {name}."
            )


def _short(value: str | None) -> str:
    return "none" if value is None else value[:12]


def bits_hash(values: Tensor, first: int = 0) -> Tensor:
    """A 64-bit hash of a tensor's bits, an int64 of shape (): sum of element × odd number of its place.

    A single element that differs always changes it, for an odd number has an inverse modulo 2^64.
    Pieces add up: ``first`` is the place of the first element in the whole tensor.
    """
    words = values.detach().reshape(-1)
    if words.dtype == torch.bool:
        words = words.to(torch.uint8)
    if words.is_complex():
        words, first = torch.view_as_real(words).reshape(-1), 2 * first
    words = words.view(_WORDS[words.element_size()])
    total = torch.zeros((), dtype=torch.int64, device=words.device)
    for start in range(0, len(words), _PIECE):
        piece = words[start : start + _PIECE].to(torch.int64)
        place = torch.arange(start + first, start + first + len(piece), device=words.device)
        total += (piece * (2 * place + 1)).sum()  # wraps around at 2^64
    return total


def combine(hashes: Iterable[int]) -> str:
    """One word of 16 hexadecimal digits for the hashes of all tensors, in their order."""
    return hashlib.sha256(b"".join(struct.pack("<q", one) for one in hashes)).hexdigest()[:16]
