"""What the model makes of worlds that it never saw: errors in the data's units, and pictures beside the truth."""

import io
import sys
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import torch
from PIL import Image
from support_train import make_arrays, settings_of, small_trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from astrohpc.clock import SystemClock
from astrohpc.errors import ConfigError
from astrohpc.models.mlp import MlpSurrogate
from astrohpc.models.settings import MlpSettings
from astrohpc.train.compared import chosen, pictures
from astrohpc.train.engines.single import Single
from astrohpc.train.fields import Fields
from astrohpc.train.run import Run, trainer_of
from astrohpc.train.settings import DataSettings
from astrohpc.train.sources import Batch, open_source
from astrohpc.train.task import GlobalMeans
from astrohpc.train.validate import validate

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))
from support_store import made

CPU = torch.device("cpu")


class SmallFields(Fields):
    """The small network, of fields."""

    def __init__(self, source: Any, settings: Any) -> None:
        super().__init__(source, settings, MlpSurrogate)


class Right(SmallFields):
    """Knows the answer."""

    def predict(self, model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return batch["targets"], batch["targets"]


def cubes(folder: Path, members: int = 4) -> Path:
    """A store of 64 × 32 × 20 of five variables, which our converter made of a NetCDF file a world."""
    axes = {"lev": np.linspace(0.05, 0.98, 20), "lat": np.linspace(-87, 87, 32)}
    axes["lon"] = np.arange(64) * 5.625
    random = np.random.default_rng(3)
    for m in range(members):
        with netCDF4.Dataset(folder / "runs" / f"world{m}.nc", "w") as data:
            data.setncatts({"source": "synthetic", "planet_stellar_flux_wm2": 900.0 + 50 * m})
            for name, values in axes.items():
                data.createDimension(name, len(values))
                axis = data.createVariable(name, "f8", (name,))
                axis[:] = values
                axis.units = {"lat": "degrees_north", "lon": "degrees_east"}.get(name, "1")
            data["lev"].positive = "down"
            for k, name in enumerate(("ta", "hus", "ua", "va", "wap")):
                field = data.createVariable(name, "f4", ("lev", "lat", "lon"))
                field.setncatts(
                    {"units": "K" if name == "ta" else "m s-1", "long_name": f"field {k}"}
                )
                profile = (200.0 + 5 * m) * np.exp(-k) * axes["lev"][:, None, None]
                field[:] = profile + random.normal(0, 0.1, (20, 32, 64))
    made(folder / "runs", folder / "cubes.zarr", members="file")
    return folder / "cubes.zarr"


def panels(png: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The coloured parts of truth, prediction and difference."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    height, third = pixels.shape[0], pixels.shape[1] // 3
    rows = slice(int(0.25 * height), int(0.8 * height))
    return tuple(pixels[rows, int((k + 0.2) * third) : int((k + 0.7) * third)] for k in range(3))  # type: ignore[return-value]


def images_of(folder: Path) -> dict[str, list[Any]]:
    read = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0})
    read.Reload()
    return {tag: read.Images(tag) for tag in read.Tags()["images"]}


def test_fields_are_shown_beside_the_truth(tmp_path: Path, arrays: Path) -> None:
    """The truth has one pattern for all; an untrained network has not, and one that knows it has."""
    settings = settings_of(arrays, steps=5, data={"held_out": 0.1}, log={"images_every": 5})
    for task, alike in ((SmallFields, False), (Right, True)):
        folder = tmp_path / task.__name__
        small_trainer(folder, settings, Single(CPU), task=task).run()
        found = images_of(folder)
        assert sorted(found) == [
            f"compared/channel_{k}/{sample}" for k in (0, 1) for sample in (1, 2, 3)
        ]
        for tag, shown in found.items():
            assert [one.step for one in shown] == [5], tag
            assert {(one.width, one.height) for one in shown} == {(1008, 232)}
            truth, prediction, difference = panels(shown[-1].encoded_image_string)
            assert len(np.unique(truth.reshape(-1, 3), axis=0)) >= 3, "a field and not one colour"
            assert np.array_equal(truth, prediction) == alike
            assert not np.array_equal(truth, difference)


def test_what_is_shown_is_held_out_and_always_the_same(arrays: Path) -> None:
    source = open_source(DataSettings(source=str(arrays), held_out=0.2), 0, arrays)
    assert chosen(source).tolist() == [50, 54, 58] == chosen(source).tolist()
    whole = open_source(DataSettings(source=str(arrays)), 0, arrays)
    assert chosen(whole).tolist() == [10, 30, 50]


