"""A surrogate: from planets to climates with intervals, and a word on each planet that it must not judge.

It knows nothing of how it was trained but what it must say of it: the inputs' domain, what all of its
planets had in common, and what its intervals were calibrated on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from astrohpc.climates.climates import Climates, Input, Variable, scaled
from astrohpc.climates.physical import projected
from astrohpc.emulate.base import Prediction
from astrohpc.errors import ConfigError
from astrohpc.evaluate.calibrate import Calibration
from astrohpc.evaluate.domain import Domain
from astrohpc.physics.projections import Projection
from astrohpc.planet import PARAMETERS, Planet
from astrohpc.settings import suggest

Array = NDArray[np.float64]

LEVEL = 0.9  # of the intervals that are handed over
_SAME = 1e-6  # of a parameter, by which it may differ from what all planets had in common


class Predicts(Protocol):
    """A fitted emulator that can be written down."""

    def predict(self, scaled: Array) -> Prediction:
        """The values of planets."""

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """All that making it again needs: words for JSON, and arrays."""


@runtime_checkable
class Vouches(Protocol):
    """An emulator that has intervals of its own, which need not lie evenly about its mean."""

    def interval(self, scaled: Array, confidence: float) -> tuple[Array, Array]:
        """The ends between which the truth of planets lies with a confidence, [planet, value]."""


@dataclass(frozen=True)
class Common:
    """What all planets of the training had in common, in SI, by the names that people write."""

    values: Mapping[str, float]
    tidally_locked: bool | None  # none: some were and some were not

    @classmethod
    def of(cls, planets: Sequence[Planet], inputs: Sequence[Input]) -> "Common":
        """Parameters that no two planets differ in."""
        told = {one.name for one in inputs}
        found: dict[str, float] = {}
        for name, parameter in PARAMETERS.items():
            values = [getattr(one, parameter.field) for one in planets]
            if name == "mass" or name in told or None in values:
                continue
            if max(values) - min(values) <= _SAME * abs(max(values)):
                found[name] = float(values[0])
        locked = {one.tidally_locked for one in planets}
        return cls(found, locked.pop() if len(locked) == 1 else None)


@dataclass(frozen=True, eq=False)
class Asked:
    """Planets to be told about: what they are told by, and by how they are none of the training's kind."""

    names: tuple[str, ...]
    params: Array  # [planet, input]
    planets: tuple[Planet, ...]  # empty where the inputs are no planet's of ours
    foreign: tuple[str, ...]  # a sentence, or nothing, for each


def planets_asked(
    written: Sequence[tuple[str, Mapping[str, object]]], inputs: Sequence[Input], common: Common
) -> Asked:
    """Planets by name and in SI; what they do not say is as all planets of the training had it."""
    names, planets, foreign = [], [], []
    for name, said in written:
        try:
            planet, other = _planet(said, inputs, common)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error
        names.append(name)
        planets.append(planet)
        foreign.append("; ".join(other))
    fields = [PARAMETERS[one.name].field for one in inputs]
    params = np.array([[getattr(one, field) for field in fields] for one in planets], np.float64)
    return Asked(tuple(names), params, tuple(planets), tuple(foreign))


def _planet(
    said: Mapping[str, object], inputs: Sequence[Input], common: Common
) -> tuple[Planet, list[str]]:
    """The planet, and how it differs from the training's where those do not differ."""
    known = [*PARAMETERS, "tidally_locked"]
    for name in said:
        if name not in known:
            raise ConfigError(f"planet.{name}: there is no such parameter{suggest(name, known)}")
    values = {
        name: float(value)
        for name, value in said.items()
        if name != "tidally_locked" and isinstance(value, int | float)
    }
    locked = said.get("tidally_locked", common.tidally_locked)
    if not isinstance(locked, bool):
        raise ConfigError("tidally_locked: the surrogate knows both kinds; write true or false.")
    usual = dict(common.values)
    if "mass" in values:
        usual.pop("gravity", None)
    told = [one.name for one in inputs if not (locked and one.name == "orbital_period")]
    for name in told:
        if name not in values and not (name == "gravity" and "mass" in values):
            raise ConfigError(
                f"{name}: the surrogate was trained on planets that differ in it; write for example "
                f"{PARAMETERS[name].example!r}."
            )
    if locked and "rotation_period" in values:
        usual.pop("orbital_period", None)
    planet = Planet.from_si({**usual, **values}, tidally_locked=locked)
    other = []
    for name, value in common.values.items():
        found = getattr(planet, PARAMETERS[name].field)
        if found is None or abs(found - value) > _SAME * abs(value):
            shown = PARAMETERS[name].shown
            text = "none" if found is None else shown(found)
            other.append(f"{name} is {text}, and {shown(value)} on all planets trained on")
    if common.tidally_locked is not None and locked != common.tidally_locked:
        all_are = "tidally locked" if common.tidally_locked else "not tidally locked"
        other.append(f"all planets trained on are {all_are}")
    return planet, other


