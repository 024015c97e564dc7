"""Run our energy-balance model on the FILLET cases and hold it against the published models.

    python docs/fillet.py --fillet FOLDER

FILLET (Deitrick et al. 2023, PSJ 4, 41; protocol 1.1: Barnes et al. 2025, PSJ 6, 298) compares
latitude-resolved energy-balance models. FOLDER holds their published tables. Prints the share of
our points between the lowest and the highest published model and draws ``docs/images/fillet.png``.
"""

import argparse
import itertools
import math
import multiprocessing
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrohpc.constants import DAY_S
from astrohpc.engines.ebm_model import (
    State,
    World,
    Year,
    build_world,
    has_converged,
    is_runaway,
    run_year,
)
from astrohpc.engines.ebm_output import cycle_means, fields
from astrohpc.engines.ebm_settings import EbmSettings
from astrohpc.planet import Planet

Array = NDArray[np.float64]

SOLAR_CONSTANT_WM2 = 1361.0  # FILLET's unit of instellation
RUNAWAY_MARK_K = 450.0  # what ESTM writes where it found a runaway greenhouse
SAME_CASE = 0.008  # models round instellation, POISE by 0.5 %; cases are at least 0.018 apart
OBLIQUITIES_DEG = tuple(range(0, 91, 10))

# Share of land in 10° zones of the Earth from south to north, for benchmark 1 alone.
EARTH_LAND = (
    *(1.0, 0.72, 0.10, 0.01, 0.03, 0.11, 0.23, 0.22, 0.24),
    *(0.23, 0.26, 0.38, 0.43, 0.52, 0.57, 0.71, 0.29, 0.06),
)
# What FILLET prescribes from benchmark 2 on: a quarter of land everywhere, albedos 0.3 and 0.2, no
# cloud, D = 0.5 W m-2 K-1; ice from -10 °C, where models look for the ice line. Ice of 0.6 is used
# as planetary albedo by the models without scattering gas; 0.575 is that under ours.
PRESCRIBED_DIFFUSION_WM2K = 0.5
PRESCRIBED = {
    "land_fraction": (0.25,),
    "land_albedo": (0.3, 0.3),
    "ocean_albedo": (0.2, 0.2),
    "ice_albedo": (0.575, 0.575),
    "cloud_scattering": (0.0, 0.0),
    "ice_full_k": 263.15,
    "ice_free_k": 273.15,
    "ocean_depth_m": 70.0,
}
# name: start, instellations
EXPERIMENTS = {
    "exp1": ("warm", [0.8 + 0.025 * i for i in range(19)]),
    "exp2": ("cold", [1.05 + 0.025 * i for i in range(19)]),
    "exp1a": ("warm", [(0.875 + 0.0125 * i) ** -2 for i in range(19)]),
    "exp2a": ("cold", [(0.8 + 0.0125 * i) ** -2 for i in range(15)]),
}
PROFILES = {"T": (1, "ts"), "surface albedo": (2, "surface_albedo")} | {
    "planetary albedo": (3, "planetary_albedo"),
    "OLR": (4, "rlut"),
}


@dataclass(frozen=True)
class Case:
    """One world of one experiment."""

    experiment: str
    instellation: float
    obliquity_deg: float


@dataclass(frozen=True)
class Panel:
    """Our points of one quantity, or of one obliquity, against the published spread."""

    name: str
    inside: int
    total: int
    runaway: int = 0  # ours without an equilibrium
    runaway_shared: int = 0  # of these, those for which a published model runs away too
    worst: float = 0.0  # farthest outside


def planet(instellation: float, obliquity_deg: float, *, eccentricity: float = 0.0) -> Planet:
    """FILLET's planet: Earth's size, spin and year with 280 ppm of CO2 in 1 bar."""
    return Planet(
        radius_m=6.371e6,
        gravity_ms2=9.81,
        rotation_period_s=86164.0,
        surface_pressure_pa=1e5,
        co2_fraction=280e-6,
        ch4_fraction=0.0,
        stellar_flux_wm2=SOLAR_CONSTANT_WM2 * instellation,
        stellar_temperature_k=5772.0,
        obliquity_rad=math.radians(obliquity_deg),
        eccentricity=eccentricity,
        longitude_of_periapse_rad=math.radians(283.0) if eccentricity else 0.0,
        orbital_period_s=365.25 * DAY_S,
    )


