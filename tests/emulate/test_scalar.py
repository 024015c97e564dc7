"""The scalar surrogate: skill on left-out planets, ranges kept, intervals that hold, and what it restores."""

import json
from dataclasses import replace

import numpy as np
import pytest
from support_sources import SHARED

from astrohpc.climates.climates import Climates, Input, Variable
from astrohpc.climates.table import from_table
from astrohpc.emulate.additive import conditioned, learned, parts_of
from astrohpc.emulate.features import Features
from astrohpc.emulate.scalar import Scalar

TRAINING = SHARED / "gcm" / "habitability_metrics" / "training_metrics.nc"
SPIN = Input("rotation_period", "s", 1e5, 1e7, True)
TILT = Input("obliquity", "rad", 0.0, 1.5, False)
E = Input("eccentricity", "", 0.0, 0.2, False)
PERIAPSE = Input("longitude_of_periapse", "rad", 0.0, 2 * np.pi, False, 2 * np.pi)


def truth(scaled: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """A temperature, a share that reaches its ends, and noise that nobody can tell."""
    spin, tilt = scaled.T
    heat = np.tanh(4 * (spin - 0.5)) + 0.3 * spin * tilt + 0.02 * noise[:, 0]
    share = np.clip(0.5 + 0.9 * heat, 0, 1)
    return np.column_stack([300 + 20 * heat, share, noise[:, 1]])


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Planets over spin and tilt; synthetic."""
    rng = np.random.default_rng(seed)
    scaled = rng.random((count, 2))
    return scaled, truth(scaled, rng.normal(size=(count, 2)))


def climates(count: int, seed: int) -> Climates:
    """The same as a table of climates."""
    scaled, values = drawn(count, seed)
    low, high = np.log([SPIN.low, SPIN.high])
    params = np.column_stack([np.exp(low + scaled[:, 0] * (high - low)), 1.5 * scaled[:, 1]])
    variables = tuple(
        Variable(name, name, unit, (), levels=False, of=name)
        for name, unit in (("ts", "K"), ("share", ""), ("noise", "m"))
    )
    return Climates(
        inputs=(SPIN, TILT),
        params=params,
        variables=variables,
        values=values.astype(np.float32),
        weights=np.ones(3),
        names=tuple(map(str, range(count))),
        planets=(),
        axes={},
        excluded=(),
        constant=(),
        source="test",
        mark="synthetic",
        notes={},
    )


@pytest.fixture(scope="module")
def fitted() -> Scalar:
    some = climates(40, 1)
    return Scalar.of(some).fit(some.scaled, some.values.astype(float), some.weights, 0)


# ----------------------------------------------------------------------------- features
def test_an_eccentricity_vector_is_the_same_from_both_ends_of_a_turn() -> None:
    features = Features((SPIN, E, PERIAPSE))
    scaled = np.array([[0.2, 0.5, 0.0], [0.2, 0.5, 1.0], [0.2, 0.0, 0.3], [0.2, 1.0, 0.25]])
    found = features.of(scaled)
    np.testing.assert_allclose(found[0], [0.2, 0.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(found[1], found[0], atol=1e-12)
    np.testing.assert_allclose(found[2], [0.2, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(found[3], [0.2, 0.0, 1.0], atol=1e-12)
    assert features.groups == ((0,), (1, 2))
    assert parts_of(features.groups) == ((0,), (1, 2), (0, 1, 2))


def test_an_angle_without_an_eccentricity_is_a_point_of_a_circle() -> None:
    found = Features((PERIAPSE,)).of(np.array([[0.5]]))
    np.testing.assert_allclose(found, [[-1.0, 0.0]], atol=1e-12)


# ----------------------------------------------------------------------------- the process
def test_slopes_of_the_likelihood_lead_to_a_point_that_no_step_improves() -> None:
    scaled, values = drawn(25, 3)
    parts = parts_of(((0,), (1,)))
    data = values[:, :2]
    best = learned(parts, scaled, data)
    again = learned(parts, scaled, data, best + 0.05)
    np.testing.assert_allclose(again, best, atol=0.02)


def test_without_noise_a_process_passes_through_what_it_saw() -> None:
    scaled = np.linspace(0, 1, 9)[:, None]
    data = np.sin(5 * scaled)
    sizes = np.array([-1.0, 0.0, -6.0, -6.0])
    mean, std = conditioned(((0,),), sizes, scaled, data).predict(scaled)
    np.testing.assert_allclose(mean, data, atol=1e-3)
    assert (std < 0.01).all()


# ----------------------------------------------------------------------------- predictions
def test_unseen_planets_are_told_far_better_than_by_a_mean(fitted: Scalar) -> None:
    scaled, values = drawn(300, 2)
    told = fitted.predict(scaled)
    skill = 1 - np.mean((told.mean - values) ** 2, axis=0) / values.var(axis=0)
    assert skill[0] > 0.98
    assert skill[1] > 0.95


def test_what_nobody_can_tell_is_told_by_its_mean(fitted: Scalar) -> None:
    assert list(fitted.told) == [True, True, False]
    told = fitted.predict(drawn(5, 4)[0])
    assert np.ptp(told.mean[:, 2]) < 1e-12
    assert 0.7 < told.std[0, 2] < 1.5


def test_shares_and_their_intervals_stay_between_nought_and_one(fitted: Scalar) -> None:
    scaled = drawn(300, 5)[0] * 1.4 - 0.2  # beyond the domain, too
    low, high = fitted.interval(scaled, 0.95)
    share = fitted.predict(scaled).mean[:, 1]
    assert (low[:, 1] >= 0).all()
    assert (high[:, 1] <= 1).all()
    assert ((low[:, 1] <= share) & (share <= high[:, 1])).all()
    assert share.min() < 0.02
    assert share.max() > 0.98


def test_only_numbers_without_a_unit_or_in_percent_can_be_shares() -> None:
    some = climates(10, 1)
    percent = replace(some.variables[0], unit="%")
    made = Scalar.of(replace(some, variables=(percent, *some.variables[1:])))
    assert made.bounds == (None, (0.0, 1.0), None)  # 300 % is no share
    scaled = replace(some, variables=(percent, *some.variables[1:]), values=some.values / 4)
    assert Scalar.of(scaled).bounds[0] == (0.0, 100.0)


def test_intervals_hold_as_often_as_they_say_over_many_samples() -> None:
    held: dict[float, list[float]] = {0.5: [], 0.9: []}
    for seed in range(5):
        some = climates(20, 100 + seed)
        made = Scalar.of(some).fit(some.scaled, some.values.astype(float), some.weights, 0)
        scaled, values = drawn(200, 200 + seed)
        for confidence, found in held.items():
            low, high = made.interval(scaled, confidence)
            found.append(float(((low <= values) & (values <= high)).mean()))
    for confidence, found in held.items():
        assert confidence - 0.06 < np.mean(found) < confidence + 0.08


def test_intervals_grow_with_confidence_and_far_from_what_was_seen(fitted: Scalar) -> None:
    near, far = np.array([[0.5, 0.5]]), np.array([[0.5, 4.0]])
    widths = [np.subtract(*fitted.interval(near, one)[::-1])[0, 0] for one in (0.5, 0.68, 0.9)]
    assert widths == sorted(widths)
    assert np.subtract(*fitted.interval(far, 0.9)[::-1])[0, 0] > 1.5 * widths[-1]


# ----------------------------------------------------------------------------- state
def test_left_out_planets_are_predicted_without_themselves(fitted: Scalar) -> None:
    some = climates(40, 1)
    values = some.values.astype(float)
    values[7, 0] += 1e3  # the planet itself must not tell
    moved = Scalar.of(some).fit(some.scaled, values, some.weights, 0).left_out.mean[7, 0]
    assert abs(moved - fitted.left_out.mean[7, 0]) < 30


def test_the_same_is_restored_from_json_and_arrays(fitted: Scalar) -> None:
    settings, arrays = fitted.state()
    again = Scalar.restored(json.loads(json.dumps(settings)), arrays)
    scaled = drawn(7, 6)[0]
    np.testing.assert_array_equal(again.predict(scaled).mean, fitted.predict(scaled).mean)
    np.testing.assert_array_equal(again.interval(scaled, 0.9)[1], fitted.interval(scaled, 0.9)[1])
    assert again.predict(scaled[:0]).mean.shape == (0, 3)


def test_of_very_many_planets_some_are_drawn_and_left_out_by_folds() -> None:
    some = climates(160, 8)
    values = some.values.astype(float)
    made = replace(Scalar.of(some), most_planets=120, most_for_sizes=40)
    first = made.fit(some.scaled, values, some.weights, 5)
    assert len(first.chosen) == 120
    assert first.left_out.mean.shape == (120, 3)
    other = made.fit(some.scaled, values, some.weights, 6)
    assert set(first.chosen) != set(other.chosen)
    np.testing.assert_array_equal(
        first.left_out.mean, made.fit(some.scaled, values, some.weights, 5).left_out.mean
    )


def test_one_that_has_learned_nothing_says_so() -> None:
    with pytest.raises(ValueError, match="fit it first"):
        Scalar(inputs=(SPIN,), bounds=(None,)).predict(np.zeros((1, 1)))


@pytest.mark.skipif(not TRAINING.is_file(), reason="the published ROCKE-3D tables are not here")
def test_on_the_published_sweep_left_out_planets_are_told_as_the_page_says() -> None:
    some = from_table(TRAINING)
    values = some.values.astype(float)
    made = Scalar.of(some).fit(some.scaled, values, some.weights, 0)
    told = dict(zip((one.name for one in some.variables), made.skill_left_out, strict=True))
    assert told["tsurf_global_average"] > 0.97
    assert told["habitability_land"] > 0.92
    assert np.mean(made.skill_left_out[made.told]) > 0.9
    assert [one.name for one, t in zip(some.variables, made.told, strict=True) if not t] == [
        "runoff_global_average"
    ]
