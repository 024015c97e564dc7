"""A U-Net on several ranks, cut up, recomputed, compiled, in bfloat16: it learns what one process learns."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CLOSE = 1e-5  # of sums in another order, in float32
pytestmark = pytest.mark.slow


def ran(folder: Path, engine: str, ranks: int, *words: str) -> dict[str, Any]:
    spawn = [sys.executable, "-m", "astrohpc.train.spawn", "-n", str(ranks), "--", sys.executable]
    # What FSDP2 warns of would be wrong; torch's compiler warns of torch's own past.
    warnings = [] if words else ["-W", "error"]
    done = subprocess.run(
        [*spawn, *warnings, HERE / "unet_on_ranks.py", engine, folder, *words],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache"),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((folder / f"{engine}.json").read_text())
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return ran(tmp_path_factory.mktemp("alone"), "single", 1)


@pytest.mark.parametrize("engine", ["horovod", "ddp", "fsdp"])
def test_two_ranks_learn_what_one_process_learns_and_go_on_to_the_bit(
    tmp_path: Path, alone: dict[str, Any], engine: str
) -> None:
    if engine == "horovod":
        pytest.importorskip("horovod", reason="needs Horovod (hpc/horovod.sh)")
    both = ran(tmp_path, engine, 2)
    assert both["whole"]["best"] == pytest.approx(alone["whole"]["best"], rel=1e-12)
    assert both["resumed"] == both["whole"]
    assert both["recomputed"]["checksum"] == both["whole"]["checksum"]
    assert both["bf16"]["best"] == pytest.approx(both["whole"]["best"], rel=2e-3)


def test_alone_it_goes_on_to_the_bit_and_recomputes_to_the_bit(alone: dict[str, Any]) -> None:
    assert alone["resumed"] == alone["recomputed"] == alone["whole"]
    assert alone["bf16"]["checksum"] != alone["whole"]["checksum"]


@pytest.mark.skipif(
    not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))),
    reason="needs a C++ compiler, with which torch compiles for the CPU",
)
def test_compiled_blocks_learn_the_same(tmp_path: Path) -> None:
    found = ran(tmp_path, "fsdp", 1, "compile")
    plain, compiled = found["plain"]["weights"], found["compiled"]["weights"]
    assert max(abs(a - b) for a, b in zip(plain, compiled, strict=True)) < CLOSE
    assert plain != compiled  # it was compiled
