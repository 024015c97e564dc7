"""Making one shard: straight from source bytes, or through numpy; to a temporary name, then renamed."""

import os
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from astrohpc.store.journal import Done
from astrohpc.store.missing import needed_fill
from astrohpc.store.plan import Plan, PlannedArray
from astrohpc.store.rounding import Losses
from astrohpc.store.scan import changed
from astrohpc.store.shard import ShardWritten, Worker, write_direct, write_values
from astrohpc.store.source import BadSource
from astrohpc.store.tasks import Direct, Task, direct, parts_of
from astrohpc.store.values import Readers, shard_values

_OPEN = 64  # file descriptors that a thread keeps, beyond those of one shard
TEMPORARY = ".part"


@dataclass(frozen=True)
class Made:
    """A shard, and in sentences what is missing in it although a file should have it."""

    done: Done
    refused: tuple[str, ...]


def _without(array: PlannedArray, source: int) -> PlannedArray:
    """The array as if a file had nothing of it; what it should have had is missing, and said so."""
    fill, attrs = needed_fill(array.spec.dtype, array.spec.fill, dict(array.spec.attrs))
    return replace(
        array,
        spec=replace(array.spec, fill=fill, attrs=attrs),
        pieces=tuple(piece for piece in array.pieces if piece.source != source),
    )


class Maker:
    """What one thread needs to make shards."""

    def __init__(
        self,
        plan: Plan,
        store: Path,
        name: str,
        *,
        native: bool | None = None,
        room: AbstractContextManager[Any] | None = None,
    ) -> None:
        self.plan, self.store, self.name = plan, store, name
        self.room = room or nullcontext()  # held while a whole shard's values are in memory
        self.worker = Worker(native)
        self.readers = Readers(plan)
        self._files: OrderedDict[Path, int] = OrderedDict()

    def make(self, task: Task) -> Made:
        """Write the task's shard, without the files that cannot give their part of it.

        BadSource where none of them can.
        """
        array = self.plan.arrays[task.array]
        refused: dict[int, str] = {}
        while True:
            try:
                return Made(self._make(task, array), tuple(refused.values()))
            except BadSource as error:
                sources = {part.piece.source for part in parts_of(array, task.index)}
                bad = next((i for i in sources if self._is_of(i, error)), None)
                if bad is None or sources == {bad}:
                    raise
                refused[bad] = str(error)
                array = _without(array, bad)

    def _is_of(self, source: int, error: BadSource) -> bool:
        return str(error).startswith(f"{self.plan.looks[source].source.path}: ")

    def _make(self, task: Task, array: PlannedArray) -> Done:
        key = array.spec.key(task.index)
        target = self.store / key
        temporary = target.with_name(f".{target.name}.{self.name}{TEMPORARY}")
        try:
            spans = direct(self.plan, array, task.index)
            if spans is not None:
                written, losses = self._direct(temporary, array, spans), Losses()
            else:
                with self.room:
                    written, losses = self._values(temporary, array, task.index)
            self._unchanged(array, task.index)
            temporary.replace(target)
        except BadSource:
            self._unchanged(array, task.index)  # that is then the reason of all else
            raise
        finally:
            temporary.unlink(missing_ok=True)
        return Done(
            array.spec.path,
            key,
            task.digest,
            written.nbytes,
            written.checks,
            written.statistics,
            spans is not None,
            losses,
        )

    def _direct(self, target: Path, array: PlannedArray, spans: Direct) -> ShardWritten:
        return write_direct(
            target,
            self._open(spans.files),
            spans.table,
            dtype=spans.dtype,
            chunk_shape=spans.chunk,
            deflate=spans.deflate,
            shuffle=spans.shuffle,
            codec=array.spec.codec,
            fill=array.spec.fill,
            worker=self.worker,
        )

    def _values(
        self, target: Path, array: PlannedArray, index: Sequence[int]
    ) -> tuple[ShardWritten, Losses]:
        values, losses = shard_values(array, index, self.readers)
        written = write_values(
            target,
            values,
            shard_chunks=array.spec.per_shard,
            chunk_shape=array.spec.chunk,
            codec=array.spec.codec,
            fill=array.spec.fill,
            worker=self.worker,
        )
        return written, losses

    def _unchanged(self, array: PlannedArray, index: Sequence[int]) -> None:
        for part in parts_of(array, index):
            source = self.plan.looks[part.piece.source].source
            if changed(source):
                where = f"{source.path}: {part.piece.variable.path}"
                if not source.path.exists():
                    raise BadSource(
                        f"{where}: is gone since its header was read; put the file back"
                    )
                raise BadSource(
                    f"{where}: changed while it was read; convert again when nothing writes to it"
                )

    def _open(self, paths: Sequence[Path]) -> list[int]:
        """Descriptors of these files; of others only so many are kept."""
        if len(self._files) + len(paths) > _OPEN:
            needed = set(paths)
            for path in [path for path in self._files if path not in needed]:
                if len(self._files) + len(paths) <= _OPEN:
                    break
                os.close(self._files.pop(path))
        for path in paths:
            if path not in self._files:
                try:
                    self._files[path] = os.open(path, os.O_RDONLY)
                except OSError as error:
                    raise BadSource(
                        f"{path}: cannot be read ({error.strerror}); mend its rights or leave it out"
                    ) from error
            self._files.move_to_end(path)
        return [self._files[path] for path in paths]

    def close(self) -> None:
        """Close all files."""
        self.readers.close()
        while self._files:
            os.close(self._files.popitem()[1])
