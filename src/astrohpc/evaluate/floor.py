"""How well a climate is known at all: what runs of one planet differ by, from other initial states alone.

Two runs scatter about the climate that both share, so their difference is √2 times what each is off by.
No method can be told to be better than that of a single run that it is judged by.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass

import numpy as np

from astrohpc.climates.climates import Climates
from astrohpc.errors import ConfigError
from astrohpc.evaluate.bootstrap import Interval, interval_of_mean
from astrohpc.evaluate.statistics import Shape
from astrohpc.planet import Planet


@dataclass(frozen=True)
class Floor:
    """The root mean square by variable of one run about its planet's climate, with its interval."""

    source: str
    planets: int
    rms: Mapping[str, Interval]


def floor_of(climates: Climates, others: Climates) -> Floor:
    """From climates of some of the same planets, run from other initial states."""
    again = others.source
    _check_same(climates, others)
    places = {_written(planet): i for i, planet in enumerate(climates.planets)}
    pairs = [
        (places[_written(one)], i)
        for i, one in enumerate(others.planets)
        if _written(one) in places
    ]
    if not pairs:
        raise ConfigError(
            f"evaluate.floor: none of the {len(others)} planets of {again} is one of "
            f"{climates.source}; run the same sweep with another engine.seed and name."
        )
    first, second = np.array(pairs).T
    rms = {}
    for one in climates.variables:
        if one.name not in others.places:
            continue  # the same on all of so few planets
        shape = Shape.of(climates, one)
        apart = climates.of(one.name)[first].astype(np.float64) - others.of(one.name)[second]
        squares = apart.reshape(len(pairs), shape.size[0], -1) ** 2
        rms[one.name] = _root(
            interval_of_mean(np.einsum("plc,lc,l->p", squares, shape.weights, shape.share) / 2.0)
        )
    if not any(one.value for one in rms.values()):
        raise ConfigError(
            f"evaluate.floor: {again} holds the very runs of {climates.source}; run them with another "
            "engine.seed."
        )
    return Floor(again, len(pairs), rms)


def _check_same(climates: Climates, others: Climates) -> None:
    shapes = {one.name: one.shape for one in others.variables}
    for one in climates.variables:
        found = shapes.get(one.name, one.shape)
        if found != one.shape:
            raise ConfigError(
                f"evaluate.floor: {one.name} of {others.source} has the shape {found}, and {one.shape} in "
                f"{climates.source}; run the same sweep with the same engine."
            )


def _written(planet: Planet) -> tuple[object, ...]:
    """What a planet is, to the digits that a table keeps of it."""
    return tuple(f"{one:.9g}" if isinstance(one, float) else one for one in astuple(planet))


def _root(found: Interval) -> Interval:
    """Of mean squares."""
    value, low, high = (float(np.sqrt(one)) for one in (found.value, found.low, found.high))
    return Interval(value, low, high, found.confidence, found.planets)
