"""When no step comes for a long time: write down what every thread does, and end the job.

A rank that hangs in a collective hangs silently and for ever (Horovod over Gloo never notices), and
burns the allocation. Exit code 75 lets the job go on from its last checkpoint.
"""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from astrohpc.clock import duration

CODE = 75


class Watchdog:
    """Watches from a thread of its own; ``beat`` says that all is well."""

    def __init__(
        self,
        patience_s: float,
        stacks: Path,
        say: Callable[[str], None],
        leave: Callable[[int], None] = os._exit,
    ) -> None:
        self.patience_s, self.stacks, self.say, self.leave = patience_s, stacks, say, leave
        self._last, self._what = time.monotonic(), "the start"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        if self.patience_s:
            self._last = time.monotonic()
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def beat(self, what: str) -> None:
        """Something went on: ``what`` is what the sentence will name as the last sign of life."""
        self._last, self._what = time.monotonic(), what

    def _watch(self) -> None:
        while not self._over.wait(min(self.patience_s / 4, 10.0)):
            silent_s = time.monotonic() - self._last
            if silent_s < self.patience_s:
                continue
            self.say(
                f"error: nothing for {duration(silent_s)} since {self._what}; what every thread does is in "
                f"{self.stacks}, and the job ends so that it can go on from its last checkpoint."
            )
            try:
                with self.stacks.open("a") as file:
                    faulthandler.dump_traceback(file, all_threads=True)
            except OSError:
                faulthandler.dump_traceback(sys.__stderr__ or 2, all_threads=True)
            self.leave(CODE)
            return
