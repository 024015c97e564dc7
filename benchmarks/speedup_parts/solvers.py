"""Other ways to the same answer: the energy-balance model, shorter runs of the GCM, and their errors.

They say no fields, so all are judged by the mean surface temperature of the sphere.
"""

import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from astrohpc.climates.climates import Climates
from astrohpc.climates.split import Split
from astrohpc.engines.load import load_engine
from astrohpc.evaluate.cost import Solver
from astrohpc.outcome import Outcome
from astrohpc.planet import Planet
from astrohpc.sweep.cost import shortened
from astrohpc.sweep.folder import SweepFolder


def mean_ts(climates: Climates, rows: Any) -> Any:
    """The sphere's mean surface temperature of rows, K."""
    return (
        rows[:, climates.places["ts"]].astype(np.float64) @ climates.weights[climates.places["ts"]]
    )


def rms(values: Any) -> float:
    """Root of the mean square."""
    return math.sqrt(float(np.mean(np.square(values))))


def shorter_runs(folder: SweepFolder, names: tuple[str, ...]) -> list[Solver]:
    """The same model, stopped early: its error is against its own end."""
    return [
        Solver(f"the GCM for {one.model_years:.2f} years", one.rms_k, one.core_s)
        for one in shortened(folder, names)
    ]


def energy_balance(climates: Climates, parts: Split, bill_core_s: float) -> list[Solver]:
    """As it comes, and with a line learned from the planets trained on, which needs their climates."""
    truth = mean_ts(climates, climates.values)
    said = np.full(len(climates), np.nan)
    took = []
    engine = load_engine({"name": "ebm"})
    engine.prepare()
    chosen = np.concatenate([parts.train, parts.test])
    for i in chosen:
        began = time.process_time()
        said[i] = _one(engine, climates.planets[i])
        took.append(time.process_time() - began)
    known = [part[np.isfinite(said[part])] for part in (parts.train, parts.test)]
    train, test = known
    if len(train) < 3 or not len(test):
        return []
    slope, offset = np.polyfit(said[train], truth[train], 1)
    core_s = float(np.mean(took))
    return [
        Solver("energy-balance model", rms(said[test] - truth[test]), core_s),
        Solver(
            "energy-balance model, and a line through the planets trained on",
            rms(slope * said[test] + offset - truth[test]),
            core_s,
            bill_core_s + core_s * len(train),
        ),
    ]


def _one(engine: Any, planet: Planet) -> float:
    """Its mean surface temperature; not a number where it does not go so far."""
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        verdict = engine.run(planet, where, stop=lambda: False, report=lambda _: None)
        if verdict.outcome is not Outcome.DONE:
            return math.nan
        return float(engine.summary(where)["surface_temperature_k"])
