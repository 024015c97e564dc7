"""Arrays of every kind, and files that hold them as HDF5 and classic NetCDF do."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astrohpc.kernels.build import NoKernel
from astrohpc.kernels.native import Kernel, load


def kernel_or_skip() -> Kernel:
    """The kernel, or a skip that says why there is none."""
    try:
        return load()
    except NoKernel as reason:
        pytest.skip(f"no C kernel here: {reason}")


def smooth(dtype: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Values that wander, so that high bits compress and low ones do not."""
    draw = np.random.default_rng(seed)
    steps = np.cumsum(draw.normal(size=int(np.prod(shape)))) * (3 if dtype[-2] in "iu" else 1)
    return steps.astype("i8" if dtype[-2] in "iu" else "f8").astype(dtype).reshape(shape)


@dataclass(frozen=True)
class Stored:
    """Chunks in a file: what ``write_direct`` is given of them, and their bytes as inflated."""

    files: list[int]
    pieces: np.ndarray
    inflated: list[bytes]


@contextmanager
def stored(
    path: Path, chunks: list[np.ndarray | None], *, deflate: bool, shuffle: bool, gap: int = 0
) -> Iterator[Stored]:
    """Write chunks as a source file would hold them, None being one that was never written."""
    rows, inflated, content = [], [], b""
    for chunk in chunks:
        if chunk is None:
            rows.append((0, -1, 0))
            inflated.append(b"")
            continue
        data = chunk.tobytes()
        if shuffle:
            data = np.frombuffer(data, "u1").reshape(-1, chunk.dtype.itemsize).T.tobytes()
        inflated.append(data)
        data = zlib.compress(data, 4) if deflate else data
        rows.append((0, len(content), len(data)))
        content += data + bytes(gap)
    path.write_bytes(content)
    file = os.open(path, os.O_RDONLY)
    try:
        yield Stored([file], np.array(rows, np.int64).reshape(-1, 3), inflated)
    finally:
        os.close(file)


def same_bits(one: Any, other: Any) -> bool:
    """Equal in type, shape and every bit, NaNs too."""
    one, other = np.asarray(one), np.asarray(other)
    return (
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    )
