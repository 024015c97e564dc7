"""The workload: months of a made-up climate in three dialects of NetCDF, the same values in each.

The data are synthetic, and every table made from them says so. They are smooth in space, in the vertical
and in time (red spectra), computed in double precision and rounded once, so that about half of a value's
bits are noise to a compressor, as in a model's output. Below the ground is the fill value.

``nc4`` is deflate 4 with shuffle, one chunk a record; ``nc3`` is classic with 64-bit offsets, records
interleaved; ``pk`` holds int16 with a scale and an offset that differ from file to file.

    python benchmarks/convert_parts/corpus.py FOLDER --scale full
"""

import argparse
import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
FILL = np.float32(-1e30)
PACKED_FILL = np.int16(-32768)
VARIANTS = ("nc4", "nc3", "pk")
UPPER, SURFACE = ("T", "q", "u", "v"), ("tas", "ps", "pr", "olr")
UNITS = dict(
    zip(
        UPPER + SURFACE, ("K", "1", "m s-1", "m s-1", "K", "Pa", "kg m-2 s-1", "W m-2"), strict=True
    )
)
MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
RECIPE = 1  # raised when the values change, so that an older corpus isn't taken for this one


@dataclass(frozen=True)
class Scale:
    """How much of it: a file holds the records of one month of one member."""

    members: int
    months: int
    records: int
    levels: int
    lats: int
    lons: int

    @property
    def decoded_bytes(self) -> int:
        """Of all fields as float32, without the axes."""
        columns = len(UPPER) * self.levels + len(SURFACE)
        return 4 * self.members * self.months * self.records * columns * self.lats * self.lons


SCALES = {
    "full": Scale(8, 8, 14, 40, 46, 72),
    "small": Scale(2, 2, 14, 40, 46, 72),
    "tiny": Scale(2, 2, 3, 4, 6, 8),
}


class Red:
    """Red noise of unit variance that goes on from one record to the next."""

    def __init__(self, random: np.random.Generator, shape: tuple[int, int, int]) -> None:
        self.random, self.shape = random, shape
        lat, lon = np.fft.fftfreq(shape[1]) * shape[1], np.fft.rfftfreq(shape[2]) * shape[2]
        self.filter = (4.0 + lat[:, None] ** 2 + lon[None, :] ** 2) ** -0.75
        self.filter[0, 0] = 0.0
        twice = np.full(lon.size, 2.0)
        twice[0] = 1.0
        if shape[2] % 2 == 0:
            twice[-1] = 1.0
        self.filter /= np.sqrt((self.filter**2 * twice).sum() / (shape[1] * shape[2]))
        self.state = self._fresh()

    def next(self, memory: float = 0.8) -> Field:
        """The field one record later."""
        self.state = memory * self.state + np.sqrt(1 - memory**2) * self._fresh()
        return self.state

    def _fresh(self, memory: float = 0.6) -> Field:
        white = np.fft.rfft2(self.random.standard_normal(self.shape))
        field = np.fft.irfft2(white * self.filter, s=self.shape[1:])
        for level in range(1, self.shape[0]):
            field[level] *= np.sqrt(1 - memory**2)
            field[level] += memory * field[level - 1]
        return field


class World:
    """Axes, ground and mean state, the same for all members."""

    def __init__(self, scale: Scale, seed: int) -> None:
        self.scale = scale
        self.lat = (np.arange(scale.lats) + 0.5) * (180.0 / scale.lats) - 90.0
        self.lon = np.arange(scale.lons) * (360.0 / scale.lons)
        self.pressure_hpa = 984.0 * (0.1 / 984.0) ** (np.arange(scale.levels) / scale.levels)
        ground = Red(np.random.default_rng([seed, 999]), (1, scale.lats, scale.lons)).next()[0]
        self.ground_m = np.maximum(0.0, 2000.0 * (ground - 0.3))
        self.ps_pa = 1.0e5 * np.exp(-self.ground_m / 8000.0)
        self.below = self.pressure_hpa[:, None, None] * 100.0 > self.ps_pa
        cosine = np.cos(np.deg2rad(self.lat))[None, :, None]
        p = self.pressure_hpa[:, None, None] / 1000.0
        warm = np.maximum(200.0, 300.0 * p**0.19) + 35.0 * p * (cosine - 0.7)
        jet = (
            30.0
            * np.exp(-(((p - 0.25) / 0.2) ** 2))
            * np.sin(2 * np.deg2rad(self.lat))[:, None] ** 2
        )
        wet = 0.016 * p**3 * cosine**2 + 2e-6
        tas = 250.0 + 45.0 * cosine - 0.0065 * self.ground_m
        self.make: dict[str, Callable[[Field], Field]] = {
            "T": lambda red: warm + 6.0 * red,
            "q": lambda red: wet * np.exp(0.4 * red),
            "u": lambda red: jet + 9.0 * red,
            "v": lambda red: 6.0 * red,
            "tas": lambda red: tas + 4.0 * red,
            "ps": lambda red: self.ps_pa + 700.0 * red,
            "pr": lambda red: 3e-5 * cosine * np.exp(red),
            "olr": lambda red: 200.0 + 60.0 * cosine + 15.0 * red,
        }


