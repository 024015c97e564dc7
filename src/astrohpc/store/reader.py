"""Reading a store for training: batches of samples, spans of times and series, into one array each.

    store = Store.open("sweep.zarr")
    batch = store.batch(samples, ["ta", "ps"], levels=slice(0, 10))

One native call a thread decodes chunks straight to where they belong; several threads work at once, and
no process is started. A store may be used by many threads, after a fork, and can be pickled: it holds
nothing but descriptors, tables of addresses and buffers, which every process makes for itself.
"""

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.store.decode import Crew, Job, Reading
from astrohpc.store.gather import Tile, pieces, tiles
from astrohpc.store.handles import Spans, open_limit
from astrohpc.store.journal import read_journal
from astrohpc.store.plan import MEMBER
from astrohpc.store.schema import META, read_metadata
from astrohpc.store.stored import StoredArray, read_small, stored_array

Levels = slice | Sequence[int] | NDArray[np.int64] | None
Missing = Literal["nan", "fill"]
Batch = dict[str, NDArray[Any]]


class Store:
    """A store that is open for reading.

    ``arrays`` has all arrays by name; ``variables`` are the names of those that samples are made of.
    """

    def __init__(
        self,
        path: Path,
        root: Mapping[str, Any],
        threads: int,
        native: bool | None,
        most_open: int,
    ) -> None:
        self.path, self.threads, self.native, self.most_open = path, threads, native, most_open
        self.attrs: Mapping[str, Any] = MappingProxyType(dict(root.get("attributes", {})))
        nodes = root["consolidated_metadata"]["metadata"]
        found = {name: node for name, node in nodes.items() if node.get("node_type") == "array"}
        self.time_dim = _time_dim(found)
        self.arrays: Mapping[str, StoredArray] = MappingProxyType(
            {name: stored_array(name, node, self.time_dim) for name, node in found.items()}
        )
        self.dims: Mapping[str, int] = MappingProxyType(_dims(self.arrays.values()))
        self._spans = {
            name: Spans(path, one, lambda: self._made)
            for name, one in self.arrays.items()
            if one.shard
        }
        self._tiles: dict[str, list[Tile]] = {}  # of whole samples, which are read most
        self._small: dict[str, NDArray[Any]] = {}
        self._crews: dict[int, Crew] = {}  # by process

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        threads: int = 0,
        native: bool | None = None,
        most_open: int = 0,
        root: Mapping[str, Any] | None = None,
    ) -> Self:
        """Open a store; ConfigError where there is none, or one that another program must read.

        ``threads`` 0: one for each core that we may use. ``native`` False does without the kernel;
        ``most_open`` shards are kept open, 0: as many as limits allow. ``root`` is the root's metadata, where
        somebody has read it already.
        """
        path = Path(path).absolute()
        root = read_metadata(path) if root is None else root
        if root is None:
            raise ConfigError(
                f"{path}: has no {META} that can be read; name a store that 'launch convert' made."
            )
        if not isinstance(root.get("consolidated_metadata"), Mapping):
            raise ConfigError(
                f"{path}: its {META} does not list the arrays, so its conversion did not come to an end; run "
                "'launch convert' again."
            )
        return cls(
            path,
            root,
            threads or len(os.sched_getaffinity(0)),
            native,
            most_open or open_limit(),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "threads": self.threads,
            "native": self.native,
            "most_open": self.most_open,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(vars(type(self).open(**state)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End threads and close files; reading again opens them again."""
        crew = self._crews.pop(os.getpid(), None)
        if crew is not None:
            crew.close()

    # ------------------------------------------------------------------------- what there is
    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the arrays that have times or members and are no axis or helper of one value each."""
        return tuple(
            name for name, one in self.arrays.items() if one.lead and one.shard and one.own
        )

    @property
    def members(self) -> int:
        """How many members; 1 where the store is one run."""
        return self.dims.get(MEMBER, 1)

    @property
    def times(self) -> int:
        """How many times; 1 where nothing depends on time."""
        return self.dims.get(self.time_dim, 1) if self.time_dim else 1

    def coordinate(self, name: str) -> NDArray[Any]:
        """All values of an axis or of another array that has no times, as they are stored."""
        one = self._array(name)
        if one.shard is None:
            if name not in self._small:
                self._small[name] = read_small(self.path, one)
            return self._small[name]
        samples = np.zeros((1, 2), np.int64)
        if one.lead:
            member, time = (
                np.arange(self.members if one.member else 1),
                np.arange(self.times if one.time else 1),
            )
            samples = np.stack(np.meshgrid(member, time, indexing="ij"), -1).reshape(-1, 2)
        return self.batch(samples, [name], missing="fill")[name].reshape(one.shape)

    def planet(self, member: int = 0) -> dict[str, Any]:
        """The planet's parameters of a member: what the files say in attributes ``planet_…``."""
        found = {k: v for k, v in self.attrs.items() if k.startswith("planet_")}
        for name, one in self.arrays.items():
            if name.startswith("planet_") and one.dims == (MEMBER,):
                value = self.coordinate(name)[member]
                found[name] = value.item() if isinstance(value, np.generic) else value
        return found

    # ------------------------------------------------------------------------- reading
    def batch(
        self,
        samples: NDArray[Any] | Sequence[tuple[int, int]],
        variables: Iterable[str] | None = None,
        *,
        levels: Levels = None,
        missing: Missing = "nan",
        out: Batch | None = None,
        box: Mapping[str, slice] | None = None,
    ) -> Batch:
        """Samples, a row of (member, time) each: by variable an array of sample, level, row, column.

        ``missing`` "nan" gives what values mean: NaN where there is none (whole numbers stay as they are),
        packed numbers unpacked. "fill" gives them as they are stored. ``levels`` cuts those variables
        that have levels, ``box`` other axes by their names. ``out`` has arrays to be filled, by
        variable; memory of torch is given as ``tensor.numpy()``.
        """
        if missing not in ("nan", "fill"):
            raise ConfigError(f"missing: {missing!r} is neither nan nor fill; write one of them.")
        rows = np.asarray(samples, np.int64).reshape(-1, 2)
        names = list(self.variables if variables is None else variables)
        found: Batch = {}
        jobs: list[Job] = []
        crew = self._working()
        for name in names:
            one = self._array(name)
            self._checked(one, rows)
            picks = _picks(one, levels, box or {})
            shape = (len(rows), *map(len, picks))
            dtype = one.meant if missing == "nan" else one.dtype
            given = (out or {}).get(name)
            target = np.empty(shape, dtype) if given is None else _suits(name, given, shape, dtype)
            found[name] = target
            if one.shard is None:
                _copy_small(one, self.coordinate(name), rows, picks, target, missing)
                continue
            if not target.size:
                continue
            whole = levels is None and box is None
            if whole and name not in self._tiles:
                self._tiles[name] = tiles(one, picks)
            for tile in self._tiles[name] if whole else tiles(one, picks):
                reading = Reading(
                    self._spans[name], crew.files, pieces(one, tile, rows), target, missing == "nan"
                )
                jobs += reading.jobs(crew.threads)
        if jobs:
            crew.do(jobs)
        return found

    def span(
        self,
        member: int,
        time: int,
        length: int,
        variables: Iterable[str] | None = None,
        *,
        levels: Levels = None,
        missing: Missing = "nan",
        out: Batch | None = None,
        box: Mapping[str, slice] | None = None,
    ) -> Batch:
        """Consecutive times of one member, from ``time`` on."""
        samples = np.column_stack([np.full(length, member), np.arange(time, time + length)])
        return self.batch(samples, variables, levels=levels, missing=missing, out=out, box=box)

    def series(
        self,
        member: int,
        variables: Iterable[str] | None = None,
        *,
        missing: Missing = "nan",
        box: Mapping[str, slice] | None = None,
    ) -> Batch:
        """All times of one member, of a box of levels, rows and columns, by the names of the axes."""
        return self.span(member, 0, self.times, variables, missing=missing, box=box)

    @functools.cached_property
    def _made(self) -> frozenset[str]:
        """The shards that the conversion made."""
        return frozenset(read_journal(self.path))

    def _array(self, name: str) -> StoredArray:
        if name not in self.arrays:
            raise ConfigError(
                f"variables: {self.path} has no {name!r}; choose of {', '.join(self.variables)}."
            )
        return self.arrays[name]

    def _checked(self, one: StoredArray, rows: NDArray[np.int64]) -> None:
        """Refuse samples that the array does not have."""
        axes = [(0, "member", one.member), (1, "time", one.time)]
        for (column, what, _), most in zip([a for a in axes if a[2]], one.shape, strict=False):
            index = rows[:, column]
            if index.size and not 0 <= index.min() <= index.max() < most:
                wrong = index[(index < 0) | (index >= most)]
                raise ConfigError(
                    f"samples: {what} {wrong[0]} of {one.name} is not in {self.path}, which has 0 to "
                    f"{most - 1}."
                )

    def _working(self) -> Crew:
        """The threads and files of this process; a forked child has none of its parent's threads."""
        pid = os.getpid()
        if pid not in self._crews:
            # Made by two threads at once, one of them is dropped before it has opened anything.
            self._crews.setdefault(pid, Crew(self.path, self.threads, self.native, self.most_open))
        return self._crews[pid]


def _time_dim(nodes: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The axis that counts since a date, or is called time."""
    for name, node in nodes.items():
        dims = list(node.get("dimension_names") or [])
        if dims == [name] and " since " in str(node.get("attributes", {}).get("units", "")):
            return name
    every = {str(dim) for node in nodes.values() for dim in node.get("dimension_names") or []}
    return next((dim for dim in sorted(every) if dim.lower() == "time"), None)


def _dims(arrays: Iterable[StoredArray]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in arrays:
        for dim, size in zip(one.dims, one.shape, strict=True):
            if "/" not in one.name or dim not in found:
                found[dim] = size
    return found


def _picks(one: StoredArray, levels: Levels, box: Mapping[str, slice]) -> list[NDArray[np.int64]]:
    """The indices that are wanted along each axis of a sample."""
    found = []
    for axis in range(one.lead, len(one.shape)):
        whole = np.arange(one.shape[axis])
        if levels is None and not box:
            found.append(whole)
            continue
        wanted: Any = box.get(one.dims[axis], slice(None))
        if axis == one.vertical and levels is not None:
            wanted = levels if isinstance(levels, slice) else np.asarray(levels, np.int64)
        try:
            found.append(whole[wanted])
        except IndexError as error:
            raise ConfigError(
                f"levels: {one.name} has {one.shape[axis]}, numbered from 0; {levels} are not all among them."
            ) from error
    return found


def _suits(
    name: str, given: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """An array of the caller's, if a sample of it lies in one piece."""
    joined = not len(given) or (given[0].ndim == 0 or given[0].flags.c_contiguous)
    if given.shape != shape or given.dtype != dtype or not joined or not given.flags.writeable:
        raise ConfigError(
            f"out: {name} needs a writeable array of {dtype} and shape {shape} with each sample in one "
            f"piece, and it is of {given.dtype} and {given.shape}."
        )
    return given


def _copy_small(
    one: StoredArray,
    values: NDArray[Any],
    rows: NDArray[np.int64],
    picks: Sequence[NDArray[np.int64]],
    target: NDArray[Any],
    missing: Missing,
) -> None:
    """Rows of an array that is in memory as a whole."""
    lead = tuple(rows[:, i] for i, there in enumerate((one.member, one.time)) if there)
    taken = values[lead] if lead else np.broadcast_to(values, (len(rows), *one.own))
    for axis, pick in enumerate(picks, 1):
        taken = np.take(taken, pick, axis)
    target[...] = one.meaning(taken) if missing == "nan" and one.stored.kind != "O" else taken
