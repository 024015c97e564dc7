"""The one table of what an engine's output holds: names, units, signs, and where each comes from.

Names and signs are CMIP's: a flux that CMIP counts upward is positive upward. ``docs/variables.md``
is made of this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

ZERO_CELSIUS_K = 273.15
WATER_KGM3 = 1000.0  # by which models turn a mass of water into a depth


class Need(StrEnum):
    """Who must give a variable."""

    ALWAYS = "always"
    GCM = "general circulation models"
    OPTIONAL = "optional"


@dataclass(frozen=True)
class Variable:
    """One canonical variable. ``low`` and ``high`` bracket its global mean on any planet we run."""

    name: str
    standard_name: str | None
    long_name: str
    unit: str
    low: float
    high: float
    need: Need = Need.OPTIONAL
    positive: str = ""
    layered: bool = False


_FLUX = "W m-2"
_WATER = "kg m-2 s-1"
_TEMPERATURE = (20.0, 5000.0)
_LIGHT = (0.0, 1e5)
_SHARE = (0.0, 1.0)
_WIND = (-500.0, 500.0)
_ALL = (
    Variable("ts", "surface_temperature", "surface temperature", "K", *_TEMPERATURE, Need.ALWAYS),
    Variable(
        "rsdt",
        "toa_incoming_shortwave_flux",
        "starlight at the top of the atmosphere",
        _FLUX,
        *_LIGHT,
        Need.ALWAYS,
        "down",
    ),
    Variable(
        "rsut",
        "toa_outgoing_shortwave_flux",
        "starlight sent back to space",
        _FLUX,
        *_LIGHT,
        Need.ALWAYS,
        "up",
    ),
    Variable(
        "rlut",
        "toa_outgoing_longwave_flux",
        "infrared radiation to space",
        _FLUX,
        0.01,
        1e5,
        Need.ALWAYS,
        "up",
    ),
    Variable(
        "tas", "air_temperature", "air temperature near the surface", "K", *_TEMPERATURE, Need.GCM
    ),
    Variable(
        "ps",
        "surface_air_pressure",
        "surface pressure of the air whose mass the dynamics carry, water vapour left out",
        "Pa",
        1.0,
        1e8,
        Need.GCM,
    ),
    Variable("pr", "precipitation_flux", "precipitation", _WATER, -1e-9, 0.01, Need.GCM, "down"),
    Variable(
        "evspsbl",
        "water_evapotranspiration_flux",
        "evaporation",
        _WATER,
        -1e-6,
        0.01,
        Need.GCM,
        "up",
    ),
    Variable(
        "hfss",
        "surface_upward_sensible_heat_flux",
        "sensible heat",
        _FLUX,
        -1e4,
        1e4,
        Need.GCM,
        "up",
    ),
    Variable(
        "hfls",
        "surface_upward_latent_heat_flux",
        "latent heat",
        _FLUX,
        -5.0,
        1e5,
        Need.OPTIONAL,
        "up",
    ),
    Variable(
        "rsds",
        "surface_downwelling_shortwave_flux_in_air",
        "starlight at the surface",
        _FLUX,
        *_LIGHT,
        Need.GCM,
        "down",
    ),
    Variable(
        "rsus",
        "surface_upwelling_shortwave_flux_in_air",
        "starlight that the surface sends back",
        _FLUX,
        *_LIGHT,
        Need.GCM,
        "up",
    ),
    Variable(
        "rlds",
        "surface_downwelling_longwave_flux_in_air",
        "infrared radiation at the surface",
        _FLUX,
        *_LIGHT,
        Need.GCM,
        "down",
    ),
    Variable(
        "rlus",
        "surface_upwelling_longwave_flux_in_air",
        "infrared radiation of the surface",
        _FLUX,
        0.01,
        1e6,
        Need.GCM,
        "up",
    ),
    # CMIP's standard name of hfds, surface_downward_heat_flux_in_sea_water, is of the sea alone. This one
    # is of the whole surface, from above, as the sum of radiation, sensible and latent heat.
    Variable(
        "hfds",
        "surface_downward_heat_flux_in_air",
        "heat into the surface, whatever it is made of",
        _FLUX,
        -1e4,
        1e4,
        positive="down",
    ),
    Variable("clt", "cloud_area_fraction", "cloud cover", "1", *_SHARE, Need.GCM),
    Variable("prw", "atmosphere_mass_content_of_water_vapor", "water vapour", "kg m-2", 0.0, 1e7),
    Variable("prsn", "snowfall_flux", "snowfall", _WATER, -1e-9, 0.01, positive="down"),
    Variable("siconc", "sea_ice_area_fraction", "share of the cell under sea ice", "1", *_SHARE),
    Variable("ice", None, "share of the surface under ice or snow", "1", *_SHARE),
    Variable("surface_albedo", "surface_albedo", "surface albedo in starlight", "1", *_SHARE),
    Variable(
        "planetary_albedo", "planetary_albedo", "albedo at the top of the atmosphere", "1", *_SHARE
    ),
    Variable("heat_divergence", None, "heat that the atmosphere carries away", _FLUX, -1e4, 1e4),
    Variable("uas", "eastward_wind", "eastward wind near the surface", "m s-1", *_WIND),
    Variable("vas", "northward_wind", "northward wind near the surface", "m s-1", *_WIND),
    Variable("sftlf", "land_area_fraction", "share of land", "1", *_SHARE),
    Variable("orog", "surface_altitude", "height of the ground", "m", -1e5, 1e5),
    Variable(
        "ta", "air_temperature", "air temperature", "K", *_TEMPERATURE, Need.GCM, layered=True
    ),
    Variable(
        "hus", "specific_humidity", "specific humidity", "1", -1e-4, 1.0, Need.GCM, layered=True
    ),
    Variable("ua", "eastward_wind", "eastward wind", "m s-1", *_WIND, Need.GCM, layered=True),
    Variable("va", "northward_wind", "northward wind", "m s-1", *_WIND, Need.GCM, layered=True),
    Variable(
        "wap",
        "lagrangian_tendency_of_air_pressure",
        "vertical wind in pressure",
        "Pa s-1",
        -100.0,
        100.0,
        positive="down",
        layered=True,
    ),
    Variable("zg", "geopotential_height", "height of the layer", "m", -1e5, 1e7, layered=True),
    Variable(
        "cl",
        "cloud_area_fraction_in_atmosphere_layer",
        "cloud cover of the layer",
        "1",
        *_SHARE,
        layered=True,
    ),
    Variable(
        "clw",
        "mass_fraction_of_cloud_liquid_water_in_air",
        "cloud water",
        "1",
        *_SHARE,
        layered=True,
    ),
    Variable("cli", "mass_fraction_of_cloud_ice_in_air", "cloud ice", "1", *_SHARE, layered=True),
)
VARIABLES: Mapping[str, Variable] = {variable.name: variable for variable in _ALL}


@dataclass(frozen=True)
class Source:
    """A canonical variable as a sum of an engine's own, each with its factor, and an offset.

    ``place`` is the category of the file where ModelE keeps the terms. ``per_day`` marks amounts
    a day, whose length in seconds only the file knows.
    """

    terms: tuple[tuple[str, float], ...]
    offset: float = 0.0
    place: str = ""
    per_day: bool = False

    def __str__(self) -> str:
        """``1000 prl + 1000 prc``, as the documentation shows it."""
        text = ""
        for name, factor in self.terms:
            size = "" if abs(factor) == 1 else f"{abs(factor):g} "
            sign = (" − " if text else "−") if factor < 0 else (" + " if text else "")
            text += f"{sign}{size}{name}"
        text += f" + {self.offset:g}" if self.offset else ""
        return text + (" per day" if self.per_day else "")


def _one(name: str, factor: float = 1.0, **rest: object) -> Source:
    return Source(((name, factor),), **rest)  # type: ignore[arg-type]


def _aij(*terms: tuple[str, float], offset: float = 0.0, per_day: bool = False) -> Source:
    return Source(terms, offset, "aij", per_day)


# ModelE: °C, mb, %, mm a day; thermal radiation and sensible heat are positive downward.
MODELE: Mapping[str, Source] = {
    "ts": _aij(("tgrnd", 1.0), offset=ZERO_CELSIUS_K),
    "rsdt": _aij(("incsw_toa", 1.0)),
    "rsut": _aij(("incsw_toa", 1.0), ("srnf_toa", -1.0)),
    "rlut": _aij(("trnf_toa", -1.0)),
    "tas": _aij(("tsurf", 1.0), offset=ZERO_CELSIUS_K),
    "ps": _aij(("prsurf", 100.0)),
    "pr": _aij(("prec", 1.0), per_day=True),
    "evspsbl": _aij(("evap", 1.0), per_day=True),
    "hfss": _aij(("sensht", -1.0)),
    "hfls": _aij(("HWV", 1.0)),
    "rsds": _aij(("incsw_grnd", 1.0)),
    "rsus": _aij(("incsw_grnd", 1.0), ("srnf_grnd", -1.0)),
    "rlds": _aij(("trdn_surf", 1.0)),
    "rlus": _aij(("trup_surf", 1.0)),
    "hfds": _aij(("netht_grnd", 1.0)),
    "clt": _aij(("pcldt", 0.01)),
    "prw": _aij(("qatm", 1.0)),
    "prsn": _aij(("snowfall", 1.0), per_day=True),
    "siconc": _aij(("oicefr", 0.01)),
    "ice": _aij(("snowicefr", 0.01)),
    "surface_albedo": _aij(("grnd_alb", 0.01)),
    "planetary_albedo": _aij(("plan_alb", 0.01)),
    "uas": _aij(("usurf", 1.0)),
    "vas": _aij(("vsurf", 1.0)),
    "sftlf": _aij(("frac_land", 0.01)),
    "orog": _aij(("topog", 1.0)),
    "ta": _one("TempL", place="aijl"),
    "hus": _one("SpHuL", place="aijl"),
    "ua": _one("ub", place="aijk"),
    "va": _one("vb", place="aijk"),
    "wap": _one("w", place="aijk"),
    "zg": _one("z", place="aijl"),
    "cl": _one("cf", 0.01, place="aijl"),
    "clw": _one("wtrcld", place="aijl"),
    "cli": _one("icecld", place="aijl"),
}

# ExoPlaSim: hPa and metres of water a second; every flux is positive downward, also those that
# its own standard names call outgoing or upward.
EXOPLASIM: Mapping[str, Source] = {
    "ts": _one("ts"),
    "rsdt": Source((("rst", 1.0), ("rsut", -1.0))),
    "rsut": _one("rsut", -1.0),
    "rlut": _one("rlut", -1.0),
    "tas": _one("tas"),
    "ps": _one("ps", 100.0),
    "pr": Source((("prl", WATER_KGM3), ("prc", WATER_KGM3))),
    "evspsbl": _one("evap", -WATER_KGM3),
    "hfss": _one("hfss", -1.0),
    "hfls": _one("hfls", -1.0),
    "rsds": Source((("rss", 1.0), ("ssru", -1.0))),
    "rsus": _one("ssru", -1.0),
    "rlds": Source((("rls", 1.0), ("stru", -1.0))),
    "rlus": _one("stru", -1.0),
    "hfds": _one("hfns"),
    "clt": _one("clt"),
    "prw": _one("prw"),
    "prsn": _one("prsn", WATER_KGM3),
    "siconc": _one("sic"),
    "surface_albedo": _one("alb"),
    "sftlf": _one("lsm"),
    "ta": _one("ta"),
    "hus": _one("hus"),
    "ua": _one("ua"),
    "va": _one("va"),
    "wap": _one("wap"),
    "cl": _one("cl"),
}

# The energy-balance model thinks in canonical terms.
EBM: Mapping[str, Source] = {
    name: _one(name)
    for name in (
        "ts",
        "rsdt",
        "rsut",
        "rlut",
        "ice",
        "surface_albedo",
        "planetary_albedo",
        "heat_divergence",
    )
}

ENGINES: Mapping[str, Mapping[str, Source]] = {
    "ebm": EBM,
    "exoplasim": EXOPLASIM,
    "rocke3d": MODELE,
}


def required(*, gcm: bool) -> list[str]:
    """The variables that an output must hold; a model with longitudes is taken for a GCM."""
    needs = {Need.ALWAYS, Need.GCM} if gcm else {Need.ALWAYS}
    return [variable.name for variable in VARIABLES.values() if variable.need in needs]


def table() -> str:
    """The table of ``docs/variables.md``, as Markdown."""
    marks = {Need.ALWAYS: "**always**", Need.GCM: "**GCM**", Need.OPTIONAL: ""}
    rows = [
        "| name | meaning | unit | positive | axes | needed | ebm | exoplasim | rocke3d |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for variable in VARIABLES.values():
        axes = "time, layer, lat, lon" if variable.layered else "time, lat, lon"
        sources = [
            f"`{engine[variable.name]}`" if variable.name in engine else ""
            for engine in ENGINES.values()
        ]
        cells = [
            f"`{variable.name}`",
            variable.long_name,
            variable.unit,
            variable.positive,
            axes,
            marks[variable.need],
            *sources,
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"
