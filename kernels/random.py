"""Random numbers by counter: what is drawn depends on seed, operation, sample, channel and cell alone.

Philox4x32-10 (Salmon et al. 2011) makes four words of a counter and a key. Here the key is (seed,
operation), and the counter is (cell, channel // 4, sample's low word, its high word), each of the four
words going to one of four neighbouring channels. So the same numbers come of any number of threads and
ranks, any split of samples, and any machine.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrohpc.kernels.formulas import normals4, uniforms4
from astrohpc.kernels.statement import twin, u32

Array = NDArray[np.float32]


def uniforms(
    seed: int, operation: int, samples: ArrayLike, shape: Sequence[int], threads: int = 1
) -> Array:
    """Numbers between 0 and 1, without the ends, for each sample: ``[sample, *shape]``.

    Of ``shape`` the last two axes (or the one) are cells, those before them channels.
    """
    return _filled(fill_uniforms, seed, operation, samples, shape, threads)


def normals(
    seed: int, operation: int, samples: ArrayLike, shape: Sequence[int], threads: int = 1
) -> Array:
    """Normal numbers of mean 0 and variance 1, as :func:`uniforms` gives uniform ones."""
    return _filled(fill_normals, seed, operation, samples, shape, threads)


def checked(
    seed: int, operation: int, samples: ArrayLike, shape: Sequence[int]
) -> tuple[NDArray[np.int64], int, int]:
    """Sample numbers, channels and cells, if counter and key can hold them all."""
    for name, word in (("seed", seed), ("operation", operation)):
        if not 0 <= word < 2**32:
            raise ValueError(f"{name}: {word} is not in 0..2^32-1; choose one that is.")
    numbers = np.asarray(samples)
    if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer) or (numbers < 0).any():
        raise ValueError(
            "samples: they are not a list of whole numbers from 0 on; give such a list."
        )
    if not shape or min(shape) < 1:
        raise ValueError(f"shape: {tuple(shape)} has no cells; give every axis a length.")
    cells, channels = math.prod(shape[-2:]), math.prod(shape[:-2])
    if cells >= 2**32:
        raise ValueError(f"shape: {cells} cells do not fit a counter of 32 bits; split the grid.")
    return numbers.astype(np.int64), channels, cells


def _filled(
    fill: Callable[..., None],
    seed: int,
    operation: int,
    samples: ArrayLike,
    shape: Sequence[int],
    threads: int,
) -> Array:
    numbers, channels, cells = checked(seed, operation, samples, shape)
    out = np.empty((len(numbers), channels, cells), np.float32)
    parts = len(numbers) * -(-channels // 4)
    ends = np.linspace(0, parts, threads + 1).astype(np.int64)

    def part(first: int, last: int) -> None:
        fill(out, numbers, np.uint32(seed), np.uint32(operation), first, last)

    if threads == 1:
        part(0, parts)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, ends[:-1], ends[1:]))
    return out.reshape(len(numbers), *shape)


@twin
def rows(out: Array, channel: int, spare: Array) -> tuple[Array, Array, Array, Array]:
    """Four channels from this one on; ``spare`` takes what goes to channels that are not there."""
    left = len(out) - channel
    return (
        out[channel],
        out[channel + 1] if left > 1 else spare,
        out[channel + 2] if left > 2 else spare,
        out[channel + 3] if left > 3 else spare,
    )


@twin
def fill_normals(
    out: Array, samples: NDArray[np.int64], seed: Any, operation: Any, first: int, last: int
) -> None:
    """The parts ``first`` to ``last`` of [sample, channel, cell]; a part is four channels of a sample."""
    n_blocks = (out.shape[1] + 3) // 4
    spare = np.empty(out.shape[2], np.float32)
    for part in range(first, last):
        at, block = part // n_blocks, part % n_blocks
        r0, r1, r2, r3 = rows(out[at], 4 * block, spare)
        low, high = u32(samples[at]), u32(samples[at] >> 32)
        for cell in range(out.shape[2]):
            r0[cell], r1[cell], r2[cell], r3[cell] = normals4(
                u32(cell), u32(block), low, high, seed, operation
            )


@twin
def fill_uniforms(
    out: Array, samples: NDArray[np.int64], seed: Any, operation: Any, first: int, last: int
) -> None:
    """As :func:`fill_normals`."""
    n_blocks = (out.shape[1] + 3) // 4
    spare = np.empty(out.shape[2], np.float32)
    for part in range(first, last):
        at, block = part // n_blocks, part % n_blocks
        r0, r1, r2, r3 = rows(out[at], 4 * block, spare)
        low, high = u32(samples[at]), u32(samples[at] >> 32)
        for cell in range(out.shape[2]):
            r0[cell], r1[cell], r2[cell], r3[cell] = uniforms4(
                u32(cell), u32(block), low, high, seed, operation
            )
