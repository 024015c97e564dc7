"""Raw ``acc`` files of ModelE: sums as the model left them, and the means that they stand for.

An ``acc`` file holds sums over a period, category by category (``aij``, ``aijl``, ``ajl``, …). A
diagnostic is ``sum · scale / counter``; one with a denominator is that, divided by the mean of the
denominator. Its hemispheric means are scaled the same way, so that the global mean of an albedo is
a ratio of two sums and not a mean of ratios. Where the denominator is zero there is nothing to say:
NaN here, -1e30 in the files of ModelE's own tools.

Several files are combined by adding the sums, which weighs each month by its true length whatever
the calendar.
"""

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.engines.netcdf import open_complete
from astrohpc.engines.rocke3d.cdl import Template, parse_template
from astrohpc.errors import ConfigError

Array = NDArray[Any]

_FILLED = 1e29  # beyond this a value is the fill of -1e30
_REDUCTIONS = {"sum": np.add, "max": np.maximum, "min": np.minimum}
_LENGTH = re.compile(r"Dif:\s*([0-9.]+)\s*Days", re.IGNORECASE)


@dataclass(frozen=True)
class Period:
    """The stretch of model time that a file speaks of, in the model's own steps since its year one.

    ``steps`` is what was summed; less than the span where months between were left out.
    """

    first_step: int
    last_step: int
    steps: int
    step_s: float
    steps_per_day: int
    first_year: int
    labels: tuple[str, ...]

    @property
    def bounds_s(self) -> tuple[float, float]:
        """Start and end, in seconds since the beginning of the model's year ``first_year``."""
        return self.first_step * self.step_s, self.last_step * self.step_s

    @property
    def length_s(self) -> float:
        """How much model time was summed."""
        return self.steps * self.step_s


@dataclass(frozen=True)
class Field:
    """One diagnostic: its mean, and what the file says of it. Fill is NaN."""

    name: str
    dims: tuple[str, ...]
    units: str
    long_name: str
    values: NDArray[np.float64]
    hemispheric: NDArray[np.float64] | None = None  # (…, 3): south, north, globe
    vertical: NDArray[np.float64] | None = (
        None  # zonal means over the column, then south, north, globe
    )


@dataclass(frozen=True)
class Category:
    """One family of diagnostics that share a shape; the first axis of every array counts them."""

    name: str
    names: tuple[str, ...]
    sums: Array
    hemispheric: Array | None
    vertical: Array | None
    scale: NDArray[np.float64]
    counter: NDArray[np.int64]  # which of the file's counters, from 1; 0 is none
    denominator: NDArray[np.int64]  # which diagnostic of this category, from 1; 0 is none
    own_count: int | None  # a category that keeps its own counter has it here
    reduction: str
    template: Template

    def index(self, name: str) -> int:
        """Where a diagnostic stands; of equal names the last one counts, as in ModelE's tools."""
        return len(self.names) - 1 - self.names[::-1].index(name)


@dataclass(frozen=True)
class Acc:
    """What one ``acc`` file, or several together, say."""

    source: str
    title: str
    period: Period
    counters: NDArray[np.int64]
    area_m2: NDArray[np.float64]
    parameters: Mapping[str, object]
    categories: Mapping[str, Category]

    def category(self, name: str) -> Category:
        """A category, or a sentence that says it is missing."""
        if name not in self.categories:
            raise ConfigError(
                f"{self.source}: has no category {name!r} (it has {', '.join(self.categories)}); "
                "harvest an acc file of a whole model, not one that was cut down."
            )
        return self.categories[name]

    def names(self, category: str) -> list[str]:
        """The diagnostics that a category reports, in the order of the file."""
        found = self.category(category)
        return [name for name in found.template.variables if name in found.names]

    def has(self, category: str, name: str) -> bool:
        """Whether the file reports this diagnostic."""
        return category in self.categories and name in self.names(category)

    def field(self, category: str, name: str) -> Field:
        """One diagnostic, scaled."""
        found = self.category(category)
        if name not in found.names or name not in found.template.variables:
            raise ConfigError(
                f"{self.source}: category {category!r} has no diagnostic {name!r}; "
                "the model was built without it, so leave it out of what is asked for."
            )
        declared = found.template.variables[name]
        return Field(
            name=name,
            dims=declared.dims,
            units=declared.units,
            long_name=declared.long_name,
            values=self._scaled(found, found.sums, name),
            hemispheric=None
            if found.hemispheric is None
            else self._scaled(found, found.hemispheric, name),
            vertical=None
            if found.vertical is None or f"{name}_vmean" not in found.template.variables
            else self._scaled(found, found.vertical, name).reshape(-1),
        )

    def global_mean(self, category: str, name: str) -> float:
        """The mean over the globe as the model itself forms it; of a ratio, the ratio of two means."""
        found = self.field(category, name)
        if found.hemispheric is None or found.hemispheric.shape != (3,):
            raise ConfigError(
                f"{self.source}: {category}:{name} has no single global mean; "
                "ask for a field of category 'aij'."
            )
        return float(found.hemispheric[2])

    def scale(self, category: str, name: str) -> float:
        """The factor that turns a mean of this diagnostic's sums into its units."""
        found = self.category(category)
        return float(found.scale[found.index(name)])

    def coordinate(self, category: str, name: str) -> NDArray[np.float64]:
        """The values of a coordinate, ``lat2`` or ``plm`` for example."""
        values = self.category(category).template.coordinates.get(name)
        if values is None:
            raise ConfigError(
                f"{self.source}: category {category!r} does not give the coordinate {name!r}; "
                "the file is not a complete acc file, take it from the run again."
            )
        return values

    def _count(self, category: Category, index: int) -> float:
        if category.own_count is not None:
            return float(category.own_count)
        which = int(category.counter[index])
        return float(self.counters[which - 1]) if 1 <= which <= len(self.counters) else np.nan

    def _scaled(self, category: Category, sums: Array, name: str) -> NDArray[np.float64]:
        index = category.index(name)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = sums[index] * category.scale[index] / self._count(category, index)
            below = int(category.denominator[index]) - 1
            if below >= 0:
                part = np.asarray(sums[below], dtype=np.float64)
                values = values * self._count(category, below) / np.where(part == 0, np.nan, part)
        scaled = np.asarray(values, dtype=np.float64)
        return np.where(np.isfinite(scaled) & (np.abs(scaled) < _FILLED), scaled, np.nan)


