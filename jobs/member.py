"""One array task: ``python -m astrohpc.jobs.member SWEEP_FOLDER --first N --count P [--only 3,17-20]``.

Runs the members N … N+P-1 of the sweep, or those of them in ``--only``, one after the other. USR1 or
TERM: the model writes its restart, the task exits 75. Exit codes: 0 done, 75 checkpointed, 65 blown
up, 78 badly configured, 69 nothing was ours to run.
"""

import argparse
import signal
import sys
from pathlib import Path

# Before the slow imports: a signal that comes during them must not kill us.
_stopping: list[int] = []
for _name in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
    signal.signal(_name, lambda number, _frame: _stopping.append(number))


def main() -> int:
    """Run the task and return its exit code."""
    from astrohpc.clock import SystemClock, iso  # noqa: PLC0415 - after the signal handlers
    from astrohpc.errors import ConfigError  # noqa: PLC0415
    from astrohpc.slurm.directives import parse_indices  # noqa: PLC0415
    from astrohpc.sweep.attempt import Task  # noqa: PLC0415
    from astrohpc.sweep.folder import SweepFolder  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the sweep's folder")
    parser.add_argument("--first", type=int, required=True, help="index of the first member")
    parser.add_argument("--count", type=int, required=True, help="how many members")
    parser.add_argument("--only", type=parse_indices, help="run no others than these, as 3,17-20")
    arguments = parser.parse_args()

    clock = SystemClock()

    def say(text: str) -> None:
        print(f"[{iso(clock.now())}] {text}", flush=True)

    try:
        task = Task(SweepFolder(arguments.folder.absolute()), clock, lambda: bool(_stopping), say)
        indices = set(range(arguments.first, arguments.first + arguments.count))
        return task.run(indices if arguments.only is None else indices & set(arguments.only))
    except ConfigError as error:
        say(f"error: {error}")
        return 78


if __name__ == "__main__":
    sys.exit(main())
