"""A shard's values through numpy, for all that the kernel cannot take as it lies in the file."""

import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.library import open_library
from astrohpc.store.plan import Plan, PlannedArray
from astrohpc.store.tasks import Part, box, parts_of
from astrohpc.store.unpack import unpack

_OPEN_FILES = 4  # each open HDF5 file holds caches


class Readers:
    """The library's readers that one thread has open: a few, the last used."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._open: OrderedDict[int, tuple[contextlib.ExitStack, Any]] = OrderedDict()

    def read(self, source: int, part: Part, selection: tuple[slice, ...]) -> NDArray[Any]:
        """Values as they stand in the file, in this machine's byte order."""
        if source not in self._open:
            if len(self._open) >= _OPEN_FILES:
                _, (stack, _) = self._open.popitem(last=False)
                stack.close()
            stack = contextlib.ExitStack()
            library = stack.enter_context(open_library(self._plan.looks[source].source))
            self._open[source] = (stack, library)
        self._open.move_to_end(source)
        values: NDArray[Any] = self._open[source][1].read(part.piece.variable, selection)
        return values

    def close(self) -> None:
        """Close all files."""
        while self._open:
            self._open.popitem()[1][0].close()


def shard_values(array: PlannedArray, index: Sequence[int], readers: Readers) -> NDArray[Any]:
    """The values of one shard, cut at the array's edge; what nobody has is fill."""
    spec = array.spec
    limits = box(array, index)
    shape = tuple(last - first for first, last in limits)
    values = np.full(shape, 0 if spec.fill is None else spec.fill, spec.dtype)
    for part in parts_of(array, index):
        found, place = _read(array, part, limits, readers)
        values[place] = found
    return values


def _read(
    array: PlannedArray, part: Part, limits: Sequence[tuple[int, int]], readers: Readers
) -> tuple[NDArray[Any], tuple[Any, ...]]:
    """What one piece gives, and where in the shard it belongs."""
    piece, spec = part.piece, array.spec
    selection: list[slice] = []
    place: list[Any] = []
    for axis, (first, last) in enumerate(limits):
        if axis == array.member_axis:
            place.append((piece.member or 0) - first)
        elif axis == array.time_axis and piece.times is not None:
            selection.append(slice(part.begin - piece.begin, part.end - piece.begin))
            place.append(slice(part.begin - first, part.end - first))
        else:
            selection.append(slice(first, last))
            place.append(slice(0, last - first))
    found = readers.read(piece.source, part, tuple(selection))
    if array.unpack:
        found = unpack(found, piece.variable)
    fill = piece.variable.fill
    if (
        not array.unpack
        and fill is not None
        and spec.fill is not None
        and not _same(fill, spec.fill)
    ):
        found = np.where(_is(found, fill), np.asarray(spec.fill, spec.dtype), found)
    if found.dtype != spec.dtype:
        found = found.astype(spec.dtype)
    return found, tuple(place)


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) or bool(one != one and other != other)  # noqa: PLR0124 - both NaN


def _is(values: NDArray[Any], fill: Any) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.isnan(values) if fill != fill else values == fill  # noqa: PLR0124
    return found


def paths_of(plan: Plan, array: PlannedArray, index: Sequence[int]) -> list[Path]:
    """The files that a shard is made of."""
    return list(
        dict.fromkeys(plan.looks[p.piece.source].source.path for p in parts_of(array, index))
    )
