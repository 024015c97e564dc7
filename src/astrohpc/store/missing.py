"""What marks missing values, and that one mark means the same in all of an array."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.fill import fill_of
from astrohpc.store.source import Variable

_MARKS = ("_FillValue", "missing_value")
_FILLS = {1: -127, 2: -32767, 4: -2147483647, 8: -9223372036854775806}  # netCDF's own, for integers


def marks_of(attrs: Mapping[str, Any], dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """The values that attributes call missing, as values of ``dtype``; those that do not fit are none."""
    found: list[Any] = []
    for name in _MARKS:
        given = attrs.get(name)
        for one in given if isinstance(given, list | tuple) else [given]:
            value = None if isinstance(one, str) else fill_of(one, dtype)
            if value is not None and not any(same_mark(value, other) for other in found):
                found.append(value)
    return tuple(found)


def foreign_marks(variable: Variable, attrs: Mapping[str, Any], fill: Any) -> tuple[Any, ...]:
    """The marks of a variable that say nothing in an array with these attributes and this fill."""
    if variable.dtype.kind not in "iuf":
        return ()
    same_fill = variable.fill is None or fill is None or same_mark(variable.fill, fill)
    if same_fill and all(_equal(variable.attrs.get(name), attrs.get(name)) for name in _MARKS):
        return ()  # nearly always, and quicker than the marks themselves
    said = marks_of(attrs, variable.dtype)
    own = [*marks_of(variable.attrs, variable.dtype)]
    # What stands where nothing was written is not always said in an attribute.
    if not same_fill:
        own.append(variable.fill)
    found = [one for one in own if not any(same_mark(one, other) for other in said)]
    return tuple(one for one in found if one == one)  # noqa: PLR0124 - NaN is missing everywhere


def _equal(one: Any, other: Any) -> bool:
    """Whether two attributes are the same to the type; of NaN it is not known here."""
    return type(one) is type(other) and bool(one == other)


def same_mark(one: Any, other: Any) -> bool:
    """Whether two marks are one."""
    return bool(one == other) or bool(one != one and other != other)  # noqa: PLR0124 - both NaN


def remarked(values: NDArray[Any], foreign: tuple[Any, ...], fill: Any) -> NDArray[Any]:
    """Values in which other files' marks have become the array's own."""
    if not foreign or fill is None or not values.size:
        return values
    lost = np.zeros(values.shape, bool)
    for one in foreign:
        lost |= values == one
    return np.where(lost, np.asarray(fill).astype(values.dtype), values) if lost.any() else values


def gaps(values: NDArray[Any], variable: Variable) -> NDArray[np.bool_]:
    """Where a variable's own values, as they stand in its file, are missing."""
    lost = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    for one in (variable.fill, *marks_of(variable.attrs, variable.dtype)):
        if one is not None and one == one:  # noqa: PLR0124 - NaN
            lost |= values == one
    return lost


def one_fill(
    variables: Sequence[Variable], attrs: dict[str, Any], dtype: np.dtype[Any]
) -> tuple[Any, dict[str, Any]]:
    """What stands for missing values in all of an array, and attributes that say so where files differ."""
    fill = next((one.fill for one in variables if one.fill is not None), None)
    if any(foreign_marks(one, attrs, fill) for one in variables):
        return needed_fill(dtype, fill, attrs)
    return fill, attrs


def needed_fill(
    dtype: np.dtype[Any], fill: Any, attrs: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """A fill value where some of the array has no values at all, said so that readers mask it."""
    if dtype.kind == "O":
        return "", attrs
    if "_FillValue" not in attrs and (said := marks_of(attrs, dtype)):
        fill = said[0]  # one mark is enough
    if fill is None:
        if dtype.kind == "f":
            fill = np.nan
        elif dtype.kind == "i":
            fill = _FILLS[dtype.itemsize]
        else:
            fill = np.iinfo(dtype).max if dtype.kind == "u" else False
    return fill, {**attrs, "_FillValue": attrs.get("_FillValue", fill)}
