"""Schedules in closed form, running means, parts of a batch, precision: the mathematics of a step."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support_train import CPU, Stopper, Told, settings_of, trainer_in

from astrohpc.errors import ConfigError
from astrohpc.train.accumulate import MicroBatch, ProcessMeter, is_out_of_memory, meter_for, parts
from astrohpc.train.ema import RunningMean
from astrohpc.train.events import FILE, written
from astrohpc.train.optimize import make_optimizer, takes_flag
from astrohpc.train.precision import LossScale, Precision
from astrohpc.train.schedule import learning_rate, share
from astrohpc.train.settings import OptimizerSettings, ScheduleSettings, TrainSettings
from astrohpc.train.sources import Batch
from astrohpc.train.step import Interrupted
from astrohpc.train.task import GlobalMeans, Loss


def scheduled(kind: Any, warmup: int = 4, final: float = 0.1, steps: int = 21) -> TrainSettings:
    schedule = ScheduleSettings(kind=kind, warmup_steps=warmup, final_share=final)
    return TrainSettings(steps=steps, schedule=schedule, optimizer=OptimizerSettings(lr=2.0))


def test_schedules_are_what_their_formulas_say() -> None:
    assert [share(scheduled("constant"), n) for n in range(6)] == [0.2, 0.4, 0.6, 0.8, 1, 1]
    linear = scheduled("linear")
    assert share(linear, 4) == 1.0
    assert share(linear, 12) == pytest.approx(0.55)
    assert share(linear, 20) == pytest.approx(0.1)
    cosine = scheduled("cosine")
    for n in range(4, 21):
        expected = 0.1 + 0.45 * (1 + math.cos(math.pi * (n - 4) / 16))
        assert share(cosine, n) == pytest.approx(expected, rel=1e-15)
    root = scheduled("inverse_sqrt", warmup=3)
    assert share(root, 3) == 1.0
    assert share(root, 15) == 0.5
    assert learning_rate(linear, 12) == pytest.approx(1.1)


@pytest.mark.parametrize("kind", ["constant", "cosine", "linear", "inverse_sqrt"])
def test_a_schedule_of_one_step_is_the_peak(kind: str) -> None:
    assert share(scheduled(kind, warmup=0, steps=1), 0) == 1.0


def test_a_running_mean_is_the_closed_sum() -> None:
    model = torch.nn.Linear(2, 1).double()
    mean = RunningMean(model, 0.5)
    values = [3.0, -1.0, 4.0, 2.0]
    expected = model.weight.detach().clone()
    for n, value in enumerate(values):
        with torch.no_grad():
            model.weight.fill_(value)
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
        mean.update()
    assert torch.allclose(mean.state()["weight"], expected, rtol=1e-14)
    with mean.in_place():
        assert torch.equal(model.weight, mean.state()["weight"])
    assert model.weight.unique().tolist() == [2.0]


@given(st.integers(1, 200), st.integers(1, 60))
def test_parts_cover_all_once_and_are_nearly_equal(count: int, most: int) -> None:
    found = parts(count, most)
    assert [i for cut in found for i in range(count)[cut]] == list(range(count))
    sizes = [cut.stop - cut.start for cut in found]
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert len(found) == -(-count // most)


def gradients(folder: Path, arrays: Path, micro: int, missing: bool) -> dict[str, torch.Tensor]:
    """Of the first step."""
    if missing:
        fields = np.load(arrays / "fields.npy")
        fields[::3, 0] = np.nan
        np.save(arrays / "fields.npy", fields)
    settings = settings_of(arrays, precision="fp64", micro_batch=micro, batch=12, clip_norm=0)
    trainer = trainer_in(folder, settings)
    trainer._begin()
    batch = trainer.stepper.reader.take(0)
    count, *_ = trainer._meet(batch)
    trainer.stepper.reader.stop()
    assert count is not None
    trainer.stepper._gradients(batch, count)
    return {name: p.grad.clone() for name, p in trainer.engine.model.named_parameters()}


@pytest.mark.parametrize("missing", [False, True])
def test_parts_of_a_batch_have_the_gradient_of_the_whole(
    tmp_path: Path, arrays: Path, missing: bool
) -> None:
    """Also where parts hold unequal counts of known values, which means of parts would get wrong."""
    whole = gradients(tmp_path, arrays, 12, missing)
    for micro in (1, 5, 7):
        cut = gradients(tmp_path, arrays, micro, missing)
        for name, expected in whole.items():
            scale = expected.abs().max().item()
            assert (cut[name] - expected).abs().max().item() <= 1e-12 * scale, (micro, name)


class Hungry(GlobalMeans):
    """Runs out of memory where more than so many samples come at once."""

    fits = 3
    calls = 0
    from_call = 0

    def loss(self, model: torch.nn.Module, batch: Batch) -> Loss:
        self.calls += 1
        if len(batch["params"]) > self.fits and self.calls > self.from_call:
            raise torch.OutOfMemoryError("tried to allocate 3 EiB")
        return super().loss(model, batch)


@pytest.mark.parametrize("from_call", [0, 7])
def test_out_of_memory_halves_the_part_and_not_the_mathematics(
    tmp_path: Path, arrays: Path, told: Told, from_call: int
) -> None:
    task = type("Later", (Hungry,), {"from_call": from_call})
    settings = settings_of(arrays, precision="fp64")
    plain = trainer_in(tmp_path / "plain", settings)
    plain.run()
    hungry = trainer_in(tmp_path / "hungry", settings, task=task, say=told.append)
    hungry.run()
    assert "memory ran out (tried to allocate 3 EiB): 4 instead of 8 samples" in told.all
    assert "2 instead of 4 samples are computed at once; the result is the same" in told.all
    pairs = zip(plain.engine.model.parameters(), hungry.engine.model.parameters(), strict=True)
    for one, other in pairs:
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)
    # And a resumed run begins with what fitted.
    again = trainer_in(
        tmp_path / "hungry", settings_of(arrays, precision="fp64", steps=30), task=task
    )
    again.run()
    assert again.stepper.micro.most == 2


def test_who_wonders_why_it_is_slower_is_told(tmp_path: Path, arrays: Path, told: Told) -> None:
    """Memory runs out late, before any checkpoint knows: in the console, in TensorBoard, at the next start."""
    task = type("Later", (Hungry,), {"from_call": 7, "fits": 4})
    settings = settings_of(arrays, checkpoint={"every_steps": 1000})

    def kill() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer_in(
            tmp_path / "run", settings, task=task, say=told.append, stop=Stopper(12, kill)
        ).run()
    sentence = (
        "memory ran out (tried to allocate 3 EiB): 4 instead of 8 samples are computed at once; the result "
        "is the same"
    )
    assert told.all.count(sentence) == 1
    path = tmp_path / "run" / "tensorboard" / FILE
    before = written(path)
    assert list(before.texts["memory"].values()) == [sentence]
    (step,) = before.texts["memory"]
    assert before.scalars["samples at once"] == {0: 8.0, step: 4.0}
    told.clear()
    trainer_in(tmp_path / "run", settings, say=told.append).run()
    reason = f"4 samples are computed at once and not 8, because of step {step + 1}: {sentence}"
    assert told[0] == reason
    after = written(path)
    assert after.texts["memory"] == {0: reason}
    assert after.scalars["samples at once"] == {0: 4.0}


def test_one_of_many_ranks_leaves_word_before_it_ends(
    tmp_path: Path, arrays: Path, told: Told
) -> None:
    """Others wait for it, so the job must end; the next one begins with less, and says why."""
    task = type("Later", (Hungry,), {"from_call": 7, "fits": 4})
    settings = settings_of(arrays, checkpoint={"every_steps": 5})
    trainer = trainer_in(tmp_path / "run", settings, task=task)
    trainer.engine.size = 2  # as a rank of two, whose other half is never asked before it fails
    with pytest.raises(Interrupted, match="the job starts again from its last checkpoint"):
        trainer.run()
    assert json.loads((tmp_path / "run" / "memory.json").read_text())["samples"] == 4
    assert trainer_in(tmp_path / "run", settings, say=told.append).run() == "done"
    assert "4 samples are computed at once and not 8, because of step" in told.all


@pytest.mark.parametrize("words", ["", "{", '{"step": 1}', "[]"])
def test_a_damaged_note_about_memory_is_passed_over(
    tmp_path: Path, arrays: Path, told: Told, words: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "memory.json").write_text(words)
    trainer_in(tmp_path / "run", settings_of(arrays, steps=3), say=told.append).run()
    assert "computed at once" not in told.all


def test_one_sample_that_does_not_fit_is_a_sentence(tmp_path: Path, arrays: Path) -> None:
    task = type("Starved", (Hungry,), {"fits": 0})
    with pytest.raises(
        ConfigError, match="though one sample at a time is computed; set recompute=all"
    ):
        trainer_in(tmp_path / "run", settings_of(arrays), task=task).run()


class Gauge:
    """Says what it is told to."""

    def __init__(self, *shares: float) -> None:
        self.shares = list(shares)

    def reset(self) -> None:
        pass

    def share(self) -> float:
        return self.shares.pop(0)


def test_too_much_memory_halves_the_part(tmp_path: Path, arrays: Path, told: Told) -> None:
    settings = settings_of(arrays, log={"ranks_every": 5})
    gauge = Gauge(0.9, 0.9, 0.84, 0.5, 0.5, 0.5)
    trainer = trainer_in(tmp_path / "run", settings, say=told.append, meter=gauge)
    trainer.run()
    assert trainer.stepper.micro == MicroBatch(2, proven=True)
    assert "90% of the memory is used and 85% allowed: 4 instead of 8" in told.all


def test_a_rehearsal_leaves_no_trace(tmp_path: Path, arrays: Path) -> None:
    settings = settings_of(arrays, steps=8)
    dropout = {"dropout": 0.3}
    plain = trainer_in(tmp_path / "a", settings, model=dropout)
    plain.run()
    rehearsed = trainer_in(tmp_path / "b", settings, model=dropout, meter=Gauge(*[0.1] * 9))
    rehearsed.run()
    assert plain.engine.checksum() == rehearsed.engine.checksum()


def test_memory_of_a_process_is_measured_against_its_budget() -> None:
    meter = ProcessMeter(1_000_000)
    meter.reset()
    before = meter.share()
    grown = np.ones(50 << 17)  # 50 MiB
    assert 0 < before < meter.share() < 1
    del grown
    assert meter_for(CPU, 0) is None
    assert isinstance(meter_for(CPU, 100), ProcessMeter)


def test_what_running_out_of_memory_looks_like() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(MemoryError())
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_loss_scale_halves_on_overflow_and_doubles_after_patience() -> None:
    scale = LossScale(value=8.0, patience=3)
    scale.learn(overflowed=True)
    assert scale.value == 4.0
    for _ in range(3):
        scale.learn(overflowed=False)
    assert (scale.value, scale.good_steps) == (8.0, 0)
    gradient = torch.tensor([16.0, math.inf])
    scale.undo([gradient])
    assert gradient.tolist() == [2.0, math.inf]


def test_a_scaled_training_finds_its_scale_and_learns(tmp_path: Path, arrays: Path) -> None:
    settings = settings_of(arrays, precision="fp16", steps=40)
    trainer = trainer_in(tmp_path / "run", settings)
    trainer.stepper.scale = LossScale(value=2.0**24)
    assert trainer.run() == "done"
    assert trainer.stepper.scale.value < 2.0**24
    found = torch.cat([p.reshape(-1) for p in trainer.engine.model.parameters()])
    assert bool(torch.isfinite(found).all())


def test_precision_is_one_policy() -> None:
    model = torch.nn.Linear(3, 3)
    for name, keep, compute in (
        ("fp64", torch.float64, torch.float64),
        ("fp32", torch.float32, torch.float32),
        ("bf16", torch.float32, torch.bfloat16),
    ):
        precision = Precision(name)
        precision.prepare(model)
        assert model.weight.dtype == keep
        with precision.region(CPU):
            assert model(torch.ones(1, 3, dtype=keep)).dtype == compute


def test_only_matrices_decay(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.LayerNorm(2))
    for name in ("adamw", "adam", "sgd"):
        optimizer = make_optimizer(model, OptimizerSettings(name=name, weight_decay=0.1), CPU)
        decays = [(len(g["params"]), g["weight_decay"]) for g in optimizer.param_groups]
        assert decays == [(1, 0.1), (3, 0.0)]
        assert takes_flag(optimizer)
    slow = make_optimizer(model, OptimizerSettings(fused=False), CPU)
    assert not takes_flag(slow)


def test_a_step_left_out_on_the_device_is_as_one_left_out_by_the_host() -> None:
    """What a GPU does without telling: the flag that fused optimisers take."""
    for name in ("adamw", "adam", "sgd"):
        kept = []
        for on_device in (True, False):
            torch.manual_seed(0)
            model = torch.nn.Linear(3, 2)
            optimizer = make_optimizer(model, OptimizerSettings(name=name), CPU)
            for bad in (0.0, 1.0, 0.0):
                model(torch.ones(1, 3)).square().sum().backward()
                if on_device:
                    optimizer.grad_scale, optimizer.found_inf = None, torch.tensor(bad)
                    optimizer.step()
                elif not bad:
                    optimizer.step()
                optimizer.zero_grad()
            kept.append(model.weight.detach().clone())
        assert torch.equal(*kept), name


@pytest.mark.parametrize("recompute", ["every_second", "all"])
def test_recomputing_changes_no_bit_and_no_name(
    tmp_path: Path, arrays: Path, recompute: str
) -> None:
    settings = settings_of(arrays, steps=6)
    model = {"depth": 3, "dropout": 0.2}
    plain = trainer_in(tmp_path / "a", settings, model=model)
    plain.run()
    saving = trainer_in(tmp_path / "b", replace(settings, recompute=recompute), model=model)
    saving.run()
    assert plain.engine.checksum() == saving.engine.checksum()
    assert list(plain.engine.model.state_dict()) == list(saving.engine.model.state_dict())


def test_what_has_no_blocks_cannot_recompute() -> None:
    from astrohpc.train.optimize import prepare_blocks

    with pytest.raises(ConfigError, match="recompute: Linear has no list of blocks"):
        prepare_blocks(torch.nn.Linear(1, 1), TrainSettings(recompute="all"))
