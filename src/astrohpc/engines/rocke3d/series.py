"""Global means, one row an ``acc`` file, and what they say: where a run stands, whether it is at rest."""

import csv
import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from astrohpc.constants import YEAR_S
from astrohpc.engines.rocke3d.acc import Acc, read_acc
from astrohpc.engines.rocke3d.makeinput import MONTHS
from astrohpc.engines.rocke3d.memberfiles import SERIES
from astrohpc.engines.rocke3d.settings import Rocke3dSettings
from astrohpc.engines.variables import MODELE
from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic


@dataclass(frozen=True)
class Row:
    """The means of one ``acc`` file; steps are the model's, since its year one."""

    model_year: float
    surface_temperature_k: float
    toa_balance_wm2: float
    planetary_albedo: float
    starlight_wm2: float
    model_years_per_day: float
    first_step: int
    last_step: int
    step_s: float
    file: str

    @property
    def length_s(self) -> float:
        """How much model time it covers."""
        return (self.last_step - self.first_step) * self.step_s


@dataclass(frozen=True)
class Span:
    """Lengths in rows: a row is an ``acc`` file, of NMONAV of the twelve months of an orbit."""

    mean: int
    least: int
    most: int
    leg: int
    remedy: int
    months_per_row: int

    @classmethod
    def of(cls, settings: Rocke3dSettings, orbit_s: float, months_per_row: int) -> "Span":
        """The settings' years and months in rows; a mean covers whole orbits, and at least one."""
        month_s = orbit_s / MONTHS

        def rows(years: float) -> int:
            return max(1, math.ceil(years * YEAR_S / month_s / months_per_row - 1e-6))

        orbits = max(1, round(settings.mean_years * YEAR_S / orbit_s))
        return cls(
            mean=orbits * MONTHS // months_per_row,
            least=rows(settings.min_years),
            most=rows(settings.max_years),
            leg=rows(settings.leg_years),
            remedy=max(1, math.ceil(settings.remedy_months / months_per_row)),
            months_per_row=months_per_row,
        )

    def judged_at(self, rows: Sequence[Row], settings: Rocke3dSettings) -> int | None:
        """How many rows there were when two means in a row first agreed that nothing changes."""
        for count in range(max(self.least, 2 * self.mean), len(rows) + 1):
            late = rows[count - self.mean : count]
            early = rows[count - 2 * self.mean : count - self.mean]
            apart_years = sum(row.length_s for row in (*early, *late)) / 2.0 / YEAR_S
            drift_k = mean(late, "surface_temperature_k") - mean(early, "surface_temperature_k")
            if (
                abs(mean(late, "toa_balance_wm2")) <= settings.tolerance_wm2
                and abs(drift_k) / apart_years <= settings.tolerance_k
            ):
                return count
        return None


def mean(rows: Sequence[Row], name: str) -> float:
    """A mean over rows, each weighed by its true length."""
    total = math.fsum(getattr(row, name) * row.length_s for row in rows)
    return total / math.fsum(row.length_s for row in rows)


def read_row(path: Path, first_step: int | None, years_per_day: float) -> Row:
    """The global means of an ``acc`` file; ``first_step`` is where the run began, if it is not here."""
    acc = read_acc(path, only={"aij"})
    period = acc.period
    begin = period.first_step if first_step is None else first_step
    down, up = _global(acc, "rsdt"), _global(acc, "rsut")
    return Row(
        model_year=(period.last_step - begin) * period.step_s / YEAR_S,
        surface_temperature_k=_global(acc, "ts"),
        toa_balance_wm2=down - up - _global(acc, "rlut"),
        planetary_albedo=up / down if down else math.nan,
        starlight_wm2=down,
        model_years_per_day=years_per_day,
        first_step=period.first_step,
        last_step=period.last_step,
        step_s=period.step_s,
        file=path.name,
    )


def _global(acc: Acc, name: str) -> float:
    source = MODELE[name]
    return source.offset + sum(
        factor * acc.global_mean(source.place, term) for term, factor in source.terms
    )


def read_rows(folder: Path) -> list[Row]:
    """The rows so far, oldest first; a line that a crash cut short is not one."""
    try:
        text = (folder / SERIES).read_text()
    except FileNotFoundError:
        return []
    kinds = [field.type for field in fields(Row)]
    rows = []
    for cells in csv.reader(text.splitlines(keepends=True)[1:]):
        try:
            rows.append(Row(*(kind(cell) for kind, cell in zip(kinds, cells, strict=True))))  # type: ignore[operator]
        except ValueError:
            continue
    return rows


def write_rows(folder: Path, rows: Sequence[Row]) -> None:
    """Write all rows; there is one a month of the model, so there are never many."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows(astuple(row) for row in rows)
    write_atomic(folder / SERIES, out.getvalue())


def acc_files(run: Path) -> list[Path]:
    """The ``acc`` files of whole periods; PARTIAL is what the model leaves of one that is not over."""
    return sorted(path for path in run.glob("*.acc*.nc") if not path.name.startswith("PARTIAL"))


def order(rows: Sequence[Row]) -> list[Row]:
    """Rows in the order of time; ConfigError where a period is missing between two."""
    ordered = sorted(rows, key=lambda row: row.first_step)
    for before, after in itertools.pairwise(ordered):
        if after.first_step != before.last_step:
            raise ConfigError(
                f"{after.file}: begins at step {after.first_step}, but the period before it "
                f"({before.file}) ends at {before.last_step}; an acc file was lost, so remove the "
                "member's folder and run it again."
            )
    return ordered
