"""Climates of which a table has a few numbers a planet, and planets of which one asks a surrogate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from astrohpc.climates.climates import Array, Climates, Input, Variable
from astrohpc.climates.columns import Column, read_columns
from astrohpc.climates.units import check_known, in_kelvin_or_not, reading
from astrohpc.errors import ConfigError
from astrohpc.planet import PARAMETERS

_SAME = 1e-9  # of its size by which a number must differ between planets, to be one
_FEWEST = 2  # planets, to differ


@dataclass(frozen=True, eq=False)
class Table:
    """A table's climates; ``said`` is what a person must know of how it was read.

    ``written`` has the unit in which each input was written, for those who ask in the same words.
    """

    climates: Climates
    said: tuple[str, ...]
    written: Mapping[str, str] = field(default_factory=dict)


def from_table(path: Path, units: Mapping[str, str] | None = None) -> Climates:
    """The climates of a table alone."""
    return read_table(path, units).climates


def read_table(path: Path, units: Mapping[str, str] | None = None) -> Table:
    """Planets and their numbers. ``units`` has those of inputs, where the table is silent or wrong.

    Left out and named: planets with a gap, and numbers that are the same on all.
    """
    columns = read_columns(path)
    units = units or {}
    check_known(units, columns.inputs)
    if not columns.inputs or not columns.others:
        what = "input" if not columns.inputs else "variable"
        raise ConfigError(
            f"{path}: it has no {what}; a table of climates has columns of parameters, as "
            f"{', '.join(list(PARAMETERS)[:3])}, and columns of what was measured."
        )
    readings = [reading(one, units.get(one.name, "")) for one in columns.inputs]
    others, said = in_kelvin_or_not(columns.others)
    said = [*(one.said for one in readings if one.said), *said]
    params = np.column_stack([one.values for one in readings])
    values = np.column_stack([one.values for one in others])
    excluded = _gaps(columns.names, params, values, [*columns.inputs, *others])
    kept = np.array([i for i, name in enumerate(columns.names) if name not in dict(excluded)], int)
    if len(kept) < _FEWEST:
        raise ConfigError(
            f"{path}: {len(kept)} of {len(columns.names)} planets have all numbers; give {_FEWEST} or more."
        )
    params, values = params[kept], values[kept]
    varies = np.ptp(params, axis=0) > 0
    inputs = tuple(
        Input.of(one.name, _unit_of(one), params[:, i])
        for i, one in enumerate(columns.inputs)
        if varies[i]
    )
    if not inputs:
        raise ConfigError(f"{path}: no input differs between its planets; give such a table.")
    same = np.ptp(values, axis=0) <= _SAME * np.abs(values).max(axis=0)
    if same.all():
        raise ConfigError(f"{path}: every variable is the same on all planets.")
    climates = Climates(
        inputs=inputs,
        params=params[:, varies],
        variables=tuple(
            Variable(one.name, one.long_name, one.unit, (), levels=False, of=one.name)
            for one, gone in zip(others, same, strict=True)
            if not gone
        ),
        values=values[:, ~same].astype(np.float32),
        weights=np.ones(int((~same).sum())),
        names=tuple(columns.names[i] for i in kept),
        planets=(),
        axes={},
        excluded=excluded,
        constant=tuple(
            (one.name, "it is the same on every planet")
            for one, gone in zip(others, same, strict=True)
            if gone
        ),
        source=str(path),
        mark="",
        notes={},
    )
    written = {one.name: r.unit for one, r in zip(columns.inputs, readings, strict=True)}
    return Table(climates, tuple(said), {one.name: written[one.name] for one in inputs})


def asked_in_table(
    path: Path, inputs: Sequence[Input], written: Mapping[str, str]
) -> tuple[tuple[str, ...], Array, tuple[str, ...]]:
    """Planets to predict: names, [planet, input] in SI, and what a person must know of the reading.

    Other columns are passed over, so that the table of a test set may stand as it is.
    """
    columns = read_columns(path)
    by_name = {one.name: one for one in columns.inputs}
    rows, said = [], []
    for one in inputs:
        if one.name not in by_name:
            raise ConfigError(
                f"{path}: it has no {one.name}, which the surrogate was trained on; add that column."
            )
        gaps = np.flatnonzero(~np.isfinite(by_name[one.name].values))
        if len(gaps):
            raise ConfigError(
                f"{path}: {columns.names[int(gaps[0])]} has no {one.name}; fill the gap, or remove "
                "the planet."
            )
        found = reading(by_name[one.name], trained=(one, written.get(one.name, "")))
        rows.append(found.values)
        if found.said:
            said.append(found.said)
    return columns.names, np.column_stack(rows), tuple(said)


def _unit_of(column: Column) -> str:
    if column.name in PARAMETERS:
        return PARAMETERS[column.name].unit.replace(" / ", "/")
    return column.unit


def _gaps(
    names: Sequence[str], params: Array, values: Array, columns: Sequence[Column]
) -> tuple[tuple[str, str], ...]:
    """Planets that lack a number, and which."""
    if len(set(names)) < len(names):
        name = max(names, key=names.count)
        raise ConfigError(f"{name}: two planets have this name; rename one.")
    whole = np.isfinite(np.hstack([params, values]))
    return tuple(
        (names[int(i)], f"{columns[int(np.argmin(whole[i]))].name} is missing or no number")
        for i in np.flatnonzero(~whole.all(axis=1))
    )
