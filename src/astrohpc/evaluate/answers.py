"""What a surrogate answered as a CF NetCDF file: means, bounds, flags, and where it all comes from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.climates.climates import Variable
from astrohpc.engines.canonical import CONVENTIONS, pairs, write_netcdf
from astrohpc.engines.variables import VARIABLES
from astrohpc.evaluate.surrogate import LEVEL, Answer, Asked, Surrogate
from astrohpc.planet import PARAMETERS
from astrohpc.version import VERSION

Array = NDArray[np.float64]

_PLANET = "planet"
_CF = {"m / s2": "m s-2", "W / m2": "W m-2", "W/m2": "W m-2", "m/s2": "m s-2"}
_REFERENCE_PA = 1e5  # by which the part of a layer's pressure that is no share becomes one


def write_answer(
    path: Path,
    surrogate: Surrogate,
    asked: Asked,
    answer: Answer,
    provenance: Mapping[str, Any],
) -> None:
    """Write an answer; a logarithm is undone, and the mean of one becomes a median."""

    def fill(file: Any) -> None:
        mark = surrogate.mark
        about = surrogate.about
        file.setncatts(
            {
                "Conventions": CONVENTIONS,
                "title": f"climates predicted by {surrogate.name}"
                + (f" ({mark} data)" if mark else ""),
                "source": f"surrogate {surrogate.name}, trained on {about.get('members', '?')} members of "
                f"{about.get('source', '?')}",
                "history": f"written by astrohpc {VERSION}",
                "comment": "a statistical prediction of time-mean climates, and no simulation; a planet with "
                "outside_domain = 1 is unlike all that it was trained on",
                "surrogate_data_digest": str(about.get("digest", "")),
                "provenance": json.dumps(provenance, ensure_ascii=False),
            }
        )
        _write_planets(file, surrogate, asked, answer)
        _write_axes(file, surrogate)
        for one in surrogate.variables:
            _write_variable(file, surrogate, one, answer)

    write_netcdf(path, fill)


def of(surrogate: Surrogate, name: str, rows: Array) -> Array:
    """One variable of rows, [planet, level, lat, lon]."""
    end = 0
    for one in surrogate.variables:
        begin, end = end, end + one.size
        if one.name == name:
            return rows[:, begin:end].reshape(len(rows), *one.shape)
    raise KeyError(name)


def physical(variable: Variable, values: Array) -> Array:
    """Values as the data have them, where the surrogate has their logarithm."""
    return np.asarray(10.0**values if variable.logarithm else values)


# ----------------------------------------------------------------------------- what was asked
def _write_planets(file: Any, surrogate: Surrogate, asked: Asked, answer: Answer) -> None:
    file.createDimension(_PLANET, len(asked.names))
    for name, long_name, words in (
        ("planet_name", "name of the planet", asked.names),
        ("outside_why", "why the planet is outside of the domain", answer.outside),
    ):
        made = file.createVariable(name, str, (_PLANET,))
        made.long_name = long_name
        made[:] = np.array(words, dtype=object)
    flags = file.createVariable("outside_domain", "i1", (_PLANET,))
    flags.setncatts(
        {
            "long_name": "whether the planet is outside of the domain that was trained on",
            "flag_values": np.array([0, 1], np.int8),
            "flag_meanings": "inside outside",
        }
    )
    flags[:] = np.array([bool(why) for why in answer.outside], np.int8)
    if asked.planets:
        for name, parameter in PARAMETERS.items():
            values = [getattr(one, parameter.field) for one in asked.planets]
            if name != "mass" and None not in values:
                _plain(
                    file,
                    f"planet_{parameter.field}",
                    np.array(values),
                    parameter.unit,
                    parameter.meaning,
                )
        locked = [one.tidally_locked for one in asked.planets]
        _plain(
            file,
            "planet_tidally_locked",
            np.array(locked, np.int8),
            "1",
            "whether the planet keeps one face to its star",
        )
        return
    for one, values in zip(surrogate.inputs, asked.params.T, strict=True):
        _plain(file, one.name, values, one.unit, f"input {one.name}")


def _plain(file: Any, name: str, values: NDArray[Any], unit: str, long_name: str) -> None:
    made = file.createVariable(name, values.dtype, (_PLANET,))
    made.setncatts({"units": _CF.get(unit, unit) or "1", "long_name": long_name})
    made[:] = values


# ----------------------------------------------------------------------------- what was answered
def _write_axes(file: Any, surrogate: Surrogate) -> None:
    axes = surrogate.axes
    for name, standard, unit, letter in (
        ("lat", "latitude", "degrees_north", "Y"),
        ("lon", "longitude", "degrees_east", "X"),
    ):
        if name in axes:
            file.createDimension(name, len(axes[name]))
            made = file.createVariable(name, "f8", (name,))
            made.setncatts({"standard_name": standard, "units": unit, "axis": letter})
            made[:] = axes[name]
    if "ap_pa" not in axes:
        return
    edges = {"ap": axes["ap_pa"], "b": axes["b"]}
    edges["lev"] = edges["ap"] / _REFERENCE_PA + edges["b"]
    file.createDimension("lev", len(axes["b"]) - 1)
    file.createDimension("nv", 2)
    for name, unit in (("lev", "1"), ("ap", "Pa"), ("b", "1")):
        made = file.createVariable(name, "f8", ("lev",))
        made.setncatts({"units": unit, "bounds": f"{name}_bnds"})
        made[:] = (edges[name][1:] + edges[name][:-1]) / 2
        bounds = file.createVariable(f"{name}_bnds", "f8", ("lev", "nv"))
        bounds[:] = pairs(edges[name])
    file["lev"].setncatts(
        {
            "standard_name": "atmosphere_hybrid_sigma_pressure_coordinate",
            "long_name": "layer: pressure is ap + b * ps",
            "positive": "down",
            "axis": "Z",
            "formula_terms": "ap: ap b: b ps: ps",
        }
    )


def _write_variable(file: Any, surrogate: Surrogate, one: Variable, answer: Answer) -> None:
    dims = _dims(file, one)
    known = VARIABLES.get(one.of)
    unit = (known.unit if known else "1") if one.logarithm else one.unit
    percent = f"{100 * LEVEL:.0f} %"
    middle = "median" if one.logarithm else "mean"
    names = ("low", "high") if answer.known else ()
    for suffix, rows, words in (
        ("", answer.mean, f"{one.long_name}, {middle} of the prediction"),
        ("low", answer.low, f"{one.long_name}, lower end of the {percent} interval"),
        ("high", answer.high, f"{one.long_name}, upper end of the {percent} interval"),
    ):
        if suffix and suffix not in names:
            continue
        made = file.createVariable(
            f"{one.of}_{suffix}" if suffix else one.of,
            "f4",
            dims,
            compression="zlib" if len(dims) > 2 else None,
            complevel=1,
        )
        said = {"long_name": words, "units": unit or "1"}
        if not suffix:
            if known is not None and known.standard_name:
                said["standard_name"] = known.standard_name
            if names:
                said["ancillary_variables"] = " ".join(f"{one.of}_{name}" for name in names)
        made.setncatts(said)
        made[:] = physical(one, of(surrogate, one.name, rows)).astype(np.float32)


def _dims(file: Any, one: Variable) -> tuple[str, ...]:
    """Names of a variable's axes, by what the surrogate says of its own."""
    cells = one.shape[1:] if one.levels else one.shape
    named = ("lat", "lon")[: len(cells)]
    if one.levels and "lev" not in file.dimensions:
        file.createDimension("lev", one.shape[0])
    for name, size in zip(named, cells, strict=True):
        if name not in file.dimensions:
            file.createDimension(name, size)
    return (_PLANET, *(("lev",) if one.levels else ()), *named)
