"""A spectrum from a file that somebody else wrote, with its units; or one made here, which says so.

Text (CSV or columns with a heading as ``wavelength [nm], flux [W m-2 nm-1]``), ECSV, FITS tables and
NetCDF are read. The first column in a unit of wavelength is the wavelength, the first other that is no
uncertainty the spectrum.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.physics.wavelengths import UM_IN, Wavelengths

Array = NDArray[np.float64]

SYNTHETIC = "SYNTHETIC"
_SECOND_RADIATION_UMK = 14387.76877  # h c / k, micrometre kelvin (CODATA 2018)
_NO_SPECTRUM = re.compile(r"err|unc|sigma|std|width|mask|flag|wave|lambda", re.IGNORECASE)
_HEADING = re.compile(r"\s*([^\[\](,;\t]+?)\s*(?:[\[(]\s*([^\])]*?)\s*[\])])?\s*(?:[,;\t]|$)")
_LARGE = 1e30  # float32 ends at 3e38, and totals are products


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Values on a grid. ``mark`` says what it is, where it is no measurement; ``notes`` what was left out."""

    title: str
    source: str
    wavelengths: Wavelengths
    values: NDArray[np.float32]
    name: str
    unit: str
    quantity: Literal["density", "ratio"]
    mark: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Columns:
    """What a file holds: numbers and unit by name, and what it says of itself."""

    values: Mapping[str, Array]
    units: Mapping[str, str]
    said: str


def read_spectrum(path: Path, column: str = "") -> Spectrum:
    """Read a file; ``column`` names the spectrum where the first is not the one that is meant."""
    if not path.is_file():
        raise ConfigError(
            f"{path}: there is no such file; name a spectrum, or none for a synthetic one."
        )
    kind = path.suffixes[-1].lower() if path.suffixes else ""
    try:
        if kind in (".nc", ".nc4", ".cdf"):
            columns = _netcdf(path)
        elif kind in (".fits", ".fit", ".ecsv"):
            columns = _astropy(path, "fits" if kind != ".ecsv" else "ascii.ecsv")
        else:
            columns = _text(path)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, ConfigError):
            raise
        problem = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path}: cannot be read as a spectrum ({problem}); mend it.") from error
    return _chosen(path, columns, column)


def _chosen(path: Path, columns: _Columns, column: str) -> Spectrum:
    units = {name: unit.strip() for name, unit in columns.units.items()}
    of_wavelength = [name for name in columns.values if units[name].lower() in UM_IN]
    first = next(
        (name for name in of_wavelength if "wave" in name.lower() or "lambda" in name.lower()), None
    )
    wave = first or next(iter(of_wavelength), None)
    if wave is None:
        raise ConfigError(
            f"{path}: no column has a unit of wavelength; write it into the heading, as 'wavelength [um]'."
        )
    length = len(columns.values[wave])
    fit = [n for n, v in columns.values.items() if n != wave and len(v) == length]
    if column and column not in fit:
        raise ConfigError(f"{path}: has no column {column!r}; it has {', '.join(fit) or 'none'}.")
    name = column or next((n for n in fit if not _NO_SPECTRUM.search(n)), None)
    if name is None:
        raise ConfigError(
            f"{path}: has no column beside {wave!r} that could be a spectrum; add one."
        )
    unit = units[name]
    if "hz" in unit.lower():
        raise ConfigError(f"{path}: {name} is in {unit!r}; bring it to power per wavelength.")
    there = np.isfinite(columns.values[name]) & np.isfinite(columns.values[wave])
    there &= np.abs(columns.values[name]) < _LARGE
    if there.sum() < 2:
        raise ConfigError(
            f"{path}: {name} has {there.sum()} values; give a spectrum with two or more."
        )
    x, values = columns.values[wave][there], columns.values[name][there]
    order = np.argsort(x, kind="stable")  # what was left out may have been in the middle
    notes = () if there.all() else (f"{(~there).sum()} of {length} bins have no value",)
    ratio = unit in ("", "1", "ppm", "%") or "depth" in name.lower() or "r_p" in unit.lower()
    said = columns.said.lower()
    mark = SYNTHETIC if "synthetic" in said else "MODEL" if re.search(r"\bmodel", said) else ""
    return Spectrum(
        path.name,
        columns.said,
        Wavelengths.from_centres(x[order], units[wave], f"{path}: {wave}"),
        values[order].astype(np.float32),
        name,
        unit,
        "ratio" if ratio else "density",
        mark,
        notes,
    )


