"""Which samples each step sees, and which of them each rank: a function of settings and a number.

Every rank computes the whole plan and takes its share, so nobody needs to be told, and a position is
one number. Batches do not depend on how many ranks there are: a run that goes on with another number
of ranks sees what it would have seen.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.train.settings import TrainSettings

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BatchPlan:
    """Batches of samples 0 … ``count`` − 1, numbered from 0 through all epochs.

    ``shards`` says in which shard each sample lies; samples are shuffled within ``window`` shards at a
    time, in shuffled order of shards, so that what is read at one time lies in few files. With
    ``lengths`` a batch has as many samples as fit into ``tokens``, else ``batch``. What is over at the
    end of an epoch is left out of it.
    """

    count: int
    seed: int
    batch: int
    shards: Indices | None = None
    window: int = 0
    lengths: Indices | None = None
    tokens: int = 0

    def __post_init__(self) -> None:
        if self.by_tokens and self.lengths is not None and int(self.lengths.max()) > self.tokens:
            raise ConfigError(
                f"data.tokens: the longest sample has {int(self.lengths.max())} tokens, and a step "
                f"{self.tokens}; write more."
            )
        if not self.by_tokens and self.count < self.batch:
            raise ConfigError(
                f"batch: {self.batch} samples are more than the {self.count} that there are to train on; "
                "write fewer."
            )

    @property
    def by_tokens(self) -> bool:
        """Whether batches are measured by the length of their samples."""
        return self.tokens > 0 and self.lengths is not None

    def order(self, epoch: int) -> Indices:
        """All samples of an epoch, shuffled."""
        random = np.random.default_rng([self.seed, epoch])
        if self.shards is None or not self.window:
            return random.permutation(self.count)
        names, place = np.unique(self.shards, return_inverse=True)
        turn = random.permutation(len(names))[place]  # when the shard of each sample is due
        group = turn // self.window
        return np.lexsort((random.random(self.count), group))

    def number(self, number: int) -> Indices:
        """The samples of batch ``number``, of all ranks."""
        if not self.by_tokens:
            epoch, place = divmod(number, self.count // self.batch)
            return self._epoch(epoch)[place]
        epoch = 0
        while number >= len(batches := self._epoch(epoch)):
            number, epoch = number - len(batches), epoch + 1
        return batches[number]

    def share(self, number: int, rank: int, ranks: int) -> Indices:
        """This rank's samples of batch ``number``: as much work for every rank as can be."""
        samples = self.number(number)
        if self.lengths is None or not self.by_tokens:
            return samples[rank::ranks]
        if len(samples) < ranks:
            raise ConfigError(
                f"data.tokens: batch {number} has {len(samples)} samples for {ranks} ranks; write more "
                "tokens."
            )
        # The longest first, each to who has least; one each at first, so that nobody has none.
        work = np.zeros(ranks, np.int64)
        mine: list[int] = []
        for i, sample in enumerate(samples[np.argsort(-self.lengths[samples], kind="stable")]):
            to = i if i < ranks else int(work.argmin())
            work[to] += self.lengths[sample]
            if to == rank:
                mine.append(sample)
        return np.array(mine, np.int64)

    @functools.lru_cache(maxsize=2)  # noqa: B019 - a plan lives as long as its training
    def _epoch(self, epoch: int) -> Sequence[Indices]:
        order = self.order(epoch)
        if not self.by_tokens or self.lengths is None:
            whole = self.count // self.batch * self.batch
            return np.split(order[:whole], self.count // self.batch)
        ends = np.cumsum(self.lengths[order])
        found: list[Indices] = []
        start = 0
        while start < self.count:
            used = ends[start - 1] if start else 0
            end = int(np.searchsorted(ends, used + self.tokens, side="right"))
            if end == self.count and found:
                break  # what is over
            found.append(order[start:end])
            start = end
        return found


def shareable(settings: TrainSettings, ranks: int) -> None:
    """Refuse a batch that ranks cannot share equally."""
    if not settings.data.tokens and settings.batch % ranks:
        less, more = settings.batch // ranks * ranks, -(-settings.batch // ranks) * ranks
        choice = f"{less} or {more}" if less else str(more)
        raise ConfigError(
            f"batch: {settings.batch} samples cannot be shared equally by {ranks} ranks; write {choice}, or "
            "take another number of ranks."
        )
