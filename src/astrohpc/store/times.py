"""The times of a run's files as one axis: counted from one date, in order, nothing twice, no gap."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.look import SINCE, Look
from astrohpc.store.source import BadSource

_ROUNDING_S = 1e-6  # what calendars are kept to
_REGULAR = 1.25  # months differ by a tenth; steps of a regular axis by no more than this
_JUMP = 1.5  # of the usual step: something is missing between


def units_of(look: Look, time_dim: str) -> str:
    """From when and in what a file counts, blanks made alike."""
    return " ".join(str(look.source.variable(time_dim).attrs.get("units", "")).split())


def calendar_of(look: Look, time_dim: str) -> str:
    """The calendar in which a file counts."""
    return str(look.source.variable(time_dim).attrs.get("calendar", "")) or "standard"


def first_time(look: Look, time_dim: str) -> tuple[int, float, str]:
    """What sorts the files of a run: year and second of their first time, or number and name."""
    import cftime  # noqa: PLC0415 - comes with netCDF4

    number = float(look.known[time_dim].ravel()[0])
    try:
        date = cftime.num2date(number, units_of(look, time_dim), calendar_of(look, time_dim))
    except (ValueError, OverflowError, TypeError):
        return (0, number, str(look.source.path))
    second = date.hour * 3600 + date.minute * 60 + date.second + date.microsecond / 1e6
    return (date.year, date.dayofyr * 86400 + second, "")


def time_bounds(look: Look, time_dim: str) -> set[str]:
    """The variables that count as the time axis does, without saying so."""
    axes = [one for one in look.source.variables if one.path == time_dim]
    names = [one.attrs.get(name) for one in axes for name in ("bounds", "climatology")]
    return {str(name) for name in names if name}


def joined_times(
    looks: Sequence[Look], time_dim: str, units: str, *, gaps_are_meant: bool
) -> NDArray[Any]:
    """The times of files that are in order, counted in ``units``; BadSource if they are no one axis."""
    parts = [rebased(look, look.known[time_dim], time_dim, units) for look in looks]
    together = np.concatenate(parts) if len(parts) > 1 else parts[0]
    if together.dtype.kind not in "iuf" or len(looks) < 2:
        return together
    steps = np.diff(together.astype(np.float64))
    begins = np.cumsum([len(part) for part in parts])
    wrong = np.flatnonzero(~(steps > 0))
    if wrong.size:
        where = int(wrong[0]) + 1
        file = looks[int(np.searchsorted(begins, where, "right"))]
        raise BadSource(
            f"{file.source.path}: {time_dim}: the time {together[where]} ({units}) is there twice or "
            "out of order; remove the file that overlaps with another"
        )
    gap = None if gaps_are_meant else _gap(steps, begins[:-1] - 1)
    if gap is not None:
        file = looks[int(np.searchsorted(begins, gap + 1, "right"))]
        raise BadSource(
            f"{file.source.path}: {time_dim}: {together[gap + 1]} ({units}) follows {together[gap]}, so "
            f"that times are missing between; add the file that has them, or set vary=[{time_dim}] if "
            "that is meant"
        )
    return together


def _gap(steps: NDArray[np.float64], between: NDArray[np.int64]) -> int | None:
    """The first step from file to file that is too long, where all others are alike."""
    jumps = steps > _JUMP * np.median(steps)
    others = steps[~jumps]
    if others.size < 2 or others.max() > _REGULAR * others.min():
        return None
    found = [int(step) for step in between if jumps[step]]
    return found[0] if found else None


def rebased(look: Look, values: NDArray[Any], time_dim: str, units: str) -> NDArray[Any]:
    """Times of a file, or their bounds, counted in ``units``; BadSource where that needs rounding.

    Numbers are kept as they stand where the units agree: decoding and encoding again would lose the
    last bits, and a calendar that no library knows would be refused for nothing.
    """
    import cftime  # noqa: PLC0415 - comes with netCDF4

    own, calendar = units_of(look, time_dim), calendar_of(look, time_dim)
    if own == units:
        return values
    where = f"{look.source.path}: {time_dim}"
    if not (SINCE.search(own) and SINCE.search(units)):
        raise BadSource(
            f"{where}: has units {own!r}, but other files {units!r}; bring them to the same units first"
        )
    try:
        zero, one = cftime.num2date([0, 1], own, calendar)
        shift, end = cftime.date2num([zero, one], units, calendar)
        new = cftime.num2date([0, 1], units, calendar)
        second, new_second = ((b - a).total_seconds() for a, b in ((zero, one), tuple(new)))
    except (ValueError, OverflowError) as error:
        raise BadSource(
            f"{where}: {own!r} cannot be counted in {units!r} ({error}); bring the files to the same units"
        ) from error
    ratio = 1 if second == new_second else second / new_second
    moved: NDArray[Any] = values * ratio + shift
    lost = np.abs((moved - shift) / ratio - values) * second
    if abs((end - shift) * new_second - second) > _ROUNDING_S or np.any(lost > _ROUNDING_S):
        raise BadSource(
            f"{where}: {own!r} cannot be counted in {units!r} without rounding; bring the files to the "
            "same units first"
        )
    return moved
