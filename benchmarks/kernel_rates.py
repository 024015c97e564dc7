"""What one core does a second: each term of making a shard, the whole of it, and the stock ways beside it.

The data are synthetic: records of 40×46×72 float32, smooth in space and level, red in time, at full
precision, with a fill value under orography, deflated (4) and shuffled a record a chunk, as NetCDF-4 has
them. CPU seconds of the calling thread, the best of several rounds in which all terms take turns.

    python benchmarks/kernel_rates.py [--rounds 9] [--folder .]
"""

import argparse
import ctypes
import mmap
import os
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numcodecs import blosc

from astrohpc.kernels import native

SHAPE, RECORDS, FILL = (40, 46, 72), 14, np.float32(-1e30)
COUNT = int(np.prod(SHAPE))
BYTES = COUNT * 4 * RECORDS
DIRECT = getattr(os, "O_DIRECT", 0)


def records(seed: int = 1) -> list[np.ndarray]:
    """Winds that are smooth in space and red in time: of either sign, and noise in the last bits."""
    draw = np.random.default_rng(seed)
    wave = np.sqrt(sum(k**2 for k in np.meshgrid(*map(np.fft.fftfreq, SHAPE), indexing="ij")))
    wave[0, 0, 0] = 1.0
    ground = draw.random(SHAPE[1:]) < 0.3
    field, out = np.zeros(SHAPE), []
    for _ in range(RECORDS):
        noise = np.fft.ifftn(np.fft.fftn(draw.normal(size=SHAPE)) * wave**-2.0).real
        field = 0.8 * field + noise / noise.std()
        values = (10 * field).astype("f4")
        values[-4:, ground] = FILL
        out.append(values)
    return out


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def terms(folder: Path) -> dict[str, Callable[[], object]]:
    """Each of them does all records once."""
    values = records()
    planar = [np.ascontiguousarray(v.view("u1").reshape(-1, 4).T) for v in values]
    stored = [zlib.compress(p, 4) for p in planar]
    source = folder / "source"
    source.write_bytes(b"".join(stored))
    lengths = np.array([len(s) for s in stored])
    starts = np.cumsum(lengths) - lengths
    pieces = np.stack([np.zeros_like(starts), starts, lengths], 1)
    file = os.open(source, os.O_RDONLY)

    kernel = native.load()
    library, worker = kernel.library, native.Worker(kernel)
    library.encode_planes.restype = ctypes.c_int64
    worker.reserve(COUNT * 4, int(lengths.max()), RECORDS)
    inside, width, n = ctypes.byref(worker._c), ctypes.c_int(4), ctypes.c_int64(COUNT)
    isa = ctypes.c_int64(kernel.isa)
    planes = [(ctypes.c_void_p * 8)(*(p.ctypes.data + j * COUNT for j in range(4))) for p in planar]
    rooms = [np.empty(native.room_bytes(COUNT * 4), "u1") for _ in planar]
    back, joined = np.empty(COUNT * 4, "u1"), np.empty(COUNT, "f4")
    inflate = kernel.find("libdeflate_zlib_decompress")
    inflater = worker._c.inflater
    form = native.Form(np.dtype("<f4"), COUNT, "planes", 1, True, True, FILL)
    target = os.fsencode(folder / "shard")

    def encode() -> list[int]:
        return [
            library.encode_planes(inside, p, n, width, 1, pointer(r))
            for p, r in zip(planes, rooms, strict=True)
        ]

    sizes = encode()

    def decode() -> None:
        for room, size in zip(rooms, sizes, strict=True):
            assert (
                library.decode_planes(
                    inside, pointer(room), ctypes.c_int64(size), n, width, pointer(back)
                )
                == 0
            )

    def prove() -> None:
        """Decoding, comparing with the source's bytes, and statistics: what a shard is proved by."""
        for room, size, p in zip(rooms, sizes, planar, strict=True):
            library.decode_planes(
                inside, pointer(room), ctypes.c_int64(size), n, width, pointer(back)
            )
            assert np.array_equal(back, p.reshape(-1))
            library.join(isa, pointer(back), n, width, 0, pointer(joined))
            worker.count(joined, FILL)

    def undeflate() -> None:
        for data in stored:
            inflate(
                ctypes.c_void_p(inflater),
                data,
                ctypes.c_size_t(len(data)),
                pointer(back),
                ctypes.c_size_t(back.nbytes),
                None,
            )

    pages = -(-sum(sizes) // 4096) * 4096
    page_aligned = mmap.mmap(-1, pages)
    page_aligned.write(bytes(range(256)) * (pages // 256))

    def write() -> None:
        out = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | DIRECT)
        os.write(out, page_aligned)
        os.close(out)

    blosc.use_threads = False
    print(f"{native.SETS[kernel.isa]}; ratio of planes {BYTES / sum(sizes):.3f}, ", end="")
    for level, block in ((5, 0), (1, COUNT * 4)):
        size = sum(len(blosc.compress(v.reshape(-1), b"zstd", level, 2, block)) for v in values)
        print(
            f"of blosc zstd {level}{' in one block' if block else ''} {BYTES / size:.3f}, ", end=""
        )
    print(f"of the source {BYTES / lengths.sum():.3f}")
    stock = [blosc.compress(v.reshape(-1), b"zstd", 5, 2, 0) for v in values]
    return {
        "pread": lambda: [
            os.pread(file, int(m), int(s)) for s, m in zip(starts, lengths, strict=True)
        ],
        "inflate (libdeflate, Adler-32)": undeflate,
        "encode planes": encode,
        "prove and count": prove,
        "write past the page cache": write,
        "WHOLE SHARD, direct": lambda: worker.write_shard(target, [file], pieces, form),
        "whole shard, passed through": lambda: worker.write_shard(
            target, [file], pieces, replace(form, codec="deflate")
        ),
        "decode planes": decode,
        "stock: zlib inflate": lambda: [zlib.decompress(s) for s in stored],
        "stock: blosc zstd 5": lambda: [
            blosc.compress(v.reshape(-1), b"zstd", 5, 2, 0) for v in values
        ],
        "stock: blosc zstd 1, one block": lambda: [
            blosc.compress(v.reshape(-1), b"zstd", 1, 2, COUNT * 4) for v in values
        ],
        "stock: blosc decode of zstd 5": lambda: [blosc.decompress(s) for s in stock],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", type=Path, default=Path())
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        todo = terms(Path(folder))
        best = dict.fromkeys(todo, float("inf"))
        for _ in range(asked.rounds):
            for name, work in todo.items():
                before = time.thread_time()
                work()
                best[name] = min(best[name], time.thread_time() - before)
    print(f"synthetic, {RECORDS} records of {SHAPE} float32; MB/s of values a core, CPU time")
    for name, seconds in best.items():
        print(f"{name:34s} {BYTES / seconds / 1e6:8.0f}")
    floor = sum(list(best.values())[:5])
    print(f"{'sum of the first five':34s} {BYTES / floor / 1e6:8.0f}")
    print(f"whole ÷ sum of its terms: {best['WHOLE SHARD, direct'] / floor:.2f}")


if __name__ == "__main__":
    main()
