"""Gradients in flat, contiguous buckets that are reduced while backward still runs.

Horovod's own optimiser sends each gradient for itself and fuses what happens to be ready together,
so its sums come in another order each time. Here the order is that of the parameters, from the last
to the first, as backward makes them; a bucket is one tensor with one name, and is sent when its last
gradient has come. Which bucket is sent when may differ from rank to rank and from run to run; what
is in it does not.

    bucket | gradient | 0 | gradient | 0 | … | used, used, …

At its end a bucket has a number for each parameter, 1 where this rank used it. After the sum, 0 says
that no rank did: such a parameter keeps ``grad=None``, and no weight decay moves it, as in one
process.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from astrohpc.errors import ConfigError

Send = Callable[[str, Tensor], Any]  # name and tensor → handle of a sum in place
Wait = Callable[[Any], None]

_ALIGN = 64  # bytes; kernels that work on many tensors at once want aligned ones
# A small model has two buckets too, so that one travels while backward runs; but none smaller than
# this, which would cost more than it carries.
_BUCKETS, _LEAST_BYTES = 2, 1 << 18


@dataclass
class _Slot:
    """One parameter's place in its bucket."""

    name: str
    parameter: nn.Parameter
    view: Tensor  # of the parameter's shape and memory format
    number: int


@dataclass
class _Bucket:
    """One tensor on its way between ranks."""

    name: str
    flat: Tensor
    used: Tensor
    slots: list[_Slot]
    arrived: set[int] = field(default_factory=set)
    handle: Any = None


class GradientBuckets:
    """Buckets of a model's trained parameters, filled by hooks that each fire once a step."""

    def __init__(
        self,
        parameters: Sequence[tuple[str, nn.Parameter]],
        bucket_bytes: int,
        send: Send,
        wait: Wait,
    ) -> None:
        self.filling = False  # whether this backward is the step's last
        self._send, self._wait = send, wait
        trained = [(name, p) for name, p in reversed(parameters) if p.requires_grad]
        self.buckets = [
            _allocate(number, group) for number, group in enumerate(_grouped(trained, bucket_bytes))
        ]
        for bucket in self.buckets:
            for slot in bucket.slots:
                arrive = functools.partial(self._arrive, bucket, slot)
                slot.parameter.register_post_accumulate_grad_hook(arrive)  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """Send what backward left, wait for all, and let ``.grad`` be the sum over ranks."""
        self.filling = False
        for bucket in self.buckets:
            if bucket.handle is None:
                self._launch(bucket)
        for bucket in self.buckets:
            self._wait(bucket.handle)
            self._hand_back(bucket)
            bucket.handle = None
            bucket.arrived.clear()

    def _arrive(self, bucket: _Bucket, slot: _Slot, _: Tensor) -> None:
        if not self.filling:
            return
        if slot.number in bucket.arrived:
            raise ConfigError(
                f"{slot.name}: it got gradients from two backwards of one micro-batch; "
                "put the first under accumulate(last=False)."
            )
        bucket.arrived.add(slot.number)
        if len(bucket.arrived) == len(bucket.slots):
            self._launch(bucket)

    def _launch(self, bucket: _Bucket) -> None:
        """Copy the gradients into the bucket and send it.

        All at once, for 400 small copies cost more than what they copy. A gradient of the bucket's
        own type lives on as its view, so that nothing is copied back.
        """
        views, gradients = [], []
        bucket.used.fill_(1.0)
        for slot in bucket.slots:
            gradient = slot.parameter.grad
            if gradient is None:
                slot.view.zero_()
                bucket.used[slot.number] = 0.0
            elif gradient is not slot.view:
                if gradient.is_sparse:
                    raise ConfigError(
                        f"{slot.name}: its gradient is sparse; make its layer with sparse=False."
                    )
                views.append(slot.view)
                gradients.append(gradient)
                if gradient.dtype == slot.view.dtype:
                    slot.parameter.grad = slot.view
        if views:
            torch._foreach_copy_(views, gradients)
        bucket.handle = self._send(bucket.name, bucket.flat)

    def _hand_back(self, bucket: _Bucket) -> None:
        for slot in bucket.slots:
            gradient = slot.parameter.grad
            if gradient is None:
                if bucket.used[slot.number].item() != 0.0:  # by another rank
                    slot.parameter.grad = slot.view.to(slot.parameter.dtype)
            elif gradient is not slot.view:  # of a type that is not reduced, as bfloat16
                gradient.copy_(slot.view)


def _reduced_as(dtype: torch.dtype) -> torch.dtype:
    """Sums are made in float32 at least."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _grouped(
    parameters: Sequence[tuple[str, nn.Parameter]], bucket_bytes: int
) -> list[list[tuple[str, nn.Parameter]]]:
    """Cut the sequence where a bucket is full, or where the type of its sums or the device changes."""
    groups: list[list[tuple[str, nn.Parameter]]] = []
    total = sum(p.numel() * _reduced_as(p.dtype).itemsize for _, p in parameters)
    bucket_bytes = min(bucket_bytes, max(total // _BUCKETS, _LEAST_BYTES))
    kind, room = None, 0
    for name, parameter in parameters:
        if parameter.is_complex():
            raise ConfigError(f"{name}: complex parameters are not reduced; use two real ones.")
        ours = (_reduced_as(parameter.dtype), parameter.device)
        size = parameter.numel() * ours[0].itemsize
        if ours != kind or size > room:
            groups.append([])
            kind, room = ours, bucket_bytes
        groups[-1].append((name, parameter))
        room -= size
    return groups


def _allocate(number: int, parameters: Sequence[tuple[str, nn.Parameter]]) -> _Bucket:
    first = parameters[0][1]
    dtype = _reduced_as(first.dtype)
    align = _ALIGN // dtype.itemsize
    starts, end = [], 0
    for _, parameter in parameters:
        starts.append(end)
        end += -(-parameter.numel() // align) * align
    flat = torch.zeros(end + len(parameters), dtype=dtype, device=first.device)
    slots = [
        _Slot(name, parameter, _view(flat, start, parameter), k)
        for k, ((name, parameter), start) in enumerate(zip(parameters, starts, strict=True))
    ]
    return _Bucket(f"gradients.{number}", flat, flat[end:], slots)


def _view(flat: Tensor, start: int, like: Tensor) -> Tensor:
    """A part of the bucket with the parameter's shape and strides, channels-last or what it may be."""
    dense = torch.empty_like(like, device="meta").stride() == like.stride()
    if not dense:  # expanded or with gaps: its elements have no place of their own
        return flat[start : start + like.numel()].view(like.shape)
    return flat.as_strided(like.size(), like.stride(), start)
