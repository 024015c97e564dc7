"""What tests share: a clock of their own, one known planet, the command line as people use it."""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrohpc.planet import Planet

REPOSITORY = Path(__file__).resolve().parents[1]


class FakeClock:
    """Time that passes only when a test says so."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def make_planet(**changes: object) -> Planet:
    """An Earth-like planet with a year; a test changes what it is about."""
    values: dict[str, object] = {
        "radius": "6371 km",
        "gravity": "9.81 m/s2",
        "rotation_period": "1 d",
        "surface_pressure": "1 bar",
        "co2": "280 ppm",
        "ch4": 0,
        "stellar_flux": "1361 W/m2",
        "stellar_temperature": "5772 K",
        "orbital_period": "365.25 d",
    }
    return Planet.from_config({**values, **changes})


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


class Launcher:
    """``python -m astrohpc.launch`` in a folder of its own."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "ASTROHPC_RUNS": str(folder / "runs"),
            **(environment or {}),
        }

    def __call__(self, *words: str, timeout: float = 300, **environment: str) -> Said:
        done = subprocess.run(
            self.command(words),
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(words),
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @staticmethod
    def command(words: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "astrohpc.launch", *words]

    def sweep_folder(self, name: str = "demo") -> Path:
        return self.folder / "runs" / name


# A member that takes long, about 20 model years a second, and with an ocean of ten kilometres is nowhere
# near equilibrium before its last year.
SLOW = (
    "engine.bands=720",
    "engine.ocean_depth_m=10000",
    "engine.step_days=0.25",
    "engine.tolerance_wm2=1e-8",
    "engine.tolerance_k=1e-8",
    "site.heartbeat_s=0.5",
    "allocation.members_per_task=1",
)


def until(condition: Callable[[], object], what: str, seconds: float = 400) -> None:
    """Wait for a condition on the wall clock."""
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, f"{what} did not come about within {seconds:.0f} s"
        time.sleep(0.1)


def states(folder: Path) -> dict[int, dict[str, Any]]:
    """Every member's state.json, by index."""
    found = {}
    for path in folder.glob("members/*/*/state.json"):
        state = json.loads(path.read_text())
        found[state["index"]] = state
    return found


def outcomes(folder: Path) -> dict[int, list[str]]:
    """How every attempt at every member ended."""
    return {i: [a["outcome"] for a in s["attempts"]] for i, s in states(folder).items()}


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    """The ledger's events of one kind."""
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == name]


def rows(folder: Path) -> list[dict[str, str]]:
    """The rows of members.tsv."""
    return list(csv.DictReader((folder / "members.tsv").read_text().splitlines(), delimiter="\t"))
