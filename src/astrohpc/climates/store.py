"""Mean climates out of a store of ours: which members count, which variables, and how much each value."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.climates.climates import Array, Climates, Input, Rows, Variable
from astrohpc.engines.variables import VARIABLES
from astrohpc.errors import ConfigError
from astrohpc.planet import PARAMETERS, Planet
from astrohpc.quality.axes import Axes, axes_of
from astrohpc.quality.holder import StoreMember
from astrohpc.quality.request import mark_of_data
from astrohpc.settings import suggest
from astrohpc.store.plan import MEMBER
from astrohpc.store.reader import Store
from astrohpc.store.stored import StoredArray

# What a surrogate of a general circulation model predicts unless it is told otherwise.
LAYERED = ("ta", "hus", "ua", "va", "zg")
SURFACE = ("ts", "ps", "rsut", "rlut")
_BLOCK_BYTES = 2**26  # of fields that are in memory at once
_LEAST_HUMIDITY = 1e-12  # below it the logarithm says nothing of the climate
_SAME = 1e-9  # of its size by which a variable must differ between planets, to be one
_NOTES = ("toa_balance_wm2", "model_years", "cpu_s")


def from_store(path: Path, wanted: Sequence[str] = (), *, unconverged: bool = False) -> Climates:
    """The mean climates of a store's members, over all their times.

    Left out and named: members that did not settle (unless ``unconverged``), or have a gap or a number
    that is none; variables that are the same on every planet.
    """
    with contextlib.closing(Store.open(path)) as store:
        axes = axes_of(StoreMember(store, 0), str(path))
        arrays = _chosen(store, wanted, axes)
        attrs = store.attrs
        names = _members(store)
        excluded = {} if unconverged else _unsettled(attrs, names)
        values = _means(store, arrays, axes)
        for i in np.flatnonzero(~np.isfinite(values).all(axis=1)):
            excluded.setdefault(names[i], _where_not_finite(arrays, values[i]))
        kept = np.array([i for i, name in enumerate(names) if name not in excluded], np.int64)
        if len(kept) < 2:
            said = "; ".join(f"{name}: {why}" for name, why in list(excluded.items())[:3])
            raise ConfigError(
                f"{path}: {len(kept)} of {len(names)} members can be learned from ({said}); run the rest to "
                "their end, then convert again."
            )
        inputs, params = _inputs(store, kept)
        planets = tuple(_planet(store, int(i)) for i in kept)
        weights = _weights(arrays, axes, float(np.mean(_surface_pressure(planets))))
        notes = {name: found[kept] for name in _NOTES if (found := _note(attrs, name)) is not None}
    made = Climates(
        inputs=inputs,
        params=params,
        variables=tuple(one for one, _ in arrays),
        values=values[kept],
        weights=weights,
        names=tuple(names[i] for i in kept),
        planets=planets,
        axes=_axes(axes),
        excluded=tuple(excluded.items()),
        constant=(),
        source=str(path),
        mark=mark_of_data(attrs),
        notes=notes,
    )
    return _without_constants(made)


# ----------------------------------------------------------------------------- what is there
def _chosen(store: Store, wanted: Sequence[str], axes: Axes) -> list[tuple[Variable, StoredArray]]:
    """The variables asked for, or those of the usual ones that the store has; canonical names only."""
    usual = [name for name in (*LAYERED, *SURFACE) if name in store.arrays]
    maps = [name for name in VARIABLES if name in store.arrays]
    found = []
    for name in wanted or usual or maps:
        plain = name.removeprefix("log_")
        if plain not in maps:
            raise ConfigError(
                f"variables: {store.path} has no {name!r} under a canonical name{suggest(plain, maps)}"
            )
        array = store.arrays[plain]
        own = tuple(dim for dim in array.dims[array.lead :])
        layered = bool(axes.lev) and axes.lev in own
        expected = tuple(dim for dim in (axes.lev if layered else "", axes.lat, axes.lon) if dim)
        if own != expected or not array.member:
            raise ConfigError(
                f"variables: {plain} of {store.path} has the axes {own}, and must have a member and "
                f"{expected}; leave it out."
            )
        about = VARIABLES[plain]
        logarithm = plain == "hus"
        found.append(
            (
                Variable(
                    name=f"log_{plain}" if logarithm else plain,
                    long_name=about.long_name,
                    unit="dex" if logarithm else about.unit,
                    shape=tuple(array.own),
                    levels=layered,
                    of=plain,
                    logarithm=logarithm,
                ),
                array,
            )
        )
    return found


def _members(store: Store) -> list[str]:
    if MEMBER not in store.dims:
        raise ConfigError(f"{store.path}: it has no members to learn from; convert a whole sweep.")
    return [str(name) for name in store.coordinate(MEMBER)]


def _unsettled(attrs: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Members whose engine says that they have no equilibrium, with their balance where it is said."""
    said = _by_member(attrs, "converged", len(names))
    if said is None:
        return {}
    balance = _note(attrs, "toa_balance_wm2")
    words = [
        "" if balance is None else f" (balance {one:.2f} W m⁻²)" for one in _each(balance, names)
    ]
    return {
        name: f"it did not settle{words[i]}"
        for i, name in enumerate(names)
        if str(said[i]).lower() == "false"
    }


