"""Small ``acc`` files of our own making, with means that are known beforehand.

Nothing in them comes from the model: a few cells, a few layers, constant or simple fields, written
in the form in which ModelE writes its sums.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from netCDF4 import Dataset

LAT = np.array([-90.0, -54.0, -18.0, 18.0, 54.0, 90.0])
LON = np.array([-135.0, -45.0, 45.0, 135.0])
JM, IM = len(LAT), len(LON)
PLBOT_MB = (800.0, 500.0, 200.0, 50.0)
LM = len(PLBOT_MB) - 1
FLUX_WM2 = 1000.0
PRECIPITATION_KGM2S = 3e-5

_AXES = {"lat": JM, "lon": IM, "lat2": JM, "lon2": IM, "level": LM, "plm": LM, "shnhgm": 3}


@dataclass(frozen=True)
class Diagnostic:
    """What a diagnostic's mean is, and by which recipe its sum is kept."""

    mean: Any
    units: str = "W/m^2"
    scale: float = 1.0
    counter: int = 1
    denominator: str = ""
    dims: tuple[str, ...] = ("lat", "lon")


def surface(value: float, **rest: Any) -> Diagnostic:
    return Diagnostic(np.full((JM, IM), value), **rest)


def layers(
    *values: float, dims: tuple[str, ...] = ("level", "lat", "lon"), **rest: Any
) -> Diagnostic:
    mean = np.repeat(np.array(values), JM * IM).reshape(LM, JM, IM)
    return Diagnostic(mean, dims=dims, **rest)


def _corners(*values: float) -> Diagnostic:
    return layers(*values, dims=("plm", "lat2", "lon2"), units="m/s", counter=4, denominator="dpb")


def climate() -> dict[str, dict[str, Diagnostic]]:
    """A world with everything that the canonical output needs."""
    cosine = np.cos(np.radians(LAT))[:, None] * np.ones(IM)
    cosine[[0, -1]] = 0.0
    light = FLUX_WM2 / 4.0 * cosine / np.average(cosine, weights=area_m2(1.0))
    thickness = layers(300.0, 300.0, 150.0, dims=("plm", "lat2", "lon2"), units="mb", counter=4)
    thickness.mean[:, 0, :] = 0.0  # beyond the south pole
    day = {"units": "mm/day", "scale": 40.0}  # a day of forty steps
    return {
        "aij": {
            "tgrnd": surface(17.0, units="C", counter=3),
            "tsurf": surface(15.0, units="C", counter=3),
            "incsw_toa": Diagnostic(light),
            "srnf_toa": Diagnostic(0.7 * light, counter=2),
            "trnf_toa": surface(-170.0, counter=2),
            "prsurf": surface(800.0, units="mb", counter=4),
            "prec": surface(PRECIPITATION_KGM2S * 1000.0 * 40.0, **day),
            "evap": surface(PRECIPITATION_KGM2S * 1000.0 * 40.0, **day),
            "sensht": surface(-20.0, scale=1.0 / 1000.0),
            "HWV": surface(75.0, scale=2500.0),
            "incsw_grnd": Diagnostic(0.8 * light, counter=2),
            "srnf_grnd": Diagnostic(0.65 * light, counter=2),
            "trdn_surf": surface(300.0, counter=3),
            "trup_surf": surface(390.0, counter=3),
            "netht_grnd": surface(-23.5, scale=1.0 / 1000.0),
            "pcldt": surface(60.0, units="%", scale=100.0, counter=2),
            "plan_alb": Diagnostic(
                np.where(light > 0, 30.0, np.nan), "%", 100.0, denominator="incsw_toa"
            ),
        },
        "aijl": {
            "TempL": layers(280.0, 250.0, 210.0, units="K", counter=4),
            "SpHuL": layers(6e-3, 1e-3, 1e-6, units="kg/kg", counter=4),
        },
        "aijk": {"dpb": thickness, "ub": _corners(5.0, 10.0, 20.0), "vb": _corners(1.0, 0.5, 0.0)},
    }


@dataclass(frozen=True)
class Month:
    """One file: which steps it sums, on which planet, with which diagnostics."""

    first_step: int = 0
    last_step: int = 400
    step_s: float = 1000.0
    steps_per_day: int = 40
    radius_m: float = 5e6
    label: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    diagnostics: Mapping[str, Mapping[str, Diagnostic]] = field(default_factory=climate)

    def changed(self, category: str, **diagnostics: Diagnostic) -> "Month":
        merged = {**self.diagnostics[category], **diagnostics}
        return replace(self, diagnostics={**self.diagnostics, category: merged})

    def without(self, category: str, name: str = "") -> "Month":
        left = dict(self.diagnostics)
        kept = left.pop(category)
        if name:
            left[category] = {key: one for key, one in kept.items() if key != name}
        return replace(self, diagnostics=left)


def area_m2(radius_m: float) -> np.ndarray:
    edge = np.radians([-90.0, -72.0, -36.0, 0.0, 36.0, 72.0, 90.0])
    band = 2.0 * np.pi * radius_m**2 * np.diff(np.sin(edge))
    return np.repeat(band[:, None] / IM, IM, axis=1)


