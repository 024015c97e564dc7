"""What verbs that run one job over files have in common: words, sources, settings files, submission."""

import json
from collections.abc import Sequence
from pathlib import Path

from astrohpc.errors import ConfigError
from astrohpc.files import canonical_json, digest, write_atomic
from astrohpc.launch.output import errors, say
from astrohpc.slurm.client import SlurmClient
from astrohpc.slurm.render import render, write_script
from astrohpc.slurm.request import JobRequest
from astrohpc.sweep.folder import SweepFolder, find_sweep

ENDS = {78: 2}  # what a job calls badly configured is an error here


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


def settings_file(folder: Path, name: str, settings: object) -> Path:
    """The settings as the job reads them; of other settings another file, so that none is changed."""
    content = canonical_json(settings)
    path = folder / "scripts" / f"{name}.{digest(json.loads(content))[:6]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content)
    return path


def submit(asked: JobRequest) -> str | None:
    """Submit a job, unless one of its name is live; its id, None where there is nothing to do."""
    for name in ("scripts", "logs"):
        (Path(asked.folder) / name).mkdir(parents=True, exist_ok=True)
    client = SlurmClient()
    live = [one for one in client.jobs() if one.name == asked.name and one.phase != "over"]
    if live:
        say(f"job {live[0].job} is at it already ({live[0].phase}); see {asked.folder}/logs")
        return None
    write_script(asked.script, render(asked))
    return client.submit(asked)


def tell(text: str) -> None:
    """Errors where errors go, all else as it is."""
    if text.startswith("error: "):
        errors.print(text, markup=False, style="red")
    else:
        say(text)
