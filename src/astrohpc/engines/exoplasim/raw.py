"""ExoPlaSim's own files, read without ExoPlaSim: raw output as it grows, and restarts.

Both are Fortran sequential files: every record stands between two copies of its length. Raw output is
pairs of a header of eight integers and a field; a restart is pairs of a name and an array.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_PLANET = 333  # code of the first header, which speaks of the file
_TS, _ICE, _NET_SW, _NET_LW, _UP_SW = (
    139,
    210,
    178,
    179,
    203,
)  # down positive, so _UP_SW is negative
_WANTED = (_TS, _ICE, _NET_SW, _NET_LW, _UP_SW)


@dataclass(frozen=True)
class Means:
    """Global means of one record of output, or of several."""

    surface_temperature_k: float
    toa_balance_wm2: float
    reflected_wm2: float
    incoming_wm2: float
    ice_fraction: float

    @property
    def planetary_albedo(self) -> float:
        """Share of the starlight that goes back to space."""
        return self.reflected_wm2 / self.incoming_wm2 if self.incoming_wm2 > 0 else 0.0


def records(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Whole records from ``start`` on, each with the offset after it; ends where the file is cut."""
    here = start
    while here + 4 <= len(data):
        (length,) = struct.unpack_from("<i", data, here)
        end = here + 8 + length
        if length < 0 or end > len(data) or data[end - 4 : end] != data[here : here + 4]:
            return
        yield end, data[here + 4 : end - 4]
        here = end


class GrowingOutput:
    """Raw output that a running model adds to; each look gives the means that are new and whole."""

    def __init__(self, path: Path, latitudes: int) -> None:
        self.path = path
        self.means: list[Means] = []
        nodes_weights = np.polynomial.legendre.leggauss(latitudes)[1]
        self._weight = nodes_weights / nodes_weights.sum()
        self._offset = 0
        self._pending: dict[int, float] = {}

    def look(self) -> list[Means]:
        """Read what has come since the last look; returns all means so far."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return self.means
        header: NDArray[np.int32] | None = None
        consumed = 0
        for end, content in records(data):
            if header is None:
                header = np.frombuffer(content, "<i4", 8)
                continue
            self._take(int(header[0]), content, int(header[4]), int(header[5]))
            header, consumed = None, end
        self._offset += consumed
        return self.means

    def _take(self, code: int, content: bytes, longitudes: int, latitudes: int) -> None:
        if code not in _WANTED:
            return
        field = np.frombuffer(content, "<f4").reshape(latitudes, longitudes)
        self._pending[code] = float(field.mean(axis=1, dtype=np.float64) @ self._weight)
        if len(self._pending) == len(_WANTED):
            got = self._pending
            self.means.append(
                Means(
                    surface_temperature_k=got[_TS],
                    toa_balance_wm2=got[_NET_SW] + got[_NET_LW],
                    reflected_wm2=-got[_UP_SW],
                    incoming_wm2=got[_NET_SW] - got[_UP_SW],
                    ice_fraction=got[_ICE],
                )
            )
            self._pending = {}


def mean_of(means: Iterable[Means]) -> Means:
    """The mean of records that are equally long."""
    rows = np.array([list(vars(one).values()) for one in means])
    return Means(*map(float, rows.mean(axis=0)))


def is_whole(data: bytes) -> bool:
    """Whether a Fortran file ends where a record does, after at least one."""
    end = 0
    for end, _ in records(data):  # noqa: B007 - the last one is what is wanted
        pass
    return 0 < end == len(data)


def restart_step(data: bytes) -> int | None:
    """The time step of a restart, or None where it is no whole restart of ExoPlaSim."""
    parts = [content for _, content in records(data)]
    if not is_whole(data) or len(parts) % 2:
        return None
    named = {name.rstrip(): content for name, content in zip(parts[::2], parts[1::2], strict=True)}
    step = named.get(b"nstep")
    return struct.unpack("<i", step)[0] if step is not None and len(step) == 4 else None


def join(target: Path, legs: Iterable[tuple[int, Path]]) -> None:
    """Join raw output of legs that begin at these time steps into one file on one clock."""
    pieces: list[bytes] = []
    for start, path in legs:
        parts = [content for _, content in records(path.read_bytes())]
        for raw_header, field in zip(parts[::2], parts[1::2], strict=True):
            header = np.frombuffer(raw_header, "<i4").copy()
            if header[0] != _PLANET:
                header[6] += start
            elif pieces:
                continue
            pieces += [_record(header.tobytes()), _record(field)]
    target.write_bytes(b"".join(pieces))


def _record(content: bytes) -> bytes:
    mark = struct.pack("<i", len(content))
    return mark + content + mark
