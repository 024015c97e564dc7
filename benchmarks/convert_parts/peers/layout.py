"""What every peer writes: the arrays of the target, their chunks, and the two settings of the codec."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray

from convert_parts.corpus import SURFACE, UPPER, files


@dataclass(frozen=True)
class Target:
    """One array of the target. ``chunk`` is what is decoded at once; ``shard`` is one file's worth."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    dtype: np.dtype[Any]
    fill: float

    @property
    def sharded(self) -> bool:
        """Fields of one level are one chunk a file; a shard of one chunk would add an index, no more."""
        return self.shard != self.chunk

    @property
    def chunk_bytes(self) -> int:
        """Of one chunk, decoded."""
        return int(np.prod(self.chunk)) * self.dtype.itemsize


def targets(variant: Path) -> tuple[dict[str, Target], dict[str, NDArray[Any]]]:
    """The arrays of the fields, and the values of the axes; packed fields become float32."""
    members = files(variant)
    times = []
    for path in members[0]:
        with netCDF4.Dataset(path) as file:
            times.append(np.asarray(file["time"][:]))
    with netCDF4.Dataset(members[0][0]) as first:
        first.set_auto_maskandscale(False)
        axes = {name: np.asarray(first[name][:]) for name in ("lev", "lat", "lon")}
        axes["time"] = np.concatenate(times)
        records = len(first.dimensions["time"])
        found = {}
        for name in UPPER + SURFACE:
            one = first[name]
            inner, packed = one.shape[1:], one.dtype.kind == "i"
            found[name] = Target(
                name,
                ("member", *one.dimensions),
                (len(members), len(axes["time"]), *inner),
                (1, 1 if name in UPPER else records, *inner),
                (1, records, *inner),
                np.dtype("f4"),
                float("nan") if packed else float(one._FillValue),
            )
    return found, axes


def codec(setting: str, target: Target) -> dict[str, Any]:
    """Blosc's configuration: ``seed`` is the predecessor's recipe, ``tuned`` has our two parameters."""
    level, block = (5, 0) if setting == "seed" else (1, target.chunk_bytes)
    return {
        "cname": "zstd",
        "clevel": level,
        "shuffle": "bitshuffle",
        "typesize": target.dtype.itemsize,
        "blocksize": block,
    }


def blocks(variant: Path, rank: int, ranks: int) -> Iterator[tuple[str, int, slice, NDArray[Any]]]:
    """Name, member, span of time and values of each file's fields, a rank's share of the files."""
    work = [
        (member, place, path)
        for member, found in enumerate(files(variant))
        for place, path in enumerate(found)
    ]
    for member, place, path in work[rank::ranks]:
        with netCDF4.Dataset(path) as file:
            file.set_auto_maskandscale(False)
            records = len(file.dimensions["time"])
            span = slice(place * records, (place + 1) * records)
            for name in UPPER + SURFACE:
                yield name, member, span, _values(file[name])


def _values(variable: Any) -> NDArray[Any]:
    """As they stand; packed ones as float32, for no one scale is right for all files."""
    raw = variable[:]
    if raw.dtype.kind != "i":
        return np.asarray(raw)
    values = raw * np.float32(variable.scale_factor) + np.float32(variable.add_offset)
    values[raw == variable._FillValue] = np.nan
    return np.asarray(values, np.float32)
