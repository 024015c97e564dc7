"""``train``: from a store to a trained model, here or as one job of a cluster.

A run's folder lies in its sweep's ``trainings``, or under ``runs`` where the data are no sweep's. The
same command again goes on where the run is.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from astrohpc.clock import Clock
from astrohpc.errors import ConfigError
from astrohpc.files import readable_failures
from astrohpc.launch.compose import compose_root
from astrohpc.launch.jobs import ENDS, Ready, data_of, python_of, split_words, submit, tell
from astrohpc.launch.output import say
from astrohpc.launch.tensorboard import Shown
from astrohpc.settings import build
from astrohpc.slurm.render import render
from astrohpc.slurm.request import Allocation, Array, JobRequest, Site
from astrohpc.sweep.provenance import environment
from astrohpc.train.run import CHECKPOINTS, SETTINGS, Run

TRAININGS = "trainings"
SCALAR = "model=scalar"  # is no network and needs no job


@dataclass(frozen=True)
class Order:
    """What is to be trained, and where."""

    run: Run
    site: Site
    allocation: Allocation

    @property
    def ranks(self) -> int:
        """Processes of the job."""
        return self.allocation.nodes * self.allocation.tasks_per_node

    @property
    def name(self) -> str:
        """Of the job; no two runs of one ``runs`` have the same."""
        return f"train.{self.run.folder.parent.parent.name}.{self.run.train.name}"

    @property
    def members(self) -> int:
        """Trainings of an ensemble; 0 where there is only one."""
        return len(self.run.members)

    def command(self, python: str) -> tuple[str, ...]:
        """What each rank runs, or each task of an ensemble's array."""
        job = "ensemble" if self.members else "train"
        return (python, "-m", f"astrohpc.jobs.{job}", str(self.run.folder))


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says."""
    if SCALAR in arguments.words:
        from astrohpc.launch import scalars  # noqa: PLC0415 - it needs this module

        return scalars.run(arguments)
    order = _order(arguments)
    with readable_failures(arguments.verb):
        if order.site.scheduler == "slurm":
            return _submit(order, dry_run=arguments.dry_run)
        return _here(order, dry_run=arguments.dry_run)


def _order(arguments: argparse.Namespace, *, later: bool = False) -> Order:
    names, overrides = split_words(arguments.words)
    if len(names) > 1:
        raise ConfigError(
            f"{names[1]}: is one name too many; write what to train on, and overrides as key=value."
        )
    written = compose_root("train", overrides, arguments.config_dir)
    site = build(Site, written["site"], "site")
    allocation = build(Allocation, written["allocation"], "allocation")
    named = names[0] if names else written["train"]["data"].get("source") or None
    data, home = data_of(named, arguments.runs, TRAININGS, later=later)
    written["train"]["data"]["source"] = str(data)
    made = Run.parse(home, written)
    check_name(made.train.name)
    order = Order(replace(made, folder=home / made.train.name), site, allocation)
    if order.ranks > 1 and order.members:
        raise ConfigError(
            f"train.ensemble: its members are one process each, and {order.ranks} were asked for; write "
            "allocation.nodes=1 allocation.tasks_per_node=1."
        )
    if order.ranks > 1 and not made.train.data.tokens and made.train.batch % order.ranks:
        from astrohpc.train.plan import shareable  # noqa: PLC0415

        shareable(made.train, order.ranks)
    return order


def check_name(name: str) -> None:
    """ConfigError where a training's name cannot be a folder's."""
    if (
        not name
        or not all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
        or name[0] in ".-"
    ):
        raise ConfigError(
            f"train.name: {name!r} cannot be a folder's name; use letters, digits, '.', '_' and '-'."
        )


def shown(named: str | None, runs: Path, clock: Clock) -> Shown | None:
    """A training that a person means by its folder or name, for TensorBoard; None if it is none."""
    if named is None:
        return None
    places = (Path(named), runs / TRAININGS / named, *sorted(runs.glob(f"*/{TRAININGS}/{named}")))
    folder = next((path.absolute() for path in places if (path / SETTINGS).is_file()), None)
    if folder is None:
        return None
    written = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    site = build(Site, written["site"], "site")
    allocation = build(Allocation, written["allocation"], "allocation")
    return Shown("training", folder, site, allocation, clock, lambda: 0)


# ----------------------------------------------------------------------------- here
def _here(order: Order, *, dry_run: bool) -> int:
    command = order.command(sys.executable)
    if dry_run:
        if order.members:
            command = (*command, "--first", "0", "--count", str(order.members))
        many = (sys.executable, "-m", "astrohpc.train.spawn", "-n", str(order.ranks), "--")
        say(" ".join((*many, *command) if order.ranks > 1 else command))
        return 0
    _write(order)
    if order.members:
        from astrohpc.jobs import ensemble  # noqa: PLC0415 - sets signal handlers

        code = ensemble.run(order.run.folder, tell=tell)
    elif order.ranks > 1:
        from astrohpc.train.spawn import spawn  # noqa: PLC0415

        code = spawn(order.ranks, command)
    else:
        from astrohpc.jobs import train  # noqa: PLC0415 - sets signal handlers

        code = train.run(order.run.folder, tell=tell)
    if code == 0:
        say(f"next: python -m astrohpc.launch tensorboard {order.run.folder}")
    elif code == 75:
        say("next: the same command goes on from there")
    return ENDS.get(code, code)


def _write(order: Order) -> None:
    where = {"site": asdict(order.site), "allocation": asdict(order.allocation)}
    order.run.write(environment(), where)


# ----------------------------------------------------------------------------- on a cluster
def request(order: Order) -> JobRequest:
    """The job: one task a GPU, or a few on processors; of an ensemble, an array of its members."""
    array = None
    if order.members:
        array = Array(tasks=tuple(range(order.members)), throttle=order.allocation.throttle)
    return JobRequest(
        kind="gpu" if array is None else "array",
        name=order.name,
        comment=f"astrohpc train {order.run.train.name}",
        title=f"train {order.run.train.name} on {Path(order.run.train.data.source).name}",
        folder=str(order.run.folder),
        log="logs/train_%j.out" if array is None else "logs/train_%A_%a.out",
        command=order.command(python_of(order.site)),
        site=order.site,
        allocation=order.allocation,
        resources=order.allocation.resources(),
        array=array,
        progress=CHECKPOINTS if array is None else "",
    )


def _submit(order: Order, *, dry_run: bool) -> int:
    asked = request(order)
    if dry_run:
        say(render(asked))
        return 0
    submit(_ready(order))
    return 0


def ready(arguments: argparse.Namespace) -> Ready:
    """The job that the command line asks for; the store may be made by a job before it."""
    return _ready(_order(arguments, later=True))


def _ready(order: Order) -> Ready:
    each = f" for each of {order.members} members" if order.members else ""
    return Ready(request(order), lambda: _write(order), each)
