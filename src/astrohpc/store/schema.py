"""Zarr v3 metadata of a store: arrays, groups and attributes as JSON that every reader takes.

Written by hand, because it is the one thing that a store must get right, and small.
"""

import base64
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from astrohpc.files import write_atomic
from astrohpc.store.codec import Codec
from astrohpc.store.fill import fill_of

META = "zarr.json"
RANGE = "actual_range"  # what statistics add to an array's attributes
SEPARATOR = "."  # flat keys: "c/0/0/0" costs a folder a shard
_DTYPES = {
    "i1": "int8",
    "i2": "int16",
    "i4": "int32",
    "i8": "int64",
    "u1": "uint8",
    "u2": "uint16",
    "u4": "uint32",
    "u8": "uint64",
    "f4": "float32",
    "f8": "float64",
    "b1": "bool",
    "O": "string",
}


@dataclass(frozen=True, eq=False)
class ArraySpec:
    """One array of the store: what its ``zarr.json`` says.

    ``chunk`` is the inner chunk, ``shard`` how many values a file holds along each axis, a multiple of
    it; None where the array is one small chunk.
    """

    path: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # in the order of this machine; object is text
    chunk: tuple[int, ...]
    shard: tuple[int, ...] | None
    codec: Codec
    fill: Any = None
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def grid(self) -> tuple[int, ...]:
        """How many files there are along each axis."""
        each = self.shard or self.chunk
        return tuple(-(-size // one) for size, one in zip(self.shape, each, strict=True))

    @property
    def per_shard(self) -> tuple[int, ...]:
        """How many inner chunks a shard has along each axis."""
        assert self.shard is not None
        return tuple(s // c for s, c in zip(self.shard, self.chunk, strict=True))

    def key(self, index: tuple[int, ...]) -> str:
        """The file's path below the store."""
        return f"{self.path}/{SEPARATOR.join(map(str, index)) or '0'}"


def array_metadata(spec: ArraySpec) -> dict[str, Any]:
    """The content of an array's ``zarr.json``."""
    text = spec.dtype.kind == "O"
    if text:
        codecs: list[dict[str, Any]] = [{"name": "vlen-utf8", "configuration": {}}]
    elif spec.shard is None:
        codecs = [_LITTLE, {"name": "crc32c"}]
    else:
        codecs = spec.codec.shard_metadata(spec.dtype, spec.chunk)
    fill = "" if text else json_fill(spec.fill, spec.dtype)
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(spec.shape),
        "data_type": _DTYPES["O" if text else spec.dtype.str[1:]],
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": list(spec.shard or spec.chunk)},
        },
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": SEPARATOR}},
        "fill_value": fill,
        "codecs": codecs,
        "attributes": attributes(spec),
        "dimension_names": list(spec.dims),
    }


_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def attributes(spec: ArraySpec) -> dict[str, Any]:
    """The array's attributes; ``_FillValue`` in the form in which xarray reads it from Zarr v3."""
    found = {name: json_value(value) for name, value in spec.attrs.items() if name != "_FillValue"}
    if spec.dtype.kind == "f" and found.get("missing_value") in ("NaN", ["NaN"]):
        del found["missing_value"]  # readers take NaN for missing anyway, and the word for a value
    fill = fill_of(spec.attrs.get("_FillValue"), spec.dtype)
    if fill is None and spec.attrs.get("_FillValue") is not None and spec.dtype.kind != "O":
        found["source_FillValue"] = json_value(
            spec.attrs["_FillValue"]
        )  # of another type than values
    elif fill is not None and spec.dtype.kind != "O":
        if spec.dtype.kind == "f":
            found["_FillValue"] = base64.standard_b64encode(struct.pack("<d", float(fill))).decode()
        else:
            found["_FillValue"] = int(fill)
    return found


def json_fill(fill: Any, dtype: np.dtype[Any]) -> Any:
    """A fill value as Zarr v3 writes it; zero where there is none."""
    if dtype.kind == "b":
        return bool(fill)
    if dtype.kind != "f":
        return int(fill or 0)
    number = float(0.0 if fill is None else fill)
    if math.isnan(number):
        # Which NaN it is matters to nobody but a test of bits.
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def json_value(value: Any) -> Any:
    """An attribute as strict JSON: what is not finite becomes a word, which every parser takes."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray | list | tuple):
        return [json_value(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): json_value(one) for key, one in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value


def group_metadata(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a group's ``zarr.json``."""
    return {"zarr_format": 3, "node_type": "group", "attributes": json_value(attrs)}


def consolidated(root: Mapping[str, Any], nodes: Mapping[str, Any]) -> dict[str, Any]:
    """The root's metadata with those of all nodes inside, so that one read opens the store."""
    return {
        **root,
        "consolidated_metadata": {
            "kind": "inline",
            "must_understand": False,
            "metadata": dict(nodes),
        },
    }


def write_metadata(folder: Path, content: Mapping[str, Any]) -> None:
    """Write one ``zarr.json``, unless it stands there already."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)
    path = folder / META
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text)


def read_metadata(folder: Path) -> dict[str, Any] | None:
    """The ``zarr.json`` of a folder; None where there is none that can be read."""
    try:
        found = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
