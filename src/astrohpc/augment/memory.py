"""Batches as arrays that kernels read and write: numpy's and torch's on the CPU, without a copy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.physics.layout import Layout

Planes = NDArray[Any]


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
    array = stored(batch, name)
    samples, times = shape[0], shape[1] if len(shape) == 5 else 1
    return array.reshape(samples, times, wanted[0], wanted[1] * wanted[2])


def check_kind(batch: Any, name: str) -> None:
    """ConfigError where this is neither numpy's nor torch's."""
    if not isinstance(batch, np.ndarray) and not hasattr(batch, "data_ptr"):
        raise ConfigError(
            f"{name}: is a {type(batch).__name__}; give an array of numpy or a tensor of torch."
        )


def stored(batch: Any, name: str) -> Planes:
    """The memory of float32, or of bfloat16 as 16 bits, all in one piece."""
    check_kind(batch, name)
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


def as_floats(values: Planes) -> NDArray[np.float32]:
    """A copy of stored values as float32."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)


def _lent(batch: Planes) -> Planes:
    """The same memory without its mark of being read only, for which kernels would be compiled anew.

    Kernels read a batch and write to ``out`` alone, which :func:`planes_to_fill` checks.
    """

    return np.asarray(_Lent(batch))


class _Lent:
    """What numpy makes an array of; it keeps the owner of the memory alive."""

    def __init__(self, batch: Planes) -> None:
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


def _array(batch: Any, name: str) -> Planes:
    if isinstance(batch, np.ndarray):
        if batch.dtype != np.float32:
            raise ConfigError(f"{name}: holds {batch.dtype}; give float32.")
        return batch if batch.flags.writeable else _lent(batch)
    import torch  # noqa: PLC0415

    if batch.device.type != "cpu":
        raise ConfigError(
            f"{name}: lies on {batch.device}, where this chain does not reach; bring it to the CPU."
        )
    if batch.requires_grad:
        raise ConfigError(
            f"{name}: gradients do not pass through augmentation; call detach() first."
        )
    if batch.dtype == torch.bfloat16 and batch.is_contiguous():
        found: Planes = batch.view(torch.uint16).numpy()
        return found
    if batch.dtype not in (torch.float32, torch.bfloat16):
        raise ConfigError(f"{name}: holds {batch.dtype}; give float32 or bfloat16.")
    if not batch.is_contiguous():
        raise ConfigError(
            f"{name}: its values do not follow one another in memory; call contiguous() first."
        )
    values: Planes = batch.numpy()
    return values
