"""The chain as training uses it: what its draws depend on, what it refuses, what it leaves alone."""

import numpy as np
import pytest
import torch
from support_augment import grid_of, layers_of, layout_of, spread_of, synthetic

from astrohpc.augment.chain import Chain
from astrohpc.augment.draws import draw
from astrohpc.augment.policy import CutMix, Elastic, Jitter, Mixup, Noise, Policy
from astrohpc.augment.rules import blocks_of
from astrohpc.augment.sphere import controls_of, globe_of
from astrohpc.errors import ConfigError
from astrohpc.kernels.augment import augment
from astrohpc.kernels.desk import Report
from astrohpc.kernels.random import normals
from astrohpc.physics.layout import Block, Layout

ALL = Policy(
    name="all",
    jitter=Jitter(),
    elastic=Elastic(),
    mixup=Mixup(),
    cutmix=CutMix(probability=0.5),
    noise=Noise(),
    mass_flux="kept",
)
LAYOUT = layout_of("gaussian", "hybrid")
BATCH = synthetic(LAYOUT, 6, 2)
SPREAD = spread_of(LAYOUT)
IDS = np.array([4, 0, 2**40 + 1, 7, 9, 2])
PARTNERS = np.array([0, 9, 4, 2**40 + 1, 2, 7])


def run(batch=BATCH, samples=IDS, partners=PARTNERS, policy=ALL, **more):
    return Chain(policy)(
        batch, LAYOUT, seed=11, samples=samples, partners=partners, spread=SPREAD, **more
    )


def test_the_answer_does_not_depend_on_threads() -> None:
    one, three = run(threads=1), run(threads=3)
    assert np.array_equal(one.out, three.out)
    assert np.array_equal(one.lam, three.lam)


def test_the_answer_for_a_sample_does_not_depend_on_its_batch() -> None:
    whole = run()
    for s in (0, 2, 5):
        alone = run(
            BATCH[s : s + 1],
            IDS[s : s + 1],
            PARTNERS[s : s + 1],
            others=BATCH[::-1].copy(),
            other_samples=IDS[::-1],
        )
        assert np.array_equal(alone.out[0], whole.out[s])
        assert alone.lam[0] == whole.lam[s]
        assert alone.partner[0] == whole.partner[s]


def test_other_seeds_and_samples_give_other_answers() -> None:
    again = Chain(ALL)(BATCH, LAYOUT, seed=12, samples=IDS, partners=PARTNERS, spread=SPREAD)
    assert not np.array_equal(again.out, run().out)
    renamed = np.where(IDS == 7, 8, IDS), np.where(PARTNERS == 7, 8, PARTNERS)
    other = run(samples=renamed[0], partners=renamed[1])
    assert not np.array_equal(other.out[3], run().out[3])
    assert np.array_equal(other.out[0], run().out[0])


def test_partners_of_the_batch_follow_from_seed_and_ids_in_any_order() -> None:
    policy = Policy(name="mix", mixup=Mixup())
    here = Chain(policy)(BATCH, LAYOUT, seed=5, samples=IDS)
    order = np.array([3, 5, 1, 0, 4, 2])
    there = Chain(policy)(BATCH[order], LAYOUT, seed=5, samples=IDS[order])
    assert np.array_equal(there.partner, here.partner[order])
    assert np.array_equal(there.out, here.out[order])
    assert sorted(here.partner) == sorted(IDS)
    assert (here.partner != IDS).all()


def test_noise_is_the_numbers_of_the_random_module() -> None:
    layout = layout_of("gaussian", "sigma", names=("zg",), flat=("hfss",))
    batch = np.zeros((2, 3, layout.channels, *layout.grid.shape), np.float32)
    layout = Layout(layout.blocks, layout.grid, layers_of("pressure"))
    done = Chain(Policy(name="noise", noise=Noise(share=1.0)))(
        batch, layout, seed=9, samples=[3, 2**33], spread=np.ones(layout.channels)
    )
    drawn = normals(9, 4, [3, 2**33], batch.shape[1:])
    flat = layout.slice("hfss")
    share = layout.share[:, None]
    drawn_flat = drawn[:, :, flat].astype(np.float64)
    mean = (drawn_flat * share).sum((-2, -1), keepdims=True)
    np.testing.assert_allclose(done.out[:, :, flat], drawn_flat - mean, atol=2e-6)


