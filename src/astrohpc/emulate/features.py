"""What a smooth function of planets is smooth in: angles as points of a circle, not as numbers.

Where periapse lies matters as much as the orbit is eccentric, and not at all on a circle. So eccentricity
and the longitude of periapse are told together, as the eccentricity vector (e cos ϖ, e sin ϖ); any other
angle that comes round is its cosine and sine. What an input spans decides its scale, as in ``scaled``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from astrohpc.climates.climates import Input
from astrohpc.emulate.base import Array

_ECCENTRICITY, _PERIAPSE = "eccentricity", "longitude_of_periapse"


@dataclass(frozen=True)
class Features:
    """How scaled inputs become features. ``groups``: which features belong together, by their numbers."""

    inputs: tuple[Input, ...]

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Features of one input, or of two that are told together."""
        found, end = [], 0
        for one in self._told():
            begin, end = end, end + (2 if one.period else 1)
            found.append(tuple(range(begin, end)))
        return tuple(found)

    def of(self, scaled: Array) -> Array:
        """[planet, feature] of [planet, input]; each about 0 to 1, vectors -1 to 1."""
        columns: list[Array] = []
        for one in self._told():
            values = scaled[:, self.inputs.index(one)]
            if not one.period:
                columns.append(values)
                continue
            angle = 2 * np.pi * (one.low + values * (one.high - one.low)) / one.period
            size = self._size(one, scaled)
            columns += [size * np.cos(angle), size * np.sin(angle)]
        return np.column_stack(columns)

    def _told(self) -> Sequence[Input]:
        """Inputs without the one that is told with another."""
        names = {one.name for one in self.inputs}
        return [
            one for one in self.inputs if not (one.name == _ECCENTRICITY and _PERIAPSE in names)
        ]

    def _size(self, angle: Input, scaled: Array) -> Array:
        """How long the vector is that an angle points: the eccentricity's share of its largest, or one."""
        if angle.name == _PERIAPSE:
            for i, one in enumerate(self.inputs):
                if one.name == _ECCENTRICITY:
                    return (one.low + scaled[:, i] * (one.high - one.low)) / one.high
        return np.ones(len(scaled))
