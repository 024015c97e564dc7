"""What the kernel of spectra is handed: grid, samples' numbers, what all share, and room to work in."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Words = NDArray[np.uint32] | NDArray[np.uint16]

PIECE = 64  # bins whose sum one thread makes
STENCIL = 2  # nodes on either side of a place that its light is read from

# state[sample]: what went wrong, with the bin in the order of the array
FINE, NOT_FINITE, NOT_POSITIVE, LOST = 0, 1, 2, 3
# totals[sample]: value times width in µm. SOURCE of all bins that came; WANTED of the bins that are left
# after resampling, from the running sums; RETURNED the same of what is written, before gaps; GONE in gaps.
SOURCE, WANTED, RETURNED, GONE = range(4)
NO_NOISE, PHOTON, EVEN, GIVEN = range(4)
# The word of the random numbers' key that says what they are for.
NOISE, SHIFT, RESOLUTION, SNR, RESPONSE, GAPS = range(0x5350_0001, 0x5350_0007)


class Grid(NamedTuple):
    """Bins in the order of rising wavelength, of which the first is ``first`` in the arrays.

    ``edge`` [E] are all edges in µm, ``at`` [N] which of them is a bin's lower one (the next is its
    upper one), ``of`` [E - 1] the bin above an edge or -1 where a gap is, ``width`` [N] how wide bins are.
    Those without a gap between them reach from ``stretch_low`` to ``stretch_high``. ``node`` [P] are nodes
    in µm, even in ln λ and reaching beyond the edges by all that is ever weighed, ``inverse_width`` [P - 1]
    one over the steps between them; ``under`` [E] is the node at or below an edge, ``lean`` q / (1 + q) of
    nodes that grow by q. ``step`` is 1, or -1 where wavelengths fall in the arrays. ``place`` [N] is where a
    bin lies among the knots.
    """

    edge: Doubles
    at: NDArray[np.int64]
    of: NDArray[np.int64]
    width: Doubles
    stretch_low: Doubles
    stretch_high: Doubles
    node: Doubles
    inverse_width: Doubles
    under: NDArray[np.int64]
    lean: float
    first: int
    step: int
    place: Floats


class Plan(NamedTuple):
    """What is done to each sample: [B], or [B, weights, knots, gaps].

    ``resampled`` 0 leaves bins as they are. A wavelength λ comes from
    ``(λ · factor - offset_um) · inverse``; the running sum is multiplied by ``gain``. It is broadened by
    ``half`` nodes on either side, of which ``weight`` [B, 1 + half] are the weights from the middle on;
    ``low`` and ``high`` are factors that reach as far as that does. ``knots`` of the response are none where
    there is no response; ``snr`` is the noise's and ``sample`` keys its random numbers; ``gaps`` are first
    bin and bin after the last, in the order of rising wavelength.
    """

    resampled: NDArray[np.int32]
    offset_um: Doubles
    inverse: Doubles
    gain: Doubles
    factor: Doubles
    half: NDArray[np.int32]
    weight: Doubles
    low: Doubles
    high: Doubles
    knots: Floats
    snr: Floats
    sample: NDArray[np.int64]
    gaps: NDArray[np.int32]


class Manner(NamedTuple):
    """What is the same for all samples; ``half`` is 1 where values are stored as bfloat16, else 0."""

    seed: int
    half: int
    amplitude: float
    noise: int
    keep_total: bool
    positive: bool


class Room(NamedTuple):
    """What a thread works in: running sums and slopes by edge, sums by node, values by bin."""

    sum_below: Doubles
    value: Doubles
    slope: Doubles
    smeared: Doubles
    seen: Doubles
    blur: Doubles
    normal: Floats
    bins: Floats


def room(n_bins: int, n_edges: int, n_nodes: int) -> Room:
    """Space for one spectrum."""
    return Room(
        np.empty(n_edges),
        np.empty(n_edges),
        np.empty(n_edges),
        np.empty(n_edges),
        np.empty(n_nodes),
        np.empty(n_nodes),
        np.empty((4, (n_bins + 3) // 4), np.float32),
        np.empty(n_bins, np.float32),
    )
