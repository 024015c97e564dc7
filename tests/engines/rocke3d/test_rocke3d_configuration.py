"""From planets to executables and parameters, with units converted once."""

import math
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_planet
from support_rocke3d import DECK, RUNDECKS, needs_rundecks

from astrohpc.constants import MOLAR_GAS_CONSTANT
from astrohpc.engines.rocke3d.configuration import (
    Configuration,
    Radiation,
    Settings,
    Spectrum,
    by_executable,
    configure,
    time_steps_s,
)
from astrohpc.engines.rocke3d.parameters import Declared, check_all
from astrohpc.engines.rocke3d.planetparams import PlanetParams, calendar_day_s
from astrohpc.engines.rocke3d.rundeck import Rundeck
from astrohpc.errors import ConfigError
from astrohpc.planet import Planet

TOY = Rundeck.parse(DECK.encode(), "toy.R")
RADIATION = Radiation(
    solar_spec_dir="/data/stars",
    spectral_dir="/data/spectral",
    spectral_file_lw="n2/lw_9",
    spectral_file_sw="n2/sw_21",
)
SETTINGS = Settings(radiation=RADIATION)
LOCKED = {
    "radius": "5798 km",
    "gravity": "9.12 m/s2",
    "rotation_period": "527040 s",
    "orbital_period": None,
    "tidally_locked": True,
    "stellar_flux": "900 W/m2",
    "stellar_temperature": "2566 K",
    "co2": "400 ppm",
}


def toy(settings: Settings = SETTINGS, **changes: object) -> Configuration:
    return configure(make_planet(**changes), TOY, settings, "source-1")


def run_time(**changes: object) -> Mapping[str, object]:
    return toy(**changes).deck.parameters


def test_what_is_compiled_in_has_the_model_s_units() -> None:
    params = toy(**LOCKED).executable.params
    assert params.radius_m == 5.798e6
    assert params.grav_ms2 == 9.12
    assert params.psf_hpa == 1000.0
    assert params.omega_rads == pytest.approx(2 * math.pi / 527040.0, rel=1e-15)
    assert params.sday_s == 527040.0
    assert params.ptop_hpa == pytest.approx(1000.0 * 150.0 / 984.0)
    # N2 with 400 ppm of CO2 counts as N2, whose cp/cv is that of a diatomic gas.
    assert params.mair_gmol == 28.0134
    assert params.srat == pytest.approx(1.4, abs=0.002)
    assert params.gas_constant_jkgk == pytest.approx(MOLAR_GAS_CONSTANT / 0.0280134)


def test_the_fortran_instance_can_be_read_back() -> None:
    params = toy(**LOCKED).executable.params
    text = params.fortran()
    assert text.startswith(f"type(PlanetParams_t), parameter, private :: {params.name} = ")
    fields = dict(re.findall(r"(\w+) = ([-+\d.]+d[-+\d]+)", text))
    assert list(fields) == ["sday", "omega", "grav", "radius", "mair", "srat", "psf", "ptop"]
    for written, value in zip(fields.values(), vars(params).values(), strict=True):
        assert float(written.replace("d", "e")) == pytest.approx(value, rel=1e-11)
    assert f"name = '{params.name}'" in text
    assert len(params.name) <= 16
    assert max(map(len, text.splitlines())) <= 132  # free-form Fortran's limit
    with pytest.raises(ConfigError, match="planet name: 'two words' is no Fortran name"):
        params.fortran("two words")


def test_what_is_run_with_has_the_model_s_units() -> None:
    values = run_time(
        obliquity="23.4 deg",
        eccentricity=0.1,
        longitude_of_periapse="283 deg",
        ch4="2 ppm",
        stellar_flux="1000 W/m2",
    )
    assert values["obliquity"] == pytest.approx(23.4)
    assert values["longitudeAtPeriapsis"] == pytest.approx(283.0)
    assert values["eccentricity"] == 0.1
    assert values["planet_s0"] == 1000.0
    assert values["siderealOrbitalPeriod"] == 365.25 * 86400.0
    assert values["siderealRotationPeriod"] == 86400.0
    assert (values["CO2X"], values["CH4X"], values["O2X"]) == (280.0, 2.0, 0.0)
    assert values["mincolmass"] == pytest.approx(0.1 * 1e5 / 9.81)
    assert values["solar_spec"] == "sun"


def test_a_factor_is_relative_to_what_the_gas_file_holds() -> None:
    of_400 = replace(SETTINGS, ghg_file="GHG.CO2_400ppm.txt", ghg_co2_ppm=400.0)
    configured = toy(of_400, co2="800 ppm")
    assert configured.deck.parameters["CO2X"] == 2.0
    assert configured.deck.data_files["GHG"] == "GHG.CO2_400ppm.txt"


