"""TensorBoard's event file: one a run, however often it was interrupted.

A run that goes on from step 1000 first takes out what an earlier attempt wrote of later steps, so that
curves have no second branch; a record that a kill cut in half goes the same way.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from astrohpc.files import write_atomic
from astrohpc.store.shard_index import crc32c

FILE = "events.out.tfevents.0000000000.training"
_BUCKETS = 30
_SEAM = 8  # steps; verdicts come two late


class EventFile:
    """Appends to the event file of a run; ``from_step`` is the first step that is yet to come."""

    def __init__(self, folder: Path, from_step: int) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2  # noqa: PLC0415

        self._event, self._summary, self._tensor = event_pb2, summary_pb2, tensor_pb2
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        # Steps at the seam are judged, and told, by who goes on: again, if a kill came after they were.
        self._told: set[tuple[str, int]] = set()
        kept = b"".join(self._kept(from_step)) if self.path.exists() else b""
        if not kept:
            kept = _record(event_pb2.Event(file_version="brain.Event:2").SerializeToString())
        write_atomic(self.path, kept)
        self._file: BinaryIO = self.path.open("ab")

    def scalars(self, step: int, now: float, values: Mapping[str, float]) -> None:
        """Numbers of one step."""
        fresh = {tag: value for tag, value in values.items() if (tag, step) not in self._told}
        if fresh:
            made = [{"tag": tag, "simple_value": value} for tag, value in fresh.items()]
            self._write(step, now, made)

    def image(self, step: int, now: float, tag: str, pixels: NDArray[np.uint8]) -> None:
        """A picture, [row, column, 3]."""
        height, width, _ = pixels.shape
        image = self._summary.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=png(pixels)
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
        event = self._event.Event(
            wall_time=now, step=step, summary=self._summary.Summary(value=made)
        )
        self._file.write(_record(event.SerializeToString()))
        self._file.flush()

    def _kept(self, from_step: int) -> Iterator[bytes]:
        for data in records(self.path):
            event = self._event.Event.FromString(data)
            if event.step <= from_step:
                if event.step > from_step - _SEAM:
                    self._told |= {(value.tag, event.step) for value in event.summary.value}
                yield _record(data)


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


def scalars_of(path: Path) -> dict[str, dict[int, float]]:
    """All curves of an event file: by name, by step."""
    from tensorboard.compat.proto import event_pb2  # noqa: PLC0415

    found: dict[str, dict[int, float]] = {}
    for data in records(path):
        event = event_pb2.Event.FromString(data)
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A picture as PNG."""
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = pixels.reshape(height, -1)

    def part(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(rows.tobytes(), 6)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", body) + part(b"IEND", b"")


def _record(data: bytes) -> bytes:
    head = struct.pack("<Q", len(data))
    return head + _seal(head) + data + _seal(data)


def _seal(data: bytes) -> bytes:
    """TFRecord's masked checksum."""
    check = crc32c(data)
    return struct.pack("<I", ((check >> 15 | check << 17) + 0xA282EAD8) & 0xFFFFFFFF)
