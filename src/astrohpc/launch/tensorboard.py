"""``tensorboard``: curves of a sweep and of its trainings in a browser, in a way that login nodes tolerate.

TensorBoard has no password, so it listens on localhost only and is reached through ssh. It re-reads its
folder every five seconds by default, which administrators notice; here it reads one file every two
minutes, niced, with a limit on its CPU time, and it ends by itself.
"""

import contextlib
import getpass
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from astrohpc.clock import Clock, duration
from astrohpc.constants import HOUR_S
from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic
from astrohpc.launch.output import say
from astrohpc.launch.show import views_of
from astrohpc.slurm.directives import format_walltime
from astrohpc.slurm.render import render, write_script
from astrohpc.slurm.request import Allocation, JobRequest, Site
from astrohpc.sweep import board
from astrohpc.sweep.session import Session

RELOAD_S = 120
START_PATIENCE_S = 60
MOST_HOURS = 720


@dataclass(frozen=True)
class Shown:
    """What is served: a folder of event files, and how more is put into it."""

    what: str  # sweep, training or evaluation
    folder: Path  # of that
    site: Site
    allocation: Allocation
    clock: Clock
    feed: Callable[[], int]

    @property
    def board(self) -> Path:
        """TensorBoard's folder."""
        return self.folder / "tensorboard"


def of_sweep(session: Session) -> Shown:
    """A sweep's members in one file; its trainings and evaluations beside it, each under its name."""
    folder = session.folder

    def feed() -> int:
        points = board.feed(folder, session.engine, views_of(session)[1], session.clock)
        for what in ("training", "evaluation"):
            for path in sorted(folder.path.glob(f"{what}s/*/tensorboard")):
                link = folder.board / f"{what}.{path.parent.name}"
                if not link.is_symlink():
                    link.symlink_to(Path("..") / path.relative_to(folder.path))
        return points

    config = session.config
    return Shown("sweep", folder.path, config.site, config.allocation, session.clock, feed)


def serve(shown: Shown, *, hours: float, port: int) -> int:
    """Serve until interrupted, or for ``hours``."""
    if not 0 < hours <= MOST_HOURS:
        raise ConfigError(
            f"--hours: it must be more than 0 and at most {MOST_HOURS}; write for example 4."
        )
    if shown.site.tensorboard == "job" and "SLURM_JOB_ID" not in os.environ:
        return _offer_job(shown, hours)
    running = _running(shown.board)
    if running is not None:
        say(f"{shown.folder.name}: TensorBoard serves it already")
        _say_how(running)
        return 0
    points = shown.feed()
    say(f"{shown.folder.name}: {points} new points in one event file")
    port = port or _free_port()
    with _server(shown, port) as server:
        _await_port(server, port, shown)
        _say_how(port)
        say(
            f"It reads anew every {duration(RELOAD_S)}, and ends after {duration(hours * HOUR_S)} or Ctrl-C."
        )
        end = shown.clock.now() + hours * HOUR_S
        while server.poll() is None and shown.clock.now() < end:
            shown.clock.sleep(min(RELOAD_S, max(0.0, end - shown.clock.now())))
            shown.feed()
    say("TensorBoard has ended; the same command starts it again.")
    return 0


@contextlib.contextmanager
def _server(shown: Shown, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run TensorBoard as a polite child; it goes when we go."""
    polite = ["nice", "-n", "19"]
    if shutil.which("ionice"):
        polite += ["ionice", "-c", "3"]
    command = [
        *polite,
        sys.executable,
        "-m",
        "tensorboard.main",
        f"--logdir={shown.board}",
    ]
    command += ["--host=127.0.0.1", f"--port={port}", f"--reload_interval={RELOAD_S}"]
    command += ["--load_fast=false", "--samples_per_plugin=scalars=1000"]
    limit = shown.site.login_cpu_s

    def cap() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 10))

    log = (shown.board / ".server.log").open("wb")
    with log:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            preexec_fn=cap,  # noqa: PLW1509 - we have one thread
            start_new_session=True,
        )
    pid_file = shown.board / ".serving.json"
    here = {
        "pid": server.pid,
        "port": port,
        "host": socket.gethostname(),
        "started": _started(server.pid),
    }
    write_atomic(pid_file, json.dumps(here))
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield server
    finally:
        signal.signal(signal.SIGTERM, before)
        pid_file.unlink(missing_ok=True)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def _running(folder: Path) -> int | None:
    """The port of a server of this sweep that lives on this machine."""
    with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
        there = json.loads((folder / ".serving.json").read_text())
        same = abs(_started(there["pid"]) - there["started"]) < 1.0
        if there["host"] == socket.gethostname() and same:
            return int(there["port"])
    return None


def _started(pid: int) -> float:
    return psutil.Process(pid).create_time()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(server: "subprocess.Popen[bytes]", port: int, shown: Shown) -> None:
    end = shown.clock.now() + START_PATIENCE_S
    while shown.clock.now() < end and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        shown.clock.sleep(0.2)
    raise ConfigError(
        f"--port: TensorBoard does not answer on port {port}; {shown.board}/.server.log says why, "
        "and another --port may be free."
    )


def _say_how(port: int) -> None:
    host = socket.getfqdn()
    if host.startswith("localhost"):
        host = socket.gethostname()
    say("From your own computer, to exactly this login node:")
    say(f"  ssh -N -L {port}:localhost:{port} {getpass.getuser()}@{host}")
    say(f"  http://localhost:{port}")


def _offer_job(shown: Shown, hours: float) -> int:
    """Where login nodes do not bear it: write the job that serves instead, and say how to submit it."""
    for name in ("scripts", "logs"):
        (shown.folder / name).mkdir(exist_ok=True)
    allocation = replace(
        shown.allocation,
        nodes=1,
        tasks_per_node=1,
        gpus_per_node=0,
        walltime=format_walltime(round(hours * HOUR_S) + START_PATIENCE_S),
    )
    python = shown.site.python or sys.executable
    request = JobRequest(
        kind="single",
        name=f"{shown.folder.name}.tensorboard",
        comment="astrohpc tensorboard",
        title=f"TensorBoard of {shown.what} '{shown.folder.name}'",
        folder=str(shown.folder),
        log="logs/tensorboard_%j.out",
        command=(
            python,
            "-m",
            "astrohpc.launch",
            "tensorboard",
            ".",
            f"--hours={hours:g}",
        ),
        site=shown.site,
        allocation=allocation,
        resources=allocation.resources(),
    )
    write_script(request.script, render(request))
    say(f"{shown.site.name} wants no TensorBoard on its login nodes; run it as a job:")
    say(f"  sbatch {request.script}")
    say(f"Its log, {shown.folder}/logs/tensorboard_JOBID.out, says which ssh line reaches it.")
    return 0
