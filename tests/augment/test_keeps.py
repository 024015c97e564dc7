"""Each operation, and any chain of them, keeps what it declares: to 1e-6, by sums of our own."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support_augment import (
    GRIDS,
    LAYERS,
    layout_of,
    rows_of,
    spread_of,
    synthetic,
    thickness,
    total_of,
)

from astrohpc.augment.chain import Augmented, Chain
from astrohpc.augment.draws import draw
from astrohpc.augment.policy import CutMix, Elastic, Jitter, Mixup, Noise, Policy
from astrohpc.augment.rules import SHARES
from astrohpc.physics import laws
from astrohpc.physics.integrals import Integrals
from astrohpc.physics.layout import Block, Layout
from astrohpc.physics.sums import zonal_sums
from astrohpc.physics.worlds import Worlds

CLOSE = 1e-6
EVERYTHING = Policy(
    name="all",
    jitter=Jitter(),
    elastic=Elastic(amplitude_deg=5.0),
    mixup=Mixup(concentration=1.0),
    cutmix=CutMix(),
    noise=Noise(share=0.05),
    mass_flux="kept",
)
QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def expected(
    layout: Layout, batch: np.ndarray, done: Augmented, rows: np.ndarray, seed: int, policy: Policy
) -> np.ndarray:
    """Totals or row sums [B, T, ...] of the inputs, between times and mixed as the answer says."""
    count, times = batch.shape[:2]
    drawn = draw(
        policy, layout, seed=seed, ids=np.arange(count), times=times, partner=np.zeros(count, np.int64),
        spread=None, quality=np.ones(count), mean_ps_pa=np.full(count, 1e5), spin_ms=np.zeros((count, 2)),
    )  # fmt: skip
    shape = (count, times) + (1,) * (rows.ndim - 2)
    part = drawn.part.astype(np.float64).reshape(shape)
    sample = np.arange(count)[:, None]
    after = np.minimum(drawn.before + 1, times - 1)
    own = (1.0 - part) * rows[sample, drawn.before] + part * rows[sample, after]
    lam = done.lam.reshape(count, *shape[1:1], *(1,) * (rows.ndim - 1))
    return np.where(lam < 1.0, lam * own + (1.0 - lam) * rows[done.partner], own)


def check(
    layout: Layout,
    batch: np.ndarray,
    done: Augmented,
    seed: int,
    policy: Policy,
    spin: np.ndarray | None = None,
) -> None:
    """All totals, and all bounds; ``spin`` [B] is the speed of the samples' equators."""
    spin = np.zeros(len(batch)) if spin is None else spin
    others = np.where(done.partner >= 0, done.partner, 0)
    mixed = done.lam * spin + (1.0 - done.lam) * spin[others]
    for block in layout:
        part = done.out[:, :, layout.slice(block.name)]
        if block.positive:
            assert part.min() >= 0.0
        if block.name in SHARES:
            assert part.max() <= 1.0
        if block.role == "northward":
            continue
        before, got = total_of(layout, block, batch), total_of(layout, block, done.out)
        if block.role == "eastward":
            before = before + turning(layout, block, batch, spin)
            got = got + turning(layout, block, done.out, mixed)
        wanted = expected(layout, batch, done, before, seed, policy)
        scale = np.maximum(np.abs(wanted), total_of(layout, block, done.out, size=True))
        np.testing.assert_array_less(np.abs(got - wanted), CLOSE * scale + 1e-30, block.name)
        assert done.residuals[block.name].max() < CLOSE


def turning(layout: Layout, block: Block, fields: np.ndarray, spin: np.ndarray) -> np.ndarray:
    """What air at rest has of angular momentum, [B, T], as the wind's is counted."""
    rows = np.einsum("stlji->stj", thickness(layout, block, fields) * np.ones(fields.shape[-2:]))
    return spin[:, None] * (rows @ (layout.share * layout.grid.arm**2))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(
    "operation", ["jitter", "elastic", "mixup", "cutmix", "noise", "all of them"]
)
def test_each_operation_keeps_every_total(grid: str, operation: str) -> None:
    layout = layout_of(grid, "hybrid")
    batch = synthetic(layout, 4, 3)
    policy = EVERYTHING
    if operation != "all of them":
        policy = replace(Policy(name="one"), **{operation: getattr(EVERYTHING, operation)})
    done = Chain(policy)(batch, layout, seed=3, samples=np.arange(4), spread=spread_of(layout))
    check(layout, batch, done, 3, policy)


