"""Checkpoints on disk: a folder a step, whose manifest has the digest of every file and of itself.

A folder gets its name when all of it is on the disk, so what has a name is whole; and because disks
and people damage files all the same, every byte is verified before it is used.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from astrohpc.errors import ConfigError
from astrohpc.train.migrate import VERSION, migrate
from astrohpc.train.tensorfile import TensorFile, Unreadable

MANIFEST = "manifest.json"
FORMAT = "astrohpc checkpoint"
TENSORS, PLAIN = ".safetensors", ".json"
_FOLDER = re.compile(r"step-(\d{9})")


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint says of itself."""

    version: int
    step: int
    ranks: int
    files: Mapping[str, tuple[int, str]]  # bytes and SHA-256
    made_of: Mapping[str, Any]  # model, data and mathematics that it belongs to
    score: float | None = None  # of the validation, if there was one; smaller is better

    def text(self) -> str:
        """As it stands in the file: one line, and the digest of that line."""
        line = json.dumps({"format": FORMAT, **vars(self)}, sort_keys=True)
        return f"{line}\n{hashlib.sha256(line.encode()).hexdigest()}\n"


@dataclass(frozen=True)
class Content:
    """What was read: by file its tensors, which wait until they are asked for, and what JSON says."""

    tensors: Mapping[str, Mapping[str, torch.Tensor]]
    plain: Mapping[str, Any]


def folder_of(checkpoints: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return checkpoints / f"step-{step:09d}"


def steps_there(checkpoints: Path) -> list[int]:
    """Steps that have a checkpoint, newest first; whether it is good is another question."""
    names = (_FOLDER.fullmatch(path.name) for path in checkpoints.glob("step-*"))
    return sorted((int(name[1]) for name in names if name), reverse=True)


def read_manifest(folder: Path) -> Manifest:
    """The manifest; Unreadable where it is damaged, ConfigError where we are too old for it."""
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{MANIFEST} cannot be read ({error})") from error
    line, _, seal = text.partition("\n")
    if seal != hashlib.sha256(line.encode()).hexdigest() + "\n":
        raise Unreadable(f"{MANIFEST} is damaged")
    written = json.loads(line)
    if written.pop("format") != FORMAT:
        raise Unreadable(f"{MANIFEST} is not of a checkpoint of ours")
    if written["version"] > VERSION:
        raise ConfigError(
            f"{folder}: it was written by a newer astrohpc (checkpoints of version {written['version']}, "
            f"we read up to {VERSION}); install that one, or name another folder."
        )
    written["files"] = {name: (size, seen) for name, (size, seen) in written["files"].items()}
    return Manifest(**written)


def verify(folder: Path, manifest: Manifest, names: Sequence[str]) -> list[str]:
    """What is wrong with these files of a checkpoint, in words; nothing if all is well."""
    found = []
    for name in names:
        size, digest = manifest.files[name]
        path = folder / name
        try:
            there = path.stat().st_size
            if there != size:
                found.append(f"{name} has {there} bytes of {size}")
                continue
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    found.append(f"{name} is not what was written")
        except FileNotFoundError:
            found.append(f"{name} is missing")
        except OSError as error:
            found.append(f"{name} cannot be read ({error.strerror})")
    return found


def read(folder: Path, manifest: Manifest, wanted: Callable[[str], bool]) -> Content:
    """The files whose names are wanted, brought to today's version."""
    tensors: dict[str, Mapping[str, torch.Tensor]] = {}
    plain: dict[str, Any] = {}
    for name in filter(wanted, manifest.files):
        if name.endswith(TENSORS):
            tensors[name.removesuffix(TENSORS)] = TensorFile(folder / name)
        else:
            plain[name.removesuffix(PLAIN)] = json.loads((folder / name).read_bytes())
    tensors, plain = migrate(manifest.version, tensors, plain)
    return Content(tensors, plain)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has a folder's names."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish(part: Path, folder: Path) -> None:
    """Give a finished checkpoint its name, in place of one that may be there."""
    sync_folder(part)
    if folder.exists():
        _remove(folder)
    part.rename(folder)
    sync_folder(folder.parent)


def tidy(checkpoints: Path, keep: int) -> None:
    """Remove all but the newest ``keep`` and the one with the best score; failing to is no harm."""
    steps = steps_there(checkpoints)
    scores = {}
    for step in steps:
        try:
            score = read_manifest(folder_of(checkpoints, step)).score
        except (Unreadable, ConfigError):
            continue
        if score is not None:
            scores[step] = score
    best = min(scores, key=lambda step: (scores[step], step)) if scores else None
    for step in steps[keep:]:
        if step != best:
            _remove(folder_of(checkpoints, step))


def sweep_up(checkpoints: Path) -> None:
    """Remove what earlier attempts left half done; for when nobody writes."""
    for path in checkpoints.glob(".*-*"):
        shutil.rmtree(path, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Take away the name first, so that no half of a checkpoint is ever seen."""
    away = folder.with_name(f".old-{folder.name}")
    shutil.rmtree(away, ignore_errors=True)
    folder.rename(away)
    shutil.rmtree(away, ignore_errors=True)
