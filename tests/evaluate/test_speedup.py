"""The benchmark of speed-ups: its tables say what was measured, with a break-even beside each speed-up."""

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from support import REPOSITORY

from astrohpc.evaluate.cost import Solver
from astrohpc.launch.predicting import _written
from astrohpc.planet import Planet

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

from speedup_parts import answers, solvers, tables

OWN = "pca_gp as handed over"


def said(core_s: float, ts_rms_k: float, cold_core_s: float | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "warm": {
            "one": {"median_s": core_s, "p95_s": 2 * core_s, "core_s": core_s, "calls": 100},
            "batches": {"8": {"s_a_planet": core_s / 4, "core_s_a_planet": core_s / 4}},
            "energy": {"method": "not measured", "joules_a_planet": None},
        },
        "ts_rms_k": ts_rms_k,
        "skill": 0.9,
        "cpu_s": 3.0,
    }
    if cold_core_s is not None:
        found["cold"] = {"wall_s": cold_core_s, "core_s": cold_core_s, "runs": 5}
        found["with_file"] = {"median_s": 0.02, "p95_s": 0.03, "core_s": 0.02, "calls": 100}
    return found


@pytest.fixture
def result() -> dict[str, Any]:
    spent = {"finishing": 900.0, "repeated": 50.0, "unfinished": 45.0, "running": 5.0}
    gcm = {f"{name}_core_s": value for name, value in spent.items()} | {
        "done": 10,
        "settled": 8,
        "members": 16,
        "attempts": 14,
        "model_years": 12.0,
        "cores": 1,
        "core_s_a_climate": 100.0,
        "cpu_s_a_climate": 80.0,
        "use": 0.8,
        "spin_up": 0.75,
        "untold": 0,
        "cluster": None,
        "jobs": ["local-1"],
    }
    every = [
        Solver("the GCM, all attempts included", 0.0, 80.0),
        Solver("energy-balance model", 20.0, 0.02),
        Solver("neighbours, warm", 4.0, 0.0001, 803.0),
    ]
    short = [
        Solver("the GCM for 0.10 years", 9.0, 10.0),
        Solver("the GCM for 0.50 years", 1.9, 40.0),
    ]
    return {
        "provenance": {
            "date": "2026-01-01", "load_before": 0.1, "machine": "a machine", "commit": "f" * 40
        },
        "source": "store.zarr",
        "mark": "synthetic",
        "planets": {"train": 8, "test": 2},
        "threads": 2,
        "precision": "",
        "gcm": gcm,
        "surrogate": OWN,
        "bill": {"data_core_s": 800.0, "search_core_s": 3.0, "train_core_s": 0.0},
        "answers": {OWN: said(0.001, 2.0, 2.0), "neighbours": said(0.0001, 4.0)},
        "solvers": [vars(one) for one in every],
        "shorter": [vars(one) for one in short],
    }  # fmt: skip


def rows(text: str, title: str) -> list[list[str]]:
    part = text[text.index(title) :].split("\n\n")[1]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines()]


def test_every_speed_up_stands_beside_its_break_even(result: dict[str, Any]) -> None:
    head, _, *found = rows(tables.page(result), "### Against each other solver")
    assert head[-3:] == ["speed-up, warm", "speed-up, cold", "break-even Q*"]
    by_name = {row[0]: row for row in found}
    gcm = by_name["the GCM, all attempts included"]
    assert gcm[2:] == ["yes", "80", "80,000", "40", "10"]  # 803 core-s over 79.999 a question
    short = by_name["the GCM for 0.50 years"]  # the cheapest that is as good
    assert short[2:] == ["yes", "40", "40,000", "20", "20.1"]
    assert "the GCM for 0.10 years" not in by_name
    assert by_name["energy-balance model"][2] == "no, worse"
    assert by_name["neighbours, warm"][2:] == ["no, worse", "1.00e-04", "0.1", "5.00e-05", "never"]


