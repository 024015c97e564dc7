"""Where a store is made: what is asked for, whose folder it is, and that nobody else writes there now."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astrohpc.errors import ConfigError
from astrohpc.files import canonical_json, exclusive, write_atomic
from astrohpc.store.journal import FOLDER, read_record
from astrohpc.store.members import MemberFiles
from astrohpc.store.ranks import Ranks
from astrohpc.store.schema import META
from astrohpc.store.settings import StoreSettings

LOCK, ABOUT = "lock", "store.json"


@dataclass(frozen=True)
class Request:
    """What is to be converted, and into what."""

    members: tuple[MemberFiles, ...]
    target: Path
    settings: StoreSettings
    identity: str  # of the sweep or the folder: another one's store is not written into
    about: Mapping[str, Any] = field(default_factory=dict)  # for the root's attributes


@contextmanager
def held(request: Request, ranks: Ranks, shard_bytes: int) -> Iterator[str]:
    """Hold the target, at rank 0; yields a sentence where that cannot be."""
    if ranks.rank != 0:
        yield ""
        return
    target = request.target
    with ExitStack() as stack:
        try:
            problem = _own(request)
            if not problem:
                (target / FOLDER).mkdir(parents=True, exist_ok=True)
                if not stack.enter_context(exclusive(target / FOLDER / LOCK)):
                    problem = f"{target}: another conversion writes to it; wait until that is over."
                else:
                    _mark(request, shard_bytes)
        except OSError as error:
            problem = (
                f"{target}: cannot be written ({error.strerror}); choose another target or free it."
            )
        except ConfigError as error:
            problem = str(error)
        yield problem


def _own(request: Request) -> str:
    """Whether the target is ours to write: new, empty, or a store of the same sources and settings."""
    target = request.target
    if not target.exists():
        return ""
    if not target.is_dir():
        return f"{target}: is a file, not a folder; choose another target."
    about = _made_before(target)
    if about is None:
        others = [path for path in target.iterdir() if path.name != FOLDER]
        return (
            f"{target}: holds something that is no store of ours ({others[0].name}); choose another target."
            if others
            else ""
        )
    if about.get("identity") != request.identity:
        return f"{target}: is the store of {about.get('title', 'something else')}; choose another target."
    made = about.get("settings")
    for name, value in _settings(request).items():
        if isinstance(made, Mapping) and made.get(name) != value:
            return (
                f"store.{name}: {target} was made with {made.get(name)!r}, and now it is {value!r}; choose "
                "another target, or remove that store."
            )
    return ""


def _made_before(target: Path) -> Mapping[str, Any] | None:
    """How the store was made that stands there; an attempt that was refused has left none."""
    about = read_record(target, ABOUT)
    return about if any(path.name != FOLDER for path in target.iterdir()) else None


def _settings(request: Request) -> dict[str, Any]:
    plain = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in request.settings.decides().items()
    }
    return {name: dict(v) if isinstance(v, Mapping) else v for name, v in plain.items()}


def _mark(request: Request, shard_bytes: int) -> None:
    """Write down whose store it is. Its shards keep the size that they had first, whoever goes on."""
    before = _made_before(request.target) or {}
    about = {
        "identity": request.identity,
        "title": request.about.get("title", request.identity),
        "settings": _settings(request),
        "shard_bytes": before.get("shard_bytes") or shard_bytes,
    }
    write_atomic(request.target / FOLDER / ABOUT, canonical_json(about))


def is_store(path: Path) -> bool:
    """Whether a store of ours is there."""
    return (path / META).is_file() and (path / FOLDER / ABOUT).is_file()
