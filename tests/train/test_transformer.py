"""The transformer of 13 billion parameters: its exact count, its plan of memory, its mathematics in small."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from astrohpc.errors import ConfigError
from astrohpc.models.transformer import Transformer, TransformerSize, rotated
from astrohpc.train.memory_plan import GIB, plan
from astrohpc.train.optimize import prepare_blocks
from astrohpc.train.settings import TrainSettings

LARGE = TransformerSize()
SMALL = TransformerSize(hidden=16, heads=2, inner=32, vocabulary=11, blocks=3)


def counted(size: TransformerSize) -> int:
    with torch.device("meta"):
        model = Transformer(size)
    return sum(p.numel() for p in model.parameters())


def test_sixty_four_blocks_are_thirteen_billion_and_the_count_is_exact() -> None:
    assert counted(LARGE) == LARGE.parameters == 13_147_574_272
    fewer = replace(LARGE, blocks=63)
    assert counted(fewer) == fewer.parameters == 12_946_239_488


def test_the_plan_fits_eight_gpus_of_80_gib_and_not_one() -> None:
    states = {gpus: plan(LARGE, gpus, 1, 2048).state / GIB for gpus in (1, 8, 16, 32)}
    assert states[1] == pytest.approx(195.9, abs=0.1)
    assert [states[n] for n in (8, 16, 32)] == pytest.approx([24.5, 12.2, 6.1], abs=0.1)
    assert plan(LARGE, 8, 1, 2048).kept == 64 * 2048 * 4096 * 2
    assert plan(LARGE, 8, 4, 2048).whole < 72 * GIB
    assert plan(LARGE, 1, 1, 2048).whole > 141 * GIB


def test_no_token_sees_those_after_it() -> None:
    torch.manual_seed(0)
    model = Transformer(SMALL).double()
    tokens = torch.randint(0, 11, (2, 9))
    before = model(tokens)
    tokens[:, 6:] = (tokens[:, 6:] + 1) % 11
    after = model(tokens)
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6:], after[:, 6:])


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
    tokens = torch.randint(0, 11, (2, 9), generator=torch.Generator().manual_seed(1))
    found = []
    for recompute in ("none", "all"):
        torch.manual_seed(0)
        model = Transformer(SMALL)
        prepare_blocks(model, TrainSettings(recompute=recompute))
        scores = model(tokens[:, :-1])
        nn.functional.cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        found.append([p.grad for p in model.parameters()])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_sizes_that_do_not_fit_are_a_sentence() -> None:
    with pytest.raises(ConfigError, match="heads: a width of 20"):
        TransformerSize(hidden=20, heads=3)
