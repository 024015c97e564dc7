"""The power of a field at each angular scale, whatever grid of rows and columns it lies on."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import assoc_legendre_p_all

Array = NDArray[np.float64]

_FEWEST_ROWS = 4


def degrees(rows: int, columns: int) -> int:
    """The highest degree that a grid holds without aliasing of squares; 0 where it is too coarse.

    A grid of one column holds what is the same at all longitudes.
    """
    if rows < _FEWEST_ROWS:
        return 0
    return (min(2 * rows, columns) - 1) // 3 if columns > 1 else (2 * rows - 1) // 3


def power(fields: Array, lat_deg: Array, row_share: Array) -> Array:
    """Mean square by degree, [..., degree], of fields [..., lat, lon]; it adds up to the field's own.

    ``row_share`` is the part of the sphere that each row covers. Harmonics are those whose mean square
    over the sphere is one, so that the power of degree 0 is the squared mean.
    """
    rows, columns = fields.shape[-2:]
    highest = degrees(rows, columns)
    order = highest if columns > 1 else 0
    along = np.fft.rfft(fields, axis=-1)[..., : order + 1] / columns  # [..., lat, order]
    basis = assoc_legendre_p_all(highest, order, np.sin(np.radians(lat_deg)), norm=True)
    # As scipy has them: [derivative, degree, order (negative ones last), lat].
    basis = np.sqrt(2.0) * np.asarray(basis)[0, :, : order + 1] * row_share
    harmonic = np.einsum("...jm,lmj->...lm", along, basis, optimize=True)
    twice = np.where(np.arange(order + 1) > 0, 2.0, 1.0)
    found: Array = (np.abs(harmonic) ** 2 * twice).sum(axis=-1)
    return found
