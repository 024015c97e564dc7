import math

import numpy as np
import pytest
from support import make_planet

from astrohpc.engines.canonical import planet_attributes
from astrohpc.errors import ConfigError
from astrohpc.physics.worlds import Worlds

PLANETS = [make_planet(), make_planet(radius="4e6 m", rotation_period="1e6 s", co2=0.9)]


def test_constants_are_the_planets_own() -> None:
    worlds = Worlds.of_planets(PLANETS)
    assert len(worlds) == 2
    assert worlds.radius_m.tolist() == [planet.radius_m for planet in PLANETS]
    assert worlds.gas_constant_jkgk.tolist() == [planet.gas_constant_jkgk for planet in PLANETS]
    assert worlds.rotation_rate_rads[1] == 2 * math.pi / 1e6


def test_attributes_of_a_file_say_the_same_as_the_planet() -> None:
    read = Worlds.of_attributes([planet_attributes(planet) for planet in PLANETS])
    meant = Worlds.of_planets(PLANETS)
    for name in ("radius_m", "gravity_ms2", "rotation_rate_rads", "heat_capacity_jkgk"):
        assert (getattr(read, name) == getattr(meant, name)).all()


def test_worlds_are_taken_by_sample() -> None:
    taken = Worlds.of_planets(PLANETS).take([1, 1, 0])
    assert taken.radius_m.tolist() == [4e6, 4e6, PLANETS[0].radius_m]
    assert len(Worlds.alike(PLANETS[0], 5)) == 5


@pytest.mark.parametrize(
    "name", ["radius_m", "gravity_ms2", "rotation_period_s", "gas_constant_jkgk"]
)
def test_a_planet_without_a_constant_is_an_error_that_names_it(name: str) -> None:
    attributes = planet_attributes(PLANETS[0])
    del attributes[f"planet_{name}"]
    with pytest.raises(ConfigError, match=f"^planet_{name}: .*add the attribute"):
        Worlds.of_attributes([planet_attributes(PLANETS[1]), attributes])


def test_constants_that_cannot_be_are_refused() -> None:
    one = np.ones(2)
    with pytest.raises(ConfigError, match="gravity_ms2 of sample 1 is 0"):
        Worlds(one, np.array([1.0, 0.0]), one, one, one)
    with pytest.raises(ConfigError, match="heat_capacity_jkgk of sample 0 is nan"):
        Worlds(one, one, one, one, np.array([np.nan, 1.0]))
    with pytest.raises(ConfigError, match="gravity_ms2 has shape"):
        Worlds(one, np.ones(3), one, one, one)
    with pytest.raises(ConfigError, match=r"^planet_rotation_period_s: is 0"):
        Worlds.of_attributes([{**planet_attributes(PLANETS[0]), "planet_rotation_period_s": 0.0}])


def test_a_planet_may_spin_backwards() -> None:
    one = np.ones(1)
    assert Worlds(one, one, -one, one, one).rotation_rate_rads[0] == -1.0
