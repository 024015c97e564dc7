"""The C kernel, compiled where it is needed and kept: four files of C as one shared object.

A wheel of ours has no binary in it, and nobody needs a compiler to install it. The first process that
wants the kernel compiles it (about three seconds) into the user's cache, and all others load it.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = tuple(HERE / name for name in ("bits.c", "planes.c", "tally.c", "shards.c"))
# No contraction: sums must be the same on every processor. Vectors are chosen at run time, not by -march.
FLAGS = ("-O3", "-ffp-contract=off", "-shared", "-fPIC")
CACHE_VARIABLE = "ASTROHPC_KERNEL_CACHE"
_COMPILE_S = 300  # a login node under load takes long; it ends well before a batch job's patience


class NoKernel(RuntimeError):
    """Why there is no kernel here, in words; everything works without it, more slowly."""


def cache_folder() -> Path:
    """Where compiled kernels are kept."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "astrohpc"


def object_path(folder: Path, flags: Sequence[str] = FLAGS) -> Path:
    """The kernel's name in a cache.

    It holds the digest of source and flags and the machine's kind, and not the compiler: a node without
    one shall find what the login node made, and a thousand ranks shall not ask for its version.
    """
    digest = hashlib.sha256(" ".join(flags).encode())
    for source in (*SOURCES, HERE / "planes.h"):
        digest.update(source.read_bytes())
    return folder / f"planes-{digest.hexdigest()[:16]}-{platform.machine()}.so"


def shared_object(folder: Path, flags: Sequence[str] = FLAGS) -> ctypes.CDLL:
    """The kernel, loaded from ``folder`` or compiled into it.

    A file that does not load, being of another C library or half a file, is made again.
    """
    path = object_path(folder, flags)
    if path.is_file():
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            pass
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _compiled(path, flags)
    except OSError:  # a home that is full or read-only: compile for this process alone
        with tempfile.TemporaryDirectory(prefix="astrohpc-") as passing:
            return _compiled(Path(passing) / path.name, flags)


def _compiled(path: Path, flags: Sequence[str]) -> ctypes.CDLL:
    """Compile to a temporary name, load that, then rename: many ranks may do this at once."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise NoKernel("there is no C compiler (cc, gcc or clang) in PATH")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".so")
    os.close(handle)
    command = [compiler, *flags, "-o", temporary, *map(str, SOURCES)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMPILE_S, check=False
        )
        if done.returncode:
            line = next((x for x in done.stderr.splitlines() if "error" in x), "no message")
            raise NoKernel(f"{compiler} cannot compile it ({line.strip()})")
        try:
            library = ctypes.CDLL(temporary)
        except OSError as error:
            raise NoKernel(f"what {compiler} made cannot be loaded ({error})") from error
        Path(temporary).chmod(0o755)
        Path(temporary).replace(path)
        return library
    except subprocess.TimeoutExpired as error:
        raise NoKernel(f"{compiler} took more than {_COMPILE_S} s") from error
    finally:
        Path(temporary).unlink(missing_ok=True)
