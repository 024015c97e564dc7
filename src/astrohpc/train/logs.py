"""What people watch: curves in TensorBoard, and a line of progress. Rank 0 alone writes."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.clock import Clock, duration
from astrohpc.train.events import EventFile

_LINE_S = 30.0  # between lines where there is no terminal


class Log:
    """The log of one run. At other ranks than 0 nothing of it does anything."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        say: Callable[[str], None],
        *,
        rank: int,
        steps: int,
        from_step: int,
    ) -> None:
        self._clock, self._on = clock, rank == 0
        self._events = EventFile(folder, from_step) if self._on else None
        self._line = _Line(clock, say, steps, from_step) if self._on else None

    def texts(self, step: int, texts: Mapping[str, Any]) -> None:
        """What made this run: configuration, provenance."""
        for tag, value in texts.items():
            words = value if isinstance(value, str) else json.dumps(value, indent=1, default=str)
            if self._events is not None:
                self._events.text(step, self._clock.now(), tag, f"```\n{words}\n```")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers after ``step`` steps."""
        if self._events is not None:
            self._events.scalars(step, self._clock.now(), values)

    def images(self, step: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Pictures, [row, column, 3]."""
        for tag, pixels in pictures.items():
            if self._events is not None:
                self._events.image(step, self._clock.now(), tag, pixels)

    def histograms(self, step: int, values: Mapping[str, NDArray[Any]]) -> None:
        """How values are distributed."""
        for tag, one in values.items():
            if self._events is not None:
                self._events.histogram(step, self._clock.now(), tag, one)

    def progress(self, step: int, words: str) -> None:
        """How far it is."""
        if self._line is not None:
            self._line.show(step, words)

    def close(self) -> None:
        """Nothing more comes."""
        if self._events is not None and self._line is not None:
            self._events.close()
            self._line.close()


class _Line:
    """A bar with the time of its end on a terminal, a line now and then elsewhere."""

    def __init__(self, clock: Clock, say: Callable[[str], None], steps: int, begun_at: int) -> None:
        self.clock, self.say, self.steps = clock, say, steps
        self.begun_at, self.begun, self.last = begun_at, clock.now(), -_LINE_S
        self._bar: Any = None
        if sys.stdout is not None and sys.stdout.isatty():
            from rich.progress import (  # noqa: PLC0415 - a terminal only
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            self._bar = Progress(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("{task.description}"),
                TimeRemainingColumn(),
            )
            self._task = self._bar.add_task("", total=steps, completed=begun_at)
            self._bar.start()

    def show(self, step: int, words: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=words)
            return
        now = self.clock.now()
        if now - self.last < _LINE_S and step < self.steps:
            return
        self.last = now
        self.say(f"step {step} of {self.steps}, {words}{self._rest(step, now)}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _rest(self, step: int, now: float) -> str:
        done = step - self.begun_at
        if done < 1 or step >= self.steps:
            return ""
        return f", {duration((now - self.begun) / done * (self.steps - step))} to go"
