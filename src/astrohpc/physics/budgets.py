"""What the laws of :data:`BUDGETS` say of a batch of fields.

:func:`evaluate` judges, for checks and reports; :func:`amounts` only measures, for losses, augmentation
and corrections, differentiable where the sums are. Both take zonal sums, so fields are read once for all.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrohpc.errors import ConfigError
from astrohpc.physics import columns
from astrohpc.physics.integrals import Integrals
from astrohpc.physics.law import Amount, Budget, Tolerance
from astrohpc.physics.lawbook import BUDGETS
from astrohpc.physics.layout import Layout
from astrohpc.physics.sums import ZonalSums
from astrohpc.physics.worlds import Worlds

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Residual:
    """What one law says of each sample, [S] each; ``rows`` the same by latitude, [S, J], where it has.

    A sample that is not ``judged`` has nothing to be held against, or lacks values; then its value is
    NaN, for a mean of what is there would be taken for one of the sphere.
    """

    budget: Budget
    value: Array
    residual: Array
    relative: Array
    tolerance: Tolerance
    judged: NDArray[np.bool_]
    passed: NDArray[np.bool_]
    rows: Array | None = None


def amounts(
    sums: ZonalSums, layout: Layout, worlds: Worlds, only: Collection[str] | None = None
) -> dict[str, Amount]:
    """What each law measures that the layout has the variables for, or ``only`` some."""
    _check(sums, layout, worlds)
    integrals = Integrals(sums, layout)
    names = [block.name for block in layout]
    found = {}
    for name in BUDGETS if only is None else only:
        budget = _budget(name)
        if budget.measure is None:
            continue
        if budget.applies(names):
            found[name] = budget.measure(integrals, worlds)
        elif only is not None:
            lacking = [need for need in budget.needs if need not in names]
            raise ConfigError(f"{name}: needs {', '.join(lacking)} as well; give their fields.")
    return found


def evaluate(
    sums: ZonalSums,
    layout: Layout,
    worlds: Worlds,
    times_s: ArrayLike | None = None,
    *,
    engine: str = "",
    only: Collection[str] | None = None,
    reference: Mapping[str, ArrayLike] | None = None,
    tolerances: Mapping[str, Tolerance] | None = None,
) -> tuple[Residual, ...]:
    """Judge all laws that the layout has the variables for, or ``only`` some.

    With ``times_s`` the samples are one member's, in order of time: what should be constant is held
    against the first that has all its values, and growth counts: of three times or more, those are judged
    that have both neighbours, with all their values. ``reference`` gives amounts to be held against
    instead, by name, one number a sample. ``tolerances`` replace those of the law and of the ``engine``.
    """
    times = None if times_s is None else _times(times_s, sums.samples)
    reference, tolerances = reference or {}, tolerances or {}
    integrals = Integrals(sums, layout)
    found = []
    for name, measured in amounts(sums, layout, worlds, only).items():
        budget = BUDGETS[name]
        amount = _of_whole(measured, budget.whole(integrals))
        residual = _residual(budget, amount, times, reference.get(name))
        tolerance = tolerances.get(name, budget.tolerance_of(engine))
        found.append(_judge(budget, amount, residual, tolerance))
    return tuple(found)


def evaluate_columns(
    fields: Mapping[str, Any],
    layout: Layout,
    worlds: Worlds,
    only: Collection[str] = ("hydrostatic",),
    *,
    engine: str = "",
    tolerances: Mapping[str, Tolerance] | None = None,
) -> tuple[Residual, ...]:
    """Judge what needs the fields themselves: hydrostatic balance, and saturation where asked for.

    Laws whose variables are not there are left out. A sample with missing values is not judged.
    """
    found = []
    for name in only:
        budget = _budget(name)
        if name not in _COLUMNS:
            raise ConfigError(f"{name}: is judged by zonal sums; pass it to evaluate.")
        if not budget.applies([block.name for block in layout]):
            continue
        amount = _COLUMNS[name](fields, layout, worlds)
        tolerance = (tolerances or {}).get(name, budget.tolerance_of(engine))
        found.append(_judge(budget, amount, amount.value, tolerance))
    return tuple(found)


_COLUMNS = {"hydrostatic": columns.hydrostatic, "saturation": columns.saturation}


def _of_whole(amount: Amount, whole: NDArray[np.bool_]) -> Amount:
    """As numbers of numpy, NaN for samples that lack values: what grows beside them is NaN, too."""
    stored, rows = amount.stored, amount.rows
    return Amount(
        np.where(whole, _numbers(amount.value), np.nan),
        _numbers(amount.scale),
        None if stored is None else np.where(whole, _numbers(stored), np.nan),
        None if rows is None else np.where(whole[:, None], _numbers(rows), np.nan),
        amount.open,
    )


def _judge(budget: Budget, amount: Amount, residual: Array, tolerance: Tolerance) -> Residual:
    size = np.abs(amount.scale)
    relative = np.where(residual == 0, 0.0, np.copysign(np.inf, residual))
    np.divide(residual, size, out=relative, where=size > 0)
    judged = np.isfinite(residual) & math.isfinite(tolerance.limit)
    passed = judged & (np.abs(relative if tolerance.relative else residual) <= tolerance.limit)
    return Residual(
        budget, amount.value, residual, relative, tolerance, judged, passed, amount.rows
    )


def _residual(
    budget: Budget, amount: Amount, times: Array | None, reference: ArrayLike | None
) -> Array:
    value: Array = amount.value
    nothing: Array = np.full_like(value, np.nan)
    if amount.open:
        return nothing
    if reference is not None:
        return np.asarray(value - np.broadcast_to(np.asarray(reference), value.shape))
    if budget.kind == "total" or (budget.kind == "constant" and times is None):
        return nothing
    if budget.kind == "constant":
        known = value[np.isfinite(value)]
        return np.asarray(value - known[0]) if known.size else nothing
    if budget.kind == "change":
        return _growth(amount.stored, times, value) - value
    return value


def _growth(stored: Array | None, times: Array | None, like: Array) -> Array:
    """How fast an amount grows at each time, from its neighbours; at the first and last nobody knows.

    Nothing where there are no three times, or no amount.
    """
    growth = np.zeros_like(like)
    if stored is not None and times is not None and len(times) > 2:
        growth[[0, -1]] = np.nan
        growth[1:-1] = (stored[2:] - stored[:-2]) / (times[2:] - times[:-2])
    return growth


def _numbers(values: Any) -> Array:
    """As numpy has them."""
    return np.asarray(
        values if isinstance(values, np.ndarray) else values.detach().cpu(), np.float64
    )


def _times(times_s: ArrayLike, samples: int) -> Array:
    times = np.asarray(times_s, dtype=np.float64)
    if times.shape != (samples,) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ConfigError(
            f"times_s: must be {samples} numbers that only rise, one a sample; "
            "judge one member at a time, in order."
        )
    return times


def _check(sums: ZonalSums, layout: Layout, worlds: Worlds) -> None:
    wanted = (sums.samples, layout.channels, layout.grid.shape[0])
    if tuple(sums.x.shape) != wanted:
        raise ConfigError(
            f"sums: have shape {tuple(sums.x.shape)} where the layout's is {wanted}; "
            "use the layout that they were made with."
        )
    if len(worlds) != sums.samples:
        raise ConfigError(
            f"worlds: are {len(worlds)} for {sums.samples} samples; give one a sample."
        )


def _budget(name: str) -> Budget:
    if name not in BUDGETS:
        raise ConfigError(f"{name}: is no budget; ask for some of {', '.join(BUDGETS)}.")
    return BUDGETS[name]
