"""One rank of a job, whose disk is full from a chosen checkpoint on: a script of a test.

python full_disk_on_a_rank.py FOLDER RANK STEP
"""

import errno
import os
import sys
from pathlib import Path

import torch

from astrohpc.jobs import train
from astrohpc.train import async_save
from astrohpc.train.tensorfile import write_tensors


def fill_from(step: int) -> None:
    """Writing a checkpoint of this step or of a later one fails as on a full disk, after some bytes."""

    def write(path: Path, tensors: dict[str, torch.Tensor]) -> tuple[int, str]:
        if int(path.parent.name.rpartition("-")[2]) < step:
            return write_tensors(path, tensors)
        path.write_bytes(bytes(100))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async_save.write_tensors = write


if __name__ == "__main__":
    torch.set_num_threads(1)
    if int(os.environ["RANK"]) == int(sys.argv[2]):
        fill_from(int(sys.argv[3]))
    sys.exit(train.run(Path(sys.argv[1])))
