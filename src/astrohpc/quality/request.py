"""What is to be checked, where the report lies, and what it is made of, as one digest."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrohpc.errors import ConfigError
from astrohpc.files import digest
from astrohpc.quality.holder import FileMember, Holder, StoreMember, store_members
from astrohpc.quality.settings import CheckSettings
from astrohpc.store.journal import FOLDER, read_journal
from astrohpc.store.members import SUFFIXES, MemberFiles, find_members
from astrohpc.store.page import mark_of
from astrohpc.store.reader import Store
from astrohpc.store.schema import META, read_metadata
from astrohpc.version import VERSION

_FORM = 1  # of the report; another one is made anew
_PARTIAL = "the store says that it is partial: what was left out of it is no number here"
_ENGINES_OF_TOYS = ("ebm",)  # whose climates are synthetic, though their files need not say so


@dataclass(frozen=True)
class Request:
    """One check: of a store, or of the files of each member."""

    title: str
    source: Path
    place: Path  # the folder in which the report lies
    settings: CheckSettings
    files: tuple[MemberFiles, ...] = ()  # none: ``source`` is a store
    commit: str = ""
    copy: Path | None = None  # a sweep's own folder of reports
    notes: tuple[str, ...] = ()


def request_of(
    source: Path,
    settings: CheckSettings,
    *,
    more: Sequence[Path] = (),
    place: Path | None = None,
    commit: str = "",
) -> Request:
    """The check of a store, a file, a folder of files, or several files, each its own member."""
    source = source.absolute()
    if more:
        members = [member for path in (source, *more) for member in _as_members(path.absolute())]
        where = place or source.with_name(f"{source.stem}.check")
        return Request(source.name, source, where, settings, tuple(members), commit)
    if (source / META).is_file():
        return Request(source.name, source, place or source / FOLDER, settings, (), commit)
    if not source.exists():
        raise ConfigError(
            f"{source}: there is no such file or folder; name a store, NetCDF files or a sweep."
        )
    found = _as_members(source) if source.is_file() else _of_folder(source, settings)
    where = place or source.with_name(f"{source.stem}.check")
    return Request(source.name, source, where, settings, tuple(found), commit)


def _as_members(path: Path) -> list[MemberFiles]:
    if not path.is_file():
        raise ConfigError(f"{path}: is no file; name one store or folder, or files alone.")
    return [MemberFiles(path.name, (path,))]


def _of_folder(source: Path, settings: CheckSettings) -> tuple[MemberFiles, ...]:
    """Each file its own member, unless it was said otherwise: months of one run are members=one."""
    if not any(path.suffix.lower() in SUFFIXES for path in source.rglob("*")):
        raise ConfigError(
            f"{source}: is neither a store that 'launch convert' made nor a folder with NetCDF files; name "
            "another."
        )
    how = "file" if settings.members == "auto" else settings.members
    return find_members(source, how)


# ----------------------------------------------------------------------------- members
@dataclass(frozen=True)
class Names:
    """The members by name, in their order, and how much of the work each is."""

    names: tuple[str, ...]
    weights: tuple[int, ...]
    mark: str
    notes: tuple[str, ...] = ()


class Opened:
    """The source of one rank: a store that is open, or files that are opened one member at a time."""

    def __init__(self, request: Request, threads: int, root: Mapping[str, Any] | None) -> None:
        self.request = request
        self.store = None
        if not request.files:
            self.store = Store.open(request.source, threads=threads, root=root)

    def names(self) -> Names:
        """The members. Those of a store are alike; of files the larger are more work."""
        if self.store is not None:
            names = store_members(self.store)
            partial = self.store.attrs.get("astrohpc_state") == "partial"
            notes = (_PARTIAL,) if partial else ()
            return Names(names, (1,) * len(names), mark_of_data(self.store.attrs), notes)
        files = self.request.files
        weights = tuple(sum(_size(path) for path in one.files) for one in files)
        return Names(tuple(one.name for one in files), weights, "")

    def member(self, number: int) -> Holder:
        """Open one member."""
        if self.store is not None:
            return StoreMember(self.store, number)
        return FileMember(self.request.files[number])

    def close(self) -> None:
        """Close the store."""
        if self.store is not None:
            self.store.close()


def mark_of_data(attrs: Mapping[str, Any]) -> str:
    """``synthetic`` where attributes say so, or name an engine whose climates are."""
    return mark_of(attrs) or ("synthetic" if attrs.get("engine") in _ENGINES_OF_TOYS else "")


def mark_of_member(holder: Holder) -> str:
    """``synthetic`` where a member's own attributes say so."""
    return mark_of_data(holder.attrs)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


# ----------------------------------------------------------------------------- identity
def made_of(request: Request) -> dict[str, object]:
    """The provenance of the data: digests of the store's journal and metadata, or of what files are."""
    hashed = hashlib.sha256()
    for line in _identity(request):
        hashed.update(line.encode() + b"\n")
    what = "files" if request.files else "journal"
    return {what: hashed.hexdigest()[:40]}


def _identity(request: Request) -> Iterator[str]:
    if request.files:
        for member in request.files:
            for path in member.files:
                status = path.stat() if path.exists() else None
                size, time = (status.st_size, status.st_mtime_ns) if status else (0, 0)
                yield f"{member.name} {path.name} {size} {time}"
        return
    root = read_metadata(request.source) or {}
    yield digest(root.get("attributes", {}))
    nodes = root.get("consolidated_metadata", {}).get("metadata", {})
    for name in sorted(nodes):
        # What the statistics add later is no other store.
        about = {k: v for k, v in nodes[name].items() if k != "attributes"}
        yield f"{name} {digest(about)} {digest(nodes[name].get('attributes', {}).get('units', ''))}"
    for key, done in sorted(read_journal(request.source).items()):
        there = request.source / key
        yield f"{key} {done.digest} {done.nbytes} {_size(there)}"


def key_of(request: Request, laws: Sequence[str], provenance: Mapping[str, object]) -> str:
    """A digest of all that decides the report."""
    return digest(
        [_FORM, VERSION, request.commit, dict(request.settings.decides()), list(laws), provenance]
    )
