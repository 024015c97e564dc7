"""Built executables by key: one folder each, which appears complete or not at all.

How ModelE is built is the user's affair. Their command gets the deck, this planet's entry for
``PlanetParams_mod.F90``, the source, and where to put the executable.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from astrohpc.clock import Clock
from astrohpc.engines.rocke3d.planetparams import Executable
from astrohpc.engines.rocke3d.rundeck import Rundeck
from astrohpc.errors import ConfigError
from astrohpc.files import exclusive

EXECUTABLE, DECK, PARAMS, LOG = "modele.exe", "deck.R", "planet_params.f90", "build.log"
_LAST_LINES = 2000  # bytes of the log in which the last word is looked for


class Executables:
    """The folder in which executables lie by key."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder, self.clock = folder, clock

    def path(self, key: str) -> Path:
        """Where the executable of this key is, or will be."""
        return self.folder / key / EXECUTABLE

    def built(self, key: str) -> bool:
        """Whether it is there and may be run."""
        path = self.path(key)
        return path.is_file() and os.access(path, os.X_OK)

    def build(
        self,
        executable: Executable,
        deck: Rundeck,
        command: Sequence[str],
        *,
        timeout_s: float,
        say: Callable[[str], None],
    ) -> None:
        """Build it, unless it is there; of several builders at once one does the work."""
        key = executable.key
        self.folder.mkdir(parents=True, exist_ok=True)
        told = False
        while not self.built(key):
            with exclusive(self.folder / f".{key}.lock") as ours:
                if ours:
                    if not self.built(key):
                        self._build(executable, deck, command, timeout_s, say)
                    return
            if not told:
                say(f"executable {key[:12]}: another process builds it; waiting for that")
                told = True
            self.clock.sleep(0.5)

    def _build(
        self,
        executable: Executable,
        deck: Rundeck,
        command: Sequence[str],
        timeout_s: float,
        say: Callable[[str], None],
    ) -> None:
        key = executable.key
        scratch = Path(tempfile.mkdtemp(dir=self.folder, prefix=f".building-{key[:12]}-"))
        try:
            (scratch / "tree").mkdir()
            executable.deck(deck).write(scratch / DECK)
            (scratch / PARAMS).write_text(executable.params.fortran())
            places = {
                "deck": scratch / DECK,
                "planet_params": scratch / PARAMS,
                "executable": scratch / EXECUTABLE,
                "source": executable.source,
            }
            words = [word.format(**places) for word in command]
            say(f"executable {key[:12]}: building it with {' '.join(words)}")
            problem = self._run(words, scratch, timeout_s)
            if not problem and not (scratch / EXECUTABLE).is_file():
                problem = "ended well, but left no executable where {executable} says"
            if problem:
                self._fail(key, scratch, problem)
            (scratch / EXECUTABLE).chmod(0o755)
            shutil.rmtree(scratch / "tree")
            scratch.chmod(0o755)
            self._move(scratch, key)
            say(f"executable {key[:12]}: built")
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _run(self, words: list[str], scratch: Path, timeout_s: float) -> str:
        """Run the command in a scratch tree; what went wrong, or nothing."""
        try:
            with (scratch / LOG).open("wb") as log:
                builder = subprocess.Popen(
                    words,
                    cwd=scratch / "tree",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            return f"cannot be started ({error.strerror}: {words[0]})"
        try:
            code = builder.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return f"took longer than {timeout_s:g} s (build_seconds)"
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(builder.pid, signal.SIGKILL)  # compilers that it started outlive it
            builder.wait()
        return f"failed with exit code {code}" if code else ""

    def _fail(self, key: str, scratch: Path, problem: str) -> None:
        log = self.folder / f"{key}.build.log"
        shutil.copyfile(scratch / LOG, log)
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LAST_LINES))
            lines = file.read().decode(errors="replace").strip().splitlines()
        said = f", its last words '{lines[-1].strip()}'" if lines else ""
        raise ConfigError(
            f"build: the command for executable {key[:12]} {problem}{said}; read {log}, mend the "
            "script or engine.build, and run this again."
        )

    def _move(self, scratch: Path, key: str) -> None:
        # Where locks do not reach (some parallel file systems) two may have built: the first stays,
        # for a member may be running it.
        try:
            scratch.rename(self.folder / key)
        except OSError:
            if self.built(key):
                return
            shutil.rmtree(self.folder / key, ignore_errors=True)  # without what it should hold
            scratch.rename(self.folder / key)
