"""The constants of many planets at once, one entry a sample: nothing of the Earth's is ever assumed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrohpc.errors import ConfigError
from astrohpc.planet import Planet

Array = NDArray[np.float64]

_TURN = 2.0 * np.pi


@dataclass(frozen=True, eq=False)
class Worlds:
    """What budgets need to know of the planet of each sample, [S] each."""

    radius_m: Array
    gravity_ms2: Array
    rotation_rate_rads: Array
    gas_constant_jkgk: Array  # of dry air
    heat_capacity_jkgk: Array  # of dry air, at constant pressure

    def __post_init__(self) -> None:
        for field in fields(self):
            values = np.array(getattr(self, field.name), dtype=np.float64, ndmin=1)
            object.__setattr__(self, field.name, values)
            if values.shape != np.shape(self.radius_m):
                raise ConfigError(
                    f"worlds: {field.name} has shape {values.shape} and radius_m "
                    f"{np.shape(self.radius_m)}; give one number a sample of each."
                )
            least = -np.inf if field.name == "rotation_rate_rads" else 0.0
            wrong = np.flatnonzero(~(np.isfinite(values) & (values > least)))
            if len(wrong):
                raise ConfigError(
                    f"worlds: {field.name} of sample {wrong[0]} is {values[wrong[0]]:g}; give the "
                    "planet's own, in SI units."
                )

    def __len__(self) -> int:
        return len(self.radius_m)

    @classmethod
    def of_planets(cls, planets: Sequence[Planet]) -> "Worlds":
        """One planet a sample."""
        return cls(*(np.array([getattr(p, f.name) for p in planets]) for f in fields(cls)))

    @classmethod
    def of_attributes(cls, attributes: Sequence[Mapping[str, object]]) -> "Worlds":
        """From the ``planet_*`` attributes of files or of a store's members, one mapping a sample."""
        return cls(*(np.array([_number(a, f.name) for a in attributes]) for f in fields(cls)))

    @classmethod
    def alike(cls, planet: Planet, samples: int) -> "Worlds":
        """The same planet for all samples."""
        return cls.of_planets([planet]).take(np.zeros(samples, dtype=np.intp))

    def take(self, samples: ArrayLike) -> "Worlds":
        """The worlds of these samples, in their order; one may come several times."""
        index = np.asarray(samples, dtype=np.intp)
        return Worlds(*(getattr(self, field.name)[index] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of each planet before anything is predicted, [S] each."""

    worlds: Worlds
    starlight_wm2: Array  # at the top, mean over the sphere and the year
    pressure_pa: Array  # of dry air at the surface, mean over the sphere

    @classmethod
    def of_planets(cls, planets: Sequence[Planet]) -> "Known":
        """One planet a sample."""
        return cls(
            Worlds.of_planets(planets),
            np.array([0.25 * one.mean_flux_wm2 for one in planets]),
            np.array([one.surface_pressure_pa for one in planets]),
        )


def _number(attributes: Mapping[str, object], name: str) -> float:
    """A constant as it was written; the rotation rate is written as its period."""
    written = "rotation_period_s" if name == "rotation_rate_rads" else name
    value = attributes.get(f"planet_{written}")
    if not isinstance(value, int | float | np.number) or isinstance(value, bool):
        raise ConfigError(
            f"planet_{written}: the file or store does not say it of its planet, and budgets take no "
            "planet's constants for granted; add the attribute, in SI units."
        )
    if written == name:
        return float(value)
    if value == 0:
        raise ConfigError(f"planet_{written}: is 0; give the sidereal period in seconds.")
    return _TURN / float(value)