def test_worse_samples_get_more_noise() -> None:
    policy = Policy(name="noise", noise=Noise(share=0.05, gain=3.0))
    fine = Chain(policy)(BATCH, LAYOUT, seed=1, samples=IDS, spread=SPREAD)
    poor = Chain(policy)(BATCH, LAYOUT, seed=1, samples=IDS, spread=SPREAD, quality=np.zeros(6))
    hfss = LAYOUT.slice("hfss")
    change = [float(np.std(done.out[:, :, hfss] - BATCH[:, :, hfss])) for done in (fine, poor)]
    assert change[1] == pytest.approx(4.0 * change[0], rel=1e-3)


@pytest.mark.parametrize(
    "policy",
    [
        Policy(name="nothing"),
        Policy(name="none of them", elastic=Elastic(probability=0.0), noise=Noise(probability=0.0)),
        Policy(
            name="no size", elastic=Elastic(amplitude_deg=0.0, layers=0.0), noise=Noise(share=0.0)
        ),
        Policy(name="no time", jitter=Jitter(step=0.0)),
    ],
)
def test_what_does_nothing_changes_nothing(policy: Policy) -> None:
    done = run(policy=policy, partners=None)
    for block in LAYOUT:
        at = LAYOUT.slice(block.name)
        # Totals of the answer differ from those of the inputs by rounding of sums alone.
        np.testing.assert_allclose(done.out[:, :, at], BATCH[:, :, at], rtol=2e-7, atol=1e-6)
    assert (done.lam == 1.0).all()
    assert (done.partner == -1).all()


def test_mixed_with_itself_a_sample_stays() -> None:
    done = run(policy=Policy(name="mix", mixup=Mixup()), partners=IDS)
    np.testing.assert_allclose(done.out, BATCH, rtol=1e-6, atol=1e-5)


def test_constant_fields_stay_constant_to_rounding() -> None:
    batch = np.empty_like(BATCH)
    for block in LAYOUT:
        value = {"ps": 9e4, "ta": 250.0, "cl": 0.25, "hus": 0.004}.get(block.name, 1.0)
        batch[:, :, LAYOUT.slice(block.name)] = value
    policy = Policy(
        name="warp", jitter=Jitter(), elastic=Elastic(amplitude_deg=7.0), cutmix=CutMix()
    )
    out = run(batch, policy=policy).out
    for block in LAYOUT:
        if block.role in ("eastward", "northward"):
            continue
        at = LAYOUT.slice(block.name)
        np.testing.assert_allclose(out[:, :, at], batch[:, :, at], rtol=1e-6)


def test_rows_on_a_pole_keep_one_value() -> None:
    layout = layout_of("modele", "hybrid")
    batch = synthetic(layout, 3, 2)
    policy = Policy(
        name="all", jitter=Jitter(), elastic=Elastic(amplitude_deg=7.0), mixup=Mixup(), cutmix=CutMix(),
        noise=Noise(share=0.1),
    )  # fmt: skip
    done = Chain(policy)(batch, layout, seed=1, samples=[1, 2, 3], spread=spread_of(layout))
    for name in ("ta", "hus", "cl", "ps", "ts", "hfss"):
        rows = done.out[:, :, layout.slice(name)][..., [0, -1], :]
        assert (rows == rows[..., :1]).all()
    assert np.ptp(done.out[..., 1, :], axis=-1).max() > 0.0


