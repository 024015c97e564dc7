"""Compare a store with the file that it was made of, as netCDF4-python reads that."""

from pathlib import Path
from typing import Any

import numpy as np


def netcdf_variables(path: Path) -> dict[str, Any]:
    """Every variable by its path, and its raw values; text joined, None for what Zarr cannot hold."""
    from netCDF4 import Dataset

    found: dict[str, Any] = {}

    def visit(group: Any, prefix: str) -> None:
        for name, variable in group.variables.items():
            variable.set_auto_maskandscale(False)
            variable.set_auto_chartostring(False)
            found[prefix + name] = raw(variable)
        for name, inner in group.groups.items():
            visit(inner, f"{prefix}{name}/")

    with Dataset(path) as file:
        visit(file, "")
    return found


def raw(variable: Any) -> Any:
    """Values as they stand in the file."""
    from netCDF4 import CompoundType, VLType

    if isinstance(variable.datatype, CompoundType):
        return None
    if isinstance(variable.datatype, VLType) and variable.dtype is not str:
        return None
    values = np.asarray(variable[...])
    if values.dtype.kind == "S":
        return joined(values)
    return values


def joined(chars: np.ndarray) -> np.ndarray:
    lines = np.ascontiguousarray(chars).reshape(-1, chars.shape[-1] if chars.ndim else 1)
    texts = np.empty(len(lines), object)
    for i, line in enumerate(lines):
        data = line.tobytes().replace(b"\0", b"")
        try:
            texts[i] = data.decode()
        except UnicodeDecodeError:
            texts[i] = data.decode("latin-1")
    return texts.reshape(chars.shape[:-1])


def difference(store: Path, expected: dict[str, Any], left_out: set[str]) -> str:
    """The first difference in words; empty where there is none."""
    import zarr

    root = zarr.open_group(store, mode="r")
    for name, values in expected.items():
        if values is None or name in left_out:
            if name not in left_out:
                return f"{name}: nothing was said of it"
            continue
        if name not in root:
            return f"{name}: is not in the store"
        stored = np.asarray(root[name][...])
        if stored.shape != values.shape:
            return f"{name}: {stored.shape} instead of {values.shape}"
        if values.dtype.kind in "OU":
            same = bool(np.all(stored.astype(object) == values.astype(object)))
        else:
            native = values.astype(values.dtype.newbyteorder("="))
            same = stored.dtype == native.dtype and stored.tobytes() == native.tobytes()
        if not same:
            return f"{name}: differs ({stored.dtype}, {values.dtype})"
    return ""
