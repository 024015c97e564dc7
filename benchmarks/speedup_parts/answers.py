"""What an answer takes: in a new process, in one that is warm, and for many planets at once."""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astrohpc.climates.climates import Climates
from astrohpc.evaluate.cost import latency
from astrohpc.planet import PARAMETERS, Planet
from astrohpc.train.energy import NOT_MEASURED, energy_of

_ANSWERED = (0, 3)  # the latter: answered, and flagged as outside of the domain
# A look-up table without this package: the least that a new process can do with the same climates.
LOOK_UP = """
import sys
import numpy as np
table, asked, target = sys.argv[1:]
with np.load(table) as known:
    inputs, values = known["inputs"], known["values"]
nearest = np.argsort(((inputs - np.load(asked)) ** 2).sum(1))[:3]
np.save(target, values[nearest].mean(0))
"""


@dataclass(frozen=True)
class Cold:
    """A process from its start to its answer on disk; files are in the page cache."""

    wall_s: float  # medians
    core_s: float
    runs: int


def cold(commands: dict[str, Sequence[str]], repeats: int) -> dict[str, Cold]:
    """Of each command, in turn: A B A B; the first round warms the page cache and is not counted."""
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for k in range(repeats + 1):
        for name, command in commands.items():
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            wall_s = time.perf_counter() - began
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if done.returncode not in _ANSWERED:
                raise SystemExit(f"{name}: {' '.join(command)} failed:\n{done.stderr}")
            core_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            if k:
                seen[name].append((wall_s, core_s))
    return {
        name: Cold(*(statistics.median(part) for part in zip(*rows, strict=True)), len(rows))
        for name, rows in seen.items()
    }


def predict_command(folder: Path, planet: Planet, work: Path) -> list[str]:
    """As a user asks it: a planet in a file, a NetCDF file with intervals as the answer."""
    asked = work / "planet.yaml"
    lines = []
    for name, parameter in PARAMETERS.items():
        value = getattr(planet, parameter.field)
        derived = name == "mass" or (planet.tidally_locked and name == "orbital_period")
        if not derived and value is not None:
            lines.append(f"{name}: {value!r} {parameter.unit}".rstrip())
    asked.write_text("\n".join([*lines, f"tidally_locked: {str(planet.tidally_locked).lower()}"]))
    launch = [sys.executable, "-m", "astrohpc.launch", "predict"]
    return [*launch, str(asked), str(folder), "-o", str(work / "answer.nc")]


def look_up_command(train: Climates, asked: Climates, work: Path) -> list[str]:
    """The nearest three planets of a table, in numpy."""
    np.savez(work / "table.npz", inputs=train.scaled, values=train.values)
    np.save(work / "asked.npy", asked.scaled[0])
    files = ("table.npz", "asked.npy", "answer.npy")
    return [sys.executable, "-c", LOOK_UP, *(str(work / name) for name in files)]


def warm(ask: Callable[[int], object], batches: Sequence[int], calls: int) -> dict[str, Any]:
    """Latencies of one question, and what a planet takes where many are asked at once."""
    one = latency(lambda: ask(1), calls)
    by_batch = {}
    for size in batches:
        found = latency(lambda size=size: ask(size), max(3, calls // size))  # type: ignore[misc]
        by_batch[str(size)] = {
            "s_a_planet": found.median_s / size,
            "core_s_a_planet": found.core_s / size,
        }
    best = min(by_batch, key=lambda size: by_batch[size]["core_s_a_planet"])
    return {
        "one": asdict(one),
        "batches": by_batch,
        "energy": joules(lambda: ask(int(best)), int(best), calls),
    }


def joules(ask: Callable[[], object], planets: int, calls: int) -> dict[str, Any]:
    """Energy of an answer, of the whole node, where something measures it."""
    import torch

    measured = energy_of(torch.device("cpu"), 0)
    if measured.method == NOT_MEASURED:
        return {"method": NOT_MEASURED, "joules_a_planet": None}
    rounds = max(3, calls // planets)
    for _ in range(rounds):
        ask()
    return {
        "method": measured.method,
        "joules_a_planet": measured.joules() / (rounds * planets),
    }


def repeated(scaled: Any, size: int) -> Any:
    """As many planets as asked for, the test planets over and over."""
    return np.resize(scaled, (size, scaled.shape[1]))
