"""How a rank ends when another is gone: by a sentence and exit code 75, never by waiting.

A rank that dies closes its connections, and the collectives of the others fail at once; they cannot
go on, for the gradients would not be whole. Slurm requeues the job, which resumes from the last
checkpoint.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from astrohpc.errors import ConfigError
from astrohpc.outcome import EXIT_CODE, Outcome
from astrohpc.train.engines.rendezvous import Place, find_place


class RankLost(RuntimeError):
    """A collective failed because another rank is gone, or because the network is."""


class RanksDiffer(RuntimeError):
    """Weights that must be equal on all ranks are not."""


class AllRefuse(ConfigError):
    """What all ranks raise alike, having told each other; rank 0 says it."""


# What Gloo, NCCL, MPI and torch's store say of a lost rank; they have no exception of their own.
_SIGNS = (
    "connection closed by peer",
    "connection reset by peer",
    "connection refused",
    "broken pipe",
    "socket closed",
    "timed out",
    "timeout",
    "remote process exited",
    "horovod has been shut down",
    "gloo connectfullmesh failed",
    "ncclremoteerror",
    "ncclsystemerror",
    "failed to recv",
)


def is_lost_rank(error: BaseException) -> bool:
    """Whether an error of a collective means that a rank or the network is gone."""
    if isinstance(error, RankLost) or type(error).__name__ == "HorovodInternalError":
        return True
    known = type(error).__name__ in (
        "RuntimeError",
        "DistNetworkError",
        "DistStoreError",
        "DistBackendError",
    )
    return known and any(sign in str(error).lower() for sign in _SIGNS)


@contextmanager
def collective(doing: str) -> Iterator[None]:
    """Errors of a collective as a :class:`RankLost` that says what was being done."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, RankLost) or not is_lost_rank(error):
            raise
        raise RankLost(_sentence(error, doing)) from error


def _sentence(error: RuntimeError, doing: str) -> str:
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"another rank, or the network to it, was lost while {doing} ({said[:200]}); "
        "start the job again and it goes on from its last checkpoint."
    )


def refusal(error: ConfigError) -> str:
    """What this rank says of an error: nothing where rank 0 says it for all."""
    try:
        place = find_place()
    except ConfigError:  # perhaps this very error
        place = Place()
    if isinstance(error, AllRefuse):
        return str(error) if place.rank == 0 else ""
    return f"rank {place.rank}: {error}" if place.size > 1 else str(error)


_with_others: set[int] = set()  # engines that have met other ranks and not yet parted from them


def met(engine: object) -> None:
    """Note that an engine has threads and connections to other ranks."""
    _with_others.add(id(engine))


def parted(engine: object) -> None:
    """Note that it has none any more."""
    _with_others.discard(id(engine))


def run(main: Callable[[], int]) -> int:
    """The exit code of a job's rank: 78 for what the user can mend, 75 for what to try again.

    Who has not parted from the others leaves without goodbye: Horovod's and torch's own would wait for
    them, or abort, and the code would be lost. Torch's process groups are never quite parted from: some time
    after ``destroy_process_group``, on a busy machine, a thread of theirs ended a training that was done by
    SIGABRT.
    """
    code, lost = _ended(main)
    if lost or _with_others:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _ended(main: Callable[[], int]) -> tuple[int, bool]:
    """The exit code, and whether a rank was lost, perhaps before all had met."""
    try:
        return main(), False
    except ConfigError as error:
        if said := refusal(error):
            print(f"error: {said}", file=sys.stderr, flush=True)
        return EXIT_CODE[Outcome.BAD_CONFIG], False
    except RuntimeError as error:
        if not is_lost_rank(error):
            raise
        # FSDP's collectives are in the model's forward, which is not ours.
        said = str(error) if isinstance(error, RankLost) else _sentence(error, "training")
        print(f"error: {said}", file=sys.stderr, flush=True)
        return EXIT_CODE[Outcome.CHECKPOINTED], True
