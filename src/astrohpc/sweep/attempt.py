"""What a job does with its members, one after the other: claim, run, report, record."""

import errno
import os
import socket
import traceback
from collections.abc import Callable, Container, Mapping
from pathlib import Path

from astrohpc.clock import Clock, duration
from astrohpc.engines.base import Engine, Progress
from astrohpc.engines.load import load_engine
from astrohpc.errors import ConfigError
from astrohpc.outcome import EXIT_CODE, Outcome, Verdict
from astrohpc.slurm.whoami import job_name
from astrohpc.sweep import config as configs
from astrohpc.sweep.breaker import note_failure, tripped
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.members import Member, member_id, read_table
from astrohpc.sweep.state import Busy, Claim, Fenced, claim, foreign_files

# The worst outcome of a task decides its exit code: what needs a person, then what needs a policy.
_SEVERITY = (
    Outcome.BAD_CONFIG,
    Outcome.UNKNOWN,
    Outcome.BLOWN_UP,
    Outcome.CHECKPOINTED,
    Outcome.DONE,
)
_DIED = 1
NOT_STARTED = 69  # sysexits.h: unavailable. Someone else runs the member, or the breaker is open.


class Task:
    """The members that one array task stands for."""

    def __init__(
        self,
        folder: SweepFolder,
        clock: Clock,
        stop: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        written = configs.load(folder.config)
        self.config = configs.parse(written)
        self.folder = folder
        self.clock = clock
        self.stop = stop
        self.say = say

    def run(self, indices: Container[int]) -> int:
        """Run the members of these indices and return the exit code that says the worst of them."""
        outcomes: set[Outcome] = set()
        for member in read_table(self.folder.table, indices):
            if self.stop():
                outcomes.add(Outcome.CHECKPOINTED)  # the rest was not begun: someone must come back
                break
            outcome = self._member(member)
            if outcome is not None:
                outcomes.add(outcome)
        worst = next((one for one in _SEVERITY if one in outcomes), None)
        return NOT_STARTED if worst is None else EXIT_CODE.get(worst, _DIED)

    def _member(self, member: Member) -> Outcome | None:
        """Run one member; None if it was not ours to run."""
        name = f"member {member.index} ({member.id})"
        why = tripped(self.folder, self.config.policy.breaker)
        if why:
            self.say(f"{name}: not started, because {why}; mend it, then 'launch retry'")
            return None
        where = self.folder.member(member.id)
        held = claim(
            where,
            member=member.id,
            index=member.index,
            job=job_name(),
            host=os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
            clock=self.clock,
            stale_s=self.config.site.stale_s,
            goes_on=lambda: self._goes_on(member, where),
        )
        if isinstance(held, Busy):
            self.say(f"{name}: left alone, {held.why}")
            return Outcome.DONE if held.done else None
        began = self.clock.now()
        try:
            verdict, summary = self._run(member, held)
            held.finish(verdict, summary)
        except Fenced as fenced:
            self.say(f"{name}: left, because {fenced}")
            return None
        self.say(
            f"{name}: {verdict.outcome.replace('_', ' ')} after "
            f"{duration(self.clock.now() - began)}: {verdict.reason}"
        )
        if verdict.outcome is Outcome.BAD_CONFIG:
            note_failure(self.folder, member.id, verdict.reason)
        return verdict.outcome

    def _goes_on(self, member: Member, where: Path) -> bool:
        verdict = load_engine(self.config.engine, member.overrides).verdict(where)
        return verdict is None or verdict.outcome is not Outcome.DONE

    def _run(self, member: Member, held: Claim) -> tuple[Verdict, Mapping[str, float | str | bool]]:
        try:
            engine = load_engine(self.config.engine, member.overrides)
            self._check(member, engine, held.folder)
            verdict = engine.run(
                member.planet, held.folder, stop=self.stop, report=self._reporter(held)
            )
            return verdict, engine.summary(held.folder) if verdict.outcome is Outcome.DONE else {}
        except ConfigError as error:
            return Verdict(Outcome.BAD_CONFIG, str(error)), {}
        except MemoryError:
            return Verdict(
                Outcome.OUT_OF_MEMORY, "Python could not get the memory it asked for"
            ), {}
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                reason = f"the disk or its quota is full ({error.filename}); free space, then 'launch retry'"
                return Verdict(Outcome.BAD_CONFIG, reason), {}
            traceback.print_exc()
            return Verdict(Outcome.UNKNOWN, f"{type(error).__name__}: {error}"), {}
        except Fenced:
            raise
        except Exception as error:  # noqa: BLE001 - an engine's bug must not take the next members along
            traceback.print_exc()
            return Verdict(Outcome.UNKNOWN, f"{type(error).__name__}: {error}"), {}

    def _check(self, member: Member, engine: Engine, where: Path) -> None:
        if member_id(member.planet, engine) != member.id:
            raise ConfigError(
                f"engine: the {engine.name} of this installation is not the one that the sweep was made "
                "with (settings, version or inputs differ); install that one, or sweep into a new name."
            )
        foreign = foreign_files(where, engine.files())
        if foreign:
            raise ConfigError(
                f"{where}: {foreign[0]!r} is not a file of ours or of the model; move it away and retry."
            )

    def _reporter(self, held: Claim) -> Callable[[Progress], None]:
        last = checked = self.clock.now()

        def report(progress: Progress) -> None:
            nonlocal last, checked
            held.note(progress)
            now = self.clock.now()
            if now - checked >= 1.0:
                checked = now
                held.check()
            if now - last < self.config.site.heartbeat_s:
                return
            last = now
            held.heartbeat()
            self.say(
                f"year {progress.model_years:.1f} of at most {progress.limit_years:.0f}: "
                f"{progress.surface_temperature_k:.2f} K, balance {progress.toa_balance_wm2:+.3f} W/m2, "
                f"{progress.model_years_per_day:.0f} model years/day"
            )

        return report
