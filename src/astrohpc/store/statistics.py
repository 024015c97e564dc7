"""Statistics of a store, computed once after its conversion: weighted mean, variance, quantiles.

They stand in ``.astrohpc/statistics.json``, which :func:`read_statistics` reads, and the bounds of each
variable in its attribute ``actual_range``, which xarray's users see. All numbers are the same bits on
any number of ranks and threads: moments of fixed blocks are merged in one order, and counts by size
are whole numbers.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic
from astrohpc.kernels import moments as kernel
from astrohpc.store import sizes
from astrohpc.store.crew import share_out
from astrohpc.store.journal import FOLDER, Done, read_journal, read_record
from astrohpc.store.layout import MIB, Axes, choose_shard
from astrohpc.store.ranks import Ranks
from astrohpc.store.reader import Store
from astrohpc.store.schema import RANGE, read_metadata, write_metadata
from astrohpc.store.stored import StoredArray
from astrohpc.store.weights import Weighting, cell_dims, is_weight, weighting

FILE = "statistics.json"
_VERSION = 1
_BOX_BYTES, _TASK_BYTES = 4 * MIB, 64 * MIB  # decoded at once, and by one task

Array = NDArray[np.float64]
Box = tuple[slice, ...]


@dataclass(frozen=True)
class _Task:
    """Some boxes of one array, always the same ones whoever computes."""

    name: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, eq=False)
class _Job:
    """What is to be done: by array the digest of what it is made of, and its bounds if known."""

    digests: Mapping[str, str]
    bounds: Mapping[str, tuple[float, float]]


def compute(
    store: Path,
    ranks: Ranks,
    threads: int,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> Mapping[str, Any] | None:
    """Statistics of all floating variables by name, at rank 0; None elsewhere, or if we were stopped.

    Arrays whose shards are as they were keep their numbers, and nothing of them is read.
    """
    # Only rank 0 has waited until the store was finished, and a network's file system may show others
    # what was there before.
    root = ranks.share(read_metadata(store) if ranks.rank == 0 else None)
    with Store.open(store, threads=1, root=root) as opened:
        before, job = ranks.share(_look(opened) if ranks.rank == 0 else None)
        kept = {
            name: before[name]
            for name, digest in job.digests.items()
            if before.get(name, {}).get("digest") == digest
        }
        todo = [name for name in job.digests if name not in kept]
        found: dict[str, Any] = {}
        if todo:
            if ranks.rank == 0:
                say(f"statistics of {len(todo)} variables")
            bounds = dict(job.bounds)
            unknown = [name for name in todo if name not in bounds]
            if unknown:  # passed through unread: a reading for the bounds comes first
                first = _reading(opened, unknown, {}, ranks, threads, stop)
                if first is None:
                    return None
                bounds |= ranks.share({name: _bounds(rows) for name, (rows, _) in first.items()})
            results = _reading(opened, todo, bounds, ranks, threads, stop)
            if results is None:
                return None
            for name, (rows, weights) in results.items():
                one = opened.arrays[name]
                made = _summary(rows, weights, sizes.steps(*bounds[name]), one)
                found[name] = {
                    "digest": job.digests[name],
                    "weight": weighting(opened, one).name,
                    **made,
                }
        if ranks.rank != 0:
            return None
        together = {name: kept.get(name) or found[name] for name in job.digests}
        _write(store, opened, together)
        return together


def read_statistics(store: Path) -> Mapping[str, Any]:
    """What was computed, by variable; ConfigError where nothing was."""
    record = read_record(store, FILE)
    if record is None or record.get("version") != _VERSION:
        raise ConfigError(f"{store}: has no statistics; run 'launch convert' on it again.")
    found: Mapping[str, Any] = record["variables"]
    return found


# ----------------------------------------------------------------------------- what is to be done
def _look(store: Store) -> tuple[Mapping[str, Any], _Job]:
    """What is known of an earlier time, and what there is now."""
    try:
        before = read_statistics(store.path)
    except ConfigError:
        before = {}
    shards: dict[str, list[Done]] = {}
    for done in read_journal(store.path).values():
        shards.setdefault(done.path, []).append(done)
    digests, bounds = {}, {}
    for name, one in store.arrays.items():
        if not _counts(store, one):
            continue
        parts = [name, *weighting(store, one).made_of]
        digests[name] = _digest(store, parts, shards)
        known = _known_bounds(one, shards.get(name, []))
        if known is not None:
            bounds[name] = known
    return before, _Job(digests, bounds)


def _counts(store: Store, one: StoredArray) -> bool:
    """Whether it is a quantity on the cells of the planet."""
    if one.meant.kind != "f" or not one.own or not all(one.shape) or is_weight(store, one.name):
        return False
    return one.shard is not None or len(cell_dims(one)) > 1


def _known_bounds(one: StoredArray, noted: Sequence[Done]) -> tuple[float, float] | None:
    """The bounds that the conversion saw; None if it did not look at all values, or at other ones."""
    if not noted or any(done.statistics.count == 0 for done in noted):
        return None
    if one.packing is not None or any(hole != one.fill for hole in one.holes):
        return None
    lowest = min(done.statistics.minimum for done in noted)
    highest = max(done.statistics.maximum for done in noted)
    return (lowest, highest) if math.isfinite(lowest) and math.isfinite(highest) else None


def _digest(store: Store, names: Sequence[str], shards: Mapping[str, Sequence[Done]]) -> str:
    """Of the shards of these arrays, as the journal has them, and of the bytes of small ones."""
    made_of = hashlib.sha256(f"{_VERSION}".encode())
    for name in names:
        one = store.arrays[name]
        made_of.update(f"{name} {one.shape} {one.chunk} {one.meant} {one.holes}".encode())
        if one.shard is None:
            made_of.update(str(store.coordinate(name).tolist()).encode())
        for done in sorted(shards.get(name, ()), key=lambda done: done.key):
            made_of.update(f"{done.key} {done.digest} {done.nbytes}".encode())
            made_of.update(done.checks.tobytes())
    return made_of.hexdigest()[:40]


def _tasks(store: Store, names: Sequence[str]) -> list[_Task]:
    """Blocks of all arrays; they depend on shape and chunk alone, the largest arrays come first."""
    found = []
    for name in sorted(names, key=lambda name: (-math.prod(store.arrays[name].shape), name)):
        one = store.arrays[name]
        boxes = list(_boxes(one))
        each = max(1, _TASK_BYTES // max(1, _box_bytes(one)))
        found += [_Task(name, tuple(boxes[i : i + each])) for i in range(0, len(boxes), each)]
    return found


def _box_shape(one: StoredArray) -> tuple[int, ...]:
    rest = tuple(range(one.lead, len(one.shape)))
    axes = Axes(0 if one.member else None, int(one.member) if one.time else None, rest)
    return choose_shard(one.shape, one.meant.itemsize, axes, one.chunk, _BOX_BYTES)


def _box_bytes(one: StoredArray) -> int:
    return math.prod(_box_shape(one)) * one.meant.itemsize


def _boxes(one: StoredArray) -> Iterator[Box]:
    """The array in boxes of whole chunks, in C order."""
    along = [
        [slice(start, min(start + each, size)) for start in range(0, size, each)]
        for each, size in zip(_box_shape(one), one.shape, strict=True)
    ]
    yield from itertools.product(*along)


# ----------------------------------------------------------------------------- computing
def _reading(
    store: Store,
    names: Sequence[str],
    bounds: Mapping[str, tuple[float, float]],
    ranks: Ranks,
    threads: int,
    stop: Callable[[], bool],
) -> dict[str, tuple[Array, NDArray[np.int64]]] | None:
    """Read arrays once: moments by level and weights by size, at rank 0; None if we were stopped."""
    tasks = _tasks(store, names)
    weights = {name: weighting(store, store.arrays[name]) for name in names}
    steps = {
        name: sizes.steps(*bounds[name]) if name in bounds else sizes.NO_STEPS for name in names
    }
    mine: dict[int, Array] = {}
    sums = {name: np.zeros(max(1, how.n), np.int64) for name, how in steps.items()}

    def labour(_hand: int, number: int) -> tuple[Array, NDArray[np.int64]]:
        task = tasks[number]
        return _moments(store, task, weights[task.name], steps[task.name])

    def note(number: int, made: tuple[Array, NDArray[np.int64]]) -> None:
        mine[number] = made[0]
        sums[tasks[number].name] += made[1]

    stopped = share_out(len(tasks), range(threads), labour, note, ranks, stop)
    gathered = ranks.gather((mine, sums, stopped))
    stopped = ranks.share(any(part[2] for part in gathered) if gathered else None)
    if stopped:
        return None
    if gathered is None:
        return {}
    blocks = {number: rows for part in gathered for number, rows in part[0].items()}
    found: dict[str, tuple[Array, NDArray[np.int64]]] = {}
    for name in names:
        rows = kernel.nothing(_levels(store.arrays[name]))
        for number, task in enumerate(tasks):
            if task.name == name:
                rows = kernel.merged(rows, blocks[number])
        found[name] = (rows, np.sum([part[1][name] for part in gathered], axis=0))
    return found


def _levels(one: StoredArray) -> int:
    return 1 if one.vertical is None else one.shape[one.vertical]


def _moments(
    store: Store, task: _Task, weight: Weighting, steps: kernel.Steps
) -> tuple[Array, NDArray[np.int64]]:
    """Moments by level and weights by size of one task's boxes."""
    one = store.arrays[task.name]
    rows = kernel.nothing(_levels(one))
    by_size = np.zeros(max(1, steps.n), np.int64)
    shape = dict(zip(one.dims, one.shape, strict=True))
    dims = cell_dims(one)
    numbers = np.arange(math.prod(shape[dim] for dim in dims)).reshape([shape[d] for d in dims])
    for box in task.boxes:
        lead = iter(box)
        members = next(lead) if one.member else slice(0, 1)
        times = next(lead) if one.time else slice(0, 1)
        samples = np.array(
            list(
                itertools.product(
                    range(members.start, members.stop), range(times.start, times.stop)
                )
            )
        )
        inside = dict(zip(one.dims, box, strict=True))
        own = {dim: inside[dim] for dim in one.dims[one.lead :]}
        values = store.batch(samples, [one.name], box=own)[one.name]
        levels = slice(0, 1)
        if one.vertical is None:
            values = values.reshape(len(values), 1, -1)
        else:
            levels = box[one.vertical]
            values = np.moveaxis(values, one.vertical - one.lead + 1, 1)
            values = values.reshape(*values.shape[:2], -1)
        values = np.ascontiguousarray(values)
        cells = numbers[tuple(inside[dim] for dim in dims)].reshape(-1)
        pressure = None
        if weight.ps:
            across = {dim: inside[dim] for dim in dims}
            read = store.batch(samples, [weight.ps], box=across)[weight.ps]
            pressure = np.ascontiguousarray(read.reshape(len(samples), -1), np.float64)
        made = kernel.moments(
            values,
            sizes.size_bits(values, steps),
            weight.of(samples[:, 0], cells, levels, pressure),
            steps,
            by_size,
        )
        rows[levels] = kernel.merged(rows[levels], made)
    return rows, by_size


