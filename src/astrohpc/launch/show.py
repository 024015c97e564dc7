"""``status`` and ``watch``: how a sweep stands, from files alone."""

import contextlib
import json
import math
from collections.abc import Iterator
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from astrohpc.clock import duration, iso
from astrohpc.launch.output import console, say, table
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.ledger import Book
from astrohpc.sweep.members import read_table
from astrohpc.sweep.session import Session
from astrohpc.sweep.standing import Standing, standing
from astrohpc.sweep.state import State, from_json
from astrohpc.sweep.submit import CANCELLED
from astrohpc.sweep.survey import View, survey

WORDS = {
    "done": "done",
    "running": "running",
    "queued": "queued",
    "silent": "silent (no heartbeat; the scheduler will tell)",
    "ended": "ended, to be tried again",
    "new": "not submitted",
    "stopped": "given up",
    "branched": "remedied by a branch",
}


def views_of(session: Session, kept: dict[int, State] | None = None) -> tuple[Book, list[View]]:
    """Read the ledger and every member's state; ``kept`` spares a watcher what cannot change."""
    book = session.ledger.fold()
    members = read_table(session.folder.table)
    views = survey(
        session.folder, members, book, session.clock, session.stale_s, all_states=True, kept=kept
    )
    return book, views


def status(session: Session, *, as_json: bool, show_members: bool) -> None:
    """Print how the sweep stands."""
    book, views = views_of(session)
    stand = standing(views, session.clock.now(), book.shared)
    if as_json:
        found = _as_json(session.folder, book, views, stand, show_members)
        say(json.dumps(_without_nan(found), indent=1, allow_nan=False))
        return
    say(f"{session.folder.path.name}: {headline(stand)}")
    table(
        ("members", "status"),
        [(str(count), WORDS[name]) for name, count in stand.counts.items()],
    )
    for outcome, count in stand.causes.items():
        say(f"{count} ended as {outcome.replace('_', ' ')}")
    if book.stopped:
        then = (
            "The same 'launch sweep' command goes on"
            if book.stopped == CANCELLED
            else f"Mend the cause, then 'launch retry {session.folder.path.name}'"
        )
        say(f"stopped: {book.stopped}. {then}.")
    if show_members:
        table(
            (
                "index",
                "id",
                "status",
                "attempts",
                "year",
                "T [K]",
                "balance [W/m2]",
                "years/day",
                "reason",
            ),
            [_row(view) for view in views],
        )
    say(f"next: {next_command(session, stand, book)}")


def headline(stand: Standing) -> str:
    """One line: how many, how fast, until when."""
    parts = [f"{stand.counts.get('done', 0)} of {stand.total} members done"]
    if stand.open and stand.rate_per_min:
        parts.append(f"{stand.rate_per_min:.1f} members/min")
    if stand.model_years_per_day:
        parts.append(f"median {stand.model_years_per_day:,.0f} model years/day")
    if stand.eta_s:
        parts.append(f"about {duration(stand.eta_s)} to go")
    if not stand.open and stand.begun and stand.ended:
        parts.append(f"in {duration(stand.ended - stand.begun)}")
    return ", ".join(parts)


def next_command(session: Session, stand: Standing, book: Book) -> str:
    """What a person would do next."""
    name = session.folder.path.name
    if book.stopped or (stand.counts.get("stopped") and not stand.open):
        return f"python -m astrohpc.launch explain MEMBER --sweep {name}"
    if stand.open and not book.open("array"):
        return "the same 'launch sweep' command again: it submits what is missing"
    if stand.open:
        return f"python -m astrohpc.launch watch {name}"
    return f"look at {session.folder.reports}"


def _row(view: View) -> tuple[str, ...]:
    progress = from_json(view.state.progress) if isinstance(view.state, State) else None
    last = view.attempts[-1] if view.attempts else None
    return (
        str(view.member.index),
        view.member.id,
        view.status,
        str(len(view.attempts)),
        f"{progress.model_years:.0f}" if progress else "",
        _known(progress.surface_temperature_k, ".1f") if progress else "",
        _known(progress.toa_balance_wm2, "+.2f") if progress else "",
        _known(progress.model_years_per_day, ",.0f") if progress else "",
        last.reason if last else "",
    )


def _known(value: float, form: str) -> str:
    """A number, or nothing where the model has not come so far."""
    return "" if math.isnan(value) else format(value, form)


def _without_nan(value: Any) -> Any:
    """The same with null for numbers that are none, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _as_json(
    folder: SweepFolder, book: Book, views: list[View], stand: Standing, show_members: bool
) -> dict[str, object]:
    found: dict[str, object] = {
        "sweep": folder.path.name,
        "folder": str(folder.path),
        **vars(stand),
        "open": stand.open,
        "stopped": book.stopped,
        "jobs": [s.job for s in book.open() if s.job],
        "scheduler_queries": book.queries,
    }
    if show_members:
        found["members"] = [
            {
                "index": view.member.index,
                "id": view.member.id,
                "status": view.status,
                "attempts": [vars(attempt) for attempt in view.attempts],
                "progress": dict(view.state.progress) if isinstance(view.state, State) else {},
                "summary": dict(view.state.summary) if isinstance(view.state, State) else {},
            }
            for view in views
        ]
    return found


@contextlib.contextmanager
def progress_bar() -> Iterator["Bar"]:
    """Show a bar on a terminal, and a line now and then in a pipe."""
    if not console.is_terminal:
        yield Bar(None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[tail]}", style="dim"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(progress)


class Bar:
    """The one progress bar of the house."""

    LINE_EVERY_S = 15.0

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.task = progress.add_task("members", total=None, tail="") if progress else None
        self.last_line = 0.0
        self.last_text = ""

    def show(self, stand: Standing, now: float) -> None:
        """Bring it up to date."""
        running = stand.counts.get("running", 0)
        tail = f"{running} running" + (f", {duration(stand.eta_s)} to go" if stand.eta_s else "")
        if self.progress is not None and self.task is not None:
            self.progress.update(
                self.task,
                completed=stand.total - stand.open,
                total=stand.total,
                tail=tail,
            )
            return
        text = f"{headline(stand)}, {running} running"
        if now - self.last_line >= self.LINE_EVERY_S and text != self.last_text:
            self.last_line, self.last_text = now, text
            say(f"[{iso(now)}] {text}")


def watch(session: Session, interval_s: float) -> None:
    """Follow a sweep until nothing of it is in the queue; never asks the scheduler."""
    kept: dict[int, State] = {}
    with progress_bar() as bar:
        while True:
            looked = session.clock.now()
            book, views = views_of(session, kept)
            stand = standing(views, session.clock.now(), book.shared)
            bar.show(stand, session.clock.now())
            over = book.stopped and not stand.counts.get("running")
            if over or not stand.open or not book.open("array"):
                break
            # Ten thousand members take a second to look through: never more than a tenth of the time.
            session.clock.sleep(max(interval_s, 10 * (session.clock.now() - looked)))
    status(session, as_json=False, show_members=False)
