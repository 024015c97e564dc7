"""A process starts Horovod once; a second start, which would crash, is a sentence."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import torch
from astrohpc.errors import ConfigError
from astrohpc.train.engines.choose import EngineSettings, open_engine

settings = EngineSettings("horovod", timeout_s=60)
first = open_engine(settings)[0]
second = open_engine(settings)[0]  # while Horovod is up, a process may train one model after another
print(second.sum(torch.ones(1)).item())
second.shutdown()
try:
    open_engine(settings)
except ConfigError as error:
    print(error)
"""


@pytest.mark.skipif(
    importlib.util.find_spec("horovod") is None, reason="needs Horovod (hpc/horovod.sh)"
)
def test_a_second_start_of_horovod_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summed, said = done.stdout.splitlines()
    assert summed == "1.0"
    assert said.startswith("engine: this process has shut Horovod down")
    assert said.endswith("or train each in a process of its own.")
