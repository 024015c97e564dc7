"""``engine=command``: any program that keeps a small file contract (docs/engines.md).

The program runs in ``run/`` of the member's folder, which is its own and stays between attempts. We
write ``member.json`` there, read ``progress.csv`` as it grows, and ask it to stop with SIGUSR1. Its exit
code is a claim; a member is done only if its ``climate.nc`` is what every engine hands over.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from astrohpc.clock import Clock, SystemClock
from astrohpc.constants import DAY_S
from astrohpc.engines import record
from astrohpc.engines.base import Estimate, Progress
from astrohpc.engines.conformance import check_conformance
from astrohpc.engines.record import CLIMATE
from astrohpc.errors import ConfigError
from astrohpc.files import digest, file_digest, write_atomic
from astrohpc.outcome import EXIT_CODE, Outcome, Verdict
from astrohpc.planet import Planet

RUN, MEMBER, PROGRESS, SUMMARY, REASON, LOG = (
    "run",
    "member.json",
    "progress.csv",
    "summary.json",
    "reason.txt",
    "command.log",
)
_COLUMNS = ["model_years", "surface_temperature_k", "toa_balance_wm2"]
_POLL_S = 0.2
_SAID = {EXIT_CODE[o]: o for o in (Outcome.CHECKPOINTED, Outcome.BLOWN_UP, Outcome.BAD_CONFIG)}
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


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
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}: {getattr(self, name):g} is not more than 0; raise it.")


class Command:
    """A program with its settings."""

    name: str = "command"
    extent: frozenset[str] = frozenset()

    def __init__(self, settings: CommandSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.description = settings.description

    def physics(self) -> Mapping[str, Any]:
        """The program by the contents of its files, and what is handed to it."""
        words = [file_digest(Path(w)) if Path(w).is_file() else w for w in self.settings.command]
        return {
            "engine": self.name,
            "command": words,
            "version": self.settings.version,
            "settings": dict(self.settings.settings),
            "max_years": self.settings.max_years,
        }

    def check(self, planet: Planet) -> None:
        """Any planet will do: the program itself refuses what it cannot run."""
        del planet

    def estimate(self) -> Estimate:
        """As its owner states it."""
        settings = self.settings
        return Estimate(settings.cpu_s, round(settings.disk_mib * 2**20), settings.files)

    def prepare(self) -> None:
        """Make sure that there is a program."""
        program = self.settings.command[0]
        if shutil.which(program) is None:
            raise ConfigError(
                f"engine.command: {program!r} is no program on this machine; write its full path."
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
        member = digest({"planet": asdict(planet), "physics": dict(self.physics())})
        try:
            ended = record.load_record(folder)
            if ended is not None:
                record.check_member(folder / record.RECORD, ended.member, member)
                if self.verdict(folder) == ended.verdict:
                    return ended.verdict
            self.prepare()
            where = self._hand_over(planet, folder, member)
        except ConfigError as error:
            return Verdict(Outcome.BAD_CONFIG, str(error))
        code = self._follow(where, folder, stop, report)
        verdict = self._judge(where, folder, code)
        if verdict.outcome in (Outcome.DONE, Outcome.BLOWN_UP):
            size = record.climate_size(folder) if verdict.outcome is Outcome.DONE else 0
            record.save_record(folder, record.Record(member, verdict, _summary(where), size))
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
            there = json.loads((where / MEMBER).read_text())
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
    ) -> int:
        """Run the program to its end, which ``stop`` may ask for; return its exit code."""
        started, first = self.clock.now(), _years(_rows(where))
        with (folder / LOG).open("ab") as log:
            program = subprocess.Popen(
                [*self.settings.command, MEMBER],
                cwd=where,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - we have one thread
            )
        asked: float | None = None
        try:
            while program.poll() is None:
                if asked is None and stop():
                    asked = self.clock.now()
                    program.send_signal(signal.SIGUSR1)
                elif asked is not None and self.clock.now() - asked > self.settings.stop_wait_s:
                    break
                rows = _rows(where)
                if rows:
                    days = max(self.clock.now() - started, 1e-6) / DAY_S
                    report(self._progress(rows[-1], (_years(rows) - first) / days))
                self.clock.sleep(_POLL_S)
        finally:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
            code = program.wait()
        if asked is not None and code not in (0, *_SAID):
            return EXIT_CODE[
                Outcome.CHECKPOINTED
            ]  # it fell to our signal; its folder is as it left it
        return code

    def _judge(self, where: Path, folder: Path, code: int) -> Verdict:
        reason = _reason(where)
        if code in _SAID:
            return Verdict(_SAID[code], reason or f"the program left with exit code {code}")
        if code != 0:
            end = reason or f"exit code {code}; see {folder / LOG}"
            return Verdict(Outcome.UNKNOWN, f"the program ended otherwise than agreed: {end}")
        if not (where / CLIMATE).exists():
            problem = f"it left no {RUN}/{CLIMATE}"
        else:
            problem = "; ".join(check_conformance(where / CLIMATE)[:2])
        if problem:
            return Verdict(
                Outcome.BAD_CONFIG, f"the program says that it is done, but {problem}; mend it."
            )
        (where / CLIMATE).replace(folder / CLIMATE)
        years = _years(_rows(where))
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
        return [self._progress(row, 0.0) for row in _rows(folder / RUN)]

    def summary(self, folder: Path) -> Mapping[str, float | str]:
        """The last reported state and what the program adds in ``summary.json``."""
        ended = record.load_record(folder)
        return dict(ended.summary) if ended is not None else {}


def _die_with_parent() -> None:
    """Have Linux end the program with us: two of them in one folder would spoil each other's files."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _rows(where: Path) -> list[list[float]]:
    """Rows of ``progress.csv`` that are complete; a line that is being written is not one yet."""
    try:
        text = (where / PROGRESS).read_text()
    except (FileNotFoundError, UnicodeDecodeError):
        return []
    head, *lines = text.split("\n")[:-1] or [""]
    if head.strip().split(",")[:3] != _COLUMNS:
        return []
    rows = []
    for line in lines:
        try:
            rows.append([float(word) for word in line.split(",")[:3]])
        except ValueError:
            continue
    return [row for row in rows if len(row) == len(_COLUMNS)]


def _years(rows: list[list[float]]) -> float:
    return rows[-1][0] if rows else 0.0


def _reason(where: Path) -> str:
    try:
        text = (where / REASON).read_text(errors="replace")
    except FileNotFoundError:
        return ""
    return " ".join(text.split())[:300]


def _summary(where: Path) -> dict[str, float | str]:
    rows = _rows(where)
    numbers: dict[str, float | str] = {}
    if rows:
        years, temperature, balance = rows[-1]
        numbers = {
            "surface_temperature_k": temperature,
            "toa_balance_wm2": balance,
            "model_years": years,
        }
    try:
        more = json.loads((where / SUMMARY).read_text())
    except (FileNotFoundError, ValueError):
        return numbers
    if isinstance(more, dict):
        numbers |= {str(k): v for k, v in more.items() if isinstance(v, float | int | str)}
    return numbers
