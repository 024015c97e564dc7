"""Which values lie together: inner chunks by how the store will be read, shards by what memory allows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

KIB, MIB = 2**10, 2**20
_SAMPLE_MOST = 4 * MIB  # a field of one time stays whole up to this
_PART = 2 * MIB  # and is cut into parts of about this beyond it
_LEAST = 8 * KIB  # a chunk below this costs more to find than to decode
_FOLLOW_MOST, _FOLLOW_LEAST = MIB, 64 * KIB  # source chunks within these are kept as they are
_TOGETHER_BYTES, _TOGETHER_MOST = MIB, 64  # small members share a shard: up to this size and number
_CALL_MS, _DECODE_BYTES_MS = 0.05, 2.0 * MIB  # one chunk's overhead, and the rate of one core


@dataclass(frozen=True)
class Axes:
    """Which axes of an array are what; the others (levels, rows, columns) follow them."""

    member: int | None
    time: int | None
    rest: tuple[int, ...]


def choose_chunk(
    shape: Sequence[int],
    itemsize: int,
    axes: Axes,
    read: str,
    source: Sequence[int] | None,
) -> tuple[int, ...]:
    """The inner chunk for one way to read; ``source`` is the files' own chunk, member axis left out."""
    chunk = [1] * len(shape)
    for axis in axes.rest:
        chunk[axis] = max(1, shape[axis])
    times = shape[axes.time] if axes.time is not None else 1
    if read == "series":
        return tuple(_series(chunk, itemsize, axes, times))
    if read == "map":
        for axis in axes.rest[:-2]:
            chunk[axis] = 1
    followed = read == "sample" and source is not None and _follow(chunk, itemsize, axes, source)
    if followed:
        assert source is not None
        kept = list(source)
        if axes.member is not None:
            kept.insert(axes.member, 1)
        return tuple(kept)
    for axis in axes.rest:
        while math.prod(chunk) * itemsize > _SAMPLE_MOST and chunk[axis] > 1:
            parts = -(-math.prod(chunk) * itemsize // _PART)
            chunk[axis] = max(1, chunk[axis] // min(parts, chunk[axis]))
    if axes.time is not None and (one := math.prod(chunk) * itemsize) < _LEAST:
        chunk[axes.time] = max(1, min(times, _LEAST // max(one, 1)))
    return tuple(chunk)


def _follow(chunk: Sequence[int], itemsize: int, axes: Axes, source: Sequence[int]) -> bool:
    """Whether the files' own chunks suit, so that their bytes need no new order."""
    own = list(source)
    if axes.member is not None:
        own.insert(axes.member, 1)
    size = math.prod(own) * itemsize
    whole = all(own[axis] == chunk[axis] for axis in axes.rest)
    if whole and axes.time is not None and own[axes.time] == 1:
        return size >= _LEAST
    return _FOLLOW_LEAST <= size <= _FOLLOW_MOST if not whole else _LEAST <= size <= _FOLLOW_MOST


def _series(chunk: list[int], itemsize: int, axes: Axes, times: int) -> list[int]:
    """All times of a small piece of the map."""
    if axes.time is not None:
        chunk[axes.time] = max(1, times)
    for axis in axes.rest:
        while math.prod(chunk) * itemsize > MIB and chunk[axis] > 1:
            chunk[axis] = -(-chunk[axis] // 2)
    if axes.time is not None:
        while math.prod(chunk) * itemsize > MIB and chunk[axes.time] > 1:
            chunk[axes.time] = -(-chunk[axes.time] // 2)
    return chunk


def choose_shard(
    shape: Sequence[int], itemsize: int, axes: Axes, chunk: Sequence[int], most_bytes: int
) -> tuple[int, ...]:
    """The shard: whole samples first, then times, as many as memory holds, then members if they are small.

    How many members share a shard does not depend on how many there are, so that a sweep can grow and
    keep the shards that are full.
    """
    shard = list(chunk)
    order = [*reversed(axes.rest)] + ([] if axes.time is None else [axes.time])
    for axis in order:
        room = max(1, most_bytes // max(1, math.prod(shard) * itemsize))
        count = max(1, -(-shape[axis] // chunk[axis]))
        shard[axis] = chunk[axis] * min(count, room)
        if shard[axis] < shape[axis]:  # what follows would leave holes in this one
            return tuple(shard)
    if axes.member is not None:
        together = _TOGETHER_BYTES // max(1, math.prod(shard) * itemsize)
        shard[axes.member] *= max(1, min(_TOGETHER_MOST, together))
    return tuple(shard)


@dataclass(frozen=True)
class Cost:
    """What one reading costs: chunks that are opened, bytes that are decoded, milliseconds of a core."""

    chunks: int
    bytes: int
    cpu_ms: float


def costs(
    shape: Sequence[int], itemsize: int, axes: Axes, chunk: Sequence[int]
) -> Mapping[str, Cost]:
    """The cost of one training sample, one map and one time series at a point."""
    wanted = {
        "sample": [1 if axis in (axes.member, axes.time) else n for axis, n in enumerate(shape)],
        "map": [n if axis in axes.rest[-2:] else 1 for axis, n in enumerate(shape)],
        "series": [n if axis == axes.time else 1 for axis, n in enumerate(shape)],
    }
    found = {}
    for name, part in wanted.items():
        chunks = math.prod(-(-want // one) for want, one in zip(part, chunk, strict=True))
        size = chunks * math.prod(chunk) * itemsize
        found[name] = Cost(chunks, size, chunks * _CALL_MS + size / _DECODE_BYTES_MS)
    return found
