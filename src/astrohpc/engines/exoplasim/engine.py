"""ExoPlaSim as an engine of the house."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from astrohpc.clock import Clock, SystemClock
from astrohpc.engines import record, series
from astrohpc.engines.base import Estimate, Progress
from astrohpc.engines.exoplasim import arguments, build, files
from astrohpc.engines.exoplasim.equilibrium import YEAR_DAYS
from astrohpc.engines.exoplasim.settings import EXTENT, ExoplasimSettings
from astrohpc.errors import ConfigError
from astrohpc.files import digest
from astrohpc.outcome import Outcome, Verdict
from astrohpc.planet import Planet

# Bump it when the same planet, settings and executable give other numbers.
ADAPTER_VERSION = "1"

# Measured at T21, 10 layers and 32 steps a day: seconds a time step, and for a start and an end.
_STEP_CPU_S, _ONCE_CPU_S = 0.0215, 1.5
_RESTART_BYTES, _RECORD_BYTES = 6_600_000, 1_250_000  # of a record: raw, and in the climate
_POINTS = 32 * 64 * 10
_LATITUDES = 32


class Exoplasim:
    """ExoPlaSim with its settings."""

    name: str = "exoplasim"
    extent: frozenset[str] = EXTENT

    def __init__(self, settings: ExoplasimSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()

    @property
    def description(self) -> str:
        """What its numbers are."""
        return (
            f"ExoPlaSim general circulation model, {self.settings.resolution} with "
            f"{self.settings.layers} layers, {self.settings.surface}; CH4 without greenhouse effect"
        )

    @cached_property
    def build(self) -> build.Build:
        """The executable; compiled when it is first asked for."""
        return build.ensure(self.settings, self.clock)

    def physics(self) -> Mapping[str, Any]:
        """Settings, versions and the executable."""
        return {**self._code(), **self.settings.physics()}

    def _code(self) -> dict[str, str]:
        return {
            "engine": self.name,
            "adapter": ADAPTER_VERSION,
            "exoplasim": self.build.version,
            "executable": self.build.digest,
        }

    def check(self, planet: Planet) -> None:
        """Refuse planets that the model cannot run."""
        arguments.check(planet, self.settings)

    def estimate(self) -> Estimate:
        """Scaled from T21 by grid points and steps; a run to equilibrium is given a third of its limit."""
        settings = self.settings
        days = settings.run_days or settings.max_years * YEAR_DAYS / 3.0
        area = (settings.latitudes / _LATITUDES) ** 2
        size = area * settings.layers * 32 * 64 / _POINTS
        kept = min(days, settings.climate_days) / settings.output_days
        return Estimate(
            cpu_s=_ONCE_CPU_S + days * settings.steps_per_day * _STEP_CPU_S * size,
            disk_bytes=round((2 * _RESTART_BYTES + kept * _RECORD_BYTES) * size),
            files=26,
        )

    def prepare(self) -> None:
        """Compile the executable that all members share."""
        build.ensure(self.settings, self.clock)

    def run(
        self,
        planet: Planet,
        folder: Path,
        *,
        stop: Callable[[], bool],
        report: Callable[[Progress], None],
    ) -> Verdict:
        """Run one member in its folder, from its restart if there is one, until it is over."""
        try:
            self.check(planet)
            member = record.of_member(self, planet)
            way = digest({"planet": asdict(planet), **self._code(), **self.settings.trajectory()})
            ended = record.ended_before(self, folder, member)
            if ended is not None:
                return ended

            from astrohpc.engines.exoplasim.run import Attempt  # noqa: PLC0415

            attempt = Attempt(
                self.settings,
                self.clock,
                planet,
                folder,
                self.build,
                member=member,
                trajectory=way,
            )
            return attempt.until_over(stop, report)
        except ConfigError as error:
            return Verdict(Outcome.BAD_CONFIG, str(error))

    def verdict(self, folder: Path) -> Verdict | None:
        """What the files in the folder say happened."""
        ended = record.load_record(folder)
        if ended is not None and self._goes_on(ended):
            asked = f"{self._limit_days():g} days are asked for"
            return Verdict(Outcome.CHECKPOINTED, f"{ended.verdict.reason}; now {asked}")
        said = record.recorded_verdict(folder)
        if said is not None:
            return said
        try:
            restarts = files.load_restarts(folder)
        except ConfigError as error:
            return Verdict(Outcome.BAD_CONFIG, str(error))
        if restarts is not None and restarts.entries:
            days = restarts.steps / self.settings.steps_per_day
            return Verdict(Outcome.CHECKPOINTED, f"the restart of day {days:g} waits to be resumed")
        return None

    def _goes_on(self, ended: record.Record) -> bool:
        """Whether a member that ended has farther to go than it had then."""
        if ended.verdict.outcome is not Outcome.DONE:
            return False
        if self.settings.run_days is None and ended.summary.get("converged") == "true":
            return False
        days = float(ended.summary["model_years"]) * YEAR_DAYS
        return days < self._limit_days() - 1e-6

    def _limit_days(self) -> float:
        return self.settings.run_days or self.settings.max_years * YEAR_DAYS

    def files(self) -> frozenset[str]:
        """Names this model may leave in a member's folder."""
        return frozenset(
            {files.RESTARTS, files.MODEL, series.SERIES, record.CLIMATE, record.RECORD, files.LOG}
        )

    def series(self, folder: Path) -> list[Progress]:
        """Global means by leg, oldest first."""
        limit = self._limit_days()
        return [
            Progress(
                model_years=row[0],
                limit_years=limit / YEAR_DAYS,
                surface_temperature_k=row[1],
                toa_balance_wm2=row[2],
                model_years_per_day=row[5],
            )
            for row in series.read_rows(folder)
        ]

    def summary(self, folder: Path) -> Mapping[str, float | str]:
        """The few numbers of a finished member."""
        ended = record.load_record(folder)
        return dict(ended.summary) if ended is not None else {}
