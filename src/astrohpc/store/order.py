"""In which order a training run sees the samples of a store: shuffled, shared out, and the same again."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError


@dataclass(frozen=True)
class SampleOrder:
    """Orders of all (member, time), one for each epoch and seed; each rank takes its share of it.

    It has no state: where a run is, is told by two numbers, epoch and batch, which a checkpoint keeps.
    All ranks have equally many samples, or they would wait for each other: what is over is left out for
    this epoch with ``drop_last``, else samples from the beginning are seen a second time.
    """

    members: int
    times: int
    seed: int = 0
    rank: int = 0
    ranks: int = 1
    drop_last: bool = True

    def __post_init__(self) -> None:
        if self.members < 1 or self.times < 1:
            raise ConfigError(
                "members, times: there must be one sample at least; convert some runs."
            )
        if not 0 <= self.rank < self.ranks:
            raise ConfigError(
                f"rank: {self.rank} is not among {self.ranks} ranks, which count from 0."
            )

    def samples(self, epoch: int, batch: int = 1) -> NDArray[np.int64]:
        """All of this rank's samples of an epoch, a row of (member, time) each, in whole batches."""
        count = self.members * self.times
        order = np.random.default_rng([self.seed, epoch]).permutation(count)
        whole = batch * self.ranks
        most = count // whole * whole if self.drop_last else -(-count // whole) * whole
        mine = np.resize(order, most)[self.rank :: self.ranks]
        return np.column_stack(np.divmod(mine, self.times)).astype(np.int64)

    def batches(self, epoch: int, batch: int, start: int = 0) -> Iterator[NDArray[np.int64]]:
        """The epoch's batches from number ``start`` on."""
        samples = self.samples(epoch, batch)
        for begin in range(start * batch, len(samples), batch):
            yield samples[begin : begin + batch]
