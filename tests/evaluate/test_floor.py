"""How well climates are known, by runs of the same planets from other initial states."""

from dataclasses import replace

import numpy as np
import pytest
from support_evaluate import planet
from test_bundle import some_climates, vars_of

from astrohpc.climates.climates import Climates
from astrohpc.errors import ConfigError
from astrohpc.evaluate.floor import floor_of


def noisy(seed: int, sigma: float) -> Climates:
    """The same planets, each run off its climate by so much at every place."""
    made = some_climates()
    noise = np.random.default_rng(seed).normal(size=made.values.shape) * sigma
    values = (made.values + noise).astype(np.float32)
    return type(made)(**{**vars_of(made), "values": values, "source": f"run-{seed}"})


def test_the_floor_is_the_noise_of_one_run_and_not_of_a_difference() -> None:
    found = floor_of(noisy(1, 0.5), noisy(2, 0.5))
    assert found.planets == len(some_climates())
    for name in ("ta", "log_hus", "rsut"):
        assert found.rms[name].value == pytest.approx(0.5, rel=0.05)
        assert found.rms[name].low < found.rms[name].value < found.rms[name].high


def test_planets_are_paired_by_what_they_are_and_not_by_their_place() -> None:
    order = np.array([7, 2, 11])
    found = floor_of(noisy(1, 0.01), noisy(2, 0.01).take(order))
    assert found.planets == 3
    assert found.rms["ta"].value < 0.02


def test_what_is_no_run_of_the_same_planets_is_one_sentence() -> None:
    known = noisy(1, 0.5)
    with pytest.raises(ConfigError, match="holds the very runs of run-1; run them with another"):
        floor_of(known, replace(known, source="again"))
    strangers = replace(known, planets=tuple(planet(co2=i / 100) for i in range(len(known))))
    with pytest.raises(ConfigError, match="none of the 14 planets of run-1 is one of run-1"):
        floor_of(known, strangers)
    ta, *others = known.variables
    flat = replace(known, variables=(replace(ta, shape=(*ta.shape[:2], 8)), *others))
    with pytest.raises(ConfigError, match=r"ta of run-1 has the shape \(3, 8, 8\)"):
        floor_of(known, flat)
