"""Curves of trainings on one page, from their event files as TensorBoard itself reads them.

    draw([read(folder) for folder in runs]) -> PNG

Where an attempt went on, a line is dotted upward; what is synthetic says so.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrohpc.errors import ConfigError
from astrohpc.store.pictures import drawing, logarithmic, png
from astrohpc.train.events import written

LOSS, VALIDATION = "loss", "validation/loss"
_PANELS = (
    ("loss, and validation with points", "", True, (LOSS, VALIDATION)),
    ("learning rate", "", False, ("learning rate",)),
    ("gradient norm", "", True, ("gradient norm",)),
    ("samples per second", "1/s", False, ("samples per s",)),
    ("share of time waiting for data", "%", False, ("data wait",)),
)
_WIDTH_IN, _HEIGHT_IN, _DPI = 10.2, 5.4, 80
_FEW = 40  # points from which on they are not marked


@dataclass(frozen=True)
class Curves:
    """What one run's event file says; ``resumed`` are the steps after which attempts went on."""

    name: str
    scalars: dict[str, list[tuple[int, float]]]
    resumed: tuple[int, ...]
    mark: str

    def last(self, name: str) -> tuple[int, float] | None:
        """The newest point of a curve."""
        curve = self.scalars.get(name)
        return curve[-1] if curve else None

    @property
    def steps(self) -> int:
        """How far it is."""
        return max((curve[-1][0] for curve in self.scalars.values() if curve), default=0)


def read(run: Path) -> Curves:
    """The curves of a run's folder, or of its ``tensorboard``; ConfigError where there are none."""
    from tensorboard.backend.event_processing.event_accumulator import (  # noqa: PLC0415 - a second
        EventAccumulator,
    )

    run = run.absolute()
    board = run / "tensorboard" if (run / "tensorboard").is_dir() else run
    files = sorted(board.glob("events.out.tfevents.*")) if board.is_dir() else []
    if not files:
        raise ConfigError(
            f"{run}: it has no event file of TensorBoard; name the folder of a training, which "
            "'launch train' makes."
        )
    found = EventAccumulator(str(board), size_guidance={"scalars": 0, "images": 1, "tensors": 1})
    found.Reload()
    scalars = {
        tag: [(point.step, point.value) for point in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }
    if not scalars.get(LOSS):
        raise ConfigError(f"{run}: its event file has no loss yet; wait for its first steps.")
    ours = [written(file) for file in files]
    last = max(curve[-1][0] for curve in scalars.values())
    went_on = {start - 1 for one in ours for start in one.starts if start > 0}
    resumed = tuple(sorted(step for step in went_on if step < last))  # and not where all was done
    name = board.parent.name if board.name == "tensorboard" else board.name
    return Curves(name, scalars, resumed, _mark([one.texts for one in ours]))


def _mark(texts: Sequence[dict[str, dict[int, str]]]) -> str:
    """``synthetic`` where the run said so of its data."""
    for one in texts:
        for words in one.get("data", {}).values():
            try:
                return str(json.loads(words.strip("`\n"))["mark"])
            except (ValueError, KeyError, TypeError):
                continue
    return ""


def draw(runs: Sequence[Curves]) -> bytes:
    """A page as PNG: a colour for each run."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second

    with drawing():
        figure: Any = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN), dpi=_DPI)
        axes = figure.subplots(2, 3).ravel()
        for axis, (title, unit, powers, tags) in zip(axes, _PANELS, strict=False):
            _panel(axis, runs, tags, 100.0 if unit == "%" else 1.0, powers=powers)
            axis.set_title(f"{title} [{unit}]" if unit else title, loc="left")
            axis.set_xlabel("step")
        _legend(axes[-1], runs)
        marks = sorted({run.mark for run in runs if run.mark})
        if marks:
            words = f"{', '.join(marks)} data"
            figure.text(0.985, 0.99, words, va="top", ha="right", color="tab:red", fontsize=10)
        figure.subplots_adjust(
            left=0.06, right=0.985, bottom=0.09, top=0.92, wspace=0.24, hspace=0.42
        )
        return png(figure)


def _panel(
    axis: Any, runs: Sequence[Curves], tags: Sequence[str], factor: float, *, powers: bool
) -> None:
    """One quantity of every run."""
    drawn: list[float] = []
    for k, run in enumerate(runs):
        for number, tag in enumerate(tags):
            curve = run.scalars.get(tag, [])
            values = [value * factor for _, value in curve]
            drawn += values
            look: dict[str, Any] = (
                {"lw": 1.0} if number == 0 else {"lw": 0.6, "marker": "o", "ms": 3}
            )
            if number == 0 and len(curve) < _FEW:
                look |= {"marker": ".", "ms": 3}
            axis.plot([step for step, _ in curve], values, color=f"C{k}", **look)
        for step in run.resumed:
            axis.axvline(step, color=f"C{k}", lw=0.9, ls=":")
    if powers and any(math.isfinite(value) and value > 0 for value in drawn):
        logarithmic(axis, "y")
    axis.grid(alpha=0.25)


def _legend(axis: Any, runs: Sequence[Curves]) -> None:
    """The last place of the page: which colour is which run, and how far it is."""
    axis.axis("off")
    for k, run in enumerate(runs):
        axis.plot([], [], color=f"C{k}", lw=2, label=f"{run.name[:32]}, {run.steps} steps")
    if any(run.resumed for run in runs):
        axis.plot([], [], color="0.4", lw=0.9, ls=":", label="an attempt went on here")
    axis.legend(loc="upper left", frameon=False, fontsize=8)
