"""Run-time parameters: what the model would take in silence is refused with what was meant."""

import pytest
from support_rocke3d import DECK, RUNDECKS, needs_rundecks

from astrohpc.engines.rocke3d.parameters import KNOWN, Declared, check, check_all, fit
from astrohpc.engines.rocke3d.rundeck import Rundeck
from astrohpc.engines.rocke3d.text import Value
from astrohpc.errors import ConfigError


@needs_rundecks
def test_every_parameter_of_every_real_rundeck_is_known_and_in_range() -> None:
    for path in RUNDECKS.glob("*.R"):
        check_all(Rundeck.read(path).parameters)


def test_every_known_parameter_says_what_it_is() -> None:
    assert len(KNOWN) > 150
    for key, known in KNOWN.items():
        assert key == known.name.lower()
        assert known.meaning
        assert known.low <= known.high
        assert len(known.name) <= 32


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "planet_S",
            900.0,
            "planet_S: no such parameter is known and the model would ignore it; did you mean 'planet_s0'?",
        ),
        ("siderealRotationPerod", 1.0, "did you mean 'siderealRotationPeriod'?"),
        ("frobnicate", 1, "correct it, or declare it under engine.extra_parameters."),
        ("DT", 225, "DT: 225 is not a real number to the model; write 225.0."),
        ("NRAD", 5.0, "NRAD: 5.0 is not a whole number to the model; write 5."),
        ("NRAD", "5", "NRAD: '5' is not a whole number to the model; write a whole number."),
        (
            "planetName",
            5,
            "planetName: 5 is not text in quotes to the model; write text in quotes.",
        ),
        (
            "KOCEAN",
            7,
            "KOCEAN: 7 is none of 0, 1 (ocean: 0 prescribed, 1 slab or dynamic; any other is taken as slab)",
        ),
        (
            "S0X",
            300.0,
            "S0X: 300 lies outside 0 … 100 (factor on the stellar flux of GISS radiation)",
        ),
        ("obliquity", -3.0, "obliquity: -3 degree lies outside 0 … 180 degree"),
        ("X_SDRAG", 0.1, "X_SDRAG: 1 values are given; write 2."),
        ("DT", (1.0, 2.0), "DT: 2 values are given; write 1."),
        ("Nssw", 3, "Nssw: 3 is none of 2, 4, 6"),
        ("NMONAV", 5, "NMONAV: 5 is none of 1, 2, 3, 4, 6, 12"),
    ],
)
def test_nonsense_is_refused_with_a_remedy(name: str, value: Value, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(name, value)
    assert sentence in str(caught.value)


def test_case_does_not_matter_and_input_files_are_text() -> None:
    check("KoCeAn", 1)
    check("_file_ANYTHING", "/a/path.nc")
    with pytest.raises(ConfigError, match="_file_AIC: 3 is not text"):
        check("_file_AIC", 3)


def test_what_people_write_gets_the_model_s_type() -> None:
    assert repr(fit("DT", 225)) == "225.0"
    assert fit("rtau", [3, 2.5]) == (3.0, 2.5)
    assert fit("rtau", [3]) == 3.0
    assert fit("KOCEAN", 1) == 1
    with pytest.raises(ConfigError, match="KOCEAN: True is not a whole number"):
        fit("KOCEAN", True)
    with pytest.raises(ConfigError, match="DT: None is not a real number"):
        fit("DT", None)


def test_a_parameter_of_one_s_own_is_declared_and_then_checked() -> None:
    extra = {"myKnob": Declared(kind="real", low=0.0, high=1.0).known("myKnob")}
    check("MYKNOB", 0.5, extra)
    with pytest.raises(ConfigError, match=r"myknob: 2 lies outside 0 … 1 \(declared in the conf"):
        check("myknob", 2.0, extra)
    with pytest.raises(ConfigError, match="did you mean 'myKnob'"):
        check("myknop", 2.0, extra)
    with pytest.raises(ConfigError, match="low: 2 is above high"):
        Declared(kind="real", low=2.0, high=1.0)
    with pytest.raises(ConfigError, match=r"values: .* is not the fewest and the most"):
        Declared(kind="real", values=(3, 2))


def test_what_must_hold_between_parameters_is_checked() -> None:
    deck = Rundeck.parse(DECK.encode())
    check_all(deck.parameters)
    with pytest.raises(ConfigError, match=r"DT: 600 s goes 3 times into DTsrc .* write 450\.0\."):
        check_all(deck.updated({"DT": 600.0}).parameters)
    # As the model does, a step is taken that only nearly fits.
    check_all(deck.updated({"DTsrc": 1756.8, "DT": 225.0}).parameters)
    # Finite-volume dynamics take the physics' step.
    check_all(deck.updated({"DT": 1800.0}).parameters)
    with pytest.raises(ConfigError, match="minGroundTemperature: 300 degC is not below"):
        check_all({"minGroundTemperature": 300.0, "maxGroundTemperature": 200.0})
