"""Sums of a block where a GPU is at hand; what is no number is left to the CPU, which names it."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.physics.layout import Layout
from astrohpc.physics.sums import ZonalSums, zonal_sums_torch


def sums_on_gpu(fields: Mapping[str, NDArray[Any]], layout: Layout) -> ZonalSums | None:
    """As :func:`sums_by_torch`, on this rank's GPU; ConfigError where there is none."""
    import torch  # noqa: PLC0415 - only who has a GPU needs it

    if not torch.cuda.is_available():
        raise ConfigError(
            "device: cuda was asked for and torch finds no GPU; write check.device=cpu, or ask for a node "
            "with one."
        )
    return sums_by_torch(fields, layout, f"cuda:{own_gpu(torch.cuda.device_count())}")


def own_gpu(count: int) -> int:
    """The GPU of this rank among those of its node that it sees."""
    for name in ("OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"):
        number = os.environ.get(name, "")
        if number.isdigit():
            return int(number) % count
    return 0


def sums_by_torch(
    fields: Mapping[str, NDArray[Any]], layout: Layout, device: str
) -> ZonalSums | None:
    """Float64 sums on a device of torch's; None where a value is no number."""
    import torch  # noqa: PLC0415

    there = {name: torch.from_numpy(values).to(device) for name, values in fields.items()}
    made = zonal_sums_torch(there, layout)
    arrays = [one.cpu().numpy() for one in vars(made).values()]
    return ZonalSums(*arrays) if np.isfinite(arrays[0]).all() else None
