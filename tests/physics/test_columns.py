import numpy as np
import pytest
import torch

from astrohpc.errors import ConfigError
from astrohpc.physics.columns import column_integral, hydrostatic, pressure_pa, saturation
from astrohpc.physics.latlon import target_grid
from astrohpc.physics.layout import Layout
from astrohpc.physics.thermo import q_sat
from astrohpc.physics.vertical import LayerEdges, pressure_layers, sigma_layers
from astrohpc.physics.worlds import Worlds

GRID = target_grid("latlon 6x8")
HYBRID = LayerEdges(np.array([500.0, 9e3, 5e3, 0.0]), np.array([0.0, 0.1, 0.6, 1.0]))
WORLDS = Worlds(
    np.array([6e6, 3e6]),
    np.array([9.0, 25.0]),
    np.array([7e-5, 1e-6]),
    np.array([287.0, 190.0]),
    np.array([1004.0, 830.0]),
)
PS = np.random.default_rng(1).uniform(8e4, 1.1e5, (2, 6, 8))


def isothermal(temperature_k: float = 260.0) -> dict[str, np.ndarray]:
    """Columns in balance: z = H ln(ps / p), of scale height H."""
    p = pressure_pa(PS, HYBRID)
    scale_m = (WORLDS.gas_constant_jkgk / WORLDS.gravity_ms2)[:, None, None, None] * temperature_k
    return {"ps": PS, "ta": np.full_like(p, temperature_k), "zg": scale_m * np.log(PS[:, None] / p)}


def layout_of(fields: dict) -> Layout:
    return Layout.of_fields(fields, GRID, HYBRID)


def test_an_isothermal_column_is_in_balance() -> None:
    fields = isothermal()
    found = hydrostatic(fields, layout_of(fields), WORLDS)
    assert (found.value < 1e-12 * found.scale).all()
    single = {k: torch.tensor(v).float() for k, v in fields.items()}
    found = hydrostatic(single, layout_of(fields), WORLDS)
    assert (found.value < 1e-6 * found.scale).all()


def test_heights_on_another_planet_s_gravity_are_not() -> None:
    fields = isothermal()
    swapped = hydrostatic(fields, layout_of(fields), WORLDS.take([1, 0]))
    true = hydrostatic(fields, layout_of(fields), WORLDS)
    ratio = true.scale / swapped.scale
    assert swapped.value / swapped.scale == pytest.approx(np.abs(ratio - 1), rel=1e-12)


def test_levels_upside_down_are_far_from_balance() -> None:
    fields = isothermal()
    fields["zg"] = fields["zg"][:, ::-1].copy()
    found = hydrostatic(fields, layout_of(fields), WORLDS)
    assert (found.value > 1.5 * found.scale).all()


def test_vapour_thickens_layers() -> None:
    fields = {**isothermal(), "hus": np.full((2, 3, 6, 8), 0.02)}
    found = hydrostatic(fields, layout_of(fields), WORLDS)
    lightness = 461.52 / WORLDS.gas_constant_jkgk
    wanted = 0.02 * (lightness - 1) / (1 + 0.02 * (lightness - 1))
    assert found.value / found.scale == pytest.approx(wanted, rel=1e-4)


def test_air_is_saturated_up_to_the_planet_s_own_saturation() -> None:
    fields = isothermal(280.0)
    p = pressure_pa(PS, HYBRID)
    most = q_sat(280.0, p, WORLDS.gas_constant_jkgk[:, None, None, None])
    fields["hus"] = most.copy()
    layout = layout_of(fields)
    assert (saturation(fields, layout, WORLDS).value == 0.0).all()
    fields["hus"][1, 2, 3, 4] *= 1.5
    found = saturation(fields, layout, WORLDS)
    assert found.value[0] == 0.0
    assert found.value[1] / found.scale[1] == pytest.approx(0.5)
    assert found.scale[1] == pytest.approx(most[1, 2, 3, 4])


# ----------------------------------------------------------------------------- integrals
@pytest.mark.parametrize("layers", [HYBRID, sigma_layers([0.0, 0.3, 1.0])])
def test_ones_integrate_to_the_mass_of_the_layers(layers: LayerEdges) -> None:
    ones = np.ones((2, layers.count, 6, 8), "f4")
    top = layers.ap_pa[0] + layers.b[0] * PS
    assert column_integral(ones, PS, layers) == pytest.approx(PS - top, rel=1e-14)


def test_what_lies_below_the_ground_counts_for_nothing() -> None:
    layers = pressure_layers([0.0, 3e4, 7e4, 9.5e4, 1.5e5, 2e5])
    values = np.array([1.0, 2.0, 3.0, 4.0, np.nan])[:, None, None] * np.ones((6, 8))
    values = np.stack([values, values])
    deep = np.clip(PS - 9.5e4, 0.0, None)
    wanted = 3e4 + 2 * 4e4 + 3 * (np.clip(PS, None, 9.5e4) - 7e4) + 4 * deep
    assert column_integral(values, PS, layers) == pytest.approx(wanted, rel=1e-12)


def test_a_missing_value_in_the_air_makes_its_column_missing() -> None:
    values = np.ones((2, 3, 6, 8))
    values[1, 1, 2, 3] = np.nan
    found = column_integral(values, PS, HYBRID)
    assert np.isnan(found).sum() == 1
    assert np.isnan(found[1, 2, 3])


def test_what_does_not_fit_is_refused() -> None:
    fields = isothermal()
    layout = layout_of(fields)
    with pytest.raises(ConfigError, match=r"^zg: is needed"):
        hydrostatic({"ps": PS, "ta": fields["ta"]}, layout, WORLDS)
    with pytest.raises(ConfigError, match=r"^columns: values of shape"):
        column_integral(np.ones((2, 4, 6, 8)), PS, HYBRID)
    flat = {"ps": PS, "ta": PS, "zg": PS}
    with pytest.raises(ConfigError, match=r"^layers: the layout has none"):
        hydrostatic(flat, Layout.of_fields(flat, GRID), WORLDS)
