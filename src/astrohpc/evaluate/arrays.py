"""Arrays in a file that nothing of can be executed: safetensors, without torch, which many do without.

Eight bytes say how long the header is, the header (JSON) says name, type, shape and place of each array,
and then come their bytes. :mod:`astrohpc.train.tensorfile` has the same for a trainer's tensors.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}
_WORDS = {np.dtype(code): word for word, code in _TYPES.items()}


class Damaged(ValueError):
    """Bytes are not what they should be; the sentence says what is wrong."""


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The file's bytes."""
    header: dict[str, Any] = {}
    pieces: list[bytes] = []
    end = 0
    for name, array in arrays.items():
        whole = np.asarray(array)  # of no axes it keeps none
        piece = whole.astype(whole.dtype.newbyteorder("<"), copy=False).tobytes()
        begin, end = end, end + len(piece)
        header[name] = {
            "dtype": _WORDS[whole.dtype.newbyteorder("<")],
            "shape": list(whole.shape),
            "data_offsets": [begin, end],
        }
        pieces.append(piece)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *pieces])


def unpacked(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays by name, read-only; Damaged where the bytes are none of ours."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 10 or not 2 <= length <= len(data) - 8:
        raise Damaged("its header is damaged")
    try:
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        return {name: _array(one, data, 8 + length) for name, one in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"its header is damaged ({error})") from error


def _array(one: Mapping[str, Any], data: bytes, start: int) -> NDArray[Any]:
    dtype, shape = np.dtype(_TYPES[one["dtype"]]), tuple(int(n) for n in one["shape"])
    begin, end = one["data_offsets"]
    count = int(np.prod(shape, dtype=np.int64))
    if not 0 <= begin <= end <= len(data) - start or end - begin != count * dtype.itemsize:
        raise ValueError("an array lies outside of the file")
    return np.frombuffer(data, dtype, count, start + begin).reshape(shape)


def sha256(data: bytes) -> str:
    """What the bytes are."""
    return hashlib.sha256(data).hexdigest()
