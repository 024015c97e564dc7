"""What is held out: its loss and errors, with the running mean of the weights where there is one."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from astrohpc.train.about import About
from astrohpc.train.accumulate import parts
from astrohpc.train.sources import Source
from astrohpc.train.step import Stepper

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Validation:
    """Over all held-out samples of all ranks: the mean loss, that of each part, and errors in own units."""

    loss: float
    parts: Mapping[str, float]
    rmse: Mapping[str, float]

    def scalars(self, about: About) -> dict[str, float]:
        """For the log: errors with the units that they are in."""
        labels = {one.name: one.label for one in about.variables}
        found = {f"validation/loss of {name}": value for name, value in self.parts.items()}
        for name, value in self.rmse.items():
            found[f"validation/rmse of {labels.get(name, name)}"] = value
        return {"validation/loss": self.loss, **found}


def validate(stepper: Stepper, source: Source, size: int) -> Validation:
    """Measure the model on what it never saw.

    All ranks compute equally many batches, for a model that is cut up needs all of them in each; who
    has nothing to compute takes a sample that is not counted.
    """
    engine, task = stepper.engine, stepper.task
    kinds = len(task.parts)
    total_loss = torch.zeros(2, dtype=torch.float64)  # its sum, and over how many it is the mean
    by_part = torch.zeros(3, kinds, dtype=torch.float64)  # losses, squares, over how many
    squares_known = True
    with _at_rest(stepper):
        for start in range(source.count, source.count + source.held_out, size):
            whole = np.arange(start, min(start + size, source.count + source.held_out))
            mine = whole[engine.rank :: engine.size]
            counts = len(mine) > 0
            mine = mine if counts else whole[:1]
            batch = task.ahead(source.read(mine, source.room(len(mine), pinned=False)))
            own, own_by_part = task.count(batch)
            if counts:
                total_loss[1] += own
                by_part[2] += torch.from_numpy(own_by_part)
            for cut in parts(len(mine), stepper.micro.most):
                here = {name: value[cut].to(engine.device) for name, value in batch.items()}
                with stepper.precision.region(engine.device):
                    loss = task.loss(stepper.model, here)
                squares_known = loss.squares is not None
                if counts:
                    total_loss[0] += float(loss.total)
                    by_part[0] += loss.parts.double().cpu()
                    if loss.squares is not None:
                        by_part[1] += loss.squares.double().cpu()
    total = engine.sum(torch.cat([total_loss, by_part.reshape(-1)]))
    losses, squares, over = total[2:].reshape(3, kinds)
    means = (losses / over.clamp(min=1.0)).tolist()
    errors = (squares / over.clamp(min=1.0)).tolist() if squares_known else []
    return Validation(
        float(total[0] / total[1].clamp(min=1.0)),
        dict(zip(task.parts, means, strict=True)),
        {name: math.sqrt(error) for name, error in zip(task.parts, errors, strict=False)},
    )


def predictions(
    stepper: Stepper, source: Source, samples: NDArray[np.int64]
) -> tuple[Array, Array] | None:
    """Truth and prediction of a few samples, [B, C] or [B, C, …]; None where the task makes no climate.

    Every rank computes all of them, for a model that is cut up needs all ranks.
    """
    engine, task = stepper.engine, stepper.task
    found = []
    with _at_rest(stepper):
        for sample in samples:
            one = task.ahead(source.read(np.array([sample]), source.room(1, pinned=False)))
            here = {name: value.to(engine.device) for name, value in one.items()}
            with stepper.precision.region(engine.device):
                pair = task.predict(stepper.model, here)
            if pair is None:
                return None
            found.append([tensor.detach().double().cpu().numpy()[0] for tensor in pair])
    truth, predicted = (np.stack(values) for values in zip(*found, strict=True))
    return truth, predicted


@contextlib.contextmanager
def _at_rest(stepper: Stepper) -> Iterator[None]:
    """The model as it would be used: the mean of its weights, no dropout, no gradients."""
    model = stepper.engine.model
    where = stepper.mean.in_place() if stepper.mean is not None else contextlib.nullcontext()
    model.eval()
    try:
        with torch.no_grad(), where:
            yield
    finally:
        model.train()
    _put_away(stepper.model)


def _put_away(model: nn.Module) -> None:
    """A model that is cut up keeps parts whole for a backward; where none comes, they would grow old."""
    reshard = getattr(model, "reshard", None)
    if reshard is not None:
        reshard()