def test_a_locked_planet_has_equal_periods_and_no_seasons() -> None:
    values = run_time(**LOCKED)
    assert values["siderealOrbitalPeriod"] == values["siderealRotationPeriod"] == 527040.0
    assert values["obliquity"] == values["eccentricity"] == 0.0
    assert values["solar_spec"] == "trappist1"


def test_the_filters_follow_the_step_where_the_deck_had_them_equal() -> None:
    values = run_time()
    assert values["DT_XUfilter"] == values["DT"]


def test_the_calendar_s_day_is_noon_to_noon() -> None:
    earth = make_planet(rotation_period="86164.0905 s", orbital_period="365.256363 d")
    assert calendar_day_s(earth) == pytest.approx(86400.0, rel=1e-6)
    slow = make_planet(rotation_period="200 d", orbital_period="100 d")
    assert calendar_day_s(slow) == 100 * 86400.0
    assert calendar_day_s(make_planet(**LOCKED)) == 527040.0
    # Without seasons the orbit is bookkeeping; the calendar gets whole days.
    upright = make_planet(orbital_period=None, rotation_period="2 d")
    year_s = run_time(orbital_period=None, rotation_period="2 d")["siderealOrbitalPeriod"]
    assert isinstance(year_s, float)
    assert year_s / calendar_day_s(upright) == pytest.approx(360.0)


@given(st.floats(3600.0, 3e8), st.floats(10.0, 7200.0), st.floats(1.0, 900.0))
def test_time_steps_are_ones_that_the_model_accepts(
    day_s: float, dtsrc_s: float, dt_s: float
) -> None:
    source_s, step_s = time_steps_s(day_s, dtsrc_s, dt_s)
    for whole, part, limit in ((day_s, source_s, dtsrc_s), (source_s, step_s, dt_s)):
        ratio = whole / part
        assert ratio == pytest.approx(2 * round(ratio / 2), rel=1e-9)
        assert part <= limit * (1 + 1e-6)


def test_members_share_an_executable_where_only_run_time_differs() -> None:
    fluxes, radii = ("800 W/m2", "900 W/m2", "1000 W/m2", "1100 W/m2"), ("0.8 R_earth", "1 R_earth")
    configurations = [toy(radius=radius, stellar_flux=flux) for radius in radii for flux in fluxes]
    groups = by_executable(configurations)
    assert list(groups.values()) == [[0, 1, 2, 3], [4, 5, 6, 7]]


