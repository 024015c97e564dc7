import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrohpc.errors import ConfigError
from astrohpc.physics.vertical import (
    LayerEdges,
    air_pa,
    pressure_layers,
    remap_layers,
    sigma_layers,
)

# A thin atmosphere's layers: flat at 1 Pa, following the ground below.
HYBRID = LayerEdges(
    np.array([1.0, 30.0, 80.0, 120.0, 60.0, 0.0]), np.array([0.0, 0.0, 0.1, 0.35, 0.7, 1.0])
)


def surface(*lead: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(400.0, 900.0, size=(*lead, 3, 4))


def thickness(ps: np.ndarray, layers: LayerEdges) -> np.ndarray:
    edge = layers.ap_pa[:, None, None] + layers.b[:, None, None] * ps[..., None, :, :]
    return np.abs(np.diff(edge, axis=-3))


def brute(values: np.ndarray, ps: np.ndarray, source: LayerEdges, target: LayerEdges) -> np.ndarray:
    """Means over shared mass, layer by layer from the definition."""
    made = np.full((target.count, *ps.shape), math.nan)
    for at in np.ndindex(ps.shape):
        of, to = (layers.ap_pa + layers.b * ps[at] for layers in (source, target))
        for k in range(target.count):
            mass = np.array(
                [
                    max(
                        0.0,
                        min(max(of[s : s + 2]), max(to[k : k + 2]))
                        - max(min(of[s : s + 2]), min(to[k : k + 2])),
                    )
                    for s in range(source.count)
                ]
            )
            column = values[(slice(None), *at)]
            known = mass * np.isfinite(column)
            if mass.sum() > 0 and known.sum() >= (0.5 - 1e-9) * mass.sum():
                made[(k, *at)] = np.nansum(known * column) / known.sum()
    return made


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_an_isothermal_column_stays_isothermal(kind: str) -> None:
    ps = surface(2)
    values = np.full((2, 5, 3, 4), 210.0, dtype=kind)
    made = remap_layers(values, ps, HYBRID, sigma_layers([0.1, 0.4, 0.8, 1.0]))
    assert made.dtype == kind
    assert made.shape == (2, 3, 3, 4)
    assert np.abs(made - 210.0).max() <= (0.0 if kind == "f4" else 1e-12)


def test_a_profile_linear_in_pressure_has_its_closed_form() -> None:
    """A mean over layers is that of the pressure in the middle, if edges meet edges."""
    source = pressure_layers(np.arange(0.0, 1010.0, 10.0))
    target = pressure_layers([100.0, 150.0, 300.0, 900.0])
    ps = np.full((1, 1), 1000.0)
    values = (3.0 + 0.02 * np.arange(5.0, 1000.0, 10.0))[:, None, None]
    made = remap_layers(values, ps, source, target)[:, 0, 0]
    assert made == pytest.approx(3.0 + 0.02 * np.array([125.0, 225.0, 600.0]), rel=1e-13)


@pytest.mark.parametrize(
    "target",
    [
        sigma_layers([0.0, 0.2, 0.21, 0.6, 1.0]),
        sigma_layers([1.0, 0.5, 0.0]),
        pressure_layers([0.0, 10.0, 450.0, 1200.0]),  # the last reaches into the ground
        pressure_layers([1200.0, 880.0, 20.0, 0.0]),
    ],
)
def test_the_mass_weighted_integral_of_a_column_is_conserved(target: LayerEdges) -> None:
    ps = surface(7)
    values = 200.0 + np.random.default_rng(2).normal(size=(7, 5, 3, 4))
    made = remap_layers(values, ps, HYBRID, target)
    air = air_pa(ps, HYBRID, target)
    assert air.sum(axis=1) == pytest.approx(thickness(ps, HYBRID).sum(axis=1), rel=1e-13)
    after = (np.nan_to_num(made) * air).sum(axis=1)
    before = (values * thickness(ps, HYBRID)).sum(axis=1)
    assert after == pytest.approx(before, rel=1e-12)


def test_layers_onto_themselves_change_nothing() -> None:
    values = np.random.default_rng(3).normal(size=(5, 3, 4))
    made = remap_layers(values, surface(), HYBRID, HYBRID)
    assert made == pytest.approx(values, rel=1e-14)


def test_layers_below_the_ground_and_above_the_top_are_missing() -> None:
    target = pressure_layers([0.0, 0.5, 400.0, 950.0, 1000.0])
    made = remap_layers(np.ones((5, 3, 4)), surface(), HYBRID, target)
    assert np.isnan(made).all(axis=(1, 2)).tolist() == [True, False, False, True]
    assert np.isfinite(made[1:3]).all()


def test_missing_is_the_fill_where_there_is_one() -> None:
    values = np.random.default_rng(4).normal(size=(5, 3, 4)).astype("f4")
    values[2, 1, 1] = np.float32(-1e30)
    ps = surface().astype("f4")
    ps[0, 0] = np.float32(-1e30)
    target = sigma_layers([0.0, 0.001, 0.4, 1.0])
    made = remap_layers(values, ps, HYBRID, target, fill=-1e30)
    assert (made[:, 0, 0] == np.float32(-1e30)).all()
    with_nan = np.where(values == np.float32(-1e30), math.nan, values)
    expected = brute(with_nan, np.where(ps < 0, math.nan, ps).astype("f8"), HYBRID, target)
    assert made == pytest.approx(np.where(np.isnan(expected), -1e30, expected), rel=1e-6)


@pytest.mark.parametrize(("least", "is_known"), [(0.2, True), (0.5, True), (0.6, False)])
def test_a_layer_is_missing_below_the_declared_fraction(least: float, is_known: bool) -> None:
    values = np.array([math.nan, 2.0])[:, None, None]
    made = remap_layers(
        values,
        np.full((1, 1), 100.0),
        sigma_layers([0.0, 0.5, 1.0]),
        sigma_layers([0.0, 1.0]),
        min_fraction=least,
    )
    assert (made[0, 0, 0] == 2.0) == is_known
    assert np.isnan(made[0, 0, 0]) != is_known


edges = st.lists(st.integers(0, 40), min_size=2, max_size=8, unique=True).map(
    lambda found: np.sort(np.array(found, dtype=np.float64)) / 40.0
)


@settings(max_examples=60, deadline=None)
@given(edges, edges, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 10**6))
def test_random_layers_equal_the_definition(
    of: np.ndarray, to: np.ndarray, up: bool, down: bool, fixed: bool, seed: int
) -> None:
    source = sigma_layers(of[::-1] if up else of)
    target = pressure_layers(700.0 * to) if fixed else sigma_layers(to[::-1] if down else to)
    ps = surface(seed=seed)
    values = np.random.default_rng(seed).normal(size=(source.count, 3, 4))
    values[np.random.default_rng(seed + 1).random(values.shape) < 0.15] = math.nan
    made = remap_layers(values, ps, source, target)
    np.testing.assert_allclose(made, brute(values, ps, source, target), rtol=1e-9, atol=1e-9)


