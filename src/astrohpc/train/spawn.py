"""N processes of one training on this machine: ``python -m astrohpc.train.spawn -n 4 -- PROGRAM …``.

Each gets the variables that torchrun sets. When one fails the others are ended, and the command ends
with the code of the first that failed: 78 what the user can mend, 75 try again (killed by a signal, too).
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from astrohpc.outcome import EXIT_CODE, Outcome
from astrohpc.train.engines.rendezvous import free_port

GRACE_S = 20.0  # for the others to notice by themselves, and say what they have to say
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


def environments(
    count: int, port: int, given: Mapping[str, str], cores: int
) -> list[dict[str, str]]:
    """What each process finds in its environment."""
    threads = given.get("OMP_NUM_THREADS", str(max(1, cores // count)))
    return [
        {
            **given,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": threads,
            "ASTROHPC_LAUNCHER": "astrohpc.train.spawn",
        }
        for rank in range(count)
    ]


def spawn(count: int, command: Sequence[str]) -> int:
    """Run the command in so many processes until all have ended; the first failure's exit code."""
    with contextlib.ExitStack() as stack:
        ranks = [
            subprocess.Popen(command, env=one)
            for one in environments(count, free_port(), os.environ, len(os.sched_getaffinity(0)))
        ]
        stack.callback(_end, ranks)
        _pass_on_signals(ranks, stack)
        failed, end = 0, float("inf")
        while any(rank.poll() is None for rank in ranks) and time.monotonic() < end:
            failed = failed or _first_failure(ranks)
            if failed and end == float("inf"):
                end = time.monotonic() + GRACE_S
            time.sleep(0.02)
        failed = failed or _first_failure(ranks)
    return EXIT_CODE[Outcome.CHECKPOINTED] if failed < 0 else failed


def _first_failure(ranks: Sequence["subprocess.Popen[bytes]"]) -> int:
    return next((rank.returncode for rank in ranks if rank.poll()), 0)


def _pass_on_signals(
    ranks: Sequence["subprocess.Popen[bytes]"], stack: contextlib.ExitStack
) -> None:
    def pass_on(number: int, _: FrameType | None) -> None:
        for rank in ranks:
            if rank.poll() is None:
                rank.send_signal(number)

    for number in _PASSED_ON:
        stack.callback(signal.signal, number, signal.signal(number, pass_on))


def _end(ranks: Sequence["subprocess.Popen[bytes]"]) -> None:
    """End those that are left: by request, then by force."""
    for rank in ranks:
        if rank.poll() is None:
            rank.terminate()
    for rank in ranks:
        try:
            rank.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            rank.kill()
            rank.wait()


def main(words: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m astrohpc.train.spawn", description=__doc__)
    parser.add_argument("-n", type=int, required=True, help="how many processes")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- program and its arguments")
    given = parser.parse_args(words)
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    if given.n < 1 or not command:
        parser.error("give a number of processes from 1 on and, after --, what they run")
    return spawn(given.n, command)


if __name__ == "__main__":
    sys.exit(main())
