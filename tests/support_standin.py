"""ROCKE-3D members for tests: a deck, its input data, and a stand-in executable of our own.

No test here runs ModelE: :mod:`standins.modele` is a program of ours that speaks its file contract.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support import REPOSITORY, make_planet
from support_rocke3d import DECK

from astrohpc.engines.base import Progress
from astrohpc.engines.load import load_engine
from astrohpc.engines.rocke3d.engine import Rocke3d
from astrohpc.engines.rocke3d.series import Row, read_rows
from astrohpc.outcome import Verdict
from astrohpc.planet import Planet

STANDIN = REPOSITORY / "tests" / "standins" / "modele.py"
BUILD = [sys.executable, str(STANDIN), "--build", "{deck}", "{planet_params}", "{executable}"]
PLANET = make_planet(
    radius="5000 km",
    gravity="7 m/s2",
    surface_pressure="800 hPa",
    stellar_flux="1000 W/m2",
    rotation_period="1 d",
    orbital_period="361 d",
)


def write_deck(folder: Path, text: str = DECK) -> Path:
    """The toy deck with its input data beside it."""
    folder.mkdir(exist_ok=True)
    for name in ("start.nc", "gases.txt", "GHG.AllOnes.txt"):
        (folder / name).write_text("nothing is read from it")
    path = folder / "toy.R"
    path.write_text(text)
    return path


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Settings under which the stand-in comes to rest within seconds."""
    inputs = folder / "inputs"
    return {
        "name": "rocke3d",
        "deck": str(write_deck(inputs)),
        "source": "stand-in 1",
        "executables": str(folder / "executables"),
        "build": BUILD,
        "input_files": str(inputs),
        "radiation": {
            "solar_spec_dir": "/s",
            "spectral_dir": "/r",
            "spectral_file_lw": "lw",
            "spectral_file_sw": "sw",
        },
        "max_years": 6.0,
        "min_years": 1.0,
        "mean_years": 1.0,
        "leg_years": 2.0,
        "tolerance_k": 0.1,
        "restart_months": 1,
        "poll_seconds": 0.05,
        "stop_seconds": 30.0,
        "lock_seconds": 2.0,
        **changes,
    }


@dataclass
class House:
    """A folder for executables, input data and members, and an engine over it."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    reports: list[Progress] = field(default_factory=list)

    def engine(self, **changes: Any) -> Rocke3d:
        engine = load_engine(settings(self.folder, **changes))
        assert isinstance(engine, Rocke3d)
        return engine

    def built(self, planet: Planet = PLANET, **changes: Any) -> Rocke3d:
        engine = self.engine(**changes)
        engine.build(planet, lambda _text: None)
        return engine

    def member(self, name: str = "member") -> Path:
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path

    def misbehave(self, **switches: Any) -> None:
        self.monkeypatch.setenv("ASTROHPC_STANDIN", json.dumps(switches))

    def run(
        self,
        engine: Rocke3d,
        name: str = "member",
        *,
        planet: Planet = PLANET,
        until: Callable[[list[Row]], bool] = lambda _rows: False,
    ) -> Verdict:
        """One attempt, which is asked to stop once its rows are ``until``."""
        where = self.member(name)
        return engine.run(
            planet,
            where,
            stop=lambda: until(read_rows(where)),
            report=self.reports.append,
        )
