"""The values that weights begin with: a function of seed, name and place in the whole tensor.

They are the same for any engine, number of ranks and device, so a model that fits no device whole is
made without memory (on torch's meta device), cut up, and given its values part by part.
"""

import hashlib
import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from astrohpc.errors import ConfigError
from astrohpc.train.rows import local, own_rows

_AT_ONCE = 2**16  # numbers drawn together: as many whole rows as fit, or one


def begin(model: nn.Module, seed: int, spreads: Mapping[str, float]) -> None:
    """Give every parameter its first value; of one that is cut up, this rank's part.

    Matrices are normal, of the spread given by name or else of that which torch gives a linear layer.
    Scales of norms are one and biases zero.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            own = local(parameter)
            if parameter.ndim < 2:
                own.fill_(1.0 if name.rpartition(".")[2] == "weight" else 0.0)
                continue
            taken_in = parameter.shape[1:].numel()
            spread = spreads.get(name, 1.0 / math.sqrt(3 * taken_in))
            _draw(
                own,
                own_rows(parameter).start,
                hashlib.sha256(f"{seed} {name}".encode()).digest(),
                spread,
            )


def make_room(model: nn.Module, device: torch.device) -> None:
    """Memory for weights that have none yet; what has values keeps them. All come to the device."""
    for name, buffer in model.named_buffers():
        if buffer.is_meta:
            raise ConfigError(
                f"model: its buffer {name} has no value, for buffers are not drawn; make it on the CPU."
            )
    # As to_empty, which would also forget what has values.
    model._apply(lambda t: torch.empty_like(t, device=device) if t.is_meta else t.to(device))  # type: ignore[no-untyped-call]


def _draw(own: Tensor, first: int, key: bytes, spread: float) -> None:
    """Rows from ``first`` on of a normal matrix, drawn on the host in blocks that everybody cuts alike."""
    width = own[0].numel() if len(own) else 0
    if not width:
        return
    rows = max(1, _AT_ONCE // width)
    end = first + len(own)
    words = np.frombuffer(key[:16], np.uint64)
    for block in range(first // rows, -(-end // rows)):
        draw = np.random.Generator(np.random.Philox(key=words, counter=[0, 0, 0, block]))
        begins = block * rows
        low, high = max(first, begins), min(end, begins + rows)
        # Up to our last row only: the numbers of a block do not depend on how many are drawn.
        values = draw.standard_normal((high - begins, width), dtype=np.float32)[low - begins :]
        part = own[low - first : high - first]
        part.copy_(torch.from_numpy(values * np.float32(spread)).view(part.shape))
