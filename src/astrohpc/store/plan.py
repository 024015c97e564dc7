"""What is to be done to make a store: its arrays, what they are made of, and what was refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from astrohpc.store.agree import Refusal
from astrohpc.store.look import Look
from astrohpc.store.schema import ArraySpec
from astrohpc.store.source import Variable
from astrohpc.store.treatment import Treatment

MEMBER = "member"


@dataclass(frozen=True, eq=False)
class Piece:
    """One variable of one file, and where it goes: a member, and the times from ``begin`` on."""

    source: int  # index in Plan.looks
    variable: Variable
    member: int | None
    begin: int
    times: int | None  # None: no time axis
    treatment: Treatment | None = None


@dataclass(frozen=True, eq=False)
class PlannedArray:
    """An array and what it is made of: pieces of files, or values that are known already."""

    spec: ArraySpec
    pieces: tuple[Piece, ...] = ()
    values: NDArray[Any] | None = None
    member_axis: int | None = None
    time_axis: int | None = None
    unpack: bool = False
    usual: Variable | None = None
    digits: int | None = None  # significant ones that are kept

    @property
    def treated(self) -> bool:
        """Whether values are changed on their way."""
        return self.digits is not None or any(piece.treatment for piece in self.pieces)


@dataclass(frozen=True, eq=False)
class Plan:
    """All that is to be done."""

    looks: tuple[Look, ...]
    members: tuple[str, ...]
    arrays: tuple[PlannedArray, ...]
    refused: tuple[Refusal, ...]
    notes: tuple[str, ...]
    attrs: Mapping[str, Any]
    groups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
