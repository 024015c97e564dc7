"""Which files make which member, where a folder of files and not a sweep is converted."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from astrohpc.errors import ConfigError

SUFFIXES = (".nc", ".nc4", ".cdf", ".netcdf", ".h5", ".hdf5", ".hdf", ".he5")


@dataclass(frozen=True)
class MemberFiles:
    """One run and the files that it left; an empty name where a store has no members."""

    name: str
    files: tuple[Path, ...]
    attrs: Mapping[str, str | float] = field(default_factory=dict)  # what a sweep knows of it


def find_members(source: Path, how: str) -> tuple[MemberFiles, ...]:
    """Group the files of a folder, or one file, into members as ``StoreSettings.members`` says."""
    if source.is_file():
        return (MemberFiles("", (source,)),)
    if not source.is_dir():
        raise ConfigError(f"{source}: there is no such file or folder; name the one to convert.")
    files = sorted(
        path
        for path in source.rglob("*")
        if path.is_file() and path.suffix.lower() in SUFFIXES and not _hidden(path, source)
    )
    if not files:
        raise ConfigError(
            f"{source}: holds no file that ends in {', '.join(SUFFIXES)}; name another folder."
        )
    if how == "auto":
        folders = {path.parent for path in files}
        how = "folder" if len(folders) > 1 and source not in folders else "one"
    if how == "one":
        return (MemberFiles("", tuple(files)),)
    names = _names(files, source, how)
    grouped: dict[str, list[Path]] = {}
    for path, name in zip(files, names, strict=True):
        grouped.setdefault(name, []).append(path)
    return tuple(MemberFiles(name, tuple(paths)) for name, paths in grouped.items())


def _names(files: Sequence[Path], source: Path, how: str) -> list[str]:
    if how == "folder":
        return [path.parent.relative_to(source).as_posix() for path in files]
    if how == "file":
        return [path.relative_to(source).with_suffix("").as_posix() for path in files]
    try:
        pattern = re.compile(how)
    except re.error as error:
        raise ConfigError(
            f"members: {how!r} is no regular expression ({error}); write one, folder or file."
        ) from None
    if "member" not in pattern.groupindex:
        raise ConfigError(
            f"members: {how!r} has no group named member; write one as run(?P<member>\\d+), or write "
            "one, folder or file."
        )
    names = []
    for path in files:
        found = pattern.search(path.relative_to(source).as_posix())
        if found is None:
            raise ConfigError(f"members: {how!r} does not match {path}; widen it.")
        names.append(found["member"])
    return names


def _hidden(path: Path, source: Path) -> bool:
    """Whether it lies in a hidden folder, or in a store that stands beside the files."""
    parts = path.relative_to(source).parts
    return any(part.startswith(".") or part.endswith(".zarr") for part in parts)
