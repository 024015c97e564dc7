"""How fast it goes, what it waits for and what it costs, between one line of the log and the next."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from astrohpc.train import flops
from astrohpc.train.energy import NOT_MEASURED, energy_of
from astrohpc.train.engines.base import Engine
from astrohpc.train.settings import TrainSettings
from astrohpc.train.step import Stepper
from astrohpc.train.straggler import OwnTimes


class Rates:
    """Rates of one run; all ranks ask at the same steps, because energy is summed over them."""

    def __init__(
        self, settings: TrainSettings, engine: Engine, stepper: Stepper, step: int, samples: int
    ) -> None:
        self.engine, self.reader = engine, stepper.reader
        self.own = OwnTimes()
        self.operations = 0.0  # of one sample, forward and backward
        self._peak = flops.peak(engine.device, settings.precision) * engine.size
        self._energy = energy_of(engine.device, engine.local_rank)
        self.method = self._energy.method
        self._step, self._samples = step, samples
        self._then, self._waited = time.perf_counter(), self.reader.waited_s

    def step_taken(self, own_s: float) -> None:
        """One more step, whose own part took this rank so long."""
        self.own.seconds.append(own_s)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done for those who watch is no part of how fast steps are."""
        begun = time.perf_counter()
        yield
        self._then += time.perf_counter() - begun

    def since(self, step: int, samples: int) -> dict[str, float]:
        """Rates since the last call."""
        now, waited = time.perf_counter(), self.reader.waited_s
        spent = max(now - self._then, 1e-9)
        rate = (samples - self._samples) / spent
        found = {
            "samples per s": rate,
            "steps per s": (step - self._step) / spent,
            "data wait": (waited - self._waited) / spent,
        }
        if self._peak and self.operations:
            found["MFU"] = rate * self.operations / self._peak
        if self.method != NOT_MEASURED:
            joules = torch.tensor(self._energy.joules(), dtype=torch.float64)
            found["energy J"] = float(self.engine.sum(joules))
        self._step, self._samples, self._then, self._waited = step, samples, now, waited
        return found