def test_what_is_no_layer_is_refused() -> None:
    ps, values = surface(), np.zeros((5, 3, 4))
    with pytest.raises(ConfigError, match=r"^layers: values of shape"):
        remap_layers(values[:4], ps, HYBRID, HYBRID)
    with pytest.raises(ConfigError, match=r"^layers: values of shape"):
        remap_layers(values, ps[:2], HYBRID, HYBRID)
    with pytest.raises(ConfigError, match=r"^layers: in 12 columns .* in Pa"):
        remap_layers(values, ps / 1000.0, HYBRID, HYBRID)
    with pytest.raises(ConfigError, match=r"^min_fraction: "):
        remap_layers(values, ps, HYBRID, HYBRID, min_fraction=0.0)
    with pytest.raises(ConfigError, match=r"^layers: edges ap of shape"):
        LayerEdges(np.zeros(3), np.zeros(4))
    with pytest.raises(ConfigError, match=r"^layers: .*gaps"):
        LayerEdges(np.array([0.0, math.nan]), np.zeros(2))
    with pytest.raises(ConfigError, match=r"^sigma_edges: "):
        sigma_layers([0.0, 1.2])
    with pytest.raises(ConfigError, match=r"^pressure_edges_pa: "):
        pressure_layers([0.0, 500.0, 400.0])
