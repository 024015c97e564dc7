"""Which projections are imposed: those of laws that the climate model keeps itself.

What a model loses on its way, as heat that freezes into its ice, differs from planet to planet. A law that
the truth breaks by much of what planets differ in would pull every prediction away from the truth.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from astrohpc.climates.climates import Array, Climates
from astrohpc.climates.physical import projected, projections_for
from astrohpc.errors import ConfigError
from astrohpc.physics.projections import ORDER, Projection

NONE = "none"
_MOST = 0.02  # share of a variable's variance over planets by which a law may change the truth


def imposed(train: Climates, wanted: Sequence[str]) -> tuple[tuple[Projection, ...], list[str]]:
    """The projections for surrogates of these climates, and a sentence on each that is left out.

    Those that a person names are imposed whatever they change.
    """
    if NONE in wanted:
        if len(wanted) > 1:
            raise ConfigError("projections: none goes alone; write [none], or names of some.")
        return (), ["no projections, as asked"]
    found = projections_for(train, wanted or ORDER)
    if wanted:
        return found, []
    kept: list[Projection] = []
    notes = []
    variance = _by_variable(train, train.values - train.values.mean(axis=0))
    for one in found:
        after = projected(train.values, train.variables, train.axes, train.planets, (one,))
        change = _by_variable(train, after - train.values)
        share = np.divide(change, variance, out=np.zeros_like(change), where=variance > 0)
        worst = int(np.argmax(share))
        if share[worst] > _MOST:
            name = train.variables[worst].name
            notes.append(
                f"{one.name} is not imposed: the climate model itself breaks it by "
                f"{100 * share[worst]:.2g} % of the variance of {name} over planets; name it in "
                "evaluate.projections to impose it all the same"
            )
        else:
            kept.append(one)
    return tuple(kept), notes


def _by_variable(train: Climates, away: NDArray[np.floating]) -> Array:
    """Mean squares of rows, a number a variable."""
    squares = np.square(away).mean(axis=0, dtype=np.float64) * train.weights
    return np.array([squares[train.places[one.name]].sum() for one in train.variables])


def words(projections: Sequence[Projection]) -> str:
    """What is imposed, for people."""
    said = []
    for one in projections:
        about = dataclasses.asdict(one)  # type: ignore[call-overload]
        shown = [f"{k} {v:.3g}" for k, v in about.items() if isinstance(v, float)]
        said.append(one.name + (f" ({', '.join(shown)})" if shown else ""))
    return ", ".join(said) or "none"
