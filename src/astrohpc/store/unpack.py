"""Packed numbers and what they mean, as netCDF4-python has it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.source import Variable


def unpacked_dtype(variable: Variable) -> np.dtype[Any]:
    """The type in which the meaning of a packed variable is computed."""
    return unpack(np.zeros(1, variable.dtype.newbyteorder("=")), variable).dtype


def unpack(values: NDArray[Any], variable: Variable) -> NDArray[Any]:
    """Scaled values, NaN where they are missing."""
    attrs = variable.attrs
    fill = attrs.get("_FillValue", variable.fill)
    missing = np.zeros(values.shape, bool)
    for one in (fill, *np.atleast_1d(attrs.get("missing_value", []))):
        if one is not None:
            missing |= values == one
    if values.dtype.kind == "i" and str(attrs.get("_Unsigned", "")).lower() == "true":
        values = values.view(values.dtype.str.replace("i", "u"))
    scale, offset = attrs.get("scale_factor"), attrs.get("add_offset")
    result: NDArray[Any] = values
    if scale is not None:
        result = result * scale
    if offset is not None:
        result = result + offset
    if result.dtype.kind != "f":
        result = result.astype(np.float64)
    if missing.any():
        result = np.where(missing, np.array(np.nan, result.dtype), result)
    return result
