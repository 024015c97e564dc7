"""What augmentation of spectra promises: lines where they belong, light kept, and the same bits always."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrohpc.augment.spectra import augment
from astrohpc.augment.spectra_blur import FWHM
from astrohpc.augment.spectra_policy import Draws, SpectraPolicy, draw
from astrohpc.errors import ConfigError
from astrohpc.kernels import random
from astrohpc.kernels import spectra_desk as desk
from astrohpc.physics.wavelengths import Wavelengths

LOG = Wavelengths.from_centres(np.geomspace(0.5, 5.0, 2000))
NOTHING = {"shift": 0.0, "resolution": (), "snr": (), "response": 0.0, "gaps": 0}
LEFT = SpectraPolicy(**NOTHING)  # whose draws are a test's own


def only(**changes: Any) -> SpectraPolicy:
    return SpectraPolicy(**{**NOTHING, **changes})


def line(grid: Wavelengths, at_um: float, sigma: float) -> np.ndarray:
    """A Gaussian in ln λ, of one."""
    x = np.log(grid.centre_um / at_um) / sigma
    return np.exp(-0.5 * x**2).astype(np.float32)[None]


def centroid(grid: Wavelengths, values: np.ndarray) -> float:
    light = np.nan_to_num(values[0].astype(np.float64)) * grid.width_um
    return float((light * grid.centre_um).sum() / light.sum())


def variance(grid: Wavelengths, values: np.ndarray) -> float:
    """Of ln λ, weighted by light."""
    light = np.nan_to_num(values[0].astype(np.float64)) * grid.width_um
    x = np.log(grid.centre_um)
    mean = (light * x).sum() / light.sum()
    return float((light * (x - mean) ** 2).sum() / light.sum())


GRIDS = {
    "logarithmic": np.geomspace(0.5, 5.0, 2000),
    "linear": np.linspace(0.8, 2.8, 1500),
    "coarse": np.geomspace(0.5, 5.0, 230),
    "falling": np.geomspace(5.0, 0.5, 2000),
    "of three steps": np.r_[
        np.arange(0.5, 1.2, 5e-4), np.arange(1.2, 1.9, 1e-3), np.arange(1.9, 4, 5e-3)
    ],
    "with gaps": np.r_[np.linspace(0.6, 1.15, 900), np.linspace(1.2, 2.2, 1600)],
}


# ----------------------------------------------------------------------------- shift
@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("shift", [-0.1, -0.0123, 0.05, 0.1])
def test_a_narrow_line_lies_after_the_shift_where_it_belongs(name: str, shift: float) -> None:
    grid = Wavelengths.from_centres(GRIDS[name])
    before = line(grid, 1.55, 1.5 * 0.01 if name == "coarse" else 0.004)
    made = augment(before, grid, LEFT, seed=1, draws=Draws.of(1, shift=shift))
    there = centroid(grid, before) * (1.0 + shift)
    assert centroid(grid, made.values) == pytest.approx(there, rel=1e-5)
    assert abs(made.residual[0]) < 1e-6


def test_a_stretch_moves_a_line_by_its_distance_from_the_middle() -> None:
    middle = 0.5 * (LOG.low_um[0] + LOG.high_um[-1])
    before = line(LOG, 1.5, 0.004)
    made = augment(before, LOG, LEFT, seed=1, draws=Draws.of(1, stretch=0.07, shift=0.01))
    c = centroid(LOG, before)
    there = c + 0.01 * c + 0.07 * (c - middle)
    assert centroid(LOG, made.values) == pytest.approx(there, rel=1e-5)


@pytest.mark.parametrize("shift", [-0.1, 0.033])
def test_light_stays_where_a_shift_leaves_nothing_behind(shift: float) -> None:
    before = line(LOG, 1.5, 0.02)
    after = augment(before, LOG, LEFT, seed=1, draws=Draws.of(1, shift=shift)).values
    assert LOG.total(after) == pytest.approx(LOG.total(before), rel=1e-7)


def test_a_ratio_keeps_its_values_and_a_density_its_light() -> None:
    flat = np.full((1, LOG.count), 0.25, np.float32)
    moved = Draws.of(1, shift=0.1)
    depth = augment(flat, LOG, only(quantity="ratio"), seed=1, draws=moved).values
    flux = augment(flat, LOG, LEFT, seed=1, draws=moved).values
    assert np.nanmax(np.abs(depth - 0.25)) < 1e-7
    assert np.nanmax(np.abs(flux - 0.25 / 1.1)) < 1e-7


def test_what_lies_beyond_the_spectrum_is_a_gap_and_all_else_is_not() -> None:
    flat = np.ones((2, LOG.count), np.float32)
    red, blue = augment(flat, LOG, LEFT, seed=1, draws=Draws.of(2, shift=[0.1, -0.1])).values
    assert np.isnan(red).tolist() == (LOG.low_um < 1.1 * LOG.low_um[0]).tolist()
    assert np.isnan(blue).tolist() == (LOG.high_um > 0.9 * LOG.high_um[-1]).tolist()


def test_a_gap_in_the_grid_moves_with_its_surroundings_and_is_not_filled() -> None:
    grid = Wavelengths.from_centres(GRIDS["with gaps"])
    edge, _ = grid.rising
    low, high = edge[900:902]  # of the gap
    flat = np.ones((1, grid.count), np.float32)
    made = augment(flat, grid, LEFT, seed=1, draws=Draws.of(1, shift=0.04)).values[0]
    in_gap = (grid.high_um > 1.04 * low * (1 + 1e-8)) & (grid.low_um < 1.04 * high * (1 - 1e-8))
    before = grid.low_um < 1.04 * edge[0] * (1 - 1e-8)
    assert in_gap.sum() > 30
    assert np.isnan(made).tolist() == (in_gap | before).tolist()


def test_no_shift_gives_the_same_bits() -> None:
    before = line(LOG, 1.5, 0.02)
    made = augment(before, LOG, LEFT, seed=1, draws=Draws.of(1))
    assert made.values.tobytes() == before.tobytes()


# ----------------------------------------------------------------------------- resolution
@pytest.mark.parametrize("name", ["logarithmic", "linear", "falling", "of three steps"])
@pytest.mark.parametrize("resolution", [60.0, 150.0])
def test_widths_of_a_line_and_of_the_instrument_add_in_quadrature(
    name: str, resolution: float
) -> None:
    grid = Wavelengths.from_centres(GRIDS[name])
    before = line(grid, 1.55, 0.004)
    made = augment(before, grid, LEFT, seed=1, draws=Draws.of(1, resolution=resolution))
    added = 1.0 / (FWHM * resolution) ** 2
    # A bin of 1e-3 and more is itself a twelfth of its square wide.
    assert variance(grid, made.values) - variance(grid, before) == pytest.approx(added, rel=3e-3)
    assert grid.total(made.values) == pytest.approx(grid.total(before), rel=1e-6)


def test_a_native_resolution_is_taken_off() -> None:
    before = line(LOG, 1.5, 1.0 / (FWHM * 200.0))
    made = augment(
        before,
        LOG,
        only(native_resolution=200.0),
        seed=1,
        draws=Draws.of(1, resolution=80.0),
    )
    assert variance(LOG, made.values) == pytest.approx((FWHM * 80.0) ** -2, rel=2e-3)


@pytest.mark.parametrize("name", GRIDS)
def test_a_flat_spectrum_stays_flat_at_any_resolution(name: str) -> None:
    grid = Wavelengths.from_centres(GRIDS[name])
    flat = np.full((3, grid.count), 7.0, np.float32)
    made = augment(flat, grid, LEFT, seed=1, draws=Draws.of(3, resolution=[30.0, 100.0, 900.0]))
    assert np.isfinite(made.values).any(axis=1).all()
    assert np.nanmax(np.abs(made.values - 7.0)) < 1e-6


def test_bins_within_the_wings_of_an_end_are_gaps() -> None:
    flat = np.ones((1, LOG.count), np.float32)
    made = augment(flat, LOG, LEFT, seed=1, draws=Draws.of(1, resolution=100.0)).values[0]
    lost = np.isnan(made)
    reach = 4.0 / (FWHM * 100.0)
    bins = reach / np.log(LOG.centre_um[1] / LOG.centre_um[0])
    for end in (lost[:1000].sum(), lost[1000:].sum()):
        assert bins <= end <= bins + 2.5


# ----------------------------------------------------------------------------- response, noise, gaps
def test_the_response_is_of_the_size_asked_for_and_leaves_the_total() -> None:
    grid = Wavelengths.from_centres(np.linspace(0.99, 1.01, 500))
    flat = np.ones((3000, grid.count), np.float32)
    made = augment(flat, grid, only(response=0.02), seed=4)
    assert made.values.std() == pytest.approx(0.02, rel=0.03)
    assert made.values.min() > 0.0
    assert np.abs(grid.total(made.values) / grid.total(flat) - 1.0).max() < 1e-6


@pytest.mark.parametrize("snr", [10.0, 100.0])
@pytest.mark.parametrize("model", ["photon", "even"])
def test_noise_over_many_draws_is_what_was_asked_for(snr: float, model: Any) -> None:
    grid = Wavelengths.from_centres(np.geomspace(1.0, 2.0, 400))
    flux = (1.0 + 0.8 * np.sin(40.0 * grid.centre_um)).astype(np.float32)
    mean = float(grid.total(flux) / grid.width_um.sum())
    made = augment(
        np.tile(flux, (4000, 1)),
        grid,
        only(noise=model),
        seed=2,
        draws=Draws.of(4000, snr=snr),
        with_sigma=True,
    )
    asked = np.sqrt(flux * mean) / snr if model == "photon" else np.full(400, mean / snr)
    assert made.sigma is not None
    assert made.sigma[0] == pytest.approx(asked, rel=1e-5)
    found = made.values.std(axis=0, dtype=np.float64)
    # 4000 draws tell a deviation to 1.1 %; the total that is kept takes its 400th part.
    assert np.median(found / asked) == pytest.approx(1.0, abs=5e-3)
    assert (found / asked).max() < 1.06
    assert made.values.mean(axis=0, dtype=np.float64) == pytest.approx(
        flux, abs=float(6.0 * asked.max() / 63.0)
    )
    bin_of_mean = int(np.argmin(np.abs(flux - mean)))
    assert flux[bin_of_mean] / found[bin_of_mean] == pytest.approx(snr, rel=0.07)


def test_noise_is_the_normal_numbers_of_seed_sample_and_bin() -> None:
    flat = np.ones((2, LOG.count), np.float32)
    ids = np.array([7, 2**40 + 3])
    made = augment(
        flat,
        LOG,
        only(keep_total=False, noise="even"),
        seed=11,
        samples=ids,
        draws=Draws.of(2, snr=50.0),
    ).values
    four = random.normals(11, desk.NOISE, ids, (4, 1, LOG.count // 4))[:, :, 0]
    normals = four.transpose(0, 2, 1).reshape(2, -1)
    assert made == pytest.approx(1.0 + normals / 50.0, abs=1e-6)


@pytest.mark.parametrize("power", [-96, 80])
def test_units_in_which_numbers_are_tiny_or_huge_change_nothing(power: int) -> None:
    flux = line(LOG, 1.5, 0.3) + np.float32(0.1)
    scale = np.float32(2.0**power)
    plain = augment(flux, LOG, SpectraPolicy(), seed=4).values
    scaled = augment(flux * scale, LOG, SpectraPolicy(), seed=4).values
    assert (scaled / scale).tobytes() == plain.tobytes()


def test_noise_that_is_known_takes_the_place_of_a_model() -> None:
    flat = np.ones((1, LOG.count), np.float32)
    known = np.where(LOG.centre_um < 1.0, 0.0, 0.01).astype(np.float32)[None]
    made = augment(flat, LOG, only(keep_total=False), seed=1, sigma=known).values[0]
    assert (made[LOG.centre_um < 1.0] == 1.0).all()
    assert made[LOG.centre_um >= 1.0].std() == pytest.approx(0.01, rel=0.1)


def test_noise_stays_above_zero_where_that_is_asked_for_and_keeps_the_total() -> None:
    flux = np.tile(np.linspace(0.0, 2.0, LOG.count, dtype=np.float32), (20, 1))
    strong = Draws.of(20, snr=2.0)
    free = augment(flux, LOG, only(noise="even"), seed=1, draws=strong).values
    held = augment(flux, LOG, only(noise="even", positive=True), seed=1, draws=strong)
    assert free.min() < 0.0
    assert held.values.min() >= 0.0
    assert np.abs(LOG.total(held.values) / LOG.total(flux) - 1.0).max() < 1e-6


def test_gaps_leave_every_other_value_as_it_was_to_the_bit() -> None:
    before = line(LOG, 1.5, 0.3)
    holes = [[[0, 3], [500, 700], [650, 710], [5, 5]]]
    made = augment(before, LOG, LEFT, seed=1, draws=Draws.of(1, gaps=holes))
    lost = np.isnan(made.values[0])
    assert np.flatnonzero(lost).tolist() == [0, 1, 2, *range(500, 710)]
    assert made.values[0][~lost].tobytes() == before[0][~lost].tobytes()
    gone = (before[0][lost].astype(np.float64) * LOG.width_um[lost]).sum()
    assert made.totals[0, desk.GONE] == pytest.approx(gone, rel=1e-12)


# ----------------------------------------------------------------------------- the whole chain
@st.composite
def spectra(draw_: st.DrawFn) -> tuple[Wavelengths, np.ndarray, SpectraPolicy, int]:
    """Random spectra above zero on a random grid, and a policy for them."""
    n = draw_(st.integers(60, 400))
    first = draw_(st.floats(0.3, 3.0))
    steps = 1.0 + draw_(st.floats(0.0, 0.6)) * np.sin(np.arange(n) * draw_(st.floats(0.01, 0.3)))
    grid = Wavelengths.from_centres(first * (1.0 + np.cumsum(steps) / n))
    seed = draw_(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed).gamma(2.0, size=(3, n)).astype(np.float32)
    policy = SpectraPolicy(
        quantity=draw_(st.sampled_from(["density", "ratio"])),
        shift=draw_(st.floats(0.0, 0.1)),
        stretch=draw_(st.floats(0.0, 0.1)),
        resolution=draw_(st.sampled_from([(), (60.0, 300.0)])),
        snr=draw_(st.sampled_from([(), (10.0, 100.0)])),
        positive=draw_(st.booleans()),
        response=draw_(st.sampled_from([0.0, 0.02])),
        gaps=draw_(st.integers(0, 4)),
    )
    return grid, values, policy, seed


@settings(max_examples=60, deadline=None)
@given(spectra(), st.integers(1, 4))
def test_a_chain_keeps_its_total_whatever_is_in_it(made_of: Any, threads: int) -> None:
    grid, values, policy, seed = made_of
    made = augment(values, grid, policy, seed=seed, threads=threads)
    assert np.abs(made.residual).max() < 1e-6
    held = made.totals[:, desk.RETURNED] - made.totals[:, desk.GONE]
    assert grid.total(made.values) == pytest.approx(held, rel=1e-9, abs=1e-12)
    if policy.positive or not policy.snr:
        assert np.nanmin(made.values, initial=0.0) >= 0.0


@settings(max_examples=25, deadline=None)
@given(spectra())
def test_a_shift_and_a_resolution_neither_make_nor_lose_light(made_of: Any) -> None:
    grid, values, policy, seed = made_of
    values[:, : grid.count // 3] = 0.0  # so that nothing crosses an end
    values[:, -(grid.count // 3) :] = 0.0
    calm = SpectraPolicy(**{**NOTHING, "shift": 0.5 * policy.shift, "resolution": (100.0, 300.0)})
    made = augment(values, grid, calm, seed=seed)
    assert grid.total(made.values) == pytest.approx(grid.total(values), rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(spectra())
def test_neither_threads_nor_the_split_nor_the_direction_of_a_batch_change_a_bit(
    made_of: Any,
) -> None:
    grid, values, policy, seed = made_of
    ids = np.array([5, 900, 2**33])
    whole = augment(values, grid, policy, seed=seed, samples=ids, threads=3).values
    for k in (2, 0, 1):
        one = augment(values[k : k + 1], grid, policy, seed=seed, samples=ids[k : k + 1])
        assert one.values.tobytes() == whole[k].tobytes()
    falling = Wavelengths.from_edges(grid.low_um[::-1], grid.high_um[::-1])
    turned = np.ascontiguousarray(values[:, ::-1])
    back = augment(turned, falling, policy, seed=seed, samples=ids).values[:, ::-1]
    assert back.tobytes() == whole.tobytes()


def test_the_output_may_be_the_input() -> None:
    values = np.random.default_rng(1).gamma(2.0, size=(4, LOG.count)).astype(np.float32)
    apart = augment(values, LOG, SpectraPolicy(), seed=3).values
    within = augment(values, LOG, SpectraPolicy(), seed=3, out=values).values
    assert within is values
    assert within.tobytes() == apart.tobytes()


def test_an_array_for_reading_only_is_read() -> None:
    values = np.random.default_rng(1).gamma(2.0, size=(4, LOG.count)).astype(np.float32)
    free = augment(values, LOG, SpectraPolicy(), seed=3).values
    values.flags.writeable = False
    held = augment(values, LOG, SpectraPolicy(), seed=3).values
    assert held.tobytes() == free.tobytes()


def test_torch_tensors_are_used_where_they_lie_and_give_the_same_bits() -> None:
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    values = np.random.default_rng(1).gamma(2.0, size=(4, LOG.count)).astype(np.float32)
    plain = augment(values, LOG, SpectraPolicy(), seed=3).values
    tensor = torch.from_numpy(values.copy())
    made = augment(tensor, LOG, SpectraPolicy(), seed=3, out=tensor).values
    assert made.data_ptr() == tensor.data_ptr()
    assert made.numpy().tobytes() == plain.tobytes()


def test_bfloat16_is_the_float32_of_its_values_rounded() -> None:
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    values = torch.from_numpy(
        np.random.default_rng(1).gamma(2.0, size=(4, LOG.count)).astype(np.float32)
    ).bfloat16()
    made = augment(values, LOG, SpectraPolicy(), seed=3)
    wide = augment(values.float(), LOG, SpectraPolicy(), seed=3)
    assert made.values.dtype == torch.bfloat16
    assert torch.equal(made.values.nan_to_num(), wide.values.bfloat16().nan_to_num())
    assert np.abs(wide.residual).max() < 1e-6


def test_one_bin_is_a_spectrum() -> None:
    grid = Wavelengths.from_edges([1.0], [1.2])
    value = np.array([[3.0]], np.float32)
    kept = augment(value, grid, only(response=0.02), seed=1).values
    moved = augment(value, grid, LEFT, seed=1, draws=Draws.of(1, shift=0.05)).values
    noisy = augment(value, grid, only(snr=(10, 10), keep_total=False), seed=1).values
    assert kept[0, 0] == pytest.approx(3.0, rel=1e-6)
    assert np.isnan(moved[0, 0])
    assert 1.0 < noisy[0, 0] < 5.0
    with pytest.raises(ConfigError, match="keep_total: of one bin nothing would be left"):
        augment(value, grid, only(snr=(10, 10)), seed=1)


def test_draws_are_a_samples_own_and_lie_within_the_policys_limits() -> None:
    policy = SpectraPolicy(stretch=0.03)
    ids = np.arange(2000)
    drawn = draw(policy, 9, ids, 500)
    alone = draw(policy, 9, ids[1234:1235], 500)
    assert alone.shift[0] == drawn.shift[1234]
    assert np.array_equal(alone.gaps[0], drawn.gaps[1234])
    assert 0.099 < np.abs(drawn.shift).max() <= 0.1
    assert 0.0297 < np.abs(drawn.stretch).max() <= 0.03
    assert 50.0 <= drawn.resolution.min() < 51.0
    assert 495.0 < drawn.resolution.max() <= 500.0
    assert np.median(drawn.snr) == pytest.approx(np.sqrt(1000.0), rel=0.1)
    width = drawn.gaps[..., 1] - drawn.gaps[..., 0]
    assert drawn.gaps.min() >= 0
    assert drawn.gaps.max() == 500
    assert (width > 0).sum(axis=1).tolist().count(0) == pytest.approx(500, rel=0.2)
    assert width[width > 0].min() == 3
    assert width.max() == 15
