"""Values of a scanned file as the libraries give them: raw, in native byte order, nothing masked.

It is the slow way that always works, and the truth that the fast way is held against.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from astrohpc.netcdf.classic import decode
from astrohpc.store.source import BadSource, Rows, Source, Variable

Selection = tuple[slice, ...]


class Reader(Protocol):
    """An open file."""

    def read(self, variable: Variable, selection: Selection) -> NDArray[Any]:
        """The values of a part; slices have no negative step, and there is one for each axis."""
        ...


@contextmanager
def open_library(source: Source) -> Iterator[Reader]:
    """Open a scanned file for reading; what cannot be read is a :class:`BadSource`."""
    if source.format.startswith("CDF"):
        try:
            handle = os.open(source.path, os.O_RDONLY)
        except OSError as error:
            raise BadSource(f"{source.path}: cannot be read ({error.strerror}).") from error
        try:
            yield _Classic(source.path, handle)
        finally:
            os.close(handle)
    else:
        from astrohpc.store.hdf5_reader import Hdf5Reader  # noqa: PLC0415 - h5py takes 0.1 s

        reader = Hdf5Reader(source)
        try:
            yield reader
        finally:
            reader.close()


def values(source: Source, variable: Variable) -> NDArray[Any]:
    """All values of one variable, for small ones such as coordinates."""
    with open_library(source) as file:
        return file.read(variable, tuple(slice(None) for _ in variable.shape))


def as_text(chars: NDArray[Any]) -> NDArray[Any]:
    """Text from netCDF's chars: the last axis is joined and its NULs are left out."""
    lines = np.ascontiguousarray(chars).reshape(-1, chars.shape[-1] if chars.ndim else 1)
    texts = np.empty(len(lines), object)
    texts[:] = [decode(line.tobytes()) for line in lines]
    return texts.reshape(chars.shape[:-1])


class _Classic:
    """Rows of big-endian values, where the header said that they lie."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path, self.handle = path, handle

    def read(self, variable: Variable, selection: Selection) -> NDArray[Any]:
        assert isinstance(variable.layout, Rows)
        native = variable.dtype.newbyteorder("=")
        if not variable.shape:
            return self._span(variable, 0, (0, 1), ()).reshape(()).astype(native)
        steps = [range(n)[one] for n, one in zip(variable.shape, selection, strict=True)]
        out = np.empty(tuple(len(one) for one in steps), native)
        if not out.size:
            return out
        if len(steps) == 1 and variable.layout.stride == variable.dtype.itemsize:
            all_rows = steps[0]
            out[:] = self._span(variable, all_rows[0], (0, all_rows[-1] - all_rows[0] + 1), ())[
                :: all_rows.step
            ]
            return out
        # Of a row only what lies between the first and the last index of the next axis is read.
        inner = steps[1] if len(steps) > 1 else range(1)
        span = (inner[0], inner[-1] + 1)
        rest = (slice(None, None, inner.step), *selection[2:]) if len(steps) > 1 else (0,)
        for i, row in enumerate(steps[0]):
            out[i] = self._span(variable, row, span, variable.shape[2:])[rest]
        return out

    def _span(
        self, variable: Variable, row: int, span: tuple[int, int], inner: tuple[int, ...]
    ) -> NDArray[Any]:
        assert isinstance(variable.layout, Rows)
        one = int(np.prod(inner, dtype=np.int64)) * variable.dtype.itemsize
        start = variable.layout.offset + row * variable.layout.stride + span[0] * one
        data = bytearray((span[1] - span[0]) * one)
        rest = memoryview(data)
        while rest:
            got = os.preadv(self.handle, [rest], start)
            if not got:
                raise BadSource(
                    f"{self.path}: {variable.path} ends in the middle; the file was cut while it was "
                    "read: run again when no one writes to it."
                )
            start, rest = start + got, rest[got:]
        return np.frombuffer(data, variable.dtype).reshape(span[1] - span[0], *inner)
