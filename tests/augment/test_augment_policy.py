"""Policies: composed from configs/augment, and refused where they could fold or mean nothing."""

import numpy as np
import pytest

from astrohpc.augment.policy import CutMix, Elastic, Jitter, Mixup, Noise, policy_of
from astrohpc.augment.rules import blocks_of, declared
from astrohpc.augment.sphere import bend, controls_of, largest_turn_deg
from astrohpc.errors import ConfigError
from astrohpc.launch.compose import compose_root
from astrohpc.physics.latlon import LatLon
from astrohpc.physics.layout import Block, Layout
from astrohpc.physics.vertical import LayerEdges, sigma_layers

GRID = LatLon.uniform(6, 8)


def test_policies_compose_and_can_be_overridden() -> None:
    default = policy_of(compose_root("augment", []))
    assert default.elastic is not None
    assert default.jitter is None
    strong = policy_of(compose_root("augment", ["augment=strong", "augment.noise.share=0.07"]))
    assert strong.noise == Noise(share=0.07)
    assert strong.jitter == Jitter(step=0.05)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("augment=stong", "augment: there is no 'stong'; did you mean 'strong'"),
        ("augment.nose.share=1", r"augment\.nose\.share: there is no .*did you mean 'noise'"),
        ("augment.noise.sahre=1", r"augment\.noise\.sahre: there is no .*did you mean 'share'"),
    ],
)
def test_a_wrong_override_is_named(override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        policy_of(compose_root("augment", [override]))


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ConfigError, match=r"augment\.elastic\.amplitude: .*did you mean"):
        policy_of({"name": "x", "elastic": {"amplitude": 3}})


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (Elastic, {"amplitude_deg": 30.0}, "amplitude_deg: 30 degrees .* could fold"),
        (Elastic, {"points": 4}, "points: 4"),
        (Elastic, {"layers": 0.9}, "layers: 0.9 could fold"),
        (Elastic, {"probability": 2.0}, "probability"),
        (Mixup, {"concentration": 0.0}, "concentration"),
        (CutMix, {"low": 0.5, "high": 0.4}, "low, high"),
        (CutMix, {"edge_deg": 0.0}, "edge_deg"),
        (Noise, {"share": -1.0}, "share"),
        (Noise, {"gain": -1.0}, "gain"),
        (Jitter, {"step": 1.5}, "step"),
    ],
)
def test_values_that_mean_nothing_are_refused(kind, values, words) -> None:
    with pytest.raises(ConfigError, match=words):
        kind(**values)


@pytest.mark.parametrize("points", [8, 32, 100])
def test_every_place_hears_several_control_points(points: int) -> None:
    controls = controls_of(points)
    random = np.random.default_rng(0).normal(size=(2000, 3))
    x = random / np.linalg.norm(random, axis=1, keepdims=True)
    heard = (x @ controls.at.T > controls.edge).sum(axis=1)
    assert heard.min() >= 3
    assert 0.0 < largest_turn_deg(points) < 12.0
    assert bend(points) > 1.0


def test_what_is_declared_depends_on_what_is_there() -> None:
    layers = sigma_layers([0.0, 0.5, 1.0])
    names = [("ta", 2), ("hus", 2), ("ua", 2), ("va", 2), ("clt", 0), ("ps", 0)]
    whole = Layout(tuple(Block.canonical(*each) for each in names), GRID, layers)
    assert set(declared(whole, "zero")) == {
        "means", "dry_air", "positivity", "shares", "enthalpy", "water", "angular_momentum", "mass_flux",
    }  # fmt: skip
    assert "mass_flux" not in declared(whole, "free")
    without = Layout(whole.blocks[:-1], GRID, layers)
    assert declared(without, "free") == ("means", "positivity", "shares")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("ua",), "ua: an eastward wind without"),
        (("va",), "va: a northward wind without"),
        (("ta",), "ps: layers between"),
    ],
)
def test_layouts_that_cannot_be_augmented_are_refused(names, words) -> None:
    layers = LayerEdges(np.array([0.0, 2e4, 0.0]), np.array([0.0, 0.2, 1.0]))
    layout = Layout(tuple(Block.canonical(name, 2) for name in names), GRID, layers)
    with pytest.raises(ConfigError, match=words):
        blocks_of(layout, "free")
