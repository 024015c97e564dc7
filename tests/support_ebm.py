"""What the tests of the energy-balance model share: worlds, one attempt, a comparison of climates."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray

from astrohpc.engines import record
from astrohpc.engines.base import Progress
from astrohpc.engines.ebm import Ebm, EbmSettings
from astrohpc.engines.ebm_model import (
    State,
    World,
    Year,
    build_world,
    has_converged,
    is_runaway,
    run_year,
)
from astrohpc.outcome import Verdict
from astrohpc.planet import Planet

SEASONS = {"obliquity": "23.44 deg", "eccentricity": 0.0167, "longitude_of_periapse": "283 deg"}
LOCKED = {"tidally_locked": True, "rotation_period": "11 d", "orbital_period": None}
DWARF = LOCKED | {"stellar_temperature": "2600 K", "stellar_flux": "900 W/m2"}


def never() -> bool:
    return False


def ignore(_progress: Progress) -> None:
    pass


def stop_after(calls: int) -> Callable[[], bool]:
    left = iter(range(calls))
    return lambda: next(left, None) is None


def run(
    folder: Path, planet: Planet, settings: EbmSettings | None = None, **rest: Any
) -> tuple[Ebm, Verdict]:
    folder.mkdir(exist_ok=True)
    engine = Ebm(settings or EbmSettings(), clock=rest.pop("clock", None))
    verdict = engine.run(
        planet, folder, stop=rest.pop("stop", never), report=rest.pop("report", ignore)
    )
    return engine, verdict


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def same_climate(one: Path, other: Path) -> bool:
    """Whether two climates hold the same bits; HDF5 alone adds the second it was written."""
    with (
        xarray.open_dataset(one / record.CLIMATE) as left,
        xarray.open_dataset(other / record.CLIMATE) as right,
    ):
        return left.identical(right)


def settle(planet: Planet, settings: EbmSettings) -> tuple[World, State, Year]:
    world = build_world(planet, settings)
    state = State.at_start(world)
    while True:
        year = run_year(world, state)
        if has_converged(world, state) or is_runaway(year) or year.status:
            return world, state, year
