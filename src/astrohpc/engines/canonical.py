"""The one form in which every engine hands over a climate: CF NetCDF with the planet in it.

Latitudes run northward, layers from space down to the ground, time in days of 86400 s. The pressure
of a layer is ``ap + b * ps`` for every model. :mod:`astrohpc.engines.conformance` checks a file.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.engines.variables import VARIABLES
from astrohpc.files import write_atomic
from astrohpc.planet import PARAMETERS, Planet
from astrohpc.version import VERSION

Array = NDArray[Any]

CONVENTIONS = "CF-1.11"
FILL = 1e20
_FIRST_BYTES = 1 << 10


@dataclass(frozen=True)
class Grid:
    """Where a model's cells lie and how large they are; no longitudes where it has none."""

    lat_deg: Array
    lat_edge_deg: Array
    area_m2: Array
    lon_deg: Array | None = None
    lon_edge_deg: Array | None = None
    substellar_axis: bool = False  # latitude is the angle from the terminator, not from the equator

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the horizontal axes."""
        return ("lat",) if self.lon_deg is None else ("lat", "lon")


@dataclass(frozen=True)
class TimeAxis:
    """Model time in days of 86400 s since a date; ``edges_d`` (n, 2) where values are means.

    The 365-day calendar only lets programs of Earth read the numbers: they are elapsed time, and
    ``labels`` are the dates as the model's own calendar has them.
    """

    values_d: Array
    edges_d: Array | None
    since: str = "0001-01-01 00:00:00"
    long_name: str = "model time"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layers:
    """Hybrid layers from space down: pressure is ``ap + b * ps``; pure sigma has ``ap`` zero."""

    ap_pa: Array
    b: Array
    ap_edge_pa: Array
    b_edge: Array
    reference_pa: float


@dataclass(frozen=True)
class Field:
    """Values of one canonical variable on (time, vertical, lat, lon), without those it has not."""

    variable: str
    values: Array
    vertical: str = ""  # "lev", the model's layers, or "plev", levels of equal pressure
    whole_period: bool = False  # a mean over all times: called <variable>_mean, no time axis
    method: str = "area: mean time: mean"
    comment: str = ""


@dataclass(frozen=True)
class Output:
    """A climate, ready to be written."""

    planet: Planet
    engine: str
    source: str
    title: str
    grid: Grid
    time: TimeAxis
    fields: Sequence[Field]
    layers: Layers | None = None
    plev_pa: Array | None = None
    attributes: Mapping[str, float | str] | None = None


def planet_attributes(planet: Planet) -> dict[str, float | str]:
    """Every constant of the planet that anyone needs to compute with the output."""
    attributes: dict[str, float | str] = {}
    for parameter in PARAMETERS.values():
        value = getattr(planet, parameter.field)
        if value is not None:
            attributes[f"planet_{parameter.field}"] = float(value)
    attributes["planet_gas_constant_jkgk"] = planet.gas_constant_jkgk
    attributes["planet_heat_capacity_jkgk"] = planet.heat_capacity_jkgk
    attributes["planet_tidally_locked"] = str(planet.tidally_locked).lower()
    return attributes


def write_canonical(path: Path, output: Output) -> None:
    """Write a climate; ``path`` appears complete or not at all."""

    def fill(file: Any) -> None:
        file.setncatts(
            {
                "Conventions": CONVENTIONS,
                "title": output.title,
                "source": output.source,
                "engine": output.engine,
                "history": f"written by astrohpc {VERSION}",
                **planet_attributes(output.planet),
                **(output.attributes or {}),
            }
        )
        _write_time(file, output.time)
        _write_grid(file, output.grid)
        if output.layers is not None:
            _write_layers(file, output.layers)
        if output.plev_pa is not None:
            _write_pressure(file, output.plev_pa)
        for field in output.fields:
            _write_field(file, field, output.grid)

    write_netcdf(path, fill)


def write_netcdf(path: Path, fill: Callable[[Any], None]) -> None:
    """Write what ``fill`` puts into a netCDF4 Dataset; ``path`` appears complete or not at all.

    The file is made in memory: a full disk is then an OSError of ours, not a "HDF error".
    """
    from netCDF4 import Dataset  # noqa: PLC0415 - 0.2 s that a status query need not pay

    file = Dataset(path.name, "w", format="NETCDF4", memory=_FIRST_BYTES)
    try:
        fill(file)
    finally:
        content = bytes(file.close())
    write_atomic(path, content[: _end(content)])


def _end(content: bytes) -> int:
    """Where an HDF5 file ends by its own word: its image in memory goes on for up to a MiB."""
    version, offset_bytes = content[8], content[9]
    if version not in (2, 3) or offset_bytes != 8:
        return len(content)
    return int.from_bytes(content[28:36], "little")


def _write_field(file: Any, field: Field, grid: Grid) -> None:
    about = VARIABLES[field.variable]
    dims = (
        *(() if field.whole_period else ("time",)),
        *((field.vertical,) if field.vertical else ()),
        *grid.dims,
    )
    _variable(
        file,
        field.variable + ("_mean" if field.whole_period else ""),
        dims,
        field.values,
        standard_name=about.standard_name,
        long_name=about.long_name + (", mean of the cycle" if field.whole_period else ""),
        units=about.unit,
        positive=about.positive or None,
        cell_methods=field.method,
        cell_measures="area: cell_area",
        comment=field.comment or None,
    )


def _write_time(file: Any, time: TimeAxis) -> None:
    file.createDimension("time", len(time.values_d))
    file.createDimension("nv", 2)
    _variable(
        file,
        "time",
        ("time",),
        time.values_d,
        standard_name="time",
        long_name=time.long_name,
        units=f"days since {time.since}",
        calendar="365_day",
        axis="T",
        bounds=None if time.edges_d is None else "time_bnds",
        comment="elapsed model time in days of 86400 s, whatever the planet's own day and year",
    )
    if time.edges_d is not None:
        _variable(file, "time_bnds", ("time", "nv"), time.edges_d)
    if time.labels:
        labels = file.createVariable("period", str, ("time",))
        labels.long_name = "what the model's own calendar calls this period"
        labels[:] = np.array(time.labels, dtype=object)


def _write_grid(file: Any, grid: Grid) -> None:
    file.createDimension("lat", len(grid.lat_deg))
    locked = grid.substellar_axis
    _variable(
        file,
        "lat",
        ("lat",),
        grid.lat_deg,
        standard_name=None if locked else "latitude",
        long_name="angle from the terminator, substellar point at +90" if locked else "latitude",
        units="degrees" if locked else "degrees_north",
        axis="Y",
        bounds="lat_bnds",
    )
    _variable(file, "lat_bnds", ("lat", "nv"), pairs(grid.lat_edge_deg))
    if grid.lon_deg is not None and grid.lon_edge_deg is not None:
        file.createDimension("lon", len(grid.lon_deg))
        _variable(
            file,
            "lon",
            ("lon",),
            grid.lon_deg,
            standard_name="longitude",
            long_name="longitude",
            units="degrees_east",
            axis="X",
            bounds="lon_bnds",
        )
        _variable(file, "lon_bnds", ("lon", "nv"), pairs(grid.lon_edge_deg))
    _variable(
        file,
        "cell_area",
        grid.dims,
        grid.area_m2,
        standard_name="cell_area",
        long_name="area of the latitude band" if grid.lon_deg is None else "area of the cell",
        units="m2",
    )


def _write_layers(file: Any, layers: Layers) -> None:
    file.createDimension("lev", len(layers.b))
    name = "atmosphere_hybrid_sigma_pressure_coordinate"
    for suffix, dims, ap_pa, b in (
        ("", ("lev",), layers.ap_pa, layers.b),
        ("_bnds", ("lev", "nv"), pairs(layers.ap_edge_pa), pairs(layers.b_edge)),
    ):
        _variable(
            file,
            f"lev{suffix}",
            dims,
            ap_pa / layers.reference_pa + b,
            standard_name=name,
            long_name="layer: pressure is ap + b * ps",
            units="1",
            positive="down",
            axis=None if suffix else "Z",
            bounds=None if suffix else "lev_bnds",
            formula_terms=f"ap: ap{suffix} b: b{suffix} ps: ps",
        )
        _variable(file, f"ap{suffix}", dims, ap_pa, long_name="part of ap + b * ps", units="Pa")
        _variable(file, f"b{suffix}", dims, b, long_name="part of ap + b * ps", units="1")


def _write_pressure(file: Any, plev_pa: Array) -> None:
    file.createDimension("plev", len(plev_pa))
    _variable(
        file,
        "plev",
        ("plev",),
        plev_pa,
        standard_name="air_pressure",
        long_name="pressure",
        units="Pa",
        positive="down",
        axis="Z",
    )


def pairs(edges: Array) -> Array:
    """Edges of neighbouring cells as CF bounds: (n + 1) to (n, 2)."""
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _variable(
    file: Any, name: str, dims: tuple[str, ...], values: Array, **attributes: str | None
) -> None:
    kind = "f4" if values.dtype == np.float32 else "f8"
    gaps = bool(np.isnan(values).any())
    large = values.ndim > 2
    variable = file.createVariable(
        name,
        kind,
        dims,
        fill_value=FILL if gaps else None,
        compression="zlib" if large else None,
        complevel=1,
    )
    variable.setncatts({key: text for key, text in attributes.items() if text is not None})
    variable[:] = np.where(np.isnan(values), FILL, values) if gaps else values
