"""Pieces of an evaluation: what is kept between two runs, and which laws are imposed."""

from pathlib import Path

import numpy as np
import pytest
from test_bundle import some_climates, vars_of

from astrohpc.climates.climates import Climates
from astrohpc.climates.split import Split
from astrohpc.errors import ConfigError
from astrohpc.evaluate.fit import fit_baseline
from astrohpc.evaluate.fitted import keep, kept
from astrohpc.evaluate.imposed import imposed
from astrohpc.evaluate.settings import EvaluateSettings
from astrohpc.evaluate.verdict import EXACT, PLAIN, judge, lead

SETTINGS = EvaluateSettings(trials=1, folds=3)
PARTS = Split(np.arange(8), np.array([8, 9]), np.array([10, 11, 12]), np.array([13]))


def unbalanced() -> Climates:
    """Planets that lose very different shares of their light."""
    made = some_climates()
    values = made.values.copy()
    values[:, made.places["rlut"]] *= np.linspace(0.2, 3, len(made))[:, None]
    return type(made)(**{**vars_of(made), "values": values})


def test_a_law_that_the_model_keeps_is_imposed_and_one_that_it_breaks_is_not() -> None:
    kept_laws, notes = imposed(some_climates(), ())
    assert [one.name for one in kept_laws] == ["bounds", "toa_energy"]
    assert notes == []
    kept_laws, notes = imposed(unbalanced(), ())
    assert [one.name for one in kept_laws] == ["bounds"]
    assert len(notes) == 1
    assert notes[0].startswith("toa_energy is not imposed: the climate model itself breaks it")
    asked, notes = imposed(unbalanced(), ("toa_energy",))
    assert [one.name for one in asked] == ["toa_energy"]
    assert notes == []
    assert imposed(some_climates(), ("none",))[0] == ()
    with pytest.raises(ConfigError, match="none goes alone"):
        imposed(some_climates(), ("none", "bounds"))


@pytest.mark.parametrize("name", ["mean", "neighbours", "pca_gp"])
def test_a_fitted_method_is_found_again_as_it_was(name: str, tmp_path: Path) -> None:
    known = some_climates()
    laws, _ = imposed(known, ())
    keep(tmp_path, "key", fit_baseline(name, known, PARTS, laws, SETTINGS))
    one, other = kept(tmp_path, "key", name), kept(tmp_path, "key", name)
    assert one is not None
    assert other is not None
    assert one.said["test"].mean.shape == (3, known.values.shape[1])
    assert (one.emulator is None) == (name == "neighbours")
    first, second = (judge(found, known, PARTS, laws) for found in (one, other))
    assert first.ways == (PLAIN, EXACT)
    assert first.scores["test", EXACT].summary() == second.scores["test", EXACT].summary()
    assert kept(tmp_path, "other", name) is None
    numbers = tmp_path / f"{name}.safetensors"
    numbers.write_bytes(numbers.read_bytes()[:-1])
    assert kept(tmp_path, "key", name) is None


def test_a_lead_is_the_difference_of_skills_with_its_interval() -> None:
    known = some_climates()
    first, second = (
        judge(fit_baseline(name, known, PARTS, (), SETTINGS), known, PARTS, ())
        for name in ("ridge", "mean")
    )
    found = lead(first, second, "test")
    assert found.value == pytest.approx(first.mean_skill("test") - second.mean_skill("test"))
    assert found.low > 0.0
    assert lead(second, first, "test").high < 0.0
    assert lead(first, first, "test").value == 0.0


def test_settings_that_make_no_sense_are_named() -> None:
    for changes, words in (
        ({"methods": ("pca_gb",)}, "methods: there is no 'pca_gb'; did you mean 'pca_gp'"),
        ({"projections": ("energy",)}, "projections: there is no 'energy'"),
        ({"trials": 0}, "trials: 0"),
        ({"folds": 1}, "folds: 1"),
    ):
        with pytest.raises(ConfigError, match=words):
            EvaluateSettings(**changes)
