"""Ranks that live side by side, stopped but while they have their turn.

So all contenders see the same machine, and ratios within a round mean something on a busy one.
"""

import contextlib
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from astrohpc.train.engines.rendezvous import free_port
from astrohpc.train.spawn import environments


def serve(**acts: Callable[[], object]) -> None:
    """One rank: as many of an act as each line of our input says; a line of wall and CPU time back."""
    for line in sys.stdin:
        name, count = line.split()
        begin, used = time.perf_counter(), cpu_s()
        for _ in range(int(count)):
            acts[name]()
        print(json.dumps([time.perf_counter() - begin, cpu_s() - used]), flush=True)
    os._exit(0)  # the others are stopped: no goodbye


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Team:
    """The ranks of one contender; ``apart`` ones are each the only one of their own."""

    def __init__(self, line: Sequence[str], n_ranks: int, *, apart: bool = False) -> None:
        # Stopped ranks are silent ones, which Horovod takes for lost after 30 s.
        patient = os.environ | {"HOROVOD_GLOO_TIMEOUT_SECONDS": "3600"}
        places = environments(n_ranks, free_port(), patient, n_ranks)
        self.ranks = [
            subprocess.Popen(
                line,
                env=patient if apart else place,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for place in places
        ]

    def turn(self, count: int, act: str = "step") -> tuple[float, float]:
        """Seconds of wall and CPU time of an act that is done so many times, the mean over ranks."""
        for rank in self.ranks:
            rank.send_signal(signal.SIGCONT)
            rank.stdin.write(f"{act} {count}\n")
            rank.stdin.flush()
        told = [json.loads(rank.stdout.readline()) for rank in self.ranks]
        for rank in self.ranks:
            rank.send_signal(signal.SIGSTOP)
        wall_s, cpu = (statistics.fmean(one[k] for one in told) / count for k in (0, 1))
        return wall_s, cpu

    def end(self) -> None:
        for rank in self.ranks:
            rank.kill()
            rank.wait()


@contextlib.contextmanager
def together(starts: Mapping[str, Callable[[], Team]]) -> Iterator[dict[str, Team]]:
    """All teams of a comparison, by name."""
    with contextlib.ExitStack() as stack:
        found = {}
        for name, start in starts.items():
            found[name] = start()
            stack.callback(found[name].end)
        yield found


def rounds(
    teams: Mapping[str, Team], steps: int, count: int
) -> list[dict[str, tuple[float, float]]]:
    """So many rounds, each beginning with another team."""
    names, told = list(teams), []
    for number in range(count):
        first = number % len(names)
        told.append({name: teams[name].turn(steps) for name in names[first:] + names[:first]})
    return told