def write_acc(path: Path, month: Month | None = None) -> Path:
    """Write a file; sums are single precision, as the model's are."""
    month = month or Month()
    steps = month.last_step - month.first_step
    counts = [steps, steps // 5, steps // 2, steps // 15, *[1] * 8]
    days = steps / month.steps_per_day
    with Dataset(path, "w", format="NETCDF3_64BIT_OFFSET") as file:
        file.xlabel = "TEST (not a model's output)"
        file.fromto = month.label or (
            f"From:  0001  D+A  1,  Hr  0      To:  0001  D+B  1, Hr  0  "
            f"Model-Time: {month.last_step:8d}     Dif: {days:6.2f} Days"
        )
        for name, size in (("jm", JM), ("im", IM), ("lm", LM), ("nsampl", 12), ("three", 3)):
            file.createDimension(name, size)
        for name, size in (("one", 1), ("sname_strlen", 30), ("cdl_strlen", 100)):
            file.createDimension(name, size)
        for name, value in (
            ("itime", month.last_step),
            ("itime0", month.first_step),
            ("nday", month.steps_per_day),
            ("iyear1", 1),
        ):
            file.createVariable(name, "i4", ())[...] = value
        for name, given in (
            ("rparam", {"dtsrc": month.step_s, "plbot": np.array(PLBOT_MB), **month.parameters}),
            ("iparam", {"ls1": np.int32(3)}),
        ):
            file.createVariable(name, "i4", ()).setncatts(given)
        counters = file.createVariable("idacc", "i4", ("nsampl",))
        counters.reduction = "sum"
        counters[:] = counts
        file.createVariable("axyp", "f8", ("jm", "im"))[:] = area_m2(month.radius_m)
        for category, diagnostics in month.diagnostics.items():
            _category(file, category, diagnostics, np.array(counts), area_m2(month.radius_m))
    return path


def _category(
    file: Dataset,
    category: str,
    diagnostics: Mapping[str, Diagnostic],
    counts: np.ndarray,
    area: np.ndarray,
) -> None:
    names = list(diagnostics)
    sums = {}
    for name, one in diagnostics.items():
        mean = np.array(one.mean, dtype=np.float64)
        if one.denominator:
            below = diagnostics[one.denominator]
            mean = np.where(np.asarray(below.mean) == 0, 0.0, mean * np.asarray(below.mean))
            mean = np.nan_to_num(mean) / below.scale
        sums[name] = mean / one.scale * counts[one.counter - 1]
    stacked = np.stack([sums[name] for name in names])
    file.createDimension(f"k{category}", len(names))
    middle = ("lm",) if stacked.ndim == 4 else ()
    variable = file.createVariable(category, "f4", (f"k{category}", *middle, "jm", "im"))
    variable.reduction = "sum"
    variable.split_dim = np.int32(stacked.ndim)
    variable[:] = stacked
    for word, kind, values in (
        ("scale", "f8", [one.scale for one in diagnostics.values()]),
        ("ia", "i4", [one.counter for one in diagnostics.values()]),
        (
            "denom",
            "i4",
            [names.index(d.denominator) + 1 if d.denominator else 0 for d in diagnostics.values()],
        ),
    ):
        file.createVariable(f"{word}_{category}", kind, (f"k{category}",))[:] = values
    if category == "aij":
        south = np.where(LAT[:, None] < 0, area, 0.0)
        weights = [south, area - south, area]
        means = [[(sums[name] * w).sum() / w.sum() for w in weights] for name in names]
        hemispheric = file.createVariable("hemis_aij", "f4", ("kaij", "three", "one"))
        hemispheric.reduction = "sum"
        hemispheric[:] = np.array(means)[..., None]
    _texts(file, f"sname_{category}", f"k{category}", "sname_strlen", 30, names)
    template = _template(diagnostics)
    file.createDimension(f"kcdl_{category}", len(template))
    _texts(file, f"cdl_{category}", f"kcdl_{category}", "cdl_strlen", 100, template)


def _texts(file: Dataset, name: str, axis: str, width: str, size: int, lines: list[str]) -> None:
    variable = file.createVariable(name, "S1", (axis, width))
    variable[:] = np.array([list(line.ljust(size)) for line in lines], dtype="S1")


def _template(diagnostics: Mapping[str, Diagnostic]) -> list[str]:
    middle_mb = 0.5 * (np.array(PLBOT_MB[1:]) + np.array(PLBOT_MB[:-1]))
    coordinates = {
        "lat": LAT,
        "lon": LON,
        "lat2": np.array([-90.0, -72.0, -36.0, 0.0, 36.0, 72.0]),
        "lon2": LON + 45.0,
        "plm": middle_mb,
    }
    lines = ["netcdf xxx {", "dimensions:"]
    lines += [f"    {axis} = {size} ;" for axis, size in _AXES.items()]
    lines.append("variables:")
    lines += [f"    float {name}({name}) ;" for name in coordinates]
    for name, one in diagnostics.items():
        lines.append(f"    float {name}({','.join(one.dims)}) ;")
        lines.append(f'        {name}:units = "{one.units}" ;')
        lines.append(f'        {name}:long_name = "test" ;')
        if one.dims == ("lat", "lon"):
            lines.append(f"    float {name}_hemis(shnhgm) ;")
    lines.append("data:")
    for name, values in coordinates.items():
        lines += [f"    {name} =", ", ".join(f"{value:.5E}" for value in values) + ";"]
    return [*lines, "}"]