def _text(path: Path) -> _Columns:
    """A heading with units, and numbers below; lines with # before the heading say what it is."""
    lines = [
        line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    said, rows, heading = [], [], ""
    for line in lines:
        if not line:
            continue
        if re.match(r"[-+.\d]", line):
            rows.append(
                [float(word) if word else np.nan for word in re.split(r"\s*[,;\s]\s*", line)]
            )
        elif rows:
            raise ConfigError(f"{path}: {line[:60]!r} stands among the numbers; leave it out.")
        else:
            if heading:
                said.append(heading)
            heading = line.lstrip("# ")
    names = [(m[1], m[2] or "") for m in _HEADING.finditer(heading)]
    odd = next((row for row in rows if len(row) != len(names)), [] if not rows else None)
    if odd is not None:
        raise ConfigError(
            f"{path}: its heading names {len(names)} columns and a row has {len(odd)}; "
            "write one heading, as 'wavelength [um], flux [W m-2 um-1]'."
        )
    table = np.array(rows)
    return _Columns(
        {name: table[:, i] for i, (name, _) in enumerate(names)},
        dict(names),
        " ".join(said),
    )


def _astropy(path: Path, form: str) -> _Columns:
    from astropy.table import Table  # noqa: PLC0415 - a second that other files need not pay

    table: Any = Table.read(path, format=form)
    plain = {n: c for n in table.colnames if (c := table[n]).ndim == 1 and c.dtype.kind in "iuf"}
    return _Columns(
        {n: np.ma.filled(np.ma.asarray(c, dtype=np.float64), np.nan) for n, c in plain.items()},
        {n: str(c.unit or "") for n, c in plain.items()},
        " ".join(
            str(v) for k, v in table.meta.items() if k.lower() in ("title", "comment", "comments")
        ),
    )


def _netcdf(path: Path) -> _Columns:
    from netCDF4 import Dataset  # noqa: PLC0415

    with Dataset(path) as file:
        plain = {n: v for n, v in file.variables.items() if v.ndim == 1 and v.dtype.kind in "iuf"}
        said = [
            str(file.getncattr(n)) for n in ("title", "source", "comment") if n in file.ncattrs()
        ]
        return _Columns(
            {
                n: np.ma.filled(np.ma.asarray(v[:], dtype=np.float64), np.nan)
                for n, v in plain.items()
            },
            {n: str(getattr(v, "units", "")) for n, v in plain.items()},
            " ".join(said),
        )


# ----------------------------------------------------------------------------- made here
# Where water, methane, carbon dioxide and oxygen have bands, and how deep and wide (in ln λ) these are here.
_BANDS = (
    *((0.76, 0.5, 0.002), (0.94, 0.35, 0.012), (1.13, 0.5, 0.014), (1.38, 0.85, 0.022)),
    *(
        (1.66, 0.3, 0.012),
        (1.87, 0.9, 0.024),
        (2.0, 0.4, 0.008),
        (2.3, 0.35, 0.016),
        (2.7, 0.95, 0.03),
    ),
)
_LINES = 60


def synthetic_spectrum(bins: int = 3000, temperature_k: float = 3000.0) -> Spectrum:
    """A black body behind a list of bands and lines: like a spectrum, and no star's or planet's."""
    grid = Wavelengths.from_centres(np.geomspace(0.6, 3.0, bins))
    x = grid.centre_um
    flux = x**-5 / np.expm1(_SECOND_RADIATION_UMK / (x * temperature_k))
    flux /= flux.max()
    turn = 0.5 * (5.0**0.5 - 1.0)  # places without a pattern, and the same ones always
    for at, depth, width in _BANDS:
        flux *= 1.0 - depth * np.exp(-0.5 * (np.log(x / at) / width) ** 2)
    for k in range(_LINES):
        at = 0.62 * (2.9 / 0.62) ** ((k * turn) % 1.0)
        flux *= 1.0 - (0.2 + 0.6 * ((k * turn * turn) % 1.0)) * np.exp(
            -0.5 * (np.log(x / at) / 6e-4) ** 2
        )
    return Spectrum(
        "Planck and a list of lines",
        f"a black body of {temperature_k:g} K times a made list of bands and lines",
        grid,
        flux.astype(np.float32),
        "flux",
        "of the greatest",
        "density",
        SYNTHETIC,
    )