def test_the_question_of_ten_thousand_is_answered_with_its_break_even(
    result: dict[str, Any],
) -> None:
    text = tables.page(result)
    assert "**yes: 80,000 times**" in text
    assert "break-even at **10 answers**" in text
    assert "time-mean climatology" in text
    whole = dict(rows(text[text.index("With the bill") :], "With the bill")[2:])
    assert whole["100"] == tables.number(100 * 80 / (803 + 0.1))
    result["answers"][OWN]["warm"]["one"]["core_s"] = 0.01
    assert "**no: 8,000 times**" in tables.page(result)
    assert "is never reached" in tables.page(result)


def test_failed_and_repeated_attempts_are_in_the_bill_and_synthetic_is_said(
    result: dict[str, Any],
) -> None:
    text = tables.page(result)
    assert text.count("(synthetic data)") == 5
    found = {row[0]: row[1:] for row in rows(text, "### What the GCM's climates have cost")}
    assert found["all"][0] == "1,000"
    assert found["members that are not done: failed, or wait to go on"] == ["45", "4 %"]
    assert "75 % of the model years were spin-up" in text
    assert "Energy: not measured." in text
    result["gcm"]["cluster"] = {
        "records": 3, "core_s": 1200.0, "unfinished_core_s": 100.0, "joules": 5e6
    }  # fmt: skip
    assert "Energy: 5,000,000 J." in tables.page(result)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.inf, "never"),
        (math.nan, "not counted"),
        (0.0, "0"),
        (123456.0, "123,000"),
        (1.2345, "1.23"),
        (0.00012, "1.20e-04"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert tables.number(value) == text


# ----------------------------------------------------------------------------- what is measured
def test_a_new_process_looks_up_the_mean_of_the_three_nearest(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    inputs, values = rng.random((20, 3)), rng.random((20, 7)).astype(np.float32)
    np.savez(tmp_path / "table.npz", inputs=inputs, values=values)
    np.save(tmp_path / "asked.npy", inputs[4] + 1e-3)
    files = [str(tmp_path / name) for name in ("table.npz", "asked.npy", "answer.npy")]
    command = [sys.executable, "-c", answers.LOOK_UP, *files]
    found = answers.cold({"look-up": command}, 1)["look-up"]
    nearest = np.argsort(np.linalg.norm(inputs - inputs[4] - 1e-3, axis=1))[:3]
    assert np.load(tmp_path / "answer.npy") == pytest.approx(values[nearest].mean(0), rel=1e-6)
    assert found.runs == 1
    assert 0 < found.core_s < 60


def test_a_process_that_fails_ends_the_measurement_with_its_words() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such table')"]
    with pytest.raises(SystemExit, match="no such table"):
        answers.cold({"look-up": command}, 1)


def test_the_planet_that_is_asked_for_is_the_planet_itself(tmp_path: Path) -> None:
    planet = Planet.from_config(
        {
            "radius": "1.1 R_earth",
            "gravity": "9.1 m/s2",
            "rotation_period": "11.3 d",
            "surface_pressure": "1.7 bar",
            "co2": "3 percent",
            "ch4": 0,
            "stellar_flux": "913 W/m2",
            "stellar_temperature": "2566 K",
            "tidally_locked": True,
        }
    )
    command = answers.predict_command(tmp_path / "surrogate", planet, tmp_path)
    assert command[-1] == str(tmp_path / "answer.nc")
    ((_, written),) = _written(tmp_path / "planet.yaml")
    locked = written.pop("tidally_locked")
    assert Planet.from_si(written, tidally_locked=locked) == planet
    assert yaml.safe_load((tmp_path / "planet.yaml").read_text())["co2"] == planet.co2_fraction


def test_many_planets_are_asked_for_at_once() -> None:
    asked: list[int] = []
    found = answers.warm(asked.append, [4, 16], 20)
    assert found["one"]["calls"] == 20
    assert set(found["batches"]) == {"4", "16"}
    assert {1, 4, 16} == set(asked)
    assert answers.repeated(np.arange(6.0).reshape(3, 2), 5).tolist() == [
        [0, 1], [2, 3], [4, 5], [0, 1], [2, 3]
    ]  # fmt: skip


def test_errors_are_root_mean_squares() -> None:
    assert solvers.rms(np.array([3.0, -4.0])) == pytest.approx(math.sqrt(12.5))
