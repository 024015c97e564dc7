"""Principal components with Gaussian processes: right, sure as far as it may be, and kept."""

import json

import numpy as np
import pytest
from support_emulate import Planets, planets

from astrohpc.emulate.gp import PcaGp
from astrohpc.emulate.ridge import Ridge


@pytest.fixture(scope="module")
def made() -> Planets:
    return planets()


@pytest.fixture(scope="module")
def fitted(made: Planets) -> PcaGp:
    return PcaGp(share=0.999).fit(
        made.scaled[: made.seen], made.values[: made.seen], made.weights, seed=0
    )


def test_it_follows_smooth_fields_better_than_a_quadratic_does(
    made: Planets, fitted: PcaGp
) -> None:
    seen = slice(made.seen)
    ridge = Ridge(degree=2, penalty=1e-3).fit(made.scaled[seen], made.values[seen], made.weights, 0)
    found = made.skill(fitted.predict(made.scaled[made.seen :]).mean)
    assert found > 0.98
    assert 1 - found < 0.5 * (1 - made.skill(ridge.predict(made.scaled[made.seen :]).mean))


def test_about_nine_of_ten_values_of_new_planets_lie_in_its_interval(
    made: Planets, fitted: PcaGp
) -> None:
    found = fitted.predict(made.scaled[made.seen :])
    inside = np.abs(made.values[made.seen :] - found.mean) < 1.645 * found.std
    assert 0.83 < inside.mean() < 0.98


def test_it_is_less_sure_away_from_the_planets_seen(fitted: PcaGp) -> None:
    found = fitted.predict(np.array([[0.5, 0.5, 0.5], [1.8, -0.8, 1.8]]))
    assert np.all(found.std[1] > 2 * found.std[0])


def test_written_and_read_again_it_says_the_same(made: Planets, fitted: PcaGp) -> None:
    settings, arrays = fitted.state()
    again = PcaGp.restored(json.loads(json.dumps(settings)), arrays)
    before, after = (one.predict(made.scaled[:5]) for one in (fitted, again))
    np.testing.assert_array_equal(after.mean, before.mean)
    np.testing.assert_array_equal(after.std, before.std)


def test_of_many_planets_the_processes_see_some_and_the_settings_say_how_many(
    made: Planets,
) -> None:
    seen = slice(made.seen)
    found = PcaGp(most_planets=40, most_for_sizes=30).fit(
        made.scaled[seen], made.values[seen], made.weights, seed=3
    )
    settings, arrays = found.state()
    assert settings["most_planets"] == 40
    assert arrays["inputs"].shape == (40, 3)
    assert len(np.unique(arrays["inputs"], axis=0)) == 40
    np.testing.assert_allclose(arrays["mean"], made.values[seen].mean(axis=0))  # of all planets
    assert made.skill(found.predict(made.scaled[made.seen :]).mean) > 0.9


def test_the_seed_changes_nothing_where_all_planets_are_seen(made: Planets, fitted: PcaGp) -> None:
    other = PcaGp(share=0.999).fit(
        made.scaled[: made.seen], made.values[: made.seen], made.weights, seed=9
    )
    np.testing.assert_array_equal(
        other.predict(made.scaled[:3]).mean, fitted.predict(made.scaled[:3]).mean
    )


def test_single_precision_rows_are_learned_like_double_ones(made: Planets, fitted: PcaGp) -> None:
    found = PcaGp(share=0.999).fit(
        made.scaled[: made.seen], made.values[: made.seen].astype(np.float32), made.weights, 0
    )
    np.testing.assert_allclose(
        found.predict(made.scaled[:3]).mean, fitted.predict(made.scaled[:3]).mean, rtol=1e-3
    )


@pytest.mark.parametrize(
    ("wrong", "said"), [({"kernel": "cubic"}, "kernel: 'cubic'"), ({"share": 0.0}, r"share: 0\.0")]
)
def test_settings_that_are_none_are_refused(wrong: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PcaGp(**wrong)


def test_before_it_has_learned_it_says_so() -> None:
    with pytest.raises(ValueError, match="pca_gp: it has learned nothing yet"):
        PcaGp().predict(np.zeros((1, 2)))
