"""``launch train`` from the command line: a model from a sweep or from arrays, resumed, shown, refused."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from support import Launcher, until

QUICK = (
    "train.steps=20",
    "train.batch=8",
    "train.schedule.warmup_steps=2",
    "train.checkpoint.every_steps=5",
    "train.log.every_steps=5",
    "train.validate_every=10",
    "model.width=8",
)


@pytest.fixture
def arrays(launch: Launcher) -> Path:
    folder = launch.folder / "arrays"
    folder.mkdir()
    params = np.random.default_rng(0).random((40, 3)).astype("f4")
    np.save(folder / "params.npy", params)
    np.save(folder / "fields.npy", params[:, :2, None, None].repeat(4, 3))
    return folder


def test_a_sweep_becomes_a_surrogate_and_both_are_shown(launch: Launcher) -> None:
    assert launch("sweep", "sweep.n=6", "allocation.members_per_task=6").code == 0
    early = launch("train")
    assert early.code == 2
    assert "run 'launch convert demo' first" in early.all
    assert launch("convert").code == 0
    said = launch("train", *QUICK, "train.batch=2", "train.log.images_every=20")
    assert said.code == 0, said.all
    assert re.search(r"trained at step 20 of 20, weights [0-9a-f]{16}", said.out)
    run = launch.sweep_folder() / "trainings" / "training"
    assert json.loads((run / "provenance.json").read_text())["python"]
    process = launch.start("tensorboard", "--hours=0.1")
    board = launch.sweep_folder() / "tensorboard"
    try:
        until((board / ".serving.json").exists, "a server")
        port = json.loads((board / ".serving.json").read_text())["port"]

        def runs() -> list[str]:
            try:
                with urllib.request.urlopen(
                    f"http://localhost:{port}/data/runs", timeout=60
                ) as page:
                    return list(json.loads(page.read()))
            except OSError:
                return []

        until(lambda: sorted(runs()) == [".", "training.training"], "both of them")

        def served(what: str, **query: str) -> Any:
            address = f"http://localhost:{port}/data/plugin/{what}?{urllib.parse.urlencode(query)}"
            with urllib.request.urlopen(address, timeout=60) as page:
                return json.loads(page.read())

        points = served("scalars/scalars", run="training.training", tag="loss")
        assert [step for _, step, _ in points] == [5, 10, 15, 20]
        errors = served("scalars/tags")["training.training"]
        assert "validation/rmse of ts [K]" in errors
        assert any(tag.startswith("surface_temperature_K/") for tag in served("scalars/tags")["."])
        shown = served("images/images", run="training.training", tag="compared/ts", sample="0")
        assert [one["step"] for one in shown] == [20]
        picture = f"http://localhost:{port}/data/plugin/images/individualImage?{shown[0]['query']}"
        with urllib.request.urlopen(picture, timeout=60) as page:
            assert page.read(8) == b"\x89PNG\r\n\x1a\n"
        assert "data/text_summary" in served("text/tags")["training.training"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=300)


def test_again_it_does_nothing_and_with_more_steps_it_goes_on(
    launch: Launcher, arrays: Path
) -> None:
    first = launch("train", "arrays", *QUICK)
    assert first.code == 0, first.all
    weights = re.findall(r"weights (\w+)", first.out)
    again = launch("train", "arrays", *QUICK)
    assert "going on from step 20 of 20" in again.out
    assert re.findall(r"weights (\w+)", again.out) == weights
    longer = launch("train", "arrays", *QUICK, "train.steps=30")
    assert "going on from step 20 of 30" in longer.out
    assert "trained at step 30 of 30" in longer.out
    drawn = launch("curves", "training")
    assert drawn.code == 0, drawn.all
    assert re.search(r"^training  30 .* step 20$", drawn.out, re.MULTILINE)
    picture = launch.folder / "runs" / "trainings" / "training" / "curves.png"
    assert f"wrote {picture}" in drawn.out
    assert picture.read_bytes().startswith(b"\x89PNG")
    process = psutil.Popen(
        launch.command(["tensorboard", "training", "--hours=0.0001"]),
        cwd=launch.folder,
        env=launch.environment,
        stdout=subprocess.DEVNULL,
    )
    assert process.wait(timeout=300) == 0


def test_asked_to_stop_it_exits_with_75_and_the_same_command_goes_on(
    launch: Launcher, arrays: Path
) -> None:
    words = ("train", "arrays", *QUICK, "train.steps=100000", "train.checkpoint.every_steps=100000")
    process = launch.start(*words)
    board = launch.folder / "runs" / "trainings" / "training" / "tensorboard"
    until(lambda: board.is_dir() and any(board.iterdir()), "the first steps")
    process.send_signal(signal.SIGUSR1)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 75, out
    step = re.findall(r"saved at step (\d+) of 100000", out)
    assert step, out
    again = launch("train", "arrays", *QUICK, f"train.steps={int(step[0]) + 3}")
    assert again.code == 0, again.all
    assert f"going on from step {step[0]} of" in again.out


def test_two_processes_learn_what_one_does(launch: Launcher, arrays: Path) -> None:
    precise = (*QUICK, "train.precision=fp64", "train.log.every_steps=1")
    one = launch("train", "arrays", *precise, "train.name=one")
    two = launch(
        "train",
        "arrays",
        *precise,
        "train.name=two",
        "train.engine=ddp",
        "allocation.tasks_per_node=2",
        OMP_NUM_THREADS="1",
    )
    assert two.code == 0, two.all
    assert "engine ddp" in two.out
    losses = [re.findall(r"step 20 of 20, loss (\S+),", said.out) for said in (one, two)]
    assert losses[0] == losses[1] != []


def test_a_transformer_that_is_cut_up_learns_the_fields(launch: Launcher, arrays: Path) -> None:
    small = ("hidden=16", "heads=2", "inner=32", "vocabulary=18", "blocks=2")
    said = launch(
        "train",
        "arrays",
        *(word for word in QUICK if not word.startswith("model.")),
        "model=transformer-small",
        *(f"model.{word}" for word in small),
        "train.engine=fsdp",
        "train.precision=bf16",
        "train.recompute=all",
        "train.log.images_every=10",
        "allocation.tasks_per_node=2",
        OMP_NUM_THREADS="1",
    )
    assert said.code == 0, said.all
    assert "engine fsdp" in said.out
    assert "trained at step 20 of 20" in said.out
    checkpoint = (
        launch.folder / "runs" / "trainings" / "training" / "checkpoints" / "step-000000020"
    )
    assert (checkpoint / "model-00001.safetensors").is_file()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("nowhere",), "is neither a file, nor a folder, nor a sweep"),
        (("arrays", "more"), "more: is one name too many"),
        (("arrays", "train.optimizer.lr=nan"), "train.optimizer.lr: nan is not a number above 0"),
        (("arrays", "train.steps=0"), "train.steps: 0 is less than one"),
        (("arrays", "train.batsh=3"), "did you mean 'batch'?"),
        (("arrays", "model=transformer", "model.width=3"), "model.width: there is no such setting"),
        (("arrays", "model=transformer", "model.heads=7"), "model.heads: a width of 4096"),
        (
            ("arrays", "model=transformer", "model.vocabulary=9"),
            "model.vocabulary: 9 rows are too few for 3 inputs (two each), 4 places and 2 channels",
        ),
        (("arrays", "train.name=../x"), "train.name: '../x' cannot be a folder's name"),
        (("arrays", "train.batch=64"), "batch: 64 samples are more than the 36"),
        (
            ("arrays", "train.batch=9", "allocation.tasks_per_node=2"),
            "cannot be shared equally by 2 ranks",
        ),
        (("arrays", "model.width=0"), "model.width, depth: 0 and 2 make no network"),
        (("arrays", "train.engine=ddp4"), "train.engine: 'ddp4' does not fit"),
        (("arrays", "train.schedule.warmup_steps=5000"), "would all be warm-up"),
    ],
)
def test_errors_are_one_sentence_and_end_with_two(
    launch: Launcher, arrays: Path, words: tuple[str, ...], part: str
) -> None:
    said = launch("train", *words)
    assert said.code == 2, said.all
    assert part in said.all


def test_a_dry_run_prints_the_script_or_the_command(launch: Launcher, arrays: Path) -> None:
    here = launch("train", "arrays", "--dry-run", "allocation.tasks_per_node=2")
    assert "-m astrohpc.train.spawn -n 2 -- " in here.out
    there = launch("train", "arrays", "--dry-run", "site=slurm-test", "allocation.tasks_per_node=2")
    assert there.code == 0, there.all
    assert "astrohpc.jobs.train" in there.out
    assert "--ntasks-per-node=2" in there.out
    assert "MASTER_PORT" in there.out
    assert not (launch.folder / "runs").exists()
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    script = launch.folder / "script.sh"
    script.write_text(there.out)
    checked = subprocess.run(
        ["shellcheck", "-s", "bash", script], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("content", "code", "part"),
    [
        (None, 78, "holds no train.json"),
        ("{", 78, "cannot be read"),
        ('{"train": {"steps": "many"}}', 78, "train.steps: 'many' does not fit"),
        ('{"train": {"data": {"source": "gone"}}}', 78, "data.source: "),
    ],
)
def test_the_job_says_what_is_wrong_and_exits_with_78(
    tmp_path: Path, content: str | None, code: int, part: str
) -> None:
    if content is not None:
        (tmp_path / "train.json").write_text(content)
    done = subprocess.run(
        [sys.executable, "-m", "astrohpc.jobs.train", tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert part in done.stdout
    assert "Traceback" not in done.stderr


def test_a_training_that_blows_up_exits_with_65(launch: Launcher, arrays: Path) -> None:
    np.save(
        arrays / "fields.npy",
        np.full((40, 2, 1, 4), 1e30, "f4") * np.arange(40)[:, None, None, None],
    )
    said = launch(
        "train",
        "arrays",
        *QUICK,
        "train.guards.not_finite=stop",
        "train.optimizer.lr=1e30",
        "train.clip_norm=0",
    )
    assert said.code == 65, said.all
    assert "the last good checkpoint is kept" in said.all


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((), "there is no sweep here yet"),
        (("nothing",), "nothing: is no training of "),
        (("arrays",), "it has no event file of TensorBoard"),
    ],
)
def test_curves_of_nothing_are_a_sentence(
    launch: Launcher, arrays: Path, words: tuple[str, ...], part: str
) -> None:
    said = launch("curves", *words)
    assert said.code == 2, said.all
    assert part in said.all
