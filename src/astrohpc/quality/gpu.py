"""Which GPU is a rank's, and a block of fields on it, where their sums have the bits of the processor's."""

import os
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.kernels.build import NoKernel
from astrohpc.kernels.tensors import cupy


def gpu_library() -> Any:
    """CuPy, on a machine with a GPU; ConfigError on another."""
    try:
        return cupy()
    except NoKernel as reason:
        raise ConfigError(
            f"device: cuda was asked for, but {reason}; write check.device=cpu, or ask for a node with a GPU."
        ) from reason


def fields_on_gpu(fields: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Fields as CuPy's arrays on this rank's GPU; ConfigError where there is none."""
    module = gpu_library()
    with module.cuda.Device(own_gpu(module.cuda.runtime.getDeviceCount())):
        return {name: module.asarray(values) for name, values in fields.items()}


def own_gpu(count: int) -> int:
    """The GPU of this rank among those of its node that it sees."""
    for name in ("OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"):
        number = os.environ.get(name, "")
        if number.isdigit():
            return int(number) % count
    return 0
