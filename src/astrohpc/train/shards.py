"""A model that is cut up among ranks, on disk: each rank's parts, and where in the whole they belong.

Reading joins them again, whatever the number of ranks is then; the engine takes from the whole what
each rank is to have.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from astrohpc.train.checkpoint import Content
from astrohpc.train.tensorfile import Unreadable


def is_sharded(model: nn.Module) -> bool:
    """Whether weights lie on several ranks."""
    return any(hasattr(p, "to_local") for p in model.parameters())


def parts_of(
    values: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """This rank's parts, and for each the shape of the whole and where it begins.

    A running mean's parts are plain tensors: they lie where the weight of that name does.
    """
    from torch.distributed.tensor._utils import (  # noqa: PLC0415 - torch has no public name for it
        compute_local_shape_and_global_offset,
    )

    tensors, places = {}, {}
    for name, value in values.items():
        like: Any = value if hasattr(value, "to_local") else weights.get(name)
        own = value.to_local() if hasattr(value, "to_local") else value
        tensors[name] = own
        if not hasattr(like, "to_local") or own.ndim != like.ndim:
            continue  # the same on all ranks: a number of steps, a buffer
        _, offset = compute_local_shape_and_global_offset(
            like.shape, like.device_mesh, like.placements
        )
        places[name] = [list(like.shape), list(offset)]
    return tensors, places


def joined(content: Content, ranks: int) -> Content:
    """The content as if one rank had saved the whole."""
    names = {name.rpartition("-")[0] for name in content.tensors if name.endswith("-00000")}
    tensors: dict[str, Mapping[str, Tensor]] = {}
    for name in content.tensors:
        if name.startswith("rank-"):
            tensors[name] = content.tensors[name]
    for name in names - {"rank"}:
        whole: dict[str, Tensor] = {}
        for rank in range(ranks):
            part = f"{name}-{rank:05d}"
            if part not in content.tensors:
                raise Unreadable(f"{part} is missing")
            for key, value in content.tensors[part].items():
                place = content.plain[part].get(key)
                if place is None:
                    whole[key] = value
                    continue
                shape, offset = place
                if key not in whole:
                    whole[key] = torch.empty(shape, dtype=value.dtype)
                where = tuple(slice(o, o + n) for o, n in zip(offset, value.shape, strict=True))
                whole[key][where] = value
        tensors[name] = whole
    return Content(tensors, content.plain)
