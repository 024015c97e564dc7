"""What the laws of physics say of predicted climates, next to what they say of the model's own.

The laws are those of :mod:`astrohpc.physics.lawbook`, by which output is checked: here a sample is a
planet's mean climate. Such a mean keeps no law to rounding (means of products are not products of
means, and a run that settled still gains or loses heat), so a prediction is held against the truth's
own residual and not against nought.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrohpc.climates.climates import Climates
from astrohpc.climates.physical import fields_of, layout_of
from astrohpc.errors import ConfigError
from astrohpc.evaluate.bootstrap import Interval, interval_of_mean
from astrohpc.physics.budgets import evaluate, evaluate_columns
from astrohpc.physics.law import Budget
from astrohpc.physics.lawbook import BUDGETS
from astrohpc.physics.layout import Layout
from astrohpc.physics.sums import zonal_sums
from astrohpc.physics.worlds import Known

Array = NDArray[np.float64]
Fields = dict[str, Array]

# Laws of a state; those of storage and growth say nothing of a mean climate.
_OF_STATES = ("toa_energy", "dry_mass", "meridional_mass_flux")
_OF_BOUNDS = ("temperature", "humidity", "cloud", "pressure")
_BY_SUMS = (*_OF_STATES, *_OF_BOUNDS)
_BY_COLUMNS = ("hydrostatic",)
_NEEDED = {need for law in (*_BY_SUMS, *_BY_COLUMNS) for need in BUDGETS[law].needs} | {"hus"}
_ROUNDING = float(np.finfo(np.float32).eps)  # truth is stored in single precision
_BLOCK_BYTES = 2**27  # of rows in double precision


@dataclass(frozen=True, eq=False)
class Residuals:
    """How far one law is from being kept, [planet]: in its unit, and relative to its own scale."""

    absolute: Array
    relative: Array


@dataclass(frozen=True, eq=False)
class Kept:
    """How far predictions and the truth are from keeping one law."""

    law: Budget
    prediction: Residuals
    truth: Residuals

    @property
    def row(self) -> dict[str, float | str]:
        """For a table: the median planet's and the worst one's, without their signs."""
        found: dict[str, float | str] = {
            "law": self.law.name,
            "title": self.law.title,
            "unit": self.law.unit,
        }
        for whose, one in (("prediction", self.prediction), ("truth", self.truth)):
            for what, values in (("", one.absolute), ("relative_", one.relative)):
                size = np.abs(values)
                found[f"{whose}_{what}median"] = float(np.median(size))
                found[f"{whose}_{what}largest"] = float(size.max())
        return found

    @property
    def no_worse(self) -> bool:
        """Whether the median planet's prediction keeps it as well as its truth does.

        To within rounding.
        """
        ours, theirs = (
            float(np.median(np.abs(one.relative))) for one in (self.prediction, self.truth)
        )
        return ours <= theirs + _ROUNDING

    @property
    def more(self) -> Interval:
        """By how much predictions break it more than their truths, relative, over planets."""
        return interval_of_mean(np.abs(self.prediction.relative) - np.abs(self.truth.relative))

    @property
    def verdict(self) -> str:
        """Worse only where the whole interval says so."""
        if self.no_worse:
            return "no worse"
        return "undecided" if self.more.low <= _ROUNDING else "worse"


def conservation(climates: Climates, mean: Array) -> tuple[Kept, ...]:
    """Every law that these variables tell of, for predicted rows [planet, value] and the true ones.

    None where the data are no planets of ours on a sphere.
    """
    if mean.shape != climates.values.shape:
        raise ConfigError(
            f"conservation: rows of shape {mean.shape} where {climates.source} has "
            f"{climates.values.shape}; predict these planets' values."
        )
    ours, theirs = residuals(climates, mean), residuals(climates, climates.values)
    return tuple(Kept(BUDGETS[name], ours[name], theirs[name]) for name in ours)


def residuals(climates: Climates, values: NDArray[np.floating]) -> dict[str, Residuals]:
    """By law, of rows [planet, value] of these planets: their own or predicted ones."""
    if not climates.planets or not {"lat", "lon"} <= set(climates.axes):
        return {}
    step = max(1, _BLOCK_BYTES // (8 * values.shape[1]))
    parts = [
        _of_block(climates.take(np.arange(begin, end)), values[begin:end].astype(np.float64))
        for begin in range(0, len(values), step)
        if (end := min(begin + step, len(values)))
    ]
    return {
        name: Residuals(
            np.concatenate([part[name].absolute for part in parts]),
            np.concatenate([part[name].relative for part in parts]),
        )
        for name in parts[0]
    }


def _of_block(climates: Climates, values: Array) -> dict[str, Residuals]:
    """Of as many planets as fit in memory."""
    known = Known.of_planets(climates.planets)
    whole = layout_of(climates.variables, climates.axes)
    made = fields_of(climates.variables, values)
    fields = {name: one for name, one in made.items() if name in whole and name in _NEEDED}
    if "rsdt" not in fields:
        # Its mean is the planet's own, and the law asks for no more.
        light = np.broadcast_to(
            known.starlight_wm2[:, None, None], (len(values), *whole.grid.shape)
        )
        fields["rsdt"] = np.array(light)
    layout = Layout.of_fields(fields, whole.grid, whole.layers)
    by_sums, by_columns = (
        [law for law in laws if BUDGETS[law].applies(fields)] for laws in (_BY_SUMS, _BY_COLUMNS)
    )
    sums = zonal_sums(fields, layout, threads=1)
    mass = {"dry_mass": known.pressure_pa / known.worlds.gravity_ms2}
    judged = (
        *evaluate(sums, layout, known.worlds, only=by_sums, reference=mass),
        *evaluate_columns(fields, layout, known.worlds, by_columns),
    )
    return {one.budget.name: Residuals(one.residual, one.relative) for one in judged}
