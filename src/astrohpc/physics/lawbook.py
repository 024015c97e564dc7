"""The table of all laws: names, units, what they need, and the tolerances they are judged by.

A tolerance of an engine is what was measured of that model; docs/conservation.md shows the table.
"""

import math
import sys
from collections.abc import Mapping

from astrohpc.constants import DAY_S
from astrohpc.physics import laws
from astrohpc.physics.law import Budget, Tolerance

_LEAST = sys.float_info.min  # above nothing

_ROUNDING = Tolerance(1e-6, "float32 fields, summed in float64")
_OPEN = Tolerance(math.inf, "reported: only a settled climate has none", relative=False)
_WATER = Tolerance(
    0.1 / DAY_S,
    "0.1 mm a day: ModelE and ExoPlaSim close to 0.004-0.09 while they spin up (measured)",
    relative=False,
)
_COLUMN_WATER = Tolerance(
    0.05, "humidity and column are two outputs; ExoPlaSim's differ by 1-2 %, ModelE's by 0.04 %"
)
_SURFACE = Tolerance(
    3.0,
    "melting snow is not among the fluxes: 0-2.8 W m-2 in ExoPlaSim, 0.9-1.1 in ModelE (measured)",
    relative=False,
)
_ATMOSPHERE = Tolerance(
    5.0, "storage from differences of means; melting; work that models do not give back", False
)
_FLOW = Tolerance(0.1, "means of v and of ps leave out how the two vary together")
_HYDROSTATIC = Tolerance(0.04, "the air between two layers is not linear in height: ModelE 0.025")
_POSSIBLE = Tolerance(1e-6, "rounding of float32")
_NEVER = Tolerance(0.0, "no rounding makes it so", relative=False)

_HEAT = ("ta", "hus", "ps")
_TOP = ("rsdt", "rsut", "rlut")
_SURFACE_FLUXES = ("rsds", "rsus", "rlds", "rlus", "hfss", "hfls")

_TABLE = (
    Budget(
        "dry_mass",
        "mass of dry air",
        "kg m-2",
        "constant",
        ("ps",),
        _ROUNDING,
        laws.dry_mass,
        engines={"exoplasim": Tolerance(5e-5, "its ps drifts by 1.7e-5 in a year (measured, T21)")},
    ),
    Budget(
        "total_mass",
        "mass of air and vapour",
        "kg m-2",
        "total",
        ("ps", "hus"),
        _ROUNDING,
        laws.total_mass,
    ),
    Budget(
        "column_water",
        "water vapour",
        "kg m-2",
        "total",
        ("ps", "hus"),
        _ROUNDING,
        laws.column_water,
    ),
    Budget(
        "water",
        "evaporation less precipitation is the growth of vapour",
        "kg m-2 s-1",
        "change",
        ("evspsbl", "pr"),
        _WATER,
        laws.water,
        uses=("prw", "hus", "ps"),
    ),
    Budget(
        "water_column",
        "the column of vapour is the integral of humidity",
        "kg m-2",
        "closure",
        ("prw", "hus", "ps"),
        _COLUMN_WATER,
        laws.water_column,
    ),
    Budget(
        "enthalpy",
        "enthalpy of dry air",
        "J m-2",
        "total",
        ("ta", "ps"),
        _ROUNDING,
        laws.enthalpy,
    ),
    Budget(
        "total_energy",
        "total energy of the air",
        "J m-2",
        "total",
        _HEAT,
        _ROUNDING,
        laws.total_energy,
        uses=("ua", "va", "orog"),
    ),
    Budget(
        "moist_static_energy",
        "moist static energy",
        "J m-2",
        "total",
        (*_HEAT, "zg"),
        _ROUNDING,
        laws.moist_static_energy,
    ),
    Budget(
        "toa_energy",
        "light absorbed is infrared sent out",
        "W m-2",
        "closure",
        _TOP,
        _OPEN,
        laws.toa_energy,
    ),
    Budget(
        "surface_energy",
        "fluxes into the ground add up to the model's own",
        "W m-2",
        "closure",
        _SURFACE_FLUXES,
        _SURFACE,
        laws.surface_energy,
        uses=("hfds",),
    ),
    Budget(
        "atmosphere_energy",
        "heat that enters the air and does not leave it warms it",
        "W m-2",
        "change",
        (*_TOP, *_SURFACE_FLUXES),
        _ATMOSPHERE,
        laws.atmosphere_energy,
        uses=(*_HEAT, "ua", "va", "orog"),
    ),
    Budget(
        "meridional_mass_flux",
        "no net flow of air across a latitude",
        "m s-1",
        "closure",
        ("va", "ps"),
        _FLOW,
        laws.meridional_mass_flux,
    ),
    Budget(
        "angular_momentum",
        "axial angular momentum of the air",
        "kg s-1",
        "total",
        ("ua", "ps"),
        _ROUNDING,
        laws.angular_momentum,
    ),
    Budget(
        "hydrostatic",
        "heights of layers follow from temperature",
        "m",
        "column",
        ("zg", "ta", "ps"),
        _HYDROSTATIC,
        uses=("hus",),
    ),
    Budget(
        "saturation",
        "no more vapour than at saturation",
        "1",
        "column",
        _HEAT,
        Tolerance(
            1.0, "means over a month, and air over ice: up to 0.6 above it in ModelE (measured)"
        ),
    ),
    Budget(
        "temperature",
        "temperatures are above absolute zero",
        "K",
        "bound",
        ("ta", "tas", "ts"),
        _NEVER,
        laws.within(("ta", "tas", "ts"), _LEAST, math.inf),
    ),
    Budget(
        "humidity",
        "humidity and cloud water lie in 0..1",
        "1",
        "bound",
        ("hus", "clw", "cli"),
        _POSSIBLE,
        laws.within(("hus", "clw", "cli"), 0.0, 1.0),
    ),
    Budget(
        "cloud",
        "cloud covers lie in 0..1",
        "1",
        "bound",
        ("clt", "cl"),
        _POSSIBLE,
        laws.within(("clt", "cl"), 0.0, 1.0),
    ),
    Budget(
        "pressure",
        "surface pressure is above nothing",
        "Pa",
        "bound",
        ("ps",),
        _NEVER,
        laws.within(("ps",), _LEAST, math.inf),
    ),
)
BUDGETS: Mapping[str, Budget] = {budget.name: budget for budget in _TABLE}
