"""Planet: SI inside, astropy units at the door, and every quantity that follows from it.

The eight parameters of the public ThousandWorlds benchmark, the orbit, and the spin state. A planet
is built once from what people write (``radius: 1.2 R_earth``) and is plain floats from then on, so
jobs need no unit library.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from astrohpc.constants import (
    DAY_S,
    GRAVITATION,
    HOUR_S,
    MOLAR_GAS_CONSTANT,
    MOLAR_HEAT_CAPACITY,
    MOLAR_MASS,
    STEFAN_BOLTZMANN,
)
from astrohpc.errors import ConfigError
from astrohpc.settings import suggest


@dataclass(frozen=True)
class Parameter:
    """What a person may write for one property of a planet."""

    field: str
    unit: str
    low: float
    high: float
    example: str
    meaning: str
    shown_unit: str = ""  # in which people read it, in tables and plots
    shown_factor: float = 1.0  # from SI to that

    def shown(self, value: float) -> str:
        """A value as people read it: ``6.1 d``, ``0.92 bar``."""
        return f"{value * self.shown_factor:.4g} {self.shown_unit}".rstrip()


# Ranges are those of solid planets that any of our engines could be asked for; a sweep narrows them.
PARAMETERS: dict[str, Parameter] = {
    "radius": Parameter("radius_m", "m", 1e5, 2e7, "1.2 R_earth", "mean radius", "km", 1e-3),
    "gravity": Parameter(
        "gravity_ms2", "m / s2", 0.1, 100.0, "9.1 m/s2", "surface gravity", "m s⁻²"
    ),
    "mass": Parameter(
        "mass_kg", "kg", 1e20, 1e27, "1.5 M_earth", "mass, instead of gravity", "10²⁴ kg", 1e-24
    ),
    "rotation_period": Parameter(
        "rotation_period_s",
        "s",
        HOUR_S,
        4000 * DAY_S,
        "6.1 d",
        "sidereal rotation period",
        "d",
        1 / DAY_S,
    ),
    "surface_pressure": Parameter(
        "surface_pressure_pa",
        "Pa",
        1.0,
        1e8,
        "1 bar",
        "mean surface pressure of dry air",
        "bar",
        1e-5,
    ),
    "co2": Parameter("co2_fraction", "", 0.0, 1.0, "400 ppm", "mole fraction of CO2 in dry air"),
    "ch4": Parameter("ch4_fraction", "", 0.0, 1.0, "1.8 ppm", "mole fraction of CH4 in dry air"),
    "stellar_flux": Parameter(
        "stellar_flux_wm2",
        "W / m2",
        1.0,
        1e5,
        "900 W/m2",
        "stellar flux at a distance of one semi-major axis",
        "W m⁻²",
    ),
    "stellar_temperature": Parameter(
        "stellar_temperature_k",
        "K",
        1500.0,
        20000.0,
        "2566 K",
        "effective temperature of the star",
        "K",
    ),
    "obliquity": Parameter(
        "obliquity_rad", "rad", 0.0, math.pi, "23.4 deg", "axial tilt", "deg", 180 / math.pi
    ),
    "eccentricity": Parameter("eccentricity", "", 0.0, 0.95, "0.02", "orbital eccentricity"),
    "longitude_of_periapse": Parameter(
        "longitude_of_periapse_rad",
        "rad",
        0.0,
        2 * math.pi,
        "283 deg",
        "angle along the orbit from the northern spring equinox to periapse",
        "deg",
        180 / math.pi,
    ),
    "orbital_period": Parameter(
        "orbital_period_s", "s", HOUR_S, 1e10, "365.25 d", "sidereal orbital period", "d", 1 / DAY_S
    ),
}

# Parts of a whole as people write them; astropy has no unit for most of these.
_FRACTIONS = {
    "": 1.0,
    "ppm": 1e-6,
    "ppmv": 1e-6,
    "ppb": 1e-9,
    "ppbv": 1e-9,
    "percent": 1e-2,
    "%": 1e-2,
}


def to_si(name: str, value: object) -> float:
    """Turn what a person wrote for parameter ``name`` into an SI number.

    >>> round(to_si("radius", "1.2 R_earth"))
    7653720
    >>> to_si("co2", "400 ppm")
    0.0004
    """
    parameter = PARAMETERS[name]
    hint = f"write for example {parameter.example!r}."
    if isinstance(value, bool) or value is None:
        raise ConfigError(f"{name}: {value!r} is not a quantity; {hint}")
    if isinstance(value, int | float):
        if parameter.unit and value != 0:
            raise ConfigError(f"{name}: {value!r} has no unit; {hint}")
        try:
            number = float(value)
        except OverflowError:
            raise ConfigError(f"{name}: this number is too large; {hint}") from None
    elif parameter.unit:
        number = _quantity(name, value)
    else:
        digits, _, unit = str(value).strip().partition(" ")
        try:
            number = float(f"{float(digits) * _FRACTIONS[unit.strip()]:.15g}")
        except (ValueError, KeyError):
            raise ConfigError(
                f"{name}: {value!r} is not a plain number or a fraction; {hint}"
            ) from None
    if not math.isfinite(number):
        raise ConfigError(f"{name}: {value!r} is not finite; {hint}")
    return number


def _quantity(name: str, value: object) -> float:
    from astropy import units  # noqa: PLC0415 - 0.3 s that jobs and repeated commands need not pay

    parameter = PARAMETERS[name]
    try:
        return float(units.Quantity(value).to_value(parameter.unit))
    except (TypeError, ValueError, units.UnitConversionError) as error:
        raise ConfigError(
            f"{name}: {value!r} is not a {parameter.meaning} in units of {parameter.unit}; "
            f"write for example {parameter.example!r}."
        ) from error


@dataclass(frozen=True, kw_only=True)
class Planet:
    """One planet, in SI units. Build it from what people write with :meth:`from_config`.

    ``orbital_period_s`` is the rotation period where the planet is tidally locked, and may be
    absent where nothing depends on it: an upright planet on a circular orbit has no seasons.
    """

    radius_m: float
    gravity_ms2: float
    rotation_period_s: float
    surface_pressure_pa: float
    co2_fraction: float
    ch4_fraction: float
    stellar_flux_wm2: float
    stellar_temperature_k: float
    obliquity_rad: float = 0.0
    eccentricity: float = 0.0
    longitude_of_periapse_rad: float = 0.0
    orbital_period_s: float | None = None
    tidally_locked: bool = False

    def __post_init__(self) -> None:
        for name, parameter in PARAMETERS.items():
            value = getattr(self, parameter.field)
            if value is not None and not parameter.low <= value <= parameter.high:
                unit = f" {parameter.unit}" if parameter.unit else ""
                raise ConfigError(
                    f"{name}: {value:g}{unit} lies outside {parameter.low:g} … {parameter.high:g}{unit}; "
                    f"write for example {parameter.example!r}."
                )
        if self.co2_fraction + self.ch4_fraction > 1.0:
            raise ConfigError(
                f"co2 + ch4: {self.co2_fraction:g} + {self.ch4_fraction:g} is more than the whole "
                "atmosphere; lower one of them so that the sum is at most 1."
            )
        spin = 4 * math.pi**2 * self.radius_m / self.rotation_period_s**2
        if spin >= self.gravity_ms2:
            raise ConfigError(
                f"rotation_period: {self.rotation_period_s / HOUR_S:.3g} h would tear the planet apart "
                f"(centrifugal {spin:.3g} m/s2 at the equator, gravity {self.gravity_ms2:.3g} m/s2); "
                "choose a longer period."
            )
        if self.tidally_locked:
            self._check_locked()
        elif self.has_seasons and self.orbital_period_s is None:
            raise ConfigError(
                "orbital_period: a planet with obliquity or eccentricity has seasons; "
                "say how long its year is, for example '365.25 d'."
            )

    def _check_locked(self) -> None:
        if self.has_seasons:
            raise ConfigError(
                "tidally_locked: a planet that keeps one face to its star has obliquity 0 and "
                "eccentricity 0; set both to 0, or tidally_locked to false."
            )
        if self.orbital_period_s not in (None, self.rotation_period_s):
            raise ConfigError(
                "orbital_period: a tidally locked planet's year is its rotation period; "
                "leave orbital_period out, or set tidally_locked to false."
            )

    @classmethod
    def from_config(cls, written: Mapping[str, object]) -> "Planet":
        """Build a planet from names and quantities as people write them.

        >>> planet = Planet.from_config({
        ...     "radius": "1 R_earth", "mass": "1 M_earth", "rotation_period": "1 d",
        ...     "surface_pressure": "1 bar", "co2": "400 ppm", "ch4": 0,
        ...     "stellar_flux": "1361 W/m2", "stellar_temperature": "5772 K"})
        >>> round(planet.gravity_ms2, 2)
        9.8
        """
        values: dict[str, float] = {}
        for name, value in written.items():
            if name != "tidally_locked" and name not in PARAMETERS:
                raise ConfigError(
                    f"planet.{name}: there is no such parameter"
                    + suggest(name, [*PARAMETERS, "tidally_locked"])
                )
            if name != "tidally_locked" and value is not None:
                values[name] = to_si(name, value)
        locked = written.get("tidally_locked", False)
        if not isinstance(locked, bool):
            raise ConfigError(
                f"tidally_locked: {locked!r} is neither true nor false; write one of them."
            )
        return cls.from_si(values, tidally_locked=locked)

    @classmethod
    def from_si(cls, values: Mapping[str, float], *, tidally_locked: bool = False) -> "Planet":
        """Build a planet from parameter names and SI numbers; ``mass`` may stand for ``gravity``."""
        given = {PARAMETERS[name].field: float(value) for name, value in values.items()}
        mass_kg = given.pop("mass_kg", None)
        if mass_kg is not None:
            if "gravity_ms2" in given:
                raise ConfigError(
                    "mass: gravity is given too; keep one of the two, the other follows."
                )
            if "radius_m" in given:
                given["gravity_ms2"] = GRAVITATION * mass_kg / given["radius_m"] ** 2
        for name, parameter in PARAMETERS.items():
            needed = parameter.field in _REQUIRED
            if needed and parameter.field not in given:
                raise ConfigError(
                    f"{name}: a planet needs it; write for example {parameter.example!r}."
                )
        return cls(**given, tidally_locked=tidally_locked)

    @property
    def has_seasons(self) -> bool:
        """Whether sunlight at a latitude changes along the orbit."""
        return self.obliquity_rad != 0.0 or self.eccentricity != 0.0

    @property
    def year_s(self) -> float | None:
        """The orbital period; a tidally locked planet's is its rotation period."""
        return self.rotation_period_s if self.tidally_locked else self.orbital_period_s

    @property
    def rotation_rate_rads(self) -> float:
        """Angular velocity of the spin, rad s-1."""
        return 2 * math.pi / self.rotation_period_s

    @property
    def mass_kg(self) -> float:
        """Mass that gives this gravity at this radius."""
        return self.gravity_ms2 * self.radius_m**2 / GRAVITATION

    @property
    def composition(self) -> dict[str, float]:
        """Mole fractions of dry air; N2 fills what CO2 and CH4 leave."""
        return {
            "N2": 1.0 - self.co2_fraction - self.ch4_fraction,
            "CO2": self.co2_fraction,
            "CH4": self.ch4_fraction,
        }

    @property
    def molar_mass_kgmol(self) -> float:
        """Mean molar mass of dry air, kg mol-1."""
        return sum(x * MOLAR_MASS[gas] for gas, x in self.composition.items())

    @property
    def gas_constant_jkgk(self) -> float:
        """Specific gas constant of dry air, J kg-1 K-1."""
        return MOLAR_GAS_CONSTANT / self.molar_mass_kgmol

    @property
    def heat_capacity_jkgk(self) -> float:
        """Isobaric specific heat capacity of dry air at 298 K, J kg-1 K-1."""
        molar = sum(x * MOLAR_HEAT_CAPACITY[gas] for gas, x in self.composition.items())
        return molar / self.molar_mass_kgmol

    @property
    def column_mass_kgm2(self) -> float:
        """Mass of dry air above a square metre."""
        return self.surface_pressure_pa / self.gravity_ms2

    @property
    def mean_flux_wm2(self) -> float:
        """Stellar flux averaged over the orbit in time, which an eccentric orbit raises."""
        return self.stellar_flux_wm2 / math.sqrt(1.0 - self.eccentricity**2)

    def equilibrium_temperature_k(self, bond_albedo: float = 0.0) -> float:
        """Temperature at which a uniform black sphere would radiate what the planet absorbs."""
        return math.sqrt(
            math.sqrt(self.mean_flux_wm2 * (1.0 - bond_albedo) / (4.0 * STEFAN_BOLTZMANN))
        )


_REQUIRED = frozenset(
    {
        "radius_m",
        "gravity_ms2",
        "rotation_period_s",
        "surface_pressure_pa",
        "co2_fraction",
        "ch4_fraction",
        "stellar_flux_wm2",
        "stellar_temperature_k",
    }
)
