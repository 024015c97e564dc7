"""From a planet to a deck: the executable it needs, and the run-time parameters it runs with."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from astrohpc.engines.rocke3d.parameters import Declared, Known, check, check_all, fit
from astrohpc.engines.rocke3d.planetparams import Executable, PlanetParams, orbit_s
from astrohpc.engines.rocke3d.rundeck import Rundeck
from astrohpc.engines.rocke3d.text import Value
from astrohpc.errors import ConfigError
from astrohpc.planet import Planet

_PPM = 1e-6
# Everything besides N2, CO2 and CH4, of which our planets' air consists.
ABSENT_GASES = (
    *("O2X", "O3X", "NO2X", "N2OX", "SO2X", "N2CX", "CFC11X", "CFC12X", "XGHGX", "YGHGX"),
    "H2ObyCH4",  # the model's methane would otherwise wet the stratosphere
)


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """One stellar spectrum of the installation."""

    name: str
    temperature_k: float

    def __post_init__(self) -> None:
        check("solar_spec", self.name)
        if not 1500.0 <= self.temperature_k <= 20000.0:
            raise ConfigError(
                f"temperature_k: {self.temperature_k:g} K lies outside 1500 … 20000 K; write the "
                "effective temperature of the spectrum's star."
            )


@dataclass(frozen=True, kw_only=True)
class Radiation:
    """Where SOCRATES finds its spectral files, and which spectra of stars there are."""

    solar_spec_dir: str
    spectral_dir: str
    spectral_file_lw: str
    spectral_file_sw: str
    spectra: tuple[Spectrum, ...] = (
        Spectrum(name="sun", temperature_k=5772.0),
        Spectrum(name="trappist1", temperature_k=2566.0),
    )
    spectrum_tolerance_k: float = 150.0

    def __post_init__(self) -> None:
        if not self.spectra:
            raise ConfigError("spectra: the list is empty; name at least one stellar spectrum.")
        if not 0.0 < self.spectrum_tolerance_k <= 20000.0:
            raise ConfigError(
                f"spectrum_tolerance_k: {self.spectrum_tolerance_k:g} K lies outside 0 … 20000 K; "
                "write for example 150."
            )

    def spectrum_of(self, temperature_k: float) -> Spectrum:
        """The spectrum of the star that is nearest in temperature, if it is near enough."""
        nearest = min(self.spectra, key=lambda one: abs(one.temperature_k - temperature_k))
        if abs(nearest.temperature_k - temperature_k) > self.spectrum_tolerance_k:
            known = ", ".join(f"{one.name} {one.temperature_k:g} K" for one in self.spectra)
            raise ConfigError(
                f"stellar_temperature: no spectrum is within {self.spectrum_tolerance_k:g} K of "
                f"{temperature_k:g} K (there are {known}); add one to engine.radiation.spectra."
            )
        return nearest


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides a configuration besides planet and deck.

    The GHG file's own values matter because the model multiplies them: with ``GHG.AllOnes.txt`` a
    factor is a mixing ratio in ppm, with ``GHG.CO2_400ppm.txt`` it is a multiple of 400 ppm.
    """

    radiation: Radiation
    ghg_file: str = "GHG.AllOnes.txt"
    ghg_co2_ppm: float = 1.0
    ghg_ch4_ppm: float = 1.0
    ptop_fraction: float = 150.0 / 984.0  # of the layers AtmL40p and M20
    dtsrc_s: float = 1800.0
    dt_s: float = 225.0
    mincolmass_fraction: float = 0.1
    parameters: Mapping[str, object] = field(default_factory=dict)
    extra_parameters: Mapping[str, Declared] = field(default_factory=dict)

    @property
    def extra(self) -> dict[str, Known]:
        """The declared parameters, as the table would have them."""
        return {name: one.known(name) for name, one in self.extra_parameters.items()}

    def __post_init__(self) -> None:
        for name, low, high in (
            ("ghg_co2_ppm", 1e-6, 1e6),
            ("ghg_ch4_ppm", 1e-6, 1e6),
            ("ptop_fraction", 1e-4, 0.99),
            ("dtsrc_s", 1.0, 1e5),
            ("dt_s", 0.1, 7200.0),
            ("mincolmass_fraction", 1e-6, 0.99),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(
                    f"{name}: {getattr(self, name):g} lies outside {low:g} … {high:g}; "
                    f"write for example {Settings.__dataclass_fields__[name].default}."
                )
        for name, value in self.parameters.items():
            fit(name, value, self.extra)
            if name.lower() in _OWNED:
                raise ConfigError(
                    f"parameters.{name}: the planet and the settings decide it; "
                    f"change {_OWNED[name.lower()]} instead."
                )


_OWNED = {
    "planet_s0": "the planet's stellar_flux",
    "planetname": "the planet",
    "eccentricity": "the planet's eccentricity",
    "obliquity": "the planet's obliquity",
    "longitudeatperiapsis": "the planet's longitude_of_periapse",
    "siderealorbitalperiod": "the planet's orbital_period",
    "siderealrotationperiod": "the planet's rotation_period",
    "co2x": "the planet's co2",
    "ch4x": "the planet's ch4",
    "solar_spec": "the planet's stellar_temperature",
    "dtsrc": "dtsrc_s",
    "dt": "dt_s",
}


def time_steps_s(day_s: float, dtsrc_s: float, dt_s: float) -> tuple[float, float]:
    """Physics and dynamics steps near the wanted ones that the model accepts.

    The physics step must go an even number of times into the calendar's day, and the dynamics step
    an even number of times into the physics step. Neither is longer than wanted, because longer is
    what makes runs blow up.

    >>> time_steps_s(86400.0, 1800.0, 450.0)
    (1800.0, 450.0)
    """
    source_s = day_s / _even(day_s / dtsrc_s)
    return _clean(source_s), _clean(source_s / _even(source_s / dt_s))


def _even(ratio: float) -> int:
    """The even number at or above it; a part in 10^9 below, so that rounding adds no step."""
    return 2 * max(1, math.ceil(ratio / 2 - 1e-9))


def orbit(planet: Planet) -> dict[str, Value]:
    """Orbit and spin as the model wants them; equal periods keep one face to the star."""
    return {
        "eccentricity": planet.eccentricity,
        "obliquity": math.degrees(planet.obliquity_rad),
        "longitudeAtPeriapsis": math.degrees(planet.longitude_of_periapse_rad),
        "siderealOrbitalPeriod": orbit_s(planet),
        "siderealRotationPeriod": planet.rotation_period_s,
        "quantizeYearLength": "False",
        "minCalendarDaysPerYear": 1,
    }


def run_time(planet: Planet, params: PlanetParams, settings: Settings) -> dict[str, Value]:
    """Every run-time parameter that a planet decides, in the model's units."""
    radiation = settings.radiation
    source_s, step_s = time_steps_s(params.sday_s, settings.dtsrc_s, settings.dt_s)
    values: dict[str, Value] = {
        "planet_s0": planet.stellar_flux_wm2,
        "planetName": params.name,
        **orbit(planet),
        "solar_spec": radiation.spectrum_of(planet.stellar_temperature_k).name,
        "solar_spec_dir": radiation.solar_spec_dir,
        "spectral_dir": radiation.spectral_dir,
        "spectral_file_lw": radiation.spectral_file_lw,
        "spectral_file_sw": radiation.spectral_file_sw,
        "CO2X": _clean(planet.co2_fraction / _PPM / settings.ghg_co2_ppm),
        "CH4X": _clean(planet.ch4_fraction / _PPM / settings.ghg_ch4_ppm),
        **dict.fromkeys(ABSENT_GASES, 0.0),
        "l_uniform_ghg": 1,
        "initial_psurf_from_topo": 1,
        "mincolmass": _clean(planet.column_mass_kgm2 * settings.mincolmass_fraction),
        "DTsrc": source_s,
        "DT": step_s,
    }
    extra = settings.extra
    values.update({name: fit(name, value, extra) for name, value in settings.parameters.items()})
    for name, value in values.items():
        check(name, value, extra)
    return values


@dataclass(frozen=True)
class Configuration:
    """One member as the model sees it: its executable, and its deck with every parameter in place."""

    executable: Executable
    deck: Rundeck


def configure(planet: Planet, deck: Rundeck, settings: Settings, source: str) -> Configuration:
    """What to build and what to run for a planet, starting from a deck of the same kind."""
    params = PlanetParams.of(planet, ptop_fraction=settings.ptop_fraction)
    executable = Executable.of(deck, params, source)
    values = run_time(planet, params, settings)
    old_step = deck.parameters.get("DT")
    for name in ("DT_XUfilter", "DT_XVfilter"):  # decks keep them equal to DT, or off
        if old_step is not None and deck.parameters.get(name) == old_step:
            values[name] = values["DT"]
    ready = executable.deck(deck).with_data_file("GHG", settings.ghg_file)
    ready = ready.updated(values)
    try:
        check_all(ready.parameters, settings.extra)
    except ConfigError as error:
        raise ConfigError(f"{deck.file}: {error}") from error
    return Configuration(executable, ready)


def by_executable(configurations: Iterable[Configuration]) -> dict[str, list[int]]:
    """The places of members in their order, grouped by the executable that they share."""
    groups: dict[str, list[int]] = {}
    for index, one in enumerate(configurations):
        groups.setdefault(one.executable.key, []).append(index)
    return groups


def _clean(value: float) -> float:
    """Without the last digits, in which the same quantity differs when written in another unit."""
    return float(f"{value:.12g}")
