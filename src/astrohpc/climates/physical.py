"""Rows of climates as fields of physics, and back: how laws and projections are applied to predictions.

A bundle has no data any more, so these take variables, axes and planets, which a Climates has, too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.climates.climates import Array, Climates, Variable
from astrohpc.errors import ConfigError
from astrohpc.physics.latlon import source_grid
from astrohpc.physics.layout import Block, Layout
from astrohpc.physics.projections import ORDER, Projection, made_for, project
from astrohpc.physics.vertical import LayerEdges
from astrohpc.physics.worlds import Known
from astrohpc.planet import Planet


def layout_of(variables: Sequence[Variable], axes: Mapping[str, Array]) -> Layout:
    """Grid, layers and the variables by the names that laws know them by; without layers, only maps.

    ConfigError where the values have no places on a sphere, as scalars have none.
    """
    if "lat" not in axes or "lon" not in axes:
        raise ConfigError("projections: the data have no latitudes and longitudes; leave them out.")
    around = np.array([[0.0, 360.0]]) if len(axes["lon"]) == 1 else None
    grid = source_grid("data", axes["lat"], axes["lon"], None, around)
    layers = LayerEdges(axes["ap_pa"], axes["b"]) if "b" in axes else None
    blocks = tuple(
        Block.canonical(one.of, one.shape[0] if one.levels else 0)
        for one in variables
        if layers is not None or not one.levels
    )
    return Layout(blocks, grid, layers)


def fields_of(variables: Sequence[Variable], values: Any) -> dict[str, Any]:
    """Rows [planet, value], of numpy or torch, as fields in their own units: humidity, not its logarithm."""
    found, end = {}, 0
    for one in variables:
        begin, end = end, end + one.size
        around = (1,) if len(one.shape) == 1 + one.levels else ()  # a model without longitudes
        field = values[:, begin:end].reshape(len(values), *one.shape, *around)
        found[one.of] = 10.0**field if one.logarithm else field
    return found


def rows_with(
    variables: Sequence[Variable], values: NDArray[np.floating], fields: Mapping[str, Array]
) -> Array:
    """Rows with these fields in place of their own; all others keep every bit that they had."""
    made, end = np.array(values, np.float64), 0
    for one in variables:
        begin, end = end, end + one.size
        if one.of in fields:
            field = fields[one.of]
            made[:, begin:end] = (np.log10(field) if one.logarithm else field).reshape(
                len(made), -1
            )
    return made


def projected(
    mean: NDArray[np.floating],
    variables: Sequence[Variable],
    axes: Mapping[str, Array],
    planets: Sequence[Planet],
    projections: Sequence[Projection],
) -> Array:
    """Predicted rows [planet, value], brought to keep what the projections say."""
    if not projections:
        return np.array(mean, np.float64)
    layout = layout_of(variables, axes)
    fields = _on(layout, fields_of(variables, np.asarray(mean, np.float64)))
    changed = project(fields, layout, Known.of_planets(planets), projections)
    return rows_with(variables, mean, changed)


def projections_for(
    climates: Climates, names: Sequence[str] = ORDER, *, imbalance_wm2: float | None = None
) -> tuple[Projection, ...]:
    """Those of these names that climates like the given ones, to be trained on, have the variables for.

    Where light absorbed and infrared sent out differ in these climates, so they do, by the median, in what
    is predicted; ``imbalance_wm2`` says otherwise. None at all for data without planets or places.
    """
    if not climates.planets or "lat" not in climates.axes:
        return ()
    layout = layout_of(climates.variables, climates.axes)
    fields = _on(layout, fields_of(climates.variables, climates.values.astype(np.float64)))
    known = Known.of_planets(climates.planets)
    return made_for(fields, layout, known, names, imbalance_wm2=imbalance_wm2)


def _on(layout: Layout, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values for name, values in fields.items() if name in layout}
