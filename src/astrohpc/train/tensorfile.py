"""Tensors in a file that nothing of can be executed: the safetensors format, written and read here.

Eight bytes say how long the header is, the header (JSON) says name, type, shape and place of each
tensor, and then come their bytes. Any safetensors library reads it.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_NAMES = {word: dtype for dtype, word in _TYPES.items()}
_LONGEST_HEADER = 2**28
_PIECE = 2**24  # bytes handed on at once


class Unreadable(ValueError):
    """A file is not what it should be; the sentence says what is wrong."""


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> tuple[int, str]:
    """Write tensors that lie in host memory, wait for the disk, and return bytes and SHA-256."""
    header: dict[str, Any] = {}
    position = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [position, position + size],
        }
        position += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    seen = hashlib.sha256()
    with path.open("wb") as file:
        for piece in (len(text).to_bytes(8, "little"), text):
            seen.update(piece)
            file.write(piece)
        for tensor in tensors.values():
            whole = memoryview(_bytes(tensor)).cast("B") if tensor.numel() else memoryview(b"")
            for start in range(0, len(whole), _PIECE):
                some = whole[start : start + _PIECE]
                seen.update(some)
                file.write(some)
        file.flush()
        os.fsync(file.fileno())
    return 8 + len(text) + position, seen.hexdigest()


class TensorFile(Mapping[str, torch.Tensor]):
    """The tensors of a file, read when they are asked for; Unreadable says what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        whole = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_LONGEST_HEADER, whole - 8):
                raise Unreadable(f"{path.name}: its header is damaged")
            try:
                header = json.loads(file.read(length))
                header.pop("__metadata__", None)
                self._places = {
                    name: _place(one, whole - 8 - length) for name, one in header.items()
                }
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise Unreadable(f"{path.name}: its header is damaged ({error})") from error
        self._begin = 8 + length

    def __getitem__(self, name: str) -> torch.Tensor:
        """All of a tensor."""
        dtype, shape, begin, _ = self._places[name]
        return self._read(name, torch.empty(shape, dtype=dtype), begin)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def count(self, name: str) -> int:
        """How many rows a tensor has."""
        return self._places[name][1][0]

    def rows(self, name: str, first: int, end: int) -> torch.Tensor:
        """Some rows of a tensor, and no others are read."""
        dtype, (_, *rest), begin, _ = self._places[name]
        found = torch.empty((end - first, *rest), dtype=dtype)
        row = found.element_size() * math.prod(rest)
        return self._read(name, found, begin + first * row)

    def _read(self, name: str, tensor: torch.Tensor, begin: int) -> torch.Tensor:
        size = tensor.numel() * tensor.element_size()
        with self._path.open("rb") as file:
            file.seek(self._begin + begin)
            if size and file.readinto(memoryview(_bytes(tensor)).cast("B")) != size:
                raise Unreadable(f"{self._path.name}: it ends within {name}")
        return tensor


def _place(one: Mapping[str, Any], room: int) -> tuple[torch.dtype, list[int], int, int]:
    dtype = _NAMES[one["dtype"]]
    shape, (begin, end) = [int(n) for n in one["shape"]], one["data_offsets"]
    count = 1
    for n in shape:
        count *= n
    if min([0, *shape]) < 0 or not 0 <= begin <= end <= room:
        raise ValueError("a tensor lies outside of the file")
    if end - begin != count * torch.empty((), dtype=dtype).element_size():
        raise ValueError("a tensor's shape and size disagree")
    return dtype, shape, begin, end


def _bytes(tensor: torch.Tensor) -> Any:
    """A tensor's own memory as an array of bytes."""
    flat: np.ndarray[Any, Any] = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    return flat
