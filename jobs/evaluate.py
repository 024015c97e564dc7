"""One evaluation: ``python -m astrohpc.jobs.evaluate FOLDER``.

FOLDER is an evaluation's folder, which ``launch evaluate`` makes. Can be run again: methods that are fitted
are left alone. USR1 or TERM: it stops after the method at hand and exits with 75. Exit codes: 0 done, 75
stopped before the end, 78 it cannot be done.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before the slow imports: a signal that comes during them must not kill us.
_stopping: list[int] = []
for _name in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
    signal.signal(_name, lambda number, _frame: _stopping.append(number))


def main() -> int:
    """Read the command line, evaluate and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="an evaluation's folder")
    return run(parser.parse_args().folder)


def run(folder: Path, tell: Callable[[str], None] | None = None) -> int:
    """Evaluate in a folder; ``tell`` instead of lines with a time."""
    from astrohpc.clock import SystemClock, iso  # noqa: PLC0415 - after the signal handlers
    from astrohpc.errors import ConfigError  # noqa: PLC0415
    from astrohpc.files import readable_failures  # noqa: PLC0415
    from astrohpc.outcome import EXIT_CODE, Outcome  # noqa: PLC0415

    clock = SystemClock()

    def stamped(text: str) -> None:
        print(f"[{iso(clock.now())}] {text}", flush=True)

    say = tell or stamped
    try:
        with readable_failures(str(folder)):
            return EXIT_CODE[_evaluated(folder.absolute(), clock, say)]
    except ConfigError as error:
        say(f"error: {error}")
        return EXIT_CODE[Outcome.BAD_CONFIG]


def _evaluated(folder: Path, clock: Any, say: Callable[[str], None]) -> Any:
    """How it ended."""
    from astrohpc.clock import duration  # noqa: PLC0415
    from astrohpc.evaluate.deliver import deliver  # noqa: PLC0415
    from astrohpc.evaluate.job import Job  # noqa: PLC0415
    from astrohpc.evaluate.run import evaluate  # noqa: PLC0415
    from astrohpc.outcome import Outcome  # noqa: PLC0415

    began = clock.now()
    job = Job.of(folder)
    number = os.environ.get("SLURM_JOB_ID", "")
    results = evaluate(job, clock, lambda: bool(_stopping), say, number)
    if results is None:
        say("stopped as asked; the same command goes on from here")
        return Outcome.CHECKPOINTED
    for line in deliver(job, results, clock):
        say(line)
    say(f"evaluated in {duration(clock.now() - began)}")
    return Outcome.DONE


if __name__ == "__main__":
    sys.exit(main())
