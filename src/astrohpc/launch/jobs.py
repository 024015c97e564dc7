"""What verbs that run one job over files have in common: words, sources, settings files, submission."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from astrohpc.errors import ConfigError
from astrohpc.files import canonical_json, digest, write_atomic
from astrohpc.launch.output import count, errors, note, say
from astrohpc.slurm.client import SlurmClient
from astrohpc.slurm.render import render, write_script
from astrohpc.slurm.request import Allocation, JobRequest, Site
from astrohpc.sweep.folder import SweepFolder, find_sweep
from astrohpc.sweep.subject import STORE

ENDS = {78: 2}  # what a job calls badly configured is an error here
_SHARE = 0.8  # of a rank's memory that its data may fill; MPI and the file system take the rest


class Workers(Protocol):
    """Settings of what many ranks do over files."""

    @property
    def threads(self) -> int:
        """Threads of a rank; 0 leaves it to the allocation."""

    @property
    def memory_mib(self) -> int:
        """What a rank may hold of its data."""


_W = TypeVar("_W", bound=Workers)


def of_a_rank(settings: _W, site: Site, allocation: Allocation) -> _W:
    """The settings with the threads and memory that a job gives each rank; here they stay as they are."""
    if site.scheduler != "slurm":
        return settings
    mem_mib = allocation.resources().mem_mib // allocation.tasks_per_node
    return replace(  # type: ignore[type-var]
        settings,
        threads=settings.threads or allocation.cpus_per_task,
        memory_mib=min(settings.memory_mib, int(mem_mib * _SHARE)),
    )


def python_of(site: Site) -> str:
    """The interpreter of its jobs: the site's, or else our own."""
    return site.python or sys.executable


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of files and overrides, in any order; what exists is a name, whatever is in it."""
    names = [word for word in words if "=" not in word or Path(word).exists()]
    return names, [word for word in words if word not in names]


def source_of(named: str | None, runs: Path) -> Path:
    """A sweep by its name or folder, else any file or folder."""
    if named is not None:
        path = Path(named).expanduser()
        if path.exists() and not SweepFolder(path).exists():
            return path.absolute()
        if not path.exists() and not SweepFolder(runs / named).exists():
            raise ConfigError(
                f"{named}: is neither a file, nor a folder, nor a sweep of {runs}; 'launch status' names "
                "the sweeps."
            )
    return find_sweep(named, runs).path


def data_of(named: str | None, runs: Path, below: str, *, later: bool = False) -> tuple[Path, Path]:
    """A store or other data that a person means, and the folder ``below`` a sweep for what is made of them.

    Where the data are no sweep's that folder is below ``runs``. A sweep's store may come ``later``.
    """
    source = source_of(named, runs)
    if not SweepFolder(source).exists():
        beside = SweepFolder(source.parent)
        home = beside.path if beside.exists() else runs.absolute()
        return source, home / below
    store = source / STORE
    if not (later or store.is_dir()):
        raise ConfigError(
            f"{source.name}: it has no store yet to learn from; run 'launch convert {source.name}' first."
        )
    return store, source / below


def settings_file(folder: Path, name: str, settings: object) -> Path:
    """The settings as the job reads them; of other settings another file, so that none is changed."""
    content = canonical_json(settings)
    path = folder / "scripts" / f"{name}.{digest(json.loads(content))[:6]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content)
    return path


@dataclass(frozen=True)
class Ready:
    """A job that could be submitted now: ``before`` writes what it reads, ``each`` says what a rank has."""

    asked: JobRequest
    before: Callable[[], object] = lambda: None
    each: str = ""


def submit(ready: Ready, after: Sequence[str] = ()) -> str:
    """Submit a job, unless one of its name is live, and say so; its id.

    It begins when the jobs ``after`` which it comes are over.
    """
    asked = ready.asked
    if after:
        asked = replace(asked, dependency="afterany:" + ":".join(after))
    for name in ("scripts", "logs"):
        (Path(asked.folder) / name).mkdir(parents=True, exist_ok=True)
    client = SlurmClient()
    live = [one for one in client.jobs() if one.name == asked.name and one.phase != "over"]
    if live:
        say(f"job {live[0].job} is at it already ({live[0].phase}); see {asked.folder}/logs")
        return live[0].job
    ready.before()
    write_script(asked.script, render(asked))
    job = client.submit(asked)
    nodes = asked.allocation.nodes
    ranks = count(nodes * asked.allocation.tasks_per_node, "rank")
    say(f"job {job} submitted: {ranks}{ready.each} on {count(nodes, 'node')}")
    note(f"next: tail -f {asked.folder}/{asked.log.replace('%j', job)}")
    return job


def tell(text: str) -> None:
    """Errors where errors go, all else as it is."""
    if text.startswith("error: "):
        errors.print(text, markup=False, style="red")
    else:
        say(text)
