"""Canonical names for what an engine wrote itself: a variable that already is what the table means.

Values are never touched. Where the table needs a factor, an offset or a sum, the variable stays as the
engine wrote it and a note says what it would become; :mod:`astrohpc.engines` makes those.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from astrohpc.engines.variables import ENGINES, VARIABLES
from astrohpc.engines.variables import Source as Recipe
from astrohpc.engines.variables import Variable as Canonical
from astrohpc.store.fill import is_modele
from astrohpc.store.look import Look
from astrohpc.store.source import Source, Variable

ORIGINAL = "original_name"  # who has it is canonical: an engine's raw ps has not
_SPOKEN = {"exoplasim": "ExoPlaSim", "rocke3d": "ModelE"}
_SURFACE, _LAYERED = ("time", "lat", "lon"), ("time", "lev", "lat", "lon")
_FACTOR = re.compile(r"([A-Za-z%µ]+)\^?(-?\d+)?")
_WORDS = {"meters": "m", "meter": "m", "metres": "m"}
_PLAIN = ("", "1", "nondimensional", "dimensionless")


@dataclass(frozen=True)
class CanonicalNames:
    """Which variables have canonical names, and what is to be said of the others."""

    names: Mapping[str, str] = field(default_factory=dict)  # by the engine's own
    notes: tuple[str, ...] = ()

    def attributes(self, own: str, attrs: Mapping[str, Any]) -> dict[str, Any]:
        """The variable's attributes, with those that its file lacks."""
        if own not in self.names:
            return dict(attrs)
        about = VARIABLES[self.names[own]]
        said = {
            "standard_name": about.standard_name,
            "units": about.unit,
            "positive": about.positive,
        }
        missing = {name: text for name, text in said.items() if text and not attrs.get(name)}
        return {**attrs, **missing, ORIGINAL: own}


def engine_of(source: Source) -> str:
    """The engine whose own form this is, by what the header holds; empty where none is known."""
    names = {variable.path: variable for variable in source.variables}
    time = names.get("time")
    if time is not None and set(_LAYERED) <= source.dimensions.keys():
        # Its post-processor alone counts the steps of the model.
        return "exoplasim" if time.attrs.get("units") == "timesteps" else ""
    return "rocke3d" if is_modele(source) else ""


def canonical_names(looks: Sequence[Look], renamed: Mapping[str, str]) -> CanonicalNames:
    """Name the variables of these files; those in ``renamed`` have their names from a person."""
    engines = {engine_of(look.source) for look in looks}
    if len(engines) != 1 or not (engine := engines.pop()):
        return CanonicalNames()  # foreign files, or a mixture in which one name may mean two things
    taken = {v.path for look in looks for v in look.source.variables} | set(renamed.values())
    axes = {dim for look in looks for dim in look.source.dimensions}
    exact: dict[str, str] = {}
    notes: list[str] = []
    fed: dict[str, list[str]] = {}
    for name, recipe in ENGINES[engine].items():
        terms = [term for term, _ in recipe.terms]
        there = {term: _found(looks, engine, name, recipe, term) for term in terms}
        if not any(there.values()) or axes & set(terms):
            continue
        own = terms[0]
        same = all(_same_unit(one, VARIABLES[name]) for one in there[own])
        if not (_is_plain(recipe) and same):
            unit = VARIABLES[name].unit
            fed[f"{name} is {recipe} [{unit}]"] = [term for term in terms if there[term]]
        elif own != name and name in taken and own not in renamed:
            notes.append(f"{own} is not called {name}, for another variable has that name already")
        else:
            exact[own] = name
    new = [f"{own} is {name}" for own, name in exact.items() if own not in (name, *renamed)]
    if new:
        notes.insert(0, f"named canonically, values unchanged: {', '.join(new)}")
    if fed:
        kept = sorted({term for terms in fed.values() for term in terms} - exact.keys())
        notes.append(
            f"{_SPOKEN[engine]}'s own variables ({', '.join(kept)}) keep their names, units and signs; "
            f"in canonical terms {'; '.join(fed)}"
        )
    return CanonicalNames(exact, (*notes, *_sums(looks, engine)))


def _is_plain(recipe: Recipe) -> bool:
    return (
        len(recipe.terms) == 1 and recipe.terms[0][1] == 1.0 and not recipe.offset + recipe.per_day
    )


def _found(
    looks: Sequence[Look], engine: str, name: str, recipe: Recipe, term: str
) -> list[Variable]:
    """The variable in all files that have it; none where it lies on other axes than the table means."""
    found = [v for look in looks for v in look.source.variables if v.path == term]
    layered = VARIABLES[name].layered
    if engine == "exoplasim":
        fits = all(v.dims == (_LAYERED if layered else _SURFACE) for v in found)
    else:
        fits = all(_category(v.dims) == recipe.place for v in found)
    return found if fits else []


def _category(dims: tuple[str, ...]) -> str:
    """Which of ModelE's scaled files has such a variable; only its axes tell its name from others'."""
    if len(dims) == 2 and dims == ("lat", "lon"):
        return "aij"
    if len(dims) == 3 and dims[1:] in (("lat", "lon"), ("lat2", "lon2")):
        return {"level": "aijl", "plm": "aijk"}.get(dims[0], "")
    return ""


def _sums(looks: Sequence[Look], engine: str) -> Iterator[str]:
    """What raw ``acc`` files hold: sums of many diagnostics in one array, whose names stand beside it."""
    fed: dict[str, list[str]] = {}
    for name, recipe in ENGINES[engine].items():
        lists = [look.known.get(f"sname_{recipe.place}") for look in looks]
        if recipe.place and all(
            one is not None and {term for term, _ in recipe.terms} <= {str(t).strip() for t in one}
            for one in lists
        ):
            fed.setdefault(recipe.place, []).append(name)
    for place, names in fed.items():
        yield (
            f"{place} holds sums as {_SPOKEN[engine]} kept them, and stays as it is; harvested they are "
            f"{', '.join(names)}"
        )


def _same_unit(variable: Variable, about: Canonical) -> bool:
    """Whether the file's unit is the table's, however it is spelled; a file without one is believed."""
    written = variable.attrs.get("units")
    return written is None or factors(str(written)) == factors(about.unit)


def factors(unit: str) -> Mapping[str, int] | str:
    """A unit as powers of its factors: ``W/m^2`` and ``W m-2`` are one; else the text itself."""
    if unit.strip().lower() in _PLAIN:
        return {}
    powers: dict[str, int] = {}
    for place, part in enumerate(unit.replace("**", "^").split("/")):
        for k, word in enumerate(part.split()):
            if word == "1" and place == 0:
                continue
            match = _FACTOR.fullmatch(word)
            if match is None:
                return unit
            name = _WORDS.get(match[1].lower(), match[1])
            sign = (
                -1 if place and k == 0 else 1
            )  # what follows the first after a stroke is above it
            powers[name] = powers.get(name, 0) + sign * int(match[2] or 1)
    return {name: power for name, power in powers.items() if power}
