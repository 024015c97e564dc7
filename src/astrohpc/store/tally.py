"""What is counted of values while they are at hand: how many, how many missing, bounds and sum."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Sums run in this many lanes, value i in lane i % LANES, and the lanes are added in order. The kernel
# does the same, so that vector width never shows in a result.
LANES = 16
COUNTED = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")


@dataclass(frozen=True)
class Statistics:
    """Of the values of a shard. Missing is what equals the fill value or is not a number.

    ``count`` is all values that were looked at, the missing ones too; it is 0 where bytes were passed
    through unread. Bounds are infinite the wrong way round where nothing but missing values is.
    """

    count: int = 0
    missing: int = 0
    minimum: float = math.inf
    maximum: float = -math.inf
    total: float = 0.0

    def __add__(self, other: "Statistics") -> "Statistics":
        return Statistics(
            self.count + other.count,
            self.missing + other.missing,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self.total + other.total,
        )


def statistics(values: NDArray[Any], fill: Any) -> Statistics:
    """The statistics of values; of types that NetCDF has no numbers of only the count."""
    if values.dtype.str[1:] not in COUNTED or not values.size:
        return Statistics(count=values.size)
    flat = values.reshape(-1)
    lost = np.isnan(flat) if flat.dtype.kind == "f" else np.zeros(flat.size, bool)
    if fill is not None:
        lost |= flat == np.asarray(fill, flat.dtype)
    missing = int(lost.sum())
    kept = flat if not missing else flat[~lost]
    if not kept.size:
        return Statistics(count=flat.size, missing=missing)
    padded = np.zeros(-(-flat.size // LANES) * LANES)
    padded[: flat.size] = np.where(lost, 0, flat)
    with np.errstate(invalid="ignore", over="ignore"):  # infinities of both signs have no sum
        lanes = np.add.accumulate(padded.reshape(-1, LANES), axis=0)[-1]
        total = float(np.add.accumulate(lanes)[-1])
    return Statistics(flat.size, missing, float(kept.min()), float(kept.max()), total)
