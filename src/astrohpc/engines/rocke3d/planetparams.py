"""What of a planet ModelE takes at compile time, and with it the name of an executable.

``PLANET_PARAMS`` in a deck names an instance of a Fortran type whose fields are these. Two members
share an executable when the instance, the preprocessor options, the modules and the components are
the same, so the fields that hardly matter (molar mass, ratio of heats) are rounded: a sweep over
trace gases must not compile the model once per member.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from astrohpc.constants import MOLAR_GAS_CONSTANT, MOLAR_HEAT_CAPACITY, MOLAR_MASS
from astrohpc.engines.rocke3d.rundeck import Rundeck
from astrohpc.errors import ConfigError
from astrohpc.files import digest
from astrohpc.planet import Planet

OPTION = "PLANET_PARAMS"
MAX_NAME = 16  # characters of the type's name field
# Steps away from pure N2, so that traces of gas (up to 700 ppm of CO2) share an executable. They
# change the gas constant by at most 0.1 % and the heat capacity by at most 0.3 %.
MOLAR_MASS_STEP_GMOL = 0.025
HEAT_RATIO_STEP = 0.001
_DAYS_WITHOUT_SEASONS = 360
_PA_PER_HPA = 100.0
_G_PER_KG = 1000.0
_IDENTIFIER = re.compile(r"[A-Za-z]\w*", re.ASCII)


def orbit_s(planet: Planet) -> float:
    """The length of the orbit; without seasons it is bookkeeping, and twelve months of 30 days do."""
    return planet.year_s or (_DAYS_WITHOUT_SEASONS + 1) * planet.rotation_period_s


def calendar_day_s(planet: Planet) -> float:
    """The day that the model's calendar counts: noon to noon, and the orbit where there is no noon.

    A locked planet's day never ends. Public decks for one (DTsrc is the orbit over 300, and
    minCalendarDaysPerYear is 1) show that its calendar has one day per orbit; the planet's own entry
    in ``PlanetParams_mod.F90`` is not public, so that ``sday`` is this day too is our reading.
    """
    year_s, turn_s = orbit_s(planet), planet.rotation_period_s
    days_per_orbit = abs(year_s / turn_s - 1.0)
    # A planet that is all but locked has a day of many orbits, which no calendar could divide.
    return year_s / max(1.0, days_per_orbit)


@dataclass(frozen=True)
class PlanetParams:
    """The fields of the Fortran type, in its units and its order."""

    sday_s: float
    omega_rads: float
    grav_ms2: float
    radius_m: float
    mair_gmol: float
    srat: float
    psf_hpa: float
    ptop_hpa: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (math.isfinite(value) and value > 0.0):
                raise ConfigError(
                    f"{name}: {value!r} is not a positive number; correct the planet."
                )
        if self.srat <= 1.0:
            raise ConfigError(f"srat: {self.srat:g} is not above 1; correct the composition.")
        if self.ptop_hpa >= self.psf_hpa:
            raise ConfigError(
                f"ptop_fraction: {self.ptop_hpa:g} hPa is not above the surface in the air "
                f"({self.psf_hpa:g} hPa there); choose a fraction below 1."
            )

    @classmethod
    def of(cls, planet: Planet, *, ptop_fraction: float) -> "PlanetParams":
        """The fields of a planet; ``ptop_fraction`` of the surface pressure is where layers go flat.

        It belongs to the model's layers and the height of the terrain, not to the planet.
        """
        molar_heat_jmolk = planet.heat_capacity_jkgk * planet.molar_mass_kgmol
        psf_hpa = planet.surface_pressure_pa / _PA_PER_HPA
        return cls(
            sday_s=calendar_day_s(planet),
            omega_rads=planet.rotation_rate_rads,
            grav_ms2=planet.gravity_ms2,
            radius_m=planet.radius_m,
            mair_gmol=_stepped(
                planet.molar_mass_kgmol * _G_PER_KG,
                MOLAR_MASS["N2"] * _G_PER_KG,
                MOLAR_MASS_STEP_GMOL,
            ),
            srat=_stepped(
                _heat_ratio(molar_heat_jmolk),
                _heat_ratio(MOLAR_HEAT_CAPACITY["N2"]),
                HEAT_RATIO_STEP,
            ),
            psf_hpa=psf_hpa,
            ptop_hpa=psf_hpa * ptop_fraction,
        )

    @property
    def name(self) -> str:
        """A name for this instance: the same fields have the same name on every machine."""
        return "p" + digest(asdict(self))[: MAX_NAME - 1]

    @property
    def gas_constant_jkgk(self) -> float:
        """Specific gas constant of dry air as this executable has it, J kg-1 K-1."""
        return MOLAR_GAS_CONSTANT / self.mair_gmol * _G_PER_KG

    def fortran(self, name: str | None = None) -> str:
        """The instance as Fortran source, to be put into ``PlanetParams_mod.F90``."""
        name = name or self.name
        if not _IDENTIFIER.fullmatch(name) or len(name) > MAX_NAME:
            raise ConfigError(
                f"planet name: {name!r} is no Fortran name of at most {MAX_NAME} characters; "
                "use letters, digits and '_'."
            )
        fields = {field.rpartition("_")[0] or field: value for field, value in asdict(self).items()}
        values = [f"name = '{name}'", *(f"{key} = {_double(v)}" for key, v in fields.items())]
        inside = ", &\n    ".join(values)
        return (
            f"type(PlanetParams_t), parameter, private :: {name} = PlanetParams_t( &\n"
            f"    {inside})\n"
        )


@dataclass(frozen=True)
class Executable:
    """All that decides an executable. Two with one key are the same."""

    params: PlanetParams
    options: Mapping[str, str]
    modules: Sequence[str]
    components: Sequence[str]
    component_options: Mapping[str, str]
    source: str  # digest or version of the model's source

    @classmethod
    def of(cls, deck: Rundeck, params: PlanetParams, source: str) -> "Executable":
        """What a deck and a planet ask for, from one version of the source."""
        if deck.includes:
            raise ConfigError(
                f"{deck.file}: {deck.includes[0]!r} is still to be included, so what would be built "
                "is not known; run ModelE's 'make rundeck' on it first, and use its result."
            )
        if OPTION not in deck.options:
            raise ConfigError(
                f"{deck.file}: there is no '#define {OPTION}', so the model would run its built-in "
                f"planet; add the line to the Preprocessor Options of a planet's deck."
            )
        options = {name: value for name, value in deck.options.items() if name != OPTION}
        return cls(params, options, deck.modules, deck.components, deck.component_options, source)

    @property
    def key(self) -> str:
        """The executable's name in the cache of builds."""
        # Objects are linked in their order of priority; the order of options means nothing.
        return digest(
            {
                "params": asdict(self.params),
                "options": dict(self.options),
                "modules": list(self.modules),
                "components": list(self.components),
                "component_options": dict(self.component_options),
                "source": self.source,
            }
        )

    def deck(self, deck: Rundeck) -> Rundeck:
        """The deck to build from: the same with this planet in it."""
        return deck.with_option(OPTION, self.params.name)


def _heat_ratio(molar_heat_jmolk: float) -> float:
    """The ratio of specific heats of an ideal gas."""
    return molar_heat_jmolk / (molar_heat_jmolk - MOLAR_GAS_CONSTANT)


def _stepped(value: float, origin: float, step: float) -> float:
    return float(f"{origin + round((value - origin) / step) * step:.12g}")


def _double(value: float) -> str:
    mantissa, _, exponent = f"{value:.12g}".partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.'}d{int(exponent or 0)}"
