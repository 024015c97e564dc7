"""TensorBoard's event file: one a run, however often it was interrupted.

The file only grows, for a TensorBoard that serves it reads on from where it was. Each attempt begins with
a mark from which step on its points replace those of earlier ones, which TensorBoard calls a session's
start and keeps to itself; a record that a kill cut in half is cut away, for it reads no further.
"""

import contextlib
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.shard_index import crc32c

FILE = "events.out.tfevents.0000000000.training"
_BUCKETS = 30
_T = TypeVar("_T")
_SEAM = 8  # steps; verdicts come two late


@dataclass
class Written:
    """What an event file says now, without what a later attempt has replaced."""

    scalars: dict[str, dict[int, float]] = field(default_factory=dict)  # by name, by step
    texts: dict[str, dict[int, str]] = field(default_factory=dict)
    starts: list[int] = field(default_factory=list)  # the first step of each attempt
    told: set[tuple[str, int]] = field(default_factory=set)  # everything, by name and step
    size: int = 0  # bytes, up to the first damage


class EventFile:
    """Appends to the event file of a run, which goes on after ``from_step`` steps."""

    def __init__(self, folder: Path, from_step: int, now: float) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2  # noqa: PLC0415

        self._event, self._summary, self._tensor = event_pb2, summary_pb2, tensor_pb2
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        before = written(self.path) if self.path.exists() else Written()
        # Steps at the seam are judged, and told, by who goes on: again, if a kill came after they were.
        first = from_step + 1 if from_step else 0
        self._told = {one for one in before.told if from_step - _SEAM < one[1] < first}
        self._file: BinaryIO = self.path.open("ab")
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        try:
            os.truncate(self._file.fileno(), before.size)
            if not before.size:
                self._append(event_pb2.Event(wall_time=now, file_version="brain.Event:2"))
            self._append(event_pb2.Event(wall_time=now, step=first, session_log=start))
        except OSError:
            with contextlib.suppress(OSError):  # what was not written before is not now
                self.close()
            raise

    def scalars(self, step: int, now: float, values: Mapping[str, float]) -> None:
        """Numbers of one step."""
        fresh = {tag: value for tag, value in values.items() if (tag, step) not in self._told}
        if fresh:
            made = [{"tag": tag, "simple_value": value} for tag, value in fresh.items()]
            self._write(step, now, made)

    def image(self, step: int, now: float, tag: str, png: bytes) -> None:
        """A picture."""
        width, height = struct.unpack(">II", png[16:24])  # PNG's first part says it, always there
        image = self._summary.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=png
        )
        self._write(step, now, [{"tag": tag, "image": image}])

    def histogram(self, step: int, now: float, tag: str, values: NDArray[Any]) -> None:
        """How values are distributed; what is not finite is left out."""
        known = values[np.isfinite(values)].astype(np.float64).reshape(-1)
        if not known.size:
            return
        counts, edges = np.histogram(known, _BUCKETS)
        histogram = self._summary.HistogramProto(
            min=known.min(),
            max=known.max(),
            num=known.size,
            sum=known.sum(),
            sum_squares=float(np.square(known).sum()),
            bucket_limit=edges[1:].tolist(),
            bucket=counts.tolist(),
        )
        self._write(step, now, [{"tag": tag, "histo": histogram}])

    def text(self, step: int, now: float, tag: str, words: str) -> None:
        """Markdown."""
        from tensorboard.plugins.text import metadata  # noqa: PLC0415

        tensor = self._tensor.TensorProto(dtype="DT_STRING", string_val=[words.encode()])
        about = metadata.create_summary_metadata(display_name="", description="")
        self._write(
            step, now, [{"tag": f"{tag}/text_summary", "tensor": tensor, "metadata": about}]
        )

    def close(self) -> None:
        """Nothing more comes."""
        self._file.close()

    def _write(self, step: int, now: float, values: list[dict[str, Any]]) -> None:
        made = [self._summary.Summary.Value(**value) for value in values]
        self._append(
            self._event.Event(wall_time=now, step=step, summary=self._summary.Summary(value=made))
        )

    def _append(self, event: Any) -> None:
        self._file.write(_record(event.SerializeToString()))
        self._file.flush()


def written(path: Path) -> Written:
    """Read an event file as TensorBoard does: of two attempts at a step the later one counts."""
    from tensorboard.compat.proto import event_pb2  # noqa: PLC0415

    found = Written()
    for data in records(path):
        found.size += len(data) + 16
        event = event_pb2.Event.FromString(data)
        if event.HasField("session_log"):
            found.starts.append(event.step)
            _replace(found, event.step)
        for value in event.summary.value:
            found.told.add((value.tag, event.step))
            if value.HasField("simple_value"):
                found.scalars.setdefault(value.tag, {})[event.step] = value.simple_value
            elif value.metadata.plugin_data.plugin_name == "text":
                tag = value.tag.removesuffix("/text_summary")
                words = value.tensor.string_val[0].decode()
                found.texts.setdefault(tag, {})[event.step] = words
    return found


def _replace(found: Written, first: int) -> None:
    """Forget what was written of this step and of later ones."""
    found.told = {one for one in found.told if one[1] < first}
    found.scalars = {name: _before(first, curve) for name, curve in found.scalars.items()}
    found.texts = {name: _before(first, curve) for name, curve in found.texts.items()}


def _before(first: int, curve: Mapping[int, _T]) -> dict[int, _T]:
    return {step: value for step, value in curve.items() if step < first}


def records(path: Path) -> Iterator[bytes]:
    """The whole records of an event file, up to the first that is damaged."""
    data = path.read_bytes()
    at = 0
    while at + 12 <= len(data):
        head = data[at : at + 8]
        (length,) = struct.unpack("<Q", head)
        end = at + 12 + length + 4
        if end > len(data) or data[at + 8 : at + 12] != _seal(head):
            return
        body = data[at + 12 : end - 4]
        if data[end - 4 : end] != _seal(body):
            return
        yield body
        at = end


def _record(data: bytes) -> bytes:
    head = struct.pack("<Q", len(data))
    return head + _seal(head) + data + _seal(data)


def _seal(data: bytes) -> bytes:
    """TFRecord's masked checksum."""
    check = crc32c(data)
    return struct.pack("<I", ((check >> 15 | check << 17) + 0xA282EAD8) & 0xFFFFFFFF)
