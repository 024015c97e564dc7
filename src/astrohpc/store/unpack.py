"""Packed numbers and what they mean, as netCDF4-python has it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.missing import gaps, marks_of
from astrohpc.store.source import Variable


def unpacked_dtype(variable: Variable) -> np.dtype[Any]:
    """The type in which the meaning of a packed variable is computed."""
    return unpack(np.zeros(1, variable.dtype.newbyteorder("=")), variable).dtype


def unpack(values: NDArray[Any], variable: Variable) -> NDArray[Any]:
    """Scaled values, NaN where they are missing."""
    attrs = variable.attrs
    missing = gaps(values, variable)
    if values.dtype.kind == "i" and str(attrs.get("_Unsigned", "")).lower() == "true":
        values = values.view(values.dtype.str.replace("i", "u"))
        for one in marks_of(attrs, values.dtype):
            missing |= values == one
    scale, offset = (_number(attrs.get(name)) for name in ("scale_factor", "add_offset"))
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


def _number(given: Any) -> Any:
    """An attribute that is one number, in its own precision; None where it is anything else."""
    return given if isinstance(given, int | float | np.number) else None
