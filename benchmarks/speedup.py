"""How much cheaper a surrogate's answer is than its GCM's, and after how many answers it has paid.

Takes an evaluation's folder (of ``launch evaluate``: its data, the fitted methods, what they cost and said of
the test planets, and the surrogate that is handed over) and the sweep that made the data. The GCM's bill is
every core-second of that sweep, spin-up, failed and repeated attempts included. All is held against the same
deliverable, the time-mean climatology of one planet, and also against solvers of equal error: shorter runs of
the GCM, the energy-balance model, and a look-up of the nearest planets.

    python benchmarks/speedup.py runs/NAME/evaluation --sweep runs/NAME --out benchmarks/results/speedup.json

The machine must be quiet, for a warm answer takes less than a millisecond.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import record
from speedup_parts import answers, solvers, tables

from astrohpc.climates.climates import Climates
from astrohpc.climates.split import Split, split
from astrohpc.climates.store import from_store
from astrohpc.emulate.methods import METHODS
from astrohpc.errors import ConfigError
from astrohpc.evaluate import bundle, job
from astrohpc.evaluate.answers import write_answer
from astrohpc.evaluate.fitted import Fitted, corrected, kept
from astrohpc.evaluate.metrics import score
from astrohpc.evaluate.surrogate import Asked
from astrohpc.slurm.client import NoCluster, SlurmClient
from astrohpc.slurm.usage import usage
from astrohpc.sweep import config as configs
from astrohpc.sweep.cost import sweep_cost
from astrohpc.sweep.folder import SweepFolder

YEAR_DAYS = 365.25
PRECISION = "Predictions are in double precision on the CPU, answers on disk in single."


def main() -> None:
    """Measure, print and keep."""
    given = _arguments()
    result = measured(given)
    text = tables.page(result)
    print(text)
    if given.out:
        record.write(given.out, result)
    if given.docs:
        record.into(given.docs, text)


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """Everything, as the tables need it."""
    about = record.provenance("numpy", "scipy", "scikit-learn", "torch")
    asked = job.Job.of(given.evaluation)
    settings = asked.settings
    climates = from_store(asked.data, settings.variables, unconverged=settings.unconverged)
    if "ts" not in climates.places:
        raise ConfigError(
            "ts: the data have no surface temperature, by which solvers are compared."
        )
    parts = split(climates, settings.split)
    sweep = SweepFolder(given.sweep or asked.data.parent)
    gcm = bill_of(sweep)
    fitted = methods_of(given.evaluation / job.METHODS)
    surrogate = bundle.read(given.evaluation / job.SURROGATE)
    surrogate.check_fits(climates)
    paid = {name: cost_of(one, dict(given.train_core_s)) for name, one in fitted.items()}
    found = {
        name: method(one, climates, parts, given) | {"cpu_s": paid[name]}
        for name, one in fitted.items()
    }
    own = f"{surrogate.name} as handed over"
    found[own] = handed_over(surrogate, climates, parts, fitted[surrogate.name], given)
    with tempfile.TemporaryDirectory() as work:
        test = climates.take(parts.test[:1])
        commands = {
            own: answers.predict_command(
                given.evaluation / job.SURROGATE, test.planets[0], Path(work)
            ),
            "look-up": answers.look_up_command(climates.take(parts.train), test, Path(work)),
        }
        begun = answers.cold(commands, given.cold)
    found[own]["cold"] = asdict(begun[own])
    if "neighbours" in found:
        found["neighbours"]["cold"] = asdict(begun["look-up"])
    chosen = fitted[surrogate.name]
    searched = chosen.cpu_s or 0.0
    bill = {
        "data_core_s": gcm["data_core_s"],
        "search_core_s": searched,
        "train_core_s": paid[surrogate.name] - searched,
    }
    return {
        "benchmark": "speedup",
        "provenance": about,
        "source": sweep.path.name,
        "mark": climates.mark,
        "planets": {name: len(one) for name, one in parts.parts.items()},
        "threads": len(os.sched_getaffinity(0)),
        "precision": PRECISION,
        "gcm": gcm,
        "surrogate": own,
        "bill": bill,
        "answers": found,
        "solvers": others(gcm, found, climates, parts, (own, surrogate.name)),
        "shorter": [asdict(one) for one in _shorter(sweep, climates, parts)],
    }


# ----------------------------------------------------------------------------- the GCM
def bill_of(sweep: SweepFolder) -> dict[str, Any]:
    """From its members' states, and from the cluster's accounts where there is a cluster."""
    cost = sweep_cost(sweep)
    config = configs.parse(configs.load(sweep.config))
    averaged_days = config.engine.get("climate_days")
    spin_up = None
    if averaged_days and cost.model_years:
        spin_up = 1.0 - cost.done * float(averaged_days) / YEAR_DAYS / cost.model_years
    cluster = None
    if config.site.scheduler == "slurm":
        try:
            cluster = asdict(usage(SlurmClient(), cost.jobs))
        except NoCluster:
            print(
                "there is no cluster here to ask for its accounts; the members' own states are taken"
            )
    return asdict(cost) | {
        "core_s": cost.core_s,
        "use": cost.use,
        # What is compared with a surrogate's processor time: the models', where they count it.
        "data_core_s": cost.core_s if np.isnan(cost.use) else cost.cpu_s,
        "charged_core_s": cost.core_s_a_climate if np.isnan(cost.use) else cost.cpu_s_a_climate,
        "core_s_a_climate": cost.core_s_a_climate,
        "cpu_s_a_climate": cost.cpu_s_a_climate,
        "spin_up": spin_up,
        "cluster": cluster,
    }


def _shorter(sweep: SweepFolder, climates: Climates, parts: Split) -> list[solvers.Solver]:
    try:
        return solvers.shorter_runs(sweep, climates.take(parts.test).names)
    except ConfigError as error:
        print(error)
        return []


# ----------------------------------------------------------------------------- surrogates
def methods_of(folder: Path) -> dict[str, Fitted]:
    """What an evaluation has fitted, by name."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        key = json.loads(path.read_text(encoding="utf-8"))["key"]
        one = kept(folder, key, path.stem)
        if one is not None:
            found[path.stem] = one
    return found


