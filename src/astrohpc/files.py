"""The one way to write a file so that a crash leaves the old one or the new one, never half."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from astrohpc.errors import ConfigError


def write_atomic(
    path: Path, content: str | bytes, *, mode: int = 0o644, durable: bool = False
) -> None:
    """Write ``content`` to ``path`` by way of a temporary name in the same folder.

    ``durable`` also waits until the disk has it, which matters for what a crash must not lose and
    costs milliseconds to seconds on a parallel file system.
    """
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, mode)  # noqa: PTH101 - a name, not a Path, on the way to rename
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108
        raise


@contextlib.contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """A name beside ``path`` for a writer that wants a path; it becomes ``path`` if all goes well."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def canonical_json(value: object) -> str:
    """JSON with one spelling: sorted keys, no spaces, floats to 12 significant digits.

    Twelve digits, because the same quantity written in two units differs in the last ones:
    ``1.2 R_earth`` and ``7653.72 km`` must be the same planet.
    """
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _canonical(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float):
        rounded = float(f"{value:.12g}")
        return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
    return value


def digest(value: object) -> str:
    """SHA-256 of a value's canonical JSON, as 40 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:40]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as 40 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:40]


def size(number: int) -> str:
    """Bytes in the unit in which people read them: ``3.2 MiB``; never a zero that is none.

    >>> size(3 * 2**20 + 2**18), size(700), size(0)
    ('3.2 MiB', '700 bytes', '0 bytes')
    """
    for unit, one in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if number >= one:
            return f"{number / one:.1f} {unit}"
    return f"{number} bytes"


@contextlib.contextmanager
def readable_failures(what: str) -> Iterator[None]:
    """Turn a full disk, a missing right or a missing folder into a sentence with its remedy."""
    try:
        yield
    except OSError as error:
        name = error.filename or what
        remedies = {
            errno.ENOSPC: "the disk is full; free space there and run the same command again",
            errno.EDQUOT: "the disk quota is used up; free space there and run the same command again",
            errno.EACCES: "it may not be written; choose another folder or change its rights",
            errno.EPERM: "it may not be written; choose another folder or change its rights",
            errno.EROFS: "the file system is read-only; choose another folder",
            errno.ENOENT: "it cannot be made there; choose another folder",
            errno.ENOTDIR: "a part of that path is a file, not a folder; choose another folder",
            errno.EISDIR: "a folder is where a file should be; move it away",
        }
        if error.errno is None:
            raise
        remedy = remedies.get(
            error.errno,
            f"{error.strerror}; is the file system well? Run the same command again later",
        )
        raise ConfigError(f"{what}: {name}: {remedy}.") from error


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Hold ``path`` as a lock that the kernel drops when this process dies; yields whether we got it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            raise ConfigError(
                f"runs: {path} cannot be locked ({error.strerror}); choose a runs folder on a file system "
                "with locks (Lustre: mounted with -o flock)."
            ) from error
        yield True
