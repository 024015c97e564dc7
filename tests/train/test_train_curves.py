"""The page of curves: what TensorBoard itself reads, several runs at once, with what is synthetic marked."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support_train import Stopper, settings_of, trainer_in

from astrohpc.errors import ConfigError
from astrohpc.train.curves import Curves, draw, read
from astrohpc.train.events import EventFile


def one(
    name: str = "one", mark: str = "", resumed: tuple[int, ...] = (), lift: float = 1.0
) -> Curves:
    steps = range(10, 110, 10)
    scalars = {
        "loss": [(step, lift * 10.0 / step) for step in steps],
        "learning rate": [(step, lift * 1e-3) for step in steps],
        "gradient norm": [(step, lift) for step in steps],
        "samples per s": [(step, 100.0 * lift) for step in steps],
        "data wait": [(step, 0.1) for step in steps],
    }
    return Curves(name, scalars, resumed, mark)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def red(png: bytes) -> int:
    """How much of a page is written in the colour of warnings."""
    r, g, b = np.moveaxis(pixels(png), -1, 0)
    return int(((r > 190) & (g < 110) & (b < 110)).sum())


def test_a_run_that_went_on_is_read_as_one(tmp_path: Path, arrays: Path) -> None:
    settings = settings_of(arrays, data={"held_out": 0.1}, validate_every=12)
    words = json.dumps({"mark": "synthetic"})
    trainer_in(tmp_path / "run", settings, stop=Stopper(9), texts={"data": words}).run()
    trainer_in(tmp_path / "run", settings, texts={"data": words}).run()
    found = read(tmp_path / "run")
    assert (found.name, found.steps, found.resumed) == ("run", 24, (9,))
    assert found.mark == "synthetic"
    assert [step for step, _ in found.scalars["loss"]] == list(range(1, 25))
    assert [step for step, _ in found.scalars["validation/loss"]] == [12, 24]
    assert read(tmp_path / "run" / "tensorboard") == found
    assert pixels(draw([found])).shape == (432, 816, 3)


def test_a_page_says_whether_data_are_synthetic_and_where_attempts_went_on() -> None:
    plain = draw([one()])
    assert red(plain) == 0
    assert red(draw([one(mark="synthetic")])) > 100
    assert red(draw([one(), one("two", mark="synthetic", lift=2.0)])) > 100
    assert not np.array_equal(pixels(plain), pixels(draw([one(resumed=(50,))])))


def test_several_runs_have_several_colours() -> None:
    blue, orange = (31, 119, 180), (255, 127, 14)

    def has(page: np.ndarray, colour: tuple[int, int, int]) -> bool:
        return bool((np.abs(page - colour).max(-1) < 12).any())

    alone, both = pixels(draw([one()])), pixels(draw([one(), one("two", lift=3.0)]))
    assert has(alone, blue)
    assert not has(alone, orange)
    assert has(both, blue)
    assert has(both, orange)


def test_losses_that_are_no_numbers_are_gaps() -> None:
    run = one()
    run.scalars["loss"] = [(10, float("nan")), (20, float("inf")), (30, -1.0)]
    assert pixels(draw([run])).shape == (432, 816, 3)


def test_what_is_no_training_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere: it has no event file of TensorBoard; name"):
        read(tmp_path / "nowhere")
    EventFile(tmp_path / "early" / "tensorboard", 0, 0.0).close()
    with pytest.raises(ConfigError, match="early: its event file has no loss yet"):
        read(tmp_path / "early")
    board = tmp_path / "torn" / "tensorboard"
    board.mkdir(parents=True)
    (board / "events.out.tfevents.1.x").write_bytes(b"\x18" * 40)
    with pytest.raises(ConfigError, match="torn: its event file has no loss yet"):
        read(tmp_path / "torn")
