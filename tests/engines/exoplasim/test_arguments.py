"""A planet in ExoPlaSim's words. None of this needs ExoPlaSim."""

import math

import pytest
from support import make_planet
from support_exoplasim import settings

from astrohpc.engines.exoplasim.arguments import check, configure_arguments
from astrohpc.errors import ConfigError

SEASONS = {
    "obliquity": "23.44 deg",
    "eccentricity": 0.0167,
    "longitude_of_periapse": "283 deg",
}
LOCKED = {"tidally_locked": True, "rotation_period": "11 d", "orbital_period": None}


def test_units_are_the_models() -> None:
    said = configure_arguments(
        make_planet(
            radius="7008.342 km",
            surface_pressure="2.5 bar",
            co2=0.1,
            ch4=0.02,
            rotation_period="12 h",
            **SEASONS,
        ),
        settings(),
    )
    assert said["radius"] == pytest.approx(1.1)
    assert said["pressure"] == pytest.approx(2.5)
    assert (said["pCO2"], said["pCH4"], said["pN2"]) == pytest.approx((0.25, 0.05, 2.2))
    assert said["rotationperiod"] == pytest.approx(0.5)
    assert said["year"] == pytest.approx(365.25)
    assert said["obliquity"] == pytest.approx(23.44)
    assert said["gascon"] == pytest.approx(8314.46 / (0.88 * 28.0134 + 4.40095 + 0.32085), rel=1e-5)
    assert said["otherargs"]["CO2@radmod_namelist"] == "100000.0"


def test_nothing_is_left_to_the_earths_defaults() -> None:
    """Told nothing, the package takes the Earth's orbit of 1950, its tilt, its mean anomaly."""
    said = configure_arguments(make_planet(), settings())
    assert said["fixedorbit"] is True
    assert (said["obliquity"], said["eccentricity"], said["meananomaly0"]) == (0.0, 0.0, 0.0)
    for name in ("flux", "startemp", "radius", "gravity", "gascon", "lonvernaleq", "year"):
        assert said[name] is not None


def test_periapse_is_seen_from_the_star() -> None:
    assert configure_arguments(make_planet(**SEASONS), settings())["lonvernaleq"] == pytest.approx(
        103.0
    )


def test_no_co2_is_said_as_zero_and_not_left_out() -> None:
    said = configure_arguments(make_planet(co2=0), settings())
    assert said["otherargs"]["CO2@radmod_namelist"] == "0.0"


def test_the_seed_is_never_the_clock() -> None:
    assert (
        configure_arguments(make_planet(), settings())["otherargs"]["SEED@plasim_namelist"] == "1"
    )
    with pytest.raises(ConfigError, match="seed: 0 lies outside"):
        settings(seed=0)


def test_a_locked_planet_keeps_its_star_still_and_is_filtered() -> None:
    said = configure_arguments(make_planet(**LOCKED), settings())
    assert said["synchronous"] is True
    assert said["keplerian"] is False  # with it, the substellar point would move
    assert said["physicsfilter"] == "gp|exp|sp"
    assert said["year"] == said["rotationperiod"] == pytest.approx(11.0)


def test_records_and_legs_are_whole_steps() -> None:
    chosen = settings(timestep_min=22.5, output_days=5.0, leg_days=10.0)
    assert (chosen.steps_per_day, chosen.output_steps, chosen.leg_steps) == (64, 320, 640)
    said = configure_arguments(make_planet(), chosen)
    assert said["runsteps"] == 640
    assert said["otherargs"]["NSTPW@plasim_namelist"] == "320"  # the package would write 327


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"surface_pressure": "50 bar"}, "surface_pressure: 5e+06 Pa lies outside"),
        ({"stellar_temperature": "15000 K"}, "stellar_temperature"),
        ({"rotation_period": "3 h"}, "rotation_period: 0.125 d has only 4.0 time steps"),
        ({"orbital_period": "10 h", "eccentricity": 0.1}, "orbital_period: 0.417 d"),
    ],
)
def test_planets_that_it_cannot_run_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check(make_planet(**changes), settings())
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"timestep_min": 50.0}, "timestep_min: 50 min does not divide a day into an even number"),
        ({"timestep_min": 96.0}, "does not divide a day into an even number"),
        ({"output_days": 0.3}, "output_days: 0.3 days is not a whole number of times a step"),
        ({"leg_days": 12.0}, "leg_days: 12 days is not a whole number of times output_days"),
        ({"run_days": 15.0}, "run_days: 15 days is not a whole number of times leg_days"),
        ({"layers": 2}, "layers: 2 lies outside 3 … 60"),
        ({"surface": "earth", "resolution": "T85"}, "surface: ExoPlaSim has no map of the Earth"),
        ({"tolerance_wm2": math.nan}, "tolerance_wm2"),
    ],
)
def test_settings_are_refused_in_one_sentence(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings(**changes)
    assert sentence in str(refused.value)
    assert str(refused.value).count("\n") == 0