def read_acc(path: Path, only: Container[str] | None = None) -> Acc:
    """Read one raw ``acc`` file, or ``only`` some of its categories."""
    with open_complete(path) as file:
        for needed in ("idacc", "axyp", "itime", "itime0", "nday", "iyear1", "rparam"):
            if needed not in file.variables:
                raise ConfigError(
                    f"{path}: has no variable {needed!r}, so it is not a raw acc file of ModelE; "
                    "give the *.acc*.nc that the run wrote, not a scaled or converted one."
                )
        parameters = {
            name.lower(): variable.getncattr(name)
            for section in ("rparam", "iparam", "cparam")
            if section in file.variables
            for variable in [file.variables[section]]
            for name in variable.ncattrs()
        }
        return Acc(
            source=str(path),
            title=str(getattr(file, "xlabel", "")).strip(),
            period=_period(path, file, parameters),
            counters=np.asarray(file.variables["idacc"][:], dtype=np.int64),
            area_m2=np.asarray(file.variables["axyp"][:], dtype=np.float64),
            parameters=parameters,
            categories={
                name[4:]: _category(file, name[4:])
                for name in file.variables
                if name.startswith("cdl_")
                and not name.endswith("_latlon")
                and name[4:] in file.variables
                and hasattr(file.variables[name[4:]], "split_dim")
                and (only is None or name[4:] in only)
            },
        )


def combine(paths: Sequence[Path], only: Container[str] | None = None) -> Acc:
    """Read several files of one run as one: sums are added, extremes kept, months may be left out."""
    if not paths:
        raise ConfigError("acc: there is no file to combine; name at least one *.acc*.nc.")
    total = read_acc(paths[0], only)
    seen = [(total.period.first_step, total.period.last_step, paths[0])]
    for path in paths[1:]:
        other = read_acc(path, only)
        span = (other.period.first_step, other.period.last_step, path)
        for first, last, earlier in seen:
            if span[0] < last and first < span[1]:
                raise ConfigError(
                    f"{path}: its period overlaps that of {earlier.name} "
                    f"({'; '.join(other.period.labels)}); name each month once."
                )
        seen.append(span)
        total = _add(total, other)
    return total


def _add(one: Acc, two: Acc) -> Acc:
    """Two stretches of one run as one."""

    def differ(what: str) -> ConfigError:
        return ConfigError(
            f"{two.source}: its {what} differs from that of {one.source}, so the two do not belong "
            "to one run with one time step; combine only files of the same run."
        )

    if one.area_m2.shape != two.area_m2.shape or not np.allclose(one.area_m2, two.area_m2):
        raise differ("grid")
    categories = {}
    for name, left in one.categories.items():
        right = two.category(name)
        if left.names != right.names or left.sums.shape != right.sums.shape:
            raise differ(f"list of diagnostics in {name!r}")
        if not np.array_equal(left.scale, right.scale):
            raise differ(f"scale in {name!r}")
        categories[name] = _add_category(left, right)
    early, late = sorted((one.period, two.period), key=lambda period: period.first_step)
    if (early.step_s, early.first_year) != (late.step_s, late.first_year):
        raise differ("time step or first year")
    period = replace(
        early,
        last_step=max(early.last_step, late.last_step),
        steps=early.steps + late.steps,
        labels=early.labels + late.labels,
    )
    return replace(
        one,
        source=f"{one.source} and {Path(two.source).name}",
        period=period,
        counters=one.counters + two.counters,
        categories=categories,
    )