def test_tensors_go_in_and_out_without_a_copy() -> None:
    tensor = torch.from_numpy(BATCH.copy())
    out = torch.empty_like(tensor)
    done = run(tensor, out=out)
    assert done.out is out
    assert np.array_equal(out.numpy(), run().out)
    assert torch.equal(tensor, torch.from_numpy(BATCH))
    made = run(tensor)
    assert isinstance(made.out, torch.Tensor)
    assert torch.equal(made.out, out)


def test_bfloat16_is_the_same_arithmetic_rounded_once() -> None:
    tensor = torch.from_numpy(BATCH).bfloat16()
    short = run(tensor, policy=Policy(name="warp", elastic=Elastic(), noise=Noise()))
    full = run(tensor.float().numpy(), policy=Policy(name="warp", elastic=Elastic(), noise=Noise()))
    assert short.out.dtype == torch.bfloat16
    # Mass is weighed with the pressure that was stored, which is coarser here.
    difference = np.abs(short.out.float().numpy() - full.out)
    assert (difference <= 2.0**-8 * np.abs(full.out) + 1e-3 * SPREAD[:, None, None]).all()
    assert max(r.max() for r in short.residuals.values()) < 1e-2


def test_one_time_needs_no_axis_of_time() -> None:
    flat = run(BATCH[:, 0].copy(), policy=Policy(name="w", elastic=Elastic()), partners=None)
    axis = run(BATCH[:, :1].copy(), policy=Policy(name="w", elastic=Elastic()), partners=None)
    assert flat.out.shape == BATCH[:, 0].shape
    assert np.array_equal(flat.out, axis.out[:, 0])


def test_an_empty_batch_has_an_empty_answer() -> None:
    done = run(BATCH[:0], IDS[:0], None)
    assert done.out.shape == BATCH[:0].shape
    assert done.lam.shape == (0,)


def test_categories_are_never_mixed() -> None:
    grid = grid_of("gaussian")
    layout = Layout((Block("soil", 0, "category"), Block("hfss", 0)), grid)
    random = np.random.default_rng(0)
    batch = random.integers(0, 9, (4, 2, 2, *grid.shape)).astype(np.float32)
    done = Chain(ALL)(batch, layout, seed=1, samples=range(4), spread=[1.0, 1.0])
    assert set(np.unique(done.out[:, :, 0])) <= set(range(9))
    assert not np.array_equal(done.out[:, :, 0], batch[:, :, 0])


def test_kernels_are_compiled_once_for_all_batches() -> None:
    run()
    before = len(augment.signatures)
    frozen = BATCH.copy()
    frozen.flags.writeable = False
    run(frozen)
    run(policy=Policy(name="nothing"), partners=None)
    other = layout_of("modele", "pressure", names=("ta",), flat=("ps",))
    Chain(Policy(name="w", elastic=Elastic()))(synthetic(other, 1, 1), other, seed=1, samples=[1])
    assert len(augment.signatures) == max(before, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("name", "level", "words"),
    [
        ("hus", 2, "hus: .*sample 7 .*time 1, level 2, row 5, column 3"),
        ("ps", 0, "ps: .*sample 7 .*row 5"),
    ],
)
def test_a_value_that_is_no_number_is_named_with_its_place(value, name, level, words) -> None:
    batch = BATCH.copy()
    batch[3, 1, LAYOUT.slice(name).start + level, 5, 3] = value
    with pytest.raises(ConfigError, match=words):
        run(batch, policy=Policy(name="warp", elastic=Elastic()), partners=None)


def test_a_gap_in_a_partner_is_the_partners() -> None:
    others = BATCH.copy()
    others[1, 0, LAYOUT.slice("ta").start] = np.nan
    with pytest.raises(ConfigError, match="partner 0 of sample 4"):
        run(policy=Policy(name="m", mixup=Mixup()), others=others, other_samples=IDS)


def test_layers_without_air_are_an_error() -> None:
    batch = BATCH.copy()
    batch[2, :, LAYOUT.slice("ps")] = 0.0
    with pytest.raises(ConfigError, match="layers without air"):
        run(batch)


