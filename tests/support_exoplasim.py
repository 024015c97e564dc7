"""What the tests of ExoPlaSim share: whether it is there, ten-day members, what they leave."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from netCDF4 import Dataset
from support import make_planet

from astrohpc.engines.base import Progress
from astrohpc.engines.exoplasim import Exoplasim, ExoplasimSettings
from astrohpc.outcome import Verdict
from astrohpc.planet import Planet

# The shortest that says something: ten days in one leg, two records of five days; 7 CPU seconds.
TEN_DAYS = {"run_days": 10.0, "leg_days": 10.0, "output_days": 5.0, "climate_days": 20.0}
# A time step of twelve hours under a strong star: it explodes within ten days, in a second.
EXPLOSIVE = {"timestep_min": 720.0, "run_days": 60.0}

installed = pytest.mark.skipif(
    importlib.util.find_spec("exoplasim") is None or shutil.which("gfortran") is None,
    reason="ExoPlaSim or gfortran is not installed: hpc/bootstrap.sh --exoplasim",
)


def explosive_planet() -> Planet:
    return make_planet(rotation_period="4 d", stellar_flux="4000 W/m2")


def settings(**changes: Any) -> ExoplasimSettings:
    return ExoplasimSettings(**{**TEN_DAYS, **changes})


def run(
    folder: Path, planet: Planet | None = None, /, **rest: Any
) -> tuple[Exoplasim, Verdict, list[Progress]]:
    """One attempt at a member in ``folder``; ``stop`` may be given, all else are settings."""
    folder.mkdir(parents=True, exist_ok=True)
    stop = rest.pop("stop", lambda: False)
    engine = Exoplasim(settings(**rest))
    seen: list[Progress] = []
    verdict = engine.run(planet or make_planet(), folder, stop=stop, report=seen.append)
    return engine, verdict, seen


def stop_in_leg(folder: Path, number: int) -> Any:
    """Say stop once the leg of this number, from 0, has written something."""

    def stop() -> bool:
        legs = sum(1 for _ in (folder / "model").glob("raw.*"))
        output = folder / "model" / "plasim_output"
        return legs == number and output.exists() and output.stat().st_size > 100_000

    return stop


def differing(one: Path, other: Path) -> list[str]:
    """Variables of two climates that are not the same to the bit."""
    with Dataset(one / "climate.nc") as left, Dataset(other / "climate.nc") as right:
        assert list(left.variables) == list(right.variables)
        return [n for n in left.variables if not np.array_equal(left[n][:], right[n][:])]


def global_mean(path: Path, name: str) -> float:
    """Area and time mean of a canonical variable."""
    with Dataset(path) as file:
        area = file["cell_area"][:]
        return float((file[name][:].mean(axis=0) * area).sum() / area.sum())
