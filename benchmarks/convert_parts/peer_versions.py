"""Which packages a contender's own environment holds."""

import json
from typing import Any

import record

OF_INTEREST = (
    "blosc",
    "dask",
    "deflate",
    "h5py",
    "mpi4py",
    "netCDF4",
    "numcodecs",
    "numpy",
    "rechunker",
    "tensorstore",
    "xarray",
    "zarr",
    "zarrista",
    "zarrs",
)


def provenance(pythons: dict[str, str]) -> dict[str, Any]:
    """As :func:`record.provenance`; ``pythons`` are the interpreters that took part, by name."""
    return {
        **record.provenance(),
        "mpi": (record.said("mpirun", "--version").splitlines() or [""])[0],
        "versions": {name: _versions(python) for name, python in pythons.items()},
    }


def _versions(python: str) -> dict[str, str]:
    found = json.loads(record.said(python, "-m", "pip", "list", "--format=json") or "[]")
    return {one["name"]: one["version"] for one in found if one["name"] in OF_INTEREST}
