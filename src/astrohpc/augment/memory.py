"""Batches as arrays that kernels read and write, without a copy: numpy's, and torch's on a CPU or a GPU."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.kernels.tensors import on_gpu
from astrohpc.physics.layout import Layout


@dataclass(frozen=True, eq=False)
class OnGpu:
    """A batch on a GPU, seen as the array [B, T, C, J * I] that it would be on the CPU.

    What is picked out of it comes to the CPU: surface pressure, or the place of a bad value.
    """

    tensor: Any  # [B, T, C, J, I]

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples, times, channels, cells."""
        *outer, rows, columns = (int(n) for n in self.tensor.shape)
        return (*outer, rows * columns)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array: bfloat16 are 16 bits."""
        return np.dtype(np.float32 if self.tensor.element_size() == 4 else np.uint16)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: Any) -> NDArray[Any]:
        import torch  # noqa: PLC0415 - it is loaded where there is a tensor

        found = self.tensor.flatten(-2)[part].contiguous()
        found = found.view(torch.uint16) if self.dtype == np.uint16 else found
        array: NDArray[Any] = found.cpu().numpy()
        return array


Planes = NDArray[Any] | OnGpu


def share_memory(one: Planes, other: Planes) -> bool:
    """Whether a byte may belong to both."""
    if isinstance(one, OnGpu) and isinstance(other, OnGpu):
        starts = one.tensor.data_ptr(), other.tensor.data_ptr()
        sizes = one.tensor.nbytes, other.tensor.nbytes
        same = one.tensor.device == other.tensor.device
        return bool(same and starts[0] < starts[1] + sizes[1] and starts[1] < starts[0] + sizes[0])
    if isinstance(one, OnGpu) or isinstance(other, OnGpu):
        return False
    return np.may_share_memory(one, other)


def planes_of(batch: Any, layout: Layout, name: str) -> Planes:
    """A view [B, T, C, J * I] of float32, or of bfloat16 as 16 bits, of [B, T, C, J, I] or [B, C, J, I]."""
    check_kind(batch, name)
    shape = tuple(int(n) for n in batch.shape)
    wanted = (layout.channels, *layout.grid.shape)
    if len(shape) not in (4, 5) or shape[-3:] != wanted:
        raise ConfigError(
            f"{name}: has shape {shape} where (sample, channel, lat, lon) or (sample, time, channel, lat, "
            f"lon) must end in {wanted}; give fields of this layout, on its grid."
        )
    samples, times = shape[0], shape[1] if len(shape) == 5 else 1
    if on_gpu(batch):
        check_tensor(batch, name)
        return OnGpu(batch.reshape(samples, times, *wanted))
    return stored(batch, name).reshape(samples, times, wanted[0], wanted[1] * wanted[2])


def check_kind(batch: Any, name: str) -> None:
    """ConfigError where this is neither numpy's nor torch's."""
    if not isinstance(batch, np.ndarray) and not hasattr(batch, "data_ptr"):
        raise ConfigError(
            f"{name}: is a {type(batch).__name__}; give an array of numpy or a tensor of torch."
        )


def stored(batch: Any, name: str) -> NDArray[Any]:
    """The processor's memory of float32, or of bfloat16 as 16 bits, all in one piece."""
    check_kind(batch, name)
    if not isinstance(batch, np.ndarray) and batch.device.type != "cpu":
        raise ConfigError(
            f"{name}: lies on {batch.device}, where this does not reach; bring it to the CPU."
        )
    array = _array(batch, name)
    if not array.flags.c_contiguous:
        raise ConfigError(
            f"{name}: its values do not follow one another in memory; call contiguous() first."
        )
    return array


def like(batch: Any) -> Any:
    """An array or tensor as this one is, with nothing in it yet."""
    if isinstance(batch, np.ndarray):
        return np.empty_like(batch)
    import torch  # noqa: PLC0415 - only who has tensors has torch

    return torch.empty_like(batch, requires_grad=False)


def as_floats(values: NDArray[Any]) -> NDArray[np.float32]:
    """A copy of stored values as float32."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)


def _lent(batch: NDArray[Any]) -> NDArray[Any]:
    """The same memory without its mark of being read only, for which kernels would be compiled anew.

    Kernels read a batch and write to ``out`` alone, which :func:`planes_to_fill` checks.
    """
    return np.asarray(_Lent(batch))


class _Lent:
    """What numpy makes an array of; it keeps the owner of the memory alive."""

    def __init__(self, batch: NDArray[Any]) -> None:
        self.owner = batch
        interface = batch.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def planes_to_fill(out: Any, layout: Layout) -> Planes:
    """As :func:`planes_of`, of what may be written to."""
    check_writable(out)
    return planes_of(out, layout, "out")


def check_writable(out: Any) -> None:
    """ConfigError where nothing may be written."""
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ConfigError("out: is marked as read only; give an array that may be written to.")


def _array(batch: Any, name: str) -> NDArray[Any]:
    if isinstance(batch, np.ndarray):
        if batch.dtype != np.float32:
            raise ConfigError(f"{name}: holds {batch.dtype}; give float32.")
        return batch if batch.flags.writeable else _lent(batch)
    import torch  # noqa: PLC0415

    if batch.device.type != "cpu":
        raise ConfigError(
            f"{name}: lies on {batch.device}, where no chain reaches; bring it to the CPU or an NVIDIA GPU."
        )
    check_tensor(batch, name)
    values: NDArray[Any] = (
        batch.view(torch.uint16) if batch.dtype == torch.bfloat16 else batch
    ).numpy()
    return values


def check_tensor(batch: Any, name: str) -> None:
    """ConfigError where a tensor is not close memory of float32 or bfloat16."""
    import torch  # noqa: PLC0415

    if batch.requires_grad:
        raise ConfigError(
            f"{name}: gradients do not pass through augmentation; call detach() first."
        )
    if batch.dtype not in (torch.float32, torch.bfloat16):
        raise ConfigError(f"{name}: holds {batch.dtype}; give float32 or bfloat16.")
    if not batch.is_contiguous():
        raise ConfigError(
            f"{name}: its values do not follow one another in memory; call contiguous() first."
        )
