"""Small stores made of arrays in memory, for tests of what reads them."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.codec import Codec
from astrohpc.store.journal import Done, merge_journals
from astrohpc.store.metadata import write_small
from astrohpc.store.schema import (
    ArraySpec,
    array_metadata,
    consolidated,
    group_metadata,
    write_metadata,
)
from astrohpc.store.shard import Worker, write_values


@dataclass(frozen=True, eq=False)
class Made:
    """An array to be stored; in one small chunk where ``chunk`` is not given.

    ``absent`` are the shards that nobody had values for.
    """

    dims: tuple[str, ...]
    values: NDArray[Any]
    chunk: tuple[int, ...] | None = None
    per_shard: tuple[int, ...] | None = None
    codec: Codec = field(default_factory=Codec)
    fill: Any = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    absent: Sequence[tuple[int, ...]] = ()


def make_store(
    path: Path, arrays: Mapping[str, Made], attrs: Mapping[str, Any] | None = None
) -> Path:
    """Write the arrays with metadata and a journal, as a conversion would."""
    nodes, done = {}, []
    worker = Worker(False)
    for name, made in arrays.items():
        chunk = made.chunk or tuple(max(1, n) for n in made.values.shape)
        per = made.per_shard or (1,) * len(chunk)
        shard = tuple(c * p for c, p in zip(chunk, per, strict=True)) if made.chunk else None
        spec = ArraySpec(
            name,
            made.dims,
            made.values.shape,
            made.values.dtype,
            chunk,
            shard,
            made.codec,
            made.fill,
            made.attrs,
        )
        nodes[name] = array_metadata(spec)
        write_metadata(path / name, nodes[name])
        if shard is None:
            write_small(path / name, spec, made.values)
            continue
        for index in itertools.product(*map(range, spec.grid)):
            if index in made.absent:
                continue
            part = made.values[
                tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, shard, strict=True))
            ]
            written = write_values(
                path / spec.key(index),
                np.ascontiguousarray(part),
                shard_chunks=per,
                chunk_shape=chunk,
                codec=made.codec,
                fill=made.fill,
                worker=worker,
            )
            done.append(
                Done(
                    name,
                    spec.key(index),
                    f"{name} {math.prod(part.shape)}",
                    written.nbytes,
                    written.checks,
                    written.statistics,
                    False,
                )
            )
    (path / ".astrohpc").mkdir(parents=True, exist_ok=True)
    merge_journals(path, done)
    write_metadata(path, consolidated(group_metadata(attrs or {}), nodes))
    return path


def planet_store(path: Path, codec: Codec | None = None, **more: Made) -> Path:
    """Two members, five times, three levels on a grid of four by six; the second has no third level."""
    codec = codec or Codec()
    random = np.random.default_rng(7)
    ta = random.normal(250, 20, (2, 5, 3, 4, 6)).astype("f4")
    ta[:, :, 2, 0] = -1e30
    tas = random.normal(280, 10, (2, 5, 4, 6)).astype("f4")
    mask = {"_FillValue": np.float32(-1e30)}
    field_dims = ("member", "time", "lat", "lon")
    lat = np.array([-67.5, -22.5, 22.5, 67.5])
    arrays = {
        "time": Made(("time",), np.arange(5.0), attrs={"units": "days since 0001-01-01"}),
        "lev": Made(("lev",), np.array([0.1, 0.5, 0.9])),
        "lat": Made(("lat",), lat, attrs={"units": "degrees_north"}),
        "lon": Made(("lon",), np.arange(6) * 60.0, attrs={"units": "degrees_east"}),
        "member": Made(("member",), np.array(["hot", "kühl"], object)),
        "planet_radius_m": Made(("member",), np.array([6.4e6, 7.1e6])),
        "ta": Made(
            ("member", "time", "lev", "lat", "lon"),
            ta,
            (1, 1, 3, 4, 6),
            (1, 2, 1, 1, 1),
            codec,
            np.float32(-1e30),
            mask,
        ),
        "tas": Made(field_dims, tas, (1, 2, 4, 6), (2, 2, 1, 1), codec, np.float32(-1e30), mask),
        **more,
    }
    return make_store(path, arrays, {"title": "two worlds", "planet_star": "quiet"})
