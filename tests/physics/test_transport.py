import pytest
from support import make_planet

from astrohpc.physics.transport import diffusion_wm2k


def test_heat_transport_scales_with_the_column_and_the_size_of_the_planet() -> None:
    base = diffusion_wm2k(make_planet(), 2e7, 3.0)
    assert diffusion_wm2k(make_planet(surface_pressure="2 bar"), 2e7, 3.0) == pytest.approx(
        2 * base
    )
    assert diffusion_wm2k(make_planet(gravity="4.905 m/s2"), 2e7, 3.0) == pytest.approx(2 * base)
    assert diffusion_wm2k(make_planet(radius="12742 km"), 2e7, 3.0) == pytest.approx(base / 4)


def test_rotation_holds_eddies_back_as_its_square_and_slow_rotators_are_all_alike() -> None:
    slow = diffusion_wm2k(make_planet(rotation_period="300 d"), 2e7, 3.0)
    middle = diffusion_wm2k(make_planet(rotation_period="3 d"), 2e7, 3.0)
    fast = diffusion_wm2k(make_planet(rotation_period="0.3 d"), 2e7, 3.0)
    assert middle == pytest.approx(slow / 2, rel=1e-3)
    assert fast == pytest.approx(slow / 101, rel=1e-3)
