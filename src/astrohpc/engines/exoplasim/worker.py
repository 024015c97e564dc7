"""A child process that imports ``exoplasim``, asked by lines of JSON.

The package changes the working folder, prints where it likes and takes a second to import. It lives in
a process of its own, one for an attempt, whose output goes to a log; answers come on a pipe.
"""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

_POLL_S = 0.5


class WorkerDied(RuntimeError):
    """The child failed; the message is its last word."""


class Interrupted(Exception):
    """The caller wants to stop, and the child has been ended."""


# Ask Linux to kill us when our parent is killed, however hard: an orphan would go on writing into the
# folder that the next attempt reads. The parent may have died before we asked.
_BOUND = """
import ctypes, os, sys
try:
    ctypes.CDLL(None).prctl(1, 9)
except (OSError, AttributeError):
    pass
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def bound(*command: str) -> list[str]:
    """The command, to be killed when this process dies. A program, as forking into Python is not safe."""
    return [sys.executable, "-I", "-S", "-c", _BOUND, str(os.getpid()), *command]


class Worker:
    """The child, started when it is first asked something."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def ask(
        self, request: dict[str, Any], waiting: Callable[[], bool] = lambda: False
    ) -> dict[str, Any]:
        """Send a request and return the answer; ``waiting`` is called meanwhile and may say stop."""
        process = self.process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise WorkerDied(self._last_word()) from None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not selector.select(_POLL_S):
                if waiting():
                    self.end()
                    raise Interrupted
        line = process.stdout.readline()
        if not line:
            process.wait()
            raise WorkerDied(self._last_word())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerDied(str(answer["error"]))
        return answer

    def end(self) -> None:
        """End the child."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue
        self.process = None

    def _start(self) -> subprocess.Popen[str]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")  # of a make that we may run under
        }
        # One core is what a member is given; BLAS would take all that it sees.
        environment |= dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
        )
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                bound(sys.executable, "-m", "astrohpc.engines.exoplasim.child"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        return self.process

    def _last_word(self) -> str:
        lines = self.log.read_text(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1] if said else "it ended without a word"
