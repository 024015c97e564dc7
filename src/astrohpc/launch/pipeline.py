"""``pipeline``: from a sweep's configuration to the report of its surrogate, in one command.

sweep, convert, check, train, evaluate: each is the verb of that name, which does nothing twice, so the
same command goes on wherever the last one was stopped. On a cluster the stages are jobs that wait for
each other. A sweep submits jobs of its own until it is settled; so long a small job comes after each of
its keepers, and the stages follow when nothing of the sweep is left.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from astrohpc.clock import Clock
from astrohpc.errors import ConfigError
from astrohpc.evaluate.settings import EvaluateSettings
from astrohpc.files import digest, readable_failures, write_atomic
from astrohpc.launch import checking, converting, evaluating, sweeping, training
from astrohpc.launch.compose import compose, compose_root
from astrohpc.launch.jobs import Ready, submit
from astrohpc.launch.output import note, say
from astrohpc.quality.settings import CheckSettings
from astrohpc.settings import build, suggest
from astrohpc.slurm.render import render
from astrohpc.slurm.request import Allocation, JobRequest
from astrohpc.store.settings import StoreSettings
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.session import Session
from astrohpc.sweep.submit import KEEPER
from astrohpc.train.run import Run

FILE = "pipeline.json"
STAGES = ("sweep", "convert", "check", "train", "evaluate")
_PARTIAL = 3  # done, with something left out that is named
_OF = {  # which stages a group of settings belongs to
    "sweep": ("sweep",),
    "engine": ("sweep",),
    "policy": ("sweep",),
    "share": ("sweep",),
    "runs": ("sweep",),
    "store": ("convert",),
    "check": ("check",),
    "model": ("train",),
    "train": ("train",),
    "evaluate": ("evaluate",),
    "split": ("train", "evaluate"),
    "site": STAGES,
    "allocation": STAGES,
}
_SPLIT = {"train": "train.data.split", "evaluate": "evaluate.split"}
_UNET = "model=unet"  # unless another one, or none, is asked for


@dataclass(frozen=True)
class Plan:
    """What a person asked for, by stage; ``train`` may be left out."""

    words: Mapping[str, tuple[str, ...]]
    config_dir: str | None

    @property
    def stages(self) -> tuple[str, ...]:
        """Those to be done."""
        return tuple(name for name in STAGES if name in self.words)

    def arguments(self, stage: str, folder: Path) -> argparse.Namespace:
        """The command line of one stage's verb."""
        return argparse.Namespace(
            verb=stage,
            words=[str(folder), *self.words[stage]],
            runs=folder.parent,
            config_dir=self.config_dir,
            dry_run=False,
            explain=False,
            into=None,
        )


def run(arguments: argparse.Namespace, clock: Clock) -> int:
    """Do what the command line says."""
    with readable_failures("runs"):
        if arguments.folder is not None:
            folder = SweepFolder(arguments.folder.absolute())
            return _go_on(_looked(folder, clock), _read(folder))
        plan = _plan(arguments.overrides, arguments.config_dir)
        written = compose(plan.words["sweep"], plan.config_dir, arguments.runs)
        session = sweeping.open_session(written, clock)
        _early_checks(plan)
        if arguments.dry_run:
            return _dry_run(session, plan)
        if session.config.site.scheduler == "slurm":
            code = sweeping.sweep(session, wait=False, command=sweeping.command_line())
            _write(session.folder, plan)
            return code or _go_on(session, plan)
        return _here(session, plan)


# ----------------------------------------------------------------------------- what is asked
def _plan(overrides: Sequence[str], config_dir: str | None) -> Plan:
    """Give each override to the stages that it is for; ``train:allocation.nodes=2`` is for one alone."""
    words: dict[str, list[str]] = {name: [] for name in STAGES}
    for override in overrides:
        stage, colon, rest = override.partition(":")
        if colon and stage in STAGES and "=" not in stage:
            words[stage].append(rest)
            continue
        group, _, key = override.partition("=")[0].lstrip("+~").partition(".")
        if group not in _OF:
            raise ConfigError(f"{override}: there is no such group or setting{suggest(group, _OF)}")
        for name in _OF[group]:
            moved = group == "split" and key
            words[name].append(
                f"{_SPLIT[name]}.{override.removeprefix('split.')}" if moved else override
            )
    if not any(word.startswith("model=") for word in words["train"]):
        words["train"].insert(0, _UNET)
    if "model=none" in words["train"]:
        del words["train"]
    where = None if config_dir is None else str(Path(config_dir).absolute())
    return Plan({name: tuple(some) for name, some in words.items()}, where)


