"""Saving beside training: the loop waits for next to nothing.

Weights and what belongs to them change in the optimiser's step alone. So a thread copies them to the
host's memory while the next step computes its gradients, and only that step's end waits for the copy.

Each rank writes its files into a folder without a name and says so there; when all have, rank 0 adds
the manifest and gives the folder its name. Ranks meet by files and not by messages, because messages
of another thread would mix with those of the training. That a save has failed they tell each other
between steps (:func:`settle`), so that all end with the same words.
"""

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from astrohpc.errors import ConfigError
from astrohpc.files import readable_failures, write_atomic
from astrohpc.train.checkpoint import (
    MANIFEST,
    PLAIN,
    TENSORS,
    Manifest,
    folder_of,
    publish,
    tidy,
)
from astrohpc.train.engines.base import Engine
from astrohpc.train.migrate import VERSION
from astrohpc.train.tensorfile import write_tensors

_LOOK_S = 0.02  # between looks for what other ranks have written


class _Abandoned(Exception):
    """Another rank could not write its part."""


@dataclass(frozen=True)
class Snapshot:
    """What one rank has to save of one moment: by file its tensors, or what JSON says."""

    step: int
    tensors: Mapping[str, Mapping[str, torch.Tensor]]
    plain: Mapping[str, Any]
    made_of: Mapping[str, Any]
    score: float | None = None


