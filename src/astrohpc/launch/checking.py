"""``check``: whether climates keep the laws of physics, here or as one job of a cluster."""

import argparse
import sys
from dataclasses import asdict, dataclass, replace
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
from astrohpc.quality.settings import CheckSettings
from astrohpc.settings import build
from astrohpc.slurm.render import render
from astrohpc.slurm.request import Allocation, JobRequest, Site
from astrohpc.sweep.folder import SweepFolder


@dataclass(frozen=True)
class Order:
    """What is to be checked, and where."""

    sources: tuple[Path, ...]
    into: Path | None
    settings: CheckSettings
    site: Site
    allocation: Allocation

    @property
    def folder(self) -> Path:
        """Where scripts and logs lie: the sweep's own folder, or one beside what is checked."""
        source = self.sources[0]
        if SweepFolder(source).exists():
            return source
        return source.with_name(f"{source.stem}.jobs")

    def command(self, python: str, settings: Path) -> tuple[str, ...]:
        """What runs, alone or as one of many ranks."""
        into = () if self.into is None else ("--into", str(self.into))
        words = (*map(str, self.sources), "--settings", str(settings), *into)
        return (python, "-m", "astrohpc.jobs.check", *words)


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says."""
    order = _order(arguments)
    with readable_failures("check"):
        if arguments.explain:
            return _explain(order)
        if order.site.scheduler == "slurm":
            return _submit(order, dry_run=arguments.dry_run)
        return _here(order, dry_run=arguments.dry_run)


def _order(arguments: argparse.Namespace) -> Order:
    names, overrides = split_words(arguments.words)
    written = compose_root("check", overrides, arguments.config_dir)
    settings = build(CheckSettings, written["check"], "check")
    site = build(Site, written["site"], "site")
    allocation = build(Allocation, written["allocation"], "allocation")
    first = source_of(names[0] if names else None, arguments.runs)
    more = [Path(name).expanduser().absolute() for name in names[1:]]
    for path in more:
        if not path.is_file():
            raise ConfigError(
                f"{path}: is no file; name one sweep, store or folder, or files alone, and overrides as "
                "key=value."
            )
    if settings.device == "auto":
        settings = replace(settings, device="cuda" if allocation.gpus_per_node else "cpu")
    settings = of_a_rank(settings, site, allocation)
    into = arguments.into and arguments.into.expanduser().absolute()
    return Order((first, *more), into, settings, site, allocation)


# ----------------------------------------------------------------------------- here
def _here(order: Order, *, dry_run: bool) -> int:
    from astrohpc.jobs import check  # noqa: PLC0415 - sets signal handlers

    if dry_run:
        say(" ".join(order.command(sys.executable, Path("SETTINGS.json"))))
        return 0
    code = check.run(order.sources, order.settings, order.into, tell=tell)
    page = f"next: look at {_page(order)}"
    if code in (0, 3):
        say(page if code == 0 else f"{page}; mend what is named above, then {_again(order)}")
    if code == 75:
        say(f"next: {_again(order)}")
    return ENDS.get(code, code)


def _page(order: Order) -> str:
    """Where the report lies, as the request has it."""
    from astrohpc.sweep.subject import check_request  # noqa: PLC0415

    made = check_request(order.sources[0], order.settings, more=order.sources[1:], place=order.into)
    return str(made.place / ("check.html" if order.settings.page else "check.json"))


def _again(order: Order) -> str:
    return f"python -m astrohpc.launch check {' '.join(map(str, order.sources))}"


# ----------------------------------------------------------------------------- on a cluster
def request(order: Order, settings: Path) -> JobRequest:
    """The MPI job; one of ranks with a GPU each, where the allocation has GPUs."""
    source = order.sources[0]
    key = digest([[str(path) for path in order.sources], asdict(order.allocation)])[:6]
    return JobRequest(
        kind="gpu" if order.allocation.gpus_per_node else "mpi",
        name=f"check.{key}",
        comment=f"astrohpc check {source.name}",
        title=f"check {source.name}",
        folder=str(order.folder),
        log="logs/check_%j.out",
        command=order.command(python_of(order.site), settings),
        site=order.site,
        allocation=order.allocation,
        resources=order.allocation.resources(),
    )


def _submit(order: Order, *, dry_run: bool) -> int:
    if dry_run:
        say(render(request(order, order.folder / "scripts" / "check.json")))
        return 0
    submit(_ready(order))
    return 0


def ready(arguments: argparse.Namespace) -> Ready:
    """The job that the command line asks for."""
    return _ready(_order(arguments))


def _ready(order: Order) -> Ready:
    settings = settings_file(order.folder, "check", asdict(order.settings))
    threads = count(order.settings.threads, "thread")
    return Ready(request(order, settings), each=f" × {threads}")


# ----------------------------------------------------------------------------- explain
def _explain(order: Order) -> int:
    from astrohpc.quality.explain import explained  # noqa: PLC0415 - numba
    from astrohpc.sweep.subject import check_request  # noqa: PLC0415

    made = check_request(order.sources[0], order.settings, more=order.sources[1:], place=order.into)
    columns, rows, notes = explained(made)
    table(columns, rows, title=f"{made.title}: what would be checked")
    for text in notes:
        say(text)
    return 0
