"""Make a sweep's folder from a configuration, or extend the one that is there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from astrohpc.engines.base import Engine
from astrohpc.engines.load import load_engine
from astrohpc.errors import ConfigError
from astrohpc.files import digest, file_digest
from astrohpc.outcome import Outcome
from astrohpc.slurm import limits as slurm_limits
from astrohpc.slurm.directives import format_indices
from astrohpc.sweep import config as configs
from astrohpc.sweep import provenance
from astrohpc.sweep.design import Design, Draw, draw
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.members import Member, member_id, read_table, write_table
from astrohpc.sweep.session import Session
from astrohpc.sweep.share import link_shared
from astrohpc.sweep.state import State
from astrohpc.sweep.state import read as state_of


def design_digest(session: Session) -> str:
    """Digest of all that decides which members there are: design, engine, and a table's contents."""
    table = session.config.sweep.file
    content = file_digest(Path(table)) if table and Path(table).is_file() else None
    return digest(
        {"sweep": session.written["sweep"], "engine": session.written["engine"], "file": content}
    )


def planned_members(session: Session) -> list[Member]:
    """The members that the configuration asks for, with those that exist already; writes nothing."""
    design, original = session.config.sweep, session.config.rerun_of
    configs.check_account(session.config)
    if not session.folder.exists():
        if original is not None:
            return _members_of(SweepFolder(Path(original)), session.engine)
        return _rows(draw(design), session.engine)
    members = read_table(session.folder.table)
    _check_ids(session, members)
    if original is not None:
        return members
    book = session.ledger.fold()
    own = [member for member in members if not member.branch_of]
    if book.digest == design_digest(session) and len(own) >= sum(book.blocks):
        return members
    for blocks in _possible_blocks(book.blocks, len(own)):
        wanted = _rows(draw(design, _grown(design, blocks)), session.engine)
        ids = {member.id for member in wanted}
        strangers = [member for member in own if member.id not in ids]
        if not strangers:
            break
    if strangers:
        raise ConfigError(
            f"sweep.name: {design.name!r} exists with other physics ({len(strangers)} of its {len(own)} "
            "members are not in this design); choose another sweep.name, or undo the change."
        )
    known = {member.id for member in members}
    fresh = [member for member in wanted if member.id not in known]
    return members + [
        replace(member, index=index) for index, member in enumerate(fresh, start=len(members))
    ]


def _members_of(original: SweepFolder, engine: Engine) -> list[Member]:
    """The rows of another sweep's table, whatever became of what they were drawn from.

    Ids are made anew: where the engine has changed since, they say so by being others.
    """
    rows = [member for member in read_table(original.table) if not member.branch_of]
    for row in rows:
        engine.check(row.planet)
    return [
        replace(row, index=index, id=member_id(row.planet, engine))
        for index, row in enumerate(rows)
    ]


def _check_ids(session: Session, members: Sequence[Member]) -> None:
    """Refuse a table with rows that are not what their ids say, before jobs do, one by one.

    Where no row of the design agrees, it is the engine that has changed, and others say so.
    """
    engines: dict[str, tuple[Engine, Mapping[str, Any]]] = {}
    wrong: list[Member] = []
    for member in members:
        key = digest(dict(member.overrides)) if member.overrides else ""
        if key not in engines:
            engine = load_engine(session.config.engine, member.overrides)
            engines[key] = (engine, engine.physics())
        if member_id(member.planet, *engines[key]) != member.id:
            wrong.append(member)
    drawn = sum(not member.branch_of for member in members)
    if wrong and sum(not member.branch_of for member in wrong) < drawn:
        raise ConfigError(
            f"{session.folder.table}: member {wrong[0].index} ({wrong[0].id}) is not the planet and the "
            f"settings that its id stands for, as {len(wrong)} of {len(members)} rows; restore the file "
            "from a backup, or sweep into a new name."
        )


