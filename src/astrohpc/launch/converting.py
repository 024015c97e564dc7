"""``convert`` and ``verify``: from files to a store, here or as one MPI job of a cluster."""

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from astrohpc.errors import ConfigError
from astrohpc.files import digest, readable_failures
from astrohpc.launch.compose import compose_root
from astrohpc.launch.jobs import (
    ENDS,
    Ready,
    of_a_rank,
    python_of,
    settings_file,
    source_of,
    split_words,
    submit,
    tell,
)
from astrohpc.launch.output import count, say, table
from astrohpc.settings import build
from astrohpc.slurm.render import render
from astrohpc.slurm.request import Allocation, JobRequest, Site
from astrohpc.store.settings import StoreSettings
from astrohpc.sweep.folder import SweepFolder


@dataclass(frozen=True)
class Order:
    """What is to be done, by which verb, and where."""

    verb: str
    source: Path
    target: Path
    settings: StoreSettings
    site: Site
    allocation: Allocation

    @property
    def folder(self) -> Path:
        """Where scripts, logs and settings lie: the sweep's own folder, or one beside the store."""
        if SweepFolder(self.source).exists():
            return self.source
        return self.target.with_name(f"{self.target.stem}.jobs")

    def command(self, python: str, settings: Path) -> tuple[str, ...]:
        """What runs, alone or as one of many ranks."""
        verify = ("--verify",) if self.verb == "verify" else ()
        words = (str(self.source), str(self.target), "--settings", str(settings), *verify)
        return (python, "-m", "astrohpc.jobs.convert", *words)


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says."""
    order = _order(arguments)
    if getattr(arguments, "explain", False):
        return _explain(order)
    with readable_failures(arguments.verb):
        if order.site.scheduler == "slurm":
            return _submit(order, dry_run=arguments.dry_run)
        return _here(order, dry_run=arguments.dry_run)


def _order(arguments: argparse.Namespace) -> Order:
    names, overrides = split_words(arguments.words)
    if len(names) > 2:
        raise ConfigError(
            f"{names[2]}: is one name too many; write a source, a target, and overrides as key=value."
        )
    written = compose_root("convert", overrides, arguments.config_dir)
    settings = build(StoreSettings, written["store"], "store")
    site = build(Site, written["site"], "site")
    allocation = build(Allocation, written["allocation"], "allocation")
    source = source_of(names[0] if names else None, arguments.runs)
    sweep = SweepFolder(source).exists()
    if len(names) > 1:
        target = Path(names[1]).expanduser().absolute()
    else:
        target = source / "store.zarr" if sweep else source.with_name(f"{source.stem}.zarr")
    settings = of_a_rank(settings, site, allocation)
    return Order(arguments.verb, source, target, settings, site, allocation)


# ----------------------------------------------------------------------------- here
def _here(order: Order, *, dry_run: bool) -> int:
    from astrohpc.jobs import convert  # noqa: PLC0415 - sets signal handlers

    if dry_run:
        say(" ".join(order.command(sys.executable, Path("SETTINGS.json"))))
        return 0
    code = convert.run(
        order.source, order.target, order.settings, verify=order.verb == "verify", tell=tell
    )
    if code in (0, 3):
        words = f"{order.source} {order.target}"
        after = (
            f"python -m astrohpc.launch verify {words}"
            if order.verb == "convert"
            else f"python -m astrohpc.launch convert {words}"
        )
        read = f"xarray.open_zarr({str(order.target)!r})"
        say(
            f"next: {read}" if order.verb == "verify" and code == 0 else f"next: {after}, or {read}"
        )
    return ENDS.get(code, code)


# ----------------------------------------------------------------------------- on a cluster
def request(order: Order, settings: Path) -> JobRequest:
    """The MPI job."""
    key = digest([str(order.source), str(order.target), order.verb, asdict(order.allocation)])[:6]
    return JobRequest(
        kind="mpi",
        name=f"{order.verb}.{key}",
        comment=f"astrohpc {order.verb} {order.target.name}",
        title=f"{order.verb} {order.source.name} into {order.target.name}",
        folder=str(order.folder),
        log=f"logs/{order.verb}_%j.out",
        command=order.command(python_of(order.site), settings),
        site=order.site,
        allocation=order.allocation,
        resources=order.allocation.resources(),
    )


def _submit(order: Order, *, dry_run: bool) -> int:
    if dry_run:
        say(render(request(order, order.folder / "scripts" / "store.json")))
        return 0
    submit(_ready(order))
    return 0


def ready(arguments: argparse.Namespace) -> Ready:
    """The job that the command line asks for."""
    return _ready(_order(arguments))


def _ready(order: Order) -> Ready:
    settings = settings_file(order.folder, "store", asdict(order.settings))
    threads = count(order.settings.threads, "thread")
    return Ready(request(order, settings), each=f" × {threads}")


# ----------------------------------------------------------------------------- explain
def _explain(order: Order) -> int:
    from astrohpc.store.convert import plan_of  # noqa: PLC0415
    from astrohpc.store.explain import explained  # noqa: PLC0415
    from astrohpc.sweep.harvest import request_for  # noqa: PLC0415

    plan = plan_of(request_for(order.source, order.target, order.settings))
    columns, rows = explained(plan)
    table(columns, rows, title=f"{order.target.name}: chunks, shards, and what one reading costs")
    for one in plan.refused:
        say(f"left out: {one.sentence}")
    return 0
