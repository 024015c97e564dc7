"""A U-Net over mean climates: scores in closed form, who is learned from, what is kept, and that it helps."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support_climates import SMALL, made_up, source_in, unet_trainer
from support_train import Stopper, digests
from torch import Tensor

from astrohpc.climates.split import SplitSettings, folds, split
from astrohpc.emulate.base import Prediction
from astrohpc.errors import ConfigError
from astrohpc.models.settings import UnetSettings
from astrohpc.models.unet import LEAST_SPREAD, MOST_FOLD, Unet
from astrohpc.train import first_guess, initial
from astrohpc.train.climate_source import ClimateSource
from astrohpc.train.networks import Surrogate, best, combined, networks, rebuilt, written
from astrohpc.train.run import NETWORK, Run
from astrohpc.train.surrogate_task import ResidualFields, crps, likelihood, shape_of

ERROR = torch.tensor([-2.0, 0.0, 0.3, 5.0], dtype=torch.float64)
SPREAD = torch.tensor([0.5, 1.0, 2.0, 0.7], dtype=torch.float64)


def test_the_likelihood_is_that_of_a_normal_distribution_but_for_a_constant() -> None:
    known = -torch.distributions.Normal(0.0, SPREAD).log_prob(ERROR)
    constant = 0.5 * math.log(2 * math.pi) + math.log(LEAST_SPREAD) - MOST_FOLD
    assert torch.allclose(likelihood(ERROR, SPREAD, 0.0), known - constant, rtol=1e-12)


def test_a_weight_by_the_spread_moves_means_as_squared_errors_do() -> None:
    error, spread = ERROR.clone().requires_grad_(), SPREAD.clone().requires_grad_()
    likelihood(error, spread, 1.0).sum().backward()
    assert error.grad is not None
    assert torch.allclose(error.grad, ERROR, rtol=1e-12)  # whatever the spread is


def test_the_crps_is_the_integral_over_all_thresholds() -> None:
    at = torch.linspace(-60, 60, 1_200_001, dtype=torch.float64)
    for error, spread, found in zip(ERROR, SPREAD, crps(ERROR, SPREAD, 0.5), strict=True):
        below = torch.distributions.Normal(0.0, spread).cdf(at)
        integral = torch.trapezoid((below - (at >= error).double()).square(), at)
        assert found.item() == pytest.approx(integral.item(), rel=1e-4)


def first_batch(source: ClimateSource, task: ResidualFields, planets: int = 5) -> dict[str, Tensor]:
    return task.ahead(source.read(np.arange(planets), source.room(planets, pinned=False)))


def begun(task: ResidualFields) -> Unet:
    model = task.model()
    task.begin(model, 0)
    assert isinstance(model, Unet)
    return model


def test_values_count_by_area_and_mass_and_variables_alike(tmp_path: Path) -> None:
    source = source_in(tmp_path)
    task = ResidualFields(source, SMALL)
    model, batch = begun(task), first_batch(source, task)
    loss = task.loss(model, batch)
    count, by_part = task.count(batch)
    assert count == 5 * 3
    assert by_part.tolist() == [5, 5, 5]
    climates, guess = source.climates, source.guess
    assert guess is not None
    known = slice(0, source.count)
    for i, one in enumerate(climates.variables):
        part = climates.places[one.name]
        weights = climates.weights[part]
        error = climates.values[:, part].astype(float) - guess.mean[:, part]
        squares = (error**2 * weights)[:5].sum()
        assert loss.squares is not None
        assert loss.squares[i].item() == pytest.approx(squares, rel=1e-5)
        # In units of the guess's usual error of a level, which is what the network starts with.
        levels = np.split(np.arange(part.start, part.stop), one.shape[0] if one.levels else 1)
        for channel, columns in zip(source_channels(source, one.name), levels, strict=True):
            share = climates.weights[columns]
            e = climates.values[known][:, columns].astype(float) - guess.mean[known][:, columns]
            unit = math.sqrt((e**2 @ share).mean() / share.sum())
            assert model.unit[channel].item() == pytest.approx(unit, rel=1e-5)
    assert loss.total.item() == pytest.approx(loss.parts.sum().item(), rel=1e-6)
    with torch.no_grad():  # what is validated is another, proper score
        proper = task.loss(model, batch)
    spread = torch.maximum(batch["spread"], LEAST_SPREAD * model.unit[:, None])
    unit = model.unit[:, None]
    each = crps((batch["targets"] - batch["guess"]) / unit, spread / unit, 0.0)
    share = torch.from_numpy(source.weights)
    assert proper.total.item() == pytest.approx((each * share).sum().item(), rel=1e-4)


def source_channels(source: ClimateSource, name: str) -> range:
    part = source.channels[name]
    return range(part.start, part.stop)


def test_planets_of_test_and_corner_are_in_no_batch_and_in_no_guess(tmp_path: Path) -> None:
    climates = made_up()
    parts = split(climates, SplitSettings())
    unseen = np.concatenate([parts.test, parts.corner])
    source = source_in(tmp_path, climates=climates)
    assert source.count == len(parts.train)
    assert source.held_out == len(parts.validation)
    assert not {climates.names[i] for i in unseen} & set(source.climates.names)
    spoiled = climates.values.copy()
    spoiled[unseen] = 1e9
    other = source_in(tmp_path / "other", climates=replace(climates, values=spoiled))
    assert source.guess is not None
    assert other.guess is not None
    assert np.array_equal(source.guess.mean, other.guess.mean)
    assert np.array_equal(source.guess.spread, other.guess.spread)


def test_a_planet_is_guessed_by_what_never_saw_it_and_later_ones_by_all(tmp_path: Path) -> None:
    source = source_in(tmp_path)
    guess, values = source.guess, source.climates.values.astype(float)
    assert guess is not None
    known = source.count
    fold = folds(source.climates.names[:known], SMALL.folds, 0)
    for i in range(known):
        others = values[:known][fold != fold[i]].mean(axis=0)
        np.testing.assert_allclose(guess.mean[i], others, rtol=1e-5)
    whole = values[:known].mean(axis=0)
    np.testing.assert_allclose(
        guess.mean[known:], np.broadcast_to(whole, (source.held_out, len(whole))), rtol=1e-5
    )
    found = guess.emulator.predict(source.climates.scaled[known:])
    np.testing.assert_allclose(found.mean, guess.mean[known:], rtol=1e-6)


@pytest.mark.parametrize("guess", ["mean", "ridge", "quadratic", "pca_gp"])
def test_every_guess_is_kept_and_read_again_as_it_was(
    tmp_path: Path, guess: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = UnetSettings(**{**vars(SMALL), "guess": guess})
    one = source_in(tmp_path, model)
    monkeypatch.setattr(first_guess, "_found", None)  # nothing is found anew
    again = source_in(tmp_path, model)
    assert one.digest == again.digest
    assert one.guess is not None
    assert again.guess is not None
    scaled = np.random.default_rng(0).random((4, 2))
    mine, other = (of.guess.emulator.predict(scaled) for of in (one, again))
    assert np.array_equal(mine.mean, other.mean)
    assert mine.std is not None
    assert (mine.std > 0).all()
    assert np.array_equal(mine.std, other.std)


def test_it_beats_its_guess_and_knows_how_sure_it_is(tmp_path: Path) -> None:
    climates = made_up(90)
    trainer = unet_trainer(
        tmp_path,
        replace(SMALL, width=16),
        climates,
        steps=400,
        validate_every=20,
        checkpoint={"every_steps": 20},
        ema=0.95,
        log={"every_steps": 50},
    )
    task = trainer.task
    assert isinstance(task, ResidualFields)
    (tmp_path / NETWORK).write_text(json.dumps(task.shape.plain()))
    trainer.run()
    plain, tensors = written(tmp_path)
    assert trainer.position.best == best(tmp_path)[1].score
    source = trainer.source
    assert isinstance(source, ClimateSource)
    assert source.guess is not None
    surrogate = Surrogate(source.guess.emulator, [rebuilt(plain, tensors)])
    test = climates.take(split(climates, SplitSettings()).test)
    found = surrogate.predict(test.scaled)
    guess = source.guess.emulator.predict(test.scaled)
    assert found.std is not None
    for one in climates.variables:
        part = climates.places[one.name]
        rmse, of_guess, spread = (
            math.sqrt((values[:, part] ** 2 @ climates.weights[part]).mean())
            for values in (found.mean - test.values, guess.mean - test.values, found.std)
        )
        assert rmse < 0.6 * of_guess
        assert 0.4 < spread / rmse < 2.5


def test_stopped_and_resumed_it_ends_with_the_same_bits(tmp_path: Path) -> None:
    model = replace(SMALL, dropout=0.2)
    unet_trainer(tmp_path / "whole", model, steps=9).run()
    assert unet_trainer(tmp_path / "cut", model, steps=9, stop=Stopper(5)).run() == "stopped"
    unet_trainer(tmp_path / "cut", model, steps=9).run()
    assert (
        digests(tmp_path / "whole", 9)["model.safetensors"]
        == (digests(tmp_path / "cut", 9)["model.safetensors"])
    )


def test_other_planets_another_guess_or_another_grid_are_refused(tmp_path: Path) -> None:
    unet_trainer(tmp_path, steps=3).run()
    with pytest.raises(ConfigError, match="it was trained on other data"):
        unet_trainer(tmp_path, climates=made_up(50), steps=4).run()
    with pytest.raises(ConfigError, match="it was trained on other data"):
        unet_trainer(tmp_path, replace(SMALL, guess="ridge"), steps=4).run()
    with pytest.raises(ConfigError, match=r"it is of another model \(first.weight"):
        unet_trainer(tmp_path, replace(SMALL, width=12), steps=4).run()
    unet_trainer(tmp_path, steps=4).run()  # and what was there is there


def test_a_damaged_guess_is_a_sentence(tmp_path: Path) -> None:
    source_in(tmp_path)
    (file,) = (tmp_path / "guess").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    with pytest.raises(ConfigError, match=r"guess cannot be read \(it is not what was written\)"):
        source_in(tmp_path)
    file.unlink()
    with pytest.raises(ConfigError, match=r"guess cannot be read .*remove .*guess"):
        source_in(tmp_path)


def test_what_is_no_map_or_too_few_planets_is_a_sentence(tmp_path: Path) -> None:
    numbers = made_up(longitudes=1, layered=False)
    flat = replace(
        numbers,
        variables=tuple(replace(one, shape=()) for one in numbers.variables),
        values=numbers.values[:, :1],
        weights=np.ones(1),
        axes={},
    )
    source = source_in(tmp_path, climates=flat)
    with pytest.raises(ConfigError, match=r"numbers without a map; take model=scalar"):
        ResidualFields(source, SMALL)
    with pytest.raises(ConfigError, match=r"model.folds: \d+ planets to train on make no 30 folds"):
        source_in(tmp_path, replace(SMALL, folds=30), made_up(12))
    with pytest.raises(ConfigError, match="have different maps"):
        odd = replace(made_up(), variables=(*made_up().variables[:2], numbers.variables[0]))
        source_in(tmp_path, climates=odd)


def test_networks_are_mixed_as_distributions_are() -> None:
    """Two networks of which each adds a constant."""
    climates = made_up(longitudes=1, layered=False)
    rows = climates.values[:3].astype(float)
    made = []
    for bias in (0.5, -1.5):
        model = Unet(shape_of(climates, SMALL))
        initial.begin(model, 0, model.beginnings())
        with torch.no_grad():
            model.last["flat"].bias[::2] = bias
        made.append(model.eval())
    guess = Prediction(rows, np.full_like(rows, 2.0))
    found = combined(made, climates.scaled[:3], guess)
    np.testing.assert_allclose(found.mean, rows - 0.5, rtol=1e-6)
    assert found.std is not None
    np.testing.assert_allclose(found.std, math.sqrt(2.0**2 + 1.0**2), rtol=1e-6)
    with pytest.raises(ValueError, match="guess: it has no spread"):
        combined(made, climates.scaled[:3], Prediction(rows))


def test_members_of_an_ensemble_are_runs_of_their_own_that_share_all_but_the_seed(
    tmp_path: Path,
) -> None:
    train = {"ensemble": 3, "seed": 4, "name": "many", "data": {"source": "a"}}
    run = Run.parse(tmp_path / "many", {"train": train, "model": {"name": "unet"}})
    assert run.train.data.climates
    run.write({"python": "3"}, {})
    members = [Run.of(one.folder) for one in run.members]
    assert [one.train.seed for one in members] == [4, 5, 6]
    assert [one.folder.name for one in members] == ["member-0", "member-1", "member-2"]
    assert {one.train.ensemble for one in members} == {1}
    assert {one.train.data.split.seed for one in members} == {0}  # the same planets
    assert not members[0].members
    for one in members:
        board = run.folder / "tensorboard" / one.folder.name
        assert board.resolve() == one.folder / "tensorboard"
    run.write({"python": "3"}, {})  # again
    with pytest.raises(ConfigError, match="it has no whole checkpoint yet"):
        (members[0].folder / NETWORK).write_text("{}")
        networks(run.folder)
