"""The C kernel from Python: whole shards out of files or memory, and batches of chunks back.

A call holds no lock of the interpreter, so threads, each with its own :class:`Worker`, run side by side.
zstd, Blosc and libdeflate are taken at run time from the wheels that bring them.
"""

import ctypes
import functools
import importlib.machinery
import importlib.util
import mmap
import os
import sys
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.kernels.build import NoKernel, cache_folder, shared_object

VARIABLE = "ASTROHPC_KERNEL"
SETS = ("scalar", "avx2", "avx512", "gfni")
CODECS = ("planes", "blosc", "lz4", "deflate", "none")
KINDS = ("", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")  # counted; "" is not

# What a call returns, as planes.h has it.
(
    FINE,
    CUT,
    UNREADABLE,
    NOT_INFLATED,
    WRONG_SIZE,
    WRONG_SUM,
    UNPROVED,
    UNWRITABLE,
    UNENCODED,
    DAMAGED,
) = range(10)

MOST_BYTES = 2**31 - 2**20  # of a chunk: Blosc counts in 31 bits
_PAGE, _FLUSH_BYTES, _MERGE_BYTES = 4096, 4 << 20, 256 << 10

_TOOLS = (  # in the order of Worker in planes.h
    ("zstd_set", "ZSTD_CCtx_setParameter"),
    ("zstd_compress", "ZSTD_compress2"),
    ("zstd_decompress", "ZSTD_decompressDCtx"),
    ("zstd_failed", "ZSTD_isError"),
    ("blosc_compress", "blosc_compress_ctx"),
    ("blosc_decompress", "blosc_decompress_ctx"),
    ("blosc_validate", "blosc_cbuffer_validate"),
    ("inflate", "libdeflate_deflate_decompress_ex"),
    ("adler32", "libdeflate_adler32"),
)
_HANDLES = (
    ("zstd_encoder", "ZSTD_createCCtx", "ZSTD_freeCCtx"),
    ("zstd_decoder", "ZSTD_createDCtx", "ZSTD_freeDCtx"),
    ("inflater", "libdeflate_alloc_decompressor", "libdeflate_free_decompressor"),
)
_EXTENSIONS = ("numcodecs.blosc", "numcodecs.zstd", "deflate._deflate")  # that carry these
_BUFFERS = ("read", "inflated", "bytes", "bits", "again", "values", "out")


class _Worker(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name, _ in _TOOLS),
        *((name, ctypes.c_void_p) for name, _, _ in _HANDLES),
        *((name, ctypes.c_void_p) for name in _BUFFERS),
        ("read_bytes", ctypes.c_int64),
        ("chunk_bytes", ctypes.c_int64),
        ("out_bytes", ctypes.c_int64),
        ("isa", ctypes.c_int64),
    ]


class _Job(ctypes.Structure):
    _fields_ = [
        ("target", ctypes.c_char_p),
        *((name, ctypes.c_void_p) for name in ("files", "pieces", "checks", "spans")),
        *((name, ctypes.c_int64) for name in ("n_chunks", "count", "width", "kind", "big")),
        *((name, ctypes.c_int64) for name in ("deflate", "shuffle", "codec", "level", "has_fill")),
        ("fill", ctypes.c_uint8 * 8),
        *((name, ctypes.c_int64) for name in ("tallied", "missing")),
        *((name, ctypes.c_double) for name in ("minimum", "maximum", "total")),
        *((name, ctypes.c_int64) for name in ("nbytes", "failed", "error")),
    ]


class Failed(Exception):
    """A code of the kernel, the number of the chunk and the system's errno (0 where it has none)."""

    def __init__(self, code: int, chunk: int, errno: int) -> None:
        super().__init__(f"kernel code {code} at chunk {chunk}, errno {errno}")
        self.code, self.chunk, self.errno = code, chunk, errno


@dataclass(frozen=True)
class Kernel:
    """The loaded kernel with the libraries it calls."""

    library: ctypes.CDLL
    find: Callable[[str], Any]
    isa: int


@dataclass(frozen=True)
class Form:
    """What the chunks of one call have in common; ``dtype`` is that of the source's bytes."""

    dtype: np.dtype[Any]
    count: int
    codec: str
    level: int = 1
    deflate: bool = False
    shuffle: bool = False
    fill: Any = None
    counted: bool = True


