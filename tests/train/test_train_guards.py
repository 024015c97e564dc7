"""Guards: a gradient that is not finite is never applied, answers are declared and bounded."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support_train import Stopper, Told, digests, settings_of, trainer_in

from astrohpc.train.guards import BlownUp, Guards
from astrohpc.train.settings import GuardSettings
from astrohpc.train.sources import Batch
from astrohpc.train.task import GlobalMeans, Loss


def spoiling(when: Callable[[Batch], Any], factor: float) -> type[GlobalMeans]:
    """The task with a loss that is multiplied where a batch is an unlucky one."""

    class Spoiled(GlobalMeans):
        def loss(self, model: torch.nn.Module, batch: Batch) -> Loss:
            found = super().loss(model, batch)
            return Loss(found.total * factor, found.parts * factor) if when(batch) else found

    return Spoiled


def has(sample: float) -> Callable[[Batch], bool]:
    """Whether a batch has the sample whose first input is this number."""
    return lambda batch: bool((batch["params"][:, 0] == sample).any())


def some_input(arrays: Path, row: int = 3) -> float:
    import numpy as np

    return float(np.load(arrays / "params.npy")[row, 0])


def weights(trainer: Any) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in trainer.engine.model.parameters()])


def test_a_step_that_is_not_finite_is_left_out(tmp_path: Path, arrays: Path, told: Told) -> None:
    task = spoiling(has(some_input(arrays)), math.nan)
    trainer = trainer_in(
        tmp_path / "run", settings_of(arrays), say=told.append, task=task, model={"dropout": 0.1}
    )
    assert trainer.run() == "done"
    assert "loss nan, gradient norm nan: left out" in told.all
    assert bool(torch.isfinite(weights(trainer)).all())
    assert trainer.stepper.mean is not None
    means = trainer.stepper.mean.state().values()
    assert all(bool(torch.isfinite(mean).all()) for mean in means)
    # And however it was interrupted, it is the same.
    cut = settings_of(arrays)
    for at in (9, 17):
        trainer_in(tmp_path / "cut", cut, task=task, stop=Stopper(at), model={"dropout": 0.1}).run()
    trainer_in(tmp_path / "cut", cut, task=task, model={"dropout": 0.1}).run()
    assert digests(tmp_path / "cut", 24) == digests(tmp_path / "run", 24)


def test_it_stops_at_once_if_that_is_the_policy(tmp_path: Path, arrays: Path) -> None:
    task = spoiling(lambda _: True, math.inf)
    settings = settings_of(arrays, guards={"not_finite": "stop"})
    with pytest.raises(BlownUp, match="step 1: loss inf, gradient norm"):
        trainer_in(tmp_path / "run", settings, task=task).run()


def test_skipping_for_ever_is_a_blow_up(tmp_path: Path, arrays: Path) -> None:
    task = spoiling(lambda _: True, math.nan)
    settings = settings_of(arrays, guards={"most": 3})
    trainer = trainer_in(tmp_path / "run", settings, task=task)
    before = weights(trainer).clone()
    with pytest.raises(BlownUp, match="the 4th time within 100 steps"):
        trainer.run()
    assert torch.equal(weights(trainer), before)


def test_going_back_leaves_out_the_batches_that_led_there(
    tmp_path: Path, arrays: Path, told: Told
) -> None:
    settings = settings_of(arrays, guards={"not_finite": "back"}, steps=30)
    calls = []

    def once_in_step_10(batch: Batch) -> bool:
        calls.append(batch["params"][:, 0].sum().item())
        return len(calls) == 11

    trainer = trainer_in(
        tmp_path / "run", settings, say=told.append, task=spoiling(once_in_step_10, math.nan)
    )
    assert trainer.run() == "done"
    assert "step 11: loss nan, gradient norm nan: back to step 6, with other batches" in told.all
    # Steps 0–11 were taken before the verdict on step 10; then step 6 takes batch 12.
    assert trainer.position.shift == 12 - 6
    straight = trainer_in(tmp_path / "plain", settings_of(arrays, steps=40))
    seen = []
    straight.stepper.reader.start(0)
    for number in range(36):
        seen.append(straight.stepper.reader.take(number)["params"][:, 0].sum().item())
    straight.stepper.reader.stop()
    assert calls == seen


def test_going_back_again_and_again_is_a_blow_up(tmp_path: Path, arrays: Path) -> None:
    steps = {"now": 0}

    def after_eight(_: Batch) -> bool:
        steps["now"] += 1
        return steps["now"] > 8

    settings = settings_of(arrays, guards={"not_finite": "back", "most": 2}, steps=60)
    with pytest.raises(BlownUp, match="time within 100 steps"):
        trainer_in(tmp_path / "run", settings, task=spoiling(after_eight, math.nan)).run()


def test_without_a_checkpoint_there_is_nothing_to_go_back_to(tmp_path: Path, arrays: Path) -> None:
    settings = settings_of(arrays, guards={"not_finite": "back"})
    with pytest.raises(BlownUp, match="no checkpoint to go back to"):
        trainer_in(tmp_path / "run", settings, task=spoiling(lambda _: True, math.nan)).run()


def test_a_gradient_beyond_the_window_s_measure_is_left_out(
    tmp_path: Path, arrays: Path, told: Told
) -> None:
    calls = []

    def in_step_16(batch: Batch) -> bool:
        calls.append(batch)
        return len(calls) == 17

    settings = settings_of(arrays, guards={"gradient": "skip"})
    folder = tmp_path / "run"
    trainer = trainer_in(folder, settings, say=told.append, task=spoiling(in_step_16, 1e4))
    kept: dict[str, torch.Tensor] = {}
    take, step = trainer.stepper.step, {}

    def watched(number: int, *rest: Any) -> Any:
        kept["before"] = weights(trainer).clone()
        pulse = take(number, *rest)
        step[number] = torch.equal(kept["before"], weights(trainer))
        return pulse

    trainer.stepper.step = watched  # type: ignore[method-assign]
    trainer.run()
    assert [number for number, same in step.items() if same] == [16]
    assert "times its usual" in told.all
    assert "left out" in told.all


def judge_all(guards: Guards, losses: list[float], norm: float = 1.0) -> list[str]:
    return [guards.judge(step, loss, norm).answer for step, loss in enumerate(losses)]


def test_a_loss_spike_is_told_after_a_window_and_does_not_become_normal() -> None:
    guards = Guards(GuardSettings(spike="tell", spike_factor=5.0))
    assert judge_all(guards, [50.0, *[1.0] * 7]) == ["go"] * 8
    assert guards.judge(8, 4.9, 1.0).answer == "go"
    verdict = guards.judge(9, 6.0, 1.0)
    assert verdict.answer == "tell"
    assert "loss 6 is 6 times its usual 1" in verdict.reason


def test_the_limit_follows_the_median_of_the_window() -> None:
    guards = Guards(GuardSettings(gradient="skip", gradient_factor=3.0, window=8))
    assert guards.limit() == math.inf
    for step in range(8):
        guards.judge(step, 1.0, 2.0)
    assert guards.limit() == 6.0
    assert guards.is_bad(torch.tensor(5.9)).item() == 0
    assert guards.is_bad(torch.tensor(6.1)).item() == 1
    for value in (math.nan, math.inf):
        assert guards.is_bad(torch.tensor(value)).item() == 1
        assert Guards(GuardSettings()).is_bad(torch.tensor(value)).item() == 1
    for step in range(8):
        guards.judge(8 + step, 1.0, 4.0)
    assert guards.limit() == 12.0


def test_answers_are_counted_within_the_window_only() -> None:
    guards = Guards(GuardSettings(window=10, most=2))
    answers = [guards.judge(step, math.nan, 1.0).answer for step in (0, 1, 20, 21, 22)]
    assert answers == ["skip", "skip", "skip", "skip", "stop"]


def test_going_back_does_not_forget_that_it_went_back() -> None:
    guards = Guards(GuardSettings(not_finite="back"))
    early = guards.state()
    guards.judge(5, math.nan, 1.0)
    guards.load(early)
    assert guards.answered == {"not finite": [5]}


def test_overflow_under_a_loss_scale_is_no_accident() -> None:
    guards = Guards(GuardSettings(not_finite="stop"))
    assert guards.judge(0, 1.0, math.inf, scaling=True).answer == "go"
    assert guards.judge(1, math.nan, math.inf, scaling=True).answer == "stop"