def settings(case: Case) -> EbmSettings:
    """Our defaults for benchmark 1, FILLET's prescription for all else."""
    if case.experiment == "ben1":
        return EbmSettings(land_fraction=EARTH_LAND)
    world = planet(1.0, 23.5)
    column = world.column_mass_kgm2 * world.heat_capacity_jkgk
    eddy_m2s = PRESCRIBED_DIFFUSION_WM2K * world.radius_m**2 / column
    slow_days = EbmSettings.slow_rotation_days
    spin = (slow_days * DAY_S / world.rotation_period_s) ** 2
    start = EXPERIMENTS[case.experiment][0] if case.experiment in EXPERIMENTS else "warm"
    return EbmSettings(
        start="cold" if start == "cold" else "warm",
        diffusivity_m2s=eddy_m2s * (1.0 + spin),
        slow_rotation_days=slow_days,
        **PRESCRIBED,  # type: ignore[arg-type]
    )


def settle(case: Case) -> tuple[World, Year]:
    """Run one case to its end."""
    eccentricity = 0.0167 if case.experiment == "ben1" else 0.0
    chosen = settings(case)
    world = build_world(
        planet(case.instellation, case.obliquity_deg, eccentricity=eccentricity), chosen
    )
    state = State.at_start(world)
    while True:
        year = run_year(world, state)
        over = has_converged(world, state) or state.years[0] >= chosen.max_years
        if over or is_runaway(year):
            return world, year


def global_temperature(case: Case) -> float:
    """Global mean surface temperature of a case, infinite for a runaway greenhouse."""
    _, year = settle(case)
    return math.inf if is_runaway(year) else year.temp_k


def run_experiments(names: Iterable[str], processes: int) -> dict[str, dict[Case, float]]:
    """Global mean temperatures of all cases of these experiments."""
    cases = [
        Case(name, instellation, float(obliquity))
        for name in names
        for instellation, obliquity in itertools.product(EXPERIMENTS[name][1], OBLIQUITIES_DEG)
    ]
    results: dict[str, dict[Case, float]] = {case.experiment: {} for case in cases}
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        found = pool.imap(global_temperature, cases, 5)
        for done, (case, temp_k) in enumerate(zip(cases, found, strict=True), start=1):
            results[case.experiment][case] = temp_k
            if sys.stderr.isatty():
                end = "\n" if done == len(cases) else ""
                print(f"\r{done} of {len(cases)} worlds", end=end, file=sys.stderr, flush=True)
    return results


def table(path: Path) -> Array:
    """Rows of a FILLET table; text, comments and cases that a model left out are skipped."""
    rows = []
    for line in path.read_text().splitlines():
        try:
            row = [float(word) for word in line.split("#")[0].split()]
        except ValueError:
            continue  # a heading without its comment sign
        if len(row) >= 5:
            rows.append(row[:5])
    return np.array(rows)


def published(fillet: Path, experiment: str) -> dict[str, Array]:
    """Tables of one benchmark or experiment by model: latitude profiles or global means."""
    pattern = "case_*/lat_output.dat" if experiment.startswith("ben") else "global_output.dat"
    found = {}
    for path in sorted(fillet.glob(f"*/{experiment}/{pattern}")):
        model = path.relative_to(fillet).parts[0]
        case = path.parent.name.removeprefix("case_") if "case" in path.parent.name else "0"
        found[model if case == "0" else f"{model} ({case})"] = table(path)
    return found


def compare_profiles(fillet: Path, experiment: str, world: World, year: Year) -> list[Panel]:
    """Our latitude profiles against the lowest and highest published one."""
    models = [rows[np.argsort(rows[:, 0])] for rows in published(fillet, experiment).values()]
    latitude = np.degrees(world.bands.center_rad)
    means = cycle_means(fields(world, year))
    panels = []
    for name, (at, ours) in PROFILES.items():
        spread = np.array([np.interp(latitude, rows[:, 0], rows[:, at]) for rows in models])
        values = means[ours]
        outside = np.maximum(spread.min(axis=0) - values, values - spread.max(axis=0))
        panels.append(
            Panel(
                f"{experiment} {name}",
                int((outside <= 0.0).sum()),
                len(values),
                worst=float(max(outside.max(), 0.0)),
            )
        )
    return panels


def compare_curves(fillet: Path, experiment: str, ours: dict[Case, float]) -> list[Panel]:
    """Our global means against the published ones of the same case, by obliquity."""
    models = published(fillet, experiment)
    panels = []
    for obliquity in OBLIQUITIES_DEG:
        inside = total = runaway = shared = 0
        worst = 0.0
        for case, temp_k in ours.items():
            if case.obliquity_deg != obliquity:
                continue
            spread = case_values(models, case)
            if math.isinf(temp_k):
                runaway += 1
                shared += RUNAWAY_MARK_K in spread
                continue
            known = [value for value in spread if value != RUNAWAY_MARK_K]
            if not known:
                continue
            outside = max(min(known) - temp_k, temp_k - max(known), 0.0)
            total += 1
            inside += outside == 0.0
            worst = max(worst, outside)
        panels.append(Panel(f"{experiment} {obliquity:2d}°", inside, total, runaway, shared, worst))
    return panels


