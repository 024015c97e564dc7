"""Which rows of a weight a rank has, where the model is cut up: FSDP2 cuts along the first axis."""

from typing import Any

from torch import Tensor


def is_cut(weight: Any) -> bool:
    """Whether a tensor lies on several ranks."""
    return hasattr(weight, "to_local")


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor; one that is whole, itself."""
    part = getattr(tensor, "to_local", None)
    return part() if part is not None else tensor


def own_rows(weight: Any) -> slice:
    """This rank's rows: all of them, if the weight is whole."""
    if not is_cut(weight):
        return slice(0, len(weight))
    from torch.distributed.tensor._utils import (  # noqa: PLC0415 - torch has no public name for it
        compute_local_shape_and_global_offset,
    )

    shape, offset = compute_local_shape_and_global_offset(
        weight.shape, weight.device_mesh, weight.placements
    )
    return slice(offset[0], offset[0] + shape[0])


def cut_alike(rows: Tensor, weight: Any) -> Tensor:
    """This rank's rows of something that is cut as a weight is: its running mean, its moments."""
    from torch.distributed.tensor import DTensor  # noqa: PLC0415 - slow to import

    return DTensor.from_local(
        rows.to(weight.device),
        weight.device_mesh,
        weight.placements,
        shape=weight.shape,
        stride=weight.stride(),
    )
