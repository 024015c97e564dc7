"""The loss of what is held out, with the running mean of the weights where there is one."""

import contextlib

import numpy as np
import torch
from torch import nn

from astrohpc.train.accumulate import parts
from astrohpc.train.sources import Source
from astrohpc.train.step import Stepper


def validate(stepper: Stepper, source: Source, size: int) -> tuple[float, dict[str, float]]:
    """Mean loss over all held-out samples of all ranks, and that of each part.

    All ranks compute equally many batches, for a model that is cut up needs all of them in each; who
    has nothing to compute takes a sample that is not counted.
    """
    engine, task = stepper.engine, stepper.task
    kinds = len(task.parts)
    sums = torch.zeros(2 + 2 * kinds, dtype=torch.float64)
    where = stepper.mean.in_place() if stepper.mean is not None else contextlib.nullcontext()
    engine.model.eval()
    with torch.no_grad(), where:
        for start in range(source.count, source.count + source.held_out, size):
            whole = np.arange(start, min(start + size, source.count + source.held_out))
            mine = whole[engine.rank :: engine.size]
            counts = len(mine) > 0
            mine = mine if counts else whole[:1]
            read = source.read(mine, source.room(len(mine), pinned=False))
            batch = task.ahead(read)
            own, by_part = task.count(batch)
            if counts:
                sums[1] += own
                sums[2 + kinds :] += torch.from_numpy(by_part)
            for cut in parts(len(mine), stepper.micro.most):
                here = {name: value[cut].to(engine.device) for name, value in batch.items()}
                with stepper.precision.region(engine.device):
                    loss = task.loss(stepper.model, here)
                if counts:
                    sums[0] += float(loss.total)
                    sums[2 : 2 + kinds] += loss.parts.double().cpu()
    engine.model.train()
    put_away(stepper.model)
    total = engine.sum(sums)
    by_part_mean = (total[2 : 2 + kinds] / total[2 + kinds :].clamp(min=1.0)).tolist()
    return float(total[0] / total[1].clamp(min=1.0)), dict(
        zip(task.parts, by_part_mean, strict=True)
    )


def put_away(model: nn.Module) -> None:
    """A model that is cut up keeps parts whole for a backward; where none comes, they would grow old."""
    reshard = getattr(model, "reshard", None)
    if reshard is not None:
        reshard()
