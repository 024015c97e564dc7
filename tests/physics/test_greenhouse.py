from collections.abc import Iterable

import numpy as np
import pytest
from support import make_planet

from astrohpc.constants import STEFAN_BOLTZMANN
from astrohpc.kernels import ebm as kernel
from astrohpc.physics.greenhouse import column, dry_depth
from astrohpc.planet import Planet

LIMIT_WM2 = 330.0


def outgoing(temp_k: Iterable[float], atmosphere: kernel.Column) -> np.ndarray:
    return np.array([kernel.outgoing_wm2(t, atmosphere) for t in temp_k])


def emitted(planet: Planet, *temp_k: float) -> np.ndarray:
    return outgoing(temp_k, column(planet, LIMIT_WM2, 258.0, 282.0))


def mixture(co2_bar: float) -> Planet:
    """CO2 added to one bar of N2."""
    return make_planet(
        surface_pressure=f"{1 + co2_bar} bar", co2=co2_bar / (1 + co2_bar), gravity="9.81 m/s2"
    )


def test_a_column_without_gas_is_a_black_body() -> None:
    bare = column(make_planet(), 1e12, 258.0, 282.0)._replace(dry_depth=0.0, vapour_depth=0.0)
    temp_k = np.array([50.0, 255.0, 400.0])
    assert outgoing(temp_k, bare) == pytest.approx(STEFAN_BOLTZMANN * temp_k**4, rel=1e-14)


def test_it_is_calibrated_on_a_temperate_planet_with_280_ppm() -> None:
    now, warmer = emitted(make_planet(), 288.0, 289.0)
    doubled = emitted(make_planet(co2="560 ppm"), 288.0)[0]
    assert now == pytest.approx(240.0, abs=0.5)
    assert warmer - now == pytest.approx(2.0, abs=0.05)
    assert doubled - now == pytest.approx(-3.8, abs=0.1)


def test_methane_forces_as_much_as_published() -> None:
    # Byrne & Goldblatt 2014: 1.8 ppm weigh about 1.5 W m-2, a percent about 20.
    bare = emitted(make_planet(ch4=0), 288.0)[0]
    assert bare - emitted(make_planet(ch4="1.8 ppm"), 288.0)[0] == pytest.approx(1.5, abs=0.3)
    assert bare - emitted(make_planet(ch4="1 %"), 288.0)[0] == pytest.approx(20.0, abs=4.0)


def test_a_moist_atmosphere_cannot_emit_more_than_its_limit() -> None:
    hot = emitted(make_planet(gravity="10 m/s2"), 380.0, 500.0, 1500.0)
    assert np.all(hot <= LIMIT_WM2)
    assert hot[-1] == pytest.approx(LIMIT_WM2, rel=1e-6)
    heavy = emitted(make_planet(gravity="16 m/s2"), 1500.0)[0]
    assert heavy == pytest.approx(LIMIT_WM2 * 1.6**0.1, rel=1e-6)


@pytest.mark.parametrize("gravity", ["6 m/s2", "16 m/s2"])
@pytest.mark.parametrize("pressure", ["0.5 bar", "5 bar"])
@pytest.mark.parametrize("co2", ["0 %", "0.04 %", "10 %", "95 %"])
def test_it_rises_with_temperature_over_the_whole_domain(
    gravity: str, pressure: str, co2: str
) -> None:
    planet = make_planet(gravity=gravity, surface_pressure=pressure, co2=co2, ch4="5 %")
    curve = emitted(planet, *np.arange(25.0, 2000.0, 5.0))
    # It approaches its limit from below until the difference is round-off.
    assert np.all(np.diff(curve) >= -1e-12 * curve[1:])
    assert np.all(np.diff(curve)[:40] > 0.0)
    assert np.all(np.isfinite(curve))


def test_more_gas_holds_more_heat_back() -> None:
    co2 = [emitted(make_planet(co2=f"{percent} %"), 280.0)[0] for percent in (0, 0.01, 1, 30, 100)]
    pressure = [
        emitted(make_planet(surface_pressure=f"{bar} bar"), 280.0)[0] for bar in (0.5, 1, 2, 5)
    ]
    gravity = [emitted(make_planet(gravity=f"{g} m/s2"), 280.0)[0] for g in (16, 10, 6)]
    for series in (co2, pressure, gravity):
        assert np.all(np.diff(series) < 0.0)
    assert dry_depth(make_planet(co2=0, ch4=0)) == 0.0


def williams_kasting(temp_k: np.ndarray, co2_bar: float) -> np.ndarray:
    """Williams & Kasting 1997 (Icarus 129, 254), eq. A18: OLR in W m-2 on the Earth."""
    t, p = temp_k, np.log(co2_bar / 3.3e-4)
    coefficients = {
        (0, 0): 9.468980,
        (1, 0): -7.714727e-5,
        (0, 1): -2.794778,
        (1, 1): -3.244753e-3,
        (2, 0): -3.547406e-4,
        (0, 2): 2.212108e-2,
        (2, 1): 2.229142e-3,
        (1, 2): 3.088497e-5,
        (2, 2): -2.789815e-5,
        (3, 0): -3.442973e-3,
        (0, 3): -3.361939e-5,
        (3, 1): 9.173169e-3,
        (3, 2): -7.775195e-5,
        (1, 3): -1.679112e-7,
        (2, 3): 6.590999e-8,
        (3, 3): 1.528125e-7,
        (4, 0): -3.367567e-2,
        (4, 1): -1.631909e-4,
        (4, 2): 3.663871e-6,
        (4, 3): -9.255646e-9,
    }
    return sum(c * p**i * t**j for (i, j), c in coefficients.items())


def test_it_agrees_with_williams_and_kasting_as_well_as_docs_ebm_says() -> None:
    temp_k = np.arange(220.0, 341.0, 5.0)
    difference = np.array(
        [
            emitted(mixture(co2_bar), *temp_k) - williams_kasting(temp_k, co2_bar)
            for co2_bar in 10.0 ** np.arange(-5.0, 0.01, 0.25)
        ]
    )
    assert np.sqrt(np.mean(difference**2)) < 10.0
    assert np.abs(difference[:, temp_k <= 300.0]).max() < 12.0
    assert np.abs(difference).max() < 28.0
