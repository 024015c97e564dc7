"""The laws that budgets check, each stated once, as formulas over integrals of the fields.

Every amount is a mean over the sphere, a square metre. The air's mass is pressure over gravity, as
hydrostatic balance has it, and ``ps`` is the air without vapour, as docs/variables.md says.
docs/conservation.md has the formulas on one page.
"""

import math
from typing import Any

from astrohpc.constants import HEAT_OF_EVAPORATION
from astrohpc.physics.integrals import Integrals, at, larger, like
from astrohpc.physics.law import Amount, Measure
from astrohpc.physics.worlds import Worlds


# ----------------------------------------------------------------------------- mass
def dry_mass(i: Integrals, w: Worlds) -> Amount:
    """The air's mass, by its surface pressure."""
    mass = i.area_mean("ps") / like(i.sums.x, w.gravity_ms2)
    return Amount(mass, mass)


def _vapour(i: Integrals, w: Worlds) -> Any:
    """Water vapour, kg m-2: the model's own mean, or the column's integral of humidity."""
    if "prw" in i.layout:
        return i.area_mean("prw")
    return i.mass("hus") / like(i.sums.x, w.gravity_ms2)


def column_water(i: Integrals, w: Worlds) -> Amount:
    """Vapour as the integral of humidity."""
    water = i.mass("hus") / like(i.sums.x, w.gravity_ms2)
    return Amount(water, water)


def total_mass(i: Integrals, w: Worlds) -> Amount:
    """Dry air and vapour."""
    mass = dry_mass(i, w).value + i.mass("hus") / like(i.sums.x, w.gravity_ms2)
    return Amount(mass, mass)


def water(i: Integrals, w: Worlds) -> Amount:
    """Evaporation less precipitation, which is what vapour grows by."""
    rain = i.area_mean("pr")
    known = "prw" in i.layout or ("hus" in i.layout and "ps" in i.layout)
    stored = _vapour(i, w) if known else None
    return Amount(i.area_mean("evspsbl") - rain, abs(rain), stored)


def water_column(i: Integrals, w: Worlds) -> Amount:
    """The model's own column of vapour, less the integral of humidity."""
    own = i.area_mean("prw")
    return Amount(own - i.mass("hus") / like(i.sums.x, w.gravity_ms2), own)


# ----------------------------------------------------------------------------- energy
def enthalpy(i: Integrals, w: Worlds) -> Amount:
    """c_p T of all air, with the heat capacity of dry air."""
    heat = i.mass("ta") * like(i.sums.x, w.heat_capacity_jkgk / w.gravity_ms2)
    return Amount(heat, heat)


def total_energy(i: Integrals, w: Worlds) -> Amount:
    """Of a hydrostatic column: its potential and internal energy are ∫ c_p T dp/g + Φ_s p_s/g."""
    gravity = like(i.sums.x, w.gravity_ms2)
    heat = enthalpy(i, w).value
    energy = heat + HEAT_OF_EVAPORATION * i.mass("hus") / gravity
    for wind in ("ua", "va"):
        if wind in i.layout and i.layout.block(wind).levels:
            energy = energy + 0.5 * i.mass(wind, squared=True) / gravity
    if "orog" in i.layout:
        energy = energy + i.weighted_by_pressure("orog")
    return Amount(energy, heat)


def moist_static_energy(i: Integrals, w: Worlds) -> Amount:
    """c_p T + g z + L q of all air."""
    heat = enthalpy(i, w).value
    latent = HEAT_OF_EVAPORATION * i.mass("hus") / like(i.sums.x, w.gravity_ms2)
    return Amount(heat + latent + i.mass("zg"), heat)


def toa_energy(i: Integrals, w: Worlds) -> Amount:
    """What the planet takes in and does not send out."""
    del w
    light = i.area_mean("rsdt")
    return Amount(light - i.area_mean("rsut") - i.area_mean("rlut"), light)


def _into_the_surface(i: Integrals) -> Any:
    radiation = (i.area_mean("rsds") - i.area_mean("rsus")) + (
        i.area_mean("rlds") - i.area_mean("rlus")
    )
    return radiation - i.area_mean("hfss") - i.area_mean("hfls")


def surface_energy(i: Integrals, w: Worlds) -> Amount:
    """Against the model's own word where the file has it; without it there is nothing to close."""
    del w
    heat = _into_the_surface(i)
    scale = i.area_mean("rsds") + i.area_mean("rlds")
    if "hfds" in i.layout:
        return Amount(heat - i.area_mean("hfds"), scale)
    return Amount(heat, scale, open=True)


def atmosphere_energy(i: Integrals, w: Worlds) -> Amount:
    """What enters at the top and not the ground, which the air's energy grows by."""
    top = toa_energy(i, w)
    known = all(name in i.layout for name in ("ta", "hus", "ps"))
    stored = total_energy(i, w).value if known else None
    return Amount(top.value - _into_the_surface(i), top.scale, stored)


# ----------------------------------------------------------------------------- motion
def _depth_by_row(i: Integrals) -> Any:
    """Sum over a row of the air's thickness in the layers, Pa, [S, J]."""
    pressure = i.sums.x[:, i.layout.slice("ps").start]
    columns = i.layout.grid.shape[1]
    return float(i.layout.da_pa.sum()) * columns + float(i.layout.db.sum()) * pressure


def meridional_mass_flux(i: Integrals, w: Worlds) -> Amount:
    """The mean northward wind of a row's air, where it is largest; relative to the rms of all air."""
    del w
    depth = _depth_by_row(i)
    rms = (i.mass("va", squared=True) / i.over_rows(depth)) ** 0.5
    mean = i.mass_by_row("va") / depth
    return Amount(at(mean, abs(mean).argmax(-1)[:, None]), rms, rows=mean)


def angular_momentum(i: Integrals, w: Worlds) -> Amount:
    """About the axis, with the planet's own spin; kg s-1 is kg m² s-1 a square metre."""
    arm = like(i.sums.x, i.layout.grid.arm)
    spin = like(i.sums.x, w.rotation_rate_rads * w.radius_m)
    outside = like(i.sums.x, w.radius_m / w.gravity_ms2)
    wind, wind2 = i.mass_by_row("ua"), i.mass_by_row("ua", squared=True)
    inertia = i.over_rows(arm * arm * _depth_by_row(i))
    value = outside * (i.over_rows(arm * wind) + spin * inertia)
    return Amount(value, outside * (abs(spin) * inertia + (i.over_rows(wind2) * inertia) ** 0.5))


# ----------------------------------------------------------------------------- what is possible
def within(names: tuple[str, ...], low: float, high: float) -> Measure:
    """How far the worst value lies outside; relative to what is furthest from nought."""

    def measure(i: Integrals, w: Worlds) -> Amount:
        del w
        over: Any = None
        size: Any = None
        for name in names:
            if name not in i.layout:
                continue
            lowest, highest = i.extremes(name)
            outside = larger(low - lowest, 0.0 * lowest)
            if math.isfinite(high):
                outside = larger(outside, highest - high)
            furthest = larger(abs(lowest), abs(highest))
            over = outside if over is None else larger(over, outside)
            size = furthest if size is None else larger(size, furthest)
        return Amount(over, size)

    return measure
