"""One task of a build array: ``python -m astrohpc.jobs.build SWEEP_FOLDER --first N --count P``.

Builds the executable that member N needs, and every other member that has the same key. Exit codes: 0
built, or there already; 78 badly configured.
"""

import argparse
import sys
from pathlib import Path

from astrohpc.clock import SystemClock, iso
from astrohpc.engines.base import Builder
from astrohpc.engines.load import load_engine
from astrohpc.errors import ConfigError
from astrohpc.sweep import config as configs
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.members import read_table


def main() -> int:
    """Run the task and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the sweep's folder")
    parser.add_argument("--first", type=int, required=True, help="index of the first member")
    parser.add_argument("--count", type=int, required=True, help="how many members")
    arguments = parser.parse_args()
    clock, folder = SystemClock(), SweepFolder(arguments.folder.absolute())

    def say(text: str) -> None:
        print(f"[{iso(clock.now())}] {text}", flush=True)

    try:
        config = configs.parse(configs.load(folder.config))
        wanted = range(arguments.first, arguments.first + arguments.count)
        for member in read_table(folder.table, wanted):
            engine = load_engine(config.engine, member.overrides)
            if isinstance(engine, Builder):
                say(
                    f"executable {engine.executable(member.planet)}, for member {member.index} and its like"
                )
                engine.build(member.planet, say)
    except ConfigError as error:
        say(f"error: {error}")
        return 78
    return 0


if __name__ == "__main__":
    sys.exit(main())
