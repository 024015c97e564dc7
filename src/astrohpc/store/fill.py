"""What stands where nothing was written."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from astrohpc.store.source import Source

# NetCDF's own, which stand where the writer chose none.
_DEFAULTS: dict[str, Any] = {
    "S1": b"\0",
    "i1": -127,
    "u1": 255,
    "i2": -32767,
    "u2": 65535,
    "i4": -2147483647,
    "u4": 4294967295,
    "i8": -9223372036854775806,
    "u8": 18446744073709551614,
    "f2": 0,
    "f4": 9.9692099683868690e36,
    "f8": 9.9692099683868690e36,
}

MODELE_FILL = -1e30


def fill_of(value: Any, dtype: np.dtype[Any]) -> Any:
    """A ``_FillValue`` as a value of ``dtype``; None if there is none or it does not fit."""
    if value is None or (isinstance(value, list) and not value) or dtype.kind == "O":
        return value if isinstance(value, str) else None
    if dtype.kind == "S":
        return np.bytes_(value.encode("latin-1", "replace")[:1]) if isinstance(value, str) else None
    value = value[0] if isinstance(value, list) else value
    if isinstance(value, str) or (dtype.kind in "iu" and not math.isfinite(value)):
        return None
    native = dtype.newbyteorder("=")
    if native.kind in "iu":
        limits = np.iinfo(native)
        if value != int(value) or not limits.min <= value <= limits.max:
            return None
        return native.type(int(value))
    with np.errstate(over="ignore"):
        return native.type(value)


def default_fill(dtype: np.dtype[Any]) -> Any:
    """NetCDF's fill value for values of this type."""
    if dtype.kind == "O":
        return ""
    return dtype.newbyteorder("=").type(_DEFAULTS[dtype.str[1:]])


def is_modele(source: Source) -> bool:
    """Whether ModelE, or a tool of its own, wrote the file."""
    return {"xlabel", "fromto"} <= source.attrs.keys()


def with_modele_fill(source: Source) -> Source:
    """A file of ModelE's with the fill value that its tools use and do not declare."""
    if not is_modele(source):
        return source
    variables = []
    for one in source.variables:
        if one.dtype.kind == "f" and one.fill is None:
            fill = one.dtype.newbyteorder("=").type(MODELE_FILL)
            one = replace(one, fill=fill, attrs={**one.attrs, "_FillValue": fill})  # noqa: PLW2901
        variables.append(one)
    return replace(source, variables=tuple(variables))
