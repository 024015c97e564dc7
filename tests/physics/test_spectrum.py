import math

import numpy as np
import pytest

from astrohpc.physics.spectrum import (
    BAND_SPLIT_UM,
    band_average,
    rayleigh_scattering,
    visible_fraction,
)


@pytest.mark.parametrize("star_temp_k", [2500.0, 3300.0, 4500.0, 5772.0, 10000.0])
def test_the_visible_share_is_plancks(star_temp_k: float) -> None:
    # The black-body fraction as a series in exp(-x), x = h c / (λ k T).
    x = 14387.76877 / (BAND_SPLIT_UM * star_temp_k)
    n = np.arange(1, 60)
    terms = np.exp(-n * x) * (x**3 / n + 3 * x**2 / n**2 + 6 * x / n**3 + 6 / n**4)
    assert visible_fraction(star_temp_k) == pytest.approx(15 / math.pi**4 * terms.sum(), abs=2e-5)


def test_ice_is_darker_under_a_cooler_star() -> None:
    ice = (0.75, 0.45)
    sun, dwarf = band_average(5772.0, ice), band_average(2600.0, ice)
    assert sun == pytest.approx(0.597, abs=1e-3)
    assert dwarf < 0.48
    assert band_average(3000.0, (0.3, 0.3)) == pytest.approx(0.3, rel=1e-15)


def test_scattering_follows_the_column_and_prefers_blue() -> None:
    thin, thick = rayleigh_scattering(5772.0, 0.001), rayleigh_scattering(5772.0, 0.002)
    assert thick / thin == pytest.approx([2.0, 2.0], rel=0.03)
    assert thin[0] > 10.0 * thin[1]
    assert rayleigh_scattering(2600.0, 0.1)[0] < rayleigh_scattering(5772.0, 0.1)[0]
    assert np.all(rayleigh_scattering(5772.0, 0.0) == 0.0)
