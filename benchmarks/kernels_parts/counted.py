"""Where no GPU is: what the compiler says of each kernel, and the bytes that each moves, counted.

Counted are bytes between a kernel and memory when nothing is read twice that a cache can keep, for the
batches that would be measured. They bound the time from below at a given bandwidth; they are not times.
"""

from typing import Any

import numpy as np

from astrohpc.kernels.compile_report import usages
from astrohpc.kernels.zonal_gpu import DEEP
from astrohpc.physics.layout import Layout

FLOAT, DOUBLE, INT = 4, 8, 4


def compiled() -> list[dict[str, Any]]:
    """The compile report: registers, shared memory, stack and spills of every kernel for A100 and H100."""
    return [usage._asdict() for usage in usages()]


def zonal_bytes(layout: Layout, samples: int) -> dict[str, int]:
    """Of sums over all variables in float32. Pressure is read again for each group of layers: its planes of
    all samples are few megabytes, which the second cache keeps, and are counted apart."""
    rows, columns = layout.grid.shape
    plane = FLOAT * rows * columns
    groups = sum(-(-block.channels // DEEP) for block in layout)
    return {
        "batch": samples * layout.channels * plane,
        "read": samples * layout.channels * plane,
        "read_again_from_cache": samples * groups * plane,
        "written": samples * layout.channels * rows * (6 * DOUBLE + INT),
    }


def chain_bytes(layout: Layout, samples: int, times: int) -> dict[str, int]:
    """Of a whole chain in float32: own and partner read, a draft written and read in the second cache, the
    result written in its place; where cells come from, and surface pressure, written and read once."""
    cells = int(np.prod(layout.grid.shape))
    batch = FLOAT * samples * times * layout.channels * cells
    traced = 11 * FLOAT * samples * cells  # 4 taps, 6 parts, the partner's share
    weighed = 5 * FLOAT * samples * times * cells
    return {
        "batch": batch,
        "read": 2 * batch + traced + weighed,
        "written": batch + traced + weighed,
    }


def spectra_bytes(spectra: int, bins: int, weights: int, knots: int, gaps: int) -> dict[str, int]:
    """Of all steps in float32; the grid is one for all and stays in a cache."""
    batch = FLOAT * spectra * bins
    own = 7 * DOUBLE + 3 * INT + DOUBLE * weights + FLOAT * knots + 2 * INT * gaps
    return {
        "batch": batch,
        "read": batch + spectra * own,
        "written": batch + spectra * (4 + 2) * DOUBLE,
    }
