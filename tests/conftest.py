"""Fixtures that all tests share; what they are made of is in support.py."""

import signal
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest
from support import FakeClock, Launcher

# A shared machine pauses when it likes; a time limit on one example would test the machine.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

# A shell starts background jobs with SIGINT ignored, which everything that tests start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def launch(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path)


@pytest.fixture
def gpu_torch() -> ModuleType:
    """torch where it sees a GPU, and CuPy does as well."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU here; run this where one is")
    cupy = pytest.importorskip("cupy")
    if not cupy.cuda.is_available():
        pytest.skip("CuPy sees no GPU here; install the extra gpu where one is")
    return torch
