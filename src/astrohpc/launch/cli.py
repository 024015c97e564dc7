"""The command line: ``python -m astrohpc.launch VERB``."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from astrohpc.clock import Clock, SystemClock
from astrohpc.errors import ConfigError
from astrohpc.files import readable_failures
from astrohpc.launch import control, planning, show, sweeping
from astrohpc.launch.compose import compose
from astrohpc.launch.output import errors, note
from astrohpc.launch.parser import parse
from astrohpc.slurm.client import SchedulerSilent
from astrohpc.sweep.folder import SweepFolder, find_sweep
from astrohpc.sweep.session import Session


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; an error that a person can mend is one sentence and exit code 2."""
    if sys.stderr is None:  # closed by who started us; the next file that is opened would become it
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as we live
    if sys.stdout is None:
        sys.stderr.write("error: standard output is closed; send it to a file or to /dev/null.\n")
        return 2
    arguments = parse(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="replace"
            )  # a terminal without Unicode gets '?', not a traceback
    try:
        with readable_failures(arguments.verb):
            return VERBS[arguments.verb](arguments, SystemClock())
    except ConfigError as error:
        errors.print(f"error: {error}", markup=False, style="red")
        return 2
    except SchedulerSilent as silent:
        errors.print(
            f"error: the scheduler does not answer ({silent}); nothing was changed, run this again later.",
            markup=False,
            style="red",
        )
        return 2
    except KeyboardInterrupt:
        note("left; what was submitted goes on. 'watch' looks again, 'cancel' stops it.")
        return 130


def _existing(arguments: argparse.Namespace, clock: Clock) -> Session:
    return Session.of(find_sweep(arguments.sweep, arguments.runs), clock, note)


def _composed(arguments: argparse.Namespace, clock: Clock) -> Session:
    return sweeping.open_session(_written(arguments), clock)


def _written(arguments: argparse.Namespace) -> dict[str, Any]:
    return compose(arguments.overrides, arguments.config_dir, arguments.runs)


def _sweep(arguments: argparse.Namespace, clock: Clock) -> int:
    if arguments.folder is not None:
        folder = SweepFolder(arguments.folder.absolute())
        if not folder.exists():
            raise ConfigError(f"--folder: {folder.path} holds no sweep; name the folder of one.")
        if arguments.overrides:
            raise ConfigError(
                "--folder: overrides go with a new composition; leave out one of the two."
            )
        if arguments.keeper:
            return sweeping.keep(folder, clock)
        session = Session.of(folder, clock, note)
    else:
        session = _composed(arguments, clock)
    if arguments.dry_run:
        return planning.plan(session, dry_run=True)
    return sweeping.sweep(session, wait=arguments.wait, command=sweeping.command_line())


def _plan(arguments: argparse.Namespace, clock: Clock) -> int:
    return planning.plan(_composed(arguments, clock), dry_run=arguments.dry_run)


def _convert(arguments: argparse.Namespace, _clock: Clock) -> int:
    from astrohpc.launch import converting  # noqa: PLC0415

    return converting.run(arguments)


def _check(arguments: argparse.Namespace, _clock: Clock) -> int:
    from astrohpc.launch import checking  # noqa: PLC0415

    return checking.run(arguments)


def _augment(arguments: argparse.Namespace, _clock: Clock) -> int:
    from astrohpc.launch import gallery  # noqa: PLC0415

    return gallery.run(arguments)


def _train(arguments: argparse.Namespace, _clock: Clock) -> int:
    from astrohpc.launch import training  # noqa: PLC0415

    return training.run(arguments)


def _evaluate(arguments: argparse.Namespace, _clock: Clock) -> int:
    from astrohpc.launch import evaluating  # noqa: PLC0415

    return evaluating.run(arguments)


def _predict(arguments: argparse.Namespace, _clock: Clock) -> int:
    from astrohpc.launch import predicting  # noqa: PLC0415

    return predicting.run(arguments)


def _pipeline(arguments: argparse.Namespace, clock: Clock) -> int:
    from astrohpc.launch import pipeline  # noqa: PLC0415

    return pipeline.run(arguments, clock)


def _curves(arguments: argparse.Namespace, _clock: Clock) -> int:
    from astrohpc.launch import curves  # noqa: PLC0415

    return curves.run(arguments)


def _status(arguments: argparse.Namespace, clock: Clock) -> int:
    show.status(_existing(arguments, clock), as_json=arguments.json, show_members=arguments.members)
    return 0


def _watch(arguments: argparse.Namespace, clock: Clock) -> int:
    show.watch(_existing(arguments, clock), max(0.2, arguments.interval))
    return 0


def _retry(arguments: argparse.Namespace, clock: Clock) -> int:
    session = _existing(arguments, clock)
    return sweeping.retry(
        session, outcomes=arguments.outcome, indices=arguments.member, wait=arguments.wait
    )


def _rerun(arguments: argparse.Namespace, clock: Clock) -> int:
    original = find_sweep(arguments.sweep, arguments.runs)
    session = sweeping.rerun(original, arguments.overrides, arguments.config_dir, clock)
    return sweeping.sweep(session, wait=arguments.wait, command=sweeping.command_line())


def _explain(arguments: argparse.Namespace, clock: Clock) -> int:
    return control.explain(_existing(arguments, clock), arguments.member)


def _throttle(arguments: argparse.Namespace, clock: Clock) -> int:
    return control.throttle(_existing(arguments, clock), arguments.n)


def _cancel(arguments: argparse.Namespace, clock: Clock) -> int:
    return control.cancel(_existing(arguments, clock))


def _tensorboard(arguments: argparse.Namespace, clock: Clock) -> int:
    from astrohpc.launch import evaluating, tensorboard, training  # noqa: PLC0415

    shown = training.shown(arguments.sweep, arguments.runs, clock)
    if shown is None:
        shown = evaluating.shown(arguments.sweep, arguments.runs, clock)
    if shown is None:
        shown = tensorboard.of_sweep(_existing(arguments, clock))
    return tensorboard.serve(shown, hours=arguments.hours, port=arguments.port)


def _doctor(arguments: argparse.Namespace, clock: Clock) -> int:
    from astrohpc.launch import doctor, profile  # noqa: PLC0415

    written = _written(arguments)
    return profile.probe(written) if arguments.probe else doctor.examine(written, clock)


VERBS: dict[str, Callable[[argparse.Namespace, Clock], int]] = {
    "sweep": _sweep,
    "plan": _plan,
    "convert": _convert,
    "verify": _convert,
    "check": _check,
    "augment": _augment,
    "train": _train,
    "evaluate": _evaluate,
    "predict": _predict,
    "pipeline": _pipeline,
    "curves": _curves,
    "status": _status,
    "watch": _watch,
    "retry": _retry,
    "rerun": _rerun,
    "explain": _explain,
    "throttle": _throttle,
    "cancel": _cancel,
    "tensorboard": _tensorboard,
    "doctor": _doctor,
}
