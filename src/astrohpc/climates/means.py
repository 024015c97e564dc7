"""Climates as one number a variable: its mean over the planet."""

from dataclasses import replace

import numpy as np

from astrohpc.climates.climates import Climates, Rows


def over_planets(climates: Climates) -> Climates:
    """Every variable's mean over area and mass; of humidity the mean of the logarithm."""
    rows: Rows = np.column_stack(
        [
            climates.values[:, place].astype(np.float64) @ climates.weights[place]
            for place in climates.places.values()
        ]
    ).astype(np.float32)
    return replace(
        climates,
        variables=tuple(replace(one, shape=(), levels=False) for one in climates.variables),
        values=rows,
        weights=np.ones(len(climates.variables)),
        axes={},
    )
