"""A training that is killed, stopped or continued ends as if nothing had happened."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support_train import (
    CPU,
    Stopper,
    Told,
    digests,
    loop_state,
    make_arrays,
    settings_of,
    trainer_in,
)

from astrohpc.errors import ConfigError
from astrohpc.train.events import FILE, written
from astrohpc.train.randomness import restore, seed_all, states, untouched

HERE = Path(__file__).parent


@pytest.mark.slow
def test_killed_twenty_times_it_ends_with_the_same_bits(ram: Path, arrays: Path) -> None:
    """At moments drawn over steps and within saves; every one of the twenty lives ends by its SIGKILL."""
    said = {}
    for folder, kills in (("whole", 0), ("killed", 20)):
        words = [ram / folder, arrays, "120", "5", str(kills)]
        done = subprocess.run(
            [sys.executable, HERE / "kill_and_resume.py", *map(str, words)],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        *said[folder], codes = done.stdout.splitlines()
        assert codes.split() == ["-9"] * kills + ["0"], done.stdout + done.stderr
    within_saves = [words for words in said["killed"] if words.startswith("checkpoint ")]
    assert 5 <= len(within_saves) <= 15, said["killed"]
    assert len(set(said["killed"])) >= 10, "moments of many kinds"
    assert digests(ram / "killed", 120) == digests(ram / "whole", 120)
    killed, whole = (
        written(ram / one / "tensorboard" / FILE).scalars for one in ("killed", "whole")
    )
    for curve in ("loss", "gradient norm", "learning rate"):
        assert killed[curve] == whole[curve]
        assert list(whole[curve]) == list(range(1, 121))


@pytest.mark.parametrize(("code", "last"), [(75, "ignored"), (0, "")])
def test_a_time_limit_in_the_last_second_changes_no_verdict(
    tmp_path: Path, code: int, last: str
) -> None:
    """Python gives its own handlers up before it ends; a training that is done leaves at once."""
    script = f"""
import signal, sys
from astrohpc.jobs import train
train.run = lambda folder: {code}
code = train.main()
print("ignored" if signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN else "caught")
sys.exit(code)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (code, last), done.stderr


def test_asked_to_stop_it_saves_between_checkpoints_and_goes_on_exactly(
    tmp_path: Path, arrays: Path
) -> None:
    settings = settings_of(arrays)
    assert trainer_in(tmp_path / "whole", settings).run() == "done"
    for at in (0, 7, 8, 23):
        folder = tmp_path / f"stopped-{at}"
        trainer = trainer_in(folder, settings, stop=Stopper(at))
        assert trainer.run() == "stopped"
        assert trainer.position.step == at
        assert trainer_in(folder, settings).run() == "done"
        assert digests(folder, 24) == digests(tmp_path / "whole", 24), at


@pytest.mark.parametrize("precision", ["fp64", "bf16", "fp16"])
def test_every_precision_resumes_exactly(tmp_path: Path, arrays: Path, precision: str) -> None:
    settings = settings_of(arrays, precision=precision, steps=10, checkpoint={"every_steps": 100})
    trainer_in(tmp_path / "whole", settings).run()
    trainer_in(tmp_path / "cut", settings, stop=Stopper(5)).run()
    trainer_in(tmp_path / "cut", settings).run()
    assert digests(tmp_path / "cut", 10) == digests(tmp_path / "whole", 10)


def test_what_is_done_is_not_done_again(tmp_path: Path, arrays: Path) -> None:
    settings = settings_of(arrays)
    trainer_in(tmp_path / "run", settings).run()
    before = digests(tmp_path / "run", 24)
    again = trainer_in(tmp_path / "run", settings)
    assert again.run() == "done"
    assert again._taken == 0
    assert digests(tmp_path / "run", 24) == before


def test_more_steps_go_on_from_the_last(tmp_path: Path, arrays: Path) -> None:
    trainer_in(tmp_path / "run", settings_of(arrays)).run()
    longer = trainer_in(tmp_path / "run", settings_of(arrays, steps=30))
    assert longer.run() == "done"
    assert longer._taken == 6
    assert loop_state(tmp_path / "run", 30)["samples"] == 240


@pytest.mark.parametrize(
    ("changes", "model", "words"),
    [
        (
            {},
            {"width": 16},
            "it is of another model (first.weight: there [8, 4] torch.float32, here [16, 4]",
        ),
        ({}, {"depth": 2}, "blocks.1.norm.weight: there none"),
        ({"batch": 4}, {}, "train.batch: it was 8"),
        ({"seed": 3}, {}, "train.seed: it was 0"),
        ({"precision": "bf16"}, {}, "train.precision: it was fp32"),
    ],
)
def test_another_training_is_refused(
    tmp_path: Path, arrays: Path, changes: dict[str, object], model: dict[str, int], words: str
) -> None:
    trainer_in(tmp_path / "run", settings_of(arrays, steps=6)).run()
    with pytest.raises(ConfigError, match="another name") as caught:
        trainer_in(tmp_path / "run", settings_of(arrays, **changes), model=model).run()
    assert words in str(caught.value)


def test_other_data_are_refused(tmp_path: Path, arrays: Path) -> None:
    trainer_in(tmp_path / "run", settings_of(arrays, steps=6)).run()
    make_arrays(arrays, seed=1)
    with pytest.raises(ConfigError, match="trained on other data"):
        trainer_in(tmp_path / "run", settings_of(arrays)).run()


def test_another_number_of_threads_is_told(tmp_path: Path, arrays: Path, told: Told) -> None:
    trainer_in(tmp_path / "run", settings_of(arrays, steps=6)).run()
    torch.set_num_threads(2)
    try:
        trainer_in(tmp_path / "run", settings_of(arrays), say=told.append).run()
    finally:
        torch.set_num_threads(1)
    assert "OMP_NUM_THREADS was 1 and is 2" in told.all


def test_all_random_states_come_back() -> None:
    def draw() -> list[object]:
        return [random.random(), np.random.rand(), np.random.normal(), torch.rand(3).tolist()]

    seed_all(3, 1, 2)
    np.random.normal()  # the second of a pair is kept for later
    kept = states(CPU)
    first = draw()
    restore(CPU, *kept)
    assert draw() == first
    restore(CPU, *kept)
    with untouched(CPU):
        draw()
    assert draw() == first
    seed_all(3, 1, 1)
    assert draw() != first
