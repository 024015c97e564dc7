"""NaN in place of a value that means missing, in rows of an array and outside of the interpreter's lock."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, error_model="numpy", nogil=True)
def mark(
    values: NDArray[np.floating], rows: NDArray[np.int64], start: int, count: int, hole: float
) -> None:
    """In ``count`` values from ``start`` on of these rows, what equals ``hole`` becomes NaN."""
    for row in rows:
        part = values[row, start : start + count]
        for i in range(count):
            x = part[i]
            part[i] = np.nan if x == hole else x
