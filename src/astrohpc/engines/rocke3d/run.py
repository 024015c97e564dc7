"""One attempt at a member: launches of the model, one leg after the other, until it is over."""

import contextlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from astrohpc.clock import Clock, iso
from astrohpc.constants import DAY_S, YEAR_S
from astrohpc.engines.base import Progress
from astrohpc.engines.rocke3d import memberfiles as files
from astrohpc.engines.rocke3d import owner, series
from astrohpc.engines.rocke3d.configuration import run_time
from astrohpc.engines.rocke3d.evidence import RESTARTS, STATUS, gather
from astrohpc.engines.rocke3d.finish import finish
from astrohpc.engines.rocke3d.makeinput import input_paths, make_input, months_later, shortened
from astrohpc.engines.rocke3d.memberfiles import Member
from astrohpc.engines.rocke3d.namelists import ModelDate
from astrohpc.engines.rocke3d.outcome import (
    REACHED_END,
    STOPPED,
    is_hung,
    judge,
)
from astrohpc.engines.rocke3d.planetparams import orbit_s
from astrohpc.engines.rocke3d.process import ModelProcess
from astrohpc.engines.rocke3d.rundir import COLD, Restart, RunFolder
from astrohpc.engines.rocke3d.series import Row, Span
from astrohpc.engines.rocke3d.settings import Rocke3dSettings
from astrohpc.engines.rocke3d.text import Value
from astrohpc.errors import ConfigError
from astrohpc.outcome import Outcome, Verdict

Asked = Literal["", "stop", "enough", "hang"]
_STEPS = ("DTsrc", "DT")  # a restart may have been written under the remedy


