"""A plan while it is made: runs whose files are in order, on one grid and on one time axis."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.store.agree import Refusal, Signature, usual
from astrohpc.store.canonical import CanonicalNames
from astrohpc.store.look import Look
from astrohpc.store.settings import StoreSettings
from astrohpc.store.source import BadSource
from astrohpc.store.times import first_time, joined_times, time_bounds, units_of
from astrohpc.store.treatment import Treatments


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
    time_units: str = ""  # in which the store counts
    time_bounds: frozenset[str] = frozenset()  # variables that count with the axis
    refused: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    times: list[NDArray[Any] | None] = field(default_factory=list)  # of each run
    canonical: CanonicalNames = field(default_factory=CanonicalNames)
    treatments: Treatments = field(init=False)

    def __post_init__(self) -> None:
        self.treatments = Treatments(self.settings)

    def refuse(self, look: int, variable: str, reason: str) -> None:
        """Leave something out, and say so."""
        self.refused.append(Refusal(str(self.looks[look].source.path), variable, reason))

    def count(self, run: Run) -> int:
        """How many times a run has."""
        return sum(self.looks[i].times(self.time_dim) for i in run.looks)


def keep_those_on_one_grid(draft: Draft) -> None:
    """Runs with a file whose axes (latitudes, levels) differ from most are left out, unless these may vary.

    Of time only type and calendar are looked at here: which times there are is another question.
    """
    axes = {
        v.path
        for look in draft.looks
        for v in look.source.variables
        if v.dims == (v.path,)
        and v.path not in {*draft.settings.vary, *draft.treatments.free(look)}
    }
    for axis in sorted(axes):
        with_it = {i for run in draft.runs for i in run.looks if _has_axis(draft.looks[i], axis)}
        if not with_it:
            continue
        signatures = {
            i: Signature.of(draft.looks[i].source.variable(axis), draft.time_dim) for i in with_it
        }
        keys = {
            i: "" if axis == draft.time_dim else _key(draft.looks[i].known[axis]) for i in with_it
        }
        in_order = sorted(with_it)
        like = usual([signatures[i] for i in in_order])
        most = Counter(keys[i] for i in in_order).most_common(1)[0][0]
        standard = draft.looks[next(i for i in in_order if keys[i] == most)].known[axis]
        kept = []
        for run in draft.runs:
            odd = next((i for i in run.looks if i in with_it and keys[i] != most), None)
            unlike = next((i for i in run.looks if i in with_it and signatures[i] != like), None)
            if odd is not None:
                own = draft.looks[odd].known[axis]
                draft.refuse(
                    odd,
                    axis,
                    f"its {axis} is not that of most members ({own.size} values from {own.ravel()[:1]} "
                    f"on instead of {standard.size} from {standard.ravel()[:1]} on); convert it apart, "
                    f"bring it to one grid with regrid, or set vary=[{axis}] if that is meant",
                )
            elif unlike is not None:
                draft.refuse(unlike, axis, signatures[unlike].difference(like))
            else:
                kept.append(run)
        draft.runs = kept


def _has_axis(look: Look, axis: str) -> bool:
    return axis in look.known and any(v.dims == (axis,) == (v.path,) for v in look.source.variables)


def _key(values: NDArray[Any]) -> Hashable:
    """The same for axes that are equal, whatever the width of their numbers."""
    if values.dtype.kind not in "iufb":
        return (values.shape, tuple(map(str, values.ravel())))
    # Adding zero makes one of the two zeros.
    return (values.shape, (values.astype(np.float64) + 0.0).tobytes())


def order_in_time(draft: Draft) -> None:
    """Sort each run's files by their first time, and join their axes, all counted from one date."""
    dim = draft.time_dim
    if dim is None:
        draft.times = [None] * len(draft.runs)
        return
    draft.time_bounds = frozenset(name for look in draft.looks for name in time_bounds(look, dim))
    runs = [_in_order(draft, run, dim) for run in draft.runs]
    counted = [units_of(draft.looks[run.looks[0]], dim) for run, known in runs if known]
    draft.time_units = Counter(counted).most_common(1)[0][0] if counted else ""
    kept: list[Run] = []
    times: list[NDArray[Any] | None] = []
    for run, known in runs:
        looks = [draft.looks[i] for i in run.looks]
        if known:
            try:
                joined = joined_times(
                    looks, dim, draft.time_units, gaps_are_meant=dim in draft.settings.vary
                )
            except BadSource as error:
                draft.refused.append(_of_file(looks, str(error)))
                continue
            kept.append(run)
            times.append(joined)
        elif len(looks) > 1 and any(look.times(dim) == 0 for look in looks):
            draft.refuse(
                run.looks[0],
                dim,
                "the run's files cannot be joined, for not all of them have times; convert them apart",
            )
        else:
            kept.append(run)
            times.append(None)
    draft.runs, draft.times = kept, times


def _in_order(draft: Draft, run: Run, dim: str) -> tuple[Run, bool]:
    """The run with its files in order, and whether their times are known."""
    looks = [draft.looks[i] for i in run.looks]
    if not all(_has_axis(look, dim) and look.known[dim].size for look in looks):
        return run, False
    order = sorted(run.looks, key=lambda i: first_time(draft.looks[i], dim))
    return Run(run.name, tuple(order), run.attrs), True


def _of_file(looks: Sequence[Look], sentence: str) -> Refusal:
    """A refusal from a sentence that begins with file and variable."""
    path = next((str(k.source.path) for k in looks if sentence.startswith(str(k.source.path))), "")
    variable, _, reason = sentence.removeprefix(f"{path}: ").partition(": ")
    return Refusal(path, variable, reason)


def keep_those_on_one_axis(draft: Draft) -> None:
    """Members whose times differ from those of most are left out, unless times may vary."""
    dim = draft.time_dim
    if dim is None or dim in draft.settings.vary or not draft.runs:
        return
    keys = [
        draft.count(run) if times is None else _key(times)
        for run, times in zip(draft.runs, draft.times, strict=True)
    ]
    most = Counter(keys).most_common(1)[0][0]
    at = keys.index(most)
    standard, length = draft.times[at], draft.count(draft.runs[at])
    kept = []
    for run, times, key in zip(draft.runs, draft.times, keys, strict=True):
        if key == most:
            kept.append((run, times))
            continue
        how = (
            f"{draft.count(run)} times instead of {length}"
            if times is None or standard is None
            else _how(times, standard)
        )
        draft.refuse(
            run.looks[0],
            dim,
            f"its times are not those of most members ({how}); complete it, or set vary=[{dim}] if that "
            "is meant",
        )
    draft.runs, draft.times = [run for run, _ in kept], [times for _, times in kept]


def _how(times: NDArray[Any], most: NDArray[Any]) -> str:
    missing = np.setdiff1d(most, times)
    if times.size < most.size and missing.size:
        return f"{missing[0]} is missing, {times.size} times instead of {most.size}"
    return (
        f"{times.size} from {times.ravel()[0]} on, instead of {most.size} from {most.ravel()[0]} on"
    )
