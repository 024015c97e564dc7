"""Which planets are trained on, which tell when to stop, and which are never seen before the verdict.

A planet's part follows from its own name and the seed alone, so a sweep that grows leaves every test
planet a test planet. The corner is a region of the domain, not a draw: the planets nearest to one corner
of it, on which a surrogate must extrapolate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from astrohpc.climates.climates import Climates, Indices
from astrohpc.errors import ConfigError
from astrohpc.files import digest

PARTS = ("train", "validation", "test", "corner")
_LEAST = 4  # planets to train on


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """Shares of the planets; what is left is trained on."""

    seed: int = 0
    validation: float = 0.15
    test: float = 0.2
    corner: float = 0.1

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in ("validation", "test", "corner")}
        for name, share in shares.items():
            if not 0 <= share < 1:
                raise ConfigError(f"split.{name}: {share} is not a share; write 0 to below 1.")
        if sum(shares.values()) > 0.9:
            raise ConfigError(
                "split: validation, test and corner leave less than a tenth to train on; write less."
            )


@dataclass(frozen=True, eq=False)
class Split:
    """Numbers of planets by their part, in rising order; every planet is in one."""

    train: Indices
    validation: Indices
    test: Indices
    corner: Indices

    @property
    def parts(self) -> dict[str, Indices]:
        """By name."""
        return {name: getattr(self, name) for name in PARTS}


def split(climates: Climates, settings: SplitSettings) -> Split:
    """Part the planets; ConfigError where too few would be left to train on."""
    found = np.full(len(climates), PARTS.index("train"))
    draw = np.array([_draw(name, settings.seed) for name in climates.names])
    corner = _corner(climates, settings)
    found[draw < settings.test + settings.validation] = PARTS.index("validation")
    found[corner] = PARTS.index("corner")
    found[draw < settings.test] = PARTS.index("test")
    parts = [np.flatnonzero(found == k) for k in range(len(PARTS))]
    if len(parts[0]) < _LEAST:
        raise ConfigError(
            f"split: {len(parts[0])} of {len(climates)} planets would be left to train on; run more "
            "members, or write smaller shares for validation, test and corner."
        )
    return Split(*parts)


def folds(names: Sequence[str], count: int, seed: int) -> Indices:
    """The fold of each planet, as even as can be; the same whatever their order."""
    order = np.argsort([_draw(name, seed + 1) for name in names], kind="stable")
    found = np.empty(len(names), np.int64)
    found[order] = np.arange(len(names)) % count
    return found


def _draw(name: str, seed: int) -> float:
    """A number from 0 to 1 that belongs to a planet."""
    return int(digest([seed, name])[:13], 16) / 16**13


def _corner(climates: Climates, settings: SplitSettings) -> Indices:
    """The planets nearest to a corner of the domain, which the seed chooses."""
    count = round(settings.corner * len(climates))
    ends = np.random.default_rng([settings.seed, 0xC0]).integers(0, 2, len(climates.inputs))
    away = np.abs(climates.scaled - ends).mean(axis=1)
    return np.argsort(away, kind="stable")[:count]
