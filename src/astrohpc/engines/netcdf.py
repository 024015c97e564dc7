"""Opening what a model left: a complete NetCDF file, or one sentence that says what is wrong."""

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from astrohpc.errors import ConfigError

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}


@contextmanager
def open_complete(path: Path) -> Iterator[Any]:
    """Open a NetCDF file for reading, values unmasked; refuse one that is missing, foreign or cut.

    The library reads what is missing at the end of a classic file as zeros. The end of the last
    variable is therefore computed from the header and held against the size of the file.
    """
    from netCDF4 import Dataset  # noqa: PLC0415 - 0.2 s that a status query need not pay

    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file; check the name or run the member first.")
    size = path.stat().st_size
    with path.open("rb") as start:
        header = _Header(start)
        try:
            end = header.end()
        except struct.error:
            end = size + 1  # it ends within its header
        except KeyError:
            end = 0  # what has no sane header is the library's to refuse
    if size < end:
        raise ConfigError(
            f"{path}: ends in the middle, after {size} bytes; the disk was full or the run was killed "
            "while writing: continue it from its last restart."
        )
    try:
        file = Dataset(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: is not a whole NetCDF file ({error}); it was cut short or is something else, "
            "so fetch it again or continue the run from its last restart."
        ) from error
    try:
        file.set_auto_maskandscale(False)
        yield file
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"{path}: cannot be read to its end ({error}); it was cut short, "
            "so fetch it again or continue the run from its last restart."
        ) from error
    finally:
        file.close()


class _Header:
    """The header of a classic NetCDF file (formats 1, 2 and 5), read for one number."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        magic = file.read(4)
        self.version = magic[3] if len(magic) == 4 and magic[:3] == b"CDF" else 0

    def end(self) -> int:
        """Where the last value ends; 0 for what is no classic file and needs no such care."""
        if not self.version:
            return 0
        records = self._count()
        lengths = [self._entry_dimension() for _ in range(self._list())]
        self._skip_attributes()
        ends, record_bytes = [0], 0
        in_records = []
        for _ in range(self._list()):
            self._skip_name()
            shape = [lengths[self._count()] for _ in range(self._count())]
            self._skip_attributes()
            item = _TYPE_BYTES[self._integer()]
            self._count()  # a size that large variables cannot state
            begin = self._integer() if self.version == 1 else self._long()
            if shape and shape[0] == 0:
                size = item * math.prod(shape[1:])
                in_records.append((begin, size))
                record_bytes += size + (-size % 4)
            else:
                ends.append(begin + item * math.prod(shape))
        if records:
            ends += [begin + (records - 1) * record_bytes + size for begin, size in in_records]
        return max(ends)

    def _integer(self) -> int:
        return int(struct.unpack(">i", self.file.read(4))[0])

    def _long(self) -> int:
        return int(struct.unpack(">q", self.file.read(8))[0])

    def _count(self) -> int:
        return self._long() if self.version == 5 else self._integer()

    def _list(self) -> int:
        self._integer()  # a tag that says of what
        return self._count()

    def _skip(self, size: int) -> None:
        self.file.seek(size + (-size % 4), 1)

    def _skip_name(self) -> None:
        self._skip(self._count())

    def _entry_dimension(self) -> int:
        self._skip_name()
        return self._count()

    def _skip_attributes(self) -> None:
        for _ in range(self._list()):
            self._skip_name()
            item = _TYPE_BYTES[self._integer()]
            self._skip(item * self._count())