@functools.cache
def load() -> Kernel:
    """The kernel, compiled if need be, or :class:`NoKernel`.

    ASTROHPC_KERNEL may be ``none``, or one of ``scalar``, ``avx2``, ``avx512`` and ``gfni`` to use nothing
    that is newer.
    """
    wish = os.environ.get(VARIABLE, "")
    if wish == "none":
        raise NoKernel(f"{VARIABLE} is none")
    if wish and wish not in SETS:
        raise NoKernel(f"{VARIABLE}={wish} is none of none, {', '.join(SETS)}")
    if sys.byteorder != "little":
        raise NoKernel("this processor is big-endian")
    find = _finder()
    library = shared_object(cache_folder())
    library.best_isa.restype = ctypes.c_int64
    best = int(library.best_isa())
    return Kernel(library, find, min(best, SETS.index(wish)) if wish else best)


def _finder() -> Callable[[str], Any]:
    """Where a C function is: in a wheel, else in the system's library."""
    found = {name: _extension(name) for name in _EXTENSIONS}
    places = [ctypes.CDLL(path) for path in found.values() if path]
    gone = ", ".join(name.partition(".")[0] for name, path in found.items() if not path)
    missing = f" (and {gone} is not installed)" if gone else ""
    for name in ("libblosc.so.1", "libzstd.so.1", "libdeflate.so.0"):
        try:
            places.append(ctypes.CDLL(name))
        except OSError:
            continue

    def find(symbol: str) -> Any:
        for place in places:
            if hasattr(place, symbol):
                return getattr(place, symbol)
        raise NoKernel(f"no library here has {symbol}{missing}")

    for needed in (*(symbol for _, symbol in _TOOLS), *(x for _, *pair in _HANDLES for x in pair)):
        find(needed)
    return find


def _extension(name: str) -> str:
    """The file of a compiled module, which is not imported for it (0.02 s); empty if there is none."""
    package, _, module = name.partition(".")
    above = importlib.util.find_spec(package)
    if above is None or above.submodule_search_locations is None:
        return ""
    spec = importlib.machinery.PathFinder.find_spec(module, above.submodule_search_locations)
    return (spec.origin or "") if spec else ""


def room_bytes(chunk_bytes: int) -> int:
    """What one encoded chunk may use while it is made; as in planes.h."""
    return chunk_bytes + chunk_bytes // 1024 + 4096


