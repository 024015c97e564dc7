"""The work: one task a shard, and for each whether the kernel can make it straight from source bytes."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.files import digest
from astrohpc.store.missing import foreign_marks
from astrohpc.store.plan import Piece, Plan, PlannedArray
from astrohpc.store.settings import StoreSettings
from astrohpc.store.source import Chunks, Rows, Variable


@dataclass(frozen=True)
class Task:
    """One shard. ``digest`` changes with all that it is made of, the sources' size and time included."""

    array: int
    index: tuple[int, ...]
    nbytes: int  # of values
    digest: str


@dataclass(frozen=True, eq=False)
class Direct:
    """Where the bytes of each inner chunk lie: rows of file, offset, length, as ``write_direct`` takes."""

    files: tuple[Path, ...]
    table: NDArray[np.int64]
    dtype: np.dtype[Any]
    chunk: tuple[int, ...]
    deflate: bool
    shuffle: bool


@dataclass(frozen=True)
class Part:
    """What one piece gives to a shard: times from ``begin`` to ``end`` of the store's axis."""

    piece: Piece
    begin: int
    end: int


def make_tasks(plan: Plan, settings: StoreSettings) -> list[Task]:
    """All shards with something in them, the largest first, so that the last to end are small."""
    how = digest({name: _plain(value) for name, value in settings.decides().items()})
    found = []
    for number, array in enumerate(plan.arrays):
        if array.values is not None or not math.prod(array.spec.shape):
            continue
        spec = array.spec
        for index in itertools.product(*map(range, spec.grid)):
            parts = list(parts_of(array, index))
            if not parts:
                continue
            made_of = [_identity(plan, part) for part in parts]
            sizes = [stop - start for start, stop in box(array, index)]
            found.append(
                Task(
                    number,
                    index,
                    math.prod(sizes) * spec.dtype.itemsize,
                    digest([how, spec.path, sizes, spec.chunk, spec.shard, index, made_of]),
                )
            )
    return sorted(found, key=lambda task: -task.nbytes)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _identity(plan: Plan, part: Part) -> list[Any]:
    source = plan.looks[part.piece.source].source
    name = f"{source.path.parent.name}/{source.path.name}"
    return [name, source.bytes, source.mtime_ns, part.piece.variable.path, part.begin, part.end]


def box(array: PlannedArray, index: Sequence[int]) -> list[tuple[int, int]]:
    """The shard's first and last index along each axis, cut at the array's edge."""
    spec = array.spec
    each = spec.shard or spec.chunk
    return [
        (at * size, min((at + 1) * size, whole))
        for at, size, whole in zip(index, each, spec.shape, strict=True)
    ]


def parts_of(array: PlannedArray, index: Sequence[int]) -> Iterator[Part]:
    """The pieces that a shard is made of."""
    limits = box(array, index)
    for piece in array.pieces:
        if piece.member is not None and array.member_axis is not None:
            first, last = limits[array.member_axis]
            if not first <= piece.member < last:
                continue
        if piece.times is None or array.time_axis is None:
            yield Part(piece, 0, 0)
            continue
        first, last = limits[array.time_axis]
        begin, end = max(first, piece.begin), min(last, piece.begin + piece.times)
        if begin < end:
            yield Part(piece, begin, end)


