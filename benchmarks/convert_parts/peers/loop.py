"""A loop over files: netCDF4 reads a month of one variable, a library writes it as one shard.

    python -m convert_parts.peers.loop --library tensorstore --codec tuned SOURCE TARGET

Under mpirun each rank takes every n-th file, and so owns the shards it writes.
"""

import argparse
import json
import os
from collections import deque
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convert_parts.peers.layout import Target, blocks, codec, targets


class Library(Protocol):
    """What a library has to do here."""

    def create(self, target: Target, setting: str) -> None:
        """Write the metadata of one array."""

    def open(self, name: str) -> Any:
        """Open one array for writing."""

    def write(self, array: Any, where: tuple[Any, ...], values: NDArray[Any]) -> None:
        """Write one span; it may still be under way afterwards."""

    def finish(self) -> None:
        """Wait for all that is under way."""


class ZarrPython:
    """zarr-python, with its own pipeline of codecs or that of zarrs."""

    def __init__(self, folder: Path, threads: int, *, zarrs: bool) -> None:
        import zarr

        zarr.config.set({"threading.max_workers": threads})
        if zarrs:
            zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
        self.zarr, self.folder = zarr, folder

    def create(self, target: Target, setting: str) -> None:
        self.zarr.create_array(
            str(self.folder / target.name),
            shape=target.shape,
            dtype=target.dtype,
            chunks=target.chunk,
            shards=target.shard if target.sharded else None,
            compressors=[self.zarr.codecs.BloscCodec(**codec(setting, target))],
            fill_value=target.fill,
            dimension_names=target.dims,
        )

    def open(self, name: str) -> Any:
        return self.zarr.open_array(str(self.folder / name), mode="r+")

    def write(self, array: Any, where: tuple[Any, ...], values: NDArray[Any]) -> None:
        array[where] = values

    def finish(self) -> None:
        """Nothing is under way: a write returns when it is done."""


class TensorStore:
    """tensorstore, with as many writes under way as it has threads."""

    def __init__(self, folder: Path, threads: int) -> None:
        import tensorstore

        self.ts, self.folder, self.threads = tensorstore, folder, threads
        self.context = tensorstore.Context(
            {"data_copy_concurrency": {"limit": threads}, "file_io_concurrency": {"limit": threads}}
        )
        self.under_way: deque[Any] = deque()

    def create(self, target: Target, setting: str) -> None:
        metadata = {
            "shape": target.shape,
            "data_type": target.dtype.name,
            "fill_value": "NaN" if np.isnan(target.fill) else target.fill,
            "dimension_names": target.dims,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": target.shard}},
            "codecs": _codecs(target, setting),
        }
        self._open(target.name, {"metadata": metadata, "create": True})

    def open(self, name: str) -> Any:
        return self._open(name, {"open": True})

    def _open(self, name: str, more: dict[str, Any]) -> Any:
        store = {"driver": "file", "path": str(self.folder / name)}
        return self.ts.open(
            {"driver": "zarr3", "kvstore": store, **more}, context=self.context
        ).result()

    def write(self, array: Any, where: tuple[Any, ...], values: NDArray[Any]) -> None:
        while len(self.under_way) >= self.threads:
            self.under_way.popleft().result()
        self.under_way.append(
            array[where].write(values, can_reference_source_data_indefinitely=True)
        )

    def finish(self) -> None:
        while self.under_way:
            self.under_way.popleft().result()


class Zarrista:
    """zarrista, the Python face of zarrs without zarr-python."""

    def __init__(self, folder: Path, threads: int) -> None:
        os.environ["RAYON_NUM_THREADS"] = str(threads)
        import zarrista
        from zarrista.store import FilesystemStore

        self.zarrista, self.store = zarrista, FilesystemStore(folder)

    def create(self, target: Target, setting: str) -> None:
        library = self.zarrista
        chosen = codec(setting, target)
        blosc = library.codec.blosc(
            chosen["cname"],
            chosen["clevel"],
            chosen["shuffle"],
            blocksize=chosen["blocksize"],
            typesize=chosen["typesize"],
        )
        builder = library.ArrayBuilder(
            library.ChunkGrid.regular(list(target.shape), chunk_shape=list(target.shard)),
            library.DataType.from_string(target.dtype.name),
            library.FillValue(np.array(target.fill, target.dtype).tobytes()),
        )
        builder = builder.dimension_names(list(target.dims)).compressors([blosc])
        if target.sharded:
            builder = builder.subchunk_shape(list(target.chunk))
        builder.create(self.store, f"/{target.name}")

    def open(self, name: str) -> Any:
        return self.zarrista.Array.open(self.store, f"/{name}")

    def write(self, array: Any, where: tuple[Any, ...], values: NDArray[Any]) -> None:
        if len(where) == 1:  # an axis
            array[...] = values
            return
        member, span = where
        array[member : member + 1, span] = values.reshape(1, *values.shape)

    def finish(self) -> None:
        """Nothing is under way: a write returns when it is done."""


def _codecs(target: Target, setting: str) -> list[dict[str, Any]]:
    """Zarr's metadata of the codecs, for a library that wants it as it stands in the store."""
    inner = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "blosc", "configuration": codec(setting, target)},
    ]
    if not target.sharded:
        return inner
    index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    shard = {"chunk_shape": target.chunk, "codecs": inner, "index_codecs": index}
    return [{"name": "sharding_indexed", "configuration": shard}]


def _library(name: str, folder: Path, threads: int) -> Library:
    if name == "tensorstore":
        return TensorStore(folder, threads)
    if name == "zarrista":
        return Zarrista(folder, threads)
    return ZarrPython(folder, threads, zarrs=name == "zarrs")


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--library", choices=("zarr", "zarrs", "tensorstore", "zarrista"))
    parser.add_argument("--codec", choices=("seed", "tuned"), required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--mpi", action="store_true")
    given = parser.parse_args()
    world = None
    if given.mpi:
        from mpi4py import MPI

        world = MPI.COMM_WORLD
    rank, ranks = (world.rank, world.size) if world else (0, 1)
    library = _library(given.library, given.target, given.threads)
    arrays, axes = targets(given.source)
    if rank == 0:
        given.target.mkdir(parents=True)
        (given.target / "zarr.json").write_text(
            json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}})
        )
        for target in arrays.values():
            library.create(target, given.codec)
        for name, values in axes.items():
            whole = values.shape
            library.create(Target(name, (name,), whole, whole, whole, values.dtype, 0.0), "seed")
    if world:
        world.Barrier()
    if rank == 0:
        for name, values in axes.items():
            library.write(library.open(name), (slice(None),), values)
    opened = {name: library.open(name) for name in arrays}
    for name, member, span, values in blocks(given.source, rank, ranks):
        library.write(opened[name], (member, span), values)
    library.finish()


if __name__ == "__main__":
    main()
