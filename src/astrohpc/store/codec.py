"""How the values of one inner chunk become bytes, and what Zarr's metadata say about it.

Everything here needs wheels alone. It is what runs where there is no C compiler, and what the kernel
(:mod:`astrohpc.kernels.native`) is held against.
"""

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError

NAMES = ("planes", "blosc", "lz4", "deflate", "none")
HEADER_BYTES = 16  # of a Blosc chunk
_MIN_LEVEL = {"planes": -7}
_MAX_LEVEL = {"planes": 17}


class Damaged(ConfigError):
    """Stored bytes that are not what they should be: one sentence."""


@dataclass(frozen=True)
class Codec:
    """A way to store chunks. All but ``deflate`` and ``none`` are Blosc with bit-shuffle.

    ``planes`` (level: zstd's) stores bit planes that look like noise as they are and is read by every
    Blosc decoder; ``blosc`` (level: Blosc's) is the recipe that most stores have; ``lz4`` is larger and
    quicker; ``deflate`` passes chunks of HDF5 through, and not all readers of Zarr know it;
    ``none`` is plain little-endian bytes. ``shuffle`` is of meaning for ``deflate`` alone: whether its
    source, and therefore the store, shuffles bytes.
    """

    name: str = "planes"
    level: int = 1
    shuffle: bool = True

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ConfigError(f"codec: {self.name!r} is unknown; choose one of {', '.join(NAMES)}.")
        low, high = _MIN_LEVEL.get(self.name, 0), _MAX_LEVEL.get(self.name, 9)
        if not low <= self.level <= high:
            raise ConfigError(
                f"codec: level {self.level} of {self.name} is not between {low} and {high}; "
                "leave it away for the usual one."
            )

    @property
    def blosc_name(self) -> str:
        """Blosc's name of the compressor inside."""
        return "lz4" if self.name == "lz4" else "zstd"

    @property
    def blosc_level(self) -> int:
        """Blosc's level that is nearest: it counts 1, 3, 5 … 17 of zstd as 1, 2, 3 … 9."""
        return max(1, (self.level + 1) // 2) if self.name == "planes" else self.level

    def block_bytes(self, chunk_bytes: int) -> int:
        """The Blosc block: the whole chunk for ``planes``, else Blosc's own choice (0)."""
        return chunk_bytes if self.name == "planes" else 0

    def metadata(self, dtype: np.dtype[Any], chunk_shape: tuple[int, ...]) -> list[dict[str, Any]]:
        """The ``codecs`` of Zarr v3 for one inner chunk.

        Only what is passed through keeps a big-endian source's byte order.
        """
        big = self.name == "deflate" and not _is_little(dtype)
        first = {"name": "bytes", "configuration": {"endian": "big" if big else "little"}}
        if self.name == "none":
            return [first]
        if self.name == "deflate":
            shuffle = {
                "name": "numcodecs.shuffle",
                "configuration": {"elementsize": dtype.itemsize},
            }
            inflate = {"name": "numcodecs.zlib", "configuration": {"level": self.level}}
            return [first, *([shuffle] if self.shuffle else []), inflate]
        blosc = {
            "cname": self.blosc_name,
            "clevel": self.blosc_level,
            "shuffle": "bitshuffle",
            "typesize": dtype.itemsize,
            "blocksize": self.block_bytes(math.prod(chunk_shape) * dtype.itemsize),
        }
        return [first, {"name": "blosc", "configuration": blosc}]

    def shard_metadata(
        self, dtype: np.dtype[Any], chunk_shape: tuple[int, ...]
    ) -> list[dict[str, Any]]:
        """The ``codecs`` of an array whose shards hold inner chunks of this shape."""
        configuration = {
            "chunk_shape": list(chunk_shape),
            "codecs": self.metadata(dtype, chunk_shape),
            "index_codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "crc32c"},
            ],
            "index_location": "end",
        }
        return [{"name": "sharding_indexed", "configuration": configuration}]

    def encode(self, values: NDArray[Any]) -> bytes:
        """One chunk's bytes, the same on every call."""
        if self.name == "deflate":
            raw = np.ascontiguousarray(values).tobytes()
            return zlib.compress(
                _planar(raw, values.dtype.itemsize) if self.shuffle else raw, self.level
            )
        native = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        if self.name == "none":
            return native.tobytes()
        # Given as an array of numbers: of plain bytes Blosc takes the typesize to be 1, without a word.
        flat = native.reshape(-1).view(f"u{native.itemsize}")
        compressor, level = self.blosc_name.encode(), self.blosc_level
        blosc = _blosc()
        return bytes(
            blosc.compress(flat, compressor, level, blosc.BITSHUFFLE, self.block_bytes(flat.nbytes))
        )

    def decode(self, data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The values of one chunk, or :class:`Damaged`."""
        nbytes = math.prod(shape) * dtype.itemsize
        if self.name == "none":
            if len(data) != nbytes:
                raise Damaged(f"a chunk has {len(data)} bytes, not {nbytes}; make the shard again.")
            return np.frombuffer(data, dtype.newbyteorder("<")).reshape(shape)
        if self.name == "deflate":
            raw = inflate(data, nbytes)
            raw = _interleaved(raw, dtype.itemsize) if self.shuffle else raw
            return np.frombuffer(raw, dtype).reshape(shape)
        check_header(data, nbytes, dtype.itemsize)
        try:
            raw = _blosc().decompress(data) if nbytes else b""
        except RuntimeError as error:
            raise Damaged(f"a chunk cannot be decoded ({error}); make the shard again.") from error
        return np.frombuffer(raw, dtype.newbyteorder("<")).reshape(shape)


def inflate(data: bytes, nbytes: int) -> bytes:
    """Undo zlib and see that just this much came out; its Adler-32 is checked on the way."""
    machine = zlib.decompressobj()
    try:
        raw = machine.decompress(data, nbytes + 1)  # never more, whatever the stream claims
    except zlib.error as error:
        raise Damaged(f"a chunk cannot be inflated ({error}); fetch the file again.") from error
    if len(raw) != nbytes or not machine.eof:
        raise Damaged(f"a chunk does not inflate to its {nbytes} bytes; fetch the file again.")
    return raw


def check_header(data: bytes, nbytes: int, itemsize: int) -> None:
    """Hold a Blosc chunk's header against what the chunk must be; decoders believe the header."""
    if len(data) < HEADER_BYTES:
        raise Damaged(f"a chunk has {len(data)} bytes, fewer than a header; make the shard again.")
    version, _, _, typesize, whole, block, stored = struct.unpack_from("<BBBBIII", data)
    fits = stored == len(data) and whole == nbytes and typesize in (itemsize, 1)
    if not fits or version != 2 or (nbytes and not 0 < block <= max(nbytes, 1)):
        raise Damaged(
            f"a chunk's header tells of {whole} bytes in {stored}, and {nbytes} in {len(data)} are meant; "
            "make the shard again."
        )


def _blosc() -> Any:
    """Blosc without threads of its own, which would order its blocks by chance."""
    from numcodecs import blosc  # noqa: PLC0415 - 0.1 s

    blosc.use_threads = False
    return blosc


def _is_little(dtype: np.dtype[Any]) -> bool:
    return dtype.newbyteorder("<") == dtype


def _planar(raw: bytes, itemsize: int) -> bytes:
    """First bytes of all values, then second bytes: HDF5's shuffle."""
    return np.frombuffer(raw, np.uint8).reshape(-1, itemsize).T.tobytes()


def _interleaved(raw: bytes, itemsize: int) -> bytes:
    return np.frombuffer(raw, np.uint8).reshape(itemsize, -1).T.tobytes()
