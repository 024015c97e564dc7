"""One evaluation from data to report: fit, judge, choose, hand over.

What is done is kept, so the same command goes on where it was stopped.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from astrohpc.climates.climates import Climates
from astrohpc.climates.split import PARTS, Split, split
from astrohpc.climates.store import from_store
from astrohpc.clock import Clock
from astrohpc.emulate.methods import METHODS as BASELINES
from astrohpc.errors import ConfigError
from astrohpc.evaluate import kinds
from astrohpc.evaluate.domain import Domain, Judgement, auroc
from astrohpc.evaluate.fit import fit_baseline
from astrohpc.evaluate.fitted import Fitted, keep, kept
from astrohpc.evaluate.floor import Floor, floor_of
from astrohpc.evaluate.imposed import imposed
from astrohpc.evaluate.job import METHODS, Job
from astrohpc.evaluate.settings import AUTO, EvaluateSettings
from astrohpc.evaluate.surrogate import Surrogate
from astrohpc.evaluate.verdict import Verdict, judge, lead
from astrohpc.files import digest
from astrohpc.physics.projections import Projection
from astrohpc.store.progress import Progress
from astrohpc.version import VERSION

# What methods take, in units of the least; only the time that is left is told from it.
_COSTS = {"pca_gp": 12, "pca_trees": 30, "pca_mlp": 15, "pca_ridge": 4}


@dataclass(frozen=True, eq=False)
class Results:
    """All that the report tells."""

    climates: Climates
    parts: Split
    projections: tuple[Projection, ...]
    verdicts: tuple[Verdict, ...]  # in the order of the table
    chosen: Fitted
    domain: Domain
    judged: dict[str, list[Judgement]]  # by part, what the guard says of its planets
    settings: EvaluateSettings
    floor: Floor | None = None
    notes: tuple[str, ...] = ()
    provenance: dict[str, object] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """Of the chosen method."""
        return next(one for one in self.verdicts if one.name == self.chosen.name)

    @property
    def told(self) -> float:
        """How well the guard tells the corner's planets from the test's: 1 always, 0.5 not at all."""
        inside, outside = (
            [one.novelty for one in self.judged[part]] for part in ("test", "corner")
        )
        return auroc(inside, outside)


def evaluate(
    job: Job,
    clock: Clock,
    stop: Callable[[], bool],
    say: Callable[[str], None],
    slurm_job: str = "",
) -> Results | None:
    """Do it; None where it was stopped before its end."""
    settings = job.settings
    climates = from_store(job.data, settings.variables, unconverged=settings.unconverged)
    parts = split(climates, settings.split)
    _tell_data(climates, parts, say)
    if not len(parts.test):
        raise ConfigError(
            f"split.test: none of {len(climates)} planets is left to judge by; run more members, or write "
            "a larger share."
        )
    floor = None
    if settings.floor:
        wanted = [one.of for one in climates.variables]
        again = from_store(Path(settings.floor), wanted, unconverged=settings.unconverged)
        floor = floor_of(climates, again)
    projections, notes = imposed(climates.take(parts.train), settings.projections)
    trained, more = _trainings(job, climates, parts)
    notes += more
    for note in notes:
        say(note)
    bench = Bench(job.folder / METHODS, climates, parts, projections, settings)
    todo = [*settings.chosen, *trained]
    costs = [_COSTS.get(name, 4 if name in trained else 1) for name in todo]
    progress = Progress(sum(costs), clock, say)
    verdicts: list[Verdict] = []
    for i, name in enumerate(todo):
        if stop():
            return None
        verdicts.append(judge(bench.fitted(name, trained.get(name)), climates, parts, projections))
        _tell_method(verdicts[-1], say)
        progress.share(sum(costs[: i + 1]))
    domain = Domain(climates.inputs, climates.scaled[parts.train])
    return Results(
        climates=climates,
        parts=parts,
        projections=projections,
        verdicts=tuple(verdicts),
        chosen=bench.fitted(*_choice(verdicts, bench, trained)),
        domain=domain,
        judged={
            part: domain.judge(climates.scaled[getattr(parts, part)]) for part in ("test", "corner")
        },
        settings=settings,
        floor=floor,
        notes=tuple(notes),
        provenance=job.provenance() | ({"slurm_job": slurm_job} if slurm_job else {}),
    )


@dataclass(frozen=True, eq=False)
class Bench:
    """Where methods are fitted, and kept."""

    folder: Path
    climates: Climates
    parts: Split
    projections: tuple[Projection, ...]
    settings: EvaluateSettings

    @cached_property
    def key(self) -> str:
        """Of all that a fit follows from."""
        one = self.settings
        chosen = [asdict(one.split), one.seed, one.trials, one.folds]
        laws = [repr(law) for law in self.projections]
        return digest([VERSION, self.climates.digest, chosen, laws])

    def fitted(self, name: str, run: Path | None) -> Fitted:
        """A baseline, or a training's networks: as it was kept, or fitted now."""
        key = self.key
        if run is not None:
            from astrohpc.evaluate import networks  # noqa: PLC0415 - torch

            key = digest([key, networks.state_of(run)])
        found = kept(self.folder, key, name)
        if found is not None:
            return found
        about = (self.climates, self.parts, self.projections)
        if run is None:
            found = fit_baseline(name, *about, self.settings)
        else:
            found = networks.fit_networks(run, name, *about)
        keep(self.folder, key, found)
        # As it was written, in single precision: a run that goes on must say the very same.
        again = kept(self.folder, key, name)
        assert again is not None
        return again


