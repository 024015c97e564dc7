"""What a surrogate costs and saves, in core-seconds: latencies, total speed-up, and the break-even.

A general circulation model hands over a trajectory, and a surrogate the time-mean climatology at its end.
Only the same deliverable is compared: one time-mean climatology of one planet. That no time is stepped
through is the whole of a factor of ten thousand, and the climates that were learned from are its price.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Bill:
    """Core-seconds that are gone before the first question is answered."""

    data_core_s: float  # all climates: trained on, validated and tested with, failed and repeated
    search_core_s: float  # settings by cross-validation, all trials
    train_core_s: float  # the fit that is used, all members of an ensemble

    @property
    def core_s(self) -> float:
        """All of it."""
        return self.data_core_s + self.search_core_s + self.train_core_s


def break_even(
    bill: Bill, query_core_s: float, other_core_s: float, other_bill_core_s: float = 0.0
) -> float:
    """Questions after which the surrogate, its bill included, has cost less than the other solver.

    The other solver is one of equal error; its own bill is what it must have before its first answer, as a
    look-up must have the same climates. Infinite where the surrogate never catches up, 0 where it is
    cheaper from the first.
    """
    ahead_core_s = bill.core_s - other_bill_core_s
    if other_core_s <= query_core_s:
        return math.inf if ahead_core_s >= 0 else 0.0
    return max(0.0, ahead_core_s / (other_core_s - query_core_s))


def total_speed_up(questions: float, bill: Bill, query_core_s: float, other_core_s: float) -> float:
    """What the other solver would have cost for so many questions, over all that the surrogate has."""
    return questions * other_core_s / (bill.core_s + questions * query_core_s)


# ----------------------------------------------------------------------------- other solvers
@dataclass(frozen=True)
class Solver:
    """Something else that answers the same question; ``error`` in what surrogates are judged by here."""

    name: str
    error: float
    core_s: float  # of one answer
    bill_core_s: float = 0.0  # before its first one


def cheapest_of_equal_error(solvers: Sequence[Solver], error: float) -> Solver | None:
    """The cheapest that is no worse; none where all are worse."""
    good = [one for one in solvers if one.error <= error]
    return min(good, key=lambda one: one.core_s, default=None)


# ----------------------------------------------------------------------------- latency
@dataclass(frozen=True)
class Latency:
    """Of one call: seconds on the clock, and of all cores together."""

    median_s: float
    p95_s: float
    core_s: float  # mean over the calls, of this process and all its threads
    calls: int


def latency(
    call: Callable[[], object],
    calls: int,
    *,
    wall: Callable[[], float] = time.perf_counter,
    cores: Callable[[], float] = time.process_time,
) -> Latency:
    """Time calls one by one, after one that nobody times, in which things are compiled and loaded.

    The call must end when its answer is there: a device that works on is asked to finish first.
    """
    call()
    each = np.empty(calls)
    began_core = cores()
    for k in range(calls):
        began = wall()
        call()
        each[k] = wall() - began
    core_s = (cores() - began_core) / calls
    return Latency(
        float(np.median(each)), float(np.quantile(each, 0.95, method="higher")), core_s, calls
    )
