"""The energy-balance model itself: a planet as arrays, its state, and one reporting year at a time.

Nothing here touches a file; :mod:`astrohpc.engines.ebm` does.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from astrohpc.constants import DAY_S, YEAR_S
from astrohpc.engines.ebm_settings import EbmSettings
from astrohpc.kernels import ebm as kernel
from astrohpc.physics.albedo import planetary_albedo
from astrohpc.physics.greenhouse import column
from astrohpc.physics.grid import Bands
from astrohpc.physics.orbit import Insolation, locked_insolation, seasonal_insolation
from astrohpc.physics.spectrum import band_average
from astrohpc.physics.transport import diffusion_wm2k
from astrohpc.planet import Planet

Array = NDArray[np.float64]

# Here water vapour weighs as much as the air of a bar; a planet that still warms is a runaway greenhouse.
WARMEST_MEAN_K = 375.0
START_K = {"warm": 300.0, "cold": 220.0}
BALANCE_YEARS = 5  # reporting years over which balance and drift are judged

_LAND_HEAT_JM2K = 1e7  # the few metres of ground that follow a season
_WATER_HEAT_JM3K = 4.1e6
_BINS = 12
_PHASES = (24, 360)  # spans of light an orbit, at least and at most; both hold 12 bins evenly


@dataclass(frozen=True)
class World:
    """A planet and the settings of a run, as the arrays that the kernel steps through."""

    planet: Planet
    settings: EbmSettings
    bands: Bands
    insolation: Insolation
    bare_albedo: Array  # of the surface, by band
    ice_albedo: float
    light_bare: Array
    light_icy: Array
    heat_capacity: Array
    conductance: Array
    column: kernel.Column
    step_s: float
    steps_a_phase: int
    cycles: int

    @property
    def cycle_s(self) -> float:
        """Length of one cycle of light: the orbit, where there are seasons."""
        return self.step_s * self.steps_a_phase * len(self.light_bare)

    @property
    def year_s(self) -> float:
        """Length of a reporting year: as many whole cycles as come closest to a Julian year."""
        return self.cycle_s * self.cycles

    @property
    def mean_light_wm2(self) -> float:
        """Starlight on the planet, averaged over the sphere and the cycle."""
        return self.planet.stellar_flux_wm2 * float(
            np.mean(self.insolation.factor @ self.bands.weight)
        )

    def planetary_albedo(self, absorbed_wm2: float) -> float:
        """Share of the mean starlight that is not absorbed."""
        return 1.0 - absorbed_wm2 / self.mean_light_wm2

    @property
    def bins(self) -> int:
        """Spans into which a cycle is recorded."""
        return _BINS if self.planet.has_seasons else 1


def build_world(planet: Planet, settings: EbmSettings) -> World:
    """Work out everything that stays the same during a run."""
    bands = Bands.uniform(settings.bands)
    land = land_by_band(bands, settings.land_fraction)
    step_s = settings.step_days * DAY_S
    if planet.has_seasons:
        assert planet.orbital_period_s is not None
        cycle_s, (least, most) = planet.orbital_period_s, _PHASES
        phases = min(most, max(least, _BINS * math.ceil(cycle_s / (_BINS * step_s))))
        insolation = seasonal_insolation(
            bands,
            phases,
            obliquity_rad=planet.obliquity_rad,
            eccentricity=planet.eccentricity,
            longitude_of_periapse_rad=planet.longitude_of_periapse_rad,
        )
        cycles = max(1, round(YEAR_S / cycle_s))
    else:
        cycle_s, phases, cycles = YEAR_S, 1, 1
        insolation = (
            locked_insolation(bands)
            if planet.tidally_locked
            else seasonal_insolation(
                bands, 1, obliquity_rad=0.0, eccentricity=0.0, longitude_of_periapse_rad=0.0
            )
        )
    steps_a_phase = math.ceil(cycle_s / phases / step_s)

    light = planet.stellar_flux_wm2 * insolation.factor
    # Cloud over ice is that over land: cold air and frozen ground hold little water.
    dry_cloud, wet_cloud = settings.cloud_scattering
    over_land, over_ocean, over_ice = (
        planetary_albedo(planet, insolation.cosine, surface, cloud)
        for surface, cloud in (
            (settings.land_albedo, dry_cloud),
            (settings.ocean_albedo, wet_cloud),
            (settings.ice_albedo, dry_cloud),
        )
    )
    star_k = planet.stellar_temperature_k
    return World(
        planet=planet,
        settings=settings,
        bands=bands,
        insolation=insolation,
        bare_albedo=land * band_average(star_k, settings.land_albedo)
        + (1.0 - land) * band_average(star_k, settings.ocean_albedo),
        ice_albedo=band_average(star_k, settings.ice_albedo),
        light_bare=light * (1.0 - land * over_land - (1.0 - land) * over_ocean),
        light_icy=light * (1.0 - over_ice),
        heat_capacity=land * _LAND_HEAT_JM2K
        + (1.0 - land) * _WATER_HEAT_JM3K * settings.ocean_depth_m
        + planet.column_mass_kgm2 * planet.heat_capacity_jkgk,
        conductance=bands.conductance(
            diffusion_wm2k(planet, settings.diffusivity_m2s, settings.slow_rotation_days)
        ),
        column=column(planet, settings.moist_limit_wm2, settings.ice_full_k, settings.ice_free_k),
        step_s=cycle_s / phases / steps_a_phase,
        steps_a_phase=steps_a_phase,
        cycles=cycles,
    )


def compile_kernel() -> None:
    """Take one year of a small world, so that Numba has compiled and cached what runs it."""
    planet = Planet(
        radius_m=6e6,
        gravity_ms2=10.0,
        rotation_period_s=1e5,
        surface_pressure_pa=1e5,
        co2_fraction=0.0,
        ch4_fraction=0.0,
        stellar_flux_wm2=1000.0,
        stellar_temperature_k=5000.0,
    )
    world = build_world(planet, EbmSettings(bands=6, step_days=100.0))
    run_year(world, State.at_start(world))


def land_by_band(bands: Bands, fractions: tuple[float, ...]) -> Array:
    """Share of land in each band, from shares in equal latitude zones from south to north."""
    zone = np.sin(np.linspace(-0.5 * np.pi, 0.5 * np.pi, len(fractions) + 1))
    area = np.concatenate([[0.0], np.cumsum(np.diff(zone) * np.array(fractions))])
    land: Array = np.diff(np.interp(np.sin(bands.edge_rad), zone, area)) / (2.0 * bands.weight)
    return np.clip(land, 0.0, 1.0)


@dataclass
class State:
    """All that a run carries from one reporting year to the next, and a restart keeps."""

    temp_k: Array
    change_k: Array
    turns: Array
    totals: Array  # absorbed and emitted J m-2 since the start, each with its compensation
    start_heat_jm2: Array  # one number
    past_balance_wm2: Array  # of the last years, newest last
    past_temp_k: Array
    years: Array  # one number: reporting years done

    @classmethod
    def at_start(cls, world: World) -> "State":
        """The same temperature everywhere."""
        temp_k = np.full(world.settings.bands, START_K[world.settings.start])
        return cls(
            temp_k=temp_k,
            change_k=np.zeros_like(temp_k),
            turns=np.zeros_like(temp_k),
            totals=np.zeros(4),
            start_heat_jm2=np.array([_heat_content(world, temp_k)]),
            past_balance_wm2=np.full(BALANCE_YEARS, np.nan),
            past_temp_k=np.full(BALANCE_YEARS + 1, np.nan),
            years=np.zeros(1),
        )


@dataclass(frozen=True)
class Year:
    """Means of one reporting year, and the record of its last cycle."""

    status: int
    absorbed_wm2: float
    emitted_wm2: float
    temp_k: float
    ice: float
    record: Array = field(repr=False)

    @property
    def balance_wm2(self) -> float:
        """What the planet gains."""
        return self.absorbed_wm2 - self.emitted_wm2


def run_year(world: World, state: State) -> Year:
    """Advance ``state`` by one reporting year."""
    record = np.zeros((6, world.bins, world.settings.bands))
    status, means = kernel.advance(
        state.temp_k,
        state.change_k,
        state.turns,
        state.totals,
        record,
        world.heat_capacity,
        world.bands.weight,
        world.conductance,
        world.light_bare,
        world.light_icy,
        world.column,
        world.step_s,
        world.steps_a_phase,
        world.cycles,
    )
    absorbed, emitted, temp_k, ice = (float(mean) for mean in means)
    year = Year(int(status), absorbed, emitted, temp_k, ice, record)
    state.years += 1
    for past, value in (
        (state.past_balance_wm2, year.balance_wm2),
        (state.past_temp_k, world.bands.mean(state.temp_k)),
    ):
        past[:-1] = past[1:]
        past[-1] = value
    return year


def has_converged(world: World, state: State) -> bool:
    """Whether the last years were balanced and without drift."""
    if state.years[0] < BALANCE_YEARS + 1:
        return False
    span_years = BALANCE_YEARS * world.year_s / YEAR_S
    balance_wm2 = abs(float(np.mean(state.past_balance_wm2)))
    drift_k = abs(float(state.past_temp_k[-1] - state.past_temp_k[0])) / span_years
    return balance_wm2 < world.settings.tolerance_wm2 and drift_k < world.settings.tolerance_k


def is_runaway(year: Year) -> bool:
    """Whether the planet is warmer than the model reaches and still gains energy."""
    return year.status == kernel.TOO_HOT or (
        year.temp_k > WARMEST_MEAN_K and year.balance_wm2 > 0.0
    )


def energy_residual(world: World, state: State) -> float:
    """Energy that appeared or vanished since the start, as a share of what was absorbed."""
    absorbed, emitted = state.totals[0] + state.totals[1], state.totals[2] + state.totals[3]
    gained = _heat_content(world, state.temp_k) - float(state.start_heat_jm2[0])
    return float(gained - (absorbed - emitted)) / max(float(absorbed), 1.0)


def regime(world: World, year: Year) -> str:
    """The climate in a word, from the mean ice cover of the last cycle."""
    if is_runaway(year):
        return "runaway"
    steps = year.record[kernel.STEPS].sum(axis=0)
    ice = year.record[kernel.ICE].sum(axis=0) / steps
    share = world.bands.mean(ice)
    if share > 0.99:
        return "snowball"
    if share < 0.01:
        return "ice_free"
    if world.planet.tidally_locked:
        return "eyeball"
    sine = np.abs(np.sin(world.bands.center_rad))
    return "ice_belt" if ice[sine < 0.5].mean() > ice[sine >= 0.5].mean() else "ice_caps"


def _heat_content(world: World, temp_k: Array) -> float:
    return math.fsum(world.bands.weight * world.heat_capacity * temp_k)
