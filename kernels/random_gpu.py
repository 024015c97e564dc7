"""Random numbers on a GPU by numba-cuda: the numbers of :mod:`.random`, from the same statements.

A small kernel needs no C++: it is Python here, and its formulas are the ones that processors use. It runs
in CUDA's simulator too (``NUMBA_ENABLE_CUDASIM=1``), thread after thread.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import cuda as numba_cuda
from numpy.typing import ArrayLike

from astrohpc.kernels.formulas import normals4, uniforms4
from astrohpc.kernels.random import checked
from astrohpc.kernels.statement import device, u32
from astrohpc.kernels.tensors import tensor

cuda: Any = numba_cuda  # by this name the simulator finds what it has to replace
_THREADS = 128
_MOST_BLOCKS = 65535  # of a grid along its second and third axis


def fill_normals(out: Any, seed: int, operation: int, samples: ArrayLike) -> None:
    """Fill ``out`` [sample, *shape], float32 on a GPU, on its stream: the numbers of ``normals``."""
    _fill(normals4, out, seed, operation, samples)


def fill_uniforms(out: Any, seed: int, operation: int, samples: ArrayLike) -> None:
    """As :func:`fill_normals`, the numbers of ``uniforms``."""
    _fill(uniforms4, out, seed, operation, samples)


def _fill(
    four: Callable[..., Any], out: Any, seed: int, operation: int, samples: ArrayLike
) -> None:
    numbers, channels, cells = checked(seed, operation, samples, out.shape[1:])
    shape = len(numbers), channels, cells
    if out.shape[0] != len(numbers):
        raise ValueError(
            f"out: has {out.shape[0]} samples for {len(numbers)}; give it one for each."
        )
    words = np.uint32(seed), np.uint32(operation)
    if isinstance(out, np.ndarray):  # the simulator's arrays
        kernel(four)[grid(*shape), _THREADS](out.reshape(shape), numbers, *words)
        return
    held = tensor("out", out)
    if held.dtype != "float32" or held.distance != channels * cells:
        raise ValueError(f"out: is {held.dtype} with steps {held.steps}; give close float32.")
    on = cuda.external_stream(held.stream.pointer) if held.stream.pointer else 0
    with cuda.gpus[held.stream.device]:
        view = cuda.as_cuda_array(out, sync=False).reshape(shape)
        kernel(four)[grid(*shape), _THREADS, on](view, cuda.to_device(numbers, stream=on), *words)


def grid(samples: int, channels: int, cells: int) -> Sequence[int]:
    """Blocks: cells, blocks of four channels, samples; threads go on where a grid ends."""
    return (
        -(-cells // _THREADS),
        min(-(-channels // 4), _MOST_BLOCKS),
        min(samples, _MOST_BLOCKS),
    )


@functools.cache
def kernel(four: Callable[..., Any]) -> Any:
    """The kernel that writes what a statement of four numbers gives."""
    (draw,) = device(four)

    def fill(out: Any, samples: Any, seed: Any, operation: Any) -> None:
        cell = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if cell >= out.shape[2]:
            return
        for at in range(cuda.blockIdx.z, out.shape[0], cuda.gridDim.z):
            low, high = u32(samples[at]), u32(samples[at] >> 32)
            for block in range(cuda.blockIdx.y, (out.shape[1] + 3) // 4, cuda.gridDim.y):
                n0, n1, n2, n3 = draw(u32(cell), u32(block), low, high, seed, operation)
                channel = 4 * block
                out[at, channel, cell] = n0
                if channel + 1 < out.shape[1]:
                    out[at, channel + 1, cell] = n1
                if channel + 2 < out.shape[1]:
                    out[at, channel + 2, cell] = n2
                if channel + 3 < out.shape[1]:
                    out[at, channel + 3, cell] = n3

    return cuda.jit(fill)
