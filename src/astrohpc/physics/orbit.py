"""Where the star stands: Kepler's orbit, declination, and the light that each latitude receives.

Insolation here is a *factor*: the mean over a time step, a day and a latitude band of the light that
falls on a horizontal square metre, divided by the flux at one semi-major axis. Its mean over the
sphere and the orbit is exactly ``1 / (4 sqrt(1 - e^2))``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrohpc.physics.grid import Bands

Array = NDArray[np.float64]

_NODES_A_BAND = 8  # Gauss points in sin(latitude); polar night ends inside a band
_NODES_A_STEP = 3  # Gauss points in true anomaly


@dataclass(frozen=True)
class Insolation:
    """Light by time step of one orbit and by band.

    ``cosine`` is the mean cosine of the zenith angle, weighted by the light itself: what a scattering
    layer above that band sees. Where it is dark it is one, which nothing then uses.
    """

    factor: Array
    cosine: Array


def true_anomaly(mean_anomaly_rad: Array, eccentricity: float) -> Array:
    """True anomaly at mean anomalies in 0 … 2π, increasing without a jump (Kepler's equation)."""
    mean = np.asarray(mean_anomaly_rad, dtype=float)
    # Between these bounds the root is unique; Newton from π alone converges for every e < 1
    # (Charles & Tatum 1997), the bounds only keep round-off from leaving the interval.
    eccentric = np.full_like(mean, np.pi)
    for _ in range(60):
        excess = eccentric - eccentricity * np.sin(eccentric) - mean
        step = excess / (1.0 - eccentricity * np.cos(eccentric))
        eccentric = np.clip(eccentric - step, mean - eccentricity, mean + eccentricity)
        if float(np.max(np.abs(step), initial=0.0)) < 1e-14:
            break
    # This form of the half-angle formula has no branch cut that round-off at 2π could cross.
    narrow = eccentricity / (1.0 + np.sqrt(1.0 - eccentricity**2))
    turned = np.arctan2(narrow * np.sin(eccentric), 1.0 - narrow * np.cos(eccentric))
    anomaly: Array = eccentric + 2.0 * turned
    return anomaly


def daily_moments(sin_lat: Array, sin_declination: Array) -> tuple[Array, Array]:
    """Mean over a day of the cosine of the zenith angle, and of its square, while the star is up."""
    cos_lat = np.sqrt(np.maximum(0.0, 1.0 - sin_lat**2))
    cos_declination = np.sqrt(np.maximum(0.0, 1.0 - sin_declination**2))
    fixed, swing = sin_lat * sin_declination, cos_lat * cos_declination
    # Hour angle of sunset; without a swing the star is up or down all day.
    ratio = np.where(swing > 0.0, -fixed / np.where(swing > 0.0, swing, 1.0), -np.sign(fixed))
    sunset = np.arccos(np.clip(ratio, -1.0, 1.0))
    first = (sunset * fixed + np.sin(sunset) * swing) / np.pi
    second = (
        sunset * (fixed**2 + 0.5 * swing**2)
        + 2.0 * fixed * swing * np.sin(sunset)
        + 0.25 * swing**2 * np.sin(2.0 * sunset)
    ) / np.pi
    return np.maximum(first, 0.0), np.maximum(second, 0.0)


def seasonal_insolation(
    bands: Bands,
    steps: int,
    *,
    obliquity_rad: float,
    eccentricity: float,
    longitude_of_periapse_rad: float,
) -> Insolation:
    """Light over one orbit from periapse, in ``steps`` equal spans of time.

    Angular momentum makes light proportional to the true anomaly swept, so the mean over a span is
    the angle it sweeps, exactly, and declination is sampled evenly in that angle.
    """
    anomaly = true_anomaly(np.linspace(0.0, 2.0 * np.pi, steps + 1), eccentricity)
    swept = np.diff(anomaly)
    brightness = swept / (2.0 * np.pi / steps * np.sqrt(1.0 - eccentricity**2))
    node, node_weight = np.polynomial.legendre.leggauss(_NODES_A_STEP)
    sampled = anomaly[:-1, None] + 0.5 * swept[:, None] * (1.0 + node)
    sin_declination = np.sin(obliquity_rad) * np.sin(sampled + longitude_of_periapse_rad)
    first, second = _band_means(bands, sin_declination)
    first = np.einsum("sjb,j->sb", first, 0.5 * node_weight)
    second = np.einsum("sjb,j->sb", second, 0.5 * node_weight)
    # A sphere intercepts a disc: a quarter of the beam, whatever the season.
    first *= 0.25 / (first @ bands.weight)[:, None]
    return _insolation(first * brightness[:, None], second * brightness[:, None])


def locked_insolation(bands: Bands) -> Insolation:
    """Light on a tidally locked planet; the north pole of the bands is the substellar point."""
    sine = np.maximum(0.0, np.sin(bands.edge_rad))
    first = np.diff(sine**2) / (4.0 * bands.weight)
    second = np.diff(sine**3) / (6.0 * bands.weight)
    return _insolation(first[None, :], second[None, :])


def _band_means(bands: Bands, sin_declination: Array) -> tuple[Array, Array]:
    """Daily moments at each declination, averaged over the area of each band (last axis)."""
    node, node_weight = np.polynomial.legendre.leggauss(_NODES_A_BAND)
    sine = np.sin(bands.edge_rad)
    sin_lat = sine[:-1, None] + 0.5 * np.diff(sine)[:, None] * (1.0 + node)
    first, second = daily_moments(sin_lat, sin_declination[..., None, None])
    return first @ (0.5 * node_weight), second @ (0.5 * node_weight)


def _insolation(first: Array, second: Array) -> Insolation:
    lit = first > 0.0
    cosine = np.where(lit, second / np.where(lit, first, 1.0), 1.0)
    return Insolation(first, np.clip(cosine, 1e-6, 1.0))
