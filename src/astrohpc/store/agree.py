"""Do the files agree? Each variable's signature, the one that most files have, and who differs in what."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrohpc.store.source import Variable

PACKING = ("scale_factor", "add_offset", "_Unsigned")
_MEANING = ("units", "calendar")


@dataclass(frozen=True)
class Refusal:
    """Something that is not in the store, and why: told in the report, never silent."""

    file: str
    variable: str  # empty: the whole file
    reason: str

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.file}: {self.variable + ': ' if self.variable else ''}{self.reason}"


@dataclass(frozen=True)
class Signature:
    """What must be the same wherever a variable comes from, for its values to stand in one array."""

    kind: str  # of the bytes: float, or the very type of integers and text
    dims: tuple[str, ...]
    rest: tuple[int, ...]  # lengths of all axes but time
    meaning: tuple[str, ...]

    @classmethod
    def of(
        cls, variable: Variable, time_dim: str | None, free: frozenset[str] = frozenset()
    ) -> "Signature":
        """The signature; a packed variable's numbers mean nothing without their scale, but differ."""
        kind = "float" if variable.dtype.kind == "f" else variable.dtype.str[1:]
        if any(name in variable.attrs for name in PACKING[:2]) and variable.dtype.kind in "iu":
            kind = "packed"
        counted = time_dim is not None and variable.path == time_dim
        meaning = tuple(
            "" if counted and name == "units" else _normal(variable.attrs.get(name))
            for name in _MEANING
        )
        rest = tuple(
            0 if dim in free else size
            for dim, size in zip(variable.dims, variable.shape, strict=True)
            if dim != time_dim
        )
        return cls(kind, variable.dims, rest, meaning)

    def difference(self, usual: "Signature") -> str:
        """In what it differs from the usual one, with the remedy."""
        if self.dims != usual.dims:
            return (
                f"has the axes ({', '.join(self.dims)}), but in most files it has "
                f"({', '.join(usual.dims)}); convert it apart"
            )
        if self.rest != usual.rest:
            return (
                f"is on a grid of {_by(self.rest)}, but in most files on {_by(usual.rest)}; convert it "
                "apart, or bring it to one grid with regrid"
            )
        for name, mine, theirs in zip(_MEANING, self.meaning, usual.meaning, strict=True):
            if mine != theirs:
                return (
                    f"has {name} {mine or 'none'!r}, but in most files {theirs or 'none'!r}; bring it to "
                    f"the same {name} first"
                )
        return f"is of type {self.kind}, but in most files {usual.kind}; convert it apart"


def _by(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes)) or "one value"


def _normal(value: Any) -> str:
    return "" if value is None else re.sub(r"\s+", " ", str(value)).strip()


def usual(signatures: Sequence[Signature]) -> Signature:
    """The one that most have; of equally many the first."""
    return Counter(signatures).most_common(1)[0][0]


def packing(variable: Variable) -> tuple[Any, ...]:
    """How its numbers are packed."""
    return tuple(_normal(variable.attrs.get(name)) for name in PACKING)


def common(found: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The attributes that are the same in all."""
    return {
        name: value
        for name, value in found.items()
        if all(name in one and _same(one[name], value) for one in others)
    }


def _same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(np.asarray(one), np.asarray(other)))
