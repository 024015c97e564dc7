"""What the work costs at least, on one core: read, inflate, encode and write the same bytes, no more.

A process of its own that prints JSON; convert.py runs it between the contenders, so that a noisy hour is
as noisy for the floor. CPU seconds are of its one thread. Building the index and undoing the shuffle are
not timed: the first is small, the second isn't needed by an encoder that works on byte planes.

    python -m convert_parts.floors SOURCE SCRATCH
"""

import argparse
import ctypes
import json
import mmap
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convert_parts.corpus import SURFACE, UPPER, files

SHARD_BYTES = 3 * 2**20
KERNEL, BLOSC = "planes", "stock Blosc"


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


class Codec(Protocol):
    """A chunk's byte planes, (itemsize, n), to what a store has, and back."""

    def prepare(self, planes: NDArray[np.uint8]) -> Any:
        """What the encoder wants; not timed."""

    def encode(self, prepared: Any) -> Any:
        """Bytes of the store."""

    def decode(self, encoded: Any) -> None:
        """The way back."""


class StockBlosc:
    """Blosc with our two parameters, which is what there is without our kernel."""

    def __init__(self, itemsize: int, count: int) -> None:
        import numcodecs.blosc as library

        library.use_threads = False
        self.itemsize = itemsize
        self.blosc = library.Blosc("zstd", 1, library.Blosc.BITSHUFFLE, itemsize * count)

    def prepare(self, planes: NDArray[np.uint8]) -> Any:
        return np.ascontiguousarray(planes.T).view(f"u{self.itemsize}").ravel()

    def encode(self, prepared: Any) -> Any:
        return self.blosc.encode(prepared)

    def decode(self, encoded: Any) -> None:
        self.blosc.decode(encoded)


class OurKernel:
    """The kernel's encoder alone, called in memory; it takes byte planes as they are inflated."""

    def __init__(self, itemsize: int, count: int) -> None:
        from astrohpc.kernels.native import Worker, room_bytes

        self.itemsize, self.count = itemsize, count
        self.worker = Worker()
        self.worker.reserve(itemsize * count, 0, 1)
        self.out = np.zeros(room_bytes(itemsize * count), np.uint8)
        self.again = np.zeros(itemsize * count + 64, np.uint8)
        library = self.worker.kernel.library
        pointer, long, short = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
        self.c_encode, self.c_decode = library.encode_planes, library.decode_planes
        self.c_encode.restype = long
        self.c_encode.argtypes = (pointer, pointer, long, short, short, pointer)
        self.c_decode.argtypes = (pointer, pointer, long, long, short, pointer)
        self.tools = ctypes.addressof(self.worker._c)

    def prepare(self, planes: NDArray[np.uint8]) -> Any:
        self.planes = np.ascontiguousarray(planes)
        starts = [self.planes.ctypes.data + k * self.count for k in range(self.itemsize)]
        return (ctypes.c_void_p * 8)(*starts)

    def encode(self, prepared: Any) -> Any:
        out = self.out.ctypes.data
        nbytes = self.c_encode(self.tools, prepared, self.count, self.itemsize, 1, out)
        assert nbytes > 0
        return self.out[:nbytes]

    def decode(self, encoded: Any) -> None:
        again, nbytes = self.again.ctypes.data, len(encoded)
        chunk = encoded.ctypes.data
        code = self.c_decode(self.tools, chunk, nbytes, self.count, self.itemsize, again)
        assert code == 0


def codecs() -> dict[str, Callable[[int, int], Codec]]:
    """Stock Blosc, and our kernel where it can be had."""
    found: dict[str, Callable[[int, int], Codec]] = {BLOSC: StockBlosc}
    try:
        OurKernel(4, 1024)
    except Exception as error:  # noqa: BLE001 - no compiler, no wheel: the floor is then that of Blosc
        print(f"# the floor is that of stock Blosc: {error}", file=sys.stderr)
    else:
        found[KERNEL] = OurKernel
    return found


def floors(source: Path, scratch: Path) -> dict[str, Step]:
    """Every step over the whole workload, which has to be of deflated chunks."""
    import deflate
    import h5py

    ways = codecs()
    made: dict[tuple[str, int, int], Codec] = {}
    steps = {name: Step() for name in ("memcpy", "pread", "inflate")}
    steps |= {f"{what}, {name}": Step() for name in ways for what in ("encode", "decode")}
    _memcpy(steps["memcpy"])
    stored = dict.fromkeys(ways, 0)
    for path in (one for member in files(source) for one in member):
        with h5py.File(path) as file:
            index = [_spans(file[name]) for name in UPPER + SURFACE]
        handle = os.open(path, os.O_RDONLY)
        for itemsize, count, spans in index:
            raw_bytes = itemsize * count
            for offset, nbytes in spans:
                with steps["pread"].timed(nbytes):
                    packed = os.pread(handle, nbytes, offset)
                with steps["inflate"].timed(raw_bytes):
                    inflated = deflate.zlib_decompress(packed, raw_bytes)
                planes = np.frombuffer(inflated, np.uint8).reshape(itemsize, count)
                for name, make in ways.items():
                    key = name, itemsize, count
                    codec = made.get(key) or made.setdefault(key, make(itemsize, count))
                    prepared = codec.prepare(planes)
                    with steps[f"encode, {name}"].timed(raw_bytes):
                        encoded = codec.encode(prepared)
                    with steps[f"decode, {name}"].timed(raw_bytes):
                        codec.decode(encoded)
                    stored[name] += len(encoded)
        os.close(handle)
    nbytes = stored.get(KERNEL, stored[BLOSC])
    steps["write"] = _write(scratch / "buffered", nbytes, direct=False)
    steps["write, O_DIRECT"] = _write(scratch / "direct", nbytes, direct=True)
    return steps


def encoder(steps: dict[str, Step]) -> str:
    """Whose encoder the sum counts: the kernel's, where it could be had."""
    return KERNEL if f"encode, {KERNEL}" in steps else BLOSC


def total_cpu_s(steps: dict[str, Step], *, proof: bool) -> float:
    """Of read, inflate, encode and the cheaper write; with ``proof`` every chunk is decoded once, too."""
    names = ["pread", "inflate", f"encode, {encoder(steps)}"]
    names += [f"decode, {encoder(steps)}"] * proof
    writes = [one.cpu_s for name, one in steps.items() if name.startswith("write") and one.nbytes]
    return sum(steps[name].cpu_s for name in names) + min(writes)


def _spans(dataset: Any) -> tuple[int, int, list[tuple[int, int]]]:
    """Item size and count of a chunk's values, and where the chunks lie."""
    spans: list[tuple[int, int]] = []
    dataset.id.chunk_iter(lambda chunk: spans.append((chunk.byte_offset, chunk.size)))
    return dataset.dtype.itemsize, int(np.prod(dataset.chunks)), spans


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
