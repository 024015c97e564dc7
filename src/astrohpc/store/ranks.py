"""The ranks of a conversion: one alone, or many of an MPI job that share out work without locks.

A shared counter in rank 0's memory says which task is next. Only the main thread of a rank talks to
MPI, and it never blocks there, so that the counter answers while the threads compute.
"""

import os
from collections.abc import Sequence
from typing import Any, Protocol


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
    """Ranks of ``mpirun`` or ``srun --mpi=pmix``."""

    def __init__(self) -> None:
        from mpi4py import MPI  # noqa: PLC0415 - it starts MPI, and many a machine has none

        self._mpi: Any = MPI
        self._comm: Any = MPI.COMM_WORLD
        self.rank = int(self._comm.Get_rank())
        self.size = int(self._comm.Get_size())
        self._window: Any = None

    def gather(self, value: Any) -> list[Any] | None:
        """Pickled by mpi4py."""
        found: list[Any] | None = self._comm.gather(value, root=0)
        return found

    def share(self, value: Any) -> Any:
        """Pickled by mpi4py."""
        return self._comm.bcast(value, root=0)

    def begin(self) -> None:
        """Two counters in rank 0's memory: tasks given out, and bytes done."""
        size = 16 if self.rank == 0 else 0
        self._window = self._mpi.Win.Allocate(size, 8, comm=self._comm)
        if self.rank == 0:
            memory = memoryview(self._window).cast("B")
            memory[:] = bytes(16)
        self._comm.Barrier()
        self._window.Lock_all()

    def next(self) -> int:
        """Fetch and add one."""
        return self._fetch_and_add(0, 1)

    def add(self, amount: int) -> int:
        """Fetch and add."""
        return self._fetch_and_add(1, amount) + amount

    def _fetch_and_add(self, place: int, amount: int) -> int:
        import numpy as np  # noqa: PLC0415

        given, found = np.array([amount], "i8"), np.zeros(1, "i8")
        self._window.Fetch_and_op(given, found, 0, place)
        self._window.Flush(0)
        return int(found[0])

    def poll(self) -> None:
        """A call that does nothing but drive MPI."""
        self._comm.Iprobe()

    def end(self) -> None:
        """Close the window; a rank that waits here still answers others."""
        request = self._comm.Ibarrier()
        while not request.Test():
            _rest()
        self._window.Unlock_all()
        self._window.Free()

    def abort(self, code: int) -> None:
        """End the job: a rank that is gone must not leave the others waiting."""
        self._comm.Abort(code)


_POLL_S = 0.002


def _rest() -> None:
    import time  # noqa: PLC0415

    time.sleep(_POLL_S)


_LAUNCHED: Sequence[str] = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "MV2_COMM_WORLD_SIZE")


def find_ranks() -> Ranks:
    """MPI where a launcher started us, ourselves where not."""
    return Mpi() if any(name in os.environ for name in _LAUNCHED) else Alone()