def test_less_than_nothing_of_a_positive_field_is_an_error() -> None:
    batch = BATCH.copy()
    batch[2, :, LAYOUT.slice("hus")] = -1.0
    with pytest.raises(ConfigError, match=r"hus: .*less than nothing"):
        run(batch, policy=Policy(name="w", elastic=Elastic()), partners=None)


def test_one_time_cannot_be_jittered() -> None:
    with pytest.raises(ConfigError, match="jitter: the batch has one time"):
        run(BATCH[:, :1].copy())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"out": BATCH}, "out: lies in the memory of batch"),
        ({"out": np.empty_like(BATCH[:2])}, "out: has shape"),
        ({"batch": BATCH.astype(np.float64)}, "batch: holds float64"),
        ({"batch": BATCH[..., ::-1]}, "batch: its values do not follow"),
        ({"batch": torch.from_numpy(BATCH).transpose(0, 1)}, "batch: its values do not follow"),
        ({"batch": torch.from_numpy(BATCH).half()}, "batch: holds torch.float16"),
        ({"batch": torch.empty(BATCH.shape, device="meta")}, "batch: lies on meta"),
        ({"batch": torch.from_numpy(BATCH).requires_grad_()}, "batch: gradients"),
        ({"batch": BATCH[:, :, 1:].copy()}, "batch: has shape"),
        ({"batch": [1.0]}, "batch: is a list"),
        ({"samples": IDS[:3]}, "samples: must be 6"),
        ({"samples": -IDS - 1}, "samples: must be 6"),
        ({"partners": IDS + 1}, "partners: sample 5 is not in the batch"),
        ({"quality": np.full(6, 2.0)}, "quality: must be 6"),
        ({"others": BATCH[:, :1].copy(), "other_samples": IDS}, "others: has 1 times"),
        (
            {"others": BATCH.copy(), "other_samples": IDS, "partners": None},
            "partners: others are given",
        ),
        ({"others": BATCH[..., :8].copy(), "other_samples": IDS}, "others: has shape"),
    ],
)
def test_bad_input_is_named(change: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        run(**change)


def test_noise_needs_spreads() -> None:
    with pytest.raises(ConfigError, match="spread: noise is a share"):
        Chain(ALL)(BATCH, LAYOUT, seed=1, samples=IDS)


def test_places_beyond_two_thousand_million_values_are_reached() -> None:
    """Memory that is never touched is never there: only the last two samples are read and written."""
    grid = grid_of("gaussian", 64, 128)
    layout = Layout((Block("hfss", 0),), grid)
    cells = 64 * 128
    count = 2**31 // cells + 2
    own, out = (np.zeros((count, 1, 1, cells), np.float32) for _ in range(2))
    assert own.size > 2**31
    last = np.random.default_rng(0).normal(size=(2, 1, *grid.shape)).astype(np.float32)
    own[-2:, 0, 0] = last.reshape(2, cells)
    policy = Policy(name="mix", elastic=Elastic(), mixup=Mixup())
    ids = np.arange(count)
    draws = draw(
        policy, layout, seed=1, ids=ids, times=1, partner=np.full(count, count - 1), spread=None,
        quality=np.ones(count), mean_ps_pa=np.full(count, 1e5), spin_ms=np.zeros((count, 2)),
    )  # fmt: skip
    report = Report(np.ones(count), np.zeros((count, 1, 1), np.int64), np.zeros((count, 1, 1, 3)))
    blocks = blocks_of(layout, "free")
    augment(
        own,
        own,
        out,
        out,
        globe_of(layout),
        controls_of(32),
        blocks,
        draws,
        report,
        count - 2,
        count,
    )
    small = Chain(policy)(last, layout, seed=1, samples=ids[-2:], partners=[count - 1, count - 1])
    assert np.array_equal(out[-2:, 0, 0], small.out.reshape(2, cells))