def direct(plan: Plan, array: PlannedArray, index: Sequence[int]) -> Direct | None:
    """The shard as spans of source bytes; None where a value of it must be touched."""
    spec, parts = array.spec, list(parts_of(array, index))
    if not parts or array.unpack or array.treated:
        return None
    first = parts[0].piece.variable
    if any(not _alike(part.piece.variable, first, array) for part in parts):
        return None
    own = [axis for axis in range(len(spec.shape)) if axis != array.member_axis]
    chunk = tuple(spec.chunk[axis] for axis in own)
    if array.member_axis is not None and spec.chunk[array.member_axis] != 1:
        return None
    files = tuple(dict.fromkeys(plan.looks[part.piece.source].source.path for part in parts))
    number = {path: i for i, path in enumerate(files)}
    table = np.full((math.prod(spec.per_shard), 3), -1, np.int64)
    table[:, 0] = 0
    each = spec.shard or spec.chunk
    start = [at * size for at, size in zip(index, each, strict=True)]
    places = np.indices(spec.per_shard).reshape(len(start), len(table)).T
    origins = np.array(start, np.int64) + places * np.array(spec.chunk, np.int64)
    stops = np.array([stop for _, stop in box(array, index)], np.int64)
    left = (origins < stops).all(axis=1)  # the others are beyond the array's edge
    if (origins[left] + spec.chunk > np.array(spec.shape, np.int64)).any():
        return None  # half a chunk at the edge: what is beyond it must not be counted
    for part in parts:  # what nobody has is missing
        mine = left & _held(array, part, origins)
        left &= ~mine
        if not mine.any():
            continue
        inside = origins[mine][:, own]
        if array.time_axis is not None and part.piece.times is not None:
            time = own.index(array.time_axis)
            inside[:, time] -= part.piece.begin
            if (inside[:, time] + chunk[time] > part.piece.times).any():
                return None  # it goes on in the next file
        spans = _spans(part.piece.variable, inside, chunk)
        if spans is None:
            return None
        table[mine, 0] = number[plan.looks[part.piece.source].source.path]
        table[mine, 1:] = spans
    if any(_begins_within(array, part, origins[left]) for part in parts):
        return None  # a chunk whose first times nobody has, and others somebody
    layout = first.layout
    deflate = isinstance(layout, Chunks) and layout.deflate
    shuffle = isinstance(layout, Chunks) and layout.shuffle
    little = first.dtype.newbyteorder("<") == first.dtype
    if spec.codec.name == "deflate" and not (deflate and little and shuffle == spec.codec.shuffle):
        return None  # passed through, its bytes must be as the store's metadata say
    return Direct(files, table, first.dtype, chunk, deflate, shuffle)


def _alike(variable: Variable, first: Variable, array: PlannedArray) -> bool:
    """Whether its bytes can stand beside the first one's, and mean the same to the store."""
    mine, other = variable.layout, first.layout
    if mine is None or type(mine) is not type(other) or variable.dtype != first.dtype:
        return False
    if isinstance(mine, Chunks) and isinstance(other, Chunks):
        same = (mine.shape, mine.deflate, mine.shuffle) == (
            other.shape,
            other.deflate,
            other.shuffle,
        )
        if not same:
            return False
    foreign = foreign_marks(variable, array.spec.attrs, array.spec.fill)
    return not foreign and variable.dtype.newbyteorder("=") == array.spec.dtype


def _held(array: PlannedArray, part: Part, origins: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which chunks, by their first values' places, a part can give."""
    held = np.ones(len(origins), bool)
    if part.piece.member is not None and array.member_axis is not None:
        held &= origins[:, array.member_axis] == part.piece.member
    if part.piece.times is not None and array.time_axis is not None:
        times = origins[:, array.time_axis]
        held &= (part.begin <= times) & (times < part.end)
    return held


def _begins_within(array: PlannedArray, part: Part, origins: NDArray[np.int64]) -> bool:
    """Whether a part has values of chunks, given by their first values' places, but not the first."""
    if part.piece.times is None or array.time_axis is None:
        return False
    if part.piece.member is not None and array.member_axis is not None:
        origins = origins[origins[:, array.member_axis] == part.piece.member]
    times = origins[:, array.time_axis]
    ends = times + array.spec.chunk[array.time_axis]
    return bool(((times < part.begin) & (part.begin < ends)).any())


def _spans(
    variable: Variable, inside: NDArray[np.int64], chunk: Sequence[int]
) -> NDArray[np.int64] | None:
    """Offset and length of chunks of the store in the file; None where one is not one span there."""
    layout = variable.layout
    spans = np.empty((len(inside), 2), np.int64)
    if isinstance(layout, Chunks):
        if tuple(chunk) != layout.shape or (inside % layout.shape).any():
            return None
        places = tuple((inside // layout.shape).T)
        spans[:, 0], spans[:, 1] = layout.offset[places], layout.nbytes[places]
        never = spans[:, 0] < 0
        spans[never] = -1, 0
        # Never written: the library fills it, and so do readers of the store if there is a fill.
        return None if never.any() and variable.fill is None else spans
    assert isinstance(layout, Rows)
    if tuple(chunk[1:]) != variable.shape[1:] or inside[:, 1:].any():
        return None
    row = math.prod(variable.shape[1:]) * variable.dtype.itemsize
    rows = chunk[0] if chunk else 1
    if rows > 1 and layout.stride != row:
        return None
    spans[:, 0] = layout.offset + (inside[:, 0] * layout.stride if chunk else 0)
    spans[:, 1] = rows * row
    return spans
