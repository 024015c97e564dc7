"""Follow a sweep to its end, and tell what came of it."""

from collections.abc import Sequence
from pathlib import Path

from astrohpc.launch.output import many, note, say, table
from astrohpc.launch.show import headline, next_command, progress_bar, views_of
from astrohpc.sweep import board
from astrohpc.sweep.advance import advance
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.members import read_table
from astrohpc.sweep.report import write_report
from astrohpc.sweep.session import Session
from astrohpc.sweep.standing import standing
from astrohpc.sweep.state import State
from astrohpc.sweep.submit import dismiss_keepers
from astrohpc.sweep.survey import View

# What follows the last member's end is the keeper's work, and its turn may come late in a full queue.
KEEPER_HEAD_START_S = 20.0


def follow(session: Session) -> int:
    """Watch until every member is settled; do the keeper's work where there is none, or it is late."""
    kept: dict[int, State] = {}
    patience = max(session.config.site.query_interval_s, 15)
    stepped = session.clock.now()
    all_settled: float | None = None  # since when
    with progress_bar() as bar:
        while True:
            looked = session.clock.now()
            book, views = views_of(session, kept)
            stand = standing(views, looked, book.shared)
            bar.show(stand, looked)
            if book.stopped or not book.open():
                break
            all_settled = None if stand.open else all_settled or looked
            pause = 0.5 if session.config.site.scheduler == "local" else 2.0
            session.clock.sleep(max(pause, 10 * (session.clock.now() - looked)))
            now = session.clock.now()
            late = all_settled is not None and now - all_settled > KEEPER_HEAD_START_S
            keeper_dead = session.config.site.scheduler == "local" and not _any_runner(session)
            if late or keeper_dead or now - stepped > 2 * patience:
                stepped = now
                with session.folder.lock(session.clock, note):
                    step = advance(session, read_table(session.folder.table))
                many(step.account.notes)
                if late and not step.submitted:
                    break
    conclude(session)
    book, views = views_of(session, kept)
    stand = standing(views, session.clock.now(), book.shared)
    say(f"{session.folder.path.name}: {headline(stand)}")
    for outcome, number in stand.causes.items():
        say(f"{number} ended as {outcome.replace('_', ' ')}")
    if book.stopped:
        say(f"stopped: {book.stopped}")
    _show_worlds(session, views)
    _compare_with_original(session, views)
    say(f"next: {next_command(session, stand, book)}")
    return 1 if stand.counts.get("stopped") or book.stopped else 0


def conclude(session: Session) -> bool:
    """Write the report of a sweep in which nothing is left to do, where no keeper has; say whether.

    Its keepers have nothing left to do either, and are sent away.
    """
    with session.folder.lock(session.clock, note):
        book, views = views_of(session)
        if book.reported or (standing(views, session.clock.now()).open and not book.stopped):
            return False
        report(session, views)
        session.ledger.append("reported")
        dismiss_keepers(session, book)
        return True


def report(session: Session, views: Sequence[View] | None = None) -> list[Path]:
    """Write the table, the plot and TensorBoard's file from what there is now."""
    if views is None:
        views = views_of(session)[1]
    board.feed(session.folder, session.engine, views, session.clock)
    return write_report(
        session.folder, views, engine=session.engine.name, source=session.engine.description
    )


def _any_runner(session: Session) -> bool:
    return any(one.phase != "over" for one in session.scheduler.jobs())


def _compare_with_original(session: Session, views: Sequence[View]) -> None:
    """Say how many members of a rerun came out the same to the last bit."""
    if session.config.rerun_of is None:
        return
    original = Session.of(SweepFolder(Path(session.config.rerun_of)), session.clock, note)
    _, before = views_of(original)
    then = {view.member.planet: _result(view) for view in before if view.status == "done"}
    same = sum(
        view.status == "done" and then.get(view.member.planet) == _result(view) for view in views
    )
    say(f"rerun: {same} of {len(then)} results of {original.folder.path.name} are identical")


def _result(view: View) -> dict[str, object]:
    """What a member found, without how long it took."""
    assert isinstance(view.state, State)
    return {name: value for name, value in view.state.summary.items() if name != "cpu_s"}


def _show_worlds(session: Session, views: Sequence[View]) -> None:
    """Print the first few worlds; the rest is in the report."""
    rows = []
    for view in views:
        if view.status == "done" and isinstance(view.state, State):
            rows.append((view, view.state.summary))
    if not rows:
        return
    names = [name for name in rows[0][1] if name not in ("cpu_s", "converged")]
    table(
        ("index", "id", *names),
        [
            (str(view.member.index), view.member.id, *(_short(summary.get(name)) for name in names))
            for view, summary in rows[:8]
        ],
        title=f"{session.folder.path.name}, the first of {len(rows)} worlds ({session.engine.description})",
    )
    for path in sorted(session.folder.reports.glob("worlds.*")):
        say(f"wrote {path}")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
