"""``engine=ebm``: a seasonal, latitude-resolved energy-balance climate model.

:mod:`astrohpc.engines.ebm_model` is the model and :mod:`astrohpc.engines.ebm_run` one attempt at a
member. Both load Numba, so they are imported where they are used: asking files for a verdict is not
worth half a second.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from astrohpc.clock import Clock, SystemClock
from astrohpc.engines import ebm_files as files
from astrohpc.engines import record, series
from astrohpc.engines.base import Estimate, Progress
from astrohpc.engines.ebm_settings import EbmSettings
from astrohpc.errors import ConfigError
from astrohpc.outcome import Outcome, Verdict
from astrohpc.planet import PARAMETERS, Planet

__all__ = ["PHYSICS_VERSION", "Ebm", "EbmSettings"]

# Bump it when the same planet and settings give other numbers; a test compares golden ones.
PHYSICS_VERSION = "1"

# Where the parameterised radiation means nothing any more (SI).
_VALIDITY = {
    "surface_pressure": (1e3, 1e7),
    "ch4": (0.0, 0.1),
    "stellar_flux": (10.0, 1e4),
}


class Ebm:
    """The energy-balance model with its settings."""

    name: str = "ebm"
    description: str = "idealised energy-balance model, synthetic data"
    extent: frozenset[str] = frozenset()

    def __init__(self, settings: EbmSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()

    def physics(self) -> Mapping[str, Any]:
        """Settings and version of the model; how often it saves is no part of it."""
        return {"engine": self.name, "version": PHYSICS_VERSION, **self.settings.physics()}

    def check(self, planet: Planet) -> None:
        """Refuse planets for which the parameterised radiation has no meaning."""
        for name, (low, high) in _VALIDITY.items():
            parameter = PARAMETERS[name]
            value = getattr(planet, parameter.field)
            if not low <= value <= high:
                unit = f" {parameter.unit}" if parameter.unit else ""
                raise ConfigError(
                    f"{name}: {value:g}{unit} lies outside what engine=ebm can do, "
                    f"{low:g} … {high:g}{unit}; change it or choose another engine."
                )

    def estimate(self) -> Estimate:
        """Measured on members of the ThousandWorlds domain: nearly all is the start of Python."""
        return Estimate(cpu_s=1.0, disk_bytes=140_000, files=3)

    def prepare(self) -> None:
        """Compile the kernel into Numba's cache."""
        from astrohpc.engines.ebm_model import compile_kernel  # noqa: PLC0415

        compile_kernel()

    def run(
        self,
        planet: Planet,
        folder: Path,
        *,
        stop: Callable[[], bool],
        report: Callable[[Progress], None],
    ) -> Verdict:
        """Run one member in its folder, from its restart if there is one, until it is over."""
        member = record.of_member(self, planet)
        try:
            self.check(planet)
            ended = record.ended_before(self, folder, member)
            if ended is not None:
                return ended

            from astrohpc.engines.ebm_run import Attempt  # noqa: PLC0415

            attempt = Attempt(self.settings, self.clock, planet, folder, member)
        except ConfigError as error:
            return Verdict(Outcome.BAD_CONFIG, str(error))
        return attempt.until_over(stop, report)

    def verdict(self, folder: Path) -> Verdict | None:
        """What the files in the folder say happened."""
        ended = record.recorded_verdict(folder)
        if ended is not None:
            return ended
        if (folder / files.RESTART).exists() or (folder / files.PREVIOUS).exists():
            return Verdict(Outcome.CHECKPOINTED, f"{files.RESTART} waits to be resumed")
        return None

    def files(self) -> frozenset[str]:
        """Names this model may leave in a member's folder."""
        return frozenset(
            {files.RESTART, files.PREVIOUS, series.SERIES, record.CLIMATE, record.RECORD, files.LOG}
        )

    def series(self, folder: Path) -> list[Progress]:
        """Global means by model year, oldest first."""
        return [
            Progress(
                model_years=row[0],
                limit_years=self.settings.max_years,
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
