"""Which chunks hold what a reader wants, and where in its arrays their values go: arithmetic alone."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.stored import StoredArray

Pick = slice | NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tile:
    """One inner chunk across the axes of a sample: what is taken of it, and where that goes.

    ``whole`` says that all of it is wanted and lies in one piece in the target, from ``start`` values on.
    """

    at: tuple[int, ...]  # its place in the grid of inner chunks
    source: tuple[Pick, ...]
    target: tuple[Pick, ...]
    whole: bool
    start: int


@dataclass(frozen=True, eq=False)
class Pieces:
    """Chunks of one tile: rows of the target, and for each the shard, the slot in it and the place inside.

    ``inside`` has member and time within the inner chunk.
    """

    tile: Tile
    rows: NDArray[np.int64]
    shards: NDArray[np.int64]
    slots: NDArray[np.int64]
    inside: NDArray[np.int64]


def tiles(array: StoredArray, picks: Sequence[NDArray[np.int64]]) -> list[Tile]:
    """The inner chunks that hold these indices along the axes of a sample."""
    chunk = array.chunk[array.lead :]
    shape = tuple(len(pick) for pick in picks)
    along: list[list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]] = []
    for pick, size in zip(picks, chunk, strict=True):
        of = pick // size
        along.append(
            [(int(c), pick[of == c] - c * size, np.flatnonzero(of == c)) for c in np.unique(of)]
        )
    found = []
    for parts in itertools.product(*along):
        source = tuple(_as_slice(inside) for _, inside, _ in parts)
        target = tuple(_as_slice(place) for _, _, place in parts)
        full = all(
            isinstance(s, slice) and isinstance(t, slice) and s == slice(0, c)
            for s, t, c in zip(source, target, chunk, strict=True)
        )
        # In one piece: behind the first axis of which it has more than one, it has all of them.
        cut = next((axis for axis, c in enumerate(chunk) if c > 1), len(shape))
        joined = all(c == n for c, n in list(zip(chunk, shape, strict=True))[cut + 1 :])
        start = 0
        if full and joined and shape:
            first = [int(place[0]) for _, _, place in parts]
            start = int(np.ravel_multi_index(first, shape))
        found.append(Tile(tuple(c for c, _, _ in parts), source, target, full and joined, start))
    return found


def _as_slice(index: NDArray[np.int64]) -> Pick:
    if len(index) and (np.diff(index) == 1).all():
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


def pieces(array: StoredArray, tile: Tile, samples: NDArray[np.int64]) -> Pieces:
    """The chunks that hold one tile of these samples, a row of (member, time) each."""
    lead = [samples[:, i] for i, there in enumerate((array.member, array.time)) if there]
    n = len(samples)
    place = [index // size for index, size in zip(lead, array.chunk, strict=False)]
    place += [np.full(n, at, np.int64) for at in tile.at]
    shards, slots = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for at, files, per in zip(place, array.grid, array.per_shard, strict=True):
        shards = shards * files + at // per
        slots = slots * per + at % per
    inside = np.zeros((n, 2), np.int64)
    used = iter(zip(lead, array.chunk, strict=False))
    for column, there in enumerate((array.member, array.time)):
        if there:
            index, size = next(used)
            inside[:, column] = index % size
    return Pieces(tile, np.arange(n), shards, slots, inside)
