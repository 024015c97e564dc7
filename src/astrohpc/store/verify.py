"""Prove a store against its sources, at any later time: every chunk, every known value, and what is missing.

A chunk that was taken over as it lay in its file is held against that file's own checksum, so that
nothing is inflated twice; all others are made again and compared.
"""

import contextlib
import json
import math
import os
import zlib
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.clock import Clock
from astrohpc.errors import ConfigError
from astrohpc.files import exclusive
from astrohpc.settings import build
from astrohpc.store.agree import Refusal
from astrohpc.store.codec import Damaged
from astrohpc.store.convert import cores, look_at_all, losses_of
from astrohpc.store.crew import share_out
from astrohpc.store.journal import FOLDER, Done, merge_journals, read_journal, read_record
from astrohpc.store.metadata import nodes_of, small_chunk
from astrohpc.store.plan import Plan, PlannedArray
from astrohpc.store.planning import make_plan
from astrohpc.store.progress import Progress
from astrohpc.store.ranks import Ranks
from astrohpc.store.schema import META, RANGE, read_metadata
from astrohpc.store.settings import StoreSettings
from astrohpc.store.shard import cut, read_chunk
from astrohpc.store.shard_index import read_index
from astrohpc.store.source import BadSource
from astrohpc.store.target import ABOUT, LOCK, Request, is_store
from astrohpc.store.tasks import Direct, Task, box, direct, make_tasks
from astrohpc.store.values import Readers, shard_values

_REMEDY = "convert again"
_TRAILER = 4  # of a zlib stream: Adler-32, big-endian


@dataclass(frozen=True)
class Verdict:
    """What a verification found; ``wrong`` in the order of the store, the first difference first."""

    shards: int
    chunks: int
    wrong: tuple[str, ...]
    refused: tuple[Refusal, ...]  # what the store does not claim to hold