def _trainings(job: Job, climates: Climates, parts: Split) -> tuple[dict[str, Path], list[str]]:
    """The trainings that are judged, by the name they have in tables, and why others are not."""
    found: dict[str, Path] = {}
    notes = []
    for run in job.trainings:
        from astrohpc.evaluate import networks  # noqa: PLC0415 - torch

        try:
            networks.state_of(run)
            networks.check_fits(run, climates, parts)
        except ConfigError as error:
            if job.named:
                raise
            notes.append(f"left out: training {error}")
            continue
        name = run.name
        while name in found or name in BASELINES:
            name = f"{name}-trained"
        found[name] = run
    return found, notes


def surrogate_of(results: Results) -> Surrogate:
    """What is handed over of the chosen method."""
    climates, chosen = results.climates, results.chosen
    exact = chosen.exact is not None
    skills = {
        one.name: results.verdict.scores["test", results.verdict.best].value(one.name, "skill")
        for one in climates.variables
    }
    about = {
        "members": len(results.parts.train),
        "skill_of_test": {name: one for name, one in skills.items() if math.isfinite(one)},
        "settings": json.loads(json.dumps(dict(chosen.settings))),
        "intervals": chosen.plain.note,
    }
    return Surrogate.of(
        climates,
        chosen.name,
        chosen.emulator,
        results.domain,
        about,
        calibration=chosen.exact if exact else chosen.plain,
        projections=results.projections if exact else (),
    )


def _choice(
    verdicts: Sequence[Verdict], bench: Bench, trained: Mapping[str, Path]
) -> tuple[str, Path | None]:
    """The method to hand over, as asked or the best; the test planets have no say.

    That is the baseline of the best skill in cross-validation over all planets to train on, which are
    many more than those to validate with; a network takes its place where these say surely that it
    is better.
    """
    wanted = bench.settings.surrogate
    able = [
        one
        for one in verdicts
        if bench.fitted(one.name, trained.get(one.name)).emulator is not None
    ]
    if wanted != AUTO:
        able = [one for one in able if one.name == wanted]
    if not able:
        known = [*trained, *(name for name in kinds.KINDS if name in BASELINES)]
        raise ConfigError(
            f"surrogate: none of {', '.join(one.name for one in verdicts)} is {wanted} and can be handed "
            f"over; name one of {', '.join(known)}, and have it among evaluate.methods."
        )
    networks = [one for one in able if one.trained]
    best = max(
        (one for one in able if not one.trained), key=lambda one: one.skill or 0.0, default=None
    )
    if best is not None:
        networks = [one for one in networks if lead(one, best, "validation").low > 0.0]
    if networks or best is None:
        best = max(networks, key=lambda one: one.mean_skill("validation"))
    return best.name, trained.get(best.name)


# ----------------------------------------------------------------------------- what is said
def _tell_data(climates: Climates, parts: Split, say: Callable[[str], None]) -> None:
    mark = f" ({climates.mark} data)" if climates.mark else ""
    counts = ", ".join(f"{len(parts.parts[part])} {part}" for part in PARTS)
    names = ", ".join(one.name for one in climates.variables)
    say(f"{climates.source}{mark}: {len(climates)} planets ({counts}); {names}")
    for name, why in climates.excluded[:5]:
        say(f"left out: {name}: {why}")
    if len(climates.excluded) > 5:
        say(f"… and {len(climates.excluded) - 5} more members, in the report")
    for name, why in climates.constant:
        say(f"left out: {name}: {why}")


def _tell_method(verdict: Verdict, say: Callable[[str], None]) -> None:
    found = verdict.scores["test", verdict.ways[0]]
    skills = ", ".join(
        f"{one.name} {round(found.value(one.name, 'skill'), 3) + 0.0:.3f}"
        for one in found.variables[:6]
    )
    say(f"{verdict.name}: skill on test planets {skills}")
