import math

import numpy as np
import pytest

from astrohpc.physics.grid import Bands
from astrohpc.physics.orbit import (
    daily_moments,
    locked_insolation,
    seasonal_insolation,
    true_anomaly,
)


@pytest.mark.parametrize("eccentricity", [0.0, 0.0167, 0.3, 0.7, 0.95])
def test_true_anomaly_solves_keplers_equation_without_a_jump(eccentricity: float) -> None:
    mean = np.linspace(0.0, 2.0 * np.pi, 1001)
    anomaly = true_anomaly(mean, eccentricity)
    assert np.all(np.diff(anomaly) > 0.0)
    assert anomaly[[0, 500, 1000]] == pytest.approx([0.0, math.pi, 2 * math.pi], abs=1e-12)
    eccentric = 2.0 * np.arctan2(
        np.sqrt(1 - eccentricity) * np.sin(anomaly / 2),
        np.sqrt(1 + eccentricity) * np.cos(anomaly / 2),
    )
    assert eccentric - eccentricity * np.sin(eccentric) == pytest.approx(mean, abs=1e-11)


@pytest.mark.parametrize("eccentricity", [0.0, 0.0167, 0.4, 0.9])
@pytest.mark.parametrize("obliquity_deg", [0.0, 23.44, 90.0, 150.0])
@pytest.mark.parametrize("steps", [24, 84])
def test_the_orbit_and_sphere_mean_is_the_solar_constant_over_four(
    eccentricity: float, obliquity_deg: float, steps: int
) -> None:
    bands = Bands.uniform(60)
    light = seasonal_insolation(
        bands,
        steps,
        obliquity_rad=math.radians(obliquity_deg),
        eccentricity=eccentricity,
        longitude_of_periapse_rad=1.2,
    )
    mean = float((light.factor @ bands.weight).mean())
    assert mean == pytest.approx(0.25 / math.sqrt(1 - eccentricity**2), rel=1e-13)
    assert light.factor.min() >= 0.0


def test_every_instant_of_a_circular_orbit_lights_a_disc() -> None:
    bands = Bands.uniform(30)
    light = seasonal_insolation(
        bands,
        36,
        obliquity_rad=math.radians(40.0),
        eccentricity=0.0,
        longitude_of_periapse_rad=0.0,
    )
    assert light.factor @ bands.weight == pytest.approx(np.full(36, 0.25), rel=1e-13)
    # The mean of the cosine over the lit disc, weighted by itself, is two thirds.
    second = (light.factor * light.cosine) @ bands.weight
    assert second == pytest.approx(np.full(36, 1.0 / 6.0), rel=2e-4)


@pytest.mark.parametrize("obliquity_deg", [0.0, 23.44, 55.0, 90.0])
def test_the_annual_mean_has_norths_second_legendre_coefficient(obliquity_deg: float) -> None:
    # North et al. 1981: s2 = -5/8 P2(cos obliquity), for the mean normalised to one.
    bands = Bands.uniform(180)
    tilt = math.radians(obliquity_deg)
    light = seasonal_insolation(
        bands, 360, obliquity_rad=tilt, eccentricity=0.0, longitude_of_periapse_rad=0.0
    )
    annual = 4.0 * light.factor.mean(axis=0)
    sine = np.sin(bands.center_rad)
    second = 5.0 * bands.mean(annual * 0.5 * (3 * sine**2 - 1))
    assert second == pytest.approx(-0.625 * 0.5 * (3 * math.cos(tilt) ** 2 - 1), abs=5e-4)


def test_an_upright_planet_is_lit_as_the_cosine_of_latitude() -> None:
    bands = Bands.uniform(180)
    light = seasonal_insolation(
        bands, 1, obliquity_rad=0.0, eccentricity=0.0, longitude_of_periapse_rad=0.0
    )
    edge = bands.edge_rad
    band_mean = np.diff(edge / 2 + np.sin(2 * edge) / 4) / np.diff(np.sin(edge))
    assert light.factor[0] == pytest.approx(band_mean / math.pi, rel=2e-3)


def test_periapse_in_northern_winter_makes_southern_summers_bright() -> None:
    bands = Bands.uniform(60)
    light = seasonal_insolation(
        bands,
        72,
        obliquity_rad=math.radians(23.44),
        eccentricity=0.1,
        longitude_of_periapse_rad=math.radians(270.0),
    )
    peak = light.factor.max(axis=0)
    assert peak[5] > 1.3 * peak[-6]
    assert int(light.factor[:, 5].argmax()) in (0, 71)  # and they come at periapse


def test_polar_day_and_night() -> None:
    declination = np.array(math.sin(math.radians(23.44)))
    first, second = daily_moments(np.sin(np.radians([85.0, -85.0])), declination)
    sine = math.sin(math.radians(85.0)) * math.sin(math.radians(23.44))
    swing = math.cos(math.radians(85.0)) * math.cos(math.radians(23.44))
    assert first == pytest.approx([sine, 0.0], abs=1e-15)
    assert second == pytest.approx([sine**2 + swing**2 / 2, 0.0], abs=1e-15)


def test_a_locked_planet_is_lit_as_the_sine_of_the_angle_from_its_terminator() -> None:
    bands = Bands.uniform(60)
    light = locked_insolation(bands)
    assert bands.mean(light.factor[0]) == pytest.approx(0.25, rel=1e-14)
    assert np.all(light.factor[0, :30] == 0.0)
    day = bands.center_rad[30:]
    assert light.factor[0, 30:] == pytest.approx(np.sin(day), abs=2e-3)
    assert light.cosine[0, 30:] == pytest.approx(np.sin(day), abs=1e-2)