@dataclass(frozen=True, eq=False)
class Answer:
    """What a surrogate says: rows of values with the bounds of an interval, and planets it warns of."""

    mean: Array  # [planet, value]
    low: Array
    high: Array
    outside: tuple[str, ...]  # why a planet is outside of the domain; nothing where it is inside
    known: bool  # whether the method says how sure it is, so that the bounds mean something


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A fitted method with all that an answer needs."""

    name: str  # of the method, as tables have it
    emulator: Predicts
    inputs: tuple[Input, ...]
    variables: tuple[Variable, ...]
    weights: Array
    axes: Mapping[str, Array]
    common: Common | None  # none where the data are no planets of ours
    about: Mapping[str, Any]  # source, digest, mark, members, scores: what a user is told of it
    domain: Domain | None = None
    calibration: Calibration | None = None
    projections: tuple[Projection, ...] = ()

    @classmethod
    def of(
        cls,
        climates: Climates,
        name: str,
        emulator: Predicts,
        domain: Domain,
        about: Mapping[str, Any],
        calibration: Calibration | None = None,
        projections: tuple[Projection, ...] = (),
    ) -> Self:
        """Of a method that learned from some of these climates; ``about`` is what only it can tell."""
        told = {
            "source": climates.source,
            "digest": climates.digest,
            "mark": climates.mark,
            "excluded": [list(one) for one in climates.excluded],
        }
        return cls(
            name=name,
            emulator=emulator,
            inputs=climates.inputs,
            variables=climates.variables,
            weights=climates.weights,
            axes=climates.axes,
            common=Common.of(climates.planets, climates.inputs) if climates.planets else None,
            about=told | dict(about),
            domain=domain,
            calibration=calibration,
            projections=projections,
        )

    @property
    def mark(self) -> str:
        """``synthetic``, or nothing."""
        return str(self.about.get("mark", ""))

    def answer(self, asked: Asked, level: float = LEVEL) -> Answer:
        """Predict; planets outside of the domain are answered too, and flagged."""
        rows = scaled(self.inputs, asked.params)
        predicted = self.emulator.predict(rows)
        if self.projections and asked.planets:
            mean = projected(
                predicted.mean, self.variables, self.axes, asked.planets, self.projections
            )
            predicted = Prediction(mean, predicted.std)
        if isinstance(self.emulator, Vouches):
            low, high = self.emulator.interval(rows, level)
        elif self.calibration is None:
            low = high = np.full_like(predicted.mean, np.nan)
        else:
            low, high = self.calibration.interval(predicted, level)
        judged = None if self.domain is None else self.domain.judge(rows)
        outside = [
            " ".join(
                [
                    *([f"{foreign}."] if foreign else []),
                    *([judged[i].sentence] if judged is not None and judged[i].flagged else []),
                ]
            )
            for i, foreign in enumerate(asked.foreign)
        ]
        known = self.calibration is not None or isinstance(self.emulator, Vouches)
        return Answer(predicted.mean, low, high, tuple(outside), known)

    def check_fits(self, climates: Climates) -> None:
        """ConfigError where the climates have other variables, on other axes, or other inputs."""
        for what, own, other in (
            ("inputs", _words(self.inputs), _words(climates.inputs)),
            ("variables", _words(self.variables), _words(climates.variables)),
        ):
            if own != other:
                raise ConfigError(
                    f"{what}: the surrogate has {', '.join(own)}, and {climates.source} has "
                    f"{', '.join(other)}; take a surrogate that was trained on such data."
                )


def _words(of: Sequence[Input] | Sequence[Variable]) -> list[str]:
    return [
        one.name
        if isinstance(one, Input) or not one.shape
        else f"{one.name} ({' × '.join(map(str, one.shape))})"
        for one in of
    ]
