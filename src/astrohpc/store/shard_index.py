"""The index at the end of a shard: where each inner chunk lies, with a checksum."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.codec import Damaged

ENTRY_BYTES, CHECKSUM_BYTES = 16, 4
ABSENT = 2**64 - 1  # in both places of an entry: the chunk is all fill


def crc32c(data: bytes) -> int:
    """The checksum of Zarr's shard indices."""
    import google_crc32c  # noqa: PLC0415 - comes with zarr

    value: Any = google_crc32c.value(data)
    return int(value)


def index_bytes(offsets: NDArray[np.int64], nbytes: NDArray[np.int64]) -> bytes:
    """The index as it stands in the file; an offset of -1 is an absent chunk."""
    table = np.full((len(offsets), 2), ABSENT, "<u8")
    there = offsets >= 0
    table[there, 0], table[there, 1] = offsets[there], nbytes[there]
    data = table.tobytes()
    return data + crc32c(data).to_bytes(CHECKSUM_BYTES, "little")


def read_index(path: Path, n_chunks: int) -> NDArray[np.int64]:
    """Offset and length of each inner chunk, (-1, 0) where it is absent, or :class:`Damaged`.

    Only the end of the file is read: the checksum is right and all spans lie before the index.
    """
    length = n_chunks * ENTRY_BYTES + CHECKSUM_BYTES
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < length:
            raise Damaged(
                f"{path}: has {size} bytes, fewer than the index of {n_chunks} chunks; "
                "remove it and convert again."
            )
        file.seek(size - length)
        data = file.read(length)
    body, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if crc32c(body).to_bytes(CHECKSUM_BYTES, "little") != checksum:
        raise Damaged(
            f"{path}: its index does not have its checksum, so it was cut or changed; "
            "remove it and convert again."
        )
    table = np.frombuffer(body, "<u8").reshape(n_chunks, 2)
    absent = (table == ABSENT).all(axis=1)
    room = np.uint64(size - length)
    start, span = table[~absent, 0], table[~absent, 1]
    if (start > room).any() or (span > room - np.minimum(start, room)).any():
        raise Damaged(f"{path}: its index points outside of the file; remove it and convert again.")
    spans = np.full((n_chunks, 2), (-1, 0), np.int64)
    spans[~absent] = table[~absent]
    return spans


def check_shard(path: Path, n_chunks: int) -> int:
    """Bytes of a shard whose index is sound and whose chunks fill the file without gap or overlap."""
    spans = read_index(path, n_chunks)
    there = spans[spans[:, 0] >= 0]
    order = there[np.argsort(there[:, 0], kind="stable")]
    ends = np.cumsum(order[:, 1])
    size = path.stat().st_size
    room = size - n_chunks * ENTRY_BYTES - CHECKSUM_BYTES
    if (order[:, 0] != np.concatenate([[0], ends])[:-1]).any() or (
        ends[-1] if ends.size else 0
    ) != room:
        raise Damaged(
            f"{path}: has gaps or overlaps between its chunks; remove it and convert again."
        )
    return size
