"""What the climates of a sweep have cost: core-seconds of every attempt, failed and repeated ones as well.

Two accounts, because each tells what the other cannot. The members' own states say when each attempt began
and ended, which times its cores is what it kept busy or blocked; and models count the processor time of
the climates that they finished. Where a cluster keeps accounts, :mod:`astrohpc.slurm.usage` reads them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from astrohpc.clock import Clock, SystemClock
from astrohpc.engines.series import read_rows
from astrohpc.errors import ConfigError
from astrohpc.outcome import Outcome
from astrohpc.slurm.request import Allocation
from astrohpc.sweep import config as configs
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.ledger import Ledger
from astrohpc.sweep.members import read_table
from astrohpc.sweep.state import Attempt, Damaged, State, read


@dataclass(frozen=True, kw_only=True)
class SweepCost:
    """Core-seconds by what became of them. Spin-up is in all of them: models start from a state of rest."""

    sweep: str
    jobs: tuple[str, ...]  # that the scheduler ran for it
    cores: int  # of one attempt
    members: int
    done: int
    settled: int  # of those done; the others ran out of model years
    unfinished: int  # ended otherwise than done, and nobody is at work on them
    attempts: int
    finishing_core_s: float  # attempts that ended done
    repeated_core_s: float  # of members that are done: their attempts before the last
    unfinished_core_s: (
        float  # of members that are not done, and not running: they failed, or wait to go on
    )
    running_core_s: float
    counted: int  # members done whose model counted its processor time
    counted_cpu_s: float  # what it counted
    counted_core_s: float  # and what their attempts took
    model_years: float  # of members done
    untold: int  # members whose state cannot be read: what they took is missing here

    @property
    def core_s(self) -> float:
        """All of it."""
        return (
            self.finishing_core_s
            + self.repeated_core_s
            + self.unfinished_core_s
            + self.running_core_s
        )

    @property
    def use(self) -> float:
        """Of the core-seconds taken, the share that models computed in; NaN where none counts.

        Far below one, the cores waited, for other work on the machine above all.
        """
        return self.counted_cpu_s / self.counted_core_s if self.counted_core_s > 0 else math.nan

    @property
    def cpu_s(self) -> float:
        """Processor time of all attempts, those that failed at the rate of those that counted."""
        return self.core_s * self.use

    @property
    def core_s_a_climate(self) -> float:
        """All core-seconds over the climates that came of them."""
        return self.core_s / self.done if self.done else math.inf

    @property
    def cpu_s_a_climate(self) -> float:
        """The same of processor time; NaN where no model counted."""
        return self.cpu_s / self.done if self.done else math.inf


def sweep_cost(folder: SweepFolder, clock: Clock | None = None) -> SweepCost:
    """The bill of a sweep so far, from its files alone."""
    config = configs.parse(configs.load(folder.config))
    cores = _cores(config.allocation)
    book = Ledger(folder.ledger, clock or SystemClock()).fold()
    spent = dict.fromkeys(("finishing", "repeated", "unfinished", "running"), 0.0)
    counts = dict.fromkeys(("done", "settled", "unfinished", "attempts", "counted", "untold"), 0)
    cpu_s = cpu_core_s = years = 0.0
    members = read_table(folder.table)
    for member in members:
        state = read(folder.member(member.id))
        if isinstance(state, Damaged):
            counts["untold"] += 1
        if not isinstance(state, State) or state.last is None:
            continue
        took = [cores * _took_s(one, state.updated) for one in state.attempts]
        counts["attempts"] += len(took)
        if state.outcome == Outcome.DONE:
            counts["done"] += 1
            counts["settled"] += str(state.summary.get("converged", "true")) != "false"
            spent["finishing"] += took[-1]
            spent["repeated"] += sum(took[:-1])
            years += _number(state.summary.get("model_years"))
            counted_s = _number(state.summary.get("cpu_s"))
            if counted_s > 0:
                counts["counted"] += 1
                cpu_s += counted_s
                cpu_core_s += sum(took)
        elif state.last.running:
            spent["running"] += sum(took)
        else:
            counts["unfinished"] += 1
            spent["unfinished"] += sum(took)
    return SweepCost(
        sweep=folder.path.name,
        jobs=tuple(one.job for one in book.submissions.values() if one.job is not None),
        cores=cores,
        members=len(members),
        done=counts["done"],
        settled=counts["settled"],
        unfinished=counts["unfinished"],
        attempts=counts["attempts"],
        finishing_core_s=spent["finishing"],
        repeated_core_s=spent["repeated"],
        unfinished_core_s=spent["unfinished"],
        running_core_s=spent["running"],
        counted=counts["counted"],
        counted_cpu_s=cpu_s,
        counted_core_s=cpu_core_s,
        model_years=years,
        untold=counts["untold"],
    )


@dataclass(frozen=True)
class Shortened:
    """Runs that stop early: how far their last word is from the settled climate, and what they cost."""

    model_years: float
    rms_k: float  # of the global mean surface temperature, over members
    core_s: float  # mean over members


def shortened(folder: SweepFolder, members: Sequence[str]) -> list[Shortened]:
    """What these members would have said and cost, had they ended with each of their first lines.

    Their series tell, so it is the sphere's mean temperature alone that is judged. A member that ends
    before others counts with its own end and its whole cost.
    """
    ways = [way for name in members if (way := _way(folder.member(name))) is not None]
    if not ways:
        raise ConfigError(
            f"{folder.path.name}: none of its members has a series and a processor time; what shorter runs "
            "cost cannot be told."
        )
    times = sorted({year for years, _, _ in ways for year in years})
    found = []
    for time in times:
        errors, costs = [], []
        for years, temps_k, cpu_s in ways:
            line = max((k for k, year in enumerate(years) if year <= time + 1e-9), default=0)
            errors.append(temps_k[line] - temps_k[-1])
            costs.append(cpu_s * years[line] / years[-1])
        rms_k = math.sqrt(sum(one**2 for one in errors) / len(errors))
        found.append(Shortened(time, rms_k, sum(costs) / len(costs)))
    return found


# ----------------------------------------------------------------------------- details
def _way(home: Path) -> tuple[list[float], list[float], float] | None:
    """Model years and temperatures of a member that is done, its result last, and its processor time."""
    state = read(home)
    if not isinstance(state, State) or state.outcome != Outcome.DONE:
        return None
    cpu_s = _number(state.summary.get("cpu_s"))
    settled_k = _number(state.summary.get("surface_temperature_k"))
    rows = read_rows(home)
    if not (rows and cpu_s > 0 and settled_k > 0):
        return None
    years, temps_k = [row[0] for row in rows], [row[1] for row in rows]
    return years, [*temps_k[:-1], settled_k], cpu_s


def _cores(allocation: Allocation) -> int:
    """That one attempt keeps from others, whether its model uses them or not."""
    return allocation.nodes * allocation.tasks_per_node * allocation.cpus_per_task


def _took_s(attempt: Attempt, updated: float) -> float:
    """From begin to end; of one that runs, to its last word."""
    end = updated if attempt.ended is None else attempt.ended
    return max(0.0, end - attempt.started)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0