def test_errors_are_in_the_units_of_the_data(tmp_path: Path, arrays: Path) -> None:
    """A network that says the mean of its training data errs by what is held out is away from that."""
    (arrays / "names.json").write_text('{"channels": ["ts", "pr"], "units": ["K", "mm d-1"]}')
    fields = np.load(arrays / "fields.npy").astype("f8") * [[[[1000.0]], [[1.0]]]]
    np.save(arrays / "fields.npy", fields)
    settings = settings_of(arrays, ema=0, data={"held_out": 0.25})
    for task, axes in ((GlobalMeans, (0,)), (SmallFields, (0, 2, 3))):
        trainer = small_trainer(tmp_path / task.__name__, settings, Single(CPU), task=task)
        with torch.no_grad():
            for weight in trainer.engine.model.last.parameters():
                weight.zero_()
        found = validate(trainer.stepper, trainer.source, 8)
        values = fields if task is SmallFields else fields.mean((2, 3))
        mean = values[:45].mean(axes, keepdims=True)
        expected = np.sqrt(np.square(values[45:] - mean).mean(axes))
        assert list(found.rmse) == ["ts", "pr"]
        np.testing.assert_allclose(list(found.rmse.values()), expected, rtol=1e-5)
        assert "validation/rmse of ts [K]" in found.scalars(trainer.source.about)
        spread = values[:45].std(axes)
        np.testing.assert_allclose(
            list(found.parts.values()), np.square(expected / spread), rtol=1e-5
        )


def test_single_numbers_are_bars_and_lines_are_profiles(tmp_path: Path) -> None:
    data = make_arrays(tmp_path / "line")
    np.save(data / "fields.npy", np.load(data / "fields.npy").mean(2))
    settings = settings_of(data, data={"held_out": 0.1})
    for task in (GlobalMeans, SmallFields):
        trainer = small_trainer(tmp_path / task.__name__, settings, Single(CPU), task=task)
        found = pictures(trainer.stepper, trainer.source, True)
        assert list(found) == ["compared/channel_0", "compared/channel_1"]
        sizes = {Image.open(io.BytesIO(png)).size for png in found.values()}
        assert sizes == {(672, 232)}
        assert pictures(trainer.stepper, trainer.source, False) == {}


def test_a_store_of_cubes_is_trained_on_and_shown(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    path = cubes(tmp_path)
    run = Run(
        tmp_path / "run",
        settings_of(
            path,
            steps=6,
            batch=3,
            ema=0,
            data={"held_out": 0.25, "variables": ["ta", "hus", "ua", "va", "wap"]},
            validate_every=6,
            log={"images_every": 6},
        ),
        MlpSettings(learns="fields", width=4, depth=1),
    )
    trainer = trainer_of(run, Single(CPU), SystemClock(), lambda _: None, lambda: False)
    assert trainer.source.room(2, pinned=False)["fields"].shape == (2, 100, 32, 64)
    assert trainer.run() == "done"
    # Each level of each variable is of about one, whatever its size in its own units.
    one = trainer.source.read(np.arange(3), trainer.source.room(3, pinned=False))["fields"]
    model = trainer.engine.model
    normal = (one.movedim(1, -1) - model.output_mean) / model.output_spread
    assert normal.std((0, 1, 2)).sub(1).abs().max() < 0.01
    read = EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"tensors": 0})
    read.Reload()
    tags = read.Tags()
    assert {"validation/rmse of ta [K]", "validation/rmse of wap [m s-1]"} <= set(tags["scalars"])
    assert read.Scalars("loss")[-1].value < read.Scalars("loss")[0].value
    assert sorted(tags["images"]) == [
        f"compared/{name}/1" for name in ("hus", "ta", "ua", "va", "wap")
    ]
    assert b'"mark": "synthetic"' in read.Tensors("data/text_summary")[0].tensor_proto.string_val[0]


def test_a_network_that_cannot_fit_is_refused_before_it_is_made(arrays: Path) -> None:
    source = open_source(DataSettings(source=str(arrays)), 0, arrays)
    task = Fields(source, {"width": 1000, "depth": 1}, MlpSurrogate)
    weights = sum(p.numel() for p in task.model().parameters())
    assert task.if_it_fits(weights * 16) is task
    with pytest.raises(ConfigError) as caught:
        task.if_it_fits(weights * 16 - 1)
    assert str(caught.value).startswith(
        f"model.learns: fields of 12 values a sample make a network of {weights:,} weights, which"
    )
    assert "name fewer variables in train.data.variables" in str(caught.value)
