"""What watches a training and what people watch: hangs, slow ranks, event files, energy, migrations."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import FakeClock
from support_train import CPU, Stopper, Told, settings_of, trainer_in
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import (
    EventAccumulator as ServersAccumulator,
)

from astrohpc.train import checkpoint, energy, flops
from astrohpc.train.checkpoint import folder_of, read_manifest
from astrohpc.train.events import FILE, EventFile, records, written
from astrohpc.train.logs import Log
from astrohpc.train.migrate import MIGRATIONS, VERSION, migrate
from astrohpc.train.straggler import OwnTimes, compare
from astrohpc.train.tensorfile import TensorFile
from astrohpc.train.watchdog import Watchdog

GOLDEN = Path(__file__).parent / "checkpoint-version-1"


# ----------------------------------------------------------------------------- hangs
def test_a_hang_is_ended_with_the_stacks_of_all_threads(tmp_path: Path, told: Told) -> None:
    codes: list[int] = []
    with Watchdog(0.2, tmp_path / "stacks.txt", told.append, codes.append) as dog:
        dog.beat("step 7")
        end = time.monotonic() + 60
        while not codes and time.monotonic() < end:
            time.sleep(0.02)
    assert codes == [75]
    assert "since step 7; what every thread does is in" in told.all
    assert "test_a_hang_is_ended" in (tmp_path / "stacks.txt").read_text()


def test_who_goes_on_is_left_alone(tmp_path: Path, told: Told) -> None:
    codes: list[int] = []
    with Watchdog(60.0, tmp_path / "stacks.txt", told.append, codes.append) as dog:
        dog.beat("step 1")
    with Watchdog(0, tmp_path / "stacks.txt", told.append, codes.append):
        pass
    assert codes == []
    assert not told


def test_a_step_that_never_ends_exits_with_75(tmp_path: Path, arrays: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom support_train import *\n"
        "folder, data = map(Path, sys.argv[1:])\n"
        "class Stuck(GlobalMeans):\n    def loss(self, model, batch): time.sleep(600)\n"
        "trainer_in(folder, settings_of(data, hang_s=1.0), task=Stuck, say=print).run()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "run", arrays],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 75, done.stderr
    assert "error: nothing for" in done.stdout
    assert "in loss" in (tmp_path / "run" / "stacks-00000.txt").read_text()


# ----------------------------------------------------------------------------- ranks
def test_the_slow_rank_is_named() -> None:
    found = compare([1.0, 1.1, 2.5, 0.9])
    assert (found.slowest, found.slowest_s) == (2, 2.5)
    assert found.ratio == pytest.approx(2.5 / 1.05)
    assert "rank 2 computes for 2.5 s a step, 2.38 times the median" in found.sentence
    assert compare([1.0, 1.2]).sentence == ""
    times = OwnTimes([3.0, 1.0, 2.0])
    assert (times.take(), times.take()) == (2.0, 0.0)


# ----------------------------------------------------------------------------- events
def test_tensorboard_reads_what_a_training_wrote(tmp_path: Path, arrays: Path) -> None:
    settings = settings_of(
        arrays,
        log={"every_steps": 4, "histograms_every": 8, "ranks_every": 12},
        data={"held_out": 0.1},
        validate_every=12,
    )
    trainer_in(tmp_path / "run", settings, texts={"provenance": "commit abc"}).run()
    board = tmp_path / "run" / "tensorboard"
    assert [path.name for path in board.iterdir()] == [FILE]
    read = EventAccumulator(str(board), size_guidance={"scalars": 0})
    read.Reload()
    tags = read.Tags()
    expected = {
        "loss",
        "loss of channel_0",
        "gradient norm",
        "learning rate",
        "samples per s",
        "data wait",
        "validation/loss",
        "checkpoint/waited s",
        "ranks/slowest s",
    }
    assert expected <= set(tags["scalars"])
    assert [point.step for point in read.Scalars("loss")] == [4, 8, 12, 16, 20, 24]
    assert [point.step for point in read.Scalars("validation/loss")] == [12, 24]
    assert {"settings/text_summary", "provenance/text_summary"} <= set(tags["tensors"])
    assert "first.weight" in tags["histograms"]
    assert read.Scalars("loss")[-1].value < read.Scalars("loss")[0].value


def test_an_interrupted_run_has_one_file_and_every_step_once(tmp_path: Path, arrays: Path) -> None:
    settings = settings_of(arrays)
    trainer_in(tmp_path / "whole", settings).run()
    whole = written(tmp_path / "whole" / "tensorboard" / FILE).scalars["loss"]
    for at in (9, 6):
        trainer_in(tmp_path / "cut", settings, stop=Stopper(at)).run()
    # What a kill would leave: later steps that were written, and half a record.
    path = tmp_path / "cut" / "tensorboard" / FILE
    later = EventFile(path.parent, 15, 0.0)
    later.scalars(20, 0.0, {"loss": 99.0})
    later.close()
    with path.open("ab") as file:
        file.write(b"\x18\x00\x00")
    trainer_in(tmp_path / "cut", settings).run()
    assert [p.name for p in path.parent.iterdir()] == [FILE]
    assert written(path).scalars["loss"] == whole
    assert len(list(records(path))) == len(set(records(path)))


def test_a_tensorboard_that_serves_sees_an_attempt_go_on(tmp_path: Path) -> None:
    """It reads on where it was, and purges what the attempt before had written of later steps."""
    board = tmp_path / "tensorboard"

    def attempt(from_step: int, steps: range, loss: float) -> None:
        file = EventFile(board, from_step, 0.0)
        for step in steps:
            file.scalars(step, float(step), {"loss": loss})
            file.text(step, 0.0, "memory", f"{loss}")
        file.close()

    def seen(read: EventAccumulator) -> list[tuple[int, float]]:
        return [(point.step, point.value) for point in read.Scalars("loss")]

    attempt(0, range(1, 8), 1.0)
    live = EventAccumulator(str(board), size_guidance={"scalars": 0, "tensors": 0})
    live.Reload()
    assert len(seen(live)) == 7
    size = (board / FILE).stat().st_size
    with (board / FILE).open("ab") as torn:
        torn.write(b"\x18\x00\x00")
    attempt(4, range(5, 7), 2.0)
    assert (board / FILE).stat().st_size > size
    live.Reload()
    expected = [(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 2.0), (6, 2.0)]
    assert seen(live) == expected
    server = ServersAccumulator(str(board), size_guidance={"tensors": 0})
    server.Reload()
    for tag in ("loss", "memory/text_summary"):
        assert [point.step for point in server.Tensors(tag)] == [1, 2, 3, 4, 5, 6]
    found = written(board / FILE)
    assert list(found.scalars["loss"].items()) == expected
    assert found.texts["memory"][6] == "2.0"
    assert found.starts == [0, 5]
    attempt(0, range(1, 2), 3.0)  # from the beginning: nothing of before is left
    live.Reload()
    assert seen(live) == [(1, 3.0)]


def test_distributions_are_valid(tmp_path: Path) -> None:
    log = Log(tmp_path, FakeClock(), print, rank=0, steps=9, from_step=0)
    log.histograms(3, {"w": np.array([1.0, 2.0, np.nan]), "none": np.array([np.inf])})
    log.close()
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert read.Histograms("w")[0].histogram_value.num == 2
    assert read.Tags()["histograms"] == ["w"]


def test_other_ranks_write_nothing(tmp_path: Path, told: Told) -> None:
    log = Log(tmp_path, FakeClock(), told.append, rank=1, steps=9, from_step=0)
    log.scalars(1, {"loss": 1.0})
    log.progress(1, "words")
    log.close()
    assert not told
    assert not list(tmp_path.iterdir())


def test_without_a_terminal_there_is_a_line_now_and_then(tmp_path: Path, told: Told) -> None:
    clock = FakeClock()
    log = Log(tmp_path, clock, told.append, rank=0, steps=100, from_step=0)
    for step in range(1, 101):
        clock.time += 1.0
        log.progress(step, f"loss {1 / step:.2g}")
    log.close()
    assert len(told) == 5
    ends = time.strftime("%H:%M:%S", time.localtime(1_000_100.0))
    assert told[1] == f"step 31 of 100, loss 0.032, 1 min 9 s to go, ends at {ends}"
    assert told[-1] == "step 100 of 100, loss 0.01"


def test_on_a_terminal_there_is_one_bar_that_says_when_it_ends(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", screen)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "140"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    clock = FakeClock()
    log = Log(tmp_path, clock, told.append, rank=0, steps=100, from_step=40)
    for step in range(41, 81):
        clock.time += 1.0
        log.progress(step, "loss 0.1")
    log.close()
    ends = time.strftime("%H:%M:%S", time.localtime(1_000_060.0))
    assert "80/100" in screen.getvalue()
    assert f"loss 0.1, 20 s to go, ends at {ends}" in screen.getvalue()
    assert not told


def test_a_trace_of_some_steps_on_request(tmp_path: Path, arrays: Path, told: Told) -> None:
    settings = settings_of(arrays, steps=6, log={"profile": [2, 3]})
    trainer_in(tmp_path / "run", settings, say=told.append).run()
    trace = json.loads((tmp_path / "run" / "trace-2-3.json").read_text())
    assert len(trace["traceEvents"]) > 50
    assert "the trace of steps 2 to 3" in told.all


# ----------------------------------------------------------------------------- energy, operations
def test_energy_is_read_from_a_counter_that_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "_RAPL", tmp_path)
    assert energy.energy_of(CPU, 0).method == energy.NOT_MEASURED
    assert energy.energy_of(CPU, 0).joules() == 0.0
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "max_energy_range_uj").write_text("10000000")
    (zone / "energy_uj").write_text("9000000")
    found = energy.energy_of(CPU, 0)
    assert found.method == "RAPL, processors of the node"
    (zone / "energy_uj").write_text("2000000")
    assert found.joules() == pytest.approx(3.0)
    assert energy.energy_of(CPU, 1).joules() == 0.0


def test_operations_are_counted_forward_and_backward() -> None:
    model = torch.nn.Linear(8, 4, bias=False)
    x = torch.ones(3, 8, requires_grad=True)
    counted = flops.count(lambda: model(x).sum().backward())
    assert counted == 3 * (2 * 3 * 8 * 4)
    assert flops.peak(CPU, "bf16") == 0.0


# ----------------------------------------------------------------------------- migrations
def test_every_version_has_a_way_to_today() -> None:
    assert sorted(MIGRATIONS) == list(range(1, VERSION))


def test_the_golden_checkpoint_of_version_1_is_read_and_trained_on(
    tmp_path: Path, arrays: Path
) -> None:
    """Its files were written once by version 1 and are never written again."""
    manifest = read_manifest(GOLDEN)
    assert manifest.version == 1
    content = checkpoint.read(GOLDEN, manifest, lambda _: True)
    assert "ema" not in content.tensors
    assert content.plain["loop"]["mean_steps"] == content.plain["loop"]["step"] == 4
    for name, tensor in TensorFile(GOLDEN / "ema.safetensors").items():
        assert torch.equal(content.tensors["mean"][name], tensor)
    target = folder_of(tmp_path / "run" / "checkpoints", 4)
    target.mkdir(parents=True)
    for path in GOLDEN.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    trainer = trainer_in(tmp_path / "run", settings_of(arrays, steps=8), model={"width": 4})
    assert trainer.run() == "done"
    assert trainer._taken == 4
    assert trainer.stepper.mean is not None
    assert trainer.stepper.mean.steps == 8


def test_migrations_leave_today_s_content_as_it_is() -> None:
    content: tuple[dict[str, Any], dict[str, Any]] = ({"mean": {}}, {"loop": {"step": 3}})
    assert migrate(VERSION, *content) == content
