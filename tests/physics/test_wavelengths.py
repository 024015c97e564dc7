"""Bins of a spectrum: where they end, on any grid that only rises or only falls."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrohpc.errors import ConfigError
from astrohpc.physics.wavelengths import Wavelengths


def test_bins_meet_halfway_and_the_ends_are_as_wide_as_their_inner_halves() -> None:
    grid = Wavelengths.from_centres([1.0, 2.0, 4.0])
    assert grid.low_um.tolist() == [0.5, 1.5, 3.0]
    assert grid.high_um.tolist() == [1.5, 3.0, 5.0]


def test_a_falling_grid_has_the_same_bins_the_other_way() -> None:
    up, down = Wavelengths.from_centres([1, 2, 4]), Wavelengths.from_centres([4, 2, 1])
    assert down.falls
    assert not up.falls
    assert down.low_um.tolist() == up.low_um[::-1].tolist()
    assert down.rising[0].tolist() == up.rising[0].tolist()


def test_a_step_twice_as_long_as_both_beside_it_is_a_gap() -> None:
    grid = Wavelengths.from_centres([1.0, 1.1, 1.2, 2.0, 2.1, 2.2])
    assert grid.width_um == pytest.approx(np.full(6, 0.1))
    edge, at = grid.rising
    assert len(edge) == 8
    assert at.tolist() == [0, 1, 2, 4, 5, 6]


def test_a_grid_whose_steps_change_once_has_no_gap() -> None:
    grid = Wavelengths.from_centres([1.0, 1.1, 1.2, 1.7, 2.2])
    assert len(grid.rising[0]) == 6


@given(st.integers(2, 60), st.floats(0.02, 2.0), st.floats(1.01, 1.5))
def test_bins_of_a_grid_without_gaps_fill_it(n: int, first: float, ratio: float) -> None:
    ratio = min(ratio, (100.0 / first) ** (1.0 / n))
    grid = Wavelengths.from_centres(first * ratio ** np.arange(n))
    assert grid.low_um[1:].tolist() == grid.high_um[:-1].tolist()
    assert grid.width_um.sum() == pytest.approx(grid.high_um[-1] - grid.low_um[0], rel=1e-12)
    assert grid.total(np.full((2, n), 3.0)) == pytest.approx(3.0 * grid.width_um.sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("unit", "values"), [("nm", [1000, 2000]), ("Angstrom", [1e4, 2e4]), ("m", [1e-6, 2e-6])]
)
def test_other_units_become_micrometres(unit: str, values: list[float]) -> None:
    assert Wavelengths.from_centres(values, unit).centre_um == pytest.approx([1.0, 2.0])


@pytest.mark.parametrize(
    ("values", "unit", "said"),
    [
        ([1.0, 3.0, 2.0], "um", "number 2, 2 µm, is out of order; sort"),
        ([2.0, 1.0, 1.0], "um", "number 2, 1 µm, is out of order; sort"),
        ([1.0, np.nan], "um", "number 1 is nan; leave such bins out"),
        ([500.0, 5000.0], "um", "500 to 5000 µm is no spectrum in µm; say its unit"),
        ([1.0, 2.0], "K", "'K' is no unit of wavelength"),
        ([1.0], "um", "a single wavelength does not say how wide its bin is; give edges"),
        ([[1.0, 2.0]], "um", "shape (1, 2) is not a list"),
        ([], "um", "shape (0,) is not a list"),
    ],
)
def test_what_is_no_grid_of_wavelengths_is_one_sentence(
    values: list[float], unit: str, said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        Wavelengths.from_centres(values, unit)
    assert said in str(error.value)


def test_edges_may_leave_gaps_and_must_not_overlap() -> None:
    grid = Wavelengths.from_edges([1.0, 2.0, 5.0], [2.0, 3.0, 6.0])
    assert len(grid.rising[0]) == 5
    with pytest.raises(ConfigError, match=r"bins overlap at 1\.9 µm"):
        Wavelengths.from_edges([1.0, 1.9], [2.0, 3.0])
    with pytest.raises(ConfigError, match="a lower and a higher edge"):
        Wavelengths.from_edges([1.0, 3.0], [2.0, 2.5])


def test_a_first_bin_that_would_reach_below_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="reaches below zero"):
        Wavelengths.from_centres([0.1, 0.5, 2.0])
