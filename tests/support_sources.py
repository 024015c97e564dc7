"""The values of NetCDF files by other ways than ours: the library's, and plain ``pread`` and zlib."""

import os
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from netCDF4 import Dataset
from numpy.typing import NDArray
from support import REPOSITORY

from astrohpc.store.library import values
from astrohpc.store.scan import scan
from astrohpc.store.source import Chunks, Rows, Source, Variable

SHARED = Path(os.environ.get("ASTROHPC_SHARED") or REPOSITORY.parent / "shared") / "data"
ZOO = SHARED / "netcdf_zoo"

needs_zoo = pytest.mark.skipif(
    not ZOO.is_dir(),
    reason=f"no files in {ZOO}; set ASTROHPC_SHARED to a folder with data/netcdf_zoo",
)
needs_models = pytest.mark.skipif(
    not (SHARED / "gcm").is_dir(),
    reason=f"no model output in {SHARED}; set ASTROHPC_SHARED to a folder with data/gcm",
)


def netcdf4_values(path: Path) -> dict[str, tuple[NDArray[Any], tuple[str, ...]]]:
    """All variables as netCDF4-python gives them, raw, with their dimensions' paths."""
    found: dict[str, tuple[NDArray[Any], tuple[str, ...]]] = {}

    def collect(group: Any, before: str) -> None:
        for name, variable in group.variables.items():
            raw = np.asarray(variable[...])
            if variable.dtype is str:
                raw = raw.astype(object)
            dims = tuple(
                f"{dim.group().path.strip('/')}/{dim.name}".lstrip("/")
                for dim in variable.get_dims()
            )
            found[before + name] = raw.astype(raw.dtype.newbyteorder("=")), dims
        for name, below in group.groups.items():
            collect(below, f"{before}{name}/")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it leaves out what it cannot read, with a warning
        file = Dataset(path)
    with file:
        file.set_auto_maskandscale(False)
        file.set_auto_chartostring(False)
        collect(file, "")
    return found


def through_layout(source: Source, variable: Variable) -> NDArray[Any]:
    """The values from the bytes at the places that the scan names."""
    with source.path.open("rb") as file:
        if isinstance(variable.layout, Rows):
            return _rows(file.fileno(), variable, variable.layout)
        assert isinstance(variable.layout, Chunks)
        return _chunks(file.fileno(), variable, variable.layout)


def _rows(handle: int, variable: Variable, layout: Rows) -> NDArray[Any]:
    count = variable.shape[0] if variable.shape else 1
    size = int(np.prod(variable.shape[1:], dtype=int)) * variable.dtype.itemsize
    data = b"".join(os.pread(handle, size, layout.offset + i * layout.stride) for i in range(count))
    raw = np.frombuffer(data, variable.dtype).reshape(variable.shape)
    return raw.astype(raw.dtype.newbyteorder("="))


def _chunks(handle: int, variable: Variable, layout: Chunks) -> NDArray[Any]:
    out = np.empty(variable.shape, variable.dtype.newbyteorder("="))
    for place in np.ndindex(layout.offset.shape):
        ends = [
            (p * step, min((p + 1) * step, length))
            for p, step, length in zip(place, layout.shape, variable.shape, strict=True)
        ]
        target = tuple(slice(*end) for end in ends)
        if layout.offset[place] < 0:
            out[target] = variable.fill
            continue
        data = os.pread(handle, int(layout.nbytes[place]), int(layout.offset[place]))
        if layout.deflate:
            data = zlib.decompress(data)
        if layout.shuffle:
            data = np.frombuffer(data, "u1").reshape(variable.dtype.itemsize, -1).T.tobytes()
        chunk = np.frombuffer(data, variable.dtype).reshape(layout.shape)
        out[target] = chunk[tuple(slice(end - start) for start, end in ends)]
    return out


def assert_same(ours: NDArray[Any], theirs: NDArray[Any], what: str) -> None:
    """Equal in type, shape and every bit."""
    assert ours.shape == theirs.shape, what
    assert ours.dtype == theirs.dtype, what
    if ours.dtype == object:
        assert ours.tolist() == theirs.tolist(), what
    else:
        assert ours.tobytes() == theirs.tobytes(), what


def assert_read_rightly(path: Path) -> Source:
    """The scan has the library's variables, and their values by all ways are the library's."""
    source = scan(path)
    expected = netcdf4_values(path)
    assert {one.path for one in source.variables} == set(expected) - set(source.unstorable)
    for variable in source.variables:
        theirs, dims = expected[variable.path]
        what = f"{path.name}: {variable.path}"
        assert variable.dims == dims, what
        assert variable.shape == tuple(source.dimensions[name].size for name in dims), what
        assert_same(values(source, variable), theirs, what)
        if variable.layout is not None:
            assert_same(through_layout(source, variable), theirs, what)
    return source
