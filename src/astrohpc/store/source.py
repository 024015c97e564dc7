"""What a source file holds and where its bytes lie, as headers tell it; no data is read for this.

A :class:`Variable` whose :class:`Layout` is known can be read with ``pread`` alone. All others go
through the library (netCDF4 or h5py) and give the same values more slowly.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError


class BadSource(ConfigError):
    """A file that cannot be read as what it claims to be: one sentence with its name and a remedy."""


@dataclass(frozen=True)
class Rows:
    """Uncompressed values: row r of the first axis begins at ``offset + r * stride``.

    A variable without axes is one row. Classic record variables have the stride of the whole record.
    """

    offset: int
    stride: int


@dataclass(frozen=True, eq=False)
class Chunks:
    """HDF5 chunks of one shape; ``offset`` and ``nbytes`` have an entry a chunk, on the chunks' grid.

    An offset of -1 is a chunk that was never written: all of it is the fill value. Chunks at the edge
    are stored whole, what is beyond the edge being of no meaning.
    """

    shape: tuple[int, ...]
    offset: NDArray[np.int64]
    nbytes: NDArray[np.int64]
    deflate: bool
    shuffle: bool


Layout = Rows | Chunks


@dataclass(frozen=True, eq=False)
class Variable:
    """One variable as it stands in the file; nothing is unpacked, scaled or masked.

    ``path`` is its name with the groups before it (``group/T``), ``dims`` likewise where a dimension
    is not the root's. ``dtype`` is that of the bytes, order included; ``S1`` is netCDF's char, and
    object stands for text of any length. ``attrs`` hold text, numbers and lists of numbers or texts.
    """

    path: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    attrs: Mapping[str, Any]
    fill: Any = None  # what stands where nothing was written, of dtype; None where it is not known
    layout: Layout | None = None
    why_library: str = ""  # why there is no layout, in words, for reports

    @property
    def nbytes(self) -> int:
        """Of all its values, uncompressed."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Dimension:
    """A dimension's length, and whether the file lets it grow."""

    size: int
    unlimited: bool = False


@dataclass(frozen=True, eq=False)
class Source:
    """One file, scanned."""

    path: Path
    format: str  # "CDF-1", "CDF-2", "CDF-5", "HDF5"
    bytes: int
    mtime_ns: int
    dimensions: Mapping[str, Dimension]
    variables: tuple[Variable, ...]
    attrs: Mapping[str, Any]  # of the root
    group_attrs: Mapping[
        str, Mapping[str, Any]
    ]  # by the group's path, groups without attributes too
    unstorable: Mapping[str, str]  # variable or attribute → why Zarr cannot hold it

    def variable(self, path: str) -> Variable:
        """The variable of this path."""
        for one in self.variables:
            if one.path == path:
                return one
        raise KeyError(path)
