"""What the laws of physics say of predicted climates, next to what they say of the model's own.

The laws are those of :mod:`astrohpc.physics.lawbook`, which checks of output use: here a sample is a
planet's mean climate. Such a mean keeps no law to rounding (means of products are not products of
means, and a run that settled still gains or loses heat), so a prediction is held against the truth's
own residual and not against nought.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.climates.climates import Climates
from astrohpc.errors import ConfigError
from astrohpc.physics.budgets import evaluate, evaluate_columns
from astrohpc.physics.latlon import LatLon, source_grid
from astrohpc.physics.law import Budget
from astrohpc.physics.lawbook import BUDGETS
from astrohpc.physics.layout import Layout
from astrohpc.physics.sums import zonal_sums
from astrohpc.physics.vertical import LayerEdges
from astrohpc.physics.worlds import Worlds

Array = NDArray[np.float64]
Fields = dict[str, Array]

# Laws of a state; those of storage and growth say nothing of a mean climate.
_BY_SUMS = (
    "toa_energy",
    "dry_mass",
    "meridional_mass_flux",
    "temperature",
    "humidity",
    "cloud",
    "pressure",
)
_BY_COLUMNS = ("hydrostatic", "saturation")
_WHOLE_SPHERE_DEG = np.array([[0.0, 360.0]])
_BLOCK_BYTES = 2**27


@dataclass(frozen=True, eq=False)
class Kept:
    """How far one law is kept, [planet] each, by prediction and by truth; ``relative`` to its own scale."""

    law: Budget
    prediction: Array
    truth: Array
    prediction_relative: Array
    truth_relative: Array

    @property
    def row(self) -> dict[str, float | str]:
        """For a table: medians and largest of the sizes, in the law's unit."""
        found: dict[str, float | str] = {
            "law": self.law.name,
            "title": self.law.title,
            "unit": self.law.unit,
        }
        for whose in ("prediction", "truth"):
            size, relative = (
                np.abs(getattr(self, whose)),
                np.abs(getattr(self, f"{whose}_relative")),
            )
            found |= {
                f"{whose}_median": float(np.median(size)),
                f"{whose}_largest": float(size.max()),
                f"{whose}_relative_median": float(np.median(relative)),
                f"{whose}_relative_largest": float(relative.max()),
            }
        return found

    @property
    def no_worse(self) -> bool:
        """Whether the prediction keeps it at least as well as the truth does, in the median of planets.

        To within the rounding of single precision, in which truth is stored.
        """
        ours, theirs = (
            float(np.median(np.abs(one))) for one in (self.prediction_relative, self.truth_relative)
        )
        return ours <= theirs + float(np.finfo(np.float32).eps)


def conservation(climates: Climates, mean: Array) -> tuple[Kept, ...]:
    """Every law that these variables tell of, for predicted rows [planet, value] and the true ones.

    None where the data are no planets on a sphere.
    """
    if mean.shape != climates.values.shape:
        raise ConfigError(
            f"conservation: rows of shape {mean.shape} where {climates.source} has "
            f"{climates.values.shape}; predict these planets' values."
        )
    if not climates.planets or "lat" not in climates.axes:
        return ()
    ours, theirs = residuals(climates, mean), residuals(climates, climates.values)
    return tuple(
        Kept(BUDGETS[name], *ours[name][:1], *theirs[name][:1], ours[name][1], theirs[name][1])
        for name in ours
    )


def residuals(climates: Climates, values: NDArray[np.floating]) -> dict[str, tuple[Array, Array]]:
    """By law the residual of each row and the same relative to the law's scale, [planet] each."""
    grid, layers = _grid(climates), _layers(climates)
    worlds = Worlds.of_planets(climates.planets)
    column_pa = np.array([one.column_mass_kgm2 for one in climates.planets])
    step = max(1, _BLOCK_BYTES // (8 * values.shape[1]))
    found: dict[str, list[tuple[Array, Array]]] = {}
    for begin in range(0, len(values), step):
        chosen = np.arange(begin, min(begin + step, len(values)))
        fields = _fields(climates.take(chosen), values[chosen], grid)
        if not fields:
            return {}
        layout = Layout.of_fields(fields, grid, layers)
        there = worlds.take(chosen)
        laws = [name for name in _BY_SUMS if BUDGETS[name].applies(fields)]
        columns = [name for name in _BY_COLUMNS if BUDGETS[name].applies(fields)]
        sums = zonal_sums(fields, layout, threads=1)
        judged = evaluate(
            sums, layout, there, only=laws, reference={"dry_mass": column_pa[chosen]}
        ) + evaluate_columns(fields, layout, there, columns)
        for one in judged:
            found.setdefault(one.budget.name, []).append((one.residual, one.relative))
    return {
        name: (np.concatenate([r for r, _ in parts]), np.concatenate([s for _, s in parts]))
        for name, parts in found.items()
    }


def _fields(climates: Climates, values: NDArray[np.floating], grid: LatLon) -> Fields:
    """The canonical variables that laws take in, [planet, (level,) lat, lon]."""
    wanted = {name for law in (*_BY_SUMS, *_BY_COLUMNS) for name in _taken_by(BUDGETS[law])}
    found: Fields = {}
    for one in climates.variables:
        if one.of not in wanted or not one.shape:
            continue
        whole = climates.of(one.name, values).astype(np.float64)
        whole = whole.reshape(len(values), *one.shape[:1] if one.levels else (), *grid.shape)
        found[one.of] = 10.0**whole if one.logarithm else whole
    if "rsdt" not in found:
        # Its mean is the planet's own, whatever orbit and rotation do with its places.
        light = np.array([0.25 * one.mean_flux_wm2 for one in climates.planets])
        found["rsdt"] = np.broadcast_to(light[:, None, None], (len(values), *grid.shape)).copy()
    return found


def _taken_by(law: Budget) -> tuple[str, ...]:
    return (*law.needs, *law.uses)


def _grid(climates: Climates) -> LatLon:
    lat, lon = climates.axes["lat"], climates.axes["lon"]
    bounds = _WHOLE_SPHERE_DEG if len(lon) == 1 else None
    return source_grid(climates.source, lat, lon, None, bounds)


def _layers(climates: Climates) -> LayerEdges | None:
    if "ap_pa" not in climates.axes:
        return None
    return LayerEdges(climates.axes["ap_pa"], climates.axes["b"])


def rows(kept: tuple[Kept, ...]) -> list[Mapping[str, Any]]:
    """A table of them."""
    return [one.row for one in kept]
