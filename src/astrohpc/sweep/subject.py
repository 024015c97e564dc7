"""What there is to check: a sweep's store or, where it has none, the climates of its members."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from astrohpc.quality.request import Request, request_of
from astrohpc.quality.settings import CheckSettings
from astrohpc.store.settings import StoreSettings
from astrohpc.store.target import is_store
from astrohpc.sweep import provenance
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.harvest import sweep_request

STORE = "store.zarr"


def check_request(
    source: Path, settings: CheckSettings, *, more: Sequence[Path] = (), place: Path | None = None
) -> Request:
    """The check of a sweep's folder, a store, a folder of files, or files."""
    commit = provenance.commit() or ""
    folder = SweepFolder(source)
    if more or not folder.exists():
        return request_of(source, settings, more=more, place=place, commit=commit)
    store = source / STORE
    title = f"sweep {source.name}"
    if not is_store(store):
        climates = sweep_request(folder, store, StoreSettings()).members
        where = place or folder.reports
        return Request(title, source, where, settings, climates, commit)
    made = request_of(store, settings, place=place, commit=commit)
    return replace(made, title=title, copy=folder.reports)