def _bounds(rows: Array) -> tuple[float, float]:
    return float(rows[:, kernel.LOWEST].min()), float(rows[:, kernel.HIGHEST].max())


# ----------------------------------------------------------------------------- results
def _summary(
    rows: Array, by_size: NDArray[np.int64], how: kernel.Steps, one: StoredArray
) -> dict[str, Any]:
    """The numbers of one variable as JSON; those of its levels, and of all of them together."""
    whole = kernel.nothing(1)
    for row in rows:
        whole = kernel.merged(whole, row[None])
    lowest, highest = _bounds(rows)
    made: dict[str, Any] = _numbers(whole[0])
    if by_size.sum() and how.n:
        made["quantiles"] = sizes.quantiles(by_size, how, lowest, highest)
        made["quantiles_error"] = dict(sizes.error_bound(how, lowest, highest))
    if one.vertical is not None:
        levels = [_numbers(row) for row in rows]
        made["levels"] = {name: [level[name] for level in levels] for name in levels[0]}
    return made


def _numbers(row: Array) -> dict[str, Any]:
    weighted = row[kernel.WEIGHT] > 0
    there = row[kernel.COUNT] > row[kernel.MISSING]
    return {
        "count": int(row[kernel.COUNT]),
        "missing": int(row[kernel.MISSING]),
        "minimum": _finite(row[kernel.LOWEST]) if there else None,
        "maximum": _finite(row[kernel.HIGHEST]) if there else None,
        "mean": _finite(row[kernel.MEAN]) if weighted else None,
        "variance": _finite(row[kernel.SQUARES] / row[kernel.WEIGHT]) if weighted else None,
    }


def _finite(number: float) -> float | None:
    """JSON has no infinities."""
    return float(number) if math.isfinite(number) else None


def _write(store: Path, opened: Store, found: Mapping[str, Any]) -> None:
    """The file first; then the bounds in each array's attributes, and in the root's copy of them."""
    record = {"version": _VERSION, "variables": found}
    text = json.dumps(record, sort_keys=True, indent=1, allow_nan=False)
    path = store / FOLDER / FILE
    path.parent.mkdir(exist_ok=True)
    if not (path.is_file() and path.read_text(encoding="utf-8") == text):
        write_atomic(path, text, durable=True)
    root = read_metadata(store)
    assert root is not None
    nodes = root["consolidated_metadata"]["metadata"]
    for name, numbers in found.items():
        bounds = [numbers["minimum"], numbers["maximum"]]
        if opened.arrays[name].packing is not None or None in bounds:
            continue  # CF wants it as packed as the values
        nodes[name]["attributes"][RANGE] = bounds
        write_metadata(store / name, nodes[name])
    write_metadata(store, root)
