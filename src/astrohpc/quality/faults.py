"""Values that are no numbers, named by place; sums of all the others go on."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.physics.layout import Layout

_NAMED = 3  # places of one variable of one member; of more their number


class Faults:
    """What is not a number in one member, variable by variable."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._named: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def without_infinities(
        self, fields: Mapping[str, NDArray[Any]], begin: int
    ) -> dict[str, NDArray[Any]]:
        """The fields with NaN in place of infinities, which would spoil sums; each is named."""
        found = {}
        for name, values in fields.items():
            infinite = np.isinf(values)
            if infinite.any():
                for place in np.argwhere(infinite).tolist():
                    self._note(name, begin, place, values[tuple(place)])
                values = np.where(infinite, np.array(np.nan, values.dtype), values)  # noqa: PLW2901
            found[name] = values
        return found

    def note_missing(self, bad: NDArray[np.int32], layout: Layout, begin: int) -> None:
        """Name what ``bad`` marks: the first column of each row that has a NaN."""
        for block in layout:
            rows = bad[:, layout.slice(block.name)]
            for s, level, j in np.argwhere(rows >= 0).tolist():
                column = int(rows[s, level, j])
                place = [s, level, j, column] if block.levels else [s, j, column]
                self._note(block.name, begin, place, np.nan)

    def _note(self, name: str, begin: int, place: Sequence[int], value: float) -> None:
        self._counts[name] = self._counts.get(name, 0) + 1
        named = self._named.setdefault(name, [])
        if len(named) < _NAMED:
            axes = ("time", "level", "lat", "lon") if len(place) == 4 else ("time", "lat", "lon")
            index = [place[0] + begin, *place[1:]]
            at = ", ".join(f"{axis} {number}" for axis, number in zip(axes, index, strict=True))
            named.append(f"{name} is {value:g} at {at}")

    def sentences(self) -> tuple[str, ...]:
        """One a variable: its first places, counted from 0, and how many rows have more."""
        found = []
        for name, places in self._named.items():
            more = self._counts[name] - len(places)
            rest = f", and in {more} more rows" if more else ""
            found.append(f"{self._where}: {'; '.join(places)}{rest}")
        return tuple(found)
