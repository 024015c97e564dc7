"""What the loop sees of an engine, and what all engines do alike.

An engine makes one training out of many processes: every rank has its share of the batch, and after
``finish_gradients`` the gradients are the *mean over ranks*. A loss that is summed over a rank's
samples and multiplied by :meth:`Engine.per_unit` therefore gives the gradient of the mean over all
samples, however uneven the shares are.

    model = engine.prepare(model, lambda m: torch.optim.AdamW(m.parameters()))
    for micro_batches in batches:
        for number, batch in enumerate(micro_batches, start=1):
            with engine.accumulate(last=number == len(micro_batches)):
                engine.backward(loss(model, batch))
        engine.finish_gradients()
        engine.clip(1.0)
        engine.step()
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from astrohpc.errors import ConfigError
from astrohpc.train.engines import states
from astrohpc.train.engines.agree import bits_hash, combine, model_digest, must_agree
from astrohpc.train.engines.failures import AllRefuse, RanksDiffer, collective
from astrohpc.train.engines.rendezvous import Place
from astrohpc.train.initial import make_room

T = TypeVar("T")
How = Literal["sum", "max", "min"]
Begin = Callable[[nn.Module], None]


class Engine(ABC):
    """One rank's hold on the others."""

    name: ClassVar[str]

    def __init__(self, place: Place, device: torch.device) -> None:
        self.rank, self.size, self.local_rank = place.rank, place.size, place.local_rank
        self.device = device
        self.model: nn.Module  # as given, not wrapped
        self.optimizer: Optimizer
        self._trained: dict[int, tuple[str, nn.Parameter, bool]] = {}
        self._begin: Begin | None = None

    # Between ranks. All ranks call these in the same order.

    def sum(self, value: Tensor) -> Tensor:
        """The sum over ranks, as a new tensor."""
        return self._reduced(value, "sum")

    def max(self, value: Tensor) -> Tensor:
        """The largest over ranks, element by element."""
        return self._reduced(value, "max")

    def min(self, value: Tensor) -> Tensor:
        """The smallest over ranks, element by element."""
        return self._reduced(value, "min")

    def any(self, flag: bool) -> bool:
        """Whether it is so on at least one rank."""
        return bool(self.max(torch.tensor(int(flag))).item())

    def per_unit(self, count: float) -> float:
        """What a loss *summed* over ``count`` samples is multiplied by, for the mean over all ranks'.

        ``count`` is this rank's in the whole step, all its micro-batches together; 0 is a count too.
        """
        total = float(self.sum(torch.tensor(float(count), dtype=torch.float64)).item())
        if total <= 0.0:
            raise ConfigError("batch: no rank has a sample in this step; the data set is empty.")
        return self.size / total

    def broadcast(self, value: T) -> T:
        """Rank 0's value at all ranks."""
        with collective("sending an object from rank 0"):
            return self._broadcast(value)

    def gather(self, value: T) -> list[T]:
        """All ranks' values at all ranks, by rank."""
        with collective("gathering objects"):
            return self._gather(value)

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        with collective("waiting for all ranks"):
            self._barrier()

    def agree(self, digests: Mapping[str, str]) -> None:
        """Refuse to go on where ranks have other digests (of data, of the configuration)."""
        must_agree(self.gather(dict(digests)))

    def together(self, act: Callable[[], T]) -> T:
        """What ``act`` gives here; where it fails on one rank, all raise that rank's sentence.

        A rank that ended alone would leave the others in a collective, over MPI for ever: the scheduler
        kills them, and what nobody can mend by trying looks like an accident that trying again mends.
        """
        made: list[T] = []
        failure: Exception | None = None
        try:
            made.append(act())
        except Exception as error:  # noqa: BLE001 - all are told
            failure = error
        if self.any(failure is not None):
            found = self.gather("" if failure is None else str(failure) or repr(failure))
            if failure is not None and not isinstance(failure, ConfigError):
                raise failure
            rank, words = next((rank, words) for rank, words in enumerate(found) if words)
            raise AllRefuse(words if len(set(found)) == 1 else f"rank {rank}: {words}") from failure
        return made[0]

    # Training.

    def prepare(
        self,
        model: nn.Module,
        optimizer_of: Callable[[nn.Module], Optimizer],
        begin: Begin | None = None,
    ) -> nn.Module:
        """Give all ranks the same weights; returns the model to call. Sets ``model``, ``optimizer``.

        They are rank 0's, or those that ``begin`` gives a model that is on the meta device: where the
        model is cut up, to each rank's part, so that nobody ever has the whole.

        The optimiser is made here, after the model, for an engine may replace the parameters.
        """
        if self._trained:
            raise ConfigError(f"{self.name}: one engine trains one model; make another engine.")
        self.agree({"model": model_digest(model)})
        if not any(p.requires_grad for p in model.parameters()):
            raise ConfigError("model: none of its parameters is trained; unfreeze some.")
        self.model, self._begin = model, begin
        with collective("preparing the model"), torch.no_grad():
            wrapped = self._wrap(model)
        self.optimizer = optimizer_of(model)
        self._trained = {id(p): (n, p, p.requires_grad) for n, p in model.named_parameters()}
        self._check_parameters()
        return wrapped

    @abstractmethod
    def accumulate(self, last: bool) -> AbstractContextManager[None]:
        """Around forward and backward of a micro-batch; gradients are reduced in the last one."""

    def backward(self, loss: Tensor) -> None:
        """Gradients of a micro-batch, on top of those of the micro-batches before."""
        with collective("reducing gradients"):
            loss.backward()  # type: ignore[no-untyped-call]

    def finish_gradients(self) -> None:  # noqa: B027 - most are done when backward is
        """Wait until ``.grad`` of every parameter is the mean over ranks; once, after the last."""

    def clip(self, max_norm: float) -> Tensor:
        """Scale all gradients down so that their common norm is at most this; returns what it was."""
        return nn.utils.clip_grad_norm_(self._parameters(), max_norm)

    def step(self, scaler: torch.amp.GradScaler | None = None) -> None:
        """Let the optimiser step (through the scaler of fp16, if any), and drop the gradients."""
        self._check_parameters()
        if scaler is None:
            self.optimizer.step()
        else:
            scaler.step(self.optimizer)
        self.drop_gradients()

    def drop_gradients(self) -> None:
        """Forget the gradients; of itself for a step that is left out."""
        for parameter in self._parameters():
            parameter.grad = None

    # State. Each rank loads the same whole state: it reads what it needs, and nothing is sent.

    def model_state(self, sharded: bool = False) -> dict[str, Any]:  # noqa: ARG002
        """Parameters and buffers, whole at rank 0; other ranks have them whole, or nothing.

        ``sharded`` is for engines that cut the model up: each rank's own part, as DTensors.
        """
        return self.model.state_dict()

    def optimizer_state(self, sharded: bool = False) -> dict[str, Any]:  # noqa: ARG002
        """The optimiser's state by names of parameters, whole or sharded as :meth:`model_state`."""
        return states.named(self.optimizer, self._names())

    def load_model_state(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`model_state` of any engine gave."""
        self.model.load_state_dict(state)

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`optimizer_state` of any engine gave."""
        self.optimizer.load_state_dict(states.numbered(state, self.optimizer, self._names()))

    def checksum(self) -> str:
        """A word for the weights' bits, the same for every engine; ranks that differ are an error."""
        names = [name for name, _ in self.model.named_parameters()]
        hashes = self._hashes()
        lowest, highest = self.min(hashes).tolist(), self.max(hashes).tolist()
        for name, low, high in zip(names, lowest, highest, strict=True):
            if low != high:
                raise RanksDiffer(
                    f"{name}: ranks have different weights; go back to the last checkpoint, and if it "
                    "happens again look at the machine's memory and at what is done after step()."
                )
        return combine(lowest)

    def shutdown(self) -> None:
        """Part from the others, after all have come here."""
        self.barrier()
        self._shutdown()

    # What an engine brings.

    @abstractmethod
    def _reduce(self, value: Tensor, how: How) -> Tensor:
        """Reduce a contiguous tensor that is ours to overwrite."""

    @abstractmethod
    def _broadcast(self, value: T) -> T: ...

    @abstractmethod
    def _gather(self, value: T) -> list[T]: ...

    @abstractmethod
    def _barrier(self) -> None: ...

    @abstractmethod
    def _wrap(self, model: nn.Module) -> nn.Module:
        """Move the model to the device, give it rank 0's weights; returns what is called."""

    @abstractmethod
    def _shutdown(self) -> None: ...

    @abstractmethod
    def _send_bytes(self, data: Tensor) -> None:
        """Overwrite a uint8 tensor of at most ``_MESSAGE_BYTES`` with rank 0's."""

    def _bring(self, model: nn.Module) -> None:
        """A model, or this rank's part of one, to its device; its weights must be somewhere."""
        if self._begin is not None:
            make_room(model, self.device)
            self._begin(model)
        elif any(p.is_meta for p in model.parameters()):
            raise ConfigError("model: its weights are on the meta device; give them values first.")
        else:
            model.to(self.device)

    def _take_from_rank_0(self, values: Iterable[Tensor]) -> None:
        """Tensors of any type and memory format, many small ones in one message."""
        waiting: list[Tensor] = []
        for value in values:
            if waiting and sum(map(_bytes, waiting)) + _bytes(value) > _MESSAGE_BYTES:
                self._send_together(waiting)
                waiting = []
            waiting.append(value)
        self._send_together(waiting)

    def _send_together(self, values: list[Tensor]) -> None:
        if not values:
            return
        flat = torch.cat([v.contiguous().view(-1).view(torch.uint8) for v in values])
        for start in range(0, len(flat), _MESSAGE_BYTES):
            self._send_bytes(flat[start : start + _MESSAGE_BYTES])
        end = 0
        for value in values:
            start, end = end, end + _bytes(value)
            # A copy, for a type wider than a byte must begin at a multiple of its size.
            value.copy_(flat[start:end].clone().view(value.dtype).view(value.shape))

    def _hashes(self) -> Tensor:
        """One number for each parameter, the same on all ranks if their weights are."""
        hashes = [bits_hash(p) for p in self.model.parameters()]
        return torch.stack([h.to(hashes[0].device) for h in hashes])

    def _reduced(self, value: Tensor, how: How) -> Tensor:
        # No backend reduces bool, and Horovod neither bfloat16: through a type that all of them do.
        through = {torch.bool: torch.int32, torch.bfloat16: torch.float32}
        own = value.detach().to(through.get(value.dtype, value.dtype), copy=True)
        with collective(f"taking the {how} over ranks"):
            return self._reduce(own.contiguous(), how).to(value.dtype)

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _names(self) -> dict[int, str]:
        return {id(p): name for name, p in self.model.named_parameters()}

    def _check_parameters(self) -> None:
        """Parameters that nobody reduces would let ranks drift apart without a word."""
        for parameter in self._parameters():
            known = self._trained.get(id(parameter))
            if known is None:
                raise ConfigError(
                    "optimizer: it has a parameter that the model had not when the engine prepared it; "
                    "add parameters before, or make another engine."
                )
        for name, parameter, trained in self._trained.values():
            if parameter.requires_grad != trained:
                raise ConfigError(
                    f"{name}: it was {'' if trained else 'not '}trained when the engine prepared the "
                    "model; freeze and unfreeze before, or make another engine."
                )


def weights_and_buffers(model: nn.Module) -> list[Tensor]:
    """All that ranks have alike."""
    return [*(p.data for p in model.parameters()), *model.buffers()]


def _bytes(value: Tensor) -> int:
    return value.numel() * value.element_size()


_MESSAGE_BYTES = 1 << 28  # Horovod counts a message's elements in 32 bits
