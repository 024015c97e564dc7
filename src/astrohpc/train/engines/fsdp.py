"""FSDP2: each rank has a part of every parameter, for models that do not fit one device."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from astrohpc.train.engines import states
from astrohpc.train.engines.agree import bits_hash
from astrohpc.train.engines.base import weights_and_buffers
from astrohpc.train.engines.groups import Grouped
from astrohpc.train.engines.rendezvous import Place
from astrohpc.train.rows import cut_alike, own_rows


class Fsdp(Grouped):
    """Weights, gradients and the optimiser's state are cut along their first axis.

    Blocks that are gathered one after the other are the elements of the model's ``ModuleList``\\ s.
    """

    name = "fsdp"

    def __init__(
        self,
        place: Place,
        device: torch.device,
        *,
        timeout_s: float,
        precision: MixedPrecisionPolicy | None = None,
    ) -> None:
        super().__init__(place, device, timeout_s=timeout_s)
        self._precision = precision or MixedPrecisionPolicy()
        self._wrapped: FSDPModule

    @contextmanager
    def accumulate(self, last: bool) -> Iterator[None]:
        """Until the last micro-batch gradients stay whole and are not reduced."""
        self._wrapped.set_requires_gradient_sync(last)
        self._wrapped.set_is_last_backward(last)
        yield

    def clip(self, max_norm: float) -> Tensor:
        """The norm over all parts."""
        norm = super().clip(max_norm)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def model_state(self, sharded: bool = False) -> dict[str, Any]:
        """Whole tensors in rank 0's memory, nothing elsewhere; or each rank's DTensors."""
        state = self.model.state_dict()
        return state if sharded else self._whole(state)

    def optimizer_state(self, sharded: bool = False) -> dict[str, Any]:
        """As :meth:`model_state`; numbers of steps and groups are the same on all ranks."""
        state = states.named(self.optimizer, self._names())
        if not sharded:
            whole = {name: self._whole(one) for name, one in state["state"].items()}
            state["state"] = whole if self.rank == 0 else {}
        return state

    def load_model_state(self, state: Mapping[str, Any]) -> None:
        """Each rank takes its part of whole tensors, or a part that it saved."""
        own = self.model.state_dict()
        parts = {name: _part(value, own.get(name)) for name, value in state.items()}
        self.model.load_state_dict(parts)

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """As :meth:`load_model_state`."""
        own = dict(self.model.named_parameters())
        parts = {
            name: {key: _part(value, own.get(name)) for key, value in one.items()}
            for name, one in state["state"].items()
        }
        super().load_optimizer_state({**state, "state": parts})

    def _wrap(self, model: nn.Module) -> nn.Module:
        if self._begin is None:
            self._bring(model)
            self._take_from_rank_0(weights_and_buffers(model))
            for parameter in model.parameters():  # it cannot cut channels-last; values stay
                parameter.data = parameter.data.contiguous()
        mesh = init_device_mesh(self.device.type, (self.size,))
        for block in _blocks(model):
            fully_shard(block, mesh=mesh, mp_policy=self._precision)
        # What comes into the whole model has units, which may need more digits than bfloat16 has.
        outside = replace(self._precision, cast_forward_inputs=False)
        self._wrapped = fully_shard(model, mesh=mesh, mp_policy=outside)
        if self._begin is not None:  # cut up while it had no values: nobody ever has the whole
            self._bring(model)
            self._take_from_rank_0(model.buffers())
        return model

    def _hashes(self) -> Tensor:
        """Of the whole tensors: hashes of parts add up."""
        hashes = []
        for parameter in self.model.parameters():
            assert isinstance(parameter, DTensor)
            begins, own = own_rows(parameter), parameter.to_local()
            hashes.append(bits_hash(own, first=begins.start * parameter.shape[1:].numel()))
        return self.sum(torch.stack(hashes))

    def _whole(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """One tensor after the other, so that no rank ever has two of them whole on its device."""
        found = {}
        for name, value in values.items():
            full = value.full_tensor() if isinstance(value, DTensor) else value
            if self.rank == 0:
                found[name] = full.detach().cpu() if isinstance(full, Tensor) else full
        return found


def _blocks(model: nn.Module) -> list[nn.Module]:
    """Elements of lists of modules, the innermost lists first."""
    lists = [one for one in model.modules() if isinstance(one, nn.ModuleList)]
    blocks = [block for one in reversed(lists) for block in one]
    return [block for block in blocks if any(True for _ in block.parameters())]


def _part(value: Any, like: Tensor | None) -> Any:
    """This rank's part of a whole tensor that belongs to a parameter; anything else as it is."""
    if not isinstance(like, DTensor) or isinstance(value, DTensor) or not isinstance(value, Tensor):
        return value
    if value.shape != like.shape:  # a number of steps
        return value
    # Its own memory, or a view would keep the whole tensor.
    return cut_alike(value[own_rows(like)].to(device=like.device, copy=True), like)