def _add_category(one: Category, two: Category) -> Category:
    def joined(left: Array | None, right: Array | None) -> Array | None:
        if left is None or right is None:
            return None
        if one.reduction not in _REDUCTIONS:
            return right
        operands = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
        return np.asarray(_REDUCTIONS[one.reduction](*operands))

    sums = joined(one.sums, two.sums)
    assert sums is not None
    own = None if one.own_count is None else one.own_count + (two.own_count or 0)
    return replace(
        one,
        sums=sums,
        hemispheric=joined(one.hemispheric, two.hemispheric),
        vertical=joined(one.vertical, two.vertical),
        own_count=own,
    )


def _category(file: Any, name: str) -> Category:
    variable = file.variables[name]
    # Fortran counts the axes from the fastest one.
    axis = variable.ndim - int(variable.split_dim)

    def table(what: str, missing: int) -> Array:
        if f"{what}_{name}" in file.variables:
            return np.asarray(file.variables[f"{what}_{name}"][:])
        return np.full(variable.shape[axis], missing)

    def companion(what: str) -> Array | None:
        if f"{what}_{name}" not in file.variables:
            return None
        raw = file.variables[f"{what}_{name}"]
        values = np.moveaxis(np.asarray(raw[:]), axis if raw.ndim > axis else 0, 0)
        return _means_last(values, raw, name) if what == "hemis" else values

    own = None
    if f"ia_{name}" not in file.variables:
        # What has no counter is no sum at all: extremes, instants.
        counted = f"ntime_{name}"
        own = int(file.variables[counted][...]) if counted in file.variables else 1
    return Category(
        name=name,
        names=tuple(_text(row) for row in file.variables[f"sname_{name}"][:]),
        sums=np.moveaxis(np.asarray(variable[:]), axis, 0),
        hemispheric=companion("hemis"),
        vertical=companion("vmean"),
        scale=table("scale", 1).astype(np.float64),
        counter=table("ia", 0).astype(np.int64),
        denominator=table("denom", 0).astype(np.int64),
        own_count=own,
        reduction=str(getattr(variable, "reduction", "")),
        template=_template(file, name),
    )


def _template(file: Any, name: str) -> Template:
    try:
        return parse_template(_text(row) for row in file.variables[f"cdl_{name}"][:])
    except ConfigError as error:
        raise ConfigError(
            f"{file.filepath()}: {error}; the file was cut short or altered, so take it from the "
            "run again or continue the run from its last restart."
        ) from error


def _means_last(values: Array, raw: Any, name: str) -> Array:
    """South, north and globe as the last axis; ``aij`` keeps an empty one behind them."""
    if raw.dimensions[-1] == "one":
        values = values[..., 0]
    if values.shape[-1] != 3:
        raise ConfigError(
            f"hemis_{name}: has {values.shape[-1]} means a diagnostic where south, north and globe "
            "were expected; the file is of a ModelE that we do not know, report it."
        )
    return values


def _text(row: Array) -> str:
    return b"".join(row.tolist()).decode("ascii", "replace").replace("\0", " ").rstrip()


def _period(path: Path, file: Any, parameters: Mapping[str, object]) -> Period:
    first, last, per_day, year = (
        int(file.variables[name][...]) for name in ("itime0", "itime", "nday", "iyear1")
    )
    label = str(getattr(file, "fromto", "")).strip()
    step_s = parameters.get("dtsrc")
    if not isinstance(step_s, float | np.floating) or step_s <= 0 or per_day <= 0:
        raise ConfigError(
            f"{path}: does not say how long its time step is (rparam:dtsrc, nday), so its time "
            "means nothing; take the file from the run again."
        )
    said = _LENGTH.search(label)
    days = (last - first) / per_day
    # It is printed with two decimals, from single precision.
    contradicts = said is not None and abs(float(said[1]) - days) > 0.0051 + 1e-6 * days
    if last <= first or contradicts:
        raise ConfigError(
            f"{path}: its steps {first} to {last} are {days:.2f} days, but it says {label!r}; "
            "the file was altered or combined by hand, take it from the run again."
        )
    return Period(first, last, last - first, float(step_s), per_day, year, (label,))
