"""The star as a black body in two bands, visible and near infrared, split at 0.7 micrometres.

Two bands are what decides how bright ice is: fresh snow reflects most visible and half of the near
infrared light, so the same ice is darker under a cooler star.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BAND_SPLIT_UM = 0.7
_SECOND_RADIATION_UMK = 14387.76877  # h c / k, micrometre kelvin (CODATA 2018)


def visible_fraction(star_temp_k: float) -> float:
    """Share of a black body's power at wavelengths below the split between the bands.

    >>> round(visible_fraction(5772.0), 3)
    0.488
    """
    wavelength, share = _spectrum(star_temp_k)
    return float(share[wavelength < BAND_SPLIT_UM].sum())


def band_average(star_temp_k: float, bands: tuple[float, ...] | Array) -> float:
    """Mean of a visible and a near-infrared value, weighted by the star's power in each band."""
    visible = visible_fraction(star_temp_k)
    return visible * float(bands[0]) + (1.0 - visible) * float(bands[1])


def rayleigh_scattering(star_temp_k: float, optical_depth_532nm: float) -> Array:
    """Scattering strength of a clear column in the two bands; see ``albedo.reflectance``.

    Molecules scatter half of the light backwards and as the fourth power of frequency. The band
    value is the one that reflects, at a zenith angle of 60°, what the spectrum in that band would:
    a mean optical depth would count ultraviolet light that a thin layer has long turned back.
    """
    wavelength, share = _spectrum(star_temp_k)
    strength = 0.5 * optical_depth_532nm * (0.532 / wavelength) ** 4
    reflected = strength / (0.5 + strength)
    bands = np.empty(2)
    for index, inside in enumerate((wavelength < BAND_SPLIT_UM, wavelength >= BAND_SPLIT_UM)):
        mean = float((share[inside] * reflected[inside]).sum() / share[inside].sum())
        bands[index] = 0.5 * mean / (1.0 - mean)
    return bands


def _spectrum(star_temp_k: float) -> tuple[Array, Array]:
    """Wavelengths (µm) of narrow intervals, none across the split, and their shares of the power."""
    # λ from 0.05 to 1000 µm holds all but 1e-7 of the light of any star between 1500 and 20000 K.
    edge = np.concatenate(
        [np.geomspace(0.05, BAND_SPLIT_UM, 400), np.geomspace(BAND_SPLIT_UM, 1000.0, 600)[1:]]
    )
    wavelength = np.sqrt(edge[1:] * edge[:-1])
    power = wavelength**-5 / np.expm1(_SECOND_RADIATION_UMK / (wavelength * star_temp_k))
    power *= np.diff(edge)
    return wavelength, power / power.sum()
