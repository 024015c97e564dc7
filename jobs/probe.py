"""What ``doctor`` runs inside an allocation: ``python -m astrohpc.jobs.probe KIND FOLDER``.

``signal`` notes that it began, waits for USR1, and exits 75; started again, it exits 0.
``ranks`` adds up ranks over MPI and notes where each one may run.
``gpus`` notes which GPUs each task sees.
``keeper`` asks the scheduler, submits a test, and tries a lock that the doctor holds.
"""

import argparse
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

PATIENCE_S = 600


def main() -> int:
    """Run one probe and leave what it saw in a file of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("signal", "ranks", "gpus", "keeper"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1)
    arguments = parser.parse_args()
    probes = {
        "signal": wait_for_signal,
        "ranks": add_ranks,
        "gpus": see_gpus,
        "keeper": do_as_the_keeper_does,
    }
    return probes[arguments.kind](arguments.folder, arguments.first)


def _note(folder: Path, name: str, **seen: object) -> None:
    """Leave a file; a rename, so that a reader sees all of it or none."""
    temporary = folder / f".{name}.{os.getpid()}"
    temporary.write_text(json.dumps({"host": socket.gethostname(), "time": time.time(), **seen}))
    temporary.rename(folder / name)


def wait_for_signal(folder: Path, first: int) -> int:
    """Begin, wait for USR1, and say how long that took; the second time, be done."""
    got: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _frame: got.append(number))
    signal.signal(signal.SIGTERM, lambda number, _frame: got.append(number))
    if (folder / f"signal.{first}").exists():
        _note(folder, f"again.{first}")
        return 0
    began = time.time()
    _note(folder, f"began.{first}")
    while not got and time.time() - began < PATIENCE_S:
        time.sleep(0.1)
    name = signal.Signals(got[0]).name if got else "none"
    _note(folder, f"signal.{first}", signal=name, after_s=time.time() - began)
    return 75


def add_ranks(folder: Path, first: int) -> int:
    """Sum rank + 1 over all ranks."""
    del first
    from mpi4py import MPI  # noqa: PLC0415 - an extra

    world = MPI.COMM_WORLD
    total = world.allreduce(world.rank + 1)
    places = world.gather((socket.gethostname(), sorted(os.sched_getaffinity(0))))
    if world.rank == 0:
        _note(folder, "ranks", size=world.size, total=total, places=places)
    return 0


def see_gpus(folder: Path, first: int) -> int:
    """Note the devices that this task sees."""
    del first
    rank = os.environ.get("SLURM_PROCID", "0")
    _note(
        folder,
        f"gpus.{rank}",
        visible=os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        meeting=f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}",
    )
    return 0


def do_as_the_keeper_does(folder: Path, first: int) -> int:
    """Ask squeue and sacct, have sbatch test a script, and note whether the doctor's lock is seen."""
    del first
    from astrohpc.errors import ConfigError  # noqa: PLC0415 - the other probes need the standard library only
    from astrohpc.files import exclusive  # noqa: PLC0415
    from astrohpc.slurm.client import SchedulerSilent, SlurmClient  # noqa: PLC0415

    client, refused = SlurmClient(), ""
    try:
        client.jobs()
        client.history([os.environ["SLURM_JOB_ID"]], [])
        client.test(folder / "scripts" / "doctor.keeper.sbatch")
    except (ConfigError, SchedulerSilent) as error:
        refused = str(error)
    with exclusive(folder / ".lock") as held:
        _note(folder, "keeper", refused=refused, locked=held)
    return 0


if __name__ == "__main__":
    sys.exit(main())
