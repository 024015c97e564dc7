"""How an attempt at a member ended: the words, and the exit codes that carry them to Slurm."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How one attempt at a member ended. ``unknown`` is never treated as failed."""

    DONE = "done"
    CHECKPOINTED = "checkpointed"
    BLOWN_UP = "blown_up"
    BAD_CONFIG = "bad_config"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    NODE_FAILED = "node_failed"
    PREEMPTED = "preempted"
    UNKNOWN = "unknown"


# sysexits.h where it has a word: 65 data error, 75 try again, 78 configuration error.
EXIT_CODE = {
    Outcome.DONE: 0,
    Outcome.CHECKPOINTED: 75,
    Outcome.BLOWN_UP: 65,
    Outcome.BAD_CONFIG: 78,
}


@dataclass(frozen=True)
class Verdict:
    """An outcome and the sentence that explains it, as read from what the model left behind."""

    outcome: Outcome
    reason: str
