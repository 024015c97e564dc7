"""One conversion: ``python -m astrohpc.jobs.convert SOURCE TARGET.zarr``, alone or one rank of an MPI job.

SOURCE is a file, a folder of files, or a sweep's folder. Can be run again: what is done is left alone,
what was killed goes on. USR1 or TERM: the shards at hand are finished, exit 75. Exit codes: 0 all of it
is in the store, 3 something was left out and is named, 75 stopped before the end, 78 badly configured.
"""

import argparse
import dataclasses
import gc
import json
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
# Nothing here multiplies matrices: numpy's BLAS need not start a thread for each core of the node.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def main() -> int:
    """Read the command line, run the conversion and return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="a file, a folder of files, or a sweep's folder")
    parser.add_argument("target", type=Path, help="the store, a folder that ends in .zarr")
    parser.add_argument("--settings", type=Path, help="a JSON file of store settings")
    parser.add_argument("--codec", help="planes, blosc, lz4, deflate (pass-through) or none")
    parser.add_argument("--members", help="one, folder, file, or a regular expression")
    parser.add_argument("--threads", type=int, help="of each rank")
    parser.add_argument("--memory-mib", type=int, help="of each rank")
    parser.add_argument(
        "--bare", action="store_true", help="neither statistics nor a report page afterwards"
    )
    parser.add_argument(
        "--verify", action="store_true", help="hold a store that is there against its sources"
    )
    arguments = parser.parse_args()
    from astrohpc.errors import ConfigError  # noqa: PLC0415 - after the signal handlers

    try:
        settings = _settings(arguments)
    except ConfigError as error:
        print(f"error: {error}", flush=True)
        return 78
    return run(arguments.source, arguments.target, settings, verify=arguments.verify)


def run(
    source: Path,
    target: Path,
    settings: Any,
    *,
    verify: bool = False,
    tell: Callable[[str], None] | None = None,
) -> int:
    """Convert or verify, as one rank of an MPI job or alone; ``tell`` instead of lines with a time."""
    from astrohpc.clock import SystemClock, iso  # noqa: PLC0415
    from astrohpc.files import readable_failures  # noqa: PLC0415
    from astrohpc.store.convert import convert  # noqa: PLC0415
    from astrohpc.store.convert import cores as threads_of  # noqa: PLC0415
    from astrohpc.store.ranks import find_ranks, together  # noqa: PLC0415
    from astrohpc.store.report import conclusion, exit_code, verified  # noqa: PLC0415
    from astrohpc.store.verify import as_made  # noqa: PLC0415
    from astrohpc.store.verify import verify as prove  # noqa: PLC0415
    from astrohpc.sweep.harvest import request_for  # noqa: PLC0415

    clock = SystemClock()
    ranks = find_ranks()
    # What was imported lives to the end, and headers and plans, too: looking for cycles among all that
    # again and again took a fifth of the time of reading headers.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)

    def stamped(text: str) -> None:
        print(f"[{iso(clock.now())}] {text}", flush=True)

    say = tell or stamped

    def stop() -> bool:
        return bool(_stopping)

    def work() -> int:
        with readable_failures(str(target)):
            chosen = as_made(target.absolute(), settings) if verify else settings
            request = request_for(source.absolute(), target.absolute(), chosen)
            if verify:
                verdict = prove(request, ranks, clock, stop, say)
                lines, code = verified(verdict) if verdict else ([], 0)
            else:
                report = convert(request, ranks, clock, stop, say)
                lines, code = (list(conclusion(report)), exit_code(report)) if report else ([], 0)
                if request.settings.statistics and not ranks.share(report and report.stopped):
                    from astrohpc.store.statistics import compute  # noqa: PLC0415 - numba

                    compute(request.target, ranks, threads_of(request, ranks), stop, say)
                if report and settings.page and not report.stopped:
                    lines += _page(source, request, report, iso(clock.now()), stop)
        for line in lines:
            say(line)
        return code

    return together(ranks, say, work)


def _page(source: Path, request: Any, report: Any, when: str, stop: Any) -> list[str]:
    """The report page, which is worth having and never worth a conversion."""
    from astrohpc.files import write_atomic  # noqa: PLC0415
    from astrohpc.sweep.folder import SweepFolder  # noqa: PLC0415
    from astrohpc.sweep.provenance import commit  # noqa: PLC0415

    try:
        from astrohpc.store.page import Circumstances, write_page  # noqa: PLC0415

        path = write_page(request, report, Circumstances(when, commit() or ""), stop)
        if path is None:
            return ["the report page was not made, for we were asked to stop"]
        folder = SweepFolder(source)
        if folder.exists():
            folder.reports.mkdir(exist_ok=True)
            write_atomic(folder.reports / "store.html", path.read_bytes())
    except Exception as error:  # noqa: BLE001 - the store is whole without it
        return [f"the report page could not be made ({type(error).__name__}: {error})"]
    return [f"report page: {path}"]


def _settings(arguments: argparse.Namespace) -> Any:
    from astrohpc.errors import ConfigError  # noqa: PLC0415
    from astrohpc.settings import build  # noqa: PLC0415
    from astrohpc.store.settings import StoreSettings  # noqa: PLC0415

    written: dict[str, Any] = {}
    if arguments.settings is not None:
        try:
            written = json.loads(arguments.settings.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"--settings: {arguments.settings} cannot be read ({error}); name a JSON file."
            ) from error
    settings = build(StoreSettings, written, "store")
    given: dict[str, Any] = {"statistics": False, "page": False} if arguments.bare else {}
    given |= {
        name: getattr(arguments, name)
        for name in ("codec", "members", "threads", "memory_mib")
        if getattr(arguments, name) is not None
    }
    return build(StoreSettings, {**dataclasses.asdict(settings), **given}, "store")


if __name__ == "__main__":
    sys.exit(main())
