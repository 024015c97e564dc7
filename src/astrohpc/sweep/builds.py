"""Executables that members need and that nobody has built yet."""

from collections.abc import Iterable

from astrohpc.engines.base import Builder
from astrohpc.engines.load import load_engine
from astrohpc.sweep.session import Session
from astrohpc.sweep.survey import View


def missing_executables(session: Session, views: Iterable[View]) -> dict[int, str]:
    """For each member that may be run now, the key of its executable if that is not there."""
    if not isinstance(session.engine, Builder):
        return {}
    there: dict[str, bool] = {}
    missing = {}
    for view in views:
        if view.status not in ("new", "ended"):
            continue
        overrides = view.member.overrides
        engine = load_engine(session.config.engine, overrides) if overrides else session.engine
        assert isinstance(engine, Builder)
        key = engine.executable(view.member.planet)
        if key not in there:
            there[key] = engine.built(key)
        if not there[key]:
            missing[view.member.index] = key
    return missing
