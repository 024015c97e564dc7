"""Train in FOLDER, killed by SIGKILL at drawn moments and started again each time: a script of a test.

    python kill_and_resume.py FOLDER DATA STEPS SEED KILLS

Each life is a fork of this process, which has imported everything, so that a kill costs no start. A moment
is a number of function calls after a step of that life has begun, or within one of its saves: it depends on
no clock, and a life that is drawn to be killed is killed. Prints a line a kill (thread and function), and
last a line of exit codes.
"""

import importlib
import os
import random
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from support_train import settings_of, trainer_in

SAVED_EVERY = 2
CALLS_OF_A_STEP, CALLS_OF_A_SAVE = 1600, 2000  # about; a moment beyond the end is the end


@dataclass
class Kill:
    """The end of one life: after this many calls in the main thread, or in that of a save."""

    steps: int  # that begin in this life, before calls are counted
    thread: str
    calls: int

    def __call__(self) -> bool:
        """Asked before each step whether to stop."""
        if self.steps == 0 and self.thread == "MainThread":
            die("the next step")
        self.steps -= 1
        if self.steps == 0 and self.thread == "MainThread":
            sys.setprofile(self.count)
        return False

    def watch(self) -> None:
        """Count in threads that are still to come."""
        if self.thread != "MainThread":
            threading.setprofile(self.count)

    def count(self, frame: FrameType, event: str, _argument: Any) -> None:
        if threading.current_thread().name != self.thread:
            sys.setprofile(None)
        elif self.steps <= 0:
            self.calls -= event in ("call", "c_call")
            at_the_end = event == "return" and frame.f_code.co_qualname == "Saver._save"
            if self.calls <= 0 or at_the_end:
                die(frame.f_code.co_qualname)


def die(where: str) -> None:
    sys.setprofile(None)
    print(threading.current_thread().name, where, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def life(folder: Path, data: Path, steps: int, kill: Kill | None) -> int:
    """Train until the end or the kill; the exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        settings = settings_of(data, steps=steps, checkpoint={"every_steps": SAVED_EVERY})
        try:
            if kill is not None:
                kill.watch()
            stop = kill or (lambda: False)
            trainer_in(folder, settings, stop=stop, model={"dropout": 0.2}).run()
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def drawn(draw: random.Random) -> Kill:
    steps = draw.randint(1, 5)
    if draw.random() < 0.4:
        return Kill(steps, "checkpoint", draw.randint(1, CALLS_OF_A_SAVE))
    return Kill(steps, "MainThread", draw.randint(1, CALLS_OF_A_STEP))


def main(folder: Path, data: Path, steps: int, seed: int, kills: int) -> None:
    # An optimiser imports half of torch; once is enough.
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
    importlib.import_module("tensorboard.plugins.text.metadata")
    draw = random.Random(seed)
    fates = [*(drawn(draw) for _ in range(kills)), None]
    print(*(life(folder, data, steps, kill) for kill in fates))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:6]))
