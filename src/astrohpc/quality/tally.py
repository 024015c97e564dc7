"""What is kept of a law's residuals in one member: counts, the worst, and a curve of fixed length."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrohpc.physics.budgets import Residual
from astrohpc.physics.lawbook import BUDGETS
from astrohpc.quality.results import Kept


class Tally:
    """How one law is kept by one member, as its blocks come; a few numbers, whatever the length."""

    def __init__(self, law: str, samples: int, points: int) -> None:
        self._law = law
        self._stretch = -(-samples // points)  # times that share a point of the curve
        self.samples = self.judged = self._passed = 0
        self._sum = 0.0
        self._worst = _Worst()
        self._limit = math.nan
        self._curves: tuple[dict[int, float], dict[int, float]] = ({}, {})  # of values, of shares

    def add(self, first: int, one: Residual) -> None:
        """The residuals of samples from ``first`` on, in their order."""
        self._limit = one.tolerance.limit
        error = np.abs(one.relative if one.tolerance.relative else one.residual)
        shares = _shares(error, self._limit)
        for k in np.flatnonzero(np.isfinite(one.value)).tolist():
            number = first + k
            at = number // self._stretch * self._stretch
            value, share, judged = float(one.value[k]), float(shares[k]), bool(one.judged[k])
            self.samples += 1
            self.judged += judged
            self._passed += bool(one.passed[k])
            self._sum += value
            _extend(self._curves[0], at, value)
            if judged:
                _extend(self._curves[1], at, share)
            size = share if judged else -1.0 / (1.0 + float(np.nan_to_num(error[k])))
            if size > self._worst.size:
                self._worst = _Worst(size, float(one.residual[k]), float(one.relative[k]), number)

    @property
    def could_be_judged(self) -> bool:
        """Whether it has a tolerance and, in a full climate, something to be held against."""
        return math.isfinite(self._limit) and BUDGETS[self._law].kind != "total"

    def kept(self) -> Kept:
        """What the report says of it."""
        judged = self.judged > 0
        curve = self._curves[judged]
        return Kept(
            self._law,
            self.samples,
            self.judged,
            self._passed,
            _finite(self._sum / self.samples),
            _finite(self._worst.residual),
            _finite(self._worst.relative),
            _finite(self._limit),
            _finite(self._worst.size) if judged else None,
            self._worst.time,
            tuple(sorted(curve)),
            tuple(_finite(curve[at]) for at in sorted(curve)),
        )


@dataclass(frozen=True)
class _Worst:
    """The residual that is furthest from being kept; what is judged goes before what is not."""

    size: float = -math.inf
    residual: float = math.nan
    relative: float = math.nan
    time: int = 0


def _extend(curve: dict[int, float], at: int, value: float) -> None:
    """Keep the value that is furthest from nought."""
    if at not in curve or abs(value) > abs(curve[at]):
        curve[at] = value


def _shares(error: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Of the tolerance; where that is nought, nothing but nought is within."""
    shares: NDArray[np.float64] = np.divide(
        error, limit, out=np.where(error == 0, 0.0, np.inf), where=limit > 0
    )
    return shares


def _finite(number: float) -> float | None:
    """As JSON has it: no infinities, and as many digits as the report is written with."""
    return float(f"{number:.12g}") if np.isfinite(number) else None
