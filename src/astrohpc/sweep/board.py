"""TensorBoard: one event file a sweep, however many members it has.

A folder per member would make TensorBoard walk ten thousand folders every few seconds, which is what
login nodes forbid. Here it reads one file that only grows. A record that a kill cut in half is cut away
before the next is written, for TensorBoard stops reading at a damaged one.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astrohpc.clock import Clock
from astrohpc.engines.base import Engine, Progress
from astrohpc.files import exclusive, write_atomic
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.survey import View

FILE = "events.out.tfevents.0000000000.sweep"
POINTS_A_FEED = 60  # a curve is as readable with sixty points as with five hundred


@dataclass
class Fed:
    """How far the event file is: its good length, the last year of each member, who is finished."""

    size: int = 0
    years: dict[str, float] = field(default_factory=dict)
    finished: dict[str, int] = field(default_factory=dict)  # after how many attempts


def feed(folder: SweepFolder, engine: Engine, views: Sequence[View], clock: Clock) -> int:
    """Append what the members have reported since the last time; return the number of points."""
    folder.board.mkdir(exist_ok=True)
    with exclusive(folder.board / ".lock") as held:
        if not held:
            return 0  # somebody else is feeding it
        fed = _read(folder.board / ".fed.json")
        path = folder.board / FILE
        points = 0
        with path.open("ab") as file:
            os.truncate(file.fileno(), min(fed.size, path.stat().st_size))
            file.seek(0, os.SEEK_END)
            writer = _writer(file, new=fed.size == 0)
            for view in views:
                index = view.member.index
                tries = len(view.attempts)
                if not tries or fed.finished.get(str(index)) == tries:
                    continue
                fresh = _fresh(
                    engine.series(folder.member(view.member.id)), fed.years.get(str(index), -1.0)
                )
                for progress in fresh:
                    writer.write(_event(index, progress, clock.now()))
                points += len(fresh)
                if fresh:
                    fed.years[str(index)] = fresh[-1].model_years
                if view.status == "done":
                    fed.finished[str(index)] = tries
            writer.flush()
            file.flush()
            fed.size = file.tell()
        write_atomic(folder.board / ".fed.json", json.dumps(vars(fed)))
    return points


def _fresh(series: Iterable[Progress], after: float) -> list[Progress]:
    new = [progress for progress in series if progress.model_years > after]
    if len(new) <= POINTS_A_FEED:
        return new
    step = (len(new) - 1) / (POINTS_A_FEED - 1)
    return [new[round(i * step)] for i in range(POINTS_A_FEED)]


def _read(path: Path) -> Fed:
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Fed(**json.loads(path.read_text()))
    return Fed()


def _writer(file: Any, *, new: bool) -> Any:
    from tensorboard.compat.proto import event_pb2  # noqa: PLC0415
    from tensorboard.summary.writer.record_writer import RecordWriter  # noqa: PLC0415

    writer = RecordWriter(file)
    if new:
        writer.write(event_pb2.Event(file_version="brain.Event:2").SerializeToString())
    return writer


def _event(index: int, progress: Progress, now: float) -> bytes:
    from tensorboard.compat.proto import event_pb2, summary_pb2  # noqa: PLC0415

    values = {
        "surface_temperature_K": progress.surface_temperature_k,
        "toa_balance_W_m-2": progress.toa_balance_wm2,
        "model_years_per_day": progress.model_years_per_day,
    }
    summary = summary_pb2.Summary(
        value=[
            summary_pb2.Summary.Value(tag=f"{name}/{index:05d}", simple_value=value)
            for name, value in values.items()
        ]
    )
    event = event_pb2.Event(wall_time=now, step=round(progress.model_years), summary=summary)
    return bytes(event.SerializeToString())
