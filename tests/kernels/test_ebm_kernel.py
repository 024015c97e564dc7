import math
from dataclasses import dataclass

import numpy as np
import pytest

from astrohpc.constants import STEFAN_BOLTZMANN
from astrohpc.kernels import ebm as kernel
from astrohpc.physics.grid import Bands

BLACK = kernel.Column(
    blackbody_wm2k4=STEFAN_BOLTZMANN,
    dry_depth=0.0,
    vapour_depth=0.0,
    vapour_at_k=273.16,
    vapour_slope_k=1400.0,
    limit_wm2=1e12,
    ice_full_k=258.0,
    ice_free_k=282.0,
)
DARK = BLACK._replace(blackbody_wm2k4=0.0)


@dataclass
class Rows:
    """A sphere of bands that a test can step."""

    temp_k: np.ndarray
    heat_capacity: float = 1e8
    diffusion_wm2k: float = 0.5
    light_bare: float | np.ndarray = 0.0
    light_icy: float | np.ndarray = 0.0
    column: kernel.Column = BLACK

    def __post_init__(self) -> None:
        self.bands = Bands.uniform(len(self.temp_k))
        self.change_k = np.zeros_like(self.temp_k)
        self.turns = np.zeros_like(self.temp_k)
        self.totals = np.zeros(4)

    def advance(self, step_s: float, steps: int) -> tuple[int, np.ndarray]:
        cells = len(self.temp_k)
        return kernel.advance(
            self.temp_k,
            self.change_k,
            self.turns,
            self.totals,
            np.zeros((6, 1, cells)),
            np.full(cells, self.heat_capacity),
            self.bands.weight,
            self.bands.conductance(self.diffusion_wm2k),
            np.zeros((1, cells)) + self.light_bare,
            np.zeros((1, cells)) + self.light_icy,
            self.column,
            step_s,
            steps,
            1,
        )


@pytest.mark.parametrize("degree", [1, 2])
def test_a_legendre_mode_decays_at_the_analytic_rate(degree: int) -> None:
    bands = Bands.uniform(120)
    sine = np.sin(bands.edge_rad)
    mode = np.diff(np.polynomial.Legendre.basis(degree).integ()(sine)) / np.diff(sine)
    rows = Rows(300.0 + 10.0 * mode, column=DARK)
    rows.advance(step_s=8640.0, steps=10000)
    rate = degree * (degree + 1) * 0.5 / 1e8
    expected = 10.0 * math.exp(-rate * 8640.0 * 10000)
    amplitude = (2 * degree + 1) * bands.mean((rows.temp_k - 300.0) * mode)
    assert amplitude == pytest.approx(expected, rel=2e-3)
    assert bands.mean(rows.temp_k) == pytest.approx(300.0, abs=1e-11)


def test_an_airless_uniform_world_finds_the_temperature_of_stefan_and_boltzmann() -> None:
    rows = Rows(np.full(10, 300.0), light_bare=240.0, light_icy=240.0)
    status, _ = rows.advance(step_s=5e5, steps=20000)
    assert status == kernel.FINE
    assert rows.temp_k == pytest.approx(np.full(10, (240.0 / STEFAN_BOLTZMANN) ** 0.25), abs=1e-9)


def test_two_boxes_find_the_contrast_of_the_closed_form() -> None:
    # Linear infrared: absorbed a0 ± a1, emitted B (T - T0), exchange G (T1 - T2) between equal halves.
    light = np.array([200.0, 280.0])
    rows = Rows(np.array([250.0, 250.0]), light_bare=light, light_icy=light, diffusion_wm2k=0.3)
    rows.advance(step_s=5e5, steps=40000)
    conductance = rows.bands.conductance(0.3)[0] / rows.bands.weight[0]
    emitted = STEFAN_BOLTZMANN * rows.temp_k**4
    exchange = conductance * (rows.temp_k[1] - rows.temp_k[0])
    assert emitted + np.array([-exchange, exchange]) == pytest.approx(light, abs=1e-9)


def test_very_strong_transport_makes_one_temperature() -> None:
    light = np.linspace(0.0, 480.0, 12)
    rows = Rows(np.full(12, 260.0), light_bare=light, light_icy=light, diffusion_wm2k=1e6)
    rows.advance(step_s=5e5, steps=20000)
    mean = rows.bands.mean(light)
    assert np.ptp(rows.temp_k) < 1e-2
    assert rows.bands.mean(rows.temp_k) == pytest.approx(
        (mean / STEFAN_BOLTZMANN) ** 0.25, abs=1e-3
    )


def test_heat_content_changes_by_what_came_in_and_went_out() -> None:
    light = np.linspace(0.0, 480.0, 40)
    rows = Rows(np.linspace(220.0, 310.0, 40), light_bare=light, light_icy=0.5 * light)
    before = rows.bands.mean(rows.temp_k) * 1e8
    rows.advance(step_s=4e5, steps=8000)
    gained = rows.bands.mean(rows.temp_k) * 1e8 - before
    absorbed, emitted = rows.totals[:2].sum(), rows.totals[2:].sum()
    assert abs(gained - (absorbed - emitted)) < 1e-14 * absorbed


def test_ice_covers_what_is_cold_and_changes_smoothly() -> None:
    cover = [kernel.ice_fraction(t, 258.0, 282.0) for t in (200.0, 258.0, 270.0, 282.0, 300.0)]
    assert cover == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0])
    steep = [kernel.ice_fraction(t, 258.0, 282.0) for t in np.linspace(250.0, 290.0, 401)]
    assert np.abs(np.diff(steep, 2)).max() < 2e-4


def test_cold_ground_absorbs_as_ice_and_warm_ground_does_not() -> None:
    for temp_k, expected in ((200.0, 100.0), (300.0, 240.0)):
        rows = Rows(np.full(4, temp_k), light_bare=240.0, light_icy=100.0)
        assert rows.advance(step_s=1.0, steps=1)[1][0] == pytest.approx(expected)


def test_a_step_too_long_for_the_ground_swings_and_is_found_out() -> None:
    rows = Rows(np.full(8, 300.0), heat_capacity=1e7, light_bare=240.0, light_icy=240.0)
    status, _ = rows.advance(step_s=4.6e6, steps=100)
    assert status == kernel.OSCILLATING


def test_what_is_not_a_number_is_found_out() -> None:
    rows = Rows(np.full(8, 300.0), light_bare=np.nan, light_icy=np.nan)
    assert rows.advance(step_s=1e5, steps=3)[0] == kernel.IMPOSSIBLE


def test_steady_warming_without_end_is_no_failure_of_the_numbers() -> None:
    rows = Rows(np.full(8, 300.0), light_bare=600.0, light_icy=600.0)
    rows.column = BLACK._replace(limit_wm2=300.0)
    assert rows.advance(step_s=4e5, steps=100000)[0] == kernel.TOO_HOT