def _early_checks(plan: Plan) -> None:
    """Refuse what a later stage could not do before anything is run."""
    roots = {stage: _root(plan, stage) for stage in plan.stages[1:]}
    build(StoreSettings, roots["convert"]["store"], "store")
    build(CheckSettings, roots["check"]["check"], "check")
    evaluation = build(EvaluateSettings, roots["evaluate"]["evaluate"], "evaluate")
    if "train" not in roots:
        return
    trained = Run.parse(Path(), roots["train"]).train.data
    if trained.climates and trained.split != evaluation.split:
        raise ConfigError(
            "split: training and evaluation part the planets differently, so that a network would be judged "
            "by planets it has seen; write split.KEY=VALUE, which is for both."
        )
    if trained.climates and trained.unconverged != evaluation.unconverged:
        raise ConfigError(
            "evaluate.unconverged: training and evaluation would be of different planets; write the same "
            "in train.data.unconverged."
        )


def _root(plan: Plan, stage: str) -> dict[str, Any]:
    return compose_root(stage, plan.words[stage], plan.config_dir)


def _write(folder: SweepFolder, plan: Plan) -> None:
    said = {"words": plan.words, "config_dir": plan.config_dir}
    write_atomic(folder.path / FILE, json.dumps(said, indent=1) + "\n")


def _read(folder: SweepFolder) -> Plan:
    path = folder.path / FILE
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        words = {stage: tuple(said["words"][stage]) for stage in STAGES if stage in said["words"]}
        return Plan(words, said["config_dir"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: it cannot be read ({error!r}); run 'launch pipeline' with its overrides again."
        ) from error


# ----------------------------------------------------------------------------- here
def _here(session: Session, plan: Plan) -> int:
    """One stage after the other in this process."""
    say(f"# 1 of {len(plan.stages)}: sweep")
    code = sweeping.sweep(session, wait=True, command=sweeping.command_line())
    if code not in (0, 1):
        return code
    _write(session.folder, plan)
    partial = code == 1  # members that were given up are named, and left out of what follows
    verbs: Mapping[str, Callable[[argparse.Namespace], int]] = {
        "convert": converting.run,
        "check": checking.run,
        "train": training.run,
        "evaluate": evaluating.run,
    }
    for number, stage in enumerate(plan.stages[1:], start=2):
        say(f"# {number} of {len(plan.stages)}: {stage}")
        code = verbs[stage](plan.arguments(stage, session.folder.path))
        if code not in (0, _PARTIAL):
            note(f"{stage} ended with {code}; the same pipeline goes on from there")
            return code
        partial = partial or code == _PARTIAL
    return _PARTIAL if partial else 0


# ----------------------------------------------------------------------------- on a cluster
def _go_on(session: Session, plan: Plan) -> int:
    """Wait for the sweep by a job, or submit the stages, each after the one before."""
    folder = session.folder
    book = session.ledger.fold()
    if book.stopped:
        raise ConfigError(
            f"{folder.path.name}: its sweep was stopped ({book.stopped}); mend that, and run the same "
            "pipeline again."
        )
    if book.open():
        waits = [one.job for one in (book.open("keeper") or book.open()) if one.job is not None]
        if not session.config.site.keeper:
            say(
                "next: the same command again when the sweep is over; this site forbids jobs to submit"
            )
            return 0
        submit(Ready(_driver(session, waits)), waits)
        return 0
    after: list[str] = []
    readies: Mapping[str, Callable[[argparse.Namespace], Ready]] = {
        "convert": converting.ready,
        "check": checking.ready,
        "train": training.ready,
        "evaluate": evaluating.ready,
    }
    for stage in plan.stages[1:]:
        after = [submit(readies[stage](plan.arguments(stage, folder.path)), after)]
    return 0


def _looked(folder: SweepFolder, clock: Clock) -> Session:
    """The sweep as it stands; where its keeper was lost, its work is done first."""
    session = Session.of(folder, clock, note)
    book = session.ledger.fold()
    if book.open() and not book.open("keeper"):
        sweeping.keep(folder, clock)
        session = Session.of(folder, clock, note)
    return session


def _driver(session: Session, waits: Sequence[str]) -> JobRequest:
    """The job that looks whether the sweep is settled; like its keeper."""
    config = session.config
    like = ("account", "partition", "qos", "constraint", "reservation", "modules", "environment")
    own: Allocation = replace(KEEPER, **{name: getattr(config.allocation, name) for name in like})
    name = config.sweep.name
    return JobRequest(
        kind="single",
        name=f"pipeline.{name}.{digest(list(waits))[:6]}",
        comment=f"astrohpc pipeline of {name}",
        title=f"pipeline of sweep '{name}': submits the stages when it is settled",
        folder=str(session.folder.path),
        log="logs/pipeline_%j.out",
        command=(session.python, "-m", "astrohpc.launch", "pipeline", "--folder", "."),
        site=config.site,
        allocation=own,
        resources=own.resources(),
    )


def _dry_run(session: Session, plan: Plan) -> int:
    """Print what would be submitted or run."""
    from astrohpc.launch import planning  # noqa: PLC0415

    planning.plan(session, dry_run=True)
    if session.config.site.scheduler == "slurm":
        driver = _driver(session, ["JOBID"])
        say(render(replace(driver, dependency="afterany:JOBID")))
    for stage in plan.stages[1:]:
        say(f"# then: launch {stage} {session.folder.path.name} {' '.join(plan.words[stage])}")
    return 0
