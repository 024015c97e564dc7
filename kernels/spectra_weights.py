"""Weights that broaden spectra: a Gaussian of each spectrum's own width, cut where it has ended."""

import numpy as np
from numpy.typing import NDArray

from astrohpc.kernels.statement import twin

Doubles = NDArray[np.float64]


@twin
def weigh(
    wanted: Doubles, half: NDArray[np.int32], step: float, weight: Doubles, factor: Doubles
) -> None:
    """Fill ``weight`` [B, 1 + most], from the middle on, and ``factor`` [B], of spectra by themselves.

    ``wanted`` [B] are variances in squares of ``step``, which nodes are apart in ln λ; ``half`` how many
    nodes on either side have a weight. A weight and its mirror count twice in the sum, which is one.
    ``factor`` is what places are to be multiplied by, so that weights times places add up to one as well.
    """
    for k in range(wanted.size):
        own, reach = weight[k], half[k]
        own[:] = 0.0
        own[0], factor[k] = 1.0, 1.0
        if reach == 0:
            continue
        if wanted[k] < 1.0:
            # Narrower than its nodes are apart: what three nodes and again three make has any variance.
            side = 0.25 * wanted[k]
            rest = 1.0 - 2.0 * side
            own[0], own[1], own[2] = rest**2 + 2.0 * side**2, 2.0 * side * rest, side**2
        else:
            variance = wanted[k]
            for _ in range(2):  # the wings that are cut are made good
                sides, spread = 0.0, 0.0
                for i in range(1, reach + 1):
                    own[i] = np.exp(-0.5 * (i * i) / variance)
                    sides += own[i]
                    spread += own[i] * (i * i)
                whole = 1.0 + 2.0 * sides
                own[0] = 1.0 / whole
                for i in range(1, reach + 1):
                    own[i] /= whole
                variance *= wanted[k] / (2.0 * spread / whole)
        places = own[0]
        for i in range(1, reach + 1):
            places += 2.0 * own[i] * np.cosh(step * i)
        factor[k] = 1.0 / places
