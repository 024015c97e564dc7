"""One attempt at a member: from its start or restart to its end, or until it is asked to stop."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from time import process_time

import numpy as np

from astrohpc.clock import Clock, iso
from astrohpc.constants import DAY_S, YEAR_S
from astrohpc.engines import ebm_files as files
from astrohpc.engines import record, series
from astrohpc.engines.base import Progress
from astrohpc.engines.ebm_model import (
    State,
    Year,
    build_world,
    has_converged,
    is_runaway,
    run_year,
)
from astrohpc.engines.ebm_output import summary, write_climate
from astrohpc.engines.ebm_settings import EbmSettings
from astrohpc.kernels import ebm as kernel
from astrohpc.outcome import Outcome, Verdict
from astrohpc.planet import Planet

_EVERY_YEAR, _ROWS_AFTER = 250, 250  # rows of the series: every year at first, then thinned

_FAILURES = {
    kernel.IMPOSSIBLE: f"a temperature left {kernel.COLDEST_K:g} … {kernel.HOTTEST_K:g} K",
    kernel.OSCILLATING: "temperatures swing from one step to the next",
}


class Attempt:
    """A member in its folder, resumed from the newest restart that is whole."""

    def __init__(
        self, settings: EbmSettings, clock: Clock, planet: Planet, folder: Path, member: str
    ) -> None:
        self.settings, self.clock, self.folder, self.member = settings, clock, folder, member
        self.world = build_world(planet, settings)
        self.state, self.cpu_before_s = self._resume()
        self.first_year = self._model_years()
        self.started = self.saved = clock.now()
        self.cpu_started = process_time()

    def until_over(self, stop: Callable[[], bool], report: Callable[[Progress], None]) -> Verdict:
        """Go on to the end, or to a restart when ``stop`` says so."""
        while True:
            if stop():
                self._save()
                return Verdict(
                    Outcome.CHECKPOINTED, f"stopped at model year {self._model_years():g}"
                )
            if self.clock.now() - self.saved >= self.settings.checkpoint_seconds:
                self._save()
            year = run_year(self.world, self.state)
            if year.status in _FAILURES:
                return self._blown_up(_FAILURES[year.status])
            end = self._end(year)
            if end or self._is_row():
                progress = self._progress(year)
                self._append(year, progress)
                report(progress)
            if end:
                return self._finish(year, end)

    def _resume(self) -> tuple[State, float]:
        files.remove_torn(self.folder)
        for name in (files.RESTART, files.PREVIOUS):
            path = self.folder / name
            arrays = files.load_restart(path, self.member)
            if arrays is not None:
                cpu_s = float(arrays.pop("cpu_s")[0])
                state = State(**arrays)
                self._log(f"resumed after reporting year {state.years[0]:g} from {name}")
                series.trim_rows(self.folder, self._model_years(state))
                return state, cpu_s
            if path.exists():
                self._log(f"{name} is damaged and was not used")
        series.trim_rows(self.folder, 0.0)
        return State.at_start(self.world), 0.0

    def _log(self, sentence: str) -> None:
        files.log(self.folder, iso(self.clock.now()), sentence)

    def _end(self, year: Year) -> str:
        model_years = self._model_years()
        if is_runaway(year):
            return f"runaway greenhouse at model year {model_years:g}"
        if has_converged(self.world, self.state):
            return f"equilibrium at model year {model_years:g}"
        if model_years >= self.settings.max_years:
            return f"no equilibrium within {model_years:g} model years; max_years allows no more"
        return ""

    def _is_row(self) -> bool:
        years = int(self.state.years[0])
        limit = self.settings.max_years * YEAR_S / self.world.year_s
        stride = max(1, -int(-(limit - _EVERY_YEAR) // _ROWS_AFTER))
        return years <= _EVERY_YEAR or years % stride == 0

    def _progress(self, year: Year) -> Progress:
        elapsed_days = max(self.clock.now() - self.started, 1e-6) / DAY_S
        return Progress(
            model_years=self._model_years(),
            limit_years=self.settings.max_years,
            surface_temperature_k=year.temp_k,
            toa_balance_wm2=year.balance_wm2,
            model_years_per_day=(self._model_years() - self.first_year) / elapsed_days,
        )

    def _append(self, year: Year, progress: Progress) -> None:
        row = {
            "model_year": progress.model_years,
            "surface_temperature_k": progress.surface_temperature_k,
            "toa_balance_wm2": progress.toa_balance_wm2,
            "planetary_albedo": self.world.planetary_albedo(year.absorbed_wm2),
            "ice_fraction": year.ice,
            "model_years_per_day": progress.model_years_per_day,
        }
        series.append_row(self.folder, [row[name] for name in series.COLUMNS])

    def _model_years(self, state: State | None = None) -> float:
        years = (state or self.state).years[0]
        return float(years) * self.world.year_s / YEAR_S

    def _save(self) -> None:
        arrays = {f.name: getattr(self.state, f.name) for f in fields(self.state)}
        arrays["cpu_s"] = np.array([self._cpu_s()])
        files.save_restart(self.folder, self.member, arrays)
        self.saved = self.clock.now()

    def _cpu_s(self) -> float:
        return self.cpu_before_s + process_time() - self.cpu_started

    def _finish(self, year: Year, reason: str) -> Verdict:
        numbers = summary(self.world, self.state, year, self._cpu_s())
        write_climate(self.folder / record.CLIMATE, self.world, self.state, year, numbers)
        return self._record(Verdict(Outcome.DONE, reason), numbers)

    def _blown_up(self, what: str) -> Verdict:
        reason = (
            f"{what} in model year {self._model_years():g}; "
            f"halve step_days (now {self.settings.step_days:g})"
        )
        return self._record(Verdict(Outcome.BLOWN_UP, reason), {})

    def _record(self, verdict: Verdict, numbers: Mapping[str, float | str]) -> Verdict:
        size = record.climate_size(self.folder) if verdict.outcome is Outcome.DONE else 0
        record.save_record(self.folder, record.Record(self.member, verdict, numbers, size))
        for name in (files.RESTART, files.PREVIOUS):  # of no use to anybody now
            (self.folder / name).unlink(missing_ok=True)
        return verdict
