"""What one pass over a batch works with: channels, draws, what was found, and a thread's desk."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from astrohpc.kernels.totals import LANES
from astrohpc.kernels.warp import Array, Singles, Taps

# Columns of the table of blocks.
FIRST, LEVELS, KIND, RULE, MATE = range(5)
# Kinds of blocks; a northward wind is done with the eastward one whose mate it is.
SCALAR, EASTWARD, NORTHWARD, CATEGORY = range(4)
# What can be wrong with a block.
FINE, OWN_BAD, PARTNER_BAD, THIN, NEGATIVE = range(5)
# Row sums: of the sample at the times before and after, of the partner, of the result.
BEFORE, AFTER, PARTNER, RESULT = range(4)
WITHOUT_PRESSURE_PA = np.float32(1e5)  # any: layers of a share of it weigh the same


class Blocks(NamedTuple):
    """What the channels are.

    ``table`` [n, 5] has a row a block: its first channel, levels (0: one channel without layers), kind,
    rule of :mod:`totals`, and the row of the northward wind that belongs to an eastward one, or -1.
    ``low`` and ``high`` [n] are its bounds. Layers are da + db ps thick, in Pa, ``da`` and ``db`` [L].
    ``pressure`` is the row of surface pressure, or -1.
    """

    table: NDArray[np.int64]
    low: Singles
    high: Singles
    da: Array
    db: Array
    pressure: int


class Draws(NamedTuple):
    """What was drawn for each of B samples.

    The time before [B, T] and the ``part`` [B, T] of the way to the one after. ``warped`` [B] is 1 where
    ``half`` [B, K, 3], the turns of the control points, applies. Level l of the result is ``weight`` of
    level ``upper`` - 1 and the rest of ``upper``, [B, L]. ``partner`` [B] is a sample of the other array,
    or -1; ``mixture`` [B] is its share. ``capped`` [B] is 1 where a cap of it lies at ``caps`` [B, 5]: the
    centre, the cosines of the inner and the outer edge. ``sigma`` [B, C] is the noise, none where 0; its
    counters have ``low`` and ``high`` [B], the halves of a sample's number, its key is ``seed``,
    ``operation``. ``spin`` [B, 2] is rotation rate times radius in m/s, the sample's and the partner's.
    """

    before: NDArray[np.int64]
    part: Singles
    warped: NDArray[np.uint8]
    half: Array
    upper: NDArray[np.int64]
    weight: Singles
    partner: NDArray[np.int64]
    mixture: Singles
    capped: NDArray[np.uint8]
    caps: Array
    sigma: Singles
    low: NDArray[Any]
    high: NDArray[Any]
    seed: Any
    operation: Any
    spin: Array


class Report(NamedTuple):
    """What was found: the sample's own share [B] of the area; by sample, time and block what is wrong
    [B, T, n], and the total: as it ought to be, as it is, and without signs [B, T, n, 3].

    Where each row has a total of its own, it is that of the worst row.
    """

    own: Array
    wrong: NDArray[np.int64]
    totals: Array


class Desk(NamedTuple):
    """What one thread works on: planes of [J * I] and sums of rows.

    ``ps`` are surface pressures: before, after, of the warped sample, of the partner, of the result.
    ``mass`` [levels or none, 4, J] are sums of what weighs values, ``rows`` [2, 4, J] sums of values.
    """

    raw: Singles
    padded: Singles
    ring: Singles
    ps: Singles
    share: Singles
    normal: Singles
    block: NDArray[np.int64]
    rows: Array
    mass: Array
    target: Array
    sizes: Array
    shift: Singles
    lanes: Array
    taps: Taps


@njit(nogil=True, error_model="numpy")
def new_desk(rows: int, columns: int) -> Desk:
    """Room for a grid of so many rows and columns."""
    cells = rows * columns
    one = np.float32
    return Desk(
        np.empty(cells, one),
        np.empty((2, rows * (columns + 1)), one),
        np.empty((2, 2, cells), one),
        np.empty((5, cells), one),
        np.empty(cells, one),
        np.empty((2, 4, cells), one),
        np.empty(2, np.int64),
        np.empty((2, 4, rows)),
        np.empty((2, 4, rows)),
        np.empty(rows),
        np.empty(rows),
        np.empty(rows, one),
        np.empty(LANES),
        Taps(
            np.empty(cells, np.uint32),
            np.empty(cells, np.uint32),
            np.empty(cells, one),
            np.empty(cells, one),
            np.empty(cells, one),
            np.empty(cells, one),
            np.empty(cells, one),
            np.empty(cells, one),
        ),
    )
