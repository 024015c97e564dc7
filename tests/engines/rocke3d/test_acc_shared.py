"""Every diagnostic of ModelE's own scaled files, made again from the raw ``acc`` file."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset
from support import REPOSITORY, make_planet

from astrohpc.engines.rocke3d.acc import Acc, combine, read_acc
from astrohpc.engines.rocke3d.ran import mismatches
from astrohpc.errors import ConfigError

FOLDER = Path(os.environ.get("ASTROHPC_GCM") or REPOSITORY.parent / "shared" / "data" / "gcm")
CATEGORIES = ("aij", "aijl", "aijk", "aj", "ajl", "agc", "consrv")
RUNS = {"modelE_8x10": "AR12", "modelE_72x46": "AS20"}
TOLERANCE = 1e-6

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"no output of ModelE in {FOLDER}; set ASTROHPC_GCM to a folder of it",
)


@dataclass
class Comparison:
    """What was compared, the worst relative difference, and what ModelE left unwritten."""

    count: int = 0
    worst: float = 0.0
    name: str = ""
    empty: list[str] = field(default_factory=list)

    def add(self, name: str, ours: np.ndarray, theirs: np.ndarray) -> None:
        assert ours.shape == theirs.shape, name
        fill = np.abs(theirs) > 1e29
        assert (np.isnan(ours) == fill).all(), name
        theirs = theirs.astype(np.float64)[~fill]
        difference = np.abs(ours[~fill] - theirs)
        relative = np.where(
            difference == 0, 0.0, difference / np.where(theirs == 0, 1e-300, np.abs(theirs))
        )
        self.count += 1
        if relative.size and relative.max() > self.worst:
            self.worst, self.name = float(relative.max()), name


def compare(acc: Acc, category: str, path: Path) -> Comparison:
    result = Comparison()
    with Dataset(path) as scaled:
        scaled.set_auto_mask(False)
        for name, variable in scaled.variables.items():
            base, _, kind = name.rpartition("_")
            theirs = variable[:]
            if acc.has(category, name):
                ours = acc.field(category, name)
                assert ours.dims == variable.dimensions
                assert ours.units == getattr(variable, "units", "").strip()
                result.add(name, ours.values, theirs)
            elif kind == "hemis" and acc.has(category, base):
                hemispheric = acc.field(category, base).hemispheric
                assert hemispheric is not None
                result.add(name, hemispheric, theirs)
            elif kind == "vmean" and acc.has(category, base):
                vertical = acc.field(category, base).vertical
                assert vertical is not None
                result.add(name, vertical, theirs)
            elif name == "axyp":
                result.add(name, acc.area_m2, theirs)
            elif name in acc.category(category).template.coordinates:
                result.add(name, acc.coordinate(category, name), theirs)
            elif variable.dtype.kind == "S":
                continue  # names of surface types
            else:
                # Declared for another of ModelE's tools to compute; no sum of it exists.
                assert name not in acc.category(category).names
                assert not theirs.any(), name
                result.empty.append(name)
    return result


@pytest.mark.parametrize("folder", RUNS)
def test_every_variable_of_every_category_is_reproduced(folder: str) -> None:
    acc = read_acc(FOLDER / folder / f"JAN1850.acc{RUNS[folder]}.nc")
    results = {}
    for category in CATEGORIES:
        path = FOLDER / folder / f"JAN1850.{category}{RUNS[folder]}.nc"
        if path.exists():
            results[category] = compare(acc, category, path)
    for category, found in results.items():
        print(
            f"{folder} {category:7} {found.count:4} variables, worst {found.worst:.2e} ({found.name})"
            + (f", {len(found.empty)} never written by the model" if found.empty else "")
        )
    total = sum(found.count for found in results.values())
    print(f"{folder} {total} variables, worst {max(found.worst for found in results.values()):.2e}")
    assert set(results) == set(CATEGORIES) - ({"agc"} if "72" in folder else set())
    assert total >= (1500 if "agc" in results else 1300)
    assert {
        category: found.name for category, found in results.items() if found.worst > TOLERANCE
    } == {}
    assert all(not found.empty or category == "agc" for category, found in results.items())


def test_three_months_together_are_the_mean_weighted_by_days() -> None:
    files = [FOLDER / "modelE_8x10" / f"{month}1850.accAR12.nc" for month in ("JAN", "FEB", "MAR")]
    months = [read_acc(path) for path in files]
    days = [month.period.length_s / 86400.0 for month in months]
    assert days == [31.0, 28.0, 31.0]
    together = combine(files)
    assert together.period.length_s / 86400.0 == 90.0
    means = [month.global_mean("aij", "tsurf") for month in months]
    assert together.global_mean("aij", "tsurf") == pytest.approx(
        np.average(means, weights=days), rel=1e-6
    )
    # Light is sampled at every step, so the albedo of the three is theirs weighted by it.
    light = [month.global_mean("aij", "incsw_toa") for month in months]
    albedo = [month.global_mean("aij", "plan_alb") for month in months]
    weights = [one * length for one, length in zip(light, days, strict=True)]
    assert together.global_mean("aij", "plan_alb") == pytest.approx(
        np.average(albedo, weights=weights), rel=2e-3
    )
    assert together.global_mean("aij", "prsurf") == pytest.approx(984.0, abs=1e-3)


def _asked(path: Path) -> dict[str, object]:
    """The parameters of an ``I`` file, as simply as can be."""
    found: dict[str, object] = {}
    for line in path.read_text().split("&&PARAMETERS")[1].split("&&END")[0].splitlines():
        name, equals, text = line.partition("=")
        if equals:
            words = text.strip().split(",")
            try:
                numbers = [float(word) for word in words]
                found[name.strip()] = numbers if len(numbers) > 1 else numbers[0]
            except ValueError:
                found[name.strip()] = text.strip().strip("'")
    return found


@pytest.mark.parametrize("folder", RUNS)
def test_every_parameter_that_was_asked_is_found_in_what_ran(folder: str) -> None:
    acc = read_acc(FOLDER / folder / f"JAN1850.acc{RUNS[folder]}.nc")
    asked = _asked(FOLDER / folder / "I")
    planet = make_planet(surface_pressure="984 hPa", eccentricity=0.0167)
    assert len(asked) > 55
    assert mismatches(acc, planet, asked) == []
    asked["KOCEAN"] = 0
    (sentence,) = mismatches(acc, planet, asked)
    assert "ran with KOCEAN = 1, but 0 was asked for" in sentence


def test_a_scaled_file_is_not_taken_for_a_raw_one() -> None:
    path = FOLDER / "modelE_72x46" / "PARTIAL.aijPL20.planet_params.nc"
    with pytest.raises(
        ConfigError, match=r"PL20.*has no variable 'idacc', so it is not a raw acc file"
    ):
        read_acc(path)


def test_reading_some_categories_gives_the_same_numbers() -> None:
    path = FOLDER / "modelE_8x10" / "JAN1850.accAR12.nc"
    some = read_acc(path, only={"aij"})
    assert list(some.categories) == ["aij"]
    assert some.global_mean("aij", "net_rad_planet") == pytest.approx(37.0061149597168, rel=1e-6)
