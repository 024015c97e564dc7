"""A plan while it is made: runs whose files are in order, on one grid and on one time axis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.agree import Refusal, time_values
from astrohpc.store.look import Look
from astrohpc.store.names import Naming
from astrohpc.store.settings import StoreSettings
from astrohpc.store.source import BadSource


@dataclass(frozen=True, eq=False)
class Run:
    """A member whose files could be looked at, in the order of their times."""

    name: str
    looks: tuple[int, ...]
    attrs: Mapping[str, str | float]


@dataclass(eq=False)
class Draft:
    """A plan while it is made."""

    settings: StoreSettings
    shard_bytes: int
    looks: Sequence[Look]
    runs: list[Run] = field(default_factory=list)
    stacked: bool = False
    time_dim: str | None = None
    refused: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    times: list[NDArray[Any] | None] = field(default_factory=list)  # of each run
    naming: Naming = field(default_factory=Naming)

    def refuse(self, look: int, variable: str, reason: str) -> None:
        """Leave something out, and say so."""
        self.refused.append(Refusal(str(self.looks[look].source.path), variable, reason))

    @property
    def length(self) -> int:
        """Of the store's time axis."""
        return max((self.count(run) for run in self.runs), default=0)

    def count(self, run: Run) -> int:
        """How many times a run has."""
        return sum(self.looks[i].times() for i in run.looks)


def order_in_time(draft: Draft) -> None:
    """Sort each run's files by their first time, and join their axes."""
    kept: list[Run] = []
    times: list[NDArray[Any] | None] = []
    for run in draft.runs:
        dim = draft.time_dim
        looks = [draft.looks[i] for i in run.looks]
        if dim is None or not all(dim in look.known and look.known[dim].size for look in looks):
            if len(looks) > 1 and any(look.times() == 0 for look in looks) and dim is not None:
                draft.refuse(
                    run.looks[0],
                    dim,
                    "the run's files cannot be joined, for not all of them have times; convert them apart",
                )
                continue
            kept.append(run)
            times.append(None)
            continue
        order = sorted(run.looks, key=lambda i: _first(draft.looks[i], dim))
        first = draft.looks[order[0]].source.variable(dim).attrs
        try:
            joined = time_values(
                [draft.looks[i] for i in order],
                dim,
                " ".join(str(first.get("units", "")).split()),
                str(first.get("calendar", "")),
            )
        except BadSource as error:
            draft.refused.append(Refusal(str(looks[0].source.path), "", str(error)))
            continue
        kept.append(Run(run.name, tuple(order), run.attrs))
        times.append(joined)
    draft.runs, draft.times = kept, times


def _first(look: Look, dim: str) -> tuple[str, float, str]:
    """What sorts files of one run: the date that they count from, then the first number, then the name."""
    import cftime  # noqa: PLC0415 - comes with netCDF4

    axis = look.source.variable(dim)
    number = float(look.known[dim].ravel()[0])
    units, calendar = str(axis.attrs.get("units", "")), str(axis.attrs.get("calendar", "standard"))
    try:
        date = cftime.num2date(number, units, calendar)
        return (
            f"{date.year:+08d}",
            float(date.dayofyr * 86400 + date.hour * 3600 + date.minute * 60 + date.second),
            "",
        )
    except (ValueError, OverflowError, TypeError):
        return ("", number, str(look.source.path))


def keep_those_on_one_axis(draft: Draft) -> None:
    """Members whose times differ from those of most are left out, unless times may vary."""
    dim = draft.time_dim
    known = [times for times in draft.times if times is not None]
    if dim is None or not known or dim in draft.settings.vary:
        return
    most = max(known, key=lambda times: sum(_equal(times, other) for other in known))
    kept = []
    for run, times in zip(draft.runs, draft.times, strict=True):
        if times is None or _equal(times, most):
            kept.append((run, times))
            continue
        draft.refuse(
            run.looks[0],
            dim,
            f"its times are not those of most members ({_how(times, most)}); complete it, or set "
            f"vary=[{dim}] if that is meant",
        )
    draft.runs, draft.times = [run for run, _ in kept], [times for _, times in kept]


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.shape == other.shape and bool(np.array_equal(one, other))


def _how(times: NDArray[Any], most: NDArray[Any]) -> str:
    missing = np.setdiff1d(most, times)
    if times.size < most.size and missing.size:
        return f"{missing[0]} is missing, {times.size} times instead of {most.size}"
    return (
        f"{times.size} from {times.ravel()[0]} on, instead of {most.size} from {most.ravel()[0]} on"
    )


def keep_those_on_one_grid(draft: Draft) -> None:
    """Members whose axes (latitudes, levels) differ from most are left out, unless these may vary."""
    axes = {
        v.path
        for look in draft.looks
        for v in look.source.variables
        if v.dims == (v.path,) and v.path != draft.time_dim and v.path not in draft.settings.vary
    }
    for axis in sorted(axes):
        values = [draft.looks[run.looks[0]].known.get(axis) for run in draft.runs]
        known = [one for one in values if one is not None]
        if not known:
            continue
        most = max(known, key=lambda one: sum(_equal(one, other) for other in known))
        kept = []
        for run, times, own in zip(draft.runs, draft.times, values, strict=True):
            if own is None or _equal(own, most):
                kept.append((run, times))
                continue
            draft.refuse(
                run.looks[0],
                axis,
                f"its {axis} is not that of most members ({own.size} values from {own.ravel()[:1]} on "
                f"instead of {most.size} from {most.ravel()[:1]} on); convert it apart, bring it to one "
                f"grid with regrid, or set vary=[{axis}] if that is meant",
            )
        draft.runs, draft.times = [run for run, _ in kept], [times for _, times in kept]
