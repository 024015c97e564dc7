"""The ranks of a conversion: one alone, or many of an MPI job that share out work without locks.

Rank 0 counts which task is next. Only the main thread of a rank talks to MPI, and it never blocks
there, so that the count goes on while the threads compute.
"""

import os
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from astrohpc.errors import ConfigError
from astrohpc.outcome import EXIT_CODE, Outcome


class Ranks(Protocol):
    """What a conversion needs of MPI."""

    rank: int
    size: int

    def gather(self, value: Any) -> list[Any] | None:
        """All ranks' values at rank 0, None elsewhere."""

    def share(self, value: Any) -> Any:
        """Rank 0's value at all ranks."""

    def begin(self) -> None:
        """Set the counter to zero, and wait for all."""

    def next(self) -> int:
        """The number of the next task, each given out once."""

    def add(self, amount: int) -> int:
        """Add to the bytes that are done; returns the sum over all ranks as known now."""

    def poll(self) -> None:
        """Let MPI get on with what others ask of us."""

    def end(self) -> None:
        """Wait for all, and free the counter."""

    def abort(self, code: int) -> None:
        """End all ranks at once."""


class Alone:
    """No MPI."""

    rank, size = 0, 1

    def __init__(self) -> None:
        self._next = self._bytes = 0

    def gather(self, value: Any) -> list[Any] | None:
        """Our own."""
        return [value]

    def share(self, value: Any) -> Any:
        """Our own."""
        return value

    def begin(self) -> None:
        """Start counting."""
        self._next = self._bytes = 0

    def next(self) -> int:
        """Count."""
        self._next += 1
        return self._next - 1

    def add(self, amount: int) -> int:
        """Sum."""
        self._bytes += amount
        return self._bytes

    def poll(self) -> None:
        """Nobody asks."""

    def end(self) -> None:
        """Nobody to wait for."""

    def abort(self, code: int) -> None:
        """Nobody to end but ourselves."""
        raise SystemExit(code)


class Mpi:
    """Ranks of ``mpirun`` or ``srun --mpi=pmix``; rank 0 counts for all.

    Messages, not a counter in shared memory: OpenMPI 4 has no one-sided calls over TCP (MPI_ERR_WIN).
    """

    def __init__(self) -> None:
        import mpi4py  # noqa: PLC0415 - it starts MPI, and many a machine has none

        mpi4py.rc.thread_level = "funneled"  # only our main thread calls MPI
        from mpi4py import MPI  # noqa: PLC0415

        self._comm: Any = MPI.COMM_WORLD
        self.rank = int(self._comm.Get_rank())
        self.size = int(self._comm.Get_size())
        self._next = self._bytes = 0  # rank 0's counters
        self._away = 0  # ranks that still work; known to rank 0

    def gather(self, value: Any) -> list[Any] | None:
        """Pickled by mpi4py."""
        found: list[Any] | None = self._comm.gather(value, root=0)
        return found

    def share(self, value: Any) -> Any:
        """Pickled by mpi4py."""
        return self._comm.bcast(value, root=0)

    def begin(self) -> None:
        """Start counting."""
        self._next = self._bytes = 0
        self._away = self.size - 1

    def next(self) -> int:
        """Count, or ask rank 0."""
        if self.rank == 0:
            self._next += 1
            return self._next - 1
        self._comm.send((_NEXT, 0), dest=0, tag=_ASK)
        while not self._comm.Iprobe(source=0, tag=_ANSWER):
            time.sleep(_POLL_S)
        return int(self._comm.recv(source=0, tag=_ANSWER))

    def add(self, amount: int) -> int:
        """Sum at rank 0, which is the one that tells."""
        if self.rank == 0:
            self._bytes += amount
        else:
            self._comm.send((_BYTES, amount), dest=0, tag=_ASK)
        return self._bytes

    def poll(self) -> None:
        """Rank 0 answers all that was asked."""
        while self.rank == 0 and self._away and self._comm.Iprobe(tag=_ASK):
            from mpi4py import MPI  # noqa: PLC0415 - imported long ago

            status = MPI.Status()
            kind, amount = self._comm.recv(tag=_ASK, status=status)
            if kind == _NEXT:
                self._comm.send(self._next, dest=status.Get_source(), tag=_ANSWER)
                self._next += 1
            elif kind == _BYTES:
                self._bytes += amount
            else:
                self._away -= 1

    def end(self) -> None:
        """Rank 0 goes on answering until all have what they need."""
        if self.rank != 0:
            self._comm.send((_LEAVES, 0), dest=0, tag=_ASK)
        while self._away and self.rank == 0:
            self.poll()
            time.sleep(_POLL_S)

    def abort(self, code: int) -> None:
        """End the job: a rank that is gone must not leave the others waiting."""
        self._comm.Abort(code)


_NEXT, _BYTES, _LEAVES = "next", "bytes", "leaves"
_ASK, _ANSWER = 1, 2
_POLL_S = 0.0005

_LAUNCHED: Sequence[str] = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "MV2_COMM_WORLD_SIZE")


def find_ranks() -> Ranks:
    """MPI where a launcher started us, ourselves where not."""
    return Mpi() if any(name in os.environ for name in _LAUNCHED) else Alone()


def together(ranks: Ranks, say: Callable[[str], None], work: Callable[[], int]) -> int:
    """The exit code of what all ranks do; one that fails does not leave the others waiting for ever."""
    try:
        return work()
    except ConfigError as error:
        say(f"error: {error}")
        code = EXIT_CODE[Outcome.BAD_CONFIG]
        if ranks.size > 1:
            ranks.abort(code)
        return code
    except BaseException:
        if ranks.size > 1:
            traceback.print_exc()
            ranks.abort(1)
        raise
