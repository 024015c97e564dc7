"""Planets: what people write becomes SI, what cannot be is refused with the remedy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_planet

from astrohpc.constants import GRAVITATION
from astrohpc.errors import ConfigError
from astrohpc.planet import PARAMETERS, Planet, to_si


def test_units_are_converted_at_the_door() -> None:
    planet = make_planet(radius="1.2 R_earth", surface_pressure="500 mbar", co2="400 ppm")
    assert planet.radius_m == pytest.approx(1.2 * 6.3781e6)
    assert planet.surface_pressure_pa == 50_000
    assert planet.co2_fraction == 0.0004


def test_the_same_length_in_two_units_is_the_same_number_to_twelve_digits() -> None:
    assert to_si("radius", "7653.72 km") == pytest.approx(to_si("radius", "1.2 R_earth"), rel=1e-12)


def test_mass_stands_for_gravity() -> None:
    planet = Planet.from_config(
        {
            "radius": "1 R_earth",
            "mass": "1 M_earth",
            "rotation_period": "1 d",
            "surface_pressure": "1 bar",
            "co2": 0,
            "ch4": 0,
            "stellar_flux": "1361 W/m2",
            "stellar_temperature": "5772 K",
        }
    )
    assert planet.gravity_ms2 == pytest.approx(GRAVITATION * 5.9722e24 / 6.3781e6**2, rel=1e-4)
    assert planet.mass_kg == pytest.approx(5.9722e24, rel=1e-4)


@given(st.floats(1e6, 1.5e7), st.floats(1, 30))
def test_gravity_and_mass_follow_from_each_other(radius_m: float, gravity_ms2: float) -> None:
    planet = make_planet(radius=f"{radius_m} m", gravity=f"{gravity_ms2} m/s2")
    assert GRAVITATION * planet.mass_kg / radius_m**2 == pytest.approx(gravity_ms2, rel=1e-12)


def test_gas_constant_and_heat_capacity_of_pure_gases() -> None:
    nitrogen = make_planet(co2=0, ch4=0)
    assert nitrogen.gas_constant_jkgk == pytest.approx(296.8, abs=0.1)
    assert nitrogen.heat_capacity_jkgk == pytest.approx(1039.6, abs=1)
    carbon_dioxide = make_planet(co2=1.0, ch4=0)
    assert carbon_dioxide.gas_constant_jkgk == pytest.approx(188.9, abs=0.1)
    assert carbon_dioxide.heat_capacity_jkgk == pytest.approx(843.8, abs=1)


def test_equilibrium_temperature_is_that_of_a_black_sphere() -> None:
    planet = make_planet(stellar_flux="1361 W/m2")
    assert planet.equilibrium_temperature_k() == pytest.approx(278.3, abs=0.1)
    assert planet.equilibrium_temperature_k(0.3) == pytest.approx(254.6, abs=0.2)


def test_an_eccentric_orbit_receives_more_light() -> None:
    planet = make_planet(eccentricity=0.6)
    assert planet.mean_flux_wm2 == pytest.approx(1361 / 0.8)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"radius": 1.2}, r"radius: 1.2 has no unit; write for example '1.2 R_earth'"),
        ({"radius": "1.2"}, r"radius: '1.2' is not"),
        ({"radius": "1 K"}, r"radius: '1 K' is not a mean radius in units of m"),
        ({"radius": "1 AU"}, r"radius: .* lies outside .* write for example"),
        ({"radius": True}, r"radius: True is not a quantity"),
        ({"radius": "nan km"}, r"radius: 'nan km' is not finite"),
        ({"raduis": "1 km"}, r"planet.raduis: there is no such parameter; did you mean 'radius'\?"),
        ({"co2": "lots"}, r"co2: 'lots' is not a plain number or a fraction"),
        ({"co2": "5 kg"}, r"co2: '5 kg' is not a plain number or a fraction"),
        ({"co2": 0.99, "ch4": 0.05}, r"co2 \+ ch4: .* more than the whole atmosphere; lower one"),
        ({"rotation_period": "1 h"}, r"rotation_period: .* would tear the planet apart"),
        ({"eccentricity": 1.2}, r"eccentricity: 1.2 lies outside 0 … 0.95"),
        (
            {"obliquity": "20 deg", "orbital_period": None},
            r"orbital_period: .* has seasons; say how long",
        ),
        ({"tidally_locked": "yes"}, r"tidally_locked: 'yes' is neither true nor false"),
        (
            {"tidally_locked": True, "obliquity": "5 deg", "orbital_period": None},
            r"tidally_locked: .* set both to 0",
        ),
        ({"tidally_locked": True}, r"orbital_period: a tidally locked planet's year"),
        ({"mass": "1 M_earth"}, r"mass: gravity is given too"),
    ],
)
def test_impossible_planets_are_refused_with_a_remedy(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        make_planet(**changes)


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"gravity: a planet needs it; write for example '9.1 m/s2'"
    ):
        Planet.from_si({"radius": 6e6})


@pytest.mark.parametrize("name", [name for name in PARAMETERS if name != "mass"])
def test_every_example_in_an_error_message_works(name: str) -> None:
    changes: dict[str, object] = {name: PARAMETERS[name].example}
    value = getattr(make_planet(**changes), PARAMETERS[name].field)
    assert math.isfinite(value)
