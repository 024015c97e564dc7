"""What there is to convert: the climates of a sweep's members, or files that others left."""

from dataclasses import replace
from pathlib import Path

from astrohpc.engines.record import CLIMATE
from astrohpc.errors import ConfigError
from astrohpc.outcome import Outcome
from astrohpc.store.members import MemberFiles, find_members
from astrohpc.store.settings import StoreSettings
from astrohpc.store.target import Request
from astrohpc.sweep import provenance
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.members import read_table
from astrohpc.sweep.state import State, read

_VARY = ("time", "lev", "plev")


def request_for(source: Path, target: Path, settings: StoreSettings) -> Request:
    """The request for a sweep's folder, a folder of files, or a file."""
    folder = SweepFolder(source)
    if folder.exists():
        return sweep_request(folder, target, settings)
    members = find_members(source, settings.members)
    about = {"astrohpc_source": source.name, "title": source.name}
    return Request(members, target, settings, f"files {source}", about)


def sweep_request(folder: SweepFolder, target: Path, settings: StoreSettings) -> Request:
    """The request for the members of a sweep that are done, in the order of their numbers.

    Worlds have years and layers of their own, so that times and levels may differ between them.
    """
    members = []
    for member in read_table(folder.table):
        where = folder.member(member.id)
        state = read(where)
        climate = where / CLIMATE
        if isinstance(state, State) and state.outcome == Outcome.DONE and climate.is_file():
            known: dict[str, str | float] = {
                "member_index": member.index,
                "member_label": member.label,
            }
            members.append(MemberFiles(member.id, (climate,), known))
    if not members:
        raise ConfigError(
            f"{folder.path}: no member is done yet; run 'launch sweep' and look at 'launch status'."
        )
    settings = replace(settings, vary=settings.vary or _VARY)
    made = provenance.read(folder)
    about = {
        "title": f"sweep {folder.path.name}",
        "astrohpc_sweep": folder.path.name,
        "astrohpc_config_digest": str(made[-1].get("config_digest", "")) if made else "",
        "astrohpc_commit": str(made[-1].get("git_commit", "")) if made else "",
    }
    return Request(tuple(members), target, settings, f"sweep {folder.path.name}", about)
