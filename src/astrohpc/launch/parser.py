"""Every verb's arguments and help. ``cli`` runs them."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from astrohpc.launch.helps import (
    CHECKS,
    DESCRIPTION,
    EVALUATIONS,
    GALLERY,
    OVERRIDES,
    PIPELINES,
    PREDICTIONS,
    STORES,
    TRAININGS,
)
from astrohpc.version import VERSION


def parser() -> argparse.ArgumentParser:  # noqa: PLR0915 - one list of verbs is easier to read whole
    """Build the parser of all verbs."""
    main = argparse.ArgumentParser(
        prog="python -m astrohpc.launch",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main.add_argument("--version", action="version", version=f"astrohpc {VERSION}")
    verbs = main.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, line: str, epilog: str = "") -> argparse.ArgumentParser:
        sub = verbs.add_parser(
            name,
            help=(line[0].lower() + line[1:].rstrip(".")).replace("%", "%%"),
            description=line,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.add_argument(
            "--runs",
            type=Path,
            default=Path(os.environ.get("ASTROHPC_RUNS", "runs")),
            help="where sweeps live (default: $ASTROHPC_RUNS or ./runs)",
        )
        return sub

    def own_groups(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--config-dir",
            default=os.environ.get("ASTROHPC_CONFIGS"),
            help="a folder with groups of your own",
        )

    def composing(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "overrides", nargs="*", metavar="OVERRIDE", help="group=option or key=value"
        )
        own_groups(sub)

    def over_files(sub: argparse.ArgumentParser, metavar: str, words: str) -> None:
        """Of a verb that runs one job over files."""
        sub.add_argument("words", nargs="*", metavar=metavar, help=words)
        own_groups(sub)
        sub.add_argument("--dry-run", action="store_true", help="print the script or the command")

    def waiting(sub: argparse.ArgumentParser) -> None:
        group = sub.add_mutually_exclusive_group()
        group.add_argument(
            "--wait",
            action="store_true",
            default=None,
            help="stay until it is over (default for site=local)",
        )
        group.add_argument(
            "--detach",
            dest="wait",
            action="store_false",
            help="return at once (default on a cluster)",
        )

    def named(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "sweep",
            nargs="?",
            help="a sweep's name or folder (default: the one made or extended last)",
        )

    sub = verb(
        "sweep",
        "Make a sweep or extend it, and submit the members that are missing.\n\n"
        "Run it as often as you like: members that are done, queued or running are left alone, those "
        "that ended otherwise are treated as the policy says, and a larger sweep.n adds members.",
        OVERRIDES,
    )
    composing(sub)
    waiting(sub)
    sub.add_argument(
        "--dry-run", action="store_true", help="print the scripts that would be submitted"
    )
    sub.add_argument("--folder", type=Path, help="go on with this sweep, as it was last configured")
    sub.add_argument(
        "--keeper", action="store_true", help="as the keeper job does: wait for our turn, report"
    )

    sub = verb(
        "plan",
        "Say what 'sweep' would do and cost, and check it against the cluster's limits. Submits nothing.",
        OVERRIDES,
    )
    composing(sub)
    sub.add_argument(
        "--dry-run", action="store_true", help="print the scripts that would be submitted"
    )

    for name, line in (
        (
            "convert",
            "Make one Zarr store of a sweep's climates, or of any NetCDF files, and prove every shard.\n\n"
            "Run it as often as you like: what is done is left alone, what was killed goes on, new members "
            "are added. On site=local it runs here; on a cluster it submits one MPI job.",
        ),
        (
            "verify",
            "Hold a store against the files that it was made of, and name the first difference.",
        ),
    ):
        sub = verb(name, line, STORES)
        over_files(
            sub,
            "SOURCE [TARGET] [OVERRIDE ...]",
            "a sweep's name or folder, a folder of files or a file (default: the sweep made or "
            "extended last); the store (default: store.zarr in the sweep, or SOURCE.zarr); overrides",
        )
        if name == "convert":
            sub.add_argument(
                "--explain",
                action="store_true",
                help="say what each array would look like and cost to read, and stop",
            )

    sub = verb(
        "check",
        "Hold climates against the laws of physics: mass, water, energy, momentum, and what is possible.\n\n"
        "Run it as often as you like: what has not changed is not read again. On site=local it runs here; on "
        "a cluster it submits one job.",
        CHECKS,
    )
    over_files(
        sub,
        "SOURCE [OVERRIDE ...]",
        "a sweep's name or folder, a store, a folder of files, or files (default: the sweep made or "
        "extended last); overrides",
    )
    sub.add_argument("--into", type=Path, help="the folder of the report")
    sub.add_argument(
        "--explain", action="store_true", help="say which laws would be checked, and stop"
    )

    sub = verb(
        "augment",
        "Show each augmentation on a real field and spectrum, before and after, with what it kept.",
        GALLERY,
    )
    sub.add_argument("words", nargs="*", metavar="OVERRIDE", help="key=value")
    own_groups(sub)
    sub.add_argument(
        "--docs",
        type=Path,
        metavar="FOLDER",
        help="write gallery.md and small pictures there instead",
    )

    sub = verb(
        "train",
        "Train a model on a store, and keep everything that going on needs.\n\n"
        "Run it as often as you like: it goes on from the newest good checkpoint, and does nothing where "
        "the last step is reached. On site=local it runs here; on a cluster it submits one job.",
        TRAININGS,
    )
    over_files(
        sub,
        "[DATA] [OVERRIDE ...]",
        "a sweep's name or folder, a store, or a folder of arrays (default: the sweep made or "
        "extended last); overrides",
    )

    sub = verb(
        "evaluate",
        "Fit every baseline on a store with the same budget, and judge them and trained networks by planets "
        "that none has seen.\n\n"
        "Run it as often as you like: methods that are fitted are left alone. On site=local it runs here; on "
        "a cluster it submits one job.",
        EVALUATIONS,
    )
    over_files(
        sub,
        "[DATA] [TRAINING ...] [OVERRIDE ...]",
        "a sweep's name or folder, or a store (default: the sweep made or extended last); names or "
        "folders of trainings (default: all that lie there); overrides",
    )

    sub = verb(
        "predict",
        "Predict the climates of planets by a surrogate: a NetCDF file with means, 90 % intervals and flags.",
        PREDICTIONS,
    )
    sub.add_argument(
        "words",
        nargs="*",
        metavar="FILE [SURROGATE]",
        help="a YAML file of planets or a table of them; a surrogate's folder, or one that has it "
        "(default: the newest under --runs)",
    )
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="NETCDF",
        help="the answer (default: FILE's name with .predicted.nc, beside it)",
    )

    sub = verb(
        "pipeline",
        "Make a sweep, convert, check, train and evaluate: from a configuration to the report.\n\n"
        "Run it as often as you like: what is done is left alone. On site=local it runs here; on a cluster "
        "its stages are jobs that wait for each other.",
        PIPELINES,
    )
    composing(sub)
    sub.add_argument("--dry-run", action="store_true", help="print what would be submitted or run")
    sub.add_argument(
        "--folder", type=Path, help="go on with the pipeline of this sweep, as its job does"
    )

    sub = verb(
        "curves",
        "Draw how trainings went, several on one page: loss and validation, learning rate, gradient norm, "
        "samples a second, waiting for data, and where an attempt went on.",
    )
    sub.add_argument(
        "training",
        nargs="*",
        metavar="TRAINING",
        help="names or folders of trainings, or a sweep for all of its (default: those of the latest sweep)",
    )
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="PNG",
        help="the picture (default: curves.png beside them)",
    )

    sub = verb("status", "Say how a sweep stands. Reads files only, and never asks the scheduler.")
    named(sub)
    sub.add_argument("--members", action="store_true", help="a line for each member")
    sub.add_argument("--json", action="store_true", help="for programs")

    sub = verb("watch", "Follow a sweep until nothing of it is queued. Reads files only.")
    named(sub)
    sub.add_argument(
        "--interval", type=float, default=2.0, metavar="S", help="seconds between looks (2)"
    )

    sub = verb(
        "retry",
        "Give members that were given up another chance, and lift the breaker.\n\n"
        "Each begins a new count of attempts, from its last restart. Mend the cause first: 'explain' "
        "names it.",
    )
    named(sub)
    waiting(sub)
    sub.add_argument(
        "--outcome", nargs="+", default=[], help="only those that ended so, e.g. blown_up"
    )
    sub.add_argument(
        "--member", nargs="+", type=int, default=[], metavar="INDEX", help="only these"
    )

    sub = verb(
        "rerun", "Run a sweep again from its folder alone, beside the original, and compare."
    )
    sub.add_argument("sweep", help="the original's name or folder")
    composing(sub)
    waiting(sub)

    sub = verb(
        "explain",
        "Tell a member's story: what it is, what happened, the evidence, what comes next.",
    )
    sub.add_argument(
        "member", metavar="MEMBER", help="its index, the beginning of its id, or its label"
    )
    sub.add_argument("--sweep", help="the sweep's name or folder (default: the latest)")

    sub = verb("throttle", "Change how many tasks of a sweep may run at once, over all its arrays.")
    sub.add_argument("n", metavar="N", type=int, help="tasks at once")
    named(sub)

    sub = verb(
        "cancel",
        "Stop what is queued and running, by the job ids in the ledger and never by name.\n\n"
        "What runs writes its restart first; 'sweep' continues from there.",
    )
    named(sub)

    sub = verb(
        "tensorboard",
        "Serve the curves of a sweep with its trainings, or of one training, to your browser, politely: on "
        "localhost only, slow to reload, niced, and gone by itself.",
    )
    named(sub)
    sub.add_argument("--hours", type=float, default=4.0, help="stop after so long (4)")
    sub.add_argument(
        "--port", type=int, default=0, help="a port of your choice (default: any free one)"
    )

    sub = verb(
        "doctor",
        "Prove on this machine what sweeps rely on: signals, appended logs, requeue, array limits, binding, "
        "MPI.\n\nOn Slurm it submits a handful of small jobs and takes one to five minutes.",
        OVERRIDES,
    )
    composing(sub)
    sub.add_argument(
        "--probe",
        action="store_true",
        help="print a site profile for this cluster, to be edited, and stop",
    )
    return main


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line whose overrides and options may come in any order.

    argparse gives up on positional words after an option; for overrides that is no ambiguity.
    """
    main = parser()
    arguments, rest = main.parse_known_args(words)
    name = next((one for one in ("overrides", "words") if hasattr(arguments, one)), None)
    if rest and (name is None or any(word.startswith("-") for word in rest)):
        main.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest and name is not None:
        setattr(arguments, name, [*getattr(arguments, name), *rest])
    return arguments
