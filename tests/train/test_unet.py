"""The U-Net itself: what lies beyond a map's edges, what it says before it has learned, what it hears of."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from astrohpc.errors import ConfigError
from astrohpc.models.sphere import continued, gathered, neighbours, spread_out
from astrohpc.models.unet import LEAST_SPREAD, Channel, Unet, UnetShape
from astrohpc.settings import build
from astrohpc.train import initial
from astrohpc.train.optimize import prepare_blocks
from astrohpc.train.settings import TrainSettings

LAT = tuple(np.linspace(-84.375, 84.375, 16))
LON = tuple(np.arange(24) * 15.0)
SHAPE = UnetShape(
    inputs=3,
    variables=(
        Channel(name="va", levels=8, odd=True),
        Channel(name="ts"),
        Channel(name="ta", levels=8),
    ),
    lat=LAT,
    lon=LON,
    depth=tuple(np.linspace(0.05, 0.95, 8)),
    width=8,
    stages=2,
)


def begun(shape: UnetShape = SHAPE, seed: int = 0, *, answers: float = 0.0) -> Unet:
    """In float64, with last layers that do not begin at zero where ``answers`` says so."""
    model = Unet(shape)
    spreads = {name: answers for name in model.beginnings() if name.startswith("last")}
    initial.begin(model, seed, {**model.beginnings(), **spreads})
    return model.double().eval()


def given(shape: UnetShape = SHAPE, planets: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    channels = sum(max(1, one.levels) for one in shape.variables)
    fields = (planets, channels, len(shape.lat) * len(shape.lon))
    scaled, guess, spread = (
        torch.rand(size, generator=draw, dtype=torch.float64)
        for size in ((planets, shape.inputs), fields, fields)
    )
    return scaled, guess, spread + 0.5


def test_beyond_an_edge_lies_what_lies_there_on_the_planet() -> None:
    """A scalar that is smooth in space, and a wind that blows straight across the pole."""
    lat, lon = np.radians(np.linspace(-85, 85, 18))[:, None], np.radians(np.arange(36) * 10.0)
    scalar = np.cos(lat) * np.cos(lon - 0.3) + 0.2 * np.sin(lat)
    east = -np.sin(lon) + 0 * lat  # of a flow along the axis from which longitudes count
    north = -np.sin(lat) * np.cos(lon)
    field = torch.from_numpy(np.stack([scalar, east, north], -1))[None]
    found = continued(field, odd=2)[0].numpy()
    # One row further, beyond the pole: latitude 95° on longitude 0° is 85° on 180°.
    wide = np.radians(np.concatenate([[-95], np.linspace(-85, 85, 18), [95]]))[:, None]
    along = np.radians(np.arange(-10, 370, 10.0))
    np.testing.assert_allclose(
        found[..., 0], np.cos(wide) * np.cos(along - 0.3) + 0.2 * np.sin(wide), atol=1e-12
    )
    # In the frame of a walker who went straight on: east is where it was before the pole.
    np.testing.assert_allclose(found[..., 1], -np.sin(along) + 0 * wide, atol=1e-12)
    np.testing.assert_allclose(found[..., 2], -np.sin(wide) * np.cos(along), atol=1e-12)


def test_a_map_without_longitudes_goes_on_across_the_pole_as_it_is() -> None:
    field = torch.arange(8.0).reshape(1, 4, 1, 2)
    found = continued(field, odd=1)
    assert found.shape == (1, 6, 3, 2)
    assert found[0, 0, 1].tolist() == [0.0, -1.0]
    assert found[0, 5, 1].tolist() == [6.0, -7.0]
    assert torch.equal(found[:, 1:-1, 0], field[:, :, 0])


def test_cells_become_one_and_come_apart_again_and_levels_know_their_neighbours() -> None:
    x = torch.randn(2, 4, 6, 8, 3)
    together = gathered(x, (2, 3, 4))
    assert together.shape == (2, 2, 2, 2, 72)
    assert torch.equal(together[0, 1, 0, 1].view(2, 3, 4, 3), x[0, 2:, :3, 4:])
    assert torch.equal(spread_out(together, (2, 3, 4)), x)
    above, own, below = neighbours(x).chunk(3, dim=-1)
    assert torch.equal(own, x)
    assert torch.equal(above[:, 1:], x[:, :-1])
    assert torch.equal(below[:, :-1], x[:, 1:])
    assert torch.equal(above[:, 0], x[:, 0])
    assert torch.equal(below[:, -1], x[:, -1])


def test_before_the_first_step_it_says_what_the_guess_says() -> None:
    model, (scaled, guess, spread) = begun(), given()
    model.unit.fill_(0.3)
    spread[0, 0, 0] = 0.0  # of which no logarithm can be taken
    mean, std = model(scaled, guess, spread)
    assert torch.equal(mean, guess)
    assert std[0, 0, 0].item() == pytest.approx(LEAST_SPREAD * 0.3)
    assert torch.equal(std[1:], spread[1:])


@pytest.mark.parametrize(
    "shape",
    [
        SHAPE,
        replace(SHAPE, variables=SHAPE.variables[1:2], depth=(), lon=(0.0,)),  # a line of latitudes
        replace(SHAPE, variables=SHAPE.variables[:1], lat=LAT[:5], lon=LON[:9]),  # nothing is even
        replace(SHAPE, stages=0, patch=1, blocks=2),
    ],
)
def test_any_grid_is_answered_in_its_own_cells(shape: UnetShape) -> None:
    model, (scaled, guess, spread) = begun(shape, answers=0.1), given(shape)
    mean, std = model(scaled, guess, spread)
    assert mean.shape == std.shape == guess.shape
    assert (std > 0).all()
    assert (mean != guess).all()


def test_every_cell_hears_of_its_planet_and_of_its_neighbours_and_of_no_other_planet() -> None:
    model, (scaled, guess, spread) = begun(answers=0.1), given()
    before = model(scaled, guess, spread)[0]
    for number in range(3):
        other = scaled.clone()
        other[1, number] += 0.5
        after = model(other, guess, spread)[0]
        assert (after[1] != before[1]).all()
        assert torch.equal(after[[0, 2]], before[[0, 2]])
    other = guess.clone()
    other[1, 0, 0] += 0.5  # the wind of the uppermost level at longitude 0, beside the south pole
    moved = (model(scaled, other, spread)[0] - other != before - guess)[1]
    va, ts, ta = moved.unflatten(1, (len(LAT), len(LON))).split([8, 1, 8])
    assert va[1, 0, 0]  # below it
    assert ts[0, 0, 0]  # far below
    assert ta[0, 0, 12]  # beyond the pole
    assert ta[0, 0, 23]  # beyond longitude 0
    assert not ta[:, 15].any()  # at the other pole
    alone = model(scaled[1:2], guess[1:2], spread[1:2])[0]
    assert torch.allclose(alone[0], before[1], rtol=1e-12)


def test_a_planet_turned_by_a_whole_patch_of_all_stages_is_answered_turned() -> None:
    model, (scaled, guess, spread) = begun(answers=0.1), given()
    model.places[2:4] = 0.0  # longitudes are told apart by nothing but their fields

    def turned(x: Tensor) -> Tensor:
        return x.unflatten(2, (len(LAT), len(LON))).roll(4, dims=3).flatten(2)

    straight = model(scaled, guess, spread)
    for one, other in zip(straight, model(scaled, turned(guess), turned(spread)), strict=True):
        assert torch.allclose(turned(one), other, rtol=1e-10)


def test_a_map_looks_at_the_whole_column_and_levels_at_those_beside_them() -> None:
    model, (scaled, guess, spread) = begun(answers=0.1), given()
    ta = guess.clone().requires_grad_()
    mean, _ = model(scaled, ta, spread)
    mean[0, 8].sum().backward()  # of ts, which stands between the two variables on levels
    assert ta.grad is not None
    assert (ta.grad[0].abs().sum(-1) > 0).all()
    assert not ta.grad[1:].any()


def test_recomputing_its_blocks_gives_the_same_gradients() -> None:
    found = []
    for recompute in ("none", "every_second", "all"):
        model, calls = begun(answers=0.1), []
        for block in model.blocks:
            block.up.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        prepare_blocks(model, TrainSettings(recompute=recompute))
        mean, std = model(*given())
        (mean.square().sum() + std.sum()).backward()
        found.append([p.grad for p in model.parameters()])
        assert len(calls) == {"none": 3, "every_second": 5, "all": 6}[recompute]
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(*found, strict=True))


def test_in_bfloat16_answers_keep_the_digits_of_the_guess() -> None:
    model, (scaled, guess, spread) = begun(answers=0.1), given()
    model.output_mean.fill_(1e5)
    exact = model(scaled, guess + 1e5, spread)
    model.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mean, std = model(scaled.float(), (guess + 1e5).float(), spread.float())
    assert mean.dtype == std.dtype == torch.float32
    assert (mean - exact[0]).abs().max() < 0.05
    assert torch.allclose(std.double(), exact[1], rtol=0.1)


def test_plain_words_and_tensors_are_the_network_again() -> None:
    model = begun(answers=0.1)
    model.unit.fill_(0.7)
    words = json.loads(json.dumps(SHAPE.plain()))
    assert build(UnetShape, words, "network") == SHAPE
    again = Unet.of(words, model.state_dict()).double()
    for one, other in zip(model(*given()), again(*given()), strict=True):
        assert torch.allclose(one, other, rtol=1e-6)  # tensors were rounded to float32
    with pytest.raises(ConfigError, match=r"network.heads: there is no such setting"):
        Unet.of({**words, "heads": 2}, model.state_dict())
