"""The model as a child process: a group of its own, so that all its ranks can be ended together."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from astrohpc.engines.rocke3d.evidence import ERRORS

_AFTER_TERM_S = 10.0
# As ModelE's set-up does: a stack of large arrays, which the shell's limit would not hold. Where the
# wish is above what the system allows, the most that it allows.
_SHELL = (
    'if [ "$0" = 0 ]; then want=unlimited; else want=$0; fi; '
    'ulimit -s "$want" 2>/dev/null || ulimit -s "$(ulimit -H -s)"; exec "$@"'
)


class ModelProcess:
    """One launch. Its exit code means nothing: ModelE exits with 13 when all went well."""

    def __init__(
        self,
        folder: Path,
        log: Path,
        executable: Path,
        *,
        launcher: tuple[str, ...],
        stack_kib: int,
        cold: bool,
    ) -> None:
        command = ["bash", "-c", _SHELL, str(stack_kib), *launcher, str(executable), "-i", "./I"]
        if cold:
            command.append("-cold-restart")
        # Intel's runtime reads the older input files, which are big-endian, only if told so.
        environment = {"F_UFMTENDIAN": "big", **os.environ}
        with log.open("wb") as out, (folder / ERRORS).open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The number of the process, and of its group."""
        return self._process.pid

    def over_within(self, seconds: float) -> bool:
        """Wait; whether it is over."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self, *, at_once: bool = False) -> None:
        """End the whole group, by TERM and then by KILL, and wait for it."""
        if not at_once and self._process.poll() is None:
            self._signal(signal.SIGTERM)
            self.over_within(_AFTER_TERM_S)
        self._signal(signal.SIGKILL)  # ranks may outlive the one that started them
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
