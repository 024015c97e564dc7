"""How far a network is believed beside its first guess, variable by variable, as validation tells.

What is learned from a few dozen planets may be worse than the guess where there is nothing to learn.
One share a variable, from none to all of what the network adds, is chosen by the score of the planets
that it validates with: of those it says nothing worse than its guess.
"""

import json
from pathlib import Path

import numpy as np
import torch

from astrohpc.files import write_atomic
from astrohpc.models.unet import Unet
from astrohpc.train.networks import best, rebuilt, written
from astrohpc.train.run import TRUST
from astrohpc.train.surrogate_task import ResidualFields, crps

_SHARES = np.linspace(1.0, 0.0, 11)


def settle(folder: Path, task: ResidualFields) -> dict[str, float]:
    """For the best checkpoint of a run; written beside it, where :func:`networks` finds it."""
    found = trust(rebuilt(*written(folder)), task)
    said = {"step": best(folder)[1].step, "trust": found}
    write_atomic(folder / TRUST, json.dumps(said, indent=1) + "\n")
    return found


def trust(network: Unet, task: ResidualFields) -> dict[str, float]:
    """The share of each variable: of shares that score alike, the largest."""
    source = task.source
    scores = {name: np.zeros(len(_SHARES)) for name in source.channels}
    for number in range(source.count, source.count + source.held_out):
        one = source.read(np.array([number]), source.room(1, pinned=False))
        batch = {name: tensor.double() for name, tensor in task.ahead(one).items()}
        wholly, not_at_all = (_believed(network.double(), batch, share) for share in (1.0, 0.0))
        for k, share in enumerate(_SHARES):
            mean = torch.lerp(not_at_all[0], wholly[0], float(share))
            spread = torch.lerp(not_at_all[1].log(), wholly[1].log(), float(share)).exp()
            each = crps(batch["targets"] - mean, spread, 0.0) * task.share
            for name, part in source.channels.items():
                scores[name][k] += float(each[:, part].sum())
    return {name: float(_SHARES[int(np.argmin(one))]) for name, one in scores.items()}


def _believed(
    network: Unet, batch: dict[str, torch.Tensor], share: float
) -> tuple[torch.Tensor, torch.Tensor]:
    network.trust.fill_(share)
    with torch.inference_mode():
        mean, spread = network(batch["scaled"], batch["guess"], batch["spread"])
    return mean, spread
