"""A shard's values through numpy, for all that the kernel cannot take as it lies in the file."""

import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.store.library import open_library
from astrohpc.store.missing import foreign_marks, gaps, remarked
from astrohpc.store.plan import Piece, Plan, PlannedArray
from astrohpc.store.rounding import Losses, keep_digits, to_float32
from astrohpc.store.source import BadSource, Variable
from astrohpc.store.tasks import Part, box, parts_of
from astrohpc.store.unpack import unpack

_OPEN_FILES = 4  # each open HDF5 file holds caches


class Readers:
    """The library's readers that one thread has open: a few, the last used."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._open: OrderedDict[int, tuple[contextlib.ExitStack, Any]] = OrderedDict()

    def read(self, source: int, variable: Variable, selection: tuple[slice, ...]) -> NDArray[Any]:
        """Values as they stand in the file, in this machine's byte order."""
        if source not in self._open:
            if len(self._open) >= _OPEN_FILES:
                _, (stack, _) = self._open.popitem(last=False)
                stack.close()
            stack = contextlib.ExitStack()
            library = stack.enter_context(open_library(self._plan.looks[source].source))
            self._open[source] = (stack, library)
        self._open.move_to_end(source)
        values: NDArray[Any] = self._open[source][1].read(variable, selection)
        return values

    def name(self, part: Part) -> str:
        """The file that a part is of."""
        return str(self._plan.looks[part.piece.source].source.path)

    def close(self) -> None:
        """Close all files."""
        while self._open:
            self._open.popitem()[1][0].close()


def shard_values(
    array: PlannedArray, index: Sequence[int], readers: Readers
) -> tuple[NDArray[Any], Losses]:
    """The values of one shard, cut at the array's edge, and their losses; what nobody has is fill."""
    spec = array.spec
    limits = box(array, index)
    shape = tuple(last - first for first, last in limits)
    values = np.full(shape, 0 if spec.fill is None else spec.fill, spec.dtype)
    losses = Losses()
    for part in parts_of(array, index):
        found, place = _read(array, part, limits, readers)
        if found.dtype.kind == "f":
            found, lost = _narrowed(array, found, f"{readers.name(part)}: {spec.path}")
            losses = losses.joined(lost)
        values[place] = found
    return values, losses


def _narrowed(array: PlannedArray, values: NDArray[Any], where: str) -> tuple[NDArray[Any], Losses]:
    """Values in the store's precision and with the digits that are kept."""
    spec = array.spec
    float32 = digits = None
    try:
        if values.dtype.itemsize > spec.dtype.itemsize:
            values, float32 = to_float32(values, spec.fill, where)
        if array.digits is not None:
            values, digits = keep_digits(values, array.digits, spec.fill, where)
    except BadSource:
        raise
    except ConfigError as error:
        raise BadSource(str(error)) from error
    return values, Losses(float32, digits)


def _read(
    array: PlannedArray, part: Part, limits: Sequence[tuple[int, int]], readers: Readers
) -> tuple[NDArray[Any], tuple[Any, ...]]:
    """What one piece gives, and where in the shard it belongs."""
    piece, spec = part.piece, array.spec
    whole = piece.treatment is not None  # a grid is read as a whole, and cut afterwards
    selection: list[slice] = []
    cut: list[slice] = []
    place: list[Any] = []
    for axis, (first, last) in enumerate(limits):
        if axis == array.member_axis:
            place.append((piece.member or 0) - first)
        elif axis == array.time_axis and piece.times is not None:
            selection.append(slice(part.begin - piece.begin, part.end - piece.begin))
            cut.append(slice(None))
            place.append(slice(part.begin - first, part.end - first))
        else:
            length = piece.variable.shape[len(selection)]
            selection.append(slice(0, length) if whole else slice(first, last))
            cut.append(slice(first, last) if whole else slice(None))
            place.append(slice(0, last - first))
    found = readers.read(piece.source, piece.variable, tuple(selection))
    if array.unpack:
        found = unpack(found, piece.variable)
    elif not whole:
        foreign = foreign_marks(piece.variable, spec.attrs, spec.fill)
        found = remarked(found, foreign, spec.fill)
    if whole:
        found = _treated(piece, found, selection, readers)[tuple(cut)]
        if spec.fill is not None and not np.isnan(spec.fill):
            found = np.where(np.isnan(found), np.asarray(spec.fill, found.dtype), found)
    return found, tuple(place)


def _treated(
    piece: Piece, found: NDArray[Any], selection: Sequence[slice], readers: Readers
) -> NDArray[Any]:
    """Values on the store's grid and layers, NaN where they are missing."""
    treatment = piece.treatment
    assert treatment is not None
    found = _with_gaps(found, piece.variable)
    ps_pa = None
    if treatment.layers is not None:
        ps = treatment.layers.ps
        part = [slice(0, length) for length in ps.shape]
        if piece.times is not None and len(ps.shape) == found.ndim - 1:
            part[0] = selection[0]
        ps_pa = _with_gaps(readers.read(piece.source, ps, tuple(part)), ps)
        ps_pa = np.broadcast_to(ps_pa, (*found.shape[: treatment.layers.axis], *ps_pa.shape[-2:]))
    return treatment.apply(found, ps_pa)


def _with_gaps(values: NDArray[Any], variable: Variable) -> NDArray[Any]:
    """Floating values, NaN where they are missing."""
    kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    floating = values.astype(kind, copy=False)
    # What was unpacked has its gaps as NaN already, and its marks are of the packed numbers.
    missing = (
        np.isnan(floating) if values.dtype.kind != variable.dtype.kind else gaps(values, variable)
    )
    return np.where(missing, np.array(np.nan, kind), floating) if missing.any() else floating


def paths_of(plan: Plan, array: PlannedArray, index: Sequence[int]) -> list[Path]:
    """The files that a shard is made of."""
    return list(
        dict.fromkeys(plan.looks[p.piece.source].source.path for p in parts_of(array, index))
    )
