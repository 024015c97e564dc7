"""Blocks that torch compiles learn what they learn otherwise, recomputed, cut up or neither."""

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
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))),
        reason="needs a C++ compiler, with which torch compiles for the CPU",
    ),
]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All of it in one process, for torch's compiler is slow to import and what it made is kept."""
    from support_train import make_arrays

    folder = tmp_path_factory.mktemp("compiled")
    spawn = [sys.executable, "-m", "astrohpc.train.spawn", "-n", "1", "--", sys.executable]
    script = [HERE / "giants_on_ranks.py", "compiled", folder, make_arrays(folder / "data")]
    kept = {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [*spawn, *script],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, **kept},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((folder / "compiled-0.json").read_text())
    return found


@pytest.mark.parametrize("case", ["single none", "single all", "fsdp all"])
def test_compiled_blocks_learn_the_same_and_are_compiled_once_for_all(
    compiled: dict[str, Any], case: str
) -> None:
    assert compiled[case]["apart"] < CLOSE
    assert compiled[case]["graphs"] == 1


def test_without_a_compiler_it_is_a_sentence(compiled: dict[str, Any]) -> None:
    assert compiled["no compiler"].startswith("compile: torch finds no C++ compiler")
