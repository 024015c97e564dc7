import numpy as np
import pytest
from support import make_planet

from astrohpc.physics.albedo import (
    diffuse_reflectance,
    planetary_albedo,
    rayleigh_depth_532nm,
    reflectance,
)


def test_light_from_everywhere_is_reflected_as_the_mean_over_a_hemisphere() -> None:
    cosine = (np.arange(200000) + 0.5) / 200000
    for strength in (0.01, 0.1, 1.0, 20.0):
        mean = 2.0 * np.mean(reflectance(np.array(strength), cosine) * cosine)
        assert diffuse_reflectance(np.array(strength)) == pytest.approx(mean, rel=1e-6)


def test_a_white_world_absorbs_nothing_and_a_bare_one_is_its_surface() -> None:
    planet = make_planet()
    cosine = np.linspace(0.05, 1.0, 8)
    assert planetary_albedo(planet, cosine, (1.0, 1.0), 0.3) == pytest.approx(np.ones(8), rel=1e-12)
    airless = make_planet(surface_pressure="1 Pa")
    assert planetary_albedo(airless, cosine, (0.3, 0.3), 0.0) == pytest.approx(
        np.full(8, 0.3), abs=1e-4
    )


def test_the_earths_air_scatters_as_measured() -> None:
    # 0.11 at 532 nm over a bar of air (Bucholtz 1995), here of N2.
    assert rayleigh_depth_532nm(make_planet(surface_pressure="101325 Pa")) == pytest.approx(
        0.11, rel=0.05
    )


def test_more_air_and_a_lower_star_make_a_brighter_planet() -> None:
    cosine = np.array([0.2, 0.8])
    thin = planetary_albedo(make_planet(), cosine, (0.1, 0.1), 0.0)
    thick = planetary_albedo(make_planet(surface_pressure="5 bar"), cosine, (0.1, 0.1), 0.0)
    assert thin[0] > thin[1] > 0.1
    assert np.all(thick > thin)
