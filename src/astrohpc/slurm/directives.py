"""The small languages of sbatch: times, sizes, and lists of array indices."""

import re
from collections.abc import Iterable

from astrohpc.constants import DAY_S, HOUR_S
from astrohpc.errors import ConfigError

_UNIT_S = {"s": 1, "min": 60, "h": int(HOUR_S), "d": int(DAY_S)}
_UNIT_MIB = {
    "M": 1,
    "MB": 1,
    "MiB": 1,
    "G": 1024,
    "GB": 1024,
    "GiB": 1024,
    "T": 1024**2,
    "TiB": 1024**2,
}


def parse_walltime_s(text: str, where: str) -> int:
    """Seconds in ``'00:30:00'``, ``'1-00:00:00'``, ``'30 min'`` or ``'2 h'``.

    >>> parse_walltime_s("1-02:00:00", "walltime"), parse_walltime_s("90 min", "walltime")
    (93600, 5400)
    """
    clock = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d{2}):(\d{2})", text.strip())
    if clock:
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    else:
        span = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)", text.strip())
        if not span:
            raise ConfigError(
                f"{where}: {text!r} is not a span of time; write '02:00:00' or '2 h'."
            )
        total = round(float(span[1]) * _UNIT_S[span[2]])
    if total <= 0:
        raise ConfigError(f"{where}: {text!r} is no time at all; write for example '02:00:00'.")
    return total


def format_walltime(seconds: int) -> str:
    """Slurm's spelling of a span, rounded up to whole minutes because Slurm counts in minutes.

    >>> format_walltime(93601)
    '1-02:01:00'
    """
    minutes = -(-seconds // 60)
    days, rest = divmod(minutes, 24 * 60)
    clock = f"{rest // 60:02d}:{rest % 60:02d}:00"
    return f"{days}-{clock}" if days else clock


def parse_mem_mib(text: str, where: str) -> int:
    """MiB in ``'4 GiB'`` or ``'500M'`` (Slurm's own units are powers of 1024 too)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    if not match or match[2] not in _UNIT_MIB:
        raise ConfigError(
            f"{where}: {text!r} is not an amount of memory; write for example '4 GiB'."
        )
    mib = round(float(match[1]) * _UNIT_MIB[match[2]])
    if mib <= 0:
        raise ConfigError(f"{where}: {text!r} is no memory at all; write for example '4 GiB'.")
    return mib


def format_indices(indices: Iterable[int]) -> str:
    """Array indices in sbatch's spelling.

    >>> format_indices([0, 1, 2, 5, 7, 8])
    '0-2,5,7-8'
    """
    runs: list[list[int]] = []
    for index in sorted(set(indices)):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def parse_indices(text: str) -> list[int]:
    """Array indices from Slurm's spelling, with steps, and without the throttle.

    >>> parse_indices("0-2,5,8-12:2%4")
    [0, 1, 2, 5, 8, 10, 12]
    """
    indices: list[int] = []
    for part in text.partition("%")[0].split(","):
        span, _, step = part.partition(":")
        first, _, last = span.partition("-")
        indices.extend(range(int(first), int(last or first) + 1, int(step or 1)))
    return indices
