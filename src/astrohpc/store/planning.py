"""Plan a store: a pure function of what was seen of the files.

Members are stacked, files of one member are joined along time, and what has no time and is the same
everywhere is stored once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from astrohpc.store.agree import Refusal, common
from astrohpc.store.canonical import canonical_names
from astrohpc.store.draft import (
    Draft,
    Run,
    keep_those_on_one_axis,
    keep_those_on_one_grid,
    order_in_time,
)
from astrohpc.store.look import Look
from astrohpc.store.members import MemberFiles
from astrohpc.store.plan import Plan
from astrohpc.store.planarrays import plan_arrays
from astrohpc.store.settings import StoreSettings


def make_plan(
    members: Sequence[MemberFiles],
    looks: Mapping[str, Look | Refusal],
    settings: StoreSettings,
    shard_bytes: int,
) -> Plan:
    """Plan a store from what ``looks`` (by path) tells of the members' files."""
    seen = [look for look in looks.values() if isinstance(look, Look)]
    number = {str(look.source.path): i for i, look in enumerate(seen)}
    draft = Draft(settings, shard_bytes, seen)
    draft.refused += [look for look in looks.values() if isinstance(look, Refusal)]
    dims = [look.time_dim for look in seen if look.time_dim is not None]
    draft.time_dim = max(set(dims), key=dims.count) if dims else None
    draft.stacked = any(member.name for member in members)
    for member in members:
        missing = [path for path in member.files if str(path) not in number]
        there = [number[str(path)] for path in member.files if str(path) in number]
        if missing and there:  # half a run would look like a whole one
            draft.refused.append(
                Refusal(
                    str(missing[0]),
                    "",
                    f"the other files of member {member.name or 'the run'!r} are left out with it, for "
                    "its times would have a gap; mend it and convert again",
                )
            )
        if there and not missing:
            draft.runs.append(Run(member.name, tuple(there), member.attrs))
    keep_those_on_one_grid(draft)
    order_in_time(draft)
    keep_those_on_one_axis(draft)
    if not draft.runs:
        return Plan(tuple(seen), (), (), tuple(draft.refused), (), {})
    if settings.names == "canonical":
        used = [draft.looks[i] for run in draft.runs for i in run.looks]
        draft.canonical = canonical_names(used, settings.rename)
        draft.notes += draft.canonical.notes
    arrays = plan_arrays(draft)
    attrs, per_member = _attributes(draft)
    if per_member:
        attrs["per_member"] = per_member
    return Plan(
        tuple(seen),
        tuple(run.name for run in draft.runs),
        tuple(arrays),
        tuple(draft.refused),
        tuple(draft.notes),
        attrs,
        _groups(draft),
    )


def _attributes(draft: Draft) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Global attributes that all files share, and those that tell the members apart."""
    firsts = [draft.looks[run.looks[0]].source.attrs for run in draft.runs]
    shared = common(firsts[0], firsts[1:])
    differing = sorted({name for attrs in firsts for name in attrs} - shared.keys())
    per_member = {
        name: [attrs.get(name) for attrs in firsts]
        for name in differing
        if not name.startswith("planet_")  # they become coordinates
    }
    return shared, per_member


def _groups(draft: Draft) -> dict[str, Mapping[str, Any]]:
    first = draft.looks[draft.runs[0].looks[0]].source
    return dict(first.group_attrs)