@QUICK
@given(
    st.sampled_from(GRIDS),
    st.sampled_from(LAYERS),
    st.integers(1, 4),
    st.integers(2, 3),
    st.integers(0, 2**32 - 1),
    st.sets(st.sampled_from(["jitter", "elastic", "mixup", "cutmix", "noise"])),
    st.floats(0.0, 0.2),
    st.floats(0.0, 7.0),
    st.floats(0.05, 5.0),
    st.lists(st.floats(-1e-3, 1e-3), min_size=4, max_size=4),
    st.floats(1e6, 1e8),
)
def test_random_chains_keep_every_total_and_bound(
    grid: str,
    layers: str,
    samples: int,
    times: int,
    seed: int,
    operations: set[str],
    noise: float,
    amplitude_deg: float,
    concentration: float,
    rates: list[float],
    radius_m: float,
) -> None:
    layout = layout_of(grid, layers)
    batch = synthetic(layout, samples, times, seed)
    have = {
        "jitter": Jitter(step=0.5),
        "elastic": Elastic(amplitude_deg=amplitude_deg, layers=0.5, probability=0.7),
        "mixup": Mixup(concentration=concentration, probability=0.7),
        "cutmix": CutMix(probability=0.7),
        "noise": Noise(share=noise, probability=0.7),
    }
    policy = replace(Policy(name="some"), **{name: have[name] for name in operations})
    one = np.ones(samples)
    worlds = Worlds(radius_m * one, 9.0 * one, np.array(rates[:samples]), 287.0 * one, 1004.0 * one)
    done = Chain(policy)(
        batch,
        layout,
        seed=seed,
        samples=np.arange(samples),
        spread=spread_of(layout),
        worlds=worlds,
        threads=1,
    )
    check(layout, batch, done, seed, policy, worlds.rotation_rate_rads * worlds.radius_m)


@pytest.mark.parametrize("mass_flux", ["kept", "zero"])
@pytest.mark.parametrize("grid", ["gaussian", "modele"])
def test_the_northward_mass_flux_of_each_latitude_is_what_was_asked_for(
    grid: str, mass_flux: str
) -> None:
    layout = layout_of(grid, "hybrid")
    batch = synthetic(layout, 3, 2)
    policy = replace(EVERYTHING, mass_flux=mass_flux)
    done = Chain(policy)(batch, layout, seed=8, samples=np.arange(3), spread=spread_of(layout))
    block = layout.block("va")
    got = rows_of(layout, block, done.out)
    wanted = expected(layout, batch, done, rows_of(layout, block, batch), 8, policy)
    sizes = rows_of(layout, block, np.abs(done.out))
    inner = slice(1, -1) if grid == "modele" else slice(None)
    off = np.abs(got - (wanted if mass_flux == "kept" else 0.0)) / sizes
    assert off[..., inner].max() < CLOSE
    assert "mass_flux" in done.declared


def test_angular_momentum_counts_the_turning_of_the_planet() -> None:
    layout = layout_of("gaussian", "hybrid")
    batch = synthetic(layout, 3, 2)
    one = np.ones(3)
    worlds = Worlds(6e6 * one, 9.0 * one, np.array([7e-5, 2e-5, -3e-5]), 287.0 * one, 1004.0 * one)
    policy = replace(EVERYTHING, jitter=None)
    done = Chain(policy)(
        batch, layout, seed=8, samples=np.arange(3), spread=spread_of(layout), worlds=worlds
    )
    check(layout, batch, done, 8, policy, worlds.rotation_rate_rads * worlds.radius_m)
    without = Chain(policy)(batch, layout, seed=8, samples=np.arange(3), spread=spread_of(layout))
    assert np.abs(without.out - done.out).max() > 1e-3  # the wind makes up for air that was moved


def test_enthalpy_is_not_declared_where_airs_of_two_heat_capacities_are_mixed() -> None:
    layout = layout_of()
    one = np.ones(2)
    worlds = Worlds(6e6 * one, 9.0 * one, 7e-5 * one, 287.0 * one, np.array([1004.0, 14000.0]))
    for policy, kept in ((Policy(name="m", mixup=Mixup()), False), (Policy(name="e"), True)):
        done = Chain(policy)(synthetic(layout, 2, 1), layout, seed=1, samples=[0, 1], worlds=worlds)
        assert ("enthalpy" in done.declared) is kept


