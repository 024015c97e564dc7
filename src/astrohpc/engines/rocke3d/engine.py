"""``engine=rocke3d``: GISS ModelE as a planet's climate model. The model itself is the user's.

:mod:`astrohpc.engines.rocke3d.run` is one attempt at a member, :mod:`~.executables` the build that
members share.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from astrohpc.clock import Clock, SystemClock
from astrohpc.engines import record
from astrohpc.engines.base import Estimate, Progress
from astrohpc.engines.rocke3d import memberfiles as files
from astrohpc.engines.rocke3d import series
from astrohpc.engines.rocke3d.configuration import Configuration, configure
from astrohpc.engines.rocke3d.evidence import gather
from astrohpc.engines.rocke3d.executables import Executables
from astrohpc.engines.rocke3d.makeinput import MONTHS, check_deck, input_paths
from astrohpc.engines.rocke3d.outcome import judge
from astrohpc.engines.rocke3d.rundeck import Rundeck
from astrohpc.engines.rocke3d.settings import Rocke3dSettings
from astrohpc.errors import ConfigError
from astrohpc.files import digest
from astrohpc.outcome import Outcome, Verdict
from astrohpc.planet import Planet

__all__ = ["ADAPTER_VERSION", "Rocke3d", "Rocke3dSettings"]

# Bump it when the same planet, deck and settings give the model another input.
ADAPTER_VERSION = "1"

# Measured on 4x5 cells with 20 layers; 40 layers have twice that.
_ACC_BYTES = 18_000_000
_RESTART_BYTES = 30_000_000


class Rocke3d:
    """ROCKE-3D with its settings."""

    name: str = "rocke3d"
    description: str = "ROCKE-3D (GISS ModelE), general circulation model"
    extent: frozenset[str] = frozenset({"max_years"})

    def __init__(self, settings: Rocke3dSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.executables = Executables(
            Path(settings.executables).expanduser().absolute(), self.clock
        )

    @cached_property
    def deck(self) -> Rundeck:
        """The rundeck that every member starts from."""
        return Rundeck.read(Path(self.settings.deck).expanduser().absolute())

    def configuration(self, planet: Planet) -> Configuration:
        """What to build and what to run for a planet."""
        return configure(planet, self.deck, self.settings, self.settings.source)

    def physics(self) -> Mapping[str, Any]:
        """Deck, source and settings; with the planet they decide the executable and its input."""
        return {
            "engine": self.name,
            "adapter": ADAPTER_VERSION,
            "deck": digest(self.deck.data.decode("ascii", "backslashreplace")),
            **self.settings.physics(),
        }

    def check(self, planet: Planet) -> None:
        """Refuse what deck, spectra or the model's parameters cannot hold."""
        check_deck(self.deck)
        self.configuration(planet)

    def estimate(self) -> Estimate:
        """From the settings; how much a year costs is for the user to measure."""
        settings = self.settings
        kept_years = settings.max_years if settings.keep_output else settings.mean_years
        acc = round(kept_years * MONTHS) + settings.restart_months
        restarts = settings.keep_restarts + 2
        return Estimate(
            cpu_s=settings.core_hours_per_year * 3600.0 * settings.max_years,
            disk_bytes=acc * _ACC_BYTES + restarts * _RESTART_BYTES,
            files=acc + restarts + 20,
        )

    def prepare(self) -> None:
        """Find out before anything is submitted whether the input data are there."""
        input_paths(self.deck, self.settings)

    # -------------------------------------------------------------------------- executables
    def executable(self, planet: Planet) -> str:
        """The key of the executable that this planet needs; planets with one key share it."""
        return self.configuration(planet).executable.key

    def built(self, key: str) -> bool:
        """Whether the executable of this key is there."""
        return self.executables.built(key)

    def build(self, planet: Planet, say: Callable[[str], None]) -> None:
        """Build this planet's executable by the user's command, unless it is there."""
        self.executables.build(
            self.configuration(planet).executable,
            self.deck,
            self.settings.build,
            timeout_s=self.settings.build_seconds,
            say=say,
        )

    # -------------------------------------------------------------------------- a member
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
            member = record.of_member(self, planet)
            ended = files.load_record(folder)
            if ended is not None:
                files.check_member(folder / files.RECORD, ended.member, member)
                if self.verdict(folder) == ended.verdict:
                    return ended.verdict
            configuration = self.configuration(planet)
            key = configuration.executable.key
            if not self.built(key):
                raise ConfigError(
                    f"executable {key} is not built: {self.executables.path(key)} is not there or "
                    "may not be run; build it (the sweep's build stage does), or correct "
                    "engine.executables."
                )
            from astrohpc.engines.rocke3d.run import Attempt  # noqa: PLC0415 - loads psutil

            attempt = Attempt(
                self.settings,
                self.clock,
                files.Member(planet, configuration, self.executables.path(key), folder, member),
            )
            return attempt.until_over(stop, report)
        except ConfigError as error:
            return Verdict(Outcome.BAD_CONFIG, str(error))

    def verdict(self, folder: Path) -> Verdict | None:
        """What the files in the folder say happened."""
        ended = files.load_record(folder)
        if ended is not None:
            if not ended.stands(self.settings.max_years):
                return Verdict(
                    Outcome.CHECKPOINTED,
                    f"{ended.verdict.reason}, but it allows {self.settings.max_years:g} years now",
                )
            done = ended.verdict.outcome is Outcome.DONE
            if not done or files.climate_size(folder) == ended.climate_bytes:
                return ended.verdict
        evidence = gather(folder / files.RUN, now=self.clock.now())
        if evidence is None:
            return None
        found = judge(replace(evidence, locked=False))  # the next attempt sees to the lock
        if found.outcome is Outcome.DONE:
            return Verdict(Outcome.CHECKPOINTED, "a leg is over and the next may begin")
        if found.outcome is Outcome.BLOWN_UP and self._remedy_left(folder):
            return Verdict(Outcome.CHECKPOINTED, f"{found.reason}; the declared remedy is next")
        return found

    def _remedy_left(self, folder: Path) -> bool:
        if self.settings.remedy_dt_factor >= 1.0:
            return False
        applied = files.count_remedies(folder)
        return applied < self.settings.remedy_limit

    def files(self) -> frozenset[str]:
        """Names that this model may leave in a member's folder."""
        return frozenset(
            {files.RUN, files.CLIMATE, files.RECORD, files.REMEDIES, files.LOG, files.SERIES}
        )

    def series(self, folder: Path) -> list[Progress]:
        """Global means by ``acc`` file, oldest first."""
        return [
            Progress(
                model_years=row.model_year,
                limit_years=self.settings.max_years,
                surface_temperature_k=row.surface_temperature_k,
                toa_balance_wm2=row.toa_balance_wm2,
                model_years_per_day=row.model_years_per_day,
            )
            for row in series.read_rows(folder)
        ]

    def summary(self, folder: Path) -> Mapping[str, float | str]:
        """The few numbers of a finished member."""
        ended = files.load_record(folder)
        return dict(ended.summary) if ended is not None else {}
