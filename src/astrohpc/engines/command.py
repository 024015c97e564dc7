"""``engine=command``: any program that keeps a small file contract (docs/engines.md).

The program runs in ``run/`` of the member's folder, which is its own and stays between attempts. We
write ``member.json`` there, read ``progress.csv`` as it grows, and ask it to stop with SIGUSR1. Its exit
code is a claim; a member is done only if its ``climate.nc`` is what every engine hands over.
"""

import contextlib
import ctypes
import json
import math
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from astrohpc.clock import Clock, SystemClock
from astrohpc.constants import DAY_S
from astrohpc.engines import record
from astrohpc.engines.base import Estimate, Progress
from astrohpc.engines.command_files import (
    REASON,
    last_year,
    read_object,
    read_reason,
    read_rows,
    read_summary,
)
from astrohpc.engines.conformance import check_conformance, check_planet
from astrohpc.engines.record import CLIMATE
from astrohpc.engines.record import COMMAND_LOG as LOG
from astrohpc.errors import ConfigError
from astrohpc.files import file_digest, write_atomic
from astrohpc.outcome import EXIT_CODE, Outcome, Verdict
from astrohpc.planet import Planet

RUN, MEMBER = "run", "member.json"
_POLL_S = 0.2
_SAID = {EXIT_CODE[o]: o for o in (Outcome.CHECKPOINTED, Outcome.BLOWN_UP, Outcome.BAD_CONFIG)}
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_INTERPRETER = re.compile(r"(python|perl|ruby|julia|node|Rscript|bash|dash|ksh|sh|zsh)[\d.]*")
_SCRIPT = (".jl", ".pl", ".py", ".r", ".rb", ".sh")


@dataclass(frozen=True, kw_only=True)
class CommandSettings:
    """Run settings; ``configs/engine/command.yaml`` says what each is."""

    command: tuple[str, ...] = ()
    version: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    max_years: float = 1000.0
    description: str = "a model of its owner's own"
    cpu_s: float = 60.0
    disk_mib: float = 10.0
    files: int = 5
    stop_wait_s: float = 60.0

    def __post_init__(self) -> None:
        if not self.command:
            raise ConfigError(
                "command: which program? Write for example engine.command=[python,model.py]."
            )
        for name in ("max_years", "cpu_s", "disk_mib", "files", "stop_wait_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(
                    f"{name}: {getattr(self, name):g} is not a number above 0; write one."
                )