@given(st.floats(1e5, 1e8), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_rounding_the_air_changes_it_by_thousandths_at_most(
    pressure_pa: float, gas: float, part: float
) -> None:
    planet = replace(
        make_planet(),
        surface_pressure_pa=pressure_pa,
        co2_fraction=gas * part,
        ch4_fraction=gas * (1.0 - part) * 0.99,
    )
    params = PlanetParams.of(planet, ptop_fraction=0.1)
    assert params.gas_constant_jkgk == pytest.approx(planet.gas_constant_jkgk, rel=1e-3)
    heat = params.gas_constant_jkgk * params.srat / (params.srat - 1.0)
    assert heat == pytest.approx(planet.heat_capacity_jkgk, rel=3e-3)


def test_traces_of_a_gas_do_not_make_another_executable() -> None:
    keys = {
        toy(co2=co2, ch4=ch4).executable.key
        for co2 in (0, "280 ppm", "700 ppm")
        for ch4 in (0, "2 ppm")
    }
    assert len(keys) == 1
    assert toy(co2="280 ppm").executable.key != toy(co2="5 %").executable.key


def test_everything_that_is_compiled_decides_the_executable() -> None:
    planet = make_planet()
    base = configure(planet, TOY, SETTINGS, "source-1").executable.key
    assert configure(planet, TOY, SETTINGS, "source-2").executable.key != base
    assert configure(planet, TOY.with_option("NEW"), SETTINGS, "source-1").executable.key != base
    other = Rundeck.parse(DECK.replace("ATMDYN OTHER", "OTHER ATMDYN").encode())
    assert configure(planet, other, SETTINGS, "source-1").executable.key != base
    commented = Rundeck.parse(DECK.replace("! resolution", "! other words").encode())
    assert configure(planet, commented, SETTINGS, "source-1").executable.key == base
    assert (
        configure(planet, TOY, replace(SETTINGS, ptop_fraction=0.2), "source-1").executable.key
        != base
    )


def test_the_same_planet_in_other_units_is_the_same_executable() -> None:
    assert toy(radius="1.2 R_earth").executable.key == toy(radius="7653.72 km").executable.key


def test_the_deck_is_ready_to_build_and_to_run() -> None:
    configured = toy(
        replace(
            SETTINGS,
            parameters={"NRAD": 5, "myKnob": 1},
            extra_parameters={"myKnob": Declared(kind="real")},
        )
    )
    again = Rundeck.parse(configured.deck.data)
    name = configured.executable.params.name
    assert again.options["PLANET_PARAMS"] == again.parameters["planetName"] == name
    assert again.parameters["NRAD"] == 5
    assert again.parameters["myKnob"] == 1.0
    assert "! dynamics step" in configured.deck.data.decode()
    check_all(again.parameters, {"myKnob": Declared(kind="real").known("myKnob")})


@needs_rundecks
@pytest.mark.parametrize("name", ["t1e__aqua_slab", "t1e__land", "earth__continental"])
def test_real_planet_decks_take_any_planet(name: str) -> None:
    deck = Rundeck.read(RUNDECKS / f"{name}.R")
    for planet in (make_planet(**LOCKED), make_planet(obliquity="60 deg", radius="0.5 R_earth")):
        configured = configure(planet, deck, SETTINGS, "source-1").deck
        assert Rundeck.parse(configured.data).parameters["planet_s0"] == planet.stellar_flux_wm2


@needs_rundecks
def test_a_deck_that_is_still_a_template_is_refused() -> None:
    deck = Rundeck.read(RUNDECKS / "EM20.R")
    with pytest.raises(
        ConfigError, match=r"'latlon_source_files' is still to be included.*make rundeck"
    ):
        configure(make_planet(), deck, SETTINGS, "source-1")


def test_a_deck_without_a_planet_or_with_nonsense_is_refused() -> None:
    earthly = Rundeck.parse(DECK.replace("#define PLANET_PARAMS Toy", "!").encode(), "toy.R")
    with pytest.raises(ConfigError, match=r"toy\.R: there is no '#define PLANET_PARAMS'"):
        configure(make_planet(), earthly, SETTINGS, "source-1")
    wrong = TOY.updated({"KOCAEN": 1})
    with pytest.raises(
        ConfigError, match=r"toy\.R: KOCAEN: no such parameter .* did you mean 'KOCEAN'"
    ):
        configure(make_planet(), wrong, SETTINGS, "source-1")


def test_settings_are_checked_when_they_are_built() -> None:
    with pytest.raises(ConfigError, match="dt_s: 0 lies outside"):
        replace(SETTINGS, dt_s=0.0)
    with pytest.raises(ConfigError, match=r"parameters.DT: the planet .* change dt_s instead"):
        replace(SETTINGS, parameters={"DT": 100.0})
    with pytest.raises(ConfigError, match="did you mean 'NRAD'"):
        replace(SETTINGS, parameters={"NRAT": 5})
    with pytest.raises(ConfigError, match="spectra: the list is empty"):
        replace(RADIATION, spectra=())
    with pytest.raises(ConfigError, match="temperature_k: 20 K lies outside"):
        Spectrum(name="cold", temperature_k=20.0)


def test_a_star_without_a_spectrum_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no spectrum is within 150 K of 4000 K \(there are sun"):
        toy(stellar_temperature="4000 K")


def test_impossible_fields_are_refused() -> None:
    params = toy().executable.params
    with pytest.raises(ConfigError, match="srat: 1 is not above 1"):
        replace(params, srat=1.0)
    with pytest.raises(ConfigError, match="ptop_fraction: 2000 hPa is not above the surface"):
        replace(params, ptop_hpa=2000.0)
    with pytest.raises(ConfigError, match="grav_ms2: nan is not a positive number"):
        replace(params, grav_ms2=math.nan)


@given(
    st.floats(1e6, 2e7),
    st.floats(1.0, 50.0),
    st.floats(1e2, 1e7),
    st.floats(0.0, 1.0),
    st.floats(1e5, 1e7),
)
def test_any_planet_gives_a_deck_that_reads_back(
    radius_m: float, gravity_ms2: float, pressure_pa: float, co2: float, period_s: float
) -> None:
    planet = Planet(
        radius_m=radius_m,
        gravity_ms2=gravity_ms2,
        rotation_period_s=period_s,
        surface_pressure_pa=pressure_pa,
        co2_fraction=co2,
        ch4_fraction=0.0,
        stellar_flux_wm2=1000.0,
        stellar_temperature_k=5700.0,
    )
    configured = configure(planet, TOY, SETTINGS, "source-1")
    again = Rundeck.parse(configured.deck.data, "toy.R")
    assert dict(again.parameters) == dict(configured.deck.parameters)
    assert (
        PlanetParams.of(planet, ptop_fraction=SETTINGS.ptop_fraction)
        == configured.executable.params
    )
