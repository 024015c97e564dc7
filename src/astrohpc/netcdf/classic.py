"""The header of a classic NetCDF file (CDF-1, CDF-2, CDF-5): what it holds and where each value lies.

The library believes such a header and reads what is missing at the end of the file as zeros. Here
nothing is believed: each count is held against what the format and the file can hold before
anything is made of it, so that a damaged or malicious header costs a sentence, not the memory.
"""

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astrohpc.errors import ConfigError

# Real headers have kilobytes; thousands of variables with long attributes have one megabyte.
HEADER_LIMIT = 16 * 2**20
_FIRST_READ = 2**16
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12
_TYPES = {
    1: ">i1",
    2: "S1",
    3: ">i2",
    4: ">i4",
    5: ">f4",
    6: ">f8",
    7: ">u1",
    8: ">u2",
    9: ">u4",
    10: ">i8",
    11: ">u8",
}
_OLD_TYPES = 6  # CDF-1 and CDF-2 know no more
_REMEDY = "it was damaged or edited by hand: fetch it again or write it anew."


@dataclass(frozen=True, eq=False)
class ClassicVariable:
    """One variable: its row r along the first axis begins at ``begin + r * stride``."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    attrs: Mapping[str, Any]
    begin: int
    stride: int
    recorded: bool

    @property
    def row_bytes(self) -> int:
        """Of one row, without the padding after it."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def end(self) -> int:
        """The byte after its last value."""
        if 0 in self.shape:
            return self.begin
        return self.begin + (self.shape[0] - 1 if self.shape else 0) * self.stride + self.row_bytes


@dataclass(frozen=True, eq=False)
class Header:
    """All that stands before the values."""

    version: int
    records: int
    dimensions: Mapping[str, int]
    record_dimension: str | None
    attrs: Mapping[str, Any]
    variables: tuple[ClassicVariable, ...]


def is_classic(start: bytes) -> bool:
    """Whether a file that begins so is one of ours."""
    return len(start) >= 4 and start[:3] == b"CDF" and start[3] in {1, 2, 5}


def read_header(path: Path) -> Header:
    """The header of a whole file; a damaged, absurd or cut one is a :class:`ConfigError`."""
    with path.open("rb") as file:
        return _Parser(path, file.fileno(), os.fstat(file.fileno()).st_size).header()


@dataclass(frozen=True)
class _Raw:
    """A variable as it is written, before records are laid out."""

    name: str
    dims: tuple[int, ...]
    attrs: Mapping[str, Any]
    dtype: np.dtype[Any]
    begin: int


