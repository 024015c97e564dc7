import json
import math
from dataclasses import replace

import numpy as np
import pytest
from support_evaluate import INPUTS

from astrohpc.climates.climates import Input
from astrohpc.errors import ConfigError
from astrohpc.evaluate.domain import Domain, auroc

ANGLE = Input("longitude_of_periapse", "rad", 0.0, 2 * math.pi, False, 2 * math.pi)


def domain(seed: int = 0, planets: int = 200) -> Domain:
    return Domain(INPUTS, np.random.default_rng(seed).uniform(size=(planets, 2)))


def test_of_planets_drawn_like_those_trained_on_about_one_in_a_hundred_is_flagged():
    rng = np.random.default_rng(1)
    flagged = [
        one.flagged for seed in range(20) for one in domain(seed).judge(rng.uniform(size=(200, 2)))
    ]
    assert 0.003 < np.mean(flagged) < 0.03


def test_a_planet_beyond_an_input_is_flagged_with_its_value_in_units():
    found = domain().judge([[1.5, 0.5], [0.5, -0.4]])
    assert [one.flagged for one in found] == [True, True]
    assert "stellar_flux is 2000 W m⁻² where 50" in found[0].sentence
    assert "was trained on" in found[0].sentence
    assert "co2 is 2.512e-08 where 1." in found[1].sentence


def test_a_mix_that_was_never_trained_on_is_flagged_within_the_box():
    along = np.linspace(0.0, 1.0, 50)
    trained = Domain(INPUTS, np.column_stack([along, along]))
    inside, outside = trained.judge([[0.51, 0.5], [0.9, 0.1]])
    assert not inside.flagged
    assert outside.flagged
    assert outside.novelty > 9
    assert "this mix of inputs was not trained on" in outside.sentence


def test_what_is_no_number_is_flagged():
    (found,) = domain().judge([[np.nan, 0.5]])
    assert found.flagged
    assert "stellar_flux is no number" in found.sentence
    assert found.novelty == np.inf


def test_angles_are_near_across_the_full_turn():
    rng = np.random.default_rng(0)
    trained = Domain((ANGLE,), rng.uniform(0.9, 1.1, (40, 1)) % 1.0)
    near, same, far = trained.judge([[0.001], [2.0], [0.5]])
    assert not near.flagged
    assert not same.flagged
    assert far.flagged
    turns = trained.novelty(np.array([[0.05], [1.05], [-0.95]]))
    assert turns == pytest.approx(turns[0])


def test_an_angle_beyond_those_trained_on_is_flagged_however_many_turns_away():
    trained = Domain((ANGLE,), np.linspace(0.2, 0.4, 30)[:, None])
    inside, outside = trained.judge([[1.3], [1.7]])
    assert not inside.flagged
    assert outside.flagged
    assert "longitude_of_periapse is 612 deg where 72 deg to 144 deg" in outside.sentence


def test_distance_tells_a_corner_from_the_rest():
    rng = np.random.default_rng(0)
    planets = rng.uniform(size=(300, 2))
    corner = planets.sum(axis=1) > 1.6
    trained = Domain(INPUTS, planets[~corner][:150])
    found = auroc(trained.novelty(planets[~corner][150:]), trained.novelty(planets[corner]))
    assert found > 0.9


def test_auroc_is_one_for_always_a_half_for_never_and_counts_ties_half():
    assert auroc([1.0, 2.0], [3.0, 4.0]) == 1.0
    assert auroc([3.0, 4.0], [1.0, 2.0]) == 0.0
    assert auroc([1.0, 1.0], [1.0, 1.0, 1.0]) == 0.5
    assert auroc([1.0, 3.0], [2.0, 3.0]) == pytest.approx((1.0 + 0.0 + 1.0 + 0.5) / 4)
    assert math.isnan(auroc([], [1.0]))


def test_planets_that_come_many_times_over_are_their_own_domain():
    trained = Domain(INPUTS, np.full((10, 2), 0.5))
    same, other = trained.judge([[0.5, 0.5], [0.9, 0.5]])
    assert not same.flagged
    assert other.flagged


def test_a_domain_comes_back_the_same_through_json():
    made = Domain((*INPUTS, ANGLE), np.random.default_rng(0).uniform(size=(30, 3)))
    back = Domain.restored(json.loads(json.dumps(made.state())))
    some = np.random.default_rng(1).uniform(-0.2, 1.2, (20, 3))
    assert back.judge(some) == made.judge(some)


def test_damaged_or_other_states_and_no_numbers_are_refused_in_a_sentence():
    state = domain().state()
    with pytest.raises(ConfigError, match="version 0 where this astrohpc knows 1"):
        Domain.restored(state | {"schema": 0})
    with pytest.raises(ConfigError, match="is damaged"):
        Domain.restored(state | {"inputs": [{"name": "co2"}]})
    with pytest.raises(ConfigError, match="a column an input"):
        Domain.restored(state | {"trained": [[0.0, 1.0]]})
    with pytest.raises(ConfigError, match="is no number"):
        Domain(INPUTS, np.full((5, 2), np.nan))


def test_an_input_without_a_known_name_is_shown_in_its_unit():
    plain = replace(INPUTS[0], name="depth", unit="m")
    (found,) = Domain((plain,), np.linspace(0, 1, 10)[:, None]).judge([[2.0]])
    assert "depth is 2500 m where 500 m to 1500 m was trained on" in found.sentence
