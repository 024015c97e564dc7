"""Mean climates as samples: for the transformer and the small network too, which know no first guess."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support_climates import COLUMNS, LEVELS, ROWS, made_up
from support_train import CPU, settings_of

from astrohpc.climates.split import SplitSettings, split
from astrohpc.clock import SystemClock
from astrohpc.errors import ConfigError
from astrohpc.models.settings import MlpSettings, ModelSettings, TransformerSettings
from astrohpc.train.climate_source import ClimateSource, open_climates
from astrohpc.train.direct import Direct
from astrohpc.train.engines.single import Single
from astrohpc.train.loop import Trainer
from astrohpc.train.run import Run, finish, task_of
from astrohpc.train.settings import TrainSettings

CELLS = ROWS * COLUMNS
SMALL = TransformerSettings(hidden=16, heads=2, inner=32, vocabulary=64, blocks=2)
NETWORK = MlpSettings(learns="fields", width=16, depth=1)


def source(*names: str) -> ClimateSource:
    climates = made_up().only(names) if names else made_up()
    return ClimateSource(climates, split(climates, SplitSettings()))


def trained(
    folder: Path, model: ModelSettings, *names: str, steps: int = 60
) -> tuple[Trainer, Run]:
    settings = settings_of(
        folder,
        steps=steps,
        optimizer={"lr": 3e-3},
        validate_every=steps // 2,
        checkpoint={"every_steps": steps // 2},
        ema=0.0,
        data={"climates": True},
    )
    run = Run(folder, settings, model)
    run.write({}, {})
    data = source(*names)
    task, engine = task_of(data, model), Single(CPU)
    trainer = Trainer(
        settings, task, data, engine, folder, SystemClock(), lambda _: None, lambda: False
    )
    assert trainer.run() == "done"
    finish(run, trainer)
    return trainer, run


def test_a_sample_is_a_planet_and_a_channel_a_level() -> None:
    data = source()
    batch = data.read(np.array([2, 0]), data.room(3, pinned=False))
    assert batch["fields"].shape == (2, 2 * LEVELS + 1, ROWS, COLUMNS)
    known = data.climates.values[[2, 0]].reshape(batch["fields"].shape)
    assert np.array_equal(batch["fields"].numpy(), known)
    assert batch["number"].tolist() == [2, 0]
    assert torch.equal(batch["params"], 1 + batch["scaled"])
    assert data.channels == {"ta": slice(0, 2), "va": slice(2, 4), "ts": slice(4, 5)}
    assert data.area.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(data.area[:, 0] / data.area[:, 0].sum(), [0.15, 0.35, 0.35, 0.15])
    assert [one.label for one in data.about.variables] == ["ta [K]", "va [m s-1]", "ts [K]"]
    assert data.about.mark == "synthetic"
    axes = [axis.name for axis in data.about.variables[0].axes]
    assert axes == ["level", "lat", "lon"]


def test_other_planets_or_another_part_of_them_are_other_data() -> None:
    climates = made_up()
    parts = split(climates, SplitSettings())
    assert source().digest == ClimateSource(climates, parts).digest
    others = split(climates, SplitSettings(seed=1))
    changed = replace(climates, values=climates.values + 1)
    assert ClimateSource(climates, others).digest != source().digest
    assert ClimateSource(changed, parts).digest != source().digest


@pytest.mark.parametrize("model", [SMALL, NETWORK])
def test_networks_that_know_no_guess_learn_fields_and_are_made_again_from_plain_words(
    tmp_path: Path, model: ModelSettings
) -> None:
    trainer, run = trained(tmp_path, model)
    found = Direct.of(run.folder)
    data = trainer.source
    assert isinstance(data, ClimateSource)
    scaled = data.climates.scaled[data.count :]
    truth = data.climates.values[data.count :].astype(float)
    said = found.predict(scaled)
    mean = data.climates.values[: data.count].mean(axis=0)
    places = data.climates.places
    for name in ("ta", "ts"):
        assert np.square(said.mean - truth)[:, places[name]].mean() < (
            np.square(mean - truth)[:, places[name]].mean()
        )
    assert said.std is not None
    share = data.weights / data.weights.sum(axis=1, keepdims=True)
    missed = np.square(said.mean - truth).reshape(len(truth), *share.shape) * share
    np.testing.assert_allclose(
        said.std[0].reshape(share.shape)[:, 0], np.sqrt(missed.sum(2).mean(0)), rtol=1e-4
    )
    again = Direct.restored(*found.state()).predict(scaled)
    assert np.array_equal(again.mean, said.mean)
    assert np.array_equal(again.std, said.std)
    assert found.plain["model"] == asdict(model)


def test_the_transformer_learns_global_means_of_climates(tmp_path: Path) -> None:
    trainer, run = trained(tmp_path, replace(SMALL, mode="scalar"), "ta", "ts", steps=120)
    assert trainer.position.best is not None
    assert trainer.position.best < 1.0  # of variances of the data
    with pytest.raises(ConfigError, match=r"direct.json cannot be read"):
        Direct.of(run.folder)  # for it says nothing of fields


def test_what_is_no_store_and_what_leaves_nobody_to_validate_with_is_a_sentence(
    tmp_path: Path,
) -> None:
    train = TrainSettings(data=settings_of(tmp_path, data={"climates": True}).data)
    with pytest.raises(ConfigError, match=r"train.data.source: .* is no store of a sweep"):
        open_climates(train, SMALL, tmp_path, Single(CPU))
