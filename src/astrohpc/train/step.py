"""One step: a batch in parts, gradients of all ranks, guards on the device, and the optimiser.

The gradient is that of the mean over the samples of all ranks, however uneven their shares are and
into however many parts each rank cuts its own.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from astrohpc.train import flops, schedule
from astrohpc.train.accumulate import Meter, MicroBatch, is_out_of_memory, parts
from astrohpc.train.data import Reader
from astrohpc.train.ema import RunningMean
from astrohpc.train.engines.base import Engine
from astrohpc.train.guards import Guards
from astrohpc.train.optimize import takes_flag
from astrohpc.train.precision import LossScale, Precision
from astrohpc.train.randomness import untouched
from astrohpc.train.rows import local
from astrohpc.train.settings import TrainSettings
from astrohpc.train.sources import Batch
from astrohpc.train.task import Task


class Interrupted(Exception):
    """The job must start again from its last checkpoint: one sentence, exit code 75."""


@dataclass(frozen=True)
class Pulse:
    """What one step was like on this rank; ``loss`` and ``parts`` are sums, and lie on the device."""

    step: int
    loss: Tensor
    parts: Tensor
    norm: Tensor
    count: float  # of all ranks
    scale: float


@dataclass
class Stepper:
    """All that a step needs, and nothing of files."""

    settings: TrainSettings
    task: Task
    engine: Engine
    model: nn.Module
    reader: Reader
    precision: Precision
    scale: LossScale | None
    guards: Guards
    mean: RunningMean | None
    micro: MicroBatch
    meter: Meter | None
    tell: Callable[[str], None]
    narrowed: Callable[[str, bool], None]  # less is computed at once now: why, and if only here
    before_change: Callable[[], None] = lambda: None  # weights are about to change
    own_s: float = 0.0  # of the newest step, before this rank waited for others
    learning_rate: float = 0.0

    def step(self, step: int, batch: Batch, count: float) -> Pulse:
        """Take one step with this rank's share of a batch, whose loss is the mean over ``count``."""
        begun = time.perf_counter()
        self.learning_rate = schedule.learning_rate(self.settings, step)
        for group in self.engine.optimizer.param_groups:
            group["lr"] = self.learning_rate
        loss, by_part = self._gradients(batch, count)
        self.own_s = time.perf_counter() - begun
        self.engine.finish_gradients()
        scale = 1.0
        if self.scale is not None:
            scale = self.scale.value
            self.scale.undo(local(p.grad) for p in self._trained() if p.grad is not None)
        norm = self.engine.clip(self.settings.clip_norm or math.inf).detach()
        self._apply(self.guards.is_bad(norm))
        return Pulse(step, loss, by_part, norm, count, scale)

    def _gradients(self, batch: Batch, count: float) -> tuple[Tensor, Tensor]:
        """Gradients of the whole share, added up over its parts."""
        while True:
            error = None
            try:
                return self._all_parts(batch, count)
            except Exception as raised:
                if not is_out_of_memory(raised):
                    raise
                error = str(raised).splitlines()[0] if str(raised) else type(raised).__name__
            # Here and not in the handler, whose traceback holds the tensors of the failed part.
            sentence = self.micro.halve(f"memory ran out ({error})")
            self.narrowed(sentence, self.engine.size > 1)
            self.engine.drop_gradients()
            self._empty()
            if self.engine.size > 1:
                # Others may be waiting for us in the middle of a reduction, which cannot be called off.
                raise Interrupted(f"{sentence}; the job starts again from its last checkpoint")

    def _all_parts(self, batch: Batch, count: float) -> tuple[Tensor, Tensor]:
        size = len(next(iter(batch.values())))
        cuts = parts(size, self.micro.most)
        loss = torch.zeros((), dtype=torch.float64, device=self.engine.device)
        by_part = torch.zeros(len(self.task.parts), dtype=torch.float64, device=self.engine.device)
        for number, cut in enumerate(cuts, 1):
            with self.engine.accumulate(last=number == len(cuts)):
                found = self._part(batch, cut, count)
            loss += found[0]
            by_part += found[1]
        return loss, by_part

    def _part(self, batch: Batch, cut: slice, count: float) -> tuple[Tensor, Tensor]:
        here = self.reader.to_device(batch, cut)
        with self.precision.region(self.engine.device):
            loss = self.task.loss(self.model, here)
        # The engine takes the mean over ranks; with their number this makes it the sum.
        factor = self.engine.size / count * (self.scale.value if self.scale is not None else 1.0)
        self.engine.backward(loss.total * factor)
        return loss.total.detach(), loss.parts

    def _apply(self, bad: Tensor) -> None:
        """Step, unless the gradient is bad; on a GPU the host does not wait to hear."""
        self.before_change()
        optimizer = self.engine.optimizer
        if bad.device.type != "cpu" and takes_flag(optimizer):
            optimizer.grad_scale, optimizer.found_inf = None, bad  # type: ignore[attr-defined]
            self.engine.step()
        elif bad.item():
            self.engine.drop_gradients()
            return
        else:
            self.engine.step()
        if self.mean is not None:
            self.mean.update()

    def rehearse(self, batch: Batch, precision: str) -> float:
        """Find out whether a part fits before it matters, all ranks alike; operations of one sample.

        It leaves no trace: gradients are dropped, random states and buffers put back.
        """
        operations = 0.0
        wants_count = flops.peak(self.engine.device, precision) > 0
        while True:
            size = min(self.micro.most, len(next(iter(batch.values()))))
            failed = False

            def work(size: int = size) -> None:
                with self.engine.accumulate(last=False):
                    self._part(batch, slice(0, size), float(size))

            with untouched(self.engine.device), self._same_buffers():
                try:
                    if wants_count:
                        operations = flops.count(work) / size
                    else:
                        work()
                except Exception as raised:
                    if not is_out_of_memory(raised):
                        raise
                    failed = True
            self.engine.drop_gradients()
            if not self.engine.any(failed):
                return operations
            self._empty()
            self.narrowed(self.micro.halve("memory ran out before the first step"), False)

    def measure(self) -> float:
        """The share of memory that steps took, the largest of all ranks; parts are halved if too much."""
        if self.meter is None:
            return 0.0
        share = float(self.engine.max(torch.tensor(self.meter.share())))
        if share > self.settings.memory_share and self.micro.most > 1:
            why = f"{share:.0%} of the memory is used and {self.settings.memory_share:.0%} allowed"
            self.narrowed(self.micro.halve(why), False)
            self._empty()
        else:
            self.micro.proven = True
        self.meter.reset()
        return share

    def _trained(self) -> Iterator[nn.Parameter]:
        for group in self.engine.optimizer.param_groups:
            yield from group["params"]

    @contextmanager
    def _same_buffers(self) -> Iterator[None]:
        kept = [buffer.clone() for buffer in self.engine.model.buffers()]
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, before in zip(self.engine.model.buffers(), kept, strict=True):
                    buffer.copy_(before)

    def _empty(self) -> None:
        if self.engine.device.type == "cuda":
            torch.cuda.empty_cache()
