"""Moist air on any planet: saturation, virtual temperature, thickness of layers.

What is of water comes from :mod:`astrohpc.constants`; the dry gas constant is the planet's. All element
by element.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrohpc.constants import WATER_GAS_CONSTANT

Array = NDArray[np.float64]

TRIPLE_POINT_K = 273.16
# Murphy and Koop (2005, Q. J. R. Meteorol. Soc. 131, 1539), equations 7 and 10.
_ICE_FROM_K, _WATER_FROM_K = 110.0, 123.0


def saturation_over_ice_pa(temperature_k: ArrayLike) -> Array:
    """Vapour pressure over ice after Murphy and Koop (2005, equation 7), for 110 to 273.16 K."""
    t = np.maximum(np.asarray(temperature_k, dtype=np.float64), _ICE_FROM_K)
    return np.exp(9.550426 - 5723.265 / t + 3.53068 * np.log(t) - 0.00728332 * t)


def saturation_over_water_pa(temperature_k: ArrayLike) -> Array:
    """Vapour pressure over liquid water after Murphy and Koop (2005, equation 10), for 123 to 332 K.

    Beyond 332 K it is used on: at 373.15 K it is 0.7 % above the normal boiling point.
    """
    t = np.maximum(np.asarray(temperature_k, dtype=np.float64), _WATER_FROM_K)
    log = np.log(t)
    stable = 54.842763 - 6763.22 / t - 4.210 * log + 0.000367 * t
    supercooled = 53.878 - 1331.22 / t - 9.44523 * log + 0.014025 * t
    return np.exp(stable + np.tanh(0.0415 * (t - 218.8)) * supercooled)


def saturation_pa(temperature_k: ArrayLike) -> Array:
    """Vapour pressure over water from the triple point on, over ice below."""
    t = np.asarray(temperature_k, dtype=np.float64)
    return np.where(t >= TRIPLE_POINT_K, saturation_over_water_pa(t), saturation_over_ice_pa(t))


def q_sat(temperature_k: ArrayLike, pressure_pa: ArrayLike, gas_constant_jkgk: ArrayLike) -> Array:
    """Specific humidity of saturated air of this total pressure; 1 where water would boil."""
    vapour = saturation_pa(temperature_k)
    p = np.asarray(pressure_pa, dtype=np.float64)
    lightness = np.asarray(gas_constant_jkgk, dtype=np.float64) / WATER_GAS_CONSTANT
    boils = vapour >= p
    dry = np.where(boils, 0.0, p - vapour)
    return np.asarray(lightness * vapour / (dry + lightness * vapour))


def virtual_temperature_k(temperature_k: Any, humidity: Any, gas_constant_jkgk: Any) -> Any:
    """The temperature at which dry air would be as light as this moist air; of arrays or tensors."""
    lightness = WATER_GAS_CONSTANT / gas_constant_jkgk
    return temperature_k * (1.0 + (lightness - 1.0) * humidity)


def thickness_m(
    virtual_k: Any, top_pa: Any, bottom_pa: Any, gas_constant_jkgk: Any, gravity_ms2: Any
) -> Any:
    """Height between two pressures in hydrostatic balance, of air of one virtual temperature.

    Of numbers, arrays or tensors, in the precision that they have.
    """
    ratio = bottom_pa / top_pa
    logarithm = ratio.log() if hasattr(ratio, "log") else np.log(ratio)  # a tensor has its own
    return gas_constant_jkgk * virtual_k / gravity_ms2 * logarithm
