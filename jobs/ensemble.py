"""Members of an ensemble: ``python -m astrohpc.jobs.ensemble FOLDER --first N --count P [--only 3,5-7]``.

FOLDER is the run's folder, and each member is a training in a folder of its own within it; see
``astrohpc.jobs.train``, whose exit codes these are. Members that are trained already end at once; one
that blows up does not keep the others from their end.
"""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from astrohpc.jobs import train  # first, for it listens to signals


def main() -> int:
    """Read the command line, train and return the exit code."""
    from astrohpc.slurm.directives import parse_indices  # noqa: PLC0415 - after the signal handlers

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the ensemble's folder")
    parser.add_argument("--first", type=int, required=True, help="number of the first member")
    parser.add_argument("--count", type=int, required=True, help="how many members")
    parser.add_argument("--only", type=parse_indices, help="train no others than these, as 3,5-7")
    arguments = parser.parse_args()
    wanted = range(arguments.first, arguments.first + arguments.count)
    code = run(
        arguments.folder, [k for k in wanted if arguments.only is None or k in arguments.only]
    )
    for name in train.SIGNALS:  # as jobs.train: Python gives its handlers up before it ends
        signal.signal(name, signal.SIG_IGN)
    return code


def run(
    folder: Path, wanted: list[int] | None = None, tell: Callable[[str], None] | None = None
) -> int:
    """Train members, all of them if none are named; the first exit code that is not 0."""
    from astrohpc.errors import ConfigError  # noqa: PLC0415 - after the signal handlers
    from astrohpc.outcome import EXIT_CODE, Outcome  # noqa: PLC0415
    from astrohpc.train.run import Run  # noqa: PLC0415

    say = tell or (lambda text: print(text, flush=True))
    try:
        members = Run.of(folder.absolute()).members
    except ConfigError as error:
        say(f"error: {error}")
        return EXIT_CODE[Outcome.BAD_CONFIG]
    found = 0
    for k, member in enumerate(members):
        if wanted is not None and k not in wanted:
            continue
        say(f"member {k} of {len(members)}")
        code = train.run(member.folder, tell=tell)
        found = found or code
        if code == EXIT_CODE[Outcome.CHECKPOINTED]:
            break
    return found


if __name__ == "__main__":
    sys.exit(main())
