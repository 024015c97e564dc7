import numpy as np
import pytest

from astrohpc.physics.grid import Bands


def divergence(bands: Bands, temp_k: np.ndarray, diffusion_wm2k: float) -> np.ndarray:
    flux = np.zeros(len(temp_k) + 1)
    flux[1:-1] = bands.conductance(diffusion_wm2k) * -np.diff(temp_k)
    return np.diff(flux) / bands.weight


@pytest.mark.parametrize("count", [6, 60, 181])
def test_bands_cover_the_sphere_exactly(count: int) -> None:
    bands = Bands.uniform(count)
    assert bands.weight.sum() == pytest.approx(1.0, abs=1e-14)
    assert bands.weight == pytest.approx(bands.weight[::-1], rel=1e-13)


def test_the_divergence_of_diffusion_adds_up_to_nothing() -> None:
    bands = Bands.uniform(60)
    temp_k = 250.0 + 40.0 * np.random.default_rng(0).random(60)
    exported = divergence(bands, temp_k, 0.7)
    assert abs(bands.mean(exported)) < 1e-14 * np.abs(exported).max()


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_diffusion_sees_legendre_polynomials_as_its_eigenfunctions(degree: int) -> None:
    errors = []
    for count in (60, 120):
        bands = Bands.uniform(count)
        sine = np.sin(bands.edge_rad)
        integral = np.polynomial.Legendre.basis(degree).integ()
        mode = np.diff(integral(sine)) / np.diff(sine)
        found = divergence(bands, mode, 2.0)
        expected = 2.0 * degree * (degree + 1) * mode
        errors.append(np.sqrt(bands.mean((found - expected) ** 2)))
    assert errors[1] < 0.02
    assert errors[1] < 0.3 * errors[0]  # second order: a quarter
