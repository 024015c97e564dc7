"""One check: ``python -m astrohpc.jobs.check SOURCE [FILE ...]``, alone or one rank of an MPI job.

SOURCE is a store, a NetCDF file, a folder of them, or a sweep's folder. Can be run again: members that
are done are left alone, and so is a report of the same data. USR1 or TERM: it stops at the next block
and exits with 75. Exit codes: 0 all that was judged is within tolerance, 3 something is not or was left
out and is named, 75 stopped before the end, 78 it cannot be done.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Before the slow imports: a signal that comes during them must not kill us.
_stopping: list[int] = []
for _name in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
    signal.signal(_name, lambda number, _frame: _stopping.append(number))


def main() -> int:
    """Read the command line, run the check and return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", type=Path, nargs="+", metavar="SOURCE")
    parser.add_argument("--settings", type=Path, help="a JSON file of settings")
    parser.add_argument("--into", type=Path, help="the folder of the report")
    arguments = parser.parse_args()
    from astrohpc.errors import ConfigError  # noqa: PLC0415 - after the signal handlers

    try:
        settings = _settings(arguments.settings)
    except ConfigError as error:
        print(f"error: {error}", flush=True)
        return 78
    return run(arguments.sources, settings, arguments.into)


def run(
    sources: Sequence[Path],
    settings: Any,
    into: Path | None = None,
    *,
    tell: Callable[[str], None] | None = None,
) -> int:
    """Check, as one rank of an MPI job or alone; ``tell`` instead of lines with a time."""
    from astrohpc.clock import SystemClock, iso  # noqa: PLC0415
    from astrohpc.files import readable_failures  # noqa: PLC0415
    from astrohpc.quality.run import check  # noqa: PLC0415
    from astrohpc.store.convert import own_cores  # noqa: PLC0415
    from astrohpc.store.ranks import find_ranks, together  # noqa: PLC0415
    from astrohpc.sweep.subject import check_request  # noqa: PLC0415

    clock = SystemClock()
    ranks = find_ranks()

    def stamped(text: str) -> None:
        print(f"[{iso(clock.now())}] {text}", flush=True)

    say = tell or stamped

    def stop() -> bool:
        return bool(_stopping)

    def work() -> int:
        with readable_failures(str(sources[0])):
            request = check_request(
                sources[0].absolute(), settings, more=sources[1:], place=into and into.absolute()
            )
            threads = settings.threads or own_cores(ranks)
            outcome = check(request, ranks, threads, clock, stop, say)
            if outcome is None:
                return 0  # rank 0 says what came of it
            return _conclude(request, outcome, say)

    return together(ranks, say, work)


def _conclude(request: Any, outcome: Any, say: Callable[[str], None]) -> int:
    """Say what was found, write the page, and return the exit code."""
    from astrohpc.clock import duration  # noqa: PLC0415
    from astrohpc.quality.report import CANNOT, FILE, STOPPED, exit_code, table  # noqa: PLC0415

    if outcome.report is None:
        say("stopped as asked; the same command goes on from here")
        return STOPPED
    for line in table(outcome.report):
        say(line)
    if outcome.kept:
        say("nothing has changed since this was checked; it was not read again")
    else:
        say(f"checked in {duration(outcome.seconds)}")
    say(f"report: {request.place / FILE}")
    if request.settings.page:
        for line in _page(request, outcome.report):
            say(line)
    code = exit_code(outcome.report)
    if code == CANNOT:
        say(
            f"error: {request.source}: no law could be held against it; what is lacking is named above."
        )
    return code


def _page(request: Any, report: Any) -> list[str]:
    """The page with its plots, which is worth having and never worth a check."""
    try:
        from astrohpc.quality.page import write_page  # noqa: PLC0415 - matplotlib

        path = write_page(request, report)
    except Exception as error:  # noqa: BLE001 - the report is whole without it
        return [f"the page could not be made ({type(error).__name__}: {error})"]
    return [f"page: {path}"]


def _settings(path: Path | None) -> Any:
    from astrohpc.errors import ConfigError  # noqa: PLC0415
    from astrohpc.quality.settings import CheckSettings  # noqa: PLC0415
    from astrohpc.settings import build  # noqa: PLC0415

    written: dict[str, Any] = {}
    if path is not None:
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"--settings: {path} cannot be read ({error}); name a JSON file."
            ) from error
    return build(CheckSettings, written, "check")


if __name__ == "__main__":
    sys.exit(main())