def case_values(models: dict[str, Array], case: Case) -> list[float]:
    """What the models found for the same obliquity and nearly the same instellation."""
    values = []
    for rows in models.values():
        same = rows[np.abs(rows[:, 2] - case.obliquity_deg) < 0.01]
        if len(same):
            nearest = same[np.argmin(np.abs(same[:, 1] - case.instellation))]
            if abs(nearest[1] - case.instellation) < SAME_CASE:
                values.append(float(nearest[4]))
    return values


def draw(
    fillet: Path,
    path: Path,
    benchmarks: dict[str, tuple[World, Year]],
    experiments: dict[str, dict[Case, float]],
) -> None:
    """Latitude profiles of the benchmarks and temperature curves at four obliquities."""
    import matplotlib as mpl  # noqa: PLC0415 - only the figure needs it

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(4, 4, figsize=(13, 12), constrained_layout=True)
    for row, (experiment, (world, year)) in enumerate(benchmarks.items()):
        means = cycle_means(fields(world, year))
        for axis, (name, (at, ours)) in zip(axes[row], PROFILES.items(), strict=True):
            for rows in published(fillet, experiment).values():
                axis.plot(rows[:, 0], rows[:, at], color="0.65", linewidth=1)
            axis.plot(np.degrees(world.bands.center_rad), means[ours], color="C3", linewidth=2)
            axis.set(title=f"benchmark {experiment[-1]}: {name}", xlabel="latitude (°)")
    for row, experiment in enumerate(("exp1", "exp2"), start=2):
        models = published(fillet, experiment)
        for axis, obliquity in zip(axes[row], (0, 30, 60, 90), strict=True):
            for rows in models.values():
                same = rows[np.abs(rows[:, 2] - obliquity) < 0.01]
                same = same[np.argsort(same[:, 1])]
                axis.plot(same[:, 1], same[:, 4], color="0.65", linewidth=1)
            cases = {
                case.instellation: temp_k
                for case, temp_k in experiments[experiment].items()
                if case.obliquity_deg == obliquity
            }
            known = {s: t for s, t in cases.items() if math.isfinite(t)}
            gone = [s for s, t in cases.items() if math.isinf(t)]
            axis.plot(list(known), list(known.values()), "o-", color="C3", markersize=3)
            axis.plot(gone, [RUNAWAY_MARK_K] * len(gone), "^", color="C3", markersize=4)
            axis.set(
                title=f"experiment {experiment[-1]}: obliquity {obliquity}°",
                xlabel="instellation (1361 W m$^{-2}$)",
                ylim=(200, 460),
            )
    for axis in axes[:, 0]:
        axis.set_ylabel("temperature (K)")
    figure.suptitle(
        "astrohpc engine=ebm (red) and the published FILLET models (grey); "
        "triangles and 450 K: runaway greenhouse"
    )
    figure.savefig(path, dpi=70)
    plt.close(figure)


def main() -> None:
    """Run all cases, print the table, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fillet", type=Path, required=True, help="folder of published tables")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--image", type=Path, default=Path(__file__).parent / "images" / "fillet.png"
    )
    arguments = parser.parse_args()

    benchmarks = {name: settle(Case(name, 1.0, 23.5)) for name in ("ben1", "ben2")}
    experiments = run_experiments(EXPERIMENTS, arguments.processes)
    panels = [
        panel
        for name, (world, year) in benchmarks.items()
        for panel in compare_profiles(arguments.fillet, name, world, year)
    ]
    for name, ours in experiments.items():
        panels += compare_curves(arguments.fillet, name, ours)
    print(f"{'panel':24} inside     share  farthest outside  runaway (a published model too)")
    for panel in panels:
        share = f"{panel.inside / panel.total:7.1%}" if panel.total else "      –"
        runaway = f"{panel.runaway} ({panel.runaway_shared})" if panel.runaway else ""
        print(
            f"{panel.name:24} {panel.inside:3d}/{panel.total:3d}  {share}  "
            f"{panel.worst:16.3g}  {runaway}"
        )
    draw(arguments.fillet, arguments.image, benchmarks, experiments)
    print(f"drew {arguments.image}")


if __name__ == "__main__":
    main()
