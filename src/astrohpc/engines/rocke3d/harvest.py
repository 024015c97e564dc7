"""From raw ``acc`` files to the canonical output: one record a file, with its true length.

Temperature, humidity and clouds stay on the model's own layers. Winds are accumulated at levels of
equal pressure on the corners of the cells: they keep their levels (``plev``) and are moved to the
cells by the mean of a cell's corners.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrohpc.constants import DAY_S
from astrohpc.engines.canonical import (
    Field,
    Grid,
    Layers,
    Output,
    TimeAxis,
    write_canonical,
)
from astrohpc.engines.rocke3d.acc import Acc, Period, combine
from astrohpc.engines.rocke3d.ran import mismatches
from astrohpc.engines.variables import MODELE, VARIABLES, Source, required
from astrohpc.errors import ConfigError
from astrohpc.physics.bgrid import to_cells
from astrohpc.planet import Planet

Array = NDArray[np.float64]

_PA_IN_MB = 100.0
_RATIOS = {
    "planetary_albedo": "ratio of two means; weigh it by rsdt to average it further",
    "surface_albedo": "ratio of two means; weigh it by rsds to average it further",
}
_CATEGORIES = frozenset(source.place for source in MODELE.values())
_VERTICAL = {"level": "lev", "plm": "plev"}


@dataclass(frozen=True)
class _Record:
    """One period, in canonical terms."""

    period: Period
    fields: Mapping[str, tuple[str, NDArray[np.float32]]]  # name: (vertical axis, values)


def harvest(
    paths: Sequence[Path],
    planet: Planet,
    target: Path,
    *,
    asked: Mapping[str, object] | None = None,
    together: bool = False,
    attributes: Mapping[str, float | str] | None = None,
) -> None:
    """Write the canonical output of some ``acc`` files of one run.

    Each file becomes a record; ``together`` makes one record of all, each weighed by its length.
    Files are read one at a time. ``asked`` holds the parameters of the rundeck, to be found again
    in what the model says it ran; ``attributes`` are written as they are.
    """
    if not paths:
        raise ConfigError("harvest: there is no acc file; set KCOPY so that the model keeps them.")
    first: Acc | None = None
    records: list[_Record] = []
    for group in [paths] if together else [[path] for path in paths]:
        acc = combine(group, _CATEGORIES)
        wrong = mismatches(acc, planet, asked)
        if wrong:
            raise ConfigError(" ".join(wrong))
        if first is None:
            first = acc
        elif first.area_m2.shape != acc.area_m2.shape:
            raise ConfigError(
                f"{acc.source}: has another grid than {first.source}; harvest one run at a time."
            )
        records.append(_record(acc))
    assert first is not None
    records.sort(key=lambda record: record.period.first_step)
    write_canonical(
        target,
        Output(
            planet=planet,
            engine="rocke3d",
            source=f"GISS ModelE, {first.title}" if first.title else "GISS ModelE",
            title="Climate of a planet",
            grid=_grid(first),
            time=_time([record.period for record in records]),
            fields=_fields(records),
            layers=_layers(first),
            plev_pa=first.coordinate("aijk", "plm")[::-1] * _PA_IN_MB,
            attributes=attributes,
        ),
    )


def _record(acc: Acc) -> _Record:
    found: dict[str, tuple[str, NDArray[np.float32]]] = {}
    needed = required(gcm=True)
    for name, source in MODELE.items():
        missing = [term for term, _ in source.terms if not acc.has(source.place, term)]
        if missing:
            if name in needed:
                acc.category(source.place)
                raise ConfigError(
                    f"{acc.source}: has no diagnostic {source.place}:{', '.join(missing)}, which "
                    f"{name} ({VARIABLES[name].long_name}) is made of; build the model with it."
                )
            continue
        vertical, values = _evaluate(acc, source)
        if np.isfinite(values).any():
            found[name] = vertical, values.astype(np.float32)  # the files' own precision
        elif name in needed:
            raise ConfigError(
                f"{acc.source}: {source.place}:{source.terms[0][0]} holds nothing but fill values, "
                f"so there is no {name}; the run stopped before its first sample, continue it."
            )
    return _Record(acc.period, found)


def _evaluate(acc: Acc, source: Source) -> tuple[str, Array]:
    """A canonical variable of one file, northward and downward."""
    total: Array | None = None
    vertical = ""
    for name, factor in source.terms:
        field = acc.field(source.place, name)
        values = field.values
        if source.per_day:
            # "mm/day": the model's scale is its day over its time step, so this is what it summed.
            values = values / (acc.scale(source.place, name) * acc.period.step_s)
        if "lat2" in field.dims and "lon2" in field.dims:
            values = to_cells(values)
        for axis in field.dims[:-2]:
            vertical = _VERTICAL.get(axis, "")
            if not vertical or values.ndim != 3:
                raise ConfigError(
                    f"{acc.source}: {source.place}:{name} lies on ({', '.join(field.dims)}), which "
                    "is none of the axes that we know; report the version of the model."
                )
        total = factor * values if total is None else total + factor * values
    assert total is not None
    return vertical, (total[::-1] if vertical else total) + source.offset


def _fields(records: Sequence[_Record]) -> list[Field]:
    fields = []
    for name in MODELE:
        if not any(name in record.fields for record in records):
            continue
        vertical, like = next(record.fields[name] for record in records if name in record.fields)
        empty = np.full_like(like, np.nan)
        values = np.stack([record.fields.get(name, ("", empty))[1] for record in records])
        fields.append(Field(name, values, vertical, comment=_RATIOS.get(name, "")))
    return fields


def _time(periods: Sequence[Period]) -> TimeAxis:
    bounds_s = np.array([period.bounds_s for period in periods])
    for earlier, later in itertools.pairwise(periods):
        if later.first_step < earlier.last_step:
            raise ConfigError(
                f"{later.labels[0]}: begins before the period before it ends "
                f"({earlier.labels[-1]}); name each month once."
            )
    if len({period.first_year for period in periods}) != 1:
        raise ConfigError(
            "harvest: the files count their time from different years; harvest one run at a time."
        )
    return TimeAxis(
        values_d=bounds_s.mean(axis=1) / DAY_S,
        edges_d=bounds_s / DAY_S,
        since=f"{max(periods[0].first_year, 1):04d}-01-01 00:00:00",
        long_name="model time since the beginning of its first year",
        labels=tuple("; ".join(period.labels) for period in periods),
    )


def _grid(acc: Acc) -> Grid:
    lat_deg, lon_deg = (acc.coordinate("aij", name) for name in ("lat", "lon"))
    # The model's own areas give the edges: at a pole a row is less than half of the others.
    rows = acc.area_m2.sum(axis=1)
    sine = np.concatenate([[-1.0], -1.0 + 2.0 * np.cumsum(rows) / rows.sum()])
    half_deg = 0.5 * float(lon_deg[1] - lon_deg[0])
    return Grid(
        lat_deg=lat_deg,
        lat_edge_deg=np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))),
        area_m2=acc.area_m2,
        lon_deg=lon_deg,
        lon_edge_deg=np.append(lon_deg - half_deg, lon_deg[-1] + half_deg),
    )


def _layers(acc: Acc) -> Layers:
    """Sigma below layer ``ls1`` and equal pressure from there on, as hybrid layers."""
    bottom, first_flat = acc.parameters.get("plbot"), acc.parameters.get("ls1")
    count = acc.category("aijl").template.sizes.get("level", 0)
    edge_pa = np.ravel(np.asarray(bottom if bottom is not None else [], dtype=np.float64))
    edge_pa = edge_pa * _PA_IN_MB
    if len(edge_pa) != count + 1 or not isinstance(first_flat, int | np.integer):
        raise ConfigError(
            f"{acc.source}: does not give the edges of its {count} layers (plbot, ls1), so pressure "
            "is unknown; take the file from the run again."
        )
    top_pa = edge_pa[int(first_flat) - 1]
    b = np.clip((edge_pa - top_pa) / (edge_pa[0] - top_pa), 0.0, 1.0)
    ap_pa = edge_pa - b * edge_pa[0]
    b_down, ap_down_pa = b[::-1], ap_pa[::-1]
    return Layers(
        ap_pa=0.5 * (ap_down_pa[1:] + ap_down_pa[:-1]),
        b=0.5 * (b_down[1:] + b_down[:-1]),
        ap_edge_pa=ap_down_pa,
        b_edge=b_down,
        reference_pa=float(edge_pa[0]),
    )
