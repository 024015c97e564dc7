"""The transformer of 13 billion parameters: its exact count, its plan of memory, its mathematics in small."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from support_train import CPU, make_arrays, settings_of, trainer_with
from torch import nn

from astrohpc.errors import ConfigError
from astrohpc.models.settings import (
    MlpSettings,
    ModelSettings,
    TransformerSettings,
    model_settings,
)
from astrohpc.models.transformer import Transformer, rotated
from astrohpc.train import memory_plan
from astrohpc.train.engines.single import Single
from astrohpc.train.loop import Trainer
from astrohpc.train.memory_plan import GIB, plan, table
from astrohpc.train.optimize import prepare_blocks
from astrohpc.train.run import task_of
from astrohpc.train.settings import TrainSettings
from astrohpc.train.sources import open_source

LARGE = TransformerSettings()
SMALL = TransformerSettings(hidden=16, heads=2, inner=32, vocabulary=19, blocks=3)
CONFIGS = Path(__file__).parents[2] / "configs" / "model"


def counted(size: TransformerSettings) -> int:
    with torch.device("meta"):
        model = Transformer(8, 100, size=size, places=2048)
    return sum(p.numel() for p in model.parameters())


def test_sixty_four_blocks_are_thirteen_billion_and_the_count_is_exact() -> None:
    assert counted(LARGE) == LARGE.parameters == 13_147_574_272
    fewer = replace(LARGE, blocks=63)
    assert counted(fewer) == fewer.parameters == 12_946_239_488


def test_configurations_are_the_full_size_and_one_for_a_laptop() -> None:
    full = model_settings(yaml.safe_load((CONFIGS / "transformer.yaml").read_text()))
    assert full == LARGE
    small = model_settings(yaml.safe_load((CONFIGS / "transformer-small.yaml").read_text()))
    assert isinstance(small, TransformerSettings)
    assert counted(small) == small.parameters == 2_623_616
    assert model_settings({}) == MlpSettings()
    with pytest.raises(ConfigError, match=r"model.name: there is no model 'transformr'; did you"):
        model_settings({"name": "transformr"})


def test_the_plan_fits_eight_gpus_of_80_gib_and_not_one() -> None:
    states = {gpus: plan(LARGE, gpus, 1, 2048).state / GIB for gpus in (1, 8, 16, 32)}
    assert states[1] == pytest.approx(195.9, abs=0.1)
    assert [states[n] for n in (8, 16, 32)] == pytest.approx([24.5, 12.2, 6.1], abs=0.1)
    assert plan(LARGE, 8, 1, 2048).kept == 64 * 2048 * 4096 * 2
    assert plan(LARGE, 8, 4, 2048).whole < 72 * GIB
    assert plan(LARGE, 1, 1, 2048).whole > 141 * GIB


def test_the_page_shows_the_plan_that_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (CONFIGS.parents[1] / "docs" / "train.md").read_text()
    for line in table(LARGE, [8, 16, 32], 2048).splitlines()[4:]:
        assert line in page
    monkeypatch.setattr(sys, "argv", ["memory_plan", "8", "--tokens", "1024"])
    memory_plan.main()
    assert capsys.readouterr().out.rstrip() == table(LARGE, [8], 1024)


def begun(inputs: int = 3, outputs: int = 2, places: int = 5, **more: int) -> Transformer:
    torch.manual_seed(0)
    model = Transformer(inputs, outputs, size=replace(SMALL, **more), places=places)
    nn.init.normal_(model.words)
    nn.init.normal_(model.answers)
    return model.double()


def test_every_place_hears_of_every_input_and_of_no_other_sample() -> None:
    model = begun()
    params = torch.rand(4, 3, dtype=torch.float64)
    before = model(params)
    assert before.shape == (4, 2, 5)
    for number in range(3):
        changed = params.clone()
        changed[1, number] += 0.5
        after = model(changed)
        assert (after[1] != before[1]).all()
        assert torch.allclose(after[[0, 2, 3]], before[[0, 2, 3]], rtol=1e-12)
    alone = model(params[1:2])
    assert torch.allclose(alone[0], before[1], rtol=1e-12)


def test_rotation_keeps_lengths_and_tells_distances_only() -> None:
    torch.manual_seed(0)
    q, k = (torch.randn(8, dtype=torch.float64).expand(1, 1, 6, 8) for _ in range(2))
    turned = rotated(q)
    assert torch.allclose(turned.norm(dim=-1), q.norm(dim=-1), rtol=1e-6)
    products = (turned @ rotated(k).transpose(-1, -2))[0, 0]
    for distance in range(-4, 5):
        along = products.diagonal(distance)
        assert torch.allclose(along, along[:1].expand_as(along), atol=1e-5)


def test_recomputing_its_blocks_gives_the_same_gradients() -> None:
    params = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = []
    for recompute in ("none", "every_second", "all"):
        model, calls = begun(), []
        for block in model.blocks:
            block.up.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        prepare_blocks(model, TrainSettings(recompute=recompute))
        model(params).square().sum().backward()
        found.append([p.grad for p in model.parameters()])
        assert len(calls) == {"none": 3, "every_second": 5, "all": 6}[recompute]
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(*found, strict=True))


def trainer(folder: Path, data: Path, model: ModelSettings, **changes: object) -> Trainer:
    settings = settings_of(data, **changes)
    return trainer_with(folder, settings, Single(CPU), lambda source: task_of(source, model))


@pytest.mark.parametrize("mode", ["scalar", "datacube"])
def test_it_learns_global_means_and_fields(tmp_path: Path, arrays: Path, mode: str) -> None:
    settings = settings_of(
        arrays,
        steps=150,
        optimizer={"lr": 3e-3},
        data={"held_out": 0.1},
        validate_every=150,
        ema=0.0,
    )
    size = TransformerSettings(**{**vars(SMALL), "mode": mode})
    learned = trainer_with(tmp_path, settings, Single(CPU), lambda source: task_of(source, size))
    learned.run()
    assert learned.position.best is not None
    assert learned.position.best < 0.15  # in variances of the data


def test_fields_are_weighted_by_area_and_what_is_not_known_does_not_count(tmp_path: Path) -> None:
    folder = make_arrays(tmp_path / "data")
    fields = np.load(folder / "fields.npy")
    fields[0, 0, 1, 2] = np.nan
    np.save(folder / "fields.npy", fields)
    source = open_source(settings_of(folder).data, 0, tmp_path)
    source.area = np.array([[0.5] * 3, [1.5] * 3])
    task = task_of(source, SMALL)
    model = task.model()
    task.begin(model, 0)
    batch = task.ahead(source.read(np.arange(2), source.room(2, pinned=False)))
    count, by_part = task.count(batch)
    assert count == 2 * 2 * 6 - 1.5
    assert by_part.tolist() == [12 - 1.5, 12]
    loss = task.loss(model, batch)
    spread = model.output_spread.reshape(1, 2, 1)
    wrong = (model(batch["params"]) - batch["targets"]) / spread
    weights = torch.tensor([0.5] * 3 + [1.5] * 3)
    expected = torch.nan_to_num(wrong.square() * weights)
    assert loss.total.item() == pytest.approx(expected.sum().item(), rel=1e-5)
    assert loss.parts.tolist() == pytest.approx(expected.sum((0, 2)).tolist(), rel=1e-5)
    truth, found = task.predict(model, batch)
    assert torch.isnan(truth).sum() == 1  # not known, and not drawn
    assert torch.equal(found, model(batch["params"]).reshape(truth.shape))


def test_samples_of_different_length_end_where_they_end(tmp_path: Path) -> None:
    folder = make_arrays(tmp_path / "data")
    np.save(folder / "lengths.npy", np.array([2, 1] * 30))
    source = open_source(settings_of(folder).data, 0, tmp_path)
    task = task_of(source, SMALL)
    some = source.read(np.arange(2), source.room(2, pinned=False))
    assert some["fields"].shape[-1] == 2  # of three
    known = torch.isfinite(task.ahead(some)["targets"]).reshape(2, 2, 2, 3)
    assert known[0, 0].tolist() == [[True, True, False]] * 2
    assert known[1, 1].tolist() == [[True, False, False]] * 2
    means = task_of(source, MlpSettings()).ahead(some)["targets"]
    expected = [some["fields"][i, :, :, :n].mean((1, 2)) for i, n in enumerate((2, 1))]
    assert torch.allclose(means, torch.stack(expected), rtol=1e-5)


def test_another_number_of_heads_is_another_model(tmp_path: Path, arrays: Path) -> None:
    trainer(tmp_path, arrays, SMALL, steps=4).run()
    with pytest.raises(ConfigError, match=r"another model \(heads: there 2, here 4\)"):
        trainer(tmp_path, arrays, replace(SMALL, heads=4)).run()
    with pytest.raises(ConfigError, match=r"another model \(places: there 6, here 1\)"):
        trainer(tmp_path, arrays, replace(SMALL, mode="scalar")).run()


def test_sizes_that_do_not_fit_are_a_sentence(tmp_path: Path, arrays: Path) -> None:
    with pytest.raises(ConfigError, match="heads: a width of 20"):
        TransformerSettings(hidden=20, heads=3)
    with pytest.raises(ConfigError, match=r"model.vocabulary: 13 rows .* write 14 or more"):
        trainer(tmp_path, arrays, replace(SMALL, vocabulary=13))
