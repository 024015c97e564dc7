"""Where the values of an HDF5 dataset lie, if they lie where ``pread`` and ``inflate`` can get them."""

import functools
import math
import operator
from typing import Any

import numpy as np
from h5py import h5d, h5p, h5z
from numpy.typing import NDArray

from astrohpc.store.hdf5_types import Type, Unstorable
from astrohpc.store.source import BadSource, Chunks, Layout, Rows

# A table has 16 bytes a chunk. Beyond the first limit the library looks chunks up one by one;
# beyond the second a store of the same chunks would have as many pieces, which no one could use.
TABLE_LIMIT = 4_000_000
CHUNK_LIMIT = 20_000_000

_DEFLATE, _SHUFFLE, _SZIP = 1, 2, 4
_FILTERS = {
    3: "fletcher32",
    4: "szip",
    5: "nbit",
    6: "scale-offset",
    307: "bzip2",
    32000: "lzf",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
}
# Those that the other library's wheel brings along.
_NETCDF_HAS = {
    _SZIP: "__has_szip_support__",
    307: "__has_bzip2_support__",
    32001: "__has_blosc_support__",
    32015: "__has_zstandard_support__",
}


class NoLayout(Exception):
    """Why the library must read it, in words."""


def filters_of(dcpl: Any) -> list[int]:
    """Numbers of a dataset's filters, in the order of their work when it was written."""
    assert isinstance(dcpl, h5p.PropDCID)
    return [dcpl.get_filter(i)[0] for i in range(dcpl.get_nfilters())]


def storable(dcpl: Any, codes: list[int], shape: tuple[int, ...]) -> None:
    """Raise :class:`Unstorable` for what lies in other files or what no installed library can read."""
    kind = dcpl.get_layout()
    if kind == h5d.VIRTUAL:
        raise Unstorable("is a virtual dataset: its values lie in other files, convert those")
    if dcpl.get_external_count():
        raise Unstorable("keeps its values in another file, which is not followed")
    if kind != h5d.CHUNKED:
        return
    if math.prod(_grid(shape, dcpl.get_chunk())) > CHUNK_LIMIT:
        raise Unstorable(
            f"is declared with {math.prod(_grid(shape, dcpl.get_chunk()))} chunks, more than "
            f"{CHUNK_LIMIT}; write it with larger chunks"
        )
    for code in codes:
        if code not in {_DEFLATE, _SHUFFLE} and not h5z.filter_avail(code) and not _in_netcdf(code):
            raise Unstorable(
                f"is packed with the filter {filter_name(code)}, which is not installed"
            )


def needs_netcdf(codes: list[int]) -> bool:
    """Whether h5py lacks a filter, so that netCDF4 must read it."""
    return any(code not in {_DEFLATE, _SHUFFLE} and not h5z.filter_avail(code) for code in codes)


def filter_name(code: int) -> str:
    """A filter's name, or its number in HDF5's register."""
    return _FILTERS.get(code, str(code))


def layout_of(
    dsid: Any,
    dcpl: Any,
    codes: list[int],
    kind: Type,
    shape: tuple[int, ...],
    fill: Any,
    size: int,
) -> Layout:
    """Where the bytes lie, or :class:`NoLayout`; ``size`` is the file's, which they must not pass."""
    if not kind.plain:
        raise NoLayout("text of any length" if kind.dtype == object else "numbers of odd form")
    if 0 in shape:
        raise NoLayout("it has no values")
    stored = dcpl.get_layout()
    if stored == h5d.COMPACT:
        raise NoLayout("its values stand in the header")
    if stored == h5d.CONTIGUOUS:
        offset = dsid.get_offset()
        if offset is None:
            raise NoLayout("it was never written")
        if offset + math.prod(shape) * kind.dtype.itemsize > size:
            raise BadSource("lies beyond the end of the file")
        return Rows(offset, math.prod(shape[1:]) * kind.dtype.itemsize)
    return _chunks(dsid, dcpl, codes, kind, shape, fill, size)


