"""One reader: random training samples out of a store, into arrays that are there already.

    python -m convert_parts.peers.read --reader tensorstore --store S.zarr --batches 8

A sample is all eight fields of one (member, time). The first batch is for warming up and for a checksum;
the others are timed. Prints JSON.
"""

import argparse
import json
import os
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert_parts.corpus import SURFACE, UPPER

BATCH = 32
FIELDS = UPPER + SURFACE
Place = tuple[int, int]
Batch = dict[str, NDArray[np.float32]]
Reader = Callable[[Sequence[Place], Batch], None]


def zarr_python(store: Path, threads: int, *, zarrs: bool = False) -> Reader:
    """zarr-python, one field after the other; with the pipeline of zarrs if asked for."""
    import zarr

    zarr.config.set({"threading.max_workers": threads})
    if zarrs:
        zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    arrays = {name: zarr.open_array(str(store / name), mode="r") for name in FIELDS}

    def read(places: Sequence[Place], into: Batch) -> None:
        for name, array in arrays.items():
            for row, place in enumerate(places):
                into[name][row] = array[place]

    return read


def tensorstore(store: Path, threads: int) -> Reader:
    """tensorstore, the whole batch under way at once."""
    import tensorstore as ts

    limit = {"limit": threads}
    context = ts.Context({"data_copy_concurrency": limit, "file_io_concurrency": limit})
    arrays = {
        name: ts.open(
            {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(store / name)}},
            context=context,
            open=True,
        ).result()
        for name in FIELDS
    }

    def read(places: Sequence[Place], into: Batch) -> None:
        under_way = [
            (into[name], row, array[place].read())
            for name, array in arrays.items()
            for row, place in enumerate(places)
        ]
        for target, row, future in under_way:
            target[row] = future.result()

    return read


def zarrista(store: Path, threads: int) -> Reader:
    """zarrista, one field after the other."""
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    from zarrista import Array
    from zarrista.store import FilesystemStore

    folder = FilesystemStore(store)
    arrays = {name: Array.open(folder, f"/{name}") for name in FIELDS}

    def read(places: Sequence[Place], into: Batch) -> None:
        for name, array in arrays.items():
            for row, place in enumerate(places):
                into[name][row] = array[place].to_numpy()

    return read


def astrohpc(store: Path, threads: int) -> Reader:
    """Ours, one call a batch; values as they are stored, as the others give them."""
    from astrohpc.store.reader import Store

    opened = Store.open(store, threads=threads)

    def read(places: Sequence[Place], into: Batch) -> None:
        opened.batch(places, FIELDS, missing="fill", out=into)

    return read


def memory_mapped(store: Path, threads: int) -> Reader:  # noqa: ARG001 - the kernel needs none
    """Uncompressed ``.npy`` files, mapped: the limit of what any store can reach."""
    arrays = {name: np.load(store / f"{name}.npy", mmap_mode="r") for name in FIELDS}

    def read(places: Sequence[Place], into: Batch) -> None:
        for name, array in arrays.items():
            for row, place in enumerate(places):
                into[name][row] = array[place]

    return read


READERS: dict[str, Callable[[Path, int], Reader]] = {
    "zarr": zarr_python,
    "zarrs": lambda store, threads: zarr_python(store, threads, zarrs=True),
    "tensorstore": tensorstore,
    "zarrista": zarrista,
    "astrohpc": astrohpc,
    "npy": memory_mapped,
}


def measure(
    read: Reader, shapes: dict[str, tuple[int, ...]], batches: int, seed: int
) -> dict[str, Any]:
    """Time it. The samples depend on the seed alone, so that all readers read the same."""
    random = np.random.default_rng(seed)
    members, times = shapes["T"][:2]
    into = {name: np.zeros((BATCH, *shape[2:]), np.float32) for name, shape in shapes.items()}

    def places() -> list[Place]:
        return list(
            zip(
                random.integers(members, size=BATCH).tolist(),
                random.integers(times, size=BATCH).tolist(),
                strict=True,
            )
        )

    read(places(), into)
    checksum = 0
    for name in FIELDS:
        checksum = zlib.crc32(into[name].tobytes(), checksum)
    drawn = [places() for _ in range(batches)]
    wall, cpu = time.perf_counter(), time.process_time()
    for batch in drawn:
        read(batch, into)
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    samples = BATCH * batches
    return {
        "samples_per_s": samples / wall_s,
        "cpu_ms_per_sample": 1e3 * cpu_s / samples,
        "checksum": checksum,
    }


def arguments() -> argparse.Namespace:
    """What every reader is told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reader", default="astrohpc")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--shapes", type=json.loads, required=True, help="JSON: shape by name")
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Measure one reader and print."""
    given = arguments()
    read = READERS[given.reader](given.store, given.threads)
    print(json.dumps(measure(read, given.shapes, given.batches, given.seed)))


if __name__ == "__main__":
    main()
