"""The executable: found, or compiled once for a resolution and a number of layers.

ExoPlaSim compiles itself inside its own package, in one build folder for all resolutions. Hence one
lock for the package, and a record beside each executable that is written when it is whole.
"""

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from astrohpc.clock import Clock, SystemClock
from astrohpc.engines.exoplasim.settings import ExoplasimSettings
from astrohpc.engines.exoplasim.worker import Worker, WorkerDied
from astrohpc.errors import ConfigError
from astrohpc.files import exclusive, file_digest, write_atomic

OLDEST = (3, 4, 2)
_LOCK_WAIT_S, _LOCK_POLL_S = 1800.0, 0.5
_TOOLS = {"gfortran": "gfortran", "gcc": "gcc", "make": "make"}  # command: Debian's package


@dataclass(frozen=True)
class Build:
    """An executable of this installation."""

    executable: Path
    digest: str
    version: str  # of exoplasim
    compiler: str


def installation() -> tuple[Path, str]:
    """Folder and version of the installed package, which is not imported: that takes a second."""
    spec = importlib.util.find_spec("exoplasim")
    if spec is None or spec.origin is None:
        raise ConfigError(
            "engine: ExoPlaSim is not installed; run \"pip install 'astrohpc[exoplasim]'\"."
        )
    version = importlib.metadata.version("exoplasim")
    numbers = tuple(map(int, re.findall(r"\d+", version)[:3]))
    if numbers < OLDEST:
        raise ConfigError(
            f"engine: ExoPlaSim {version} is too old; run \"pip install 'exoplasim>=3.4.2'\"."
        )
    return Path(spec.origin).parent, version


def find(settings: ExoplasimSettings) -> Build | None:
    """The executable for these settings, or None where it has to be compiled first."""
    package, version = installation()
    executable = _executable(package, settings)
    try:
        record = json.loads(_record(package, settings).read_text())
        if record["version"] == version and file_digest(executable) == record["digest"]:
            return Build(executable, record["digest"], version, record["compiler"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def ensure(settings: ExoplasimSettings, clock: Clock | None = None) -> Build:
    """The executable for these settings, compiled if it has to be: half a minute at T21."""
    clock = clock or SystemClock()
    found = find(settings)
    if found is not None:
        return found
    package, version = installation()
    _check_tools(package)
    lock = package / ".astrohpc-build.lock"
    until = clock.now() + _LOCK_WAIT_S
    while True:
        with exclusive(lock) as ours:
            if ours:
                found = find(settings)  # another launcher may have compiled it meanwhile
                return found or _compile(package, version, settings)
        if clock.now() > until:
            raise ConfigError(
                f"engine: another process has been compiling ExoPlaSim for half an hour ({lock}); "
                "end it, then run this again."
            )
        clock.sleep(_LOCK_POLL_S)


def _compile(package: Path, version: str, settings: ExoplasimSettings) -> Build:
    print(
        f"compiling ExoPlaSim {settings.resolution} with {settings.layers} layers, once",
        file=sys.stderr,
        flush=True,
    )
    executable = _executable(package, settings)
    log = package / "astrohpc-build.log"
    executable.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=plain_temporary_folder()) as folder:
        try:
            with Worker(log) as worker:
                worker.ask(
                    {
                        "do": "build",
                        "folder": folder,
                        "resolution": settings.resolution,
                        "layers": settings.layers,
                    }
                )
        except WorkerDied as death:
            if "pyfft" in str(death):
                raise ConfigError(
                    "engine: ExoPlaSim's pyfft could not be built; on Python 3.11 that needs an older "
                    f"setuptools: run \"pip install 'setuptools<81'\", then this again ({log})."
                ) from death
            raise ConfigError(
                f"engine: compiling ExoPlaSim failed ({death}); see {log}, mend it, run this again."
            ) from death
    if not executable.exists():
        raise ConfigError(
            f"engine: compiling ExoPlaSim left no {executable.name}; see {log} for the compiler's "
            "message, mend it, then run this again."
        )
    build = Build(executable, file_digest(executable), version, _compiler())
    write_atomic(
        _record(package, settings),
        json.dumps({"version": version, "digest": build.digest, "compiler": build.compiler}) + "\n",
    )
    return build


def plain_temporary_folder() -> str:
    """A temporary folder whose name survives the model's unquoted shell commands."""
    folder = tempfile.gettempdir()
    return folder if _is_plain(folder) else "/tmp"  # noqa: S108 - a unique folder is made in it


def _check_tools(package: Path) -> None:
    if not _is_plain(str(package)):
        raise ConfigError(
            f"engine: ExoPlaSim's own shell commands break on blanks and signs in {str(package)!r}; "
            "install it into an environment whose path has none."
        )
    missing = [name for command, name in _TOOLS.items() if shutil.which(command) is None]
    if missing:
        raise ConfigError(
            f"engine: ExoPlaSim is compiled from source, and {' and '.join(missing)} cannot be found; "
            f"run 'apt-get install {' '.join(missing)}', or load a compiler module."
        )
    if not os.access(package, os.W_OK):
        raise ConfigError(
            f"engine: ExoPlaSim compiles itself inside {package}, which may not be written; install "
            "it into an environment of your own, or ask the owner of this one to run this first."
        )


def _is_plain(path: str) -> bool:
    return re.fullmatch(r"[\w@%+=:,./-]+", path) is not None


def _compiler() -> str:
    done = subprocess.run(
        ["gfortran", "--version"], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout.partition("\n")[0].strip()


def _executable(package: Path, settings: ExoplasimSettings) -> Path:
    name = f"most_plasim_t{settings.resolution[1:]}_l{settings.layers}_p1.x"
    return package / "plasim" / "run" / name


def _record(package: Path, settings: ExoplasimSettings) -> Path:
    return package / f"astrohpc-{settings.resolution.lower()}-l{settings.layers}.json"