def corpus(folder: Path, scale: str, seed: int = 4) -> dict[str, Path]:
    """The folder of each dialect, with a folder a member; written unless it is there already."""
    stamp = folder / "corpus.json"
    recipe = {"recipe": RECIPE, "seed": seed, "synthetic": True, **asdict(SCALES[scale])}
    if not stamp.is_file() or json.loads(stamp.read_text()) != recipe:
        stamp.unlink(missing_ok=True)
        world = World(SCALES[scale], seed)
        for member in range(world.scale.members):
            _member(folder, world, member, seed)
        stamp.write_text(json.dumps(recipe) + "\n")
    return {variant: folder / variant for variant in VARIANTS}


def files(variant: Path) -> list[list[Path]]:
    """The files of each member, in time's order."""
    members = sorted(variant.glob("member*"), key=lambda one: int(one.name[6:]))
    return [sorted(member.glob("*.nc")) for member in members]


def _member(folder: Path, world: World, member: int, seed: int) -> None:
    """All months of one member, in every dialect; no more than one block of one variable in memory."""
    size = world.scale
    noise = {
        name: Red(
            np.random.default_rng([seed, member, index]),
            (size.levels if name in UPPER else 1, size.lats, size.lons),
        )
        for index, name in enumerate(UPPER + SURFACE)
    }
    for month in range(size.months):
        with contextlib.ExitStack() as stack:
            opened = []
            for variant in VARIANTS:
                path = folder / variant / f"member{member}" / f"month{month:02d}.nc"
                path.parent.mkdir(parents=True, exist_ok=True)
                opened.append(
                    (variant, stack.enter_context(_new(path, variant, world, member, month)))
                )
            for name, red in noise.items():
                block = _block(world, name, red)
                for variant, file in opened:
                    _write(file, variant, name, block)


def _block(world: World, name: str, red: Red) -> NDArray[np.float32]:
    """One month of one variable, (record, level, lat, lon) or (record, lat, lon)."""
    values = np.stack([world.make[name](red.next()) for _ in range(world.scale.records)])
    block = values.astype(np.float32)
    if name in SURFACE:
        return block[:, 0]
    block[:, world.below] = FILL
    return block


@contextlib.contextmanager
def _new(path: Path, variant: str, world: World, member: int, month: int) -> Iterator[Any]:
    import netCDF4

    form = "NETCDF3_64BIT_OFFSET" if variant == "nc3" else "NETCDF4"
    with netCDF4.Dataset(path, "w", format=form) as file:
        file.Conventions = "CF-1.8"
        file.title = "synthetic red noise for a benchmark; no model's output"
        file.member = np.int32(member)
        file.createDimension("time", None)
        for name, values, unit, positive in (
            ("lev", world.pressure_hpa, "hPa", "down"),
            ("lat", world.lat, "degrees_north", ""),
            ("lon", world.lon, "degrees_east", ""),
        ):
            file.createDimension(name, len(values))
            axis = file.createVariable(name, "f8", (name,))
            axis.units = unit
            if positive:
                axis.positive = positive
            axis[:] = values
        time = file.createVariable(
            "time", "f8", ("time",), chunksizes=_one(variant, world.scale.records)
        )
        time.units, time.calendar = "days since 0001-01-01", "noleap"
        first = sum(MONTH_DAYS[m % 12] for m in range(month))
        step = MONTH_DAYS[month % 12] / world.scale.records
        time[:] = first + (np.arange(world.scale.records) + 0.5) * step
        yield file


def _one(variant: str, *chunk: int) -> tuple[int, ...] | None:
    return None if variant == "nc3" else chunk


def _write(file: Any, variant: str, name: str, block: NDArray[np.float32]) -> None:
    """One month of one variable, in the dialect's own way."""
    dims = ("time", "lev", "lat", "lon") if name in UPPER else ("time", "lat", "lon")
    packed = variant == "pk"
    squeeze = {} if variant == "nc3" else {"zlib": True, "complevel": 4, "shuffle": True}
    variable = file.createVariable(
        name,
        "i2" if packed else "f4",
        dims,
        fill_value=PACKED_FILL if packed else FILL,
        chunksizes=_one(variant, 1, *block.shape[1:]),
        **squeeze,
    )
    variable.units = UNITS[name]
    if not packed:
        variable[:] = block
        return
    variable.set_auto_maskandscale(False)
    there = block != FILL
    low, high = float(block[there].min()), float(block[there].max())
    scale = np.float32(max(high - low, 1e-30) / 65000.0)
    offset = np.float32((high + low) / 2)
    variable.scale_factor, variable.add_offset = scale, offset
    steps = np.rint((block.astype(np.float64) - float(offset)) / float(scale))
    variable[:] = np.where(there, steps, PACKED_FILL).astype(np.int16)


def default_folder() -> Path:
    """Where benchmarks keep what takes long to make."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "astrohpc" / "benchmarks"


def main() -> None:
    """Make it, and say how large it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", choices=SCALES, default="full")
    arguments = parser.parse_args()
    print(f"decoded {SCALES[arguments.scale].decoded_bytes / 1e6:.1f} MB (synthetic)")
    for variant, folder in corpus(arguments.folder, arguments.scale).items():
        found = [path for member in files(folder) for path in member]
        print(f"{variant}: {len(found)} files, {sum(p.stat().st_size for p in found) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
