"""``evaluate``: every method on one store, judged on planets that none has seen, here or as one job.

An evaluation's folder lies in its sweep's ``evaluations``, or under ``runs`` where the data are no
sweep's.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from astrohpc.clock import Clock
from astrohpc.errors import ConfigError
from astrohpc.evaluate.job import ASKED, METHODS, REPORT, SURROGATE, Job
from astrohpc.evaluate.settings import EvaluateSettings
from astrohpc.files import readable_failures
from astrohpc.launch.compose import compose_root
from astrohpc.launch.jobs import ENDS, Ready, data_of, python_of, split_words, submit, tell
from astrohpc.launch.output import say
from astrohpc.launch.tensorboard import Shown
from astrohpc.launch.training import TRAININGS
from astrohpc.settings import build
from astrohpc.slurm.render import render
from astrohpc.slurm.request import Allocation, JobRequest, Site
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.provenance import environment
from astrohpc.train.run import SETTINGS as TRAINING

EVALUATIONS = "evaluations"


@dataclass(frozen=True)
class Order:
    """What is to be judged, and where."""

    job: Job
    site: Site
    allocation: Allocation

    def command(self, python: str) -> tuple[str, ...]:
        """What runs."""
        return (python, "-m", "astrohpc.jobs.evaluate", str(self.job.folder))


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says."""
    order = order_of(arguments)
    with readable_failures(arguments.verb):
        if order.site.scheduler == "slurm":
            return _submit(order, dry_run=arguments.dry_run)
        return _here(order, dry_run=arguments.dry_run)


def order_of(arguments: argparse.Namespace, *, later: bool = False) -> Order:
    """What a command line asks for."""
    names, overrides = split_words(arguments.words)
    runs = arguments.runs
    written = compose_root("evaluate", overrides, arguments.config_dir)
    settings = build(EvaluateSettings, written["evaluate"], "evaluate")
    site = build(Site, written["site"], "site")
    allocation = build(Allocation, written["allocation"], "allocation")
    _check_name(settings.name)
    data, place = data_of(names[0] if names else None, runs, EVALUATIONS, later=later)
    home = place.parent
    sweep = SweepFolder(home)
    copy = sweep.reports / f"{settings.name}.html" if sweep.exists() else None
    asked = (*names[1:], *settings.trainings)
    trainings = tuple(_training(name, home, runs) for name in asked) or _all_trainings(home)
    floor = ""
    if settings.floor:
        try:
            floor = str(data_of(settings.floor, runs, EVALUATIONS)[0])
        except ConfigError as error:
            raise ConfigError(f"evaluate.floor: {error}") from error
    job = Job(
        folder=place / settings.name,
        data=data,
        settings=replace(settings, trainings=tuple(map(str, trainings)), floor=floor),
        trainings=trainings,
        named=bool(asked),
        copy=copy,
    )
    return Order(job, site, allocation)


def _training(name: str, home: Path, runs: Path) -> Path:
    """A training that a person means by its folder or name."""
    for path in (Path(name).expanduser(), home / TRAININGS / name, runs / TRAININGS / name):
        if (path / TRAINING).is_file():
            return path.absolute()
    known = sorted(path.parent.name for path in (home / TRAININGS).glob(f"*/{TRAINING}"))
    raise ConfigError(
        f"{name}: is no training of {home.name}"
        + (f"; there are {', '.join(known)}." if known else "; 'launch train' makes one.")
    )


def _all_trainings(home: Path) -> tuple[Path, ...]:
    return tuple(sorted(path.parent for path in (home / TRAININGS).glob(f"*/{TRAINING}")))


def _check_name(name: str) -> None:
    good = all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    if not name or not good or name[0] in ".-":
        raise ConfigError(
            f"evaluate.name: {name!r} cannot be a folder's name; use letters, digits, '.', '_' and '-'."
        )


def shown(named: str | None, runs: Path, clock: Clock) -> Shown | None:
    """An evaluation that a person means by its folder, for TensorBoard; None if it is none."""
    if named is None:
        return None
    places = (Path(named), runs / EVALUATIONS / named, *runs.glob(f"*/{EVALUATIONS}/{named}"))
    folder = next((path.absolute() for path in places if (path / ASKED).is_file()), None)
    if folder is None:
        return None
    written = json.loads((folder / ASKED).read_text(encoding="utf-8"))
    site = build(Site, written["site"], "site")
    allocation = build(Allocation, written["allocation"], "allocation")
    return Shown("evaluation", folder, site, allocation, clock, lambda: 0)


# ----------------------------------------------------------------------------- here
def _here(order: Order, *, dry_run: bool) -> int:
    if dry_run:
        say(" ".join(order.command(sys.executable)))
        return 0
    from astrohpc.jobs import evaluate  # noqa: PLC0415 - sets signal handlers

    write(order)
    code = evaluate.run(order.job.folder, tell=tell)
    folder = order.job.folder
    if code == 0:
        say(
            f"next: look at {folder / REPORT}, or python -m astrohpc.launch predict planet.yaml "
            f"{folder / SURROGATE}"
        )
    elif code == 75:
        say("next: the same command goes on from there")
    return ENDS.get(code, code)


def write(order: Order) -> None:
    """Make the evaluation's folder."""
    where = {"site": asdict(order.site), "allocation": asdict(order.allocation)}
    order.job.write(environment(), where)


# ----------------------------------------------------------------------------- on a cluster
def request(order: Order) -> JobRequest:
    """The job, on one node."""
    job = order.job
    return JobRequest(
        kind="single",
        name=f"evaluate.{job.folder.parent.parent.name}.{job.settings.name}",
        comment=f"astrohpc evaluate {job.settings.name}",
        title=f"evaluate {job.settings.name} on {job.data.name}",
        folder=str(job.folder),
        log="logs/evaluate_%j.out",
        command=order.command(python_of(order.site)),
        site=order.site,
        allocation=order.allocation,
        resources=order.allocation.resources(),
        progress=METHODS,
    )


def _submit(order: Order, *, dry_run: bool) -> int:
    asked = request(order)
    if dry_run:
        say(render(asked))
        return 0
    submit(Ready(asked, lambda: write(order)))
    return 0


def ready(arguments: argparse.Namespace) -> Ready:
    """The job that the command line asks for; the store may be made by a job before it."""
    order = order_of(arguments, later=True)
    return Ready(request(order), lambda: write(order))
