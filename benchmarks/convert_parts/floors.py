"""What the work costs at least, on one core: read, inflate, encode and write the same bytes, no more.

A process of its own that prints JSON; convert.py runs it between the contenders, so that a noisy hour is
as noisy for the floor. CPU seconds are of its one thread. Building the index and undoing the shuffle are
not timed: the first is small, the second isn't needed by an encoder that works on byte planes.

    python -m convert_parts.floors SOURCE SCRATCH
"""

import argparse
import json
import mmap
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert_parts.corpus import SURFACE, UPPER, files

SHARD_BYTES = 3 * 2**20
# From the values of a chunk to the bytes that a store has, and back.
Codec = tuple[Callable[[NDArray[np.generic]], bytes], Callable[[bytes], bytes]]


@dataclass
class Step:
    """CPU and wall seconds of one kind of work, added up, and the bytes it went through."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    nbytes: int = 0

    @contextmanager
    def timed(self, nbytes: int) -> Iterator[None]:
        """Count what is done within."""
        cpu, wall = time.thread_time(), time.perf_counter()
        yield
        self.cpu_s += time.thread_time() - cpu
        self.wall_s += time.perf_counter() - wall
        self.nbytes += nbytes


def stock_blosc(chunk_bytes: int) -> Codec:
    """Blosc with our two parameters, which is what there is without our kernel."""
    import numcodecs.blosc

    numcodecs.blosc.use_threads = False
    blosc = numcodecs.blosc.Blosc("zstd", 1, numcodecs.blosc.Blosc.BITSHUFFLE, chunk_bytes)
    return blosc.encode, blosc.decode


def floors(source: Path, scratch: Path) -> dict[str, Step]:
    """Every step over the whole workload, which has to be of deflated chunks."""
    import deflate
    import h5py

    steps = {name: Step() for name in ("memcpy", "pread", "inflate", "encode", "decode")}
    _memcpy(steps["memcpy"])
    stored = 0
    for path in (one for member in files(source) for one in member):
        with h5py.File(path) as file:
            index = [_spans(file[name]) for name in UPPER + SURFACE]
        handle = os.open(path, os.O_RDONLY)
        for itemsize, raw_bytes, spans in index:
            encode, decode = stock_blosc(raw_bytes)
            for offset, nbytes in spans:
                with steps["pread"].timed(nbytes):
                    packed = os.pread(handle, nbytes, offset)
                with steps["inflate"].timed(raw_bytes):
                    planes = deflate.zlib_decompress(packed, raw_bytes)
                parts = np.frombuffer(planes, np.uint8).reshape(itemsize, -1)
                values = np.ascontiguousarray(parts.T).view(f"u{itemsize}").ravel()
                with steps["encode"].timed(raw_bytes):
                    encoded = encode(values)
                stored += len(encoded)
                with steps["decode"].timed(raw_bytes):
                    decode(encoded)
        os.close(handle)
    steps["write"] = _write(scratch / "buffered", stored, direct=False)
    steps["write O_DIRECT"] = _write(scratch / "direct", stored, direct=True)
    return steps


def total_cpu_s(steps: dict[str, Step], *, proof: bool) -> float:
    """Of read, inflate, encode and the cheaper write; with ``proof`` every chunk is decoded once, too."""
    names = ["pread", "inflate", "encode"] + ["decode"] * proof
    writes = [one.cpu_s for name, one in steps.items() if name.startswith("write") and one.nbytes]
    return sum(steps[name].cpu_s for name in names) + min(writes)


def _spans(dataset: Any) -> tuple[int, int, list[tuple[int, int]]]:
    """Item size, bytes of a decoded chunk, and where the chunks lie."""
    spans: list[tuple[int, int]] = []
    dataset.id.chunk_iter(lambda chunk: spans.append((chunk.byte_offset, chunk.size)))
    raw_bytes = int(np.prod(dataset.chunks)) * dataset.dtype.itemsize
    return dataset.dtype.itemsize, raw_bytes, spans


def _memcpy(step: Step, nbytes: int = 2**27) -> None:
    source, target = np.ones(nbytes, np.uint8), np.full(nbytes, 2, np.uint8)
    for _ in range(8):
        with step.timed(nbytes):
            np.copyto(target, source)


def _write(folder: Path, nbytes: int, *, direct: bool) -> Step:
    """Whole new files of a shard's size; nothing is counted where the file system refuses O_DIRECT."""
    folder.mkdir(parents=True)
    step = Step()
    buffer = mmap.mmap(-1, SHARD_BYTES)  # aligned to a page, as O_DIRECT wants it
    buffer.write(np.random.default_rng(1).bytes(SHARD_BYTES))
    try:
        for number in range(max(1, round(nbytes / SHARD_BYTES))):
            flags = os.O_WRONLY | os.O_CREAT | (os.O_DIRECT if direct else 0)
            with step.timed(SHARD_BYTES):
                handle = os.open(folder / str(number), flags)
                os.posix_fallocate(handle, 0, SHARD_BYTES)
                os.write(handle, buffer)
                os.close(handle)
    except OSError:
        if not direct:
            raise
        step = Step()
    finally:
        shutil.rmtree(folder)
    return step


def main() -> None:
    """Measure on one core and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("scratch", type=Path)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found = floors(arguments.source, arguments.scratch)
    print(json.dumps({name: asdict(step) for name, step in found.items()}))


if __name__ == "__main__":
    main()