@dataclass
class Saver:
    """Saves for one rank. One save at a time: a second one waits for the first."""

    checkpoints: Path
    rank: int
    ranks: int
    keep: int
    patience_s: float = 1800.0  # for the slowest rank
    stall_s: float = 0.0  # that the loop waited for the newest save
    write_s: float = 0.0  # that the newest finished one took beside it
    _thread: threading.Thread | None = None
    _copied: threading.Event = field(default_factory=threading.Event)
    _own_ended: threading.Event = field(default_factory=threading.Event)
    _abandoned: threading.Event = field(default_factory=threading.Event)
    _part: Path | None = None
    _failure: Exception | None = None
    _host: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)

    def save(self, snapshot: Snapshot) -> None:
        """Begin to copy and write; ConfigError if the save before this one failed.

        Until :meth:`before_change` the tensors of the snapshot must stay as they are.
        """
        begun = time.perf_counter()
        self.wait()
        ready = None
        if torch.cuda.is_available():
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record()
        for event in (self._copied, self._own_ended, self._abandoned):
            event.clear()
        self._part = self.checkpoints / f".part-{folder_of(self.checkpoints, snapshot.step).name}"
        self._thread = threading.Thread(
            target=self._save, args=(snapshot, ready), name="checkpoint"
        )
        self._thread.start()
        self.stall_s = time.perf_counter() - begun

    def before_change(self) -> None:
        """Wait until the copy is made; whoever is about to change weights calls it."""
        if self._thread is not None and not self._copied.is_set():
            begun = time.perf_counter()
            self._copied.wait()
            self.stall_s += time.perf_counter() - begun

    def failed(self) -> bool:
        """Whether the newest save has failed, as far as one knows."""
        return self._failure is not None

    @property
    def busy(self) -> bool:
        """Whether there is a save that nobody has waited for; alike on all ranks."""
        return self._thread is not None

    def wait_for_own(self) -> None:
        """Until this rank's part is on the disk, or has failed; the whole may take longer."""
        if self._thread is not None:
            self._own_ended.wait()

    def abandon(self) -> None:
        """Wait for no other rank's part any more."""
        self._abandoned.set()

    def discard(self) -> None:
        """Remove what a failed save has left; when no rank writes any more."""
        if self.rank == 0 and self._part is not None:
            shutil.rmtree(self._part, ignore_errors=True)

    def wait(self) -> None:
        """Until all is on the disk; ConfigError says what went wrong."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _save(self, snapshot: Snapshot, ready: "torch.cuda.Event | None") -> None:
        begun = time.perf_counter()
        try:
            try:
                host = self._copy(snapshot, ready)
            finally:
                self._copied.set()
            self._write(
                Snapshot(snapshot.step, host, snapshot.plain, snapshot.made_of, snapshot.score)
            )
        except _Abandoned:
            pass
        except Exception as error:  # noqa: BLE001 - the loop raises it
            self._failure = error
        finally:
            self._own_ended.set()
        self.write_s = time.perf_counter() - begun

    def _copy(
        self, snapshot: Snapshot, ready: "torch.cuda.Event | None"
    ) -> dict[str, dict[str, torch.Tensor]]:
        """A copy in host memory; on a GPU beside what it computes."""
        if ready is None:
            return {name: self._to_host(name, one) for name, one in snapshot.tensors.items()}
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(beside):
            beside.wait_event(ready)
            host = {name: self._to_host(name, one) for name, one in snapshot.tensors.items()}
        beside.synchronize()
        return host

    def _to_host(self, file: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A copy; into that of the save before, which is written by now."""
        kept = self._host.get(file, {})
        found = {}
        for name, tensor in tensors.items():
            room = kept.get(name)
            if room is None or room.shape != tensor.shape or room.dtype != tensor.dtype:
                room = torch.empty(
                    tensor.shape, dtype=tensor.dtype, pin_memory=tensor.device.type == "cuda"
                )
            found[name] = room.copy_(tensor.detach(), non_blocking=True)
        self._host[file] = found
        return found

    def _write(self, snapshot: Snapshot) -> None:
        part = self._part
        assert part is not None
        with readable_failures(f"checkpoint of step {snapshot.step}"):
            try:
                part.mkdir(parents=True, exist_ok=True)
                files = self._files(part, snapshot)
                write_atomic(part / f"done-{self.rank:05d}", json.dumps(files), durable=True)
                self._own_ended.set()
                if self.rank == 0:
                    self._finish(part, snapshot)
            except OSError as error:
                error.filename = error.filename or str(self.checkpoints)  # a write does not say it
                raise

    def _files(self, part: Path, snapshot: Snapshot) -> dict[str, tuple[int, str]]:
        files = {}
        for name, tensors in snapshot.tensors.items():
            files[name + TENSORS] = write_tensors(part / (name + TENSORS), tensors)
        for name, plain in snapshot.plain.items():
            text = json.dumps(plain).encode()
            with (part / (name + PLAIN)).open("wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            files[name + PLAIN] = (len(text), hashlib.sha256(text).hexdigest())
        return files

    def _finish(self, part: Path, snapshot: Snapshot) -> None:
        files: dict[str, tuple[int, str]] = {}
        for rank in range(self.ranks):
            note = part / f"done-{rank:05d}"
            self._await(note, rank, snapshot.step)
            files |= {
                name: (size, seen) for name, (size, seen) in json.loads(note.read_bytes()).items()
            }
            note.unlink()
        manifest = Manifest(
            VERSION, snapshot.step, self.ranks, files, snapshot.made_of, snapshot.score
        )
        write_atomic(part / MANIFEST, manifest.text(), durable=True)
        publish(part, folder_of(self.checkpoints, snapshot.step))
        tidy(self.checkpoints, self.keep)

    def _await(self, note: Path, rank: int, step: int) -> None:
        end = time.monotonic() + self.patience_s
        while not note.exists():
            if self._abandoned.is_set():
                raise _Abandoned
            if time.monotonic() > end:
                raise ConfigError(
                    f"checkpoint of step {step}: rank {rank} has not written its part within "
                    f"{self.patience_s:g} s; is its disk well, and is the folder one that all nodes see?"
                )
            time.sleep(_LOOK_S)


def settle(saver: Saver, engine: Engine) -> float:
    """Wait until a save is on the disks of all ranks; how long this one waited.

    All ranks call it at the same step. Where one could not write, all raise the same, and nothing is left
    of that checkpoint.
    """
    if not saver.busy:
        return 0.0
    begun = time.perf_counter()
    saver.wait_for_own()
    if engine.any(saver.failed()):
        saver.abandon()  # the files of a rank that failed will not come
    try:
        engine.together(saver.wait)
    except Exception:
        saver.discard()
        raise
    return time.perf_counter() - begun