class _Parser:
    def __init__(self, path: Path, handle: int, size: int) -> None:
        self.path, self.handle, self.size = path, handle, size
        self.bytes, self.at = b"", 0
        magic = self._take(4)
        if not is_classic(magic):
            raise ConfigError(f"{path}: is no classic NetCDF file; give one that begins with CDF.")
        self.version = magic[3]
        self.count = struct.Struct(">Q" if self.version == 5 else ">I")
        self.place = struct.Struct(">I" if self.version == 1 else ">Q")

    def header(self) -> Header:
        records: int | None = self._number(self.count)
        if records == 2 ** (8 * self.count.size) - 1:
            records = None  # written as a stream: the file's size tells
        dimensions = self._dimensions()
        names = list(dimensions)
        growing = [name for name, length in dimensions.items() if length == 0]
        if len(growing) > 1:
            raise self._damaged(f"has two record dimensions, {growing[0]!r} and {growing[1]!r}")
        record = names.index(growing[0]) if growing else None
        attrs = self._attributes()
        raw = self._variables(names, record)
        lengths = list(dimensions.values())
        stride = _record_stride(raw, lengths, record)
        if records is None:
            records = self._streamed(raw, lengths, record, stride)
        if record is not None:
            lengths[record] = records
        variables = tuple(
            ClassicVariable(
                name=one.name,
                dims=tuple(names[i] for i in one.dims),
                shape=tuple(lengths[i] for i in one.dims),
                dtype=one.dtype,
                attrs=one.attrs,
                begin=one.begin,
                stride=stride if _recorded(one, record) else _row_bytes(one, lengths),
                recorded=_recorded(one, record),
            )
            for one in raw
        )
        self._check_places(variables)
        return Header(
            version=self.version,
            records=records,
            dimensions=dict(zip(names, lengths, strict=True)),
            record_dimension=growing[0] if growing else None,
            attrs=attrs,
            variables=variables,
        )

    def _dimensions(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for _ in range(self._list(_DIMENSIONS, "dimensions")):
            name = self._name()
            if name in found:
                raise self._damaged(f"has two dimensions {_short(name)}")
            found[name] = self._number(self.count)
        return found

    def _attributes(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(self._list(_ATTRIBUTES, "attributes")):
            name = self._name()
            if name in found:
                raise self._damaged(f"has two attributes {_short(name)} in one place")
            dtype = self._type()
            count = self._number(self.count)
            data = self._take(count * dtype.itemsize, padded=True)
            found[name] = _attribute(data, dtype)
        return found

    def _variables(self, names: list[str], record: int | None) -> list[_Raw]:
        found: dict[str, _Raw] = {}
        for _ in range(self._list(_VARIABLES, "variables")):
            name = self._name()
            if name in found:
                raise self._damaged(f"has two variables {_short(name)}")
            rank = self._number(self.count)
            self._room(rank * self.count.size, f"variable {_short(name)} has {rank} dimensions")
            dims = tuple(self._number(self.count) for _ in range(rank))
            if any(i >= len(names) for i in dims):
                raise self._damaged(f"variable {_short(name)} has a dimension that is not defined")
            if record in dims[1:]:
                raise self._damaged(f"variable {_short(name)} does not have the record axis first")
            attrs = self._attributes()
            dtype = self._type()
            self._number(self.count)  # its size, which is wrong for large variables by design
            found[name] = _Raw(name, dims, attrs, dtype, self._number(self.place))
        return list(found.values())

    def _streamed(
        self, raw: list[_Raw], lengths: list[int], record: int | None, stride: int
    ) -> int:
        """How many records a file has that does not say so."""
        recorded = [one for one in raw if _recorded(one, record)]
        if not recorded:
            return 0
        first = min(one.begin for one in recorded)
        last = max(one.begin + _row_bytes(one, lengths) for one in recorded) - first
        if self.size <= first:
            return 0
        records = (self.size - first - last) // stride + 1
        if not 0 <= self.size - first - last - (records - 1) * stride < 4:
            raise self._cut()
        return records

    def _check_places(self, variables: tuple[ClassicVariable, ...]) -> None:
        """All values lie after the header, within the file and apart from each other."""
        previous: ClassicVariable | None = None
        for one in sorted(variables, key=lambda one: one.begin):
            if 0 in one.shape:
                continue  # where it would begin is of no meaning yet
            if one.begin < self.at:
                raise self._damaged(f"variable {_short(one.name)} begins inside the header")
            if one.end > self.size:
                raise self._cut()
            if previous is not None:
                # Rows of record variables interleave: what counts is the first row.
                both = one.recorded and previous.recorded
                end = previous.begin + previous.row_bytes if both else previous.end
                if one.begin < end:
                    raise self._damaged(
                        f"variables {_short(previous.name)} and {_short(one.name)} overlap"
                    )
            previous = one

    def _list(self, tag: int, what: str) -> int:
        found = int(struct.unpack(">I", self._take(4))[0])
        count = self._number(self.count)
        if found != tag and (found or count):
            raise self._damaged(f"has no list of {what} where it should stand")
        self._room(count * 12, f"tells of {count} {what}")  # none takes less
        return count

    def _name(self) -> str:
        length = self._number(self.count)
        raw = self._take(length, padded=True)
        try:
            name = raw.decode()
        except UnicodeDecodeError:
            raise self._damaged(f"holds a name that is no text ({raw[:40]!r})") from None
        if not name or "\0" in name:
            raise self._damaged(f"holds a name that is none ({raw[:40]!r})")
        return name

    def _type(self) -> np.dtype[Any]:
        number = int(struct.unpack(">I", self._take(4))[0])
        if number not in _TYPES or (self.version != 5 and number > _OLD_TYPES):
            raise self._damaged(f"names a type {number} that this format does not have")
        return np.dtype(_TYPES[number])

    def _number(self, kind: struct.Struct) -> int:
        return int(kind.unpack(self._take(kind.size))[0])

    def _room(self, needed: int, what: str) -> None:
        if self.at + needed > min(self.size, HEADER_LIMIT):
            if self.at + needed <= HEADER_LIMIT:
                raise self._cut()
            raise self._damaged(f"{what}, more than a header holds")

    def _take(self, length: int, *, padded: bool = False) -> bytes:
        end = self.at + length
        if end > len(self.bytes):
            self._room(length, f"tells of {length} bytes in one piece")
            wanted = min(max(end, 2 * len(self.bytes), _FIRST_READ), HEADER_LIMIT + 4)
            self.bytes += os.pread(self.handle, wanted - len(self.bytes), len(self.bytes))
            if end > len(self.bytes):
                raise self._cut()
        taken = self.bytes[self.at : end]
        self.at = end + (-length % 4 if padded else 0)
        return taken

    def _damaged(self, what: str) -> ConfigError:
        return ConfigError(f"{self.path}: is no sound NetCDF file: its header {what}; {_REMEDY}")

    def _cut(self) -> ConfigError:
        return ConfigError(
            f"{self.path}: ends in the middle, after {self.size} bytes; the disk was full or the run "
            "was killed while writing: continue it from its last restart, or fetch it again."
        )


def _recorded(one: _Raw, record: int | None) -> bool:
    return bool(one.dims) and one.dims[0] == record


def _row_bytes(one: _Raw, lengths: list[int]) -> int:
    return math.prod(lengths[i] for i in one.dims[1:]) * one.dtype.itemsize


def _record_stride(raw: list[_Raw], lengths: list[int], record: int | None) -> int:
    """From one record to the next: rows are padded to four bytes, but one alone is not."""
    rows = [_row_bytes(one, lengths) for one in raw if _recorded(one, record)]
    return rows[0] if len(rows) == 1 else sum(row + (-row % 4) for row in rows)


def _attribute(data: bytes, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "S":
        return decode(data)
    values = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))
    # A single number keeps its type: in which precision packed values are unpacked hangs on it.
    return values[0] if len(values) == 1 else values.tolist()


def decode(data: bytes) -> str:
    """Text as the library gives it, without NULs; what is not UTF-8 is taken as Latin-1."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\0", "")


def _short(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:57] + "...")
