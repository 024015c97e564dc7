"""Values that are no numbers, named by place; sums of all the others go on."""

from collections.abc import Mapping
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
        self._rows: dict[str, int] = {}  # of latitude that have one or more

    def without_infinities(
        self, fields: Mapping[str, NDArray[Any]], begin: int
    ) -> dict[str, NDArray[Any]]:
        """The fields with NaN in place of infinities, which would spoil sums; each row is noted."""
        found = {}
        for name, values in fields.items():
            infinite = np.isinf(values)
            rows = infinite.any(axis=-1)
            if rows.any():
                places = np.argwhere(rows)
                columns = infinite.argmax(axis=-1)[rows]
                self._note(name, begin, places, columns, values)
                values = np.where(infinite, np.array(np.nan, values.dtype), values)  # noqa: PLW2901
            found[name] = values
        return found

    def note_missing(
        self,
        bad: NDArray[np.int32],
        layout: Layout,
        begin: int,
        fields: Mapping[str, NDArray[Any]],
    ) -> None:
        """Note what ``bad`` marks, the first column of each row that has a NaN, as fields had it."""
        for block in layout:
            rows = bad[:, layout.slice(block.name)]
            rows = rows if block.levels else rows[:, 0]
            values = fields[block.name]
            places = np.argwhere(rows >= 0)
            columns = rows[rows >= 0]
            known = np.isinf(values).any(axis=-1)[rows >= 0] if len(places) else np.empty(0, bool)
            self._note(block.name, begin, places[~known], columns[~known], values)

    def _note(
        self,
        name: str,
        begin: int,
        places: NDArray[np.int64],
        columns: NDArray[Any],
        values: NDArray[Any],
    ) -> None:
        if not len(places):
            return
        self._rows[name] = self._rows.get(name, 0) + len(places)
        named = self._named.setdefault(name, [])
        axes = ("time", "level", "lat", "lon") if values.ndim == 4 else ("time", "lat", "lon")
        for row, column in zip(places.tolist(), columns.tolist(), strict=True):
            if len(named) >= _NAMED:
                return
            value = values[(*row, column)]
            index = [row[0] + begin, *row[1:], column]
            at = ", ".join(f"{axis} {number}" for axis, number in zip(axes, index, strict=True))
            named.append(f"{name} is {value:g} at {at}")

    def sentences(self) -> tuple[str, ...]:
        """One a variable: its first places, counted from 0, and how many rows have more."""
        found = []
        for name, places in self._named.items():
            more = self._rows[name] - len(places)
            rest = f", and in {more} more rows" if more else ""
            found.append(f"{self._where}: {'; '.join(places)}{rest}")
        return tuple(found)
