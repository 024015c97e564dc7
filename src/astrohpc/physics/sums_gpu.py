"""Zonal sums of fields that lie on a GPU: the bits of those of a processor, in one read there."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.kernels.tensors import cupy, tensor, tensors
from astrohpc.kernels.zonal_gpu import zonal_gpu
from astrohpc.physics.layout import Layout


def row_sums(
    fields: Mapping[str, Any], layout: Layout
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The sums [6, S, n, J] and first bad columns [S, n, J], brought to the processor.

    Kernels go on the stream that is current in the library of the fields; this waits for them.
    """
    missing = [block.name for block in layout if block.name not in fields]
    if missing:
        raise ConfigError(f"{missing[0]}: the layout has it, the fields have not; give it.")
    try:
        held = tensors({block.name: fields[block.name] for block in layout})
        first = next(iter(held.values()))
        samples, rows = first.shape[0], layout.grid.shape[0]
        module = cupy()
        on = first.stream
        with module.cuda.Device(on.device), module.cuda.ExternalStream(on.pointer):
            made = module.empty((6, samples, layout.channels, rows), np.float64)
            bad = module.empty((samples, layout.channels, rows), np.int32)
            into = tensor("sums", made), tensor("bad", bad)
            for block in layout:
                channel = layout.slice(block.name).start
                zonal_gpu(held[block.name], held.get("ps"), block.channels, channel, *into)
            return made.get(), bad.get()
    except ValueError as error:
        raise ConfigError(str(error)) from error
