"""One member's arrays, wherever they lie: in a store, or in files that no store was made of.

Files are taken as ``launch convert`` would take them, so that times are joined, gaps are known and
canonical names are given by the same code; nothing is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.store.agree import Refusal
from astrohpc.store.look import Look, look
from astrohpc.store.members import MemberFiles
from astrohpc.store.plan import MEMBER, Plan, PlannedArray
from astrohpc.store.planning import make_plan
from astrohpc.store.reader import Store
from astrohpc.store.settings import StoreSettings
from astrohpc.store.source import BadSource
from astrohpc.store.tasks import Part
from astrohpc.store.unpack import unpack
from astrohpc.store.values import Readers

_SHARD_BYTES = 2**26  # planning asks for it; no shard is made here


@dataclass(frozen=True)
class Described:
    """An array of one member: its axes without the member's, time first where it has one."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    timed: bool
    attrs: Mapping[str, Any]
    itemsize: int


class Holder(Protocol):
    """What a check needs of a member's data."""

    arrays: Mapping[str, Described]
    time_dim: str | None
    attrs: Mapping[str, Any]  # of the file or store, and the planet's
    refused: Sequence[str]  # what cannot be read, in sentences

    def whole(self, name: str) -> NDArray[Any]:
        """All values of a small array, NaN where there is none."""
        ...

    def read(
        self, names: Sequence[str], begin: int, end: int, cut: Mapping[str, int]
    ) -> dict[str, NDArray[Any]]:
        """Samples of variables, an array of (sample, …) each; ``cut`` is how far axes are filled."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class StoreMember:
    """One member of a store, or the whole of a store that has none."""

    def __init__(self, store: Store, member: int) -> None:
        self._store, self._member = store, member
        self.time_dim = store.time_dim
        self.refused: Sequence[str] = ()
        own = {name: one for name, one in store.arrays.items() if one.stored.kind in "iuf"}
        self.arrays: Mapping[str, Described] = {
            name: Described(
                name, one.dims[one.member :], one.shape[one.member :], one.time, one.attrs,
                one.meant.itemsize,
            )
            for name, one in own.items()
        }  # fmt: skip
        per_member = store.attrs.get("per_member", {})
        said = {name: values[member] for name, values in per_member.items() if len(values) > member}
        self.attrs: Mapping[str, Any] = {**store.attrs, **said, **store.planet(member)}

    def whole(self, name: str) -> NDArray[Any]:
        """All of a small array, this member's part where it has one."""
        one = self._store.arrays[name]
        values = one.meaning(self._store.coordinate(name))
        return np.asarray(values[self._member] if one.member else values)

    def read(
        self, names: Sequence[str], begin: int, end: int, cut: Mapping[str, int]
    ) -> dict[str, NDArray[Any]]:
        """Consecutive times of the member."""
        samples = np.column_stack(
            [np.full(end - begin, self._member, np.int64), np.arange(begin, end)]
        )
        box = {dim: slice(0, size) for dim, size in cut.items()}
        return self._store.batch(samples, names, box=box or None)

    def close(self) -> None:
        """The store is the rank's, and other members are read from it."""


class FileMember:
    """One member in NetCDF files of its own."""

    def __init__(self, files: MemberFiles) -> None:
        plan = _plan(files)
        self._arrays = {array.spec.path: array for array in plan.arrays}
        self._readers = Readers(plan)
        self.time_dim = _time_dim(plan)
        self.refused: Sequence[str] = tuple(one.sentence for one in plan.refused)
        self.attrs = plan.attrs
        self.arrays: Mapping[str, Described] = {
            name: Described(
                name,
                array.spec.dims,
                array.spec.shape,
                array.time_axis == 0 if array.values is None else self._has_time(array),
                array.spec.attrs,
                array.spec.dtype.itemsize,
            )
            for name, array in self._arrays.items()
            if array.spec.dtype.kind in "iuf"
        }

    def _has_time(self, array: PlannedArray) -> bool:
        return self.time_dim is not None and array.spec.dims[:1] == (self.time_dim,)

    def whole(self, name: str) -> NDArray[Any]:
        """All of a small array."""
        array = self._arrays[name]
        if array.values is None:
            return self._pieces(array, 0, array.spec.shape[0] if self.arrays[name].timed else 1)
        return self._known(array)

    def read(
        self,
        names: Sequence[str],
        begin: int,
        end: int,
        cut: Mapping[str, int],  # noqa: ARG002 - nothing is filled up in files of one member
    ) -> dict[str, NDArray[Any]]:
        """Consecutive times, from one file or several."""
        found = {}
        for name in names:
            array, timed = self._arrays[name], self.arrays[name].timed
            if array.values is None:
                values = self._pieces(array, begin, end)
            else:
                values = self._known(array)[begin:end] if timed else self._known(array)
            found[name] = values if timed else np.broadcast_to(values, (end - begin, *values.shape))
        return found

    def close(self) -> None:
        """Close the files."""
        self._readers.close()

    def _known(self, array: PlannedArray) -> NDArray[Any]:
        """Values that planning has read; they are unpacked there where that is needed."""
        assert array.values is not None and array.usual is not None
        variable = replace(array.usual, fill=array.spec.fill, attrs=array.spec.attrs)
        return unpack(np.asarray(array.values), variable)

    def _pieces(self, array: PlannedArray, begin: int, end: int) -> NDArray[Any]:
        """Times of an array that lies in one file or several."""
        timed = array.time_axis is not None
        parts: list[NDArray[Any]] = []
        at = begin
        for piece in sorted(array.pieces, key=lambda piece: piece.begin):
            first, last = 0, 0
            if timed:
                first = max(begin, piece.begin)
                last = min(end, piece.begin + (piece.times or 0))
                if first >= last:
                    continue
                if first != at:
                    break
            part = Part(piece, first, last)
            selection = [slice(0, size) for size in piece.variable.shape]
            if timed:
                selection[0] = slice(part.begin - piece.begin, part.end - piece.begin)
            raw = self._readers.read(piece.source, piece.variable, tuple(selection))
            parts.append(unpack(raw, piece.variable))
            at = last
        if timed and at != end:
            raise BadSource(f"{array.spec.path}: has no values from time {at} on in any file")
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _plan(files: MemberFiles) -> Plan:
    """What convert would make of these files; ConfigError where that is nothing."""
    looks: dict[str, Look | Refusal] = {}
    for path in files.files:
        try:
            looks[str(path)] = look(path)
        except BadSource as error:
            looks[str(path)] = Refusal(str(path), "", str(error).removeprefix(f"{path}: "))
        except OSError as error:
            looks[str(path)] = Refusal(str(path), "", f"cannot be read ({error.strerror})")
    plan = make_plan([MemberFiles("", files.files)], looks, StoreSettings(), _SHARD_BYTES)
    if not plan.arrays:
        why = plan.refused[0].sentence if plan.refused else f"{files.files[0]}: has no variables"
        raise ConfigError(f"{why}.")
    return plan


def _time_dim(plan: Plan) -> str | None:
    return next((one.time_dim for one in plan.looks if one.time_dim is not None), None)


def store_members(store: Store) -> tuple[str, ...]:
    """The names of a store's members; an empty one where it is one run."""
    if MEMBER not in store.arrays:
        return ("",) if store.members == 1 else tuple(map(str, range(store.members)))
    return tuple(map(str, store.coordinate(MEMBER)))
