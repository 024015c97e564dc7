"""Arrays on a GPU as kernels see them: a pointer, a shape and a stream, taken from others without a copy.

torch tensors, CuPy arrays and whatever else has ``__cuda_array_interface__`` are read. A kernel goes on
the stream that is current in the array's own library, so that it waits for what was asked for before.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.kernels.build import NoKernel

EXTRA = "install the extra: pip install 'astrohpc[gpu]'"
_LEGACY_STREAM = 0
_ALIGNED = 16


@dataclass(frozen=True)
class Stream:
    """Where and in which order: a GPU, and one of its streams."""

    device: int
    pointer: int


@dataclass(frozen=True)
class Tensor:
    """An array on a GPU. ``steps`` are the elements from one to the next along each axis."""

    name: str
    pointer: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]
    dtype: str
    stream: Stream

    @property
    def distance(self) -> int:
        """Elements from sample to sample; within a sample they must lie closely in their order."""
        close = 1
        for length, step in zip(self.shape[:0:-1], self.steps[:0:-1], strict=True):
            if length > 1 and step != close:
                raise ValueError(
                    f"{self.name}: of shape {self.shape} it has steps {self.steps}, so that a sample does "
                    "not lie closely in memory; make it contiguous first."
                )
            close *= length
        return self.steps[0] if self.shape[0] > 1 else close

    @property
    def argument(self) -> np.uint64:
        """The pointer as a kernel takes it."""
        return np.uint64(self.pointer)


@functools.cache
def cupy() -> Any:
    """CuPy, where it is and sees a GPU."""
    try:
        import cupy as module  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NoKernel(f"there is no package cupy here; {EXTRA}") from error
    if not module.cuda.is_available():
        raise NoKernel(
            "CuPy sees no GPU here; run this where one is, or keep the arrays on the CPU"
        )
    return module


def on_gpu(array: Any) -> bool:
    """Whether an array lies on a GPU; asks the array alone, and imports nothing."""
    if hasattr(array, "data_ptr"):
        return bool(array.is_cuda)
    return hasattr(array, "__cuda_array_interface__")


def tensor(name: str, array: Any) -> Tensor:
    """An array on a GPU by its name, or a ValueError that says what it is instead."""
    if hasattr(array, "data_ptr"):
        found = _of_torch(name, array)
    elif hasattr(array, "__cuda_array_interface__"):
        found = _of_interface(name, array)
    else:
        raise ValueError(f"{name}: {type(array).__name__} is not on a GPU; move it there first.")
    if min(found.shape, default=0) < 1:
        raise ValueError(
            f"{name}: of shape {found.shape} it holds nothing; give it a sample at least."
        )
    return found


def tensors(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    """Arrays that one kernel reads: all of one GPU."""
    found = {name: tensor(name, array) for name, array in arrays.items()}
    first = next(iter(found.values()), None)
    for each in found.values():
        if first is not None and each.stream.device != first.stream.device:
            raise ValueError(
                f"{each.name}: it is on GPU {each.stream.device}, but {first.name} on "
                f"{first.stream.device}; bring both to one."
            )
    return found


def packed(arrays: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.uint8], dict[str, int]]:
    """All arrays in one piece, which is sent to a GPU at once, and where each begins."""
    offsets, end = {}, 0
    for name, array in arrays.items():
        offsets[name] = end
        end += -(-array.nbytes // _ALIGNED) * _ALIGNED
    whole = np.zeros(max(end, 1), np.uint8)
    for name, array in arrays.items():
        bytes_of = array.reshape(-1).view(np.uint8)
        whole[offsets[name] : offsets[name] + array.nbytes] = bytes_of
    return whole, offsets


def _of_torch(name: str, array: Any) -> Tensor:
    if not array.is_cuda:
        raise ValueError(
            f"{name}: the tensor is on {array.device}, not on a GPU; use .cuda() first."
        )
    import torch  # noqa: PLC0415 - an extra, and it is loaded already where there is a tensor

    device = array.device.index
    return Tensor(
        name,
        array.data_ptr(),
        tuple(array.shape),
        tuple(array.stride()),
        str(array.dtype).removeprefix("torch."),
        Stream(device, torch.cuda.current_stream(device).cuda_stream),
    )


def _of_interface(name: str, array: Any) -> Tensor:
    seen = array.__cuda_array_interface__
    dtype = np.dtype(seen["typestr"])
    shape = tuple(seen["shape"])
    close = np.multiply.accumulate([dtype.itemsize, *shape[:0:-1]])[::-1]
    strides = seen.get("strides") or tuple(int(x) for x in close[: len(shape)])
    if any(stride % dtype.itemsize for stride in strides):
        raise ValueError(
            f"{name}: steps of {strides} bytes cut its values; make it contiguous first."
        )
    return Tensor(
        name,
        seen["data"][0],
        shape,
        tuple(stride // dtype.itemsize for stride in strides),
        dtype.name,
        Stream(_device_of(array, seen["data"][0]), seen.get("stream") or _LEGACY_STREAM),
    )


def _device_of(array: Any, pointer: int) -> int:
    """CuPy says it; of other arrays the driver knows by the pointer."""
    device = getattr(getattr(array, "device", None), "id", None)
    if device is None:
        device = cupy().cuda.runtime.pointerGetAttributes(pointer).device
    return int(device)
