"""One look at a file before anything is planned: its headers, and the values of what is small."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.files import size
from astrohpc.store.fill import with_modele_fill
from astrohpc.store.library import as_text, open_library
from astrohpc.store.scan import scan
from astrohpc.store.source import Source, Variable

_KNOWN_BYTES = 64 * 1024  # a variable up to this size is read at once
_AXIS_BYTES = 16 * 2**20  # an axis or a text up to this one
_DIGEST_BYTES = 256 * 2**20  # what has no time is compared between files up to this one
_TEXT_BYTES = 256 * 2**20  # all of a text is read at once
_UNWRITTEN_BYTES = 2**30  # so much may be declared and never written
_DENSEST = 2000  # deflate makes at most 1032 bytes of one
SINCE = re.compile(r"\bsince\b", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Look:
    """A file with what planning needs of it. ``known`` values are as in the file, not unpacked."""

    source: Source
    time_dim: str | None
    known: Mapping[str, NDArray[Any]]
    digests: Mapping[str, str]  # of larger ones without a time axis

    def times(self, time_dim: str | None) -> int:
        """How many times it has, along the axis that the store takes for time."""
        there = time_dim is not None and time_dim in self.source.dimensions
        return self.source.dimensions[time_dim].size if there and time_dim else 0


def look(path: Path) -> Look:
    """Read headers and small values; BadSource where the file is not what it claims to be."""
    source = with_modele_fill(_believable(scan(path)))
    time_dim = find_time(source)
    bounds = {str(v.attrs["bounds"]) for v in source.variables if "bounds" in v.attrs}
    known: dict[str, NDArray[Any]] = {}
    digests: dict[str, str] = {}
    with open_library(source) as library:
        for variable in source.variables:
            whole = tuple(slice(0, size) for size in variable.shape)
            timed = time_dim is not None and time_dim in variable.dims
            if _read_now(variable, timed, bounds):
                values = library.read(variable, whole)
                known[variable.path] = as_text(values) if values.dtype.kind == "S" else values
            elif not timed and variable.nbytes <= _DIGEST_BYTES:
                values = np.ascontiguousarray(library.read(variable, whole))
                digests[variable.path] = hashlib.sha256(values.tobytes()).hexdigest()[:40]
    return Look(source, time_dim, known, digests)


def _believable(source: Source) -> Source:
    """Without what a few bytes of header declare and nothing could hold."""
    refused = {v.path: reason for v in source.variables if (reason := _too_large(v, source.bytes))}
    if not refused:
        return source
    return replace(
        source,
        variables=tuple(v for v in source.variables if v.path not in refused),
        unstorable={**source.unstorable, **refused},
    )


def _too_large(variable: Variable, file_bytes: int) -> str:
    if variable.nbytes > max(_UNWRITTEN_BYTES, _DENSEST * file_bytes):
        return (
            f"declares {size(variable.nbytes)} of values in a file of {size(file_bytes)}, which cannot "
            "hold them; mend the file, or leave the variable out with without"
        )
    if variable.dtype.kind in "SO" and variable.nbytes > _TEXT_BYTES:
        return f"is {size(variable.nbytes)} of text, and {size(_TEXT_BYTES)} can be stored; leave it out"
    return ""


def _read_now(variable: Variable, timed: bool, bounds: set[str]) -> bool:
    text = variable.dtype.kind in "SO"
    axis = len(variable.dims) <= 1 or variable.path.rpartition("/")[2] in bounds
    if text or axis:
        return text or variable.nbytes <= _AXIS_BYTES
    return not timed and variable.nbytes <= _KNOWN_BYTES


def find_time(source: Source) -> str | None:
    """The dimension along which a run goes on: one whose axis counts since a date, or that may grow."""
    axes = [
        variable.dims[0]
        for variable in source.variables
        if len(variable.dims) == 1 and SINCE.search(str(variable.attrs.get("units", "")))
    ]
    growing = [name for name, one in source.dimensions.items() if one.unlimited]
    for choice in (
        [name for name in axes if name in growing and "/" not in name],
        [name for name in axes if name in {v.path for v in source.variables}],
        [name for name in growing if "/" not in name and name.lower() in ("time", "t", "record")],
        [name for name in source.dimensions if name.lower() == "time"],
        [name for name in growing if "/" not in name] if len(growing) == 1 else [],
    ):
        if choice:
            return choice[0]
    return None
