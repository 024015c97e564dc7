"""Values of an HDF5 file through h5py, or through netCDF4 where h5py lacks the filter."""

import math
from typing import Any

import numpy as np
from h5py import h5d, h5f, h5g, h5s
from numpy.typing import NDArray

from astrohpc.netcdf.classic import decode
from astrohpc.store.fill import default_fill
from astrohpc.store.hdf5 import FAILURES, NON_COORDINATE, damaged
from astrohpc.store.hdf5_layout import filters_of, needs_netcdf
from astrohpc.store.hdf5_types import read_texts, type_of
from astrohpc.store.source import Source, Variable


class Hdf5Reader:
    """An HDF5 file open for reading."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.netcdf: Any = None
        try:
            self.file = h5f.open(str(source.path).encode(), h5f.ACC_RDONLY)
            self.root = h5g.open(self.file, b"/")
        except FAILURES as error:
            raise damaged(source.path, error) from error

    def close(self) -> None:
        """Close it; arrays that were read live on."""
        self.file.close()
        if self.netcdf is not None:
            self.netcdf.close()

    def read(self, variable: Variable, selection: tuple[slice, ...]) -> NDArray[Any]:
        """The values of a part, what was never written filled."""
        try:
            return self._read(variable, selection)
        except FAILURES as error:
            raise damaged(self.source.path, error, variable.path) from error

    def _read(self, variable: Variable, selection: tuple[slice, ...]) -> NDArray[Any]:
        dsid = self._open(variable.path)
        dcpl = dsid.get_create_plist()
        steps = [range(n)[one] for n, one in zip(variable.shape, selection, strict=True)]
        extent = dsid.shape
        # A growing dimension may reach further than this variable was written.
        there = [range(len(one))[: _below(one, n)] for one, n in zip(steps, extent, strict=True)]
        native = variable.dtype.newbyteorder("=")
        shape = tuple(len(one) for one in steps)
        whole = all(len(a) == len(b) for a, b in zip(there, steps, strict=True))
        if whole and 0 not in shape:
            return self._part(variable, dsid, dcpl, steps).astype(native, copy=False)
        fill = default_fill(variable.dtype) if variable.fill is None else variable.fill
        out = np.full(shape, fill, native)
        if all(len(one) for one in there):
            inside = [one[: len(got)] for one, got in zip(steps, there, strict=True)]
            out[tuple(slice(len(got)) for got in there)] = self._part(variable, dsid, dcpl, inside)
        return out

    def _part(self, variable: Variable, dsid: Any, dcpl: Any, steps: list[range]) -> NDArray[Any]:
        shape = tuple(len(one) for one in steps)
        if needs_netcdf(filters_of(dcpl)):
            return self._through_netcdf(variable, steps)
        tid = dsid.get_type()
        kind = type_of(tid)
        space = dsid.get_space()
        if shape:
            space.select_hyperslab(
                tuple(one.start for one in steps), shape, tuple(one.step for one in steps)
            )
        memory = h5s.create_simple(shape) if shape else h5s.create(h5s.SCALAR)
        if kind.dtype.kind == "O":
            raw = read_texts(dsid, tid, shape, memory, space)
            texts = np.empty(math.prod(shape), object)
            texts[:] = [decode(one) for one in raw.ravel()]
            return texts.reshape(shape)
        # Without a fill the library leaves the buffer as it is where nothing was written.
        values = np.full(shape, 0 if variable.fill is None else variable.fill, kind.dtype)
        dsid.read(memory, space, values, tid if kind.plain else None)
        return values

    def _open(self, path: str) -> Any:
        head, _, name = path.rpartition("/")
        hidden = f"{head}/{NON_COORDINATE}{name}" if head else NON_COORDINATE + name
        there = hidden.encode() in self.root  # asking is cheaper than failing
        return h5d.open(self.file, (hidden if there else path).encode())

    def _through_netcdf(self, variable: Variable, steps: list[range]) -> NDArray[Any]:
        import netCDF4  # noqa: PLC0415 - 0.2 s, for the rare file with such a filter

        if self.netcdf is None:
            self.netcdf = netCDF4.Dataset(self.source.path)
            self.netcdf.set_auto_maskandscale(False)
            self.netcdf.set_auto_chartostring(False)
        part = tuple(slice(one.start, one.stop, one.step) for one in steps)
        return np.asarray(self.netcdf[variable.path][part or ...])


def _below(steps: range, extent: int) -> int:
    """How many of the indices lie below ``extent``."""
    return len(range(steps.start, min(steps.stop, extent), steps.step))