def cost_of(one: Fitted, told: dict[str, float]) -> float:
    """Core-seconds of search and fit, and of a training, which somebody must tell."""
    if one.cpu_s is None and one.name not in told:
        raise SystemExit(
            f"{one.name}: the evaluation does not know what its training took; write --train-core-s "
            f"{one.name}=SECONDS, of all its members and of the search for its settings."
        )
    return (one.cpu_s or 0.0) + told.get(one.name, 0.0)


def method(
    one: Fitted, climates: Climates, parts: Split, given: argparse.Namespace
) -> dict[str, Any]:
    """Its errors as the evaluation found them, and the latency of its bare prediction."""
    emulator = one.emulator
    train, test = climates.take(parts.train), climates.take(parts.test)
    if emulator is None and one.name in METHODS:
        emulator = METHODS[one.name](**one.settings).fit(
            train.scaled, np.asarray(train.values, np.float64), train.weights, 0
        )
    rows = test.scaled
    return _errors(one, climates, parts, ()) | {
        "warm": answers.warm(
            lambda size: emulator.predict(answers.repeated(rows, size)), given.batches, given.calls
        )
    }


def handed_over(
    surrogate: Any, climates: Climates, parts: Split, one: Fitted, given: argparse.Namespace
) -> dict[str, Any]:
    """The surrogate as people use it: its answer, and its answer with the file."""
    test = climates.take(parts.test)
    found = _errors(one, climates, parts, surrogate.projections)

    def asked(size: int) -> Asked:
        order = np.resize(np.arange(len(test)), size)
        some = test.take(order)
        return Asked(some.names, some.params, some.planets, ("",) * size)

    ready = {size: asked(size) for size in {1, *given.batches}}
    found["warm"] = answers.warm(
        lambda size: surrogate.answer(ready[size]), given.batches, given.calls
    )
    with tempfile.TemporaryDirectory() as work:
        target = Path(work) / "answer.nc"

        def whole() -> None:
            write_answer(target, surrogate, ready[1], surrogate.answer(ready[1]), {})

        found["with_file"] = asdict(answers.latency(whole, given.calls))
    return found


def _errors(one: Fitted, climates: Climates, parts: Split, projections: Any) -> dict[str, Any]:
    test = climates.take(parts.test)
    said = corrected(one.said["test"], test, projections)
    usual = climates.take(parts.train).values.mean(axis=0, dtype=np.float64)
    scores = score(test, said, usual)
    skills = [scores.value(variable.name, "skill") for variable in climates.variables]
    error_k = solvers.mean_ts(climates, said.mean) - solvers.mean_ts(climates, test.values)
    return {
        "ts_rms_k": solvers.rms(error_k),
        "skill": float(np.nanmean(skills)),
    }


def others(
    gcm: dict[str, Any],
    found: dict[str, Any],
    climates: Climates,
    parts: Split,
    itself: Sequence[str],
) -> list[dict[str, Any]]:
    """The GCM first, then whatever else answers the same question."""
    every = [solvers.Solver("the GCM, all attempts included", 0.0, gcm["charged_core_s"])]
    if not climates.mark:
        every += solvers.energy_balance(climates, parts, gcm["data_core_s"])
    every += [
        solvers.Solver(
            f"{name}, warm",
            one["ts_rms_k"],
            one["warm"]["one"]["core_s"],
            gcm["data_core_s"] + one["cpu_s"],
        )
        for name, one in found.items()
        if name not in itself
    ]
    return [asdict(one) for one in every]


# ----------------------------------------------------------------------------- the command line
def _seconds(text: str) -> tuple[str, float]:
    name, _, seconds = text.partition("=")
    return name, float(seconds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("evaluation", type=Path, help="a folder of 'launch evaluate'")
    parser.add_argument(
        "--sweep", type=Path, help="the sweep that made the data (default: the store's folder)"
    )
    parser.add_argument("--calls", type=int, default=200, help="warm answers that are timed")
    parser.add_argument("--cold", type=int, default=10, help="new processes that are timed")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 64, 512])
    parser.add_argument(
        "--train-core-s",
        type=_seconds,
        action="append",
        default=[],
        metavar="METHOD=SECONDS",
        help="core-seconds of a training that the evaluation did not do itself",
    )
    parser.add_argument("--out", type=Path, help="keep the result as JSON")
    parser.add_argument("--docs", type=Path, help="a page whose table is to be replaced")
    return parser.parse_args()


if __name__ == "__main__":
    main()
