import numpy as np
import pytest

from astrohpc.constants import WATER_GAS_CONSTANT
from astrohpc.physics.thermo import (
    q_sat,
    saturation_over_ice_pa,
    saturation_over_water_pa,
    saturation_pa,
    thickness_m,
    virtual_temperature_k,
)

N2, CO2 = 296.8, 188.92


def test_ice_and_water_meet_at_the_triple_point() -> None:
    """611.657 Pa there (Guildner and others, 1976)."""
    assert saturation_over_ice_pa(273.16) == pytest.approx(611.657, rel=1e-5)
    assert saturation_over_water_pa(273.16) == pytest.approx(611.657, rel=1e-5)
    below, above = saturation_pa([273.16 - 1e-6, 273.16 + 1e-6])
    assert above == pytest.approx(below, rel=1e-5)


@pytest.mark.parametrize(
    ("temperature_k", "pascal", "rel"), [(300.0, 3536.8, 1e-3), (373.124, 101325.0, 0.01)]
)
def test_water_boils_where_steam_tables_say(
    temperature_k: float, pascal: float, rel: float
) -> None:
    assert saturation_pa(temperature_k) == pytest.approx(pascal, rel=rel)


def test_supercooled_water_holds_more_vapour_than_ice() -> None:
    cold = np.linspace(150.0, 273.0, 50)
    assert (saturation_over_water_pa(cold) > saturation_over_ice_pa(cold)).all()
    assert (np.diff(saturation_pa(np.linspace(110.0, 400.0, 300))) > 0).all()


def test_it_stays_finite_where_the_formulas_end() -> None:
    assert np.isfinite(saturation_pa([1.0, 50.0, 2000.0])).all()


@pytest.mark.parametrize("gas", [N2, CO2])
def test_saturated_air_has_the_vapour_pressure_of_saturation(gas: float) -> None:
    """From q back to the partial pressure: e = q p / (ε + (1 - ε) q)."""
    t, p = np.linspace(200.0, 340.0, 30), 9e4
    q = q_sat(t, p, gas)
    epsilon = gas / WATER_GAS_CONSTANT
    assert q * p / (epsilon + (1 - epsilon) * q) == pytest.approx(saturation_pa(t), rel=1e-12)


def test_where_water_boils_all_air_may_be_vapour() -> None:
    assert q_sat(400.0, 1e5, N2) == 1.0
    assert q_sat(300.0, 3000.0, N2) == 1.0


def test_vapour_lightens_nitrogen_and_carbon_dioxide_each_in_its_measure() -> None:
    assert virtual_temperature_k(300.0, 0.0, N2) == 300.0
    assert virtual_temperature_k(300.0, 0.01, N2) == pytest.approx(300.0 * 1.00555, rel=1e-4)
    assert virtual_temperature_k(300.0, 0.01, CO2) == pytest.approx(300.0 * 1.01443, rel=1e-4)
    assert virtual_temperature_k(300.0, 1.0, N2) * N2 == pytest.approx(300.0 * WATER_GAS_CONSTANT)


def test_an_isothermal_layer_is_as_thick_as_its_scale_height_times_the_logarithm() -> None:
    height = thickness_m(250.0, 1e4, 1e4 * np.e, N2, 12.0)
    assert height == pytest.approx(N2 * 250.0 / 12.0, rel=1e-14)
