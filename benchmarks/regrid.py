"""Fields a CPU-second brought from 46 x 72 to the 32 x 64 Gaussian grid: ours, xarray's and scipy's.

The data are synthetic: smooth waves with noise, in single precision. All ways run in this process on
one thread, in turns; medians are compared. Ours also runs with gaps that move from field to field.

    python benchmarks/regrid.py --fields 2240 --repeats 7 --out benchmarks/results/regrid.json
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import record
import xarray
from scipy.interpolate import RegularGridInterpolator

from astrohpc.physics.latlon import LatLon, source_grid, target_grid
from astrohpc.physics.regrid import bilinear, conservative

TARGET_RATIO = 15.0
REFERENCE = "xarray.interp, all fields at once"
OURS = "ours, bilinear"


def synthetic(grid: LatLon, count: int) -> np.ndarray:
    """Fields of a few waves and noise."""
    draw = np.random.default_rng(20260401)
    lat, lon = np.radians(grid.lat_deg)[:, None], np.radians(grid.lon_deg)
    waves = np.stack([np.cos(m * lon + m) * np.cos(lat) ** m for m in range(6)])
    fields = np.tensordot(draw.normal(size=(count, len(waves))), waves, axes=1)
    return (fields + 0.1 * draw.normal(size=fields.shape)).astype(np.float32)


def ways(source: LatLon, target: LatLon, fields: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """What is compared, by name: each returns the fields that it made."""
    linear, areas = bilinear(source, target), conservative(source, target)
    gaps = fields.copy()
    gaps[np.arange(len(gaps)), np.arange(len(gaps)) % 46, np.arange(len(gaps)) % 72] = np.nan
    # The peers know no circle: they get the first column once more behind the last.
    closed = np.concatenate([fields, fields[..., :1]], axis=-1)
    lon = np.append(source.lon_deg, source.lon_deg[0] + 360.0)
    where = source.lon_deg[0] + (target.lon_deg - source.lon_deg[0]) % 360.0
    array = xarray.DataArray(
        closed, dims=("field", "lat", "lon"), coords={"lat": source.lat_deg, "lon": lon}
    )
    points = np.stack(np.meshgrid(target.lat_deg, where, indexing="ij"), axis=-1)
    some = closed[: max(1, len(fields) // 10)]
    return {
        OURS: lambda: linear.apply(fields),
        REFERENCE: lambda: array.interp(lat=target.lat_deg, lon=where).values,
        "ours, bilinear, moving gaps": lambda: linear.apply(gaps),
        "ours, conservative": lambda: areas.apply(fields),
        "scipy RegularGridInterpolator, a field at a time": lambda: np.stack(
            [RegularGridInterpolator((source.lat_deg, lon), one)(points) for one in some]
        ),
    }


def main() -> None:
    """Measure, print a table and the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fields", type=int, default=2240)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    arguments = parser.parse_args()
    head = record.provenance("numpy", "numba", "scipy", "xarray")
    source = source_grid("synthetic", np.linspace(-90.0, 90.0, 46), np.arange(-177.5, 180.0, 5.0))
    target = target_grid("T21")
    fields = synthetic(source, arguments.fields)
    compared = ways(source, target, fields)
    made = {name: way() for name, way in compared.items()}  # also compiles
    difference = float(np.abs(made[OURS] - made[REFERENCE]).max())
    rates: dict[str, list[float]] = {name: [] for name in compared}
    for repeat in range(arguments.repeats):
        for name, way in compared.items():
            began = time.process_time()
            way()
            rates[name].append(len(made[name]) / (time.process_time() - began))
        print(f"# {repeat + 1}/{arguments.repeats}", file=sys.stderr)

    median = {name: statistics.median(found) for name, found in rates.items()}
    ratio = {name: rate / median[REFERENCE] for name, rate in median.items()}
    print("| 46 x 72 to 32 x 64, synthetic, float32 | fields a CPU-second | times xarray |")
    print("|---|---|---|")
    for name, rate in median.items():
        print(f"| {name} | {rate:,.0f} | {ratio[name]:.2f} |")
    print(f"\nratio {ratio[OURS]:.1f} (target: at least {TARGET_RATIO:g})")
    print(f"largest difference between ours and xarray's: {difference:.1e}")
    if arguments.out:
        result = {
            **head,
            "data": "synthetic",
            "fields": arguments.fields,
            "largest_difference": difference,
            "ratio": ratio[OURS],
            "fields_a_cpu_s": rates,
        }
        record.write(arguments.out, result)


if __name__ == "__main__":
    main()