class _Prover:
    """What one thread needs to hold shards against their sources."""

    def __init__(self, plan: Plan, store: Path, noted: dict[str, Done]) -> None:
        self.plan, self.store, self.noted = plan, store, noted
        self.readers = Readers(plan)

    def prove(self, task: Task) -> tuple[int, str]:
        """How many chunks the shard has, and the first difference in words."""
        array = self.plan.arrays[task.array]
        spec = array.spec
        path = self.store / spec.key(task.index)
        done = self.noted.get(spec.key(task.index))
        if done is None:
            return 0, f"{path}: was never made; convert again"
        count = math.prod(spec.per_shard)
        try:
            index = read_index(path, count)
            spans = direct(self.plan, array, task.index)
            if spans is not None and spec.codec.name != "deflate":
                wrong = self._against_bytes(path, array, spans, index)
            else:
                wrong = self._against_values(path, array, task.index, index)
        except BadSource as error:
            return count, str(error)
        except Damaged as error:
            what = str(error).removeprefix(f"{path}: ").rpartition(";")[0]
            return count, f"{path}: {what}; {_REMEDY}"
        except FileNotFoundError:
            return count, f"{path}: is gone; {_REMEDY}"
        except OSError as error:
            return count, f"{error.filename or path}: cannot be read ({error.strerror})"
        if not wrong and done.digest != task.digest:
            wrong = f"{path}: its source was written again since, with the same values; {_REMEDY}"
        return count, wrong

    def _against_bytes(
        self, path: Path, array: PlannedArray, spans: Direct, index: NDArray[np.int64]
    ) -> str:
        spec = array.spec
        files = [os.open(one, os.O_RDONLY) for one in spans.files]
        try:
            for number, (row, span) in enumerate(zip(spans.table, index, strict=True)):
                source, offset, nbytes = (int(one) for one in row)
                values = read_chunk(
                    path, span, codec=spec.codec, dtype=spec.dtype, chunk_shape=spec.chunk
                )
                if (offset < 0) != (values is None):
                    what = "is missing" if values is None else "is there, and no source has it"
                    return f"{path}: chunk {number} {what}; convert again"
                if values is None:
                    continue
                raw = _as_in_file(values, spans)
                if spans.deflate:
                    expected = int.from_bytes(
                        os.pread(files[source], _TRAILER, offset + nbytes - _TRAILER), "big"
                    )
                    same = zlib.adler32(raw) == expected
                else:
                    same = os.pread(files[source], nbytes, offset) == raw
                if not same:
                    name = array.usual.path if array.usual else spec.path
                    return (
                        f"{path}: chunk {number} of {name} is not what {spans.files[source]} has at byte "
                        f"{offset}; convert again"
                    )
        finally:
            for one in files:
                os.close(one)
        return ""

    def _against_values(
        self, path: Path, array: PlannedArray, index: Sequence[int], table: NDArray[np.int64]
    ) -> str:
        spec = array.spec
        expected, _ = shard_values(array, index, self.readers)
        chunks = cut(expected, spec.per_shard, spec.chunk, spec.fill)
        for number, (wanted, span) in enumerate(zip(chunks, table, strict=True)):
            values = read_chunk(
                path, span, codec=spec.codec, dtype=spec.dtype, chunk_shape=spec.chunk
            )
            if wanted is None:
                continue
            if values is None:
                return f"{path}: chunk {number} is missing; convert again"
            if values.tobytes() != wanted.tobytes():
                place = self._place(array, index, number, np.asarray(values), wanted)
                return f"{path}: {spec.path}{place}; convert again"
        return ""

    def _place(
        self,
        array: PlannedArray,
        index: Sequence[int],
        number: int,
        values: NDArray[Any],
        wanted: NDArray[Any],
    ) -> str:
        spec = array.spec
        where = np.unravel_index(number, spec.per_shard)
        differ = np.flatnonzero(
            values.reshape(-1).view(np.uint8).reshape(values.size, -1)
            != wanted.reshape(-1).view(np.uint8).reshape(wanted.size, -1)
        )
        inside = np.unravel_index(int(differ[0]) // values.itemsize, spec.chunk)
        starts = [first for first, _ in box(array, index)]
        place = [
            s + int(w) * c + int(i)
            for s, w, c, i in zip(starts, where, spec.chunk, inside, strict=True)
        ]
        return f"[{', '.join(map(str, place))}] is {values[inside]} and should be {wanted[inside]}"

    def close(self) -> None:
        self.readers.close()


def _as_in_file(values: NDArray[Any], spans: Direct) -> bytes:
    """Stored values as the source has them inflated: its byte order, and byte planes if it shuffles."""
    raw = np.ascontiguousarray(values, spans.dtype).reshape(-1).view(np.uint8)
    if spans.shuffle:
        return raw.reshape(-1, spans.dtype.itemsize).T.tobytes()
    return raw.tobytes()


def as_made(store: Path, settings: StoreSettings) -> StoreSettings:
    """The settings that a store was made with; of ``settings`` only how fast to go about it."""
    about = read_record(store, ABOUT) if is_store(store) else None
    if about is None:
        raise ConfigError(f"{store}: is no store of ours; name one that 'launch convert' made.")
    return build(StoreSettings, {**asdict(settings), **about["settings"]}, "store")


def verify(
    request: Request,
    ranks: Ranks,
    clock: Clock,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> Verdict | None:
    """Hold the store against its sources; the verdict at rank 0, None at the others."""
    request = replace(request, settings=as_made(request.target, request.settings))
    if not is_store(request.target):
        raise ConfigError(
            f"{request.target}: is no store of ours; name one that 'launch convert' made."
        )
    looks = look_at_all(request, ranks, say)
    plan = None
    if ranks.rank == 0:
        plan = make_plan(
            request.members,
            looks or {},
            request.settings,
            int((read_record(request.target, ABOUT) or {})["shard_bytes"]),
        )
    plan = ranks.share(plan)
    assert plan is not None
    tasks = make_tasks(plan, request.settings)
    noted = read_journal(request.target)
    provers = [_Prover(plan, request.target, noted) for _ in range(cores(request, ranks))]
    progress = Progress(sum(task.nbytes for task in tasks), clock, say)
    found: list[tuple[int, int, str]] = []

    def note(number: int, result: tuple[int, str]) -> None:
        found.append((number, *result))
        progress.at(ranks.add(tasks[number].nbytes))

    try:
        share_out(len(tasks), provers, lambda prover, n: prover.prove(tasks[n]), note, ranks, stop)
    finally:
        for prover in provers:
            prover.close()
    gathered = ranks.gather(found)
    if gathered is None:
        return None
    results = [one for part in gathered for one in part]
    shards = sorted(
        (plan.arrays[tasks[n].array].spec.key(tasks[n].index), w) for n, _, w in results if w
    )
    wanted = {plan.arrays[task.array].spec.key(task.index) for task in tasks}
    orphans = [
        f"{request.target / key}: no source has it any more; convert again, which removes it"
        for key in sorted(noted.keys() - wanted)
    ]
    gaps = {
        plan.arrays[task.array].spec.path
        for task in tasks
        if plan.arrays[task.array].spec.key(task.index) not in noted
    }
    losses = losses_of(noted.values())
    # An array with gaps says so, unless the journal that would tell of them was lost.
    either = [nodes_of(plan, gaps=one, losses=losses) for one in ((), gaps)]
    _strike(request.target, noted, {key for key, _ in shards})
    wrong = [*_metadata(request.target, plan, either), *(text for _, text in shards), *orphans]
    return Verdict(len(results), sum(count for _, count, _ in results), tuple(wrong), plan.refused)


def _strike(store: Path, noted: Mapping[str, Done], keys: Set[str]) -> None:
    """Shards that are wrong count no longer as done, so that converting again makes them again."""
    if not keys:
        return
    with contextlib.suppress(OSError), exclusive(store / FOLDER / LOCK) as ours:
        if ours:  # else a conversion is at it, and its journal must not be touched
            merge_journals(store, [done for key, done in noted.items() if key not in keys])


def _metadata(store: Path, plan: Plan, either: Sequence[Mapping[str, dict[str, Any]]]) -> list[str]:
    """Arrays whose metadata or known values are not what the sources say."""
    wrong = []
    nodes = {path: _without_range(read_metadata(store / path)) for path in either[0]}
    for path, found in nodes.items():
        wanted = [json.loads(json.dumps(one[path])) for one in either]
        if found is None:
            wrong.append(f"{store / path}: its metadata are missing or broken; {_REMEDY}")
        elif found not in wanted:
            wrong.append(f"{store / path}: its {_differing(found, wanted[-1])}; {_REMEDY}")
    root = (read_metadata(store) or {}).get("consolidated_metadata")
    if root is None:
        wrong.append(f"{store}: its conversion did not come to its end; {_REMEDY}")
    elif {path: _without_range(node) for path, node in root.get("metadata", {}).items()} != nodes:
        wrong.append(f"{store / META}: is not what the arrays themselves say; {_REMEDY}")
    for array in plan.arrays:
        spec = array.spec
        if array.values is not None and array.values.size:
            chunk = store / spec.key((0,) * len(spec.shape))
            if not chunk.is_file() or chunk.read_bytes() != small_chunk(array.values):
                wrong.append(
                    f"{chunk}: the values of {spec.path} are not those of the sources; {_REMEDY}"
                )
    return wrong


def _without_range(node: dict[str, Any] | None) -> dict[str, Any] | None:
    """Metadata without what statistics added to them."""
    if node is None or RANGE not in node.get("attributes", {}):
        return node
    kept = {name: value for name, value in node["attributes"].items() if name != RANGE}
    return {**node, "attributes": kept}


def _differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The first difference of two nodes' metadata."""
    for name in wanted:
        if found.get(name) != wanted[name]:
            if name == "attributes" and isinstance(found.get(name), Mapping):
                return "attribute " + _differing(found[name], wanted[name])
            return f"{name} is {found.get(name)!r} and should be {wanted[name]!r}"
    return f"{', '.join(found.keys() - wanted.keys())} is of no source"
