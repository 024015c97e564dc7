"""The climate of a finished member as CF NetCDF, and the few numbers a table of worlds shows."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrohpc.constants import DAY_S, YEAR_S
from astrohpc.engines.canonical import Field, Grid, Output, TimeAxis, pairs, write_canonical
from astrohpc.engines.ebm_model import State, World, Year, energy_residual, has_converged, regime
from astrohpc.engines.variables import EBM
from astrohpc.kernels import ebm as kernel
from astrohpc.version import VERSION

Array = NDArray[np.float64]

_COMMENT = (
    "Idealised one-dimensional energy-balance model: one surface temperature a latitude band, "
    "diffusive transport, parameterised radiation; not a general circulation model."
)


def fields(world: World, year: Year) -> dict[str, Array]:
    """Means over each bin of the last cycle, by band; NaN where a run ended before a bin began."""
    steps = year.record[kernel.STEPS]
    with np.errstate(invalid="ignore"):
        mean = year.record[:5] / steps
    bins = world.bins
    # A phase lasts as long as any other, so a bin's light is their plain mean.
    light = world.planet.stellar_flux_wm2 * world.insolation.factor
    down = light.reshape(bins, -1, light.shape[1]).mean(axis=1) + 0.0 * steps
    down[steps == 0.0] = np.nan
    ice = mean[kernel.ICE]
    up = down - mean[kernel.ABSORBED]
    dark = np.nan_to_num(down) <= 1e-9
    return {
        "ts": mean[kernel.TEMP],
        "rsdt": down,
        "rsut": up,
        "rlut": mean[kernel.EMITTED],
        "ice": ice,
        "surface_albedo": world.bare_albedo + ice * (world.ice_albedo - world.bare_albedo),
        "planetary_albedo": np.where(dark, np.nan, up / np.where(dark, 1.0, down)),
        "heat_divergence": mean[kernel.EXPORT],
    }


def cycle_means(seasonal: dict[str, Array]) -> dict[str, Array]:
    """Means over the cycle by band; an albedo weighs each season by its light."""
    down = seasonal["rsdt"]
    lit = np.nansum(down, axis=0)
    means = {}
    for name, values in seasonal.items():
        known = ~np.isnan(values)
        if name.endswith("albedo"):
            weight = np.where(known, down, 0.0)
            total = np.nansum(np.where(known, values, 0.0) * weight, axis=0)
            means[name] = np.where(lit > 1e-9, total / np.where(lit > 1e-9, lit, 1.0), np.nan)
        else:
            count = known.sum(axis=0)
            total = np.where(known, values, 0.0).sum(axis=0)
            means[name] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return means


def summary(world: World, state: State, year: Year, cpu_s: float) -> dict[str, float | str]:
    """The few numbers of a finished member."""
    return {
        "surface_temperature_k": year.temp_k,
        "toa_balance_wm2": year.balance_wm2,
        "planetary_albedo": world.planetary_albedo(year.absorbed_wm2),
        "ice_fraction": year.ice,
        "converged": "true" if has_converged(world, state) else "false",
        "regime": regime(world, year),
        "model_years": float(state.years[0]) * world.year_s / YEAR_S,
        "cpu_s": cpu_s,
    }


def write_climate(
    path: Path, world: World, state: State, year: Year, numbers: dict[str, float | str]
) -> None:
    """Write the last cycle by season and as a mean; ``path`` appears complete or not at all."""
    seasonal = fields(world, year)
    means = cycle_means(seasonal)
    write_canonical(
        path,
        Output(
            planet=world.planet,
            engine="ebm",
            source=f"astrohpc EBM {VERSION}",
            title="Climate of an idealised planet",
            grid=_grid(world),
            time=_time(world),
            fields=[
                field
                for name in EBM
                for field in (
                    Field(name, seasonal[name]),
                    Field(name, means[name], whole_period=True),
                )
            ],
            attributes=_attributes(world, state, numbers),
        ),
    )


def _grid(world: World) -> Grid:
    return Grid(
        lat_deg=np.degrees(world.bands.center_rad),
        lat_edge_deg=np.degrees(world.bands.edge_rad),
        area_m2=4.0 * np.pi * world.planet.radius_m**2 * world.bands.weight,
        substellar_axis=world.planet.tidally_locked,
    )


def _time(world: World) -> TimeAxis:
    edge_d = np.linspace(0.0, world.cycle_s / DAY_S, world.bins + 1)
    return TimeAxis(
        values_d=0.5 * (edge_d[1:] + edge_d[:-1]),
        edges_d=pairs(edge_d),
        long_name="time since periapse in the last orbit" if world.bins > 1 else "time",
    )


def _attributes(
    world: World, state: State, numbers: dict[str, float | str]
) -> dict[str, float | str]:
    attributes: dict[str, float | str] = {"comment": _COMMENT}
    if world.planet.tidally_locked:
        attributes["coordinate_note"] = (
            "The planet is tidally locked: latitude is measured around the axis through the "
            "substellar point, which lies at +90 degrees."
        )
    attributes["energy_residual"] = energy_residual(world, state)
    # Without the time it took, a member gives the same content whenever and wherever it runs.
    return attributes | {name: value for name, value in numbers.items() if name != "cpu_s"}
