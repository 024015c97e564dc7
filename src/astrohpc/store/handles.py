"""Open shards of a store and where their chunks lie: loaded at first touch, kept as far as limits let.

All reading is by ``pread``, so that a descriptor has no position that threads could quarrel about.
"""

import os
import resource
import threading
from collections import OrderedDict
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.codec import Damaged
from astrohpc.store.shard_index import read_index
from astrohpc.store.stored import StoredArray

_MOST_OPEN = 1024


def open_limit() -> int:
    """How many shards may be open: a part of what this process may have, for it opens other things."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(8, min(_MOST_OPEN, (soft if soft > 0 else _MOST_OPEN) // 4))


class Spans:
    """Offset and length of all inner chunks of one array, in one table; -1 where there is no chunk.

    ``made`` tells the shards that must be there; it is asked only where one is not.
    """

    def __init__(self, store: Path, array: StoredArray, made: Callable[[], Container[str]]) -> None:
        self.store, self.array, self._made = store, array, made
        shards = int(np.prod(array.grid, dtype=np.int64))
        per_shard = int(np.prod(array.per_shard, dtype=np.int64))
        # Not filled: memory is taken only for shards that somebody reads.
        self._table = np.empty((shards, per_shard, 2), np.int64)
        self._loaded = np.zeros(shards, bool)

    def find(self, shards: NDArray[np.int64], slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of offset and length, for chunk ``slots[i]`` of shard ``shards[i]``."""
        if not self._loaded[shards].all():
            for shard in np.unique(shards[~self._loaded[shards]]).tolist():
                self._load(shard)
        found: NDArray[np.int64] = self._table[shards, slots]
        return found

    def _load(self, shard: int) -> None:
        path = self.store / self.array.key(shard)
        try:
            spans = read_index(path, self._table.shape[1])
        except FileNotFoundError:
            if self.array.key(shard) in self._made():
                raise Damaged(
                    f"{path}: is not there, though the conversion made it; convert again."
                ) from None
            # Nobody had values for it.
            spans = np.full(self._table.shape[1:], (-1, 0), np.int64)
        most = 2 * self.array.chunk_values * self.array.stored.itemsize + 1024
        wrong = (spans[:, 0] >= 0) & ((spans[:, 1] < 1) | (spans[:, 1] > most))
        if wrong.any():
            slot = int(np.flatnonzero(wrong)[0])
            raise damaged(self.array, shard, slot, f"claims {int(spans[slot, 1])} bytes")
        # Two threads that do this at once write the same; a lock would be one more thing to fork.
        self._table[shard] = spans
        self._loaded[shard] = True


def damaged(array: StoredArray, shard: int, slot: int, what: str) -> Damaged:
    """The sentence for a chunk that is not as it should be."""
    return Damaged(
        f"{array.name}: chunk {slot} of shard {array.key(shard)} {what}, so it is damaged; remove that "
        "shard and convert again."
    )


class OpenShards:
    """Descriptors of shards. What nobody uses is closed, the longest unused first, beyond a number."""

    def __init__(self, store: Path, most: int) -> None:
        self._store, self.most = store, most
        self._files: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._users: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, array: StoredArray, shards: Sequence[int]) -> Iterator[list[int]]:
        """Descriptors of these shards, open as long as the block lasts."""
        held: list[tuple[str, int]] = []
        try:
            with self._lock:
                for shard in shards:
                    key = array.name, shard
                    if key not in self._files:
                        self._files[key] = self._open(array, shard)
                    self._files.move_to_end(key)
                    self._users[key] = self._users.get(key, 0) + 1
                    held.append(key)
                files = [self._files[key] for key in held]
            yield files
        finally:
            with self._lock:
                for key in held:
                    self._users[key] -= 1
                if len(self._files) > self.most:
                    self._close(len(self._files) - self.most)

    def _open(self, array: StoredArray, shard: int) -> int:
        path = self._store / array.key(shard)
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise Damaged(
                f"{path}: was removed after the store was opened; convert again and open the store again."
            ) from error

    def _close(self, most: int) -> None:
        for key in [key for key in self._files if not self._users[key]][:most]:
            os.close(self._files.pop(key))
            del self._users[key]

    def close(self) -> None:
        """Close what nobody uses."""
        with self._lock:
            self._close(len(self._files))
