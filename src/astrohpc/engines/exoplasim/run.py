"""One attempt at a member: legs from its start or restart to its end, or until it is asked to stop."""

import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from time import process_time
from typing import Any

from astrohpc.clock import Clock, iso
from astrohpc.constants import DAY_S
from astrohpc.engines import record, series
from astrohpc.engines.base import Progress
from astrohpc.engines.exoplasim import files, raw
from astrohpc.engines.exoplasim.arguments import configure_arguments
from astrohpc.engines.exoplasim.build import Build
from astrohpc.engines.exoplasim.equilibrium import YEAR_DAYS, has_settled, legs_per_cycle
from astrohpc.engines.exoplasim.leg import cpu_seconds, raise_full_disk, run_leg
from astrohpc.engines.exoplasim.settings import ExoplasimSettings
from astrohpc.engines.exoplasim.worker import Interrupted, Worker, WorkerDied
from astrohpc.outcome import Outcome, Verdict
from astrohpc.planet import Planet

Report = Callable[[Progress], None]
Stop = Callable[[], bool]


class Attempt:
    """A member in its folder, resumed from the newest restart that is whole."""

    def __init__(
        self,
        settings: ExoplasimSettings,
        clock: Clock,
        planet: Planet,
        folder: Path,
        build: Build,
        *,
        member: str,
        trajectory: str,
    ) -> None:
        self.settings, self.clock, self.planet, self.folder = settings, clock, planet, folder
        self.build, self.member = build, member
        self.restarts = self._resume(trajectory)
        self.rows = series.read_rows(folder)
        self.first_days = self._days()
        self.started = clock.now()
        self.cpu_own_s = process_time()
        self.cpu_legs_s = self.restarts.cpu_s
        self.cpu_worker_s = 0.0
        self.worker = Worker(folder / files.WORKER_LOG)

    def until_over(self, stop: Stop, report: Report) -> Verdict:
        """Go on to the end, or until ``stop`` says so."""
        with self.worker:
            try:
                if not files.is_configured(self.folder) and not stop():
                    self._configure(stop, report)
                while True:
                    end = self._end()
                    if stop():
                        return self._stopped()
                    if end:
                        return self._finish(end, stop, report)
                    failed = self._leg(stop, report)
                    if failed is not None:
                        return failed
            except Interrupted:
                return self._stopped()
            except WorkerDied as death:
                raise_full_disk(str(death), self.folder)
                return Verdict(Outcome.UNKNOWN, f"around the model, its own tools failed: {death}")

    # ------------------------------------------------------------------ beginning
    def _resume(self, trajectory: str) -> files.Restarts:
        found = files.load_restarts(self.folder)
        if found is None:
            restarts = files.Restarts(trajectory)
        else:
            record.check_member(self.folder / files.RESTARTS, found.trajectory, trajectory)
            restarts, damaged = files.newest_whole(self.folder, found)
            for name in damaged:
                self._log(f"{name} is damaged and was not used")
            self._log(f"resumed after day {self._days(restarts):g}")
            if self._lost_its_climate(restarts):
                self._log("the climate is gone and so is what it was made of: begun anew")
                restarts = files.Restarts(trajectory)
        files.remove_unfinished(self.folder, restarts)
        series.trim_rows(self.folder, self._days(restarts) / YEAR_DAYS)
        return restarts

    def _lost_its_climate(self, restarts: files.Restarts) -> bool:
        last = files.raw_path(self.folder, restarts.steps - self.settings.leg_steps)
        over = self._days(restarts) >= self._limit_days() - 1e-6
        return bool(restarts.entries) and over and not last.exists()

    def _configure(self, stop: Stop, report: Report) -> None:
        """Let the package write the namelists; the folder appears whole or not at all."""
        model = self.folder / files.MODEL
        shutil.rmtree(model, ignore_errors=True)
        target = self.folder / files.NEW_MODEL
        shutil.rmtree(target, ignore_errors=True)
        self._ask(
            {
                "do": "configure",
                "target": str(target),
                "resolution": self.settings.resolution,
                "layers": self.settings.layers,
                "arguments": configure_arguments(self.planet, self.settings),
            },
            stop,
            report,
        )
        target.rename(model)

    def _ask(self, request: dict[str, Any], stop: Stop, report: Report) -> None:
        def waiting() -> bool:
            report(self._progress(None))
            return stop()

        self.cpu_worker_s = float(self.worker.ask(request, waiting)["cpu_s"])

    # ------------------------------------------------------------------ going on
    def _leg(self, stop: Stop, report: Report) -> Verdict | None:
        start, model = self.restarts.steps, self.folder / files.MODEL
        files.clear_for_leg(self.folder, start)
        output = raw.GrowingOutput(model / "plasim_output", self.settings.latitudes)
        leg = run_leg(
            self.build.executable,
            model,
            output,
            expected=self.settings.records_per_leg,
            stop=stop,
            look=lambda means: report(self._progress(means)),
        )
        if leg.verdict is not None:
            if leg.verdict.outcome is Outcome.CHECKPOINTED:
                return self._stopped()
            return self._failed(leg.verdict, len(output.means))
        self.cpu_legs_s += cpu_seconds(model)
        progress = self._progress(leg.means)
        self._append(raw.mean_of(leg.means), progress)
        self.restarts = files.keep_leg(
            self.folder,
            self.restarts,
            start=start,
            steps=start + self.settings.leg_steps,
            cpu_s=self.cpu_legs_s,
        )
        files.remove_old_output(self.folder, self._first_step_of_climate())
        report(progress)
        return None

    def _first_step_of_climate(self) -> int:
        legs = math.ceil(self.settings.climate_days / self.settings.leg_days - 1e-9)
        return self.restarts.steps - legs * self.settings.leg_steps

    def _days(self, restarts: files.Restarts | None = None) -> float:
        return (restarts or self.restarts).steps / self.settings.steps_per_day

    def _limit_days(self) -> float:
        return self.settings.run_days or self.settings.max_years * YEAR_DAYS

    def _end(self) -> str:
        days, settings = self._days(), self.settings
        if settings.run_days is not None:
            return f"{days:g} days run, as asked" if days >= settings.run_days - 1e-6 else ""
        if self._has_settled():
            return f"equilibrium at model year {days / YEAR_DAYS:.2f}"
        if days >= self._limit_days() - 1e-6:
            return f"no equilibrium within {days / YEAR_DAYS:.2f} model years; max_years allows no more"
        return ""

    def _has_settled(self) -> bool:
        temps, balances = [row[1] for row in self.rows], [row[2] for row in self.rows]
        return has_settled(
            temps, balances, legs_per_cycle(self.planet, self.settings), self.settings
        )

    def _progress(self, means: list[raw.Means] | None) -> Progress:
        """With what the running leg has written; NaN before there is anything to know."""
        days = self._days() + len(means or ()) * self.settings.output_days
        temp_k, balance_wm2 = math.nan, math.nan
        if means:
            temp_k, balance_wm2 = means[-1].surface_temperature_k, means[-1].toa_balance_wm2
        elif self.rows:
            temp_k, balance_wm2 = self.rows[-1][1], self.rows[-1][2]
        elapsed_days = max(self.clock.now() - self.started, 1e-6) / DAY_S
        return Progress(
            model_years=days / YEAR_DAYS,
            limit_years=self._limit_days() / YEAR_DAYS,
            surface_temperature_k=temp_k,
            toa_balance_wm2=balance_wm2,
            model_years_per_day=(days - self.first_days) / YEAR_DAYS / elapsed_days,
        )

    def _append(self, means: raw.Means, progress: Progress) -> None:
        row = {
            "model_year": progress.model_years,
            "surface_temperature_k": means.surface_temperature_k,
            "toa_balance_wm2": means.toa_balance_wm2,
            "planetary_albedo": means.planetary_albedo,
            "ice_fraction": means.ice_fraction,
            "model_years_per_day": progress.model_years_per_day,
        }
        values = tuple(row[name] for name in series.COLUMNS)
        series.append_row(self.folder, values)
        self.rows.append(values)

    # ------------------------------------------------------------------ ends
    def _stopped(self) -> Verdict:
        return Verdict(Outcome.CHECKPOINTED, f"stopped; the restart is of day {self._days():g}")

    def _failed(self, verdict: Verdict, records: int) -> Verdict:
        first = self._days() + records * self.settings.output_days
        until = first + self.settings.output_days
        reason = f"{verdict.reason} between day {first:g} and {until:g}"
        if verdict.outcome is not Outcome.BLOWN_UP:
            return replace(verdict, reason=reason)
        reason += f"; halve timestep_min (now {self.settings.timestep_min:g})"
        verdict = Verdict(Outcome.BLOWN_UP, reason)
        record.save_record(self.folder, record.Record(self.member, verdict, {}, 0))
        return verdict

    def _finish(self, reason: str, stop: Stop, report: Report) -> Verdict:
        self._write_climate(stop, report)
        numbers = self._summary()
        verdict = Verdict(Outcome.DONE, reason)
        size = record.climate_size(self.folder)
        record.save_record(self.folder, record.Record(self.member, verdict, numbers, size))
        files.tidy(self.folder, keep_output=numbers["converged"] == "false")
        return verdict

    def _write_climate(self, stop: Stop, report: Report) -> None:
        settings, planet, model = self.settings, self.planet, self.folder / files.MODEL
        legs = [(int(path.suffix[1:]), path) for path in sorted(model.glob("raw.*"))]
        raw.join(model / "joined", legs)
        self._ask(
            {
                "do": "climate",
                "raw": str(model / "joined"),
                "target": str(self.folder / record.CLIMATE),
                "log": str(model / "pyburn.log"),
                "planet": asdict(planet),
                "step_s": DAY_S / settings.steps_per_day,
                "model": (
                    f"ExoPlaSim {self.build.version} ({settings.resolution}, {settings.layers} layers, "
                    f"{self.build.compiler})"
                ),
                # Without the time it took, a member gives the same content wherever it runs.
                "attributes": {k: v for k, v in self._summary().items() if k != "cpu_s"},
            },
            stop,
            report,
        )

    def _summary(self) -> dict[str, float | str]:
        """Means over the legs that the climate is made of."""
        first = self._first_step_of_climate() / self.settings.steps_per_day / YEAR_DAYS
        rows = [row for row in self.rows if row[0] > first * (1 + 1e-9)]
        means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        own_s = process_time() - self.cpu_own_s
        return {
            **dict(zip(series.COLUMNS[1:5], means[1:5], strict=True)),
            "converged": "true" if self._has_settled() else "false",
            "model_years": self._days() / YEAR_DAYS,
            "cpu_s": self.cpu_legs_s + self.cpu_worker_s + own_s,
        }

    def _log(self, sentence: str) -> None:
        with (self.folder / files.LOG).open("a") as file:
            file.write(f"{iso(self.clock.now())} {sentence}\n")
