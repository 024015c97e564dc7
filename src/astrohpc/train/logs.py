"""What people watch: curves in TensorBoard, and a line of progress. Rank 0 alone writes."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
        self._clock, self._say = clock, say
        self._events: EventFile | None = None
        if rank == 0:
            try:
                self._events = EventFile(folder, from_step, clock.now())
            except OSError as error:
                self._give_up(error)
        self._line = _Line(clock, say, steps, from_step) if rank == 0 else None

    def note(self, step: int, tag: str, sentence: str) -> None:
        """Something that a person should know: said, and kept beside the curves."""
        self._say(sentence)
        self._write("text", step, tag, sentence)

    def texts(self, step: int, texts: Mapping[str, Any]) -> None:
        """What made this run: configuration, provenance."""
        for tag, value in texts.items():
            words = value if isinstance(value, str) else json.dumps(value, indent=1, default=str)
            self._write("text", step, tag, f"```\n{words}\n```")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers after ``step`` steps."""
        self._write("scalars", step, values)

    def images(self, step: int, pictures: Mapping[str, bytes]) -> None:
        """Pictures, as PNG."""
        for tag, png in pictures.items():
            self._write("image", step, tag, png)

    def histograms(self, step: int, values: Mapping[str, NDArray[Any]]) -> None:
        """How values are distributed."""
        for tag, one in values.items():
            self._write("histogram", step, tag, one)

    def _write(self, kind: str, step: int, *what: Any) -> None:
        """Curves are worth having, and never worth a training."""
        if self._events is None:
            return
        try:
            getattr(self._events, kind)(step, self._clock.now(), *what)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._say(f"TensorBoard's file cannot be written ({error.strerror}); training goes on")
        self._close_events()

    def _close_events(self) -> None:
        if self._events is not None:
            with contextlib.suppress(OSError):  # what was not written before is not now
                self._events.close()
            self._events = None

    def progress(self, step: int, words: str) -> None:
        """How far it is."""
        if self._line is not None:
            self._line.show(step, words)

    def close(self) -> None:
        """Nothing more comes."""
        self._close_events()
        if self._line is not None:
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
            )

            self._bar = Progress(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("{task.description}"),
            )
            self._task = self._bar.add_task("", total=steps, completed=begun_at)
            self._bar.start()

    def show(self, step: int, words: str) -> None:
        if step <= self.begun_at:  # told by an attempt before, or of no time that could be measured
            return
        now = self.clock.now()
        if self._bar is not None:
            words = f"{words}{self._rest(step, now)}"
            self._bar.update(self._task, completed=step, description=words)
            return
        if now - self.last < _LINE_S and step < self.steps:
            return
        self.last = now
        self.say(f"step {step} of {self.steps}, {words}{self._rest(step, now)}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _rest(self, step: int, now: float) -> str:
        done = step - self.begun_at
        if step >= self.steps:
            return ""
        left = (now - self.begun) / done * (self.steps - step)
        ends = time.localtime(now + left)
        today = time.strftime("%Y%j", ends) == time.strftime("%Y%j", time.localtime(now))
        when = time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", ends)
        return f", {duration(left)} to go, ends at {when}"