class Command:
    """A program with its settings."""

    name: str = "command"
    extent: frozenset[str] = frozenset()

    def __init__(self, settings: CommandSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.description = settings.description
        self._there = False  # whether we have seen that the program is there

    def physics(self) -> Mapping[str, Any]:
        """The program by the contents of its files, and what is handed to it.

        Only full paths count as files: a job does not run where the launcher ran.
        """
        words = [
            file_digest(Path(word)) if Path(word).is_absolute() and Path(word).is_file() else word
            for word in self.settings.command
        ]
        return {
            "engine": self.name,
            "command": words,
            "version": self.settings.version,
            "settings": dict(self.settings.settings),
            "max_years": self.settings.max_years,
        }

    def check(self, planet: Planet) -> None:
        """Any planet will do, if there is a program: it refuses by itself what it cannot run.

        A sweep asks this of its planets before it makes anything, and has thousands of them.
        """
        del planet
        if not self._there:
            self.prepare()
            self._there = True

    def estimate(self) -> Estimate:
        """As its owner states it."""
        settings = self.settings
        return Estimate(settings.cpu_s, round(settings.disk_mib * 2**20), settings.files)

    def prepare(self) -> None:
        """Make sure that there is a program, and the script that it is to read."""
        program = self.settings.command[0]
        if shutil.which(program) is None:
            if "/" in program and Path(program).is_file():
                raise ConfigError(
                    f"engine.command: {program} may not be executed; say 'chmod +x' to it, or write "
                    "its interpreter before it, as [python,model.py]."
                )
            raise ConfigError(
                f"engine.command: {program!r} is no program on this machine; write its full path."
            )
        script = _script(self.settings.command)
        if script is not None and not Path(script).exists():
            raise ConfigError(
                f"engine.command: there is no file {script}, which {program!r} is to run; "
                "write its full path."
            )

    def run(
        self,
        planet: Planet,
        folder: Path,
        *,
        stop: Callable[[], bool],
        report: Callable[[Progress], None],
    ) -> Verdict:
        """Start the program, follow it, and judge what it left."""
        member = record.of_member(self, planet)
        try:
            ended = record.ended_before(self, folder, member)
            if ended is not None:
                return ended
            self.prepare()
            where = self._hand_over(planet, folder, member)
            end = self._follow(where, folder, stop, report)
        except ConfigError as error:
            return Verdict(Outcome.BAD_CONFIG, str(error))
        verdict = self._judge(planet, where, folder, end)
        if verdict.outcome in (Outcome.DONE, Outcome.BLOWN_UP):
            done = verdict.outcome is Outcome.DONE
            size, summary = (record.climate_size(folder), read_summary(where)) if done else (0, {})
            record.save_record(folder, record.Record(member, verdict, summary, size))
        return verdict

    def _hand_over(self, planet: Planet, folder: Path, member: str) -> Path:
        where = folder / RUN
        where.mkdir(exist_ok=True)
        content = {
            "member": member,
            "planet": asdict(planet),
            "settings": dict(self.settings.settings),
            "max_years": self.settings.max_years,
        }
        if (where / MEMBER).exists():
            there = read_object(where / MEMBER)
            record.check_member(where / MEMBER, str(there.get("member")), member)
        write_atomic(where / MEMBER, json.dumps(content, indent=1) + "\n")
        (where / REASON).unlink(missing_ok=True)
        return where

    def _follow(
        self,
        where: Path,
        folder: Path,
        stop: Callable[[], bool],
        report: Callable[[Progress], None],
    ) -> "_End":
        """Run the program to its end, which ``stop`` may ask for; nothing of it is left after that."""
        started, first = self.clock.now(), last_year(read_rows(where))
        asked: float | None = None
        killed = False
        with _group([*self.settings.command, MEMBER], where, folder / LOG) as program:
            while not _over(program.pid):
                if asked is None and stop():
                    asked = self.clock.now()
                    program.send_signal(signal.SIGUSR1)
                elif asked is not None and self.clock.now() - asked > self.settings.stop_wait_s:
                    killed = True
                    break
                rows = read_rows(where)
                if rows:
                    days = max(self.clock.now() - started, 1e-6) / DAY_S
                    years = last_year(rows)
                    first = min(first, years)  # a restart may lie before what was last reported
                    report(self._progress(rows[-1], (years - first) / days))
                self.clock.sleep(_POLL_S)
        return _End(program.returncode, asked is not None, killed)

    def _judge(self, planet: Planet, where: Path, folder: Path, end: "_End") -> Verdict:
        code, reason = end.code, read_reason(where)
        if end.killed:
            wait_s = self.settings.stop_wait_s
            said = f"it did not stop within {wait_s:g} s of being asked (engine.stop_wait_s) and was killed"
            return Verdict(
                Outcome.CHECKPOINTED, said + (f"; it had said: {reason}" if reason else "")
            )
        if code in _SAID:
            return Verdict(_SAID[code], reason or f"the program left with exit code {code}")
        if code != 0 and end.asked:
            said = f"asked to stop, it ended with exit code {code}; it goes on from what it left in {RUN}/"
            return Verdict(Outcome.CHECKPOINTED, reason or said)
        if code != 0:
            said = reason or f"exit code {code}; see {folder / LOG}"
            return Verdict(Outcome.UNKNOWN, f"the program ended otherwise than agreed: {said}")
        if not (where / CLIMATE).exists():
            problem = f"it left no {RUN}/{CLIMATE}"
        else:
            found = check_conformance(where / CLIMATE) or check_planet(where / CLIMATE, planet)
            problem = "; ".join(found[:2])
        try:
            read_summary(where)
        except ConfigError as error:
            problem = problem or str(error)
        if problem:
            return Verdict(
                Outcome.BAD_CONFIG, f"the program says that it is done, but {problem}; mend it."
            )
        (where / CLIMATE).replace(folder / CLIMATE)
        years = last_year(read_rows(where))
        return Verdict(Outcome.DONE, reason or f"done at model year {years:g}")

    def _progress(self, row: list[float], speed: float) -> Progress:
        return Progress(row[0], self.settings.max_years, row[1], row[2], speed)

    def verdict(self, folder: Path) -> Verdict | None:
        """What the files say: the record of its end, or that it goes on from what it left."""
        ended = record.recorded_verdict(folder)
        if ended is not None:
            return ended
        if (folder / RUN / MEMBER).exists():
            return Verdict(Outcome.CHECKPOINTED, f"the program goes on from what it left in {RUN}/")
        return None

    def files(self) -> frozenset[str]:
        """What lies in a member's folder; ``run/`` is the program's own."""
        return frozenset({RUN, CLIMATE, LOG, record.RECORD})

    def series(self, folder: Path) -> list[Progress]:
        """What the program has reported."""
        return [self._progress(row, 0.0) for row in read_rows(folder / RUN)]

    def summary(self, folder: Path) -> Mapping[str, float | str]:
        """The last reported state and what the program adds in ``summary.json``."""
        ended = record.load_record(folder)
        return dict(ended.summary) if ended is not None else {}


@dataclass(frozen=True)
class _End:
    """How the program ended: its exit code, whether we had asked for it, whether we had to kill it."""

    code: int
    asked: bool
    killed: bool


def _script(command: Sequence[str]) -> str | None:
    """The file that an interpreter is to run, where the command leaves no doubt which word that is."""
    reads_scripts = _INTERPRETER.fullmatch(Path(command[0]).name) is not None
    for word in command[1:]:
        if word.startswith("-"):
            if len(word) == 2 and word[1] not in "BEIOsSu":
                return None  # -c, -m, -W …: what follows belongs to it
            continue
        named = Path(word).suffix.lower() in _SCRIPT
        return word if named or (reads_scripts and "/" in word) else None
    return None


@contextlib.contextmanager
def _group(command: list[str], where: Path, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program in a process group of its own; at the end nothing of that group is left."""
    with log.open("ab") as out:
        try:
            program = subprocess.Popen(
                command,
                cwd=where,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - we have one thread
            )
        except OSError as error:
            raise ConfigError(
                f"engine.command: {command[0]} cannot be started ({error.strerror}); "
                "a script needs its interpreter before it, or a first line '#!…'."
            ) from error
    # The kernel ends the program with us, but not what it has forked. A shell that reads from us sees
    # the end of its input when we die, however that happens, and ends the whole group.
    guard = subprocess.Popen(
        ["bash", "-c", 'read -r; kill -KILL -- "-$0"', str(program.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield program
    finally:
        guard.kill()
        guard.communicate()
        # Its leader is not waited for yet, so that its number still names this group and no other.
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()


def _over(pid: int) -> bool:
    """Whether a child has ended; it stays a zombie, so that its number is not given away."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _die_with_parent() -> None:
    """Have Linux end the program with us: two of them in one folder would spoil each other's files."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
