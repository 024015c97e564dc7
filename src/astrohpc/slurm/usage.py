"""What a cluster's own accounts say that jobs have used: core-seconds, and joules where it measures them."""

from collections.abc import Sequence
from dataclasses import dataclass

from astrohpc.slurm.client import SlurmClient

_FIELDS = "JobID,State,ElapsedRaw,CPUTimeRAW,ConsumedEnergyRaw"
_DONE = "COMPLETED"
_MOST_J = 10**15  # beyond it is what accounts write for "unknown"


@dataclass(frozen=True)
class Usage:
    """Of some jobs, each task and each requeued attempt of it counted."""

    records: int
    core_s: float  # allocated cores times elapsed seconds
    unfinished_core_s: float  # of that: of all that ended otherwise than well, or has not ended
    joules: float | None  # none where the cluster does not measure all of it


def usage(client: SlurmClient, jobs: Sequence[str]) -> Usage:
    """One sacct for these job ids, with the attempts before a requeue, which it hides by default."""
    if not jobs:
        return Usage(0, 0.0, 0.0, None)
    text = client.run(
        [
            "sacct",
            "--allocations",
            "--duplicates",
            "--noheader",
            "--parsable2",
            f"--format={_FIELDS}",
            f"--jobs={','.join(sorted(set(jobs)))}",
        ]
    )
    return read(text)


def read(text: str) -> Usage:
    """Of the lines that sacct prints; tasks that have not begun count for nothing."""
    records, core_s, unfinished, joules = 0, 0.0, 0.0, 0.0
    measured = True
    for line in text.splitlines():
        _, state, elapsed, cpu_time, energy = line.split("|", 4)
        if not int(elapsed or 0):
            continue
        records += 1
        core_s += float(cpu_time)
        if state != _DONE:  # a requeued attempt stands as REQUEUED
            unfinished += float(cpu_time)
        known = energy.isdigit() and 0 < int(energy) < _MOST_J
        measured = measured and known
        joules += float(energy) if known else 0.0
    return Usage(records, core_s, unfinished, joules if measured and records else None)
