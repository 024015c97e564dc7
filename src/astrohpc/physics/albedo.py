"""How much light a column sends back: a scattering layer of gas and cloud above a surface."""

import numpy as np
from numpy.typing import NDArray

from astrohpc.constants import MOLAR_MASS
from astrohpc.physics.spectrum import rayleigh_scattering, visible_fraction
from astrohpc.planet import Planet

Array = NDArray[np.float64]

# Rayleigh cross-section of a mole at 532 nm, m2 (Sneep & Ubachs 2005, J. Quant. Spectrosc. Radiat.
# Transf. 92, 293: 5.10e-31, 12.4e-31 and 12.47e-31 m2 a molecule).
_MOLAR_CROSS_SECTION_M2 = {"N2": 3.071e-7, "CO2": 7.467e-7, "CH4": 7.510e-7}


def rayleigh_depth_532nm(planet: Planet) -> float:
    """Optical depth of the planet's clear column at 532 nm."""
    per_mole = sum(x * _MOLAR_CROSS_SECTION_M2[gas] for gas, x in planet.composition.items())
    mean_mass = sum(x * MOLAR_MASS[gas] for gas, x in planet.composition.items())
    return per_mole * planet.column_mass_kgm2 / mean_mass


def reflectance(scattering: Array, cosine: Array) -> Array:
    """Light that a non-absorbing layer reflects from a beam at this cosine of the zenith angle."""
    result: Array = scattering / (cosine + scattering)
    return result


def diffuse_reflectance(scattering: Array) -> Array:
    """The same for light from everywhere: the mean of ``reflectance`` over a hemisphere's flux.

    >>> float(diffuse_reflectance(np.array(0.0)))
    0.0
    """
    tiny = 1e-300
    result: Array = (
        2.0 * scattering * (1.0 - scattering * np.log1p(1.0 / np.maximum(scattering, tiny)))
    )
    return result


def planetary_albedo(
    planet: Planet, cosine: Array, surface: tuple[float, ...], cloud_scattering: float
) -> Array:
    """Albedo at the top of the atmosphere over a surface of this (visible, near-infrared) albedo.

    The layer holds the gas and a thin, everlasting cloud; light bounces between layer and ground
    until it is absorbed below or leaves.
    """
    visible = visible_fraction(planet.stellar_temperature_k)
    clear = rayleigh_scattering(planet.stellar_temperature_k, rayleigh_depth_532nm(planet))
    total = np.zeros_like(cosine)
    for share, ground, gas in zip((visible, 1.0 - visible), surface, clear, strict=True):
        strength = np.asarray(gas + cloud_scattering)
        above, below = reflectance(strength, cosine), diffuse_reflectance(strength)
        total += share * (above + (1.0 - above) * (1.0 - below) * ground / (1.0 - below * ground))
    return total
