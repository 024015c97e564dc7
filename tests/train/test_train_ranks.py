"""Trainings over two ranks: the same as one process's, to the bit when interrupted, and one in their doings."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support_train import make_arrays, settings_of, trainer_in
from train_on_ranks import BASE

from astrohpc.train.checkpoint import folder_of, read_manifest

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["ddp", "horovod", "fsdp"])
def measured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    if request.param == "horovod" and importlib.util.find_spec("horovod") is None:
        pytest.skip("needs Horovod (hpc/horovod.sh)")
    folder = tmp_path_factory.mktemp(request.param)
    make_arrays(folder / "data")
    spawn = [sys.executable, "-m", "astrohpc.train.spawn", "-n", "2", "--", sys.executable]
    done = subprocess.run(
        [*spawn, HERE / "train_on_ranks.py", request.param, folder, folder / "data"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, json.loads((folder / "found.json").read_text())


def test_one_rank_asked_stops_all_and_nothing_shows(measured: tuple[Path, dict[str, Any]]) -> None:
    _, found = measured
    assert found["whole"][:2] == ["done", 24]
    assert found["stopped"][:2] == ["stopped", 9]
    assert found["resumed"] == found["whole"]


def test_one_process_learns_the_same_and_goes_on_with_what_ranks_saved(
    measured: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, found = measured
    one = trainer_in(tmp_path / "one", settings_of(folder / "data", **BASE))
    one.run()
    assert one.position.best == pytest.approx(found["whole"][3], rel=1e-9)
    # The newest that the ranks saved before the end, as if they had been killed then.
    checkpoints = folder / "whole" / "checkpoints"
    last = folder_of(checkpoints, 24)
    last.rename(last.with_name("kept-aside"))
    alone = trainer_in(folder / "whole", settings_of(folder / "data", **BASE))
    alone.run()
    assert alone._taken == 6
    for p, q in zip(one.engine.model.parameters(), alone.engine.model.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-9, atol=1e-12)


def test_a_model_that_is_cut_up_is_saved_in_parts(measured: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = measured
    manifest = read_manifest(folder_of(folder / "cut" / "checkpoints", 24))
    parts = {"model-00000.safetensors", "model-00001.safetensors"}
    if folder.name.startswith("fsdp"):
        assert parts < set(manifest.files)
        assert "model.safetensors" not in manifest.files
    else:
        assert "model.safetensors" in manifest.files
        assert not parts & set(manifest.files)


def test_what_is_bad_on_one_rank_is_left_out_on_all(measured: tuple[Path, dict[str, Any]]) -> None:
    _, found = measured
    assert found["spoiled"][:2] == ["done", 24]  # whose weights were found equal every fourth step
    assert any("left out" in words for words in found["told"])
    assert found["spoiled"][2] != found["whole"][2]


def test_ranks_that_disagree_are_refused(measured: tuple[Path, dict[str, Any]]) -> None:
    _, found = measured
    assert "configuration: rank 1 has" in found["disagree"]
