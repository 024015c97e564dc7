"""A transformer that is cut up among ranks: FSDP2, recomputed blocks, bfloat16; killed, resumed, cut anew."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from giants_on_ranks import BASE, SIZE
from support_train import CPU, digests, make_arrays, settings_of, trainer_with

from astrohpc.train.checkpoint import folder_of, read_manifest
from astrohpc.train.engines.single import Single
from astrohpc.train.loop import Trainer
from astrohpc.train.memory_plan import plan
from astrohpc.train.run import task_of

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow


class Ran:
    """A folder of runs, and what each rank of each part found."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, make_arrays(folder / "data")
        self.found: dict[str, list[dict[str, Any]]] = {}

    def start(self, part: str, ranks: int) -> "subprocess.CompletedProcess[str]":
        spawn = [sys.executable, "-m", "astrohpc.train.spawn", "-n", str(ranks), "--"]
        script = [sys.executable, HERE / "giants_on_ranks.py", part, self.folder, self.data]
        return subprocess.run(
            [*spawn, *script],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def run(self, part: str, ranks: int) -> None:
        done = self.start(part, ranks)
        assert done.returncode == 0, done.stdout + done.stderr
        files = [self.folder / f"{part}-{rank}.json" for rank in range(ranks)]
        self.found[part] = [json.loads(file.read_text()) for file in files]

    def alone(self, name: str, **changes: Any) -> Trainer:
        """A trainer on this process, of which nothing is cut up."""
        settings = settings_of(self.data, **{**BASE, **changes})
        return trainer_with(
            self.folder / name, settings, Single(CPU), lambda source: task_of(source, SIZE)
        )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    ran = Ran(tmp_path_factory.mktemp("giants"))
    ran.run("four", 4)
    killed = ran.start("killed", 2)
    assert killed.returncode == 75, killed.stdout + killed.stderr
    assert folder_of(ran.folder / "killed" / "checkpoints", 4).is_dir()
    ran.run("two", 2)
    return ran


def test_weights_begin_alike_cut_up_or_whole(ran: Ran) -> None:
    whole = ran.alone("begins").engine.checksum()
    assert {one["whole"]["begun"] for one in ran.found["four"]} == {whole}
    assert {one["bf16"]["begun"] for one in ran.found["two"]} == {whole}


def test_four_ranks_stopped_and_resumed_end_with_the_same_bits(ran: Ran) -> None:
    for one in ran.found["four"]:
        assert one["stopped"]["ending"] == "stopped"
        assert one["stopped"]["step"] == 5
        for key in ("ending", "step", "checksum", "moments"):
            assert one["resumed"][key] == one["whole"][key]
    assert digests(ran.folder / "stopped", 12) == digests(ran.folder / "whole", 12)


def test_two_ranks_in_bfloat16_killed_by_force_end_with_the_same_bits(ran: Ran) -> None:
    for one in ran.found["two"]:
        assert one["killed"]["checksum"] == one["bf16"]["checksum"]
    assert digests(ran.folder / "killed", 12) == digests(ran.folder / "bf16", 12)


def test_two_ranks_take_what_four_saved_bit_by_bit_and_read_only_their_own(ran: Ran) -> None:
    saved, taken = ran.found["four"][0]["stopped"], ran.found["two"][0]["moved"]
    assert taken["step"] == 5
    assert taken["checksum"] == saved["checksum"]
    assert len(taken["moments"]) == 3 * len(list(ran.alone("begins").engine.model.parameters()))
    assert taken["moments"] == saved["moments"]
    # Of weights, mean and two moments; buffers and random states (25 kB) are everybody's.
    whole = 4 * 4 * SIZE.parameters
    for one in ran.found["two"]:
        assert 0.4 * whole < one["moved"]["read"] < 0.6 * whole + 25_000


def test_from_four_ranks_to_two_to_one_it_is_the_same_training(ran: Ran) -> None:
    assert ran.found["two"][0]["further"]["step"] == 9
    one = ran.alone("moved")
    assert one.run() == "done"
    assert one._taken == 3
    uncut = ran.alone("uncut")
    uncut.run()
    for p, q in zip(one.engine.model.parameters(), uncut.engine.model.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-4, atol=1e-5)
    whole = ran.alone("whole")  # what four ranks ended with
    whole.run()
    assert whole._taken == 0
    assert whole.engine.checksum() == ran.found["four"][0]["whole"]["checksum"]
    assert whole.position.best == pytest.approx(uncut.position.best, rel=1e-4)


def test_a_rank_holds_what_the_plan_says(ran: Ran) -> None:
    for part, ranks, name in (("four", 4, "whole"), ("two", 2, "bf16")):
        held = [one[name]["bytes"] for one in ran.found[part]]
        state = plan(SIZE, ranks, 1, 1).state
        assert held[0] == {"weights": state // 4, "gradients": state // 4, "moments": state // 2}
        assert sum(sum(one.values()) for one in held) == 16 * SIZE.parameters


def test_each_rank_saves_its_part(ran: Ran) -> None:
    manifest = read_manifest(folder_of(ran.folder / "whole" / "checkpoints", 12))
    assert {f"optimizer-{rank:05d}.safetensors" for rank in range(4)} < set(manifest.files)
    assert "model.safetensors" not in manifest.files


@pytest.mark.parametrize(
    ("damage", "words"),
    [("cut in half", r"model-00001.safetensors has \d+ bytes of \d+"), ("missing", "is missing")],
)
def test_a_damaged_part_is_named_and_the_checkpoint_before_is_used(
    ran: Ran, damage: str, words: str
) -> None:
    *told, written, checksum = ran.found["two"][0][damage]
    said = "\n".join(told)
    assert "the checkpoint of step 12 is damaged (model-00001.safetensors" in said
    assert re.search(words, said)
    assert "going on from step 8 of 12" in said
    assert checksum == ran.found["two"][0]["bf16"]["checksum"]
    assert written == digests(ran.folder / "bf16", 12)  # written again as it was


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("newer", "it was written by a newer astrohpc"),
        ("another", "it is of another model (blocks.2.attention.ask.weight: there [36, 12]"),
        ("heads", "it is of another model (heads: there 2, here 1)"),
    ],
)
def test_what_does_not_belong_is_refused_by_all_ranks_in_one_sentence(
    ran: Ran, case: str, words: str
) -> None:
    for one in ran.found["two"]:
        assert words in one[case]
        assert "\n" not in one[case]
