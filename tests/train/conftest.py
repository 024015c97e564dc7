"""One thread for torch: so small a network is slower on two, and the machine is shared."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support_train import Told, make_arrays

torch.set_num_threads(1)


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    return make_arrays(tmp_path / "data")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def ram(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: waiting for a disk hundreds of times is not what is tested."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)
