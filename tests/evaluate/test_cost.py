"""Break-even and latency are what their formulas say."""

import math

import pytest

from astrohpc.evaluate.cost import (
    Bill,
    Solver,
    break_even,
    cheapest_of_equal_error,
    latency,
    total_speed_up,
)

BILL = Bill(data_core_s=1000.0, search_core_s=150.0, train_core_s=50.0)


def test_at_the_break_even_both_have_cost_the_same() -> None:
    questions = break_even(BILL, 0.5, 10.5)
    assert questions == pytest.approx(120.0)
    assert total_speed_up(questions, BILL, 0.5, 10.5) == pytest.approx(1.0)
    assert total_speed_up(2 * questions, BILL, 0.5, 10.5) > 1.0


def test_many_questions_approach_the_ratio_of_the_latencies() -> None:
    assert total_speed_up(1e12, BILL, 0.5, 10.5) == pytest.approx(21.0, rel=1e-6)
    assert total_speed_up(0.0, BILL, 0.5, 10.5) == 0.0


def test_a_solver_that_is_no_dearer_is_never_caught_up_with() -> None:
    assert break_even(BILL, 0.5, 0.5) == math.inf
    assert break_even(BILL, 0.5, 0.1) == math.inf


def test_a_solver_with_the_same_climates_has_paid_for_them_too() -> None:
    assert break_even(BILL, 0.5, 10.5, other_bill_core_s=1000.0) == pytest.approx(20.0)
    assert break_even(BILL, 0.5, 0.1, other_bill_core_s=1000.0) == math.inf
    assert break_even(BILL, 0.5, 10.5, other_bill_core_s=2000.0) == 0.0
    assert break_even(BILL, 0.5, 0.1, other_bill_core_s=2000.0) == 0.0


def test_with_n_climates_of_the_solver_s_own_price_the_break_even_is_more_than_n() -> None:
    bill = Bill(data_core_s=128 * 300.0, search_core_s=20.0, train_core_s=2.0)
    assert break_even(bill, 0.01, 300.0) > 128


def test_the_cheapest_solver_is_found_among_those_that_are_no_worse() -> None:
    solvers = [Solver("short", 2.0, 30.0), Solver("long", 0.5, 300.0), Solver("crude", 9.0, 0.1)]
    found = cheapest_of_equal_error(solvers, 2.0)
    assert found is not None
    assert found.name == "short"
    assert cheapest_of_equal_error(solvers, 0.1) is None


def test_latency_is_of_each_call_after_the_first() -> None:
    now = {"wall": 0.0, "core": 0.0}
    took = iter([100.0, *[1.0] * 18, 5.0, 9.0])

    def call() -> None:
        now["wall"] += (last := next(took))
        now["core"] += 2 * last

    found = latency(call, 20, wall=lambda: now["wall"], cores=lambda: now["core"])
    assert found.median_s == 1.0
    assert found.p95_s == 9.0
    assert found.core_s == pytest.approx(2 * 32.0 / 20)
    assert found.calls == 20
