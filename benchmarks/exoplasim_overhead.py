"""What a member costs besides ExoPlaSim: core-seconds a model day, ours and a bare script's.

Both run the same planet with the same settings for the same number of days on one core, alternating;
medians are compared. Ours is a process of its own that imports astrohpc, runs the member in legs and
writes the canonical climate. The bare script imports exoplasim, runs the days at once and lets it write
its NetCDF, with the honest stamps that ours has; its defaults (twelve stamps, snapshots) cost more.

    python benchmarks/exoplasim_overhead.py --days 30 --repeats 5
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

from astrohpc.engines.exoplasim import Exoplasim, ExoplasimSettings
from astrohpc.engines.exoplasim.arguments import configure_arguments
from astrohpc.engines.exoplasim.build import ensure
from astrohpc.planet import Planet

TARGET_RATIO = 1.05
PLANET = {
    "radius": "6371 km",
    "gravity": "9.81 m/s2",
    "rotation_period": "1 d",
    "surface_pressure": "1 bar",
    "co2": "280 ppm",
    "ch4": 0,
    "stellar_flux": "1361 W/m2",
    "stellar_temperature": "5772 K",
    "orbital_period": "365.25 d",
}
OURS = """
import json, sys
from pathlib import Path
from astrohpc.engines.load import load_engine
from astrohpc.planet import Planet
given = json.load(open(sys.argv[1]))
engine = load_engine({"name": "exoplasim", **given["settings"]})
verdict = engine.run(
    Planet(**given["planet"]), Path(sys.argv[2]), stop=lambda: False, report=lambda _: None
)
assert verdict.outcome == "done", verdict
"""
BARE = """
import json, sys
import exoplasim
given = json.load(open(sys.argv[1]))
model = exoplasim.Model(
    workdir="model", modelname="bare", resolution="T21", layers=10, ncpus=1, outputtype=".nc"
)
model.configure(**given["arguments"])
model.cfgpostprocessor(ftype="regular", extension=".nc", times=None, timeaverage=False)
model.run(years=1, crashifbroken=True)
"""


def measure(program: str, given: Path, folder: Path) -> dict[str, float]:
    """Core-seconds and seconds of one process and all that it starts."""
    folder.mkdir()
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with (folder / "log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-c", program, str(given), str(folder)],
            cwd=folder,
            stdout=log,
            stderr=log,
            check=True,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "log"]
    return {
        "cpu_s": used,
        "wall_s": time.monotonic() - began,
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
    }


def main() -> None:
    """Measure, print a table and the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--leg-days", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    arguments = parser.parse_args()
    chosen: dict[str, Any] = {
        "run_days": arguments.days,
        "leg_days": arguments.leg_days,
        "output_days": 5.0,
        "climate_days": arguments.days,
    }
    head = record.provenance("numpy")
    planet, settings = Planet.from_config(PLANET), ExoplasimSettings(**chosen)
    build = ensure(settings)
    Exoplasim(settings).check(planet)
    bare = configure_arguments(planet, settings)
    bare["runsteps"] = round(arguments.days * settings.steps_per_day)
    runs: dict[str, list[dict[str, float]]] = {"astrohpc": [], "bare": []}
    with tempfile.TemporaryDirectory(prefix="exoplasim-") as folder:
        given = Path(folder) / "given.json"
        given.write_text(
            json.dumps({"settings": chosen, "planet": vars(planet), "arguments": bare})
        )
        for repeat in range(arguments.repeats):
            for name, program in (("astrohpc", OURS), ("bare", BARE)):
                runs[name].append(measure(program, given, Path(folder) / f"{name}-{repeat}"))
                print(
                    f"# {repeat + 1}/{arguments.repeats} {name}: {runs[name][-1]}", file=sys.stderr
                )

    median = {
        name: {key: statistics.median(one[key] for one in found) for key in found[0]}
        for name, found in runs.items()
    }
    ratio = median["astrohpc"]["cpu_s"] / median["bare"]["cpu_s"]
    print(f"| T21, {arguments.days:g} days | core-seconds a model day | files left | MB left |")
    print("|---|---|---|---|")
    for name, one in median.items():
        print(
            f"| {name} | {one['cpu_s'] / arguments.days:.3f} | {one['files']:.0f} "
            f"| {one['bytes'] / 1e6:.1f} |"
        )
    print(f"\nratio {ratio:.3f} (target: at most {TARGET_RATIO})")
    if arguments.out:
        result = {
            **head,
            "exoplasim": build.version,
            "compiler": build.compiler,
            "days": arguments.days,
            "leg_days": arguments.leg_days,
            "ratio": ratio,
            "runs": runs,
        }
        record.write(arguments.out, result)


if __name__ == "__main__":
    main()