def test_the_budgets_of_physics_find_the_same() -> None:
    layout = layout_of("modele", "hybrid")
    batch = synthetic(layout, 4, 1)
    one = np.ones(4)
    worlds = Worlds(6e6 * one, 9.0 * one, 7e-5 * one, 287.0 * one, 1004.0 * one)
    policy = Policy(name="all", elastic=Elastic(amplitude_deg=7.0), noise=Noise(share=0.1))
    done = Chain(policy)(
        batch, layout, seed=6, samples=range(4), spread=spread_of(layout), worlds=worlds
    )
    before, after = (
        Integrals(zonal_sums(layout.split(np.ascontiguousarray(fields[:, 0])), layout), layout)
        for fields in (batch, done.out)
    )
    for name in ("ta", "hus"):
        np.testing.assert_allclose(after.mass(name), before.mass(name), rtol=CLOSE)
    np.testing.assert_allclose(after.area_mean("ps"), before.area_mean("ps"), rtol=CLOSE)
    momenta = [laws.angular_momentum(each, worlds).value for each in (before, after)]
    np.testing.assert_allclose(momenta[1], momenta[0], rtol=CLOSE)


def test_a_mixture_by_mass_needs_no_mending() -> None:
    layout = layout_of("gaussian", "hybrid")
    batch = synthetic(layout, 2, 1)
    done = Chain(Policy(name="mix", mixup=Mixup(concentration=5.0)))(
        batch, layout, seed=5, samples=[0, 1]
    )
    lam = done.lam[:, None, None, None, None]
    for name in ("ta", "hus", "ua", "va"):
        block, at = layout.block(name), layout.slice(name)
        own, other = (thickness(layout, block, fields) for fields in (batch, batch[::-1]))
        air = lam * own + (1.0 - lam) * other
        wanted = (
            lam * own * batch[:, :, at].astype(np.float64)
            + (1.0 - lam) * other * batch[::-1, :, at].astype(np.float64)
        ) / air
        np.testing.assert_allclose(done.out[:, :, at], wanted, rtol=3e-6, atol=1e-5)


def test_a_cap_is_one_round_region_of_whole_columns_and_lam_is_the_rest_of_the_area() -> None:
    layout = layout_of("uniform", "sigma")
    batch = np.zeros((2, 1, layout.channels, *layout.grid.shape), np.float32)
    batch[:, :, layout.slice("ps")] = 1e5
    hfss = layout.slice("hfss")
    batch[1, :, layout.slice("ta")], batch[1, :, hfss] = 1.0, 1.0
    done = Chain(Policy(name="cut", cutmix=CutMix(low=0.2, high=0.3, edge_deg=20.0)))(
        batch, layout, seed=2, samples=[0, 1], partners=[1, 0]
    )
    flat = done.out[0, 0, hfss][0].astype(np.float64)
    assert (flat * layout.share[:, None]).sum() == pytest.approx(1.0 - done.lam[0], rel=1e-6)
    assert 0.1 < 1.0 - done.lam[0] < 0.4
    inside = flat > 0.5
    np.testing.assert_allclose(
        done.out[0, 0, layout.slice("ta")], np.broadcast_to(flat, (4, *flat.shape)), atol=1e-6
    )
    # From any cell inside one reaches all others, going round where the grid does.
    found = np.zeros_like(inside)
    found[tuple(np.argwhere(inside)[0])] = True
    for _ in range(inside.size):
        grown = found | np.roll(found, 1, 1) | np.roll(found, -1, 1)
        grown[1:] |= found[:-1]
        grown[:-1] |= found[1:]
        grown[[0, -1]] |= grown[[0, -1]].any(axis=1, keepdims=True)  # all columns meet at a pole
        found = grown & inside
    assert (found == inside).all()


def test_what_is_lost_between_cells_comes_back() -> None:
    layout = layout_of("gaussian", "sigma", names=("hus",), flat=("ps",))
    batch = np.zeros((1, 1, layout.channels, *layout.grid.shape), np.float32)
    batch[:, :, layout.slice("ps")] = 1e5
    batch[0, 0, 0, 3, 3] = 0.01
    policy = Policy(name="warp", elastic=Elastic(amplitude_deg=7.0))
    for seed in range(8):
        done = Chain(policy)(batch, layout, seed=seed, samples=[0])
        check(layout, batch, done, seed, policy)