class Worker:
    """Buffers and library handles of one thread; no two threads may use one at the same time."""

    def __init__(self, kernel: Kernel | None = None) -> None:
        self.kernel = kernel or load()
        self._c = _Worker(isa=self.kernel.isa)
        self._memory: mmap.mmap | None = None
        for name, symbol in _TOOLS:
            setattr(self._c, name, ctypes.cast(self.kernel.find(symbol), ctypes.c_void_p).value)
        for name, make, free in _HANDLES:
            maker, freer = self.kernel.find(make), self.kernel.find(free)
            maker.restype, freer.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
            handle = maker()
            if not handle:
                raise MemoryError(f"{make} got no memory")
            setattr(self._c, name, handle)
            weakref.finalize(self, freer, handle)

    @staticmethod
    def sizes(chunk_bytes: int, read_bytes: int, n_chunks: int) -> tuple[int, int, int]:
        """Bytes of the reading buffer, of each of five chunk buffers, and of the writing buffer."""
        read = max(read_bytes, _MERGE_BYTES)
        out = _FLUSH_BYTES + max(room_bytes(chunk_bytes), read) + 16 * n_chunks + 4 * _PAGE
        return read, chunk_bytes + 64, out

    def reserve(self, chunk_bytes: int, read_bytes: int, n_chunks: int) -> None:
        """Hold buffers for such chunks; what is there already is kept if it is large enough."""
        read, chunk, out = self.sizes(chunk_bytes, read_bytes, n_chunks)
        c = self._c
        if read <= c.read_bytes and chunk <= c.chunk_bytes and out <= c.out_bytes:
            return
        read, chunk, out = max(read, c.read_bytes), max(chunk, c.chunk_bytes), max(out, c.out_bytes)
        lengths = [-(-n // _PAGE) * _PAGE for n in (read, *[chunk] * 5, out)]
        # Pages of our own: the heap of a thread keeps what is given back to it.
        self._memory = None  # the old go before the new come
        self._memory = mmap.mmap(-1, sum(lengths), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        at = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for name, length in zip(_BUFFERS, lengths, strict=True):
            setattr(c, name, at)
            at += length
        c.read_bytes, c.chunk_bytes, c.out_bytes = read, chunk, out

    def write_shard(
        self, target: bytes, files: Sequence[int] | None, pieces: NDArray[np.int64], form: Form
    ) -> tuple[int, NDArray[np.uint32], tuple[int, int, float, float, float]]:
        """Make a shard: its bytes, a checksum a chunk, and count, missing, minimum, maximum, sum.

        Without ``files`` the offsets are addresses of whole chunks in memory.
        """
        pieces = np.ascontiguousarray(pieces, np.int64)
        checks, spans = np.zeros(len(pieces), np.uint32), np.zeros((len(pieces), 2), np.int64)
        open_files = None if files is None else np.asarray(files, np.int32)
        job = _job(form, pieces, open_files)
        job.target, job.checks, job.spans = target, checks.ctypes.data, spans.ctypes.data
        self._reserve_for(form, pieces, files is not None)
        self._call(self.kernel.library.write_shard, job)
        return job.nbytes, checks, _tally(job)

    def read_chunks(
        self,
        files: Sequence[int],
        pieces: NDArray[np.int64],
        form: Form,
        addresses: NDArray[np.uintp],
    ) -> None:
        """Decode chunks of shards, given as for writing, to the addresses; absent ones become fill.

        At each address there must be room for a whole chunk: ``form.count`` values of ``form.dtype``.
        """
        pieces = np.ascontiguousarray(pieces, np.int64)
        addresses = np.ascontiguousarray(addresses, np.uintp)
        open_files = np.asarray(files, np.int32)
        job = _job(form, pieces, open_files)
        self._reserve_for(form, pieces, True)
        self._call(self.kernel.library.read_chunks, job, ctypes.c_void_p(addresses.ctypes.data))

    def count(self, values: NDArray[Any], fill: Any) -> tuple[int, int, float, float, float]:
        """Count, missing, minimum, maximum and sum of an array."""
        flat = np.ascontiguousarray(values)
        job = _job(Form(flat.dtype, flat.size, "none", fill=fill), np.zeros((0, 3), np.int64), None)
        address = ctypes.c_void_p(flat.ctypes.data)
        size = ctypes.c_int64(flat.size)
        self.kernel.library.count_values(ctypes.byref(self._c), ctypes.byref(job), address, size)
        return _tally(job)

    def _reserve_for(self, form: Form, pieces: NDArray[np.int64], reads: bool) -> None:
        longest = int(pieces[:, 2].max(initial=0)) if reads else 0
        self.reserve(form.count * form.dtype.itemsize, longest, len(pieces))

    def _call(self, function: Any, job: _Job, *more: Any) -> None:
        code = function(ctypes.byref(self._c), ctypes.byref(job), *more)
        if code != FINE:
            raise Failed(code, job.failed, job.error)


def _job(form: Form, pieces: NDArray[np.int64], files: NDArray[np.int32] | None) -> _Job:
    name = form.dtype.str[1:]
    job = _Job(
        pieces=pieces.ctypes.data,
        n_chunks=len(pieces),
        count=form.count,
        width=form.dtype.itemsize,
        kind=KINDS.index(name) if form.counted and name in KINDS else 0,
        big=form.dtype.newbyteorder("<") != form.dtype,
        deflate=form.deflate,
        shuffle=form.shuffle,
        codec=CODECS.index(form.codec),
        level=form.level,
        has_fill=form.fill is not None,
        minimum=np.inf,
        maximum=-np.inf,
    )
    if files is not None:
        job.files = files.ctypes.data
    if form.fill is not None:
        native = np.asarray(form.fill, form.dtype.newbyteorder("=")).tobytes()
        ctypes.memmove(job.fill, native, len(native))
    return job


def _tally(job: _Job) -> tuple[int, int, float, float, float]:
    return job.tallied, job.missing, job.minimum, job.maximum, job.total
