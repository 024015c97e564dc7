"""All methods by name: each learns, each alike with the same seed, none is loaded before it is used."""

import subprocess
import sys

import numpy as np
import pytest
from support_emulate import Planets, planets

from astrohpc.emulate.methods import CHOICES, METHODS, restored
from astrohpc.errors import ConfigError

# What each reaches on the smooth fields below, untuned; the order is that of their freedom.
LEAST = {
    "neighbours": 0.8,
    "ridge": 0.85,
    "quadratic": 0.93,
    "pca_ridge": 0.93,
    "pca_gp": 0.98,
    "pca_trees": 0.8,
    "pca_mlp": 0.95,
}


@pytest.fixture(scope="module")
def made() -> Planets:
    return planets(seen=40, other=30)


@pytest.mark.parametrize("name", LEAST)
def test_each_learns_what_new_planets_are_like(name: str, made: Planets) -> None:
    seen = slice(made.seen)
    found = METHODS[name]().fit(made.scaled[seen], made.values[seen], made.weights, 0)
    assert made.skill(found.predict(made.scaled[made.seen :]).mean) > LEAST[name]


def test_the_mean_has_no_skill(made: Planets) -> None:
    seen = slice(made.seen)
    found = METHODS["mean"]().fit(made.scaled[seen], made.values[seen], made.weights, 0)
    assert made.skill(found.predict(made.scaled[made.seen :]).mean) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["pca_trees", "pca_mlp"])
def test_what_is_drawn_comes_from_the_seed(name: str, made: Planets) -> None:
    seen = slice(made.seen)
    one, same, other = (
        METHODS[name](share=0.9)
        .fit(made.scaled[seen], made.values[seen], made.weights, seed)
        .predict(made.scaled[:4])
        .mean
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", ["pca_ridge", "pca_gp", "pca_trees", "pca_mlp"])
def test_a_single_output_is_learned_too(name: str, made: Planets) -> None:
    seen = slice(made.seen)
    values = made.values[:, :1]
    found = METHODS[name]().fit(made.scaled[seen], values[seen], np.ones(1), 0)
    missed = found.predict(made.scaled[made.seen :]).mean - values[made.seen :]
    assert np.mean(np.square(missed)) < 0.3 * values.var()


@pytest.mark.parametrize("name", ["pca_trees", "pca_mlp"])
def test_before_it_has_learned_it_says_so(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: it has learned nothing yet"):
        METHODS[name]().predict(np.zeros((1, 3)))


@pytest.mark.parametrize("name", METHODS)
def test_every_choice_is_a_setting_and_the_first_is_the_usual_one(name: str) -> None:
    usual = METHODS[name]()
    for setting, choices in CHOICES[name].items():
        assert getattr(usual, setting) == choices[0]
        for choice in choices:
            assert getattr(METHODS[name](**{setting: choice}), setting) == choice


@pytest.mark.parametrize("name", ["mean", "ridge", "quadratic", "pca_gp"])
def test_what_can_be_kept_comes_back_by_name(name: str, made: Planets) -> None:
    before = METHODS[name]().fit(made.scaled[:20], made.values[:20], made.weights, 0)
    after = restored(name, *before.state())
    np.testing.assert_array_equal(
        after.predict(made.scaled[20:]).mean, before.predict(made.scaled[20:]).mean
    )


def test_what_cannot_be_kept_is_said_in_a_sentence() -> None:
    with pytest.raises(ConfigError, match="method: 'pca_trees' cannot be kept; use mean, ridge"):
        restored("pca_trees", {}, {})


def test_scikit_learn_is_not_loaded_before_a_method_needs_it() -> None:
    code = "import sys, astrohpc.emulate.tune; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