class Attempt:
    """A member in its folder, continued from the newest restart that is whole."""

    def __init__(self, settings: Rocke3dSettings, clock: Clock, member: Member) -> None:
        self.settings, self.clock, self.member = settings, clock, member
        planet, deck = member.planet, member.configuration.deck
        self.input = make_input(member.configuration, settings)
        self.inputs = input_paths(deck, settings)
        values = run_time(planet, member.configuration.executable.params, settings)
        self.asked: Mapping[str, Value] = {
            name: value for name, value in values.items() if name not in _STEPS
        }
        months_per_row = deck.parameters.get("NMONAV", 1)
        assert isinstance(months_per_row, int)
        self.span = Span.of(settings, orbit_s(planet), months_per_row)
        self.place = RunFolder(member.run, self.input.run)
        self.rows: list[Row] = []
        self.seen: dict[str, tuple[float, int]] = {}
        self.started = clock.now()
        self.first_year = 0.0
        self.report: Callable[[Progress], None] = lambda _progress: None

    def until_over(self, stop: Callable[[], bool], report: Callable[[Progress], None]) -> Verdict:
        """Launch the model as often as it takes, or until ``stop`` says so."""
        self.report = report
        member = self.member
        member.run.mkdir(exist_ok=True)
        busy = owner.clear(
            member.run,
            member.executable,
            self.clock,
            self.settings.lock_seconds,
            lambda: self._tell() or stop(),
        )
        if busy:
            outcome = Outcome.CHECKPOINTED if stop() else Outcome.UNKNOWN
            return Verdict(outcome, busy)
        owner.hold(member.run, os.getpid())
        self._recover()
        self.first_year = self.rows[-1].model_year if self.rows else 0.0
        while True:
            ended = self._end()
            if ended is not None:
                count, converged = ended
                self._keep_rows(count)
                remedied = len(self.remedies.applied)
                window = self.rows[-self.span.mean :]
                return finish(member, self.input, self.settings, window, converged, remedied)
            if stop():
                return Verdict(Outcome.CHECKPOINTED, f"stopped {self._where()}")
            verdict = self._leg(stop)
            if verdict is not None:
                return verdict

    # -------------------------------------------------------------------------- state
    def _recover(self) -> None:
        """Bring rows, acc files and restarts to the step from which the model goes on."""
        files.remove_torn(self.member.folder)
        self.remedies = files.load_remedies(self.member.folder, self.member.digest)
        if self.remedies.pending:
            step = self.remedies.applied[-1].step
            self.place.forget_after(step, self.asked, all_restarts=True)
            self.remedies = replace(self.remedies, pending=False)
        files.save_remedies(self.member.folder, self.remedies)
        restart = self.place.choose_restart(self.asked)
        self.rows = [
            row for row in series.read_rows(self.member.folder) if row.last_step <= restart.step
        ]
        known = {row.file for row in self.rows}
        found = []
        for path in series.acc_files(self.member.run):
            if path.name in known:
                continue
            with contextlib.suppress(ConfigError):  # half a file is written again
                row = series.read_row(path, None, 0.0)
                if row.last_step <= restart.step:
                    found.append(row)
                    continue
            path.unlink()
        self.rows = series.order([*self.rows, *found])
        begin = self.rows[0].first_step if self.rows else 0
        self.rows = [
            replace(row, model_year=(row.last_step - begin) * row.step_s / YEAR_S)
            for row in self.rows
        ]
        series.write_rows(self.member.folder, self.rows)

    def _end(self) -> tuple[int, bool] | None:
        """With how many rows the run is over, and whether it is at rest; None while it is not."""
        count = self.span.judged_at(self.rows, self.settings)
        if count is not None and count <= self.span.most:
            return count, True
        return (self.span.most, False) if len(self.rows) >= self.span.most else None

    def _keep_rows(self, count: int) -> None:
        """How far a fast model ran on, until it saw the flag, is no part of the result."""
        self.rows = self.rows[:count]
        series.write_rows(self.member.folder, self.rows)

    def _where(self) -> str:
        return (
            f"at model year {self.rows[-1].model_year:.4g}"
            if self.rows
            else "before its first month's end"
        )

    def _log(self, sentence: str) -> None:
        files.log(self.member.folder, iso(self.clock.now()), sentence)

    # -------------------------------------------------------------------------- a leg
    def _leg(self, stop: Callable[[], bool]) -> Verdict | None:
        """Launch the model up to the end of a leg; a verdict if that ends the attempt."""
        restart = self.place.choose_restart(self.asked)
        end_row, factor = self._next_end()
        run_input = shortened(self.input, factor)
        if restart.istart != COLD:
            run_input = run_input.restarting(restart.istart).ending(self._date(end_row))
        self.place.make_ready(run_input, self.inputs, restart)
        short = f", DT={run_input.parameters['DT']} s" if factor < 1.0 else ""
        self._log(f"launched {restart.words}, to row {end_row}{short}")
        before = len(self.rows)
        asked = self._run_model(restart, stop)
        status = self.place.status()
        if self._end() is not None:  # then it does not matter how it ended after that
            return None
        if asked == "hang":
            return self._hung()
        if status in (REACHED_END, STOPPED):
            if asked == "stop" or status == STOPPED:
                return Verdict(Outcome.CHECKPOINTED, f"stopped {self._where()}")
            if restart.cold and self.place.choose_restart(self.asked).cold:
                lacks = "the set-up hour is over, but left no restart to go on from"
            elif not restart.cold and len(self.rows) == before:
                lacks = "the model reached the end of a leg, but left no acc file of it"
            else:
                return None
            return Verdict(Outcome.UNKNOWN, f"{lacks}; look at its log {self.place.log}")
        return self._ended_badly(asked)

    def _next_end(self) -> tuple[int, float]:
        """The row at which the next leg ends, and the factor on the time step until then."""
        row = len(self.rows)
        end = min((row // self.span.leg + 1) * self.span.leg, self.span.most)
        until = self.remedies.shortened_until(row)
        if until is not None:
            return min(end, until), self.settings.remedy_dt_factor
        later = [one.first_row for one in self.remedies.applied if one.first_row > row]
        return min([end, *later]), 1.0

    def _date(self, row: int) -> ModelDate:
        start = self.input.start
        assert start is not None
        return months_later(start, row * self.span.months_per_row)

    def _run_model(self, restart: Restart, stop: Callable[[], bool]) -> Asked:
        settings = self.settings
        model = ModelProcess(
            self.member.run,
            self.place.log,
            self.member.executable,
            launcher=settings.launcher,
            stack_kib=settings.stack_kib,
            cold=restart.cold,
        )
        held = None
        try:
            held = owner.hold(self.member.run, model.pid)
            asked = self._watch(model, stop)
        except BaseException:  # another attempt may have taken the member: write nothing more
            model.end(at_once=True)
            if owner.holder(self.member.run) == held:
                owner.release(self.member.run)
            raise
        model.end(at_once=True)  # ranks that outlived it
        self._collect(all_of_them=True)
        self.place.unlink_inputs([*self.inputs, "AIC"])
        owner.release(self.member.run)
        return asked

    def _watch(self, model: ModelProcess, stop: Callable[[], bool]) -> Asked:
        asked: Asked = ""
        asked_at = grew_at = self.clock.now()
        signs = self._signs()
        while not model.over_within(self.settings.poll_seconds):
            self._collect()
            self._tell()
            owner.beat(self.member.run)
            now = self.clock.now()
            if signs != (signs := self._signs()):
                grew_at = now
            if not asked:
                asked = "stop" if stop() else "enough" if self._end() is not None else ""
                asked_at = now
            if asked:
                self.place.ask_to_stop()
                if now - asked_at > self.settings.stop_seconds:
                    self._log(f"it did not stop within {self.settings.stop_seconds:g} s; ended")
                    model.end()
            elif now - grew_at > self.settings.hang_seconds:
                model.end()
                return "hang"
        return asked

    def _signs(self) -> tuple[tuple[int, float], ...]:
        """What grows while a model is well: its log above all, and its restarts."""
        found = []
        for path in (self.place.log, *(self.member.run / name for name in (STATUS, *RESTARTS))):
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                found.append((stat.st_size, stat.st_mtime))
        return tuple(found)

    # -------------------------------------------------------------------------- what comes out
    def _collect(self, *, all_of_them: bool = False) -> None:
        """Read acc files that are new, in the order in which the model wrote them.

        Of a running model only those that have not changed since the last look, and none after one
        that cannot be read yet. The model writes its log on after a file: while it has not, the file
        may be half there, however long it has not grown, and half a file can read as other means.
        """
        known = {row.file for row in self.rows}
        paths = [path for path in series.acc_files(self.member.run) if path.name not in known]
        first = self.rows[0].first_step if self.rows else None
        logged = self._log_time()
        new = []
        for sign, path in sorted((self._sign(path), path) for path in paths):
            settled = self.seen.get(path.name) == sign and logged > sign[0]
            self.seen[path.name] = sign
            if not settled and not (all_of_them and logged >= sign[0]):
                break
            try:
                new.append(series.read_row(path, first, self._years_per_day()))
            except ConfigError:
                break
        if not new:
            return
        rows = series.order([*self.rows, *new])
        begin = rows[0].first_step
        self.rows = [
            replace(row, model_year=(row.last_step - begin) * row.step_s / YEAR_S) for row in rows
        ]
        series.write_rows(self.member.folder, self.rows)
        # A fast model writes several files between two looks, and the mean may end before the last.
        if not self.settings.keep_output and self._end() is None:
            self._prune()

    def _log_time(self) -> float:
        try:
            return self.place.log.stat().st_mtime
        except FileNotFoundError:
            return -math.inf

    @staticmethod
    def _sign(path: Path) -> tuple[float, int]:
        stat = path.stat()
        return stat.st_mtime, stat.st_size

    def _years_per_day(self) -> float:
        years = (self.rows[-1].model_year if self.rows else 0.0) - self.first_year
        return years / max(self.clock.now() - self.started, 1e-6) * DAY_S

    def _prune(self) -> None:
        """Remove what neither the last mean nor a way back to the oldest restart can need."""
        self.place.keep_restarts(self.settings.keep_restarts)
        oldest = self.place.oldest_step()
        back = sum(1 for row in self.rows if row.last_step <= oldest)
        for row in self.rows[: max(0, back - self.span.mean)]:
            (self.member.run / row.file).unlink(missing_ok=True)

    def _tell(self) -> bool:
        last = self.rows[-1] if self.rows else None
        self.report(
            Progress(
                model_years=last.model_year if last else 0.0,
                limit_years=self.settings.max_years,
                surface_temperature_k=last.surface_temperature_k if last else math.nan,
                toa_balance_wm2=last.toa_balance_wm2 if last else math.nan,
                model_years_per_day=self._years_per_day(),
            )
        )
        return False

    # -------------------------------------------------------------------------- bad ends
    def _hung(self) -> Verdict:
        evidence = gather(self.member.run, now=self.clock.now())
        assert evidence is not None
        silent = replace(evidence, log_age_s=self.settings.hang_seconds)
        verdict = is_hung(silent, self.settings.hang_seconds)
        return verdict or Verdict(
            Outcome.UNKNOWN, "it hung after it had said that it was over, and was ended"
        )

    def _ended_badly(self, asked: Asked) -> Verdict | None:
        evidence = gather(self.member.run, now=self.clock.now())
        assert evidence is not None
        verdict = judge(evidence)
        if asked and verdict.outcome in (Outcome.CHECKPOINTED, Outcome.UNKNOWN):
            kept = (*evidence.restarts, *evidence.month_starts, "its start")[0]
            return Verdict(
                Outcome.CHECKPOINTED,
                f"it did not stop within {self.settings.stop_seconds:g} s of being asked and was "
                f"ended; it goes on from {kept}",
            )
        if verdict.outcome is not Outcome.BLOWN_UP:
            return verdict
        if self._remedy(verdict):
            return None
        final = Verdict(Outcome.BLOWN_UP, f"{self._blown_up_where()}: {verdict.reason}")
        files.save_record(self.member.folder, files.Record(self.member.digest, final, {}))
        return final

    def _blown_up_where(self) -> str:
        tried = len(self.remedies.applied)
        times = f", after {tried} remedies" if tried else ""
        return f"blown up {self._where()}{times}"

    def _remedy(self, verdict: Verdict) -> bool:
        """Go back to a month-start restart and shorten the step from there; False if that is over."""
        row, applied = len(self.rows), self.remedies.applied
        if self.settings.remedy_dt_factor >= 1.0 or len(applied) >= self.settings.remedy_limit:
            return False
        again = applied and applied[-1].first_row <= row < applied[-1].until_row
        depth = applied[-1].depth + 1 if again else 1
        steps = [one.step for one in self.place.month_starts(self.asked)]
        # Beyond the oldest there is only the beginning.
        step = steps[depth - 1] if depth <= len(steps) else 0
        first = sum(1 for one in self.rows if one.last_step <= step)
        remedy = files.Remedy(step, first, row + self.span.remedy, depth, verdict.reason)
        self.remedies = self.remedies.with_one(remedy)
        files.save_remedies(self.member.folder, self.remedies)
        self._log(f"blew up {self._where()} ({verdict.reason}); back to step {step}")
        self._recover()
        return True
