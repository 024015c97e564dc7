"""HDF5's types and attributes as NumPy's and Python's; what Zarr cannot hold is told in words."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from h5py import h5a, h5p, h5s, h5t
from numpy.typing import NDArray

from astrohpc.netcdf.classic import decode

ATTRIBUTE_LIMIT = 64 * 2**20  # bytes; one that is larger is data in the wrong place

_INDEX_NAME, _INDEX_CREATION = 0, 1  # H5_index_t
# What the netCDF library keeps for itself and never shows.
_PRIVATE = {
    "_NCProperties",
    "_Netcdf4Coordinates",
    "_Netcdf4Dimid",
    "_nc3_strict",
    "DIMENSION_LIST",
    "REFERENCE_LIST",
}
_OF_SCALES = {"CLASS", "NAME"}
_REASONS = {
    h5t.COMPOUND: "is compound (a structure in each cell)",
    h5t.OPAQUE: "is opaque (bytes of a meaning of their own)",
    h5t.VLEN: "has a list of any length in each cell",
    h5t.REFERENCE: "holds references to other objects",
    h5t.ARRAY: "has an array in each cell",
    h5t.BITFIELD: "holds bit fields",
    h5t.TIME: "is of HDF5's time type",
}


class Unstorable(Exception):
    """Why Zarr cannot hold something; not an error of the file."""


@dataclass(frozen=True, eq=False)
class Type:
    """A type of values: ``plain`` if the file's bytes are those of ``dtype``."""

    dtype: np.dtype[Any]
    plain: bool
    h5py: np.dtype[Any]  # with h5py's notes on enumerations and encodings, for conversions
    names: tuple[tuple[str, int], ...] = ()  # of an enumeration


def type_of(tid: Any) -> Type:
    """What NumPy calls it: text of any length is object, one character is ``S1``."""
    return _described(tid.encode())


# A file has few types and hundreds of attributes, and asking HDF5 costs more than reading a value.
@lru_cache(maxsize=256)
def _described(encoded: bytes) -> Type:
    tid = h5t.decode(encoded)
    kind = tid.get_class()
    if kind == h5t.STRING:
        if not tid.is_variable_str() and tid.get_size() == 1:
            return Type(np.dtype("S1"), True, tid.dtype)
        return Type(np.dtype(object), False, tid.dtype)
    if kind == h5t.ENUM:
        base = type_of(tid.get_super())
        names = tuple(
            (decode(tid.get_member_name(i)), int(tid.get_member_value(i)))
            for i in range(tid.get_nmembers())
        )
        return Type(base.dtype, base.plain, tid.dtype, names)
    if kind not in {h5t.INTEGER, h5t.FLOAT}:
        raise Unstorable(_REASONS.get(kind, "is of a type of its own"))
    try:
        dtype = tid.dtype
    except (TypeError, ValueError) as error:
        raise Unstorable(f"holds numbers of {tid.get_size()} bytes in no usual form") from error
    if dtype.itemsize > 8:
        raise Unstorable(f"holds numbers of {dtype.itemsize} bytes")
    return Type(dtype, bool(tid.equal(h5t.py_create(dtype))), dtype)


def enumeration_attributes(kind: Type) -> dict[str, Any]:
    """An enumeration's names as CF writes them."""
    if not kind.names:
        return {}
    return {
        "flag_values": [value for _, value in kind.names],
        "flag_meanings": " ".join("_".join(name.split()) for name, _ in kind.names),
    }


def attribute_names(loc: Any, plist: Any) -> list[str]:
    """Of an object, in the order of their making where the file knows it; private ones too.

    ``plist`` is the object's creation property list.
    """
    names: list[bytes] = []
    tracked = plist.get_attr_creation_order() & h5p.CRT_ORDER_TRACKED
    h5a.iterate(loc, names.append, index_type=_INDEX_CREATION if tracked else _INDEX_NAME)
    return [name.decode() for name in names]


def public(names: list[str], *, scale: bool) -> Iterator[str]:
    """The attributes that netCDF shows; ``scale``: of a dimension scale, which has two more."""
    for name in names:
        if name not in _PRIVATE and not (scale and name in _OF_SCALES):
            yield name


def read_attribute(loc: Any, name: str) -> Any:
    """Text, a number, or a list of either; :class:`Unstorable` if it is neither."""
    aid = h5a.open(loc, name.encode())
    tid = aid.get_type()
    kind = type_of(tid)
    shape = _shape(aid, tid)
    if shape is None:
        return "" if kind.dtype.kind in "OS" else []
    count = math.prod(shape)
    if count * tid.get_size() > ATTRIBUTE_LIMIT:
        raise Unstorable(f"takes {count * tid.get_size()} bytes, which is data and no attribute")
    values: NDArray[Any]
    if kind.dtype.kind == "O":
        texts = [decode(one) for one in read_texts(aid, tid, shape).ravel()]
        return texts[0] if count == 1 else texts
    values = np.empty(shape, kind.dtype)
    aid.read(values, mtype=tid if kind.plain else None)
    if kind.dtype.kind == "S":
        return decode(values.tobytes())
    # A single number keeps its type: in which precision packed values are unpacked hangs on it.
    if count == 1:
        return values.astype(kind.dtype.newbyteorder("=")).ravel()[0]
    return values.astype(kind.dtype.newbyteorder("=")).ravel().tolist()


def _shape(aid: Any, tid: Any) -> tuple[int, ...] | None:
    """The shape of an attribute, which may be flat, for none is asked after it; None if it is null.

    Each of h5py's objects takes as long as reading a number, so that bytes are counted where it can be done.
    """
    if not (isinstance(tid, h5t.TypeStringID) and tid.is_variable_str()):
        try:
            return (aid.get_storage_size() // tid.get_size(),)
        except RuntimeError:  # that is how h5py gives a size of zero
            pass
    space = aid.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        return None
    shape: tuple[int, ...] = space.get_simple_extent_dims()
    return shape


def read_texts(where: Any, tid: Any, shape: tuple[int, ...], *spaces: Any) -> NDArray[Any]:
    """Raw bytes of text, from an attribute or (with its two ``spaces``) a dataset."""
    if tid.is_variable_str():
        values = np.empty(shape, tid.dtype)
        where.read(*spaces, values)
        return np.asarray(_all_bytes(values), object).reshape(shape)
    values = np.empty(shape, f"S{tid.get_size()}")
    where.read(*spaces, values, tid)
    return values.astype(object)


def _bytes(one: Any) -> bytes:
    if isinstance(one, bytes):
        return one
    return one.encode("utf-8", "surrogateescape") if isinstance(one, str) else b""


_all_bytes = np.frompyfunc(_bytes, 1, 1)
