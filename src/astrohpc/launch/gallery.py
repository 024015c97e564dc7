"""``augment``: each transformation on a real field and spectrum, in pictures and numbers."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from astrohpc.augment.spectra_policy import SpectraPolicy
from astrohpc.errors import ConfigError
from astrohpc.launch.compose import compose_root
from astrohpc.launch.output import note, say
from astrohpc.settings import build
from astrohpc.sweep import provenance
from astrohpc.version import VERSION

if TYPE_CHECKING:
    from astrohpc.gallery.exhibit import Room

_PARTIAL = 3


@dataclass(frozen=True, kw_only=True)
class GallerySettings:
    """What the root of configs/gallery.yaml holds."""

    spectra: SpectraPolicy
    source: str | None = None
    spectrum: str | None = None
    column: str = ""
    target: str = "gallery"
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ConfigError(
                f"seed: {self.seed} is not within 0..4294967295; write such a number."
            )


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says; 3 where something that was declared was not kept."""
    written = compose_root("gallery", arguments.words, arguments.config_dir)
    settings = build(GallerySettings, written, "")
    from astrohpc.gallery.page import lines, write_docs, write_page  # noqa: PLC0415 - numba and more

    rooms = _rooms(settings)
    for room in rooms:
        for line in lines(room):
            say(line)
    if arguments.docs is not None:
        page = write_docs(arguments.docs, rooms, _command(arguments.words))
    else:
        page = write_page(
            Path(settings.target).expanduser(),
            rooms,
            {
                "made by": f"astrohpc {VERSION}, commit {provenance.commit() or 'unknown'}",
                "seed": str(settings.seed),
            },
        )
    note(f"next: look at {page}")
    judged = [kept for room in rooms for one in room.exhibits for kept in one.kept if kept.judged]
    return 0 if all(kept.passed for kept in judged) else _PARTIAL


def _rooms(settings: GallerySettings) -> list["Room"]:
    from astrohpc.gallery.fields import fields_room, read_climate  # noqa: PLC0415
    from astrohpc.gallery.spectra import spectrum_room  # noqa: PLC0415
    from astrohpc.gallery.spectrum_files import read_spectrum, synthetic_spectrum  # noqa: PLC0415
    from astrohpc.store.pictures import drawing  # noqa: PLC0415

    climate = read_climate(Path(settings.source).expanduser()) if settings.source else None
    spectrum = synthetic_spectrum()
    if settings.spectrum:
        spectrum = read_spectrum(Path(settings.spectrum).expanduser(), settings.column)
    with drawing():
        rooms = [] if climate is None else [fields_room(climate, settings.seed)]
        return [*rooms, spectrum_room(spectrum, settings.spectra, settings.seed)]


def _command(words: Sequence[str]) -> str:
    """The command as another person would give it: paths by their last part."""
    shown = []
    for word in words:
        name, _, value = word.partition("=")
        shown.append(f"{name}={Path(value).name}" if name in ("source", "spectrum") else word)
    return " ".join(["python -m astrohpc.launch augment", *shown])
