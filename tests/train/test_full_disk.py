"""A disk that is full for one of several ranks: one verdict, one sentence, nothing harmed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support_train import settings_of

from astrohpc.models.settings import MlpSettings
from astrohpc.train.checkpoint import folder_of, read_manifest, steps_there, verify
from astrohpc.train.engines.rendezvous import free_port
from astrohpc.train.run import Run
from astrohpc.train.spawn import environments

HERE = Path(__file__).parent
ENGINE = "ddp" if importlib.util.find_spec("horovod") is None else "horovod"


def ranks(command: list[str], count: int = 2) -> tuple[list[int], str]:
    """Exit codes of all ranks, by rank, and what they said."""
    started = [
        subprocess.Popen(
            [sys.executable, *command],
            env=one,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for one in environments(count, free_port(), os.environ, cores=1)
    ]
    said = [rank.communicate(timeout=300)[0] for rank in started]
    return [rank.returncode for rank in started], "".join(said)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "step", "background"), [(1, 12, True), (0, 24, True), (1, 12, False)]
)
def test_a_rank_whose_disk_is_full_ends_all_with_one_sentence(
    tmp_path: Path, arrays: Path, rank: int, step: int, background: bool
) -> None:
    settings = settings_of(
        arrays, engine=ENGINE, checkpoint={"every_steps": 6, "background": background}
    )
    run = Run(tmp_path / "run", settings, MlpSettings(width=8, depth=1))
    run.write({}, {})
    codes, said = ranks(
        [str(HERE / "full_disk_on_a_rank.py"), str(run.folder), str(rank), str(step)]
    )
    assert codes == [78, 78], said
    checkpoints = run.folder / "checkpoints"
    sentence = (
        f"error: rank {rank}: checkpoint of step {step}: {checkpoints}: the disk is full; "
        "free space there and run the same command again.\n"
    )
    assert said.count(sentence) == 1, said
    assert said.count("error: ") == 1, said
    good = list(range(6, step, 6))
    assert sorted(steps_there(checkpoints)) == good[-3:]
    newest = folder_of(checkpoints, good[-1])
    manifest = read_manifest(newest)
    assert verify(newest, manifest, list(manifest.files)) == []
    assert not list(checkpoints.glob(".*"))