def _chunks(
    dsid: Any,
    dcpl: Any,
    codes: list[int],
    kind: Type,
    shape: tuple[int, ...],
    fill: Any,
    size: int,
) -> Chunks:
    if codes not in ([], [_SHUFFLE], [_DEFLATE], [_SHUFFLE, _DEFLATE]):
        names = ", ".join(filter_name(code) for code in codes if code not in {_SHUFFLE, _DEFLATE})
        raise NoLayout(f"filter {names}" if names else "filters in an unusual order")
    chunk = dcpl.get_chunk()
    grid = _grid(shape, chunk)
    if math.prod(grid) > TABLE_LIMIT:
        raise NoLayout("it has too many chunks for a table")
    offset, nbytes = np.full(grid, -1, np.int64), np.zeros(grid, np.int64)
    count, masks = _look_up(dsid, chunk, offset, nbytes)
    there = offset >= 0
    if count != np.count_nonzero(there):
        raise BadSource("has two chunks in one place")
    if masks:
        raise NoLayout("filters were left out for some chunks")
    raw = math.prod(chunk) * kind.dtype.itemsize
    if np.any(offset > size - nbytes):  # a sum could overflow
        raise BadSource("has chunks beyond the end of the file")
    if _DEFLATE not in codes and np.any(nbytes[there] != raw):
        raise NoLayout("its chunks are not of one size")
    edges = any(length % step for length, step in zip(shape, chunk, strict=True))
    if codes and edges and np.any(nbytes[_at_edge(shape, chunk)] == raw):
        raise NoLayout("chunks at its edge may lack their filters")
    if not there.all() and not _same_fill(dcpl, kind, fill):
        raise NoLayout("what stands in chunks that were never written is not its fill value")
    return Chunks(chunk, offset, nbytes, deflate=_DEFLATE in codes, shuffle=_SHUFFLE in codes)


def _look_up(dsid: Any, chunk: tuple[int, ...], offset: Any, nbytes: Any) -> tuple[int, int]:
    """Fill the tables; returns the number of chunks and all filter masks taken together."""
    found: list[Any] = []
    if hasattr(dsid, "chunk_iter"):
        dsid.chunk_iter(found.append)
    else:  # built with an older HDF5; each look-up walks the index anew
        found += map(dsid.get_chunk_info, range(dsid.get_num_chunks()))
    if not found:
        return 0, 0
    places = np.array([one.chunk_offset for one in found], np.int64) // chunk
    offset[tuple(places.T)] = [one.byte_offset for one in found]
    nbytes[tuple(places.T)] = [one.size for one in found]
    return len(found), functools.reduce(operator.or_, (one.filter_mask for one in found))


def _same_fill(dcpl: Any, kind: Type, fill: Any) -> bool:
    """Whether the library would read ``fill`` where nothing was written."""
    if dcpl.get_fill_time() == h5d.FILL_TIME_NEVER:
        return False
    own = user_fill(dcpl, kind)
    return own is not None and fill is not None and bool(own.tobytes() == fill.tobytes())


def user_fill(dcpl: Any, kind: Type) -> Any:
    """The fill value that the file's writer chose, of ``kind``; None where nobody did."""
    if kind.dtype == object or dcpl.fill_value_defined() != h5d.FILL_VALUE_USER_DEFINED:
        return None
    value = np.zeros((), kind.h5py)
    dcpl.get_fill_value(value)
    return np.frombuffer(value.tobytes(), kind.dtype)[0]


def _grid(shape: tuple[int, ...], chunk: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-length // step) for length, step in zip(shape, chunk, strict=True))


def _at_edge(shape: tuple[int, ...], chunk: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which chunks reach beyond the edge: HDF5 has an option to leave those alone unfiltered."""
    edge = np.zeros(_grid(shape, chunk), bool)
    for axis, (length, step) in enumerate(zip(shape, chunk, strict=True)):
        if length % step:
            np.moveaxis(edge, axis, 0)[-1] = True
    return edge


def _in_netcdf(code: int) -> bool:
    import netCDF4  # noqa: PLC0415 - 0.2 s, for the rare file with such a filter

    return bool(getattr(netCDF4, _NETCDF_HAS.get(code, ""), 0))
