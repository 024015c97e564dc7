"""What a law is: what it measures, what its residual means, and how large that may be."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrohpc.physics.integrals import Integrals
from astrohpc.physics.worlds import Worlds

Kind = Literal["constant", "total", "change", "closure", "bound", "column"]


@dataclass(frozen=True)
class Tolerance:
    """How large a residual may be, why, and whether its relative form is meant."""

    limit: float
    reason: str
    relative: bool = True


@dataclass(frozen=True)
class Amount:
    """What a law measures in each sample, and the size that makes its residual a relative one.

    ``stored`` is what grows by ``value`` a second, ``rows`` the same by latitude, and ``open`` says
    that there is nothing to hold the value against.
    """

    value: Any
    scale: Any
    stored: Any = None
    rows: Any = None
    open: bool = False


Measure = Callable[[Integrals, Worlds], Amount]


@dataclass(frozen=True)
class Budget:
    """One law. ``kind`` says what its residual is:

    - ``constant``: what an amount has changed by since the first time, or from a reference;
    - ``total``: what it differs by from a reference, as other things change it in time;
    - ``change``: what its growth differs by from the fluxes that make it grow;
    - ``closure``: a sum that should vanish;
    - ``bound``: how far the worst value lies outside what is possible;
    - ``column``: the same for columns of cells, which need the fields themselves.
    """

    name: str
    title: str
    unit: str
    kind: Kind
    needs: tuple[str, ...]
    tolerance: Tolerance
    measure: Measure | None = None
    uses: tuple[str, ...] = ()  # what else it takes in where it is there
    engines: Mapping[str, Tolerance] = field(default_factory=dict)

    def applies(self, names: Collection[str]) -> bool:
        """Whether these variables are enough for it; a bound needs only one of its own."""
        if self.kind == "bound":
            return any(name in names for name in self.needs)
        return all(name in names for name in self.needs)

    def whole(self, integrals: Integrals) -> NDArray[np.bool_]:
        """The samples that have every value that it takes in, [S]; a bound is one of what is there."""
        there = np.ones(integrals.sums.samples, dtype=bool)
        if self.kind != "bound":
            for name in (*self.needs, *self.uses):
                if name in integrals.layout:
                    there &= integrals.whole(name)
        return there

    def tolerance_of(self, engine: str) -> Tolerance:
        """The tolerance of an engine whose own was measured, else the law's."""
        return self.engines.get(engine, self.tolerance)
