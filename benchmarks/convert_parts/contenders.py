"""Who runs: us in four codecs, the peers in two settings of theirs, each in two threads or two ranks."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]
OURS = ("planes", "blosc", "lz4", "deflate")
LIBRARIES = ("zarr", "zarrs", "tensorstore", "zarrista")
TWO_THREADS, TWO_RANKS = "2 threads", "2 ranks"


@dataclass(frozen=True)
class Contender:
    """One way to convert; the source folder and the target are put behind ``command``."""

    tool: str
    codec: str
    mode: str
    variants: tuple[str, ...]
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Whether it is us."""
        return self.tool == "astrohpc"

    @property
    def name(self) -> str:
        """As the tables have it."""
        return f"{self.tool} {self.codec}, {self.mode}"

    @property
    def ranks(self) -> int:
        """Processes that convert."""
        return 2 if self.mode == TWO_RANKS else 1


def contenders(peers_venv: Path) -> Iterator[Contender]:
    """All of them, in the order of the table."""
    everywhere = ("nc4", "nc3", "pk")
    for codec in OURS:
        ours = (sys.executable, "-m", "astrohpc.jobs.convert")
        # The deflate of the files can be passed through only where there is one.
        variants = ("nc4", "pk") if codec == "deflate" else everywhere
        more = ("--codec", codec, "--members", "folder", "--memory-mib", "150", "--bare")
        yield Contender("astrohpc", codec, TWO_THREADS, variants, (*ours, *more, "--threads", "2"))
        yield Contender(
            "astrohpc", codec, TWO_RANKS, ("nc4",), _mpi(*ours, *more, "--threads", "1"), _as_root()
        )
    python3, python2 = (str(peers_venv / one / "bin" / "python") for one in ("zarr3", "zarr2"))
    paths = {"PYTHONPATH": str(FOLDER), "PYTHONWARNINGS": "ignore"}
    for codec in ("seed", "tuned"):
        more = ("--codec", codec)
        module = "convert_parts.peers"
        yield Contender(
            "xarray+dask",
            codec,
            TWO_THREADS,
            everywhere,
            (python3, "-m", f"{module}.xarray_dask", *more, "--threads", "2"),
            paths,
        )
        yield Contender(
            "rechunker",
            codec,
            TWO_THREADS,
            ("nc4",),
            (python2, "-m", f"{module}.rechunk", *more, "--threads", "2"),
            paths,
        )
        for library in LIBRARIES:
            loop = (python3, "-m", f"{module}.loop", "--library", library, *more)
            yield Contender(
                library,
                codec,
                TWO_THREADS,
                ("nc4",) if library == "zarrs" else everywhere,
                (*loop, "--threads", "2"),
                paths,
            )
            yield Contender(
                library,
                codec,
                TWO_RANKS,
                ("nc4",),
                _mpi(*loop, "--threads", "1", "--mpi"),
                {**paths, **_as_root()},
            )


def install_peers(venv: Path) -> dict[str, bool]:
    """Make the peers' two environments unless they are there; says which of them can be used.

    The one with zarr 2 is a favour to a single peer, whose requirements age: it may fail.
    """
    usable = {}
    for name, requirements in (
        ("zarr3", "convert_peers.txt"),
        ("zarr2", "convert_peers_zarr2.txt"),
    ):
        folder, wanted = venv / name, (FOLDER / requirements).read_text()
        stamp = folder / "requirements.txt"
        if not stamp.is_file() or stamp.read_text() != wanted:
            folder.mkdir(parents=True, exist_ok=True)
            python = str(folder / "bin" / "python")
            install = [python, "-m", "pip", "install", "--quiet", "-r", str(FOLDER / requirements)]
            made = all(
                subprocess.run(command, check=name == "zarr3").returncode == 0
                for command in ([sys.executable, "-m", "venv", str(folder)], install)
            )
            if made:
                stamp.write_text(wanted)
        usable[name] = stamp.is_file()
    return usable


def _mpi(*command: str) -> tuple[str, ...]:
    return ("mpirun", "-n", "2", "--oversubscribe", "--bind-to", "none", *command)


def _as_root() -> dict[str, str]:
    """Open MPI wants to be told twice that root may start it, as in a container."""
    names = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")
    return dict.fromkeys(names, "1") if os.geteuid() == 0 else {}
