"""A model that is cut up among ranks, on disk: each rank's parts, and where in the whole they belong.

Whoever reads takes what he needs, whatever the number of ranks was and is: the whole, or his own rows,
of which he reads no more than those. A model that fits no machine is never put together.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from astrohpc.train.checkpoint import Content
from astrohpc.train.rows import cut_alike, is_cut, local, own_rows
from astrohpc.train.tensorfile import TensorFile

_OPTIMIZER = "optimizer."


def is_sharded(model: nn.Module) -> bool:
    """Whether weights lie on several ranks."""
    return any(is_cut(p) for p in model.parameters())


def parts_of(
    values: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """This rank's parts, and for each the shape of the whole and where it begins.

    A running mean's parts are plain tensors: they lie where the weight of that name does.
    """
    tensors, places = {}, {}
    for name, value in values.items():
        like: Any = value if is_cut(value) else weights.get(name)
        own = local(value)
        tensors[name] = own
        if not is_cut(like) or own.ndim != like.ndim:
            continue  # the same on all ranks: a number of steps, a buffer
        places[name] = [list(like.shape), [own_rows(like).start] + [0] * (like.ndim - 1)]
    return tensors, places


def joined(content: Content, ranks: int, weights: Mapping[str, Tensor]) -> Content:
    """The content as if one rank had saved the whole; cut anew, where our weights are cut."""
    names = {name.rpartition("-")[0] for name in content.tensors if name.endswith("-00000")}
    tensors = {name: one for name, one in content.tensors.items() if name.startswith("rank-")}
    for name in names - {"rank"}:
        files = [f"{name}-{rank:05d}" for rank in range(ranks)]
        tensors[name] = {
            key: _joined(
                key,
                [(content.tensors[file], content.plain[file].get(key)) for file in files],
                weights.get(_weight(key)),
            )
            for key in content.tensors[files[0]]
        }
    return Content(tensors, content.plain)


def _joined(key: str, parts: list[tuple[Mapping[str, Tensor], Any]], like: Tensor | None) -> Tensor:
    """One tensor from what ranks have of it."""
    place = parts[0][1]
    if place is None:
        return parts[0][0][key]
    shape = place[0]
    cut = is_cut(like) and list(like.shape) == shape  # type: ignore[union-attr]
    wanted = own_rows(like) if cut else slice(0, shape[0])
    found = None
    for file, (_, (begins, *_)) in parts:
        assert isinstance(file, TensorFile)
        first, end = max(wanted.start, begins), min(wanted.stop, begins + file.count(key))
        some = file.rows(key, first - begins, end - begins) if first < end else file.rows(key, 0, 0)
        if found is None:
            found = torch.empty((wanted.stop - wanted.start, *shape[1:]), dtype=some.dtype)
        if first < end:
            found[first - wanted.start : end - wanted.start] = some
    assert found is not None
    return cut_alike(found, like) if cut else found


def _weight(key: str) -> str:
    """The weight that a tensor belongs to: of the optimiser's, ``optimizer.state.WEIGHT.exp_avg``."""
    if not key.startswith(_OPTIMIZER):
        return key
    return key.removeprefix(f"{_OPTIMIZER}state.").rpartition(".")[0]
