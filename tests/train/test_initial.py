"""Weights begin as a function of seed, name and place: however a model is cut up, and on whatever device."""

import math

import pytest
import torch
from support_train import CPU
from torch import nn

from astrohpc.errors import ConfigError
from astrohpc.train import initial
from astrohpc.train.engines.single import Single


class Net(nn.Module):
    """A matrix whose rows are drawn in several blocks, a convolution, a norm, a bias and a buffer."""

    def __init__(self, buffer: str = "cpu") -> None:
        super().__init__()
        self.wide = nn.Linear(300, 700)
        self.conv = nn.Conv2d(3, 5, 3)
        self.norm = nn.LayerNorm(4)
        self.register_buffer("scale", torch.full((2,), 7.0, device=buffer))


def begun(seed: int = 1, **spreads: float) -> Net:
    model = Net()
    initial.begin(model, seed, spreads)
    return model


def test_the_same_seed_gives_the_same_weights_and_another_seed_or_name_others() -> None:
    one, again, other = begun(), begun(), begun(seed=2)
    for name, value in one.named_parameters():
        assert torch.equal(value, dict(again.named_parameters())[name])
    assert not torch.equal(one.wide.weight, other.wide.weight)
    square = nn.ModuleDict({"a": nn.Linear(9, 9), "b": nn.Linear(9, 9)})
    initial.begin(square, 1, {})
    assert not torch.equal(square["a"].weight, square["b"].weight)


def test_weights_have_the_spread_of_torch_s_or_the_one_that_is_asked_for() -> None:
    model = begun(**{"conv.weight": 5.0})
    numbers = model.wide.weight
    assert numbers.std().item() == pytest.approx(1 / math.sqrt(3 * 300), rel=0.01)
    assert abs(numbers.mean().item()) < 4 * numbers.std().item() / math.sqrt(numbers.numel())
    assert model.conv.weight.std().item() == pytest.approx(5.0, rel=0.2)
    assert model.norm.weight.tolist() == [1] * 4
    assert not model.wide.bias.any()
    assert not model.norm.bias.any()


@pytest.mark.parametrize("ranks", [2, 3, 7])
def test_rows_of_any_cut_are_those_of_the_whole(ranks: int) -> None:
    whole = torch.empty(700, 300)
    initial._draw(whole, 0, b"k" * 32, 0.5)
    for rows in torch.arange(700).chunk(ranks):
        part = torch.empty(len(rows), 300)
        initial._draw(part, int(rows[0]), b"k" * 32, 0.5)
        assert torch.equal(part, whole[rows])
    initial._draw(torch.empty(0, 300), 700, b"k" * 32, 0.5)  # of a rank that has none


def test_a_model_without_memory_gets_room_and_its_buffers_keep_their_values() -> None:
    with torch.device("meta"):
        model = Net()
    assert model.wide.weight.is_meta
    engine = Single(CPU)
    engine.prepare(
        model,
        lambda m: torch.optim.SGD(m.parameters(), lr=0.1),
        lambda m: initial.begin(m, 1, {}),
    )
    assert torch.equal(model.wide.weight, begun().wide.weight)
    assert model.scale.tolist() == [7.0, 7.0]
    assert model.wide.weight.requires_grad


def test_a_buffer_without_a_value_is_refused() -> None:
    with torch.device("meta"):
        model = Net(buffer="meta")
    with pytest.raises(ConfigError, match="its buffer scale has no value"):
        initial.make_room(model, CPU)