def _each(values: Array | None, names: Sequence[str]) -> Sequence[float]:
    return [math.nan] * len(names) if values is None else [float(one) for one in values]


def _by_member(attrs: Mapping[str, Any], name: str, members: int) -> Sequence[Any] | None:
    """An attribute of the members' files: a list where they differ, and one for all where not."""
    per_member = attrs.get("per_member", {})
    if name in per_member:
        found: Sequence[Any] = per_member[name]
        return found
    return [attrs[name]] * members if name in attrs else None


def _note(attrs: Mapping[str, Any], name: str) -> Array | None:
    found = attrs.get("per_member", {}).get(name)
    if found is None:
        return None
    return np.array([math.nan if one is None else one for one in found], np.float64)


# ----------------------------------------------------------------------------- values
def _means(store: Store, arrays: Sequence[tuple[Variable, StoredArray]], axes: Axes) -> Rows:
    """[member, value], layers from space down."""
    size = sum(one.size for one, _ in arrays)
    values = np.empty((store.members, size), np.float32)
    step = max(1, _BLOCK_BYTES // max(1, 8 * size * store.times))
    names = [one.of for one, _ in arrays]
    for begin in range(0, store.members, step):
        members = np.arange(begin, min(begin + step, store.members))
        rows = np.stack(np.meshgrid(members, np.arange(store.times), indexing="ij"), -1)
        read = store.batch(rows.reshape(-1, 2), names)
        end = 0
        for one, array in arrays:
            whole = read[one.of].reshape(len(members), store.times, *array.own)
            mean = _over_times(whole)
            if one.levels and _upside_down(axes):
                mean = mean[:, ::-1]
            if one.logarithm:
                mean = np.log10(np.maximum(mean, _LEAST_HUMIDITY))
            first, end = end, end + one.size
            values[members, first:end] = mean.reshape(len(members), -1)
    return values


def _over_times(whole: NDArray[Any]) -> Array:
    """Means over the times that a member has; of shorter members the last ones are all missing."""
    known = np.isfinite(whole)
    there = known.reshape(*whole.shape[:2], -1).any(-1)
    count = there.sum(1).reshape(-1, *[1] * (whole.ndim - 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.where(there.reshape(*there.shape, *[1] * (whole.ndim - 2)), whole, 0.0)
        mean: Array = total.sum(1, dtype=np.float64) / count
    return mean


def _upside_down(axes: Axes) -> bool:
    """Whether the file's first layer is the lowest; ours is the highest."""
    if axes.layers is None:
        return False
    return bool(axes.layers.downward()[2][0] != 0)


def _where_not_finite(
    arrays: Sequence[tuple[Variable, StoredArray]], row: NDArray[np.float32]
) -> str:
    """Which variable of a member has values that are none."""
    end, said = 0, ""
    for one, _ in arrays:
        begin, end = end, end + one.size
        lost = int((~np.isfinite(row[begin:end])).sum())
        if lost and not said:
            said = f"{lost} of {one.size} values of {one.of} are missing or no numbers"
    return said


def _weights(arrays: Sequence[tuple[Variable, StoredArray]], axes: Axes, ps_pa: float) -> Array:
    """Shares of area and, on layers, of mass at a usual surface pressure; of sum one by variable."""
    grid = axes.grid
    rows = np.abs(np.diff(np.sin(np.radians(grid.lat_edge_deg))))
    area = np.outer(rows, np.abs(np.diff(grid.lon_edge_deg))).reshape(-1)
    found = []
    for one, _ in arrays:
        share = area / area.sum()
        if one.levels:
            thick = np.ones(one.shape[0])
            if axes.layers is not None:
                ap, b, _ = axes.layers.downward()
                thick = np.diff(ap + b * ps_pa)
            share = np.outer(thick / thick.sum(), share).reshape(-1)
        found.append(share)
    return np.concatenate(found)


def _axes(axes: Axes) -> dict[str, Array]:
    found = {"lat": axes.grid.lat_deg, "lon": axes.grid.lon_deg}
    if axes.layers is not None:
        ap, b, _ = axes.layers.downward()
        found |= {"ap_pa": ap, "b": b}
    return {name: np.asarray(one, np.float64) for name, one in found.items()}


# ----------------------------------------------------------------------------- planets
def _inputs(store: Store, kept: NDArray[np.int64]) -> tuple[tuple[Input, ...], Array]:
    """The parameters of people that differ between the planets, in SI."""
    found: list[Input] = []
    columns: list[Array] = []
    for name, parameter in PARAMETERS.items():
        stored = f"planet_{parameter.field}"
        if name == "mass" or stored not in store.arrays:
            continue
        values = store.coordinate(stored).astype(np.float64)[kept]
        if not np.isfinite(values).all() or np.ptp(values) == 0:
            continue
        if name == "orbital_period" and "rotation_period" in {one.name for one in found}:
            same = store.coordinate("planet_rotation_period_s").astype(np.float64)[kept]
            if np.array_equal(values, same):
                continue  # tidally locked: said once
        found.append(Input.of(name, parameter.unit.replace(" / ", "/"), values))
        columns.append(values)
    if not found:
        raise ConfigError(f"{store.path}: nothing differs between its planets; convert a sweep.")
    return tuple(found), np.column_stack(columns)


def _planet(store: Store, member: int) -> Planet:
    """The planet of a member, as its own attributes say."""
    said = store.planet(member)
    values = {
        name: float(said[f"planet_{parameter.field}"])
        for name, parameter in PARAMETERS.items()
        if name != "mass" and _is_known(said.get(f"planet_{parameter.field}"))
    }
    locked = str(said.get("planet_tidally_locked", "false")).lower() == "true"
    return Planet.from_si(values, tidally_locked=locked)


def _is_known(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _surface_pressure(planets: Sequence[Planet]) -> list[float]:
    return [one.surface_pressure_pa for one in planets]


def _without_constants(climates: Climates) -> Climates:
    """Without variables that no planet differs in: there is nothing to learn, and a spread of nought."""
    same = []
    for one in climates.variables:
        values = climates.of(one.name)
        size = float(np.abs(values).max())
        if float(np.ptp(values, axis=0).max()) <= _SAME * max(
            size, float(np.finfo(np.float32).tiny)
        ):
            same.append((one.name, "it is the same on every planet"))
    if not same:
        return climates
    left = [one.name for one in climates.variables if one.name not in dict(same)]
    if not left:
        raise ConfigError(f"{climates.source}: every variable is the same on all planets.")
    return replace(climates.only(left), constant=tuple(same))
