"""What is taken of the files' variables, and what it is called in the store."""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from astrohpc.errors import ConfigError
from astrohpc.store.draft import Draft
from astrohpc.store.journal import FOLDER
from astrohpc.store.plan import MEMBER
from astrohpc.store.source import Variable

# Attributes that name other variables.
_NAMING = (
    "bounds",
    "climatology",
    "coordinates",
    "formula_terms",
    "grid_mapping",
    "ancillary_variables",
    "cell_measures",
    "cell_methods",
)
_LONGEST = 255 - len(".zarr.json.12345678")  # bytes of a file's name, with room for a temporary one


def wanted(draft: Draft, paths: Sequence[str]) -> list[str]:
    """What was asked for, and the axes, bounds and helpers without which it could not be read."""
    settings = draft.settings
    for one in settings.variables:
        if not any(_asked(draft, path, one) for path in paths):
            raise ConfigError(
                f"variables: {one!r} is in none of the files; they have {', '.join(paths[:12])}."
            )
    dims = {dim for look in draft.looks for dim in look.source.dimensions}
    for one in settings.rename:
        if one not in dims and not any(one in (path, _short(path)) for path in paths):
            raise ConfigError(
                f"rename.{one}: is in none of the files; they have {', '.join(paths[:12])}."
            )
    keep = {
        path
        for path in paths
        if (not settings.variables or any(_asked(draft, path, one) for one in settings.variables))
        and not any(_fits(path, one) for one in settings.without)
    }
    if settings.variables:
        grown = True
        while grown:
            more = {need for path in keep for need in _needs(draft, path) if need in paths} - keep
            keep |= more
            grown = bool(more)
    return [path for path in paths if path in keep]


def _fits(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern) or fnmatchcase(_short(path), pattern)


def _asked(draft: Draft, path: str, pattern: str) -> bool:
    return _fits(path, pattern) or fnmatchcase(draft.canonical.names.get(path, path), pattern)


def _needs(draft: Draft, path: str) -> set[str]:
    for look in draft.looks:
        for variable in look.source.variables:
            if variable.path == path:
                words = " ".join(
                    str(variable.attrs.get(name, "")) for name in _NAMING if name != "cell_methods"
                )
                return set(variable.dims) | set(words.replace(":", " ").split())
    return set()


def unfit_for_store(draft: Draft, variable: Variable) -> str:
    """Why the store cannot hold a variable under its name or with its axes, empty if it can."""
    name = name_of(draft, variable.path)
    if name.split("/")[0] == FOLDER:
        return "has the name of the folder in which the store keeps its own files; rename it"
    if any(len(part.encode(errors="surrogateescape")) > _LONGEST for part in name.split("/")):
        return f"its name is longer than the {_LONGEST} bytes that a folder's may have; rename it"
    if draft.stacked and name == MEMBER:
        return f"has the name of the store's own axis; give it another with rename.{_short(variable.path)}"
    if draft.stacked and MEMBER in names(draft, variable.dims):
        return f"has an axis named {MEMBER}, as the store's own; give it another name with rename.{MEMBER}"
    return ""


def name_of(draft: Draft, path: str) -> str:
    """A variable's path in the store."""
    group, _, name = path.rpartition("/")
    usual = draft.canonical.names.get(path, name)
    name = draft.settings.rename.get(path, draft.settings.rename.get(name, usual))
    return f"{group}/{name}" if group else name


def names(draft: Draft, dims: Sequence[str]) -> tuple[str, ...]:
    """Names of axes without their groups, unless two would then be one; renamed as their variables are."""
    short = [_short(name_of(draft, dim)) for dim in dims]
    return tuple(
        one if short.count(one) == 1 or dims.count(dim) > 1 else dim.replace("/", "_")
        for one, dim in zip(short, dims, strict=True)
    )


def renamed(draft: Draft, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """A variable's attributes, in which others are called as they are in the store."""
    found = dict(attrs)
    for name in _NAMING if draft.settings.rename or draft.canonical.names else ():
        if isinstance(found.get(name), str):
            found[name] = re.sub(r"[^\s:()]+", lambda word: name_of(draft, word[0]), found[name])
    return found


def _short(path: str) -> str:
    return path.rpartition("/")[2]
