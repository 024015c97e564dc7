"""One rank of one training: ``python -m astrohpc.jobs.train FOLDER``, alone or one of many.

FOLDER is a run's folder, which ``launch train`` makes. Can be run again: it goes on from the newest
good checkpoint. USR1 or TERM: everything is saved after the step at hand, exit 75. Exit codes: 0 trained
to the last step, 75 saved before it, 65 blown up, 78 badly configured.
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
SIGNALS = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)
for _name in SIGNALS:
    signal.signal(_name, lambda number, _frame: _stopping.append(number))


def main() -> int:
    """Read the command line, train and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a run's folder")
    code = run(parser.parse_args().folder)
    # Python gives its handlers up before it ends: a time limit in that second made a finished training
    # unfinished. And it takes that second, on a busy node ten, to take torch apart.
    for name in SIGNALS:
        signal.signal(name, signal.SIG_IGN)
    if code == 0:  # all is on the disk, and ranks have parted
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def run(folder: Path, tell: Callable[[str], None] | None = None) -> int:
    """Train in a run's folder; ``tell`` instead of lines with a time."""
    from astrohpc.clock import SystemClock, iso  # noqa: PLC0415 - after the signal handlers
    from astrohpc.errors import ConfigError  # noqa: PLC0415
    from astrohpc.files import readable_failures  # noqa: PLC0415
    from astrohpc.outcome import EXIT_CODE, Outcome  # noqa: PLC0415
    from astrohpc.train.run import Run  # noqa: PLC0415

    clock = SystemClock()

    def stamped(text: str) -> None:
        print(f"[{iso(clock.now())}] {text}", flush=True)

    say = tell or stamped
    try:
        job = Run.of(folder.absolute())  # a mistake is named before torch is imported
    except ConfigError as error:
        say(f"error: {error}")
        return EXIT_CODE[Outcome.BAD_CONFIG]
    from astrohpc.train.engines import failures  # noqa: PLC0415 - torch

    def guarded() -> int:
        try:
            with readable_failures(str(folder)):
                return EXIT_CODE[_trained(job, clock, say)]
        except ConfigError as error:
            if words := failures.refusal(error):
                say(f"error: {words}")
            return EXIT_CODE[Outcome.BAD_CONFIG]

    return failures.run(guarded)  # where a rank is lost it leaves without a goodbye


def _trained(job: Any, clock: Any, say: Callable[[str], None]) -> Any:
    """How it ended."""
    from astrohpc.outcome import Outcome  # noqa: PLC0415
    from astrohpc.train.engines.choose import EngineSettings, open_engine  # noqa: PLC0415
    from astrohpc.train.engines.failures import RanksDiffer  # noqa: PLC0415
    from astrohpc.train.guards import BlownUp  # noqa: PLC0415
    from astrohpc.train.precision import Precision  # noqa: PLC0415
    from astrohpc.train.run import finish, trainer_of  # noqa: PLC0415
    from astrohpc.train.step import Interrupted  # noqa: PLC0415

    precision = Precision(job.train.precision)
    lower = None if precision.compute == precision.keep else precision.compute
    engine, choice = open_engine(EngineSettings(engine=job.train.engine), param_dtype=lower)
    if engine.rank == 0:
        say(f"{choice.why}, on {engine.device}")
    try:
        trainer = trainer_of(job, engine, clock, say, lambda: bool(_stopping))
        ending = trainer.run()
        if ending == "done":
            finish(job, trainer)
        weights = engine.checksum()
    except BlownUp as error:
        if engine.rank == 0:
            say(f"error: {error}")
        return Outcome.BLOWN_UP
    except (Interrupted, RanksDiffer) as error:
        say(f"error: {error}")
        return Outcome.CHECKPOINTED
    if engine.rank == 0:
        done, whole = trainer.position.step, job.train.steps
        word = "trained" if ending == "done" else "saved"
        say(f"{word} at step {done} of {whole}, weights {weights}")
    engine.shutdown()
    return Outcome.DONE if ending == "done" else Outcome.CHECKPOINTED


if __name__ == "__main__":
    sys.exit(main())
