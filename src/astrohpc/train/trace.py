"""A profiler's trace of some steps, on request, as a file that a browser opens."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch


class Tracer:
    """Traces the steps from the first to the last that were asked for, at rank 0."""

    def __init__(
        self, steps: Sequence[int], folder: Path, rank: int, say: Callable[[str], None]
    ) -> None:
        self.steps, self.folder, self.say = tuple(steps) if rank == 0 else (), folder, say
        self._profiler: Any = None

    def before(self, step: int) -> None:
        """Call before each step, which count from 1, and once after the last."""
        if not self.steps:
            return
        first, last = self.steps
        if self._profiler is None and step == first:
            self._profiler = torch.profiler.profile()
            self._profiler.start()
        elif self._profiler is not None and step > last:
            self._profiler.stop()
            path = self.folder / f"trace-{first}-{last}.json"
            self._profiler.export_chrome_trace(str(path))
            self._profiler, self.steps = None, ()
            self.say(f"the trace of steps {first} to {last} is {path}")
