"""The table of run-time parameters: name, unit, range and meaning of each that we vouch for."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["real", "integer", "text"]


@dataclass(frozen=True)
class Known:
    """One run-time parameter of the model."""

    name: str  # as decks spell it; the model ignores case
    kind: Kind
    meaning: str
    unit: str = ""
    low: float = float("-inf")
    high: float = float("inf")
    values: tuple[int, int] = (1, 1)  # fewest and most
    choices: tuple[int | str, ...] = ()


def _real(
    name: str,
    meaning: str,
    unit: str,
    low: float,
    high: float,
    values: tuple[int, int] = (1, 1),
) -> Known:
    return Known(name, "real", meaning, unit, low, high, values)


def _integer(name: str, meaning: str, low: float, high: float = 99999) -> Known:
    return Known(name, "integer", meaning, "", low, high)


def _choice(name: str, meaning: str, *choices: int | str) -> Known:
    kind: Kind = "text" if isinstance(choices[0], str) else "integer"
    return Known(name, kind, meaning, choices=choices)


def _switch(name: str, meaning: str) -> Known:
    return _choice(name, meaning, 0, 1)


def _text(name: str, meaning: str) -> Known:
    return Known(name, "text", meaning)


def _factor(gas: str, name: str) -> Known:
    # GHG.AllOnes.txt makes the factor a mixing ratio in ppm, so pure CO2 is a million.
    return _real(name, f"{gas}: factor on the GHG file's value", "", 0, 1e6)


_PLANET = (
    _real("planet_s0", "stellar flux at the mean distance; S0X does not act", "W m-2", 0, 1e5),
    _text("planetName", "name of the planet, as PLANET_PARAMS has it"),
    _real("eccentricity", "orbital eccentricity", "", 0, 0.95),
    _real("obliquity", "axial tilt", "degree", 0, 180),
    _real("longitudeAtPeriapsis", "from the spring equinox to periapsis", "degree", 0, 360),
    _real("siderealOrbitalPeriod", "length of the orbit", "s", 3600, 1e10),
    _real("siderealRotationPeriod", "length of a turn against the stars", "s", 3600, 4e8),
    _real("meanDistance", "semi-major axis", "AU", 1e-3, 100),
    _real("hourAngleOffset", "turns the longitude of noon at the start", "degree", -360, 360),
    _choice("quantizeYearLength", "make the year whole days long", "True", "False", "T", "F"),
    _integer("minCalendarDaysPerYear", "fewest days in a calendar year", 1),
    _real("S0X", "factor on the stellar flux of GISS radiation", "", 0, 100),
    _choice("variable_orb_par", "orbit: -1 given by orb_par, 0 fixed year, 1 with time", -1, 0, 1),
    _integer("orb_par_year_bp", "year of the orbit, before 1950", -1_000_000, 1_000_000),
    _real("orb_par", "eccentricity, obliquity, angle to periapsis", "", 0, 360, (3, 3)),
)

_STAR_AND_GASES = (
    _text("solar_spec", "stellar spectrum"),
    _text("solar_spec_dir", "folder of the stellar spectra"),
    _text("spectral_dir", "folder of SOCRATES' spectral files"),
    _text("spectral_file_lw", "spectral file of thermal radiation"),
    _text("spectral_file_sw", "spectral file of stellar radiation"),
    _factor("CO2", "CO2X"),
    _factor("N2O", "N2OX"),
    _factor("CH4", "CH4X"),
    _factor("O2", "O2X"),
    _factor("O3", "O3X"),
    _factor("NO2", "NO2X"),
    _factor("SO2", "SO2X"),
    _factor("N2 continuum", "N2CX"),
    _factor("CFC-11", "CFC11X"),
    _factor("CFC-12", "CFC12X"),
    _factor("minor gases", "XGHGX"),
    _factor("minor gases", "YGHGX"),
    _real("H2OstratX", "factor on stratospheric water vapour", "", 0, 100),
    _real("H2ObyCH4", "water made from methane; 0 is off", "", 0, 10),
    _real("CLDX", "factor on cloud opacity", "", 0, 10),
    _switch("l_uniform_ghg", "gases well mixed: no profile with latitude or height"),
    _integer("GHG_yr", "year of the gases; 0 follows the model's", 0),
    _integer("GHG_day", "day of the gases", 0, 366),
    _integer("O3_yr", "year of ozone", -99999),
    _integer("aero_yr", "year of aerosols", 0),
    _integer("albsn_yr", "year of soot on snow", 0),
    _integer("S0_yr", "year of the solar irradiance", 0),
    _integer("S0_day", "day of the solar irradiance", 0, 366),
    _integer("volc_yr", "year of volcanic aerosols; -1 mean, 0 model's", -1),
    _integer("volc_day", "day of volcanic aerosols", 0, 366),
    _integer("crops_yr", "year of crops; -1 as in the file, 0 model's", -1),
    _integer("master_yr", "year of all boundary conditions; 0 transient", 0),
    _integer("madaer", "kind of aerosol data", 0, 3),
    _integer("KSOLAR", "kind of solar data: 1 monthly, 2 annual", -1, 9),
    _choice("KSIALB", "sea-ice albedo: 0 Hansen, 1 Lacis, -1 no land-ice change", -1, 0, 1),
    _choice("KCLDEP", "cloud inhomogeneity: 0 to 4", 0, 1, 2, 3, 4),
    _real("EPSCON", "constant cloud inhomogeneity for KCLDEP=1", "", 0, 1),
    _real("PTLISO", "above it radiation takes the air as isothermal", "hPa", 0, 1e5),
    _real("od_cdncx", "first indirect effect", "", 0, 10),
    _real("cc_cdncx", "second indirect effect", "", 0, 10),
    _real("dalbsnX", "snow darkened by soot", "", 0, 10),
    _switch("vegCO2X_off", "plants do not see CO2X"),
    _switch("land_CO2_bc_flag", "CO2 over land: 0 own value, 1 that of radiation"),
    _real("land_CO2_bc", "CO2 over land", "ppm", 0, 1e6),
)

_DYNAMICS = (
    _real("DTsrc", "physics step; an even part of a day, fixed once a run began", "s", 1, 1e5),
    _real("DT", "dynamics step; DTsrc over an even number", "s", 0.1, 7200),
    _integer("DTFIX", "step of the fix-up of temperature", 0),
    _real("DT_XUfilter", "Shapiro filter on U, east-west; 0 off, usually DT", "s", 0, 1e5),
    _real("DT_XVfilter", "Shapiro filter on V, east-west; 0 off, usually DT", "s", 0, 1e5),
    _real("DT_YVfilter", "Shapiro filter on V, north-south; 0 off", "s", 0, 1e5),
    _real("DT_YUfilter", "Shapiro filter on U, north-south; 0 off", "s", 0, 1e5),
    _integer("NIsurf", "surface steps per physics step; more for a thinner layer 1", 1, 100),
    _integer("NRAD", "physics steps per radiation step", 1, 10000),
    _integer("nradfrc", "radiation steps per forcing step", 0, 10000),
    _integer("MFILTR", "sea-level pressure filter: 0 to 3", 0, 3),
    _integer("NFILTR", "physics steps per filter of sea-level pressure", 0, 10000),
    _switch("do_polefix", "correct winds at the poles"),
    _switch("initial_psurf_from_topo", "start with pressure in balance with the topography"),
    _real("mincolmass", "stop below this column mass", "kg m-2", 0, 1e12),
    _real("maxcolmass", "stop above this column mass", "kg m-2", 0, 1e12),
    _real("rtau", "Rayleigh damping times of the top layers, downwards", "s", 1, 1e12, (1, 60)),
    _real("X_SDRAG", "drag at the top: constant, and per wind", "", 0, 1, (2, 2)),
    _real("C_SDRAG", "constant drag above PTOP", "", 0, 1),
    _real("P_sdrag", "drag above this pressure", "hPa", 0, 1e5),
    _real("PP_sdrag", "drag above this pressure near the poles", "hPa", 0, 1e5),
    _real("P_CSDRAG", "constant drag grows above this pressure", "hPa", 0, 1e5),
    _real("Wc_JDRAG", "critical wind of J-drag; 0 off", "m s-1", 0, 1e4),
    _real("WMAX", "limit of winds in drag", "m s-1", 1, 1e5),
    _switch("ANG_sdrag", "drag conserves angular momentum"),
    _real("VSDRAGL", "factor on drag by layer", "", 0, 100, (1, 60)),
    _real("PBREAK", "gravity waves break above it", "hPa", 0, 1e5),
    _real("PBREAKTOP", "gravity waves surely break above it", "hPa", 0, 1e5),
    _real("PCONPEN", "depth of convection that makes gravity waves", "hPa", 0, 1e5),
    _real("DEFTHRESH", "deformation that makes gravity waves", "s-1", 0, 1),
    _real("CMC", "gravity-wave drag of convection", "", 0, 1),
    _real("CSHEAR", "gravity-wave drag of shear", "", 0, 1000),
    _real("CMTN", "gravity-wave drag of mountains", "", 0, 100),
    _real("CDEF", "gravity-wave drag of deformation", "", 0, 100),
    _real("XCDNST", "gravity-wave drag of the stratosphere", "", 0, 1e6, (2, 2)),
    _switch("ANG_GWD", "gravity-wave drag conserves angular momentum"),
    _switch("prather_limits", "keep moments of humidity from going negative"),
)

_CLOUDS_AND_SURFACE = (
    _real("U00a", "critical humidity above 850 hPa; tune first", "", 0, 10),
    _real("U00b", "critical humidity below 850 hPa; tune the radiation balance", "", 0, 10),
    _real("U00ice", "critical humidity of ice clouds", "", 0, 10),
    _real("U00wtrX", "water clouds' critical humidity over ice clouds'", "", 0, 10),
    _real("HRMAX", "how high air rises from the surface", "m", 0, 1e5),
    _real("wmu_multiplier", "factor on critical cloud water", "", 0, 100),
    _real("WMUI_multiplier", "factor on critical cloud ice", "", 0, 100),
    _real("radiusl_multiplier", "factor on the size of cloud drops", "", 0, 100),
    _real("radius_multiplier", "factor on the size of cloud particles", "", 0, 100),
    _real("entrainment_cont1", "entrainment of the first plume", "", 0, 10),
    _real("entrainment_cont2", "entrainment of the second plume", "", 0, 10),
    _real("autoconv_multiplier", "factor on autoconversion", "", 0, 100),
    _real("RICldX", "factor on the size of ice particles", "", 0, 100),
    _real("RWCldOX", "factor on the size of drops over ocean", "", 0, 100),
    _real("funio_denominator", "how fast drops freeze in cold clouds", "", 0, 1000),
    _integer("LMCM", "highest layer of convection", -1, 1000),
    _real("MAXCTOP", "highest cloud top", "hPa", 0, 1e5),
    _switch("do_blU00", "boundary layer has a critical humidity of its own"),
    _real("xCDpbl", "factor on the drag of momentum", "", 0, 100),
    _switch("skin_effect", "ocean skin differs from the bulk"),
    _integer("cond_scheme", "conductance of plants: 1 or 2; not with Ent", 1, 2),
    _choice("KOCEAN", "ocean: 0 prescribed, 1 slab or dynamic; any other is taken as slab", 0, 1),
    _switch("Kvflxo", "save fluxes into the ocean daily"),
    _switch("ocn_cycl", "ocean repeats every year"),
    _real("qfluxX", "factor on heat fluxes of the ocean", "", 0, 10),
    _real("meso_diffusivity_const", "mesoscale diffusivity of the ocean", "m2 s-1", 0, 1e6),
    _switch("OTIDE", "tides mix the ocean"),
    _real("oc_salt_mean", "mean salinity of the ocean", "psu", 0, 1000),
    _text("seaice_thermo", "thermodynamics of sea ice: SI or BP"),
    _switch("variable_lk", "lakes grow and shrink"),
    _switch("init_flake", "set lakes anew at the start"),
    _real("lake_rise_max", "how far a lake rises over its sill", "m", 0, 1e4),
    _real("river_fac", "factor on rivers", "", 0, 10),
    _switch("glmelt_on", "melt of glaciers flows into the ocean"),
    _real("glmelt_fac_nh", "factor on glacial melt, north", "", 0, 100),
    _real("glmelt_fac_sh", "factor on glacial melt, south", "", 0, 100),
    _real("wsn_max", "most snow on land, as water; 0 no limit", "m", 0, 1e4),
    _real("snow_cover_coef", "how snow covers land", "", 0, 10),
    _real("minGroundTemperature", "stop below this ground temperature", "degC", -273, 1000),
    _real("maxGroundTemperature", "stop above this ground temperature", "degC", -273, 2000),
    _real("minIceTemperature", "stop below this temperature of ice", "degC", -273, 0),
    _switch("init_topog_related", "start does not fit the topography"),
    _switch("do_IC_fixups", "check and correct the initial surface"),
    _switch("reset_canopy_ic", "set the canopy anew"),
    _switch("reset_snow_ic", "set snow anew"),
)

_OUTPUT = (
    _integer("KCOPY", "0 nothing, 1 acc, 2 acc and month-start restart, 3 and ocean", 0, 3),
    _integer("KRSF", "months between restarts that are kept; 0 none", 0),
    _choice("NMONAV", "months in an acc file", 1, 2, 3, 4, 6, 12),
    _integer("Ndisk", "physics steps between fort.1 and fort.2", 0, 10_000_000),
    _choice("Nssw", "physics steps between looks at flagGoStop; even", *range(2, 97, 2)),
    _integer("ndigits_year", "digits of years in file names", 4, 9),
    _integer("NIPRNT", "prints of the first steps", 0),
    _integer("IRAND", "seed", -(2**31) + 1, 2**31 - 1),
    _switch("keep_params", "a restart's parameters hold over the deck's"),
    _switch("isccp_diags", "diagnostics of clouds as a satellite sees them"),
    _switch("aer_rad_forc", "forcing of aerosols; slow"),
    _switch("cloud_rad_forc", "forcing of clouds; calls radiation twice"),
    _switch("lh_diags", "diagnostics of latent heat"),
    _integer("nda5d", "physics steps between conservation checks, dynamics", 0),
    _integer("nda5s", "physics steps between conservation checks, sources", 0),
    _integer("nda5k", "physics steps between checks of kinetic energy", 0),
    _integer("ndaa", "physics steps between samples of the atmosphere", 0),
    _integer("ndasf", "surface steps between samples of the surface", 0),
    _integer("nda4", "physics steps between energy histories", 0),
    _integer("nday_subdd", "physics steps per day in sub-daily files", 1),
    _integer("NSUBDD", "physics steps between sub-daily samples; 0 none", 0),
    _integer("LmaxSUBDD", "highest layer in sub-daily files", 1, 1000),
    _switch("write_daily_files", "one sub-daily file a day"),
    *(_text(f"SUBDD{n or ''}", "variables in sub-daily files") for n in range(10)),
)

KNOWN: dict[str, Known] = {
    known.name.lower(): known
    for known in (*_PLANET, *_STAR_AND_GASES, *_DYNAMICS, *_CLOUDS_AND_SURFACE, *_OUTPUT)
}
