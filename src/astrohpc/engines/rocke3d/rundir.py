"""The run folder, as the model wants it before a launch and as a killed launch leaves it."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from astrohpc.engines.netcdf import open_complete
from astrohpc.engines.rocke3d.evidence import ERRORS, FLAG, INPUT, RESTARTS, STATUS
from astrohpc.engines.rocke3d.inputfile import InputFile
from astrohpc.engines.rocke3d.text import Value
from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic

GO, STOP = "___GO___", "__STOP__"
_NOT_READ = "-99\nINPUT not yet completed\n"
COLD, BACKTRACK, LATEST, FIRST = 2, 9, 10, 11
_SAME = 1e-5  # relative, as run parameters are compared after a run


@dataclass(frozen=True)
class Restart:
    """What a launch starts from: ``istart`` in the model's words, and the step that it resumes."""

    istart: int
    step: int
    file: str = ""
    damaged: tuple[str, ...] = ()

    @property
    def cold(self) -> bool:
        """Whether it is the set-up hour from initial conditions."""
        return self.istart == COLD

    @property
    def words(self) -> str:
        """For the log."""
        if self.cold:
            return "cold start with the set-up hour"
        return f"from step {self.step} of {self.file} (ISTART={self.istart})"


class RunFolder:
    """One member's run folder; everything but the model's own process."""

    def __init__(self, path: Path, run: str) -> None:
        self.path, self.run = path, run

    @property
    def log(self) -> Path:
        """The model's log, overwritten at every launch."""
        return self.path / f"{self.run}.PRT"

    def make_ready(
        self, run_input: InputFile, inputs: Mapping[str, Path], restart: Restart
    ) -> None:
        """Write ``I``, link the input data, and forget what the last launch said of itself."""
        # What is left of a launch before would be taken for a word of this one, if it dies early.
        write_atomic(self.path / STATUS, _NOT_READ)
        for name in (self.log.name, ERRORS, "fort.99"):
            (self.path / name).unlink(missing_ok=True)
        for name, target in inputs.items():
            self._link(name, target)
        if restart.istart == BACKTRACK:
            self._link("AIC", Path(restart.file))
        for name in restart.damaged:
            (self.path / name).unlink(missing_ok=True)  # the model opens both before it chooses
        write_atomic(self.path / FLAG, GO + "\n")
        run_input.write(self.path / INPUT)

    def _link(self, name: str, target: Path) -> None:
        link = self.path / name
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            raise ConfigError(
                f"{link}: is a file where a link to the input data belongs; move it away."
            )
        link.symlink_to(target)

    def unlink_inputs(self, names: Iterable[str]) -> None:
        """Remove the links, which are there only while the model runs."""
        for name in names:
            if (self.path / name).is_symlink():
                (self.path / name).unlink()

    def ask_to_stop(self) -> None:
        """Write the flag. The model writes its own when it has read its input, so ask again."""
        write_atomic(self.path / FLAG, STOP + "\n")

    def status(self) -> int | None:
        """The first line of ``run_status``."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int((self.path / STATUS).read_text(errors="replace").split()[0])
        return None

    def month_starts(self, asked: Mapping[str, Value]) -> list[Restart]:
        """The month-start restarts that can be read, newest first."""
        found = []
        for path in self.path.glob("1*.rsf*.nc"):
            step = restart_step(path, asked)
            if step is not None:
                found.append(Restart(BACKTRACK, step, path.name))
        return sorted(found, key=lambda one: one.step, reverse=True)

    def choose_restart(self, asked: Mapping[str, Value]) -> Restart:
        """The latest restart that is whole.

        Both of ``fort.1`` and ``fort.2``: the model takes the later. One of them: it is forced. None:
        the newest month-start restart. None of these: a cold start.
        """
        there = [name for name in RESTARTS if (self.path / name).exists()]
        whole = {}
        for name in there:
            step = restart_step(self.path / name, asked)
            if step is not None:
                whole[name] = step
        damaged = tuple(name for name in there if name not in whole)
        if len(whole) == len(RESTARTS):
            name = max(whole, key=lambda one: whole[one])
            return Restart(LATEST, whole[name], name)
        for name, step in whole.items():
            return Restart(FIRST + RESTARTS.index(name), step, name, damaged)
        for month_start in self.month_starts(asked):
            return Restart(BACKTRACK, month_start.step, month_start.file, damaged)
        return Restart(COLD, 0, damaged=damaged)

    def oldest_step(self) -> int:
        """The earliest step to which a restart could lead back; 0 where there is none."""
        paths = [self.path / name for name in RESTARTS if (self.path / name).exists()]
        steps = [restart_step(path, {}) for path in paths]
        steps += [one.step for one in self.month_starts({})]
        return min((step for step in steps if step is not None), default=0)

    def forget_after(self, step: int, asked: Mapping[str, Value], *, all_restarts: bool) -> None:
        """Remove restarts of after a step, and ``fort.1`` and ``fort.2`` too if ``all_restarts``."""
        if all_restarts:
            for name in RESTARTS:
                (self.path / name).unlink(missing_ok=True)
        for one in self.month_starts(asked):
            if one.step > step:
                (self.path / one.file).unlink(missing_ok=True)

    def keep_restarts(self, count: int) -> None:
        """Remove all but the newest month-start restarts."""
        paths = [(path.stat().st_mtime, path) for path in self.path.glob("1*.rsf*.nc")]
        for _, path in sorted(paths)[:-count]:
            path.unlink(missing_ok=True)


def restart_step(path: Path, asked: Mapping[str, Value]) -> int | None:
    """The step of a restart, or None where it is damaged; ConfigError where it is another planet's."""
    try:
        with open_complete(path) as file:
            if "itime" not in file.variables:
                return None
            step = int(np.asarray(file.variables["itime"][...]))
            ran = _parameters(file)
    except ConfigError:
        return None
    for name, wanted in asked.items():
        if name.lower() in ran and not _same(ran[name.lower()], wanted):
            raise ConfigError(
                f"{path}: is a restart of another planet ({name} = {ran[name.lower()]}, but the "
                f"member has {wanted}); move it away, or run this member in a folder of its own."
            )
    return step


def _parameters(file: Any) -> dict[str, Any]:
    return {
        name.lower(): file.variables[section].getncattr(name)
        for section in ("rparam", "iparam", "cparam")
        if section in file.variables
        for name in file.variables[section].ncattrs()
    }


def _same(ran: object, wanted: Value) -> bool:
    if isinstance(ran, str) or isinstance(wanted, str):
        return str(ran).strip().lower() == str(wanted).strip().lower()
    left, right = (np.ravel(np.asarray(one, dtype=np.float64)) for one in (ran, wanted))
    return left.shape == right.shape and bool(np.allclose(left, right, rtol=_SAME, atol=1e-30))
