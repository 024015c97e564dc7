"""Train in FOLDER, killed by SIGKILL before chosen steps and started again each time: a script of a test.

Each attempt is a fork of this process, which has imported everything, so that a kill costs no start.
"""

import importlib
import os
import signal
import sys
from pathlib import Path

import torch
from support_train import Stopper, settings_of, trainer_in


def attempt(folder: Path, data: Path, kill_before: int) -> int:
    """One life; its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        stop = Stopper(kill_before, lambda: os.kill(os.getpid(), signal.SIGKILL) or True)
        try:
            trainer_in(folder, settings_of(data, steps=60), stop=stop, model={"dropout": 0.2}).run()
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    # An optimiser imports half of torch; once is enough.
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
    importlib.import_module("tensorboard.plugins.text.metadata")
    codes = [attempt(Path(sys.argv[1]), Path(sys.argv[2]), int(n)) for n in sys.argv[3:]]
    print(*codes)