def _possible_blocks(blocks: Sequence[int], rows: int) -> list[list[int]]:
    """In which sizes the design may have grown, where the ledger has lost one of them."""
    gap = rows - sum(blocks)
    if gap <= 0:
        return [list(blocks)]
    return [[*blocks[:i], gap, *blocks[i:]] for i in range(len(blocks) + 1)]


def _grown(design: Design, blocks: Sequence[int]) -> list[int]:
    """Sizes of the blocks of a drawn design; one that asks for fewer than there are keeps them all."""
    if design.n is None:
        return []
    more = design.n - sum(blocks)
    return [*blocks, more] if more > 0 else list(blocks)


def _rows(draws: Sequence[Draw], engine: Engine) -> list[Member]:
    rows: dict[str, Member] = {}
    for one in draws:
        engine.check(one.planet)
        ident = member_id(one.planet, engine)
        # Planets that are the same to twelve digits are one member.
        rows.setdefault(ident, Member(len(rows), ident, one.planet, one.label))
    return list(rows.values())


def create_or_extend(session: Session, command: Sequence[str]) -> tuple[list[Member], int]:
    """Bring the folder to what the configuration asks for; return all members and how many are new.

    The table is written last. A folder without it is made anew; one whose table has fewer rows than
    the ledger says was interrupted while it was extended, and gets the rest.
    """
    folder, members = session.folder, planned_members(session)
    existed = folder.exists()
    folder.make()  # also where nothing is new: scripts and logs may have been removed
    book = session.ledger.fold()
    before = len(read_table(folder.table)) if existed else 0
    fresh = members[before:]
    now = design_digest(session)
    if (
        existed
        and not fresh
        and book.digest == now
        and configs.load(folder.config) == session.written
    ):
        _keep_limits(session)
        return members, 0
    _keep_limits(session)
    if existed and book.digest != now:
        _send_on(session, members[:before])
    provenance.record(folder, session.written, session.clock, command)
    configs.save(folder.config, session.written)
    if not existed:
        session.ledger.append("created", members=len(members), digest=now)
    elif book.digest != now and fresh:
        session.ledger.append("extended", members=len(fresh), digest=now)
    elif book.digest != now:
        session.ledger.append("confirmed", digest=now)
    _share(session, fresh)
    if fresh:
        write_table(folder.table, members)
    return members, len(fresh)


def _send_on(session: Session, members: Sequence[Member]) -> None:
    """Reopen members that are done but have farther to go under the new settings of their engine.

    Until the new digest is in the ledger, a further command does this again.
    """
    if not session.engine.extent:
        return
    onward: dict[int, int] = {}
    for member in members:
        place = session.folder.member(member.id)
        state = state_of(place)
        if not isinstance(state, State) or state.outcome != Outcome.DONE:
            continue
        verdict = load_engine(session.config.engine, member.overrides).verdict(place)
        if verdict is not None and verdict.outcome is Outcome.CHECKPOINTED:
            onward[member.index] = len(state.attempts)
    if onward:
        session.ledger.append(
            "reopened", members=format_indices(onward), attempts=list(onward.values())
        )
        session.say(f"{len(onward)} members that were done go on from where they ended")


def _keep_limits(session: Session) -> None:
    """Write down what the cluster allows, so that it is asked once for an account and a QOS."""
    path, limits = session.folder.limits, session.limits
    if limits is not None and slurm_limits.load(path, session.config.allocation) is None:
        slurm_limits.save(limits, path, session.config.allocation)
        session.ledger.append("limits", queries=slurm_limits.QUERIES)


def append_branches(session: Session, members: list[Member], branches: Sequence[Member]) -> None:
    """Add remedied members as rows of their own; the rows that they remedy stay what they are."""
    _share(session, branches)
    members += branches
    write_table(session.folder.table, members)


def _share(session: Session, fresh: Sequence[Member]) -> None:
    """Link those of new rows that a neighbour has."""
    if session.config.share:
        extent = {name: session.written["engine"].get(name) for name in session.engine.extent}
        for home, indices in link_shared(session.folder, fresh, extent).items():
            session.ledger.append("shared", members=format_indices(indices), home=home)
