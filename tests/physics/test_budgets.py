"""Closed forms of each law, and how residuals are judged."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from astrohpc.constants import DAY_S, HEAT_OF_EVAPORATION
from astrohpc.errors import ConfigError
from astrohpc.physics.budgets import (
    BUDGETS,
    Residual,
    amounts,
    evaluate,
    evaluate_columns,
)
from astrohpc.physics.columns import pressure_pa
from astrohpc.physics.latlon import LatLon, source_grid, target_grid
from astrohpc.physics.law import Tolerance
from astrohpc.physics.layout import Layout
from astrohpc.physics.sums import zonal_sums, zonal_sums_torch
from astrohpc.physics.vertical import LayerEdges, sigma_layers
from astrohpc.physics.worlds import Worlds

GRIDS = {
    "gaussian": target_grid("gaussian 16x32"),
    "half polar boxes": source_grid(
        "file", np.linspace(-90.0, 90.0, 13), np.arange(0.0, 360.0, 15.0)
    ),
    "regular": target_grid("latlon 12x24"),
}
HYBRID = LayerEdges(np.array([0.0, 9e3, 5e3, 0.0]), np.array([0.0, 0.1, 0.6, 1.0]))
LAYERS = {"hybrid": HYBRID, "sigma": sigma_layers([0.0, 0.2, 0.5, 1.0])}
S, L = 2, 3
RADIUS, GRAVITY, SPIN, GAS, HEAT = 5e6, 12.0, 3e-5, 250.0, 900.0
KINDS = {"f8": 1e-12, "f4": 1e-6}


def worlds(samples: int = S, **changes: float) -> Worlds:
    constants = {
        "radius_m": RADIUS,
        "gravity_ms2": GRAVITY,
        "rotation_rate_rads": SPIN,
        "gas_constant_jkgk": GAS,
        "heat_capacity_jkgk": HEAT,
    } | changes
    return Worlds(**{name: np.full(samples, value) for name, value in constants.items()})


def flat(value: float, grid: LatLon, kind: str = "f8", samples: int = S) -> NDArray:
    return np.full((samples, *grid.shape), value, kind)


def deep(value: float, grid: LatLon, kind: str = "f8", samples: int = S) -> NDArray:
    return np.full((samples, L, *grid.shape), value, kind)


def pressures(grid: LatLon, kind: str = "f8") -> NDArray:
    """A field whose mean is 9e4 Pa on every grid: a constant and waves along each row."""
    lon = np.radians(grid.lon_deg)
    waves = 3e3 * np.cos(2 * lon + 0.3) + 2e3 * np.sin(3 * lon)
    return np.broadcast_to(9e4 + waves, (S, *grid.shape)).astype(kind)


def measured(
    fields: dict, grid: LatLon, layers: LayerEdges | None = HYBRID, **planet: float
) -> dict[str, NDArray]:
    layout = Layout.of_fields(fields, grid, layers)
    samples = len(next(iter(fields.values())))
    found = amounts(zonal_sums(fields, layout, threads=1), layout, worlds(samples, **planet))
    return {name: amount.value for name, amount in found.items()}


def judged(
    fields: dict, grid: LatLon = GRIDS["gaussian"], times_s: object = None, **options: object
) -> dict[str, Residual]:
    layout = Layout.of_fields(fields, grid, HYBRID)
    sums = zonal_sums(fields, layout, threads=1, missing="skip")
    found = evaluate(sums, layout, worlds(sums.samples), times_s, **options)
    return {one.budget.name: one for one in found}


# ----------------------------------------------------------------------------- closed forms
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS.keys())
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_uniform_air_at_rest_has_the_energy_of_its_mass(
    grid: LatLon, layers: LayerEdges, kind: str
) -> None:
    ps = pressures(grid, kind)
    fields = {
        "ps": ps,
        "ta": deep(250.0, grid, kind),
        "hus": deep(0.0078125, grid, kind),
        "ua": deep(-3.0, grid, kind),
        "va": deep(4.0, grid, kind),
        "orog": flat(500.0, grid, kind),
    }
    found = measured(fields, grid, layers)
    air = 9e4 / GRAVITY
    rel = KINDS[kind]
    assert found["dry_mass"] == pytest.approx(air, rel=rel)
    assert found["total_mass"] == pytest.approx(air * 1.0078125, rel=rel)
    assert found["column_water"] == pytest.approx(air * 0.0078125, rel=rel)
    assert found["enthalpy"] == pytest.approx(air * HEAT * 250.0, rel=rel)
    energy = HEAT * 250.0 + HEAT_OF_EVAPORATION * 0.0078125 + 12.5 + GRAVITY * 500.0
    assert found["total_energy"] == pytest.approx(air * energy, rel=rel)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_solid_body_rotation_has_the_momentum_of_a_turning_shell(grid: LatLon, kind: str) -> None:
    """M / 4πa² = (ps/g) (Ω + ω) 2/3 a²."""
    turn = 2e-6
    wind = turn * RADIUS * grid.arm[:, None] * np.ones(grid.shape[1])
    fields = {
        "ps": flat(9e4, grid, kind),
        "ua": np.broadcast_to(wind, (S, L, *grid.shape)).astype(kind),
    }
    wanted = 9e4 / GRAVITY * (SPIN + turn) * 2 / 3 * RADIUS**2
    assert measured(fields, grid)["angular_momentum"] == pytest.approx(wanted, rel=KINDS[kind])
    still = measured(fields, grid, rotation_rate_rads=-turn)
    assert (np.abs(still["angular_momentum"]) < KINDS[kind] * wanted).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_a_wind_without_divergence_carries_no_mass_across_a_latitude(
    grid: LatLon, kind: str
) -> None:
    """v = ∂ψ/∂λ / (cos φ Δp): the flux of air of each layer is the curl of a function."""
    ps = pressures(grid)
    edges = HYBRID.ap_pa[:, None, None] + HYBRID.b[:, None, None] * ps[:, None]
    lon, lat = np.radians(grid.lon_deg), np.radians(grid.lat_deg)[:, None]
    slope = -3e5 * np.sin(3 * lon) * np.cos(lat) ** 2 + 2e5 * np.cos(lon + 1.0) * np.cos(lat)
    wind = slope / np.diff(edges, axis=1)
    fields = {"ps": ps.astype(kind), "va": wind.astype(kind)}
    result = judged(fields, grid)["meridional_mass_flux"]
    assert (np.abs(result.relative) < KINDS[kind]).all()
    assert result.rows is not None
    assert result.rows.shape == (S, grid.shape[0])
    fields["va"] += np.asarray(0.5, kind)
    result = judged(fields, grid)["meridional_mass_flux"]
    assert result.rows == pytest.approx(np.full_like(result.rows, 0.5), rel=KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_moist_static_energy_of_an_isothermal_column(grid: LatLon, kind: str) -> None:
    """z = H ln(ps / p) at the pressures of the layers: c_p T ps/g + Σ z Δp."""
    ps = flat(9e4, grid)
    p = pressure_pa(ps, HYBRID)
    scale_m = GAS * 260.0 / GRAVITY
    z = scale_m * np.log(9e4 / p)
    fields = {
        "ps": ps.astype(kind),
        "ta": deep(260.0, grid, kind),
        "hus": deep(0.0, grid, kind),
        "zg": z.astype(kind),
    }
    thick = np.diff(HYBRID.ap_pa + HYBRID.b * 9e4)
    wanted = HEAT * 260.0 * 9e4 / GRAVITY + (z[0, :, 0, 0] * thick).sum()
    assert measured(fields, grid)["moist_static_energy"] == pytest.approx(wanted, rel=KINDS[kind])
    layout = Layout.of_fields(fields, grid, HYBRID)
    (balance,) = evaluate_columns(fields, layout, worlds())
    assert balance.passed.all()
    assert (balance.relative < KINDS[kind]).all()


def test_a_gaussian_grid_integrates_an_anomaly_under_a_large_offset() -> None:
    """1e5 Pa with a wave of 1 Pa, P₂ of the latitude: the mean is 1e5 Pa to 1e-12."""
    grid = GRIDS["gaussian"]
    node = np.sin(np.radians(grid.lat_deg))
    for kind, rel in KINDS.items():
        field = 1e5 + (1.5 * node[:, None] ** 2 - 0.5) * np.ones(grid.shape[1])
        fields = {"ps": np.broadcast_to(field, (S, *grid.shape)).astype(kind)}
        wanted = 1e5 / GRAVITY
        assert measured(fields, grid)["dry_mass"] == pytest.approx(wanted, rel=rel / 50)


# ----------------------------------------------------------------------------- fluxes
def climate(samples: int = 4) -> tuple[dict[str, NDArray], NDArray]:
    """Months in which the ground gives the air 20 W m-2 and space 12, and vapour grows at 1e-6."""
    grid = GRIDS["gaussian"]
    values = {
        "rsdt": 340.0,
        "rsut": 100.0,
        "rlut": 252.0,
        "rsds": 200.0,
        "rsus": 30.0,
        "rlds": 300.0,
        "rlus": 390.0,
        "hfss": 20.0,
        "hfls": 80.0,
        "evspsbl": 3e-5,
        "pr": 2.9e-5,
        "ps": 9e4,
    }
    fields = {name: flat(value, grid, "f4", samples) for name, value in values.items()}
    times = 30 * DAY_S * np.arange(samples)
    grown = np.arange(samples)[:, None, None]
    fields["prw"] = flat(20.0, grid, "f8", samples) + 1e-6 * 30 * DAY_S * grown
    warmth = 8.0 * 30 * DAY_S / (HEAT * 9e4 / GRAVITY)
    fields["ta"] = deep(260.0, grid, "f8", samples) + warmth * grown[:, None]
    fields["hus"] = deep(0.0, grid, "f4", samples)
    return fields, times


def test_growth_is_what_comes_in_less_what_goes_out() -> None:
    """-12 W m-2 at the top, -20 into the ground: the air gains 8; vapour gains what does not rain."""
    fields, times = climate()
    found = judged(fields, times_s=times)
    assert found["toa_energy"].value == pytest.approx(-12.0)
    assert found["surface_energy"].value == pytest.approx(-20.0)
    energy, water = found["atmosphere_energy"], found["water"]
    assert energy.value == pytest.approx(8.0)
    assert energy.residual[1:-1] == pytest.approx(0.0, abs=1e-4)
    assert water.residual[1:-1] == pytest.approx(0.0, abs=1e-11)
    for one in (energy, water):  # nobody knows how fast it grows at the first and the last
        assert one.judged.tolist() == [False, True, True, False]
        assert one.passed.tolist() == one.judged.tolist()


def test_without_three_times_growth_counts_for_nothing() -> None:
    fields, times = climate(2)
    for found in (judged(fields), judged(fields, times_s=times)):
        assert found["atmosphere_energy"].residual == pytest.approx(-8.0)
        assert found["atmosphere_energy"].judged.all()
        assert not found["atmosphere_energy"].passed.any()
        assert found["water"].residual == pytest.approx(-1e-6, rel=1e-5)
        assert found["water"].passed.all()


def test_fluxes_into_the_ground_are_held_against_the_model_s_own_word() -> None:
    fields, _ = climate()
    alone = judged(fields)["surface_energy"]
    assert not alone.judged.any()
    fields["hfds"] = flat(-22.0, GRIDS["gaussian"], "f4", 4)
    found = judged(fields)["surface_energy"]
    assert found.residual == pytest.approx(2.0)
    assert found.passed.all()
    tight = {"surface_energy": Tolerance(1.0, "a test's", relative=False)}
    assert not judged(fields, tolerances=tight)["surface_energy"].passed.any()


def test_the_column_of_vapour_is_held_against_humidity() -> None:
    fields, _ = climate()
    fields["hus"] = deep(0.002, GRIDS["gaussian"], "f4", 4)
    fields["prw"] = flat(0.002 * 9e4 / GRAVITY, GRIDS["gaussian"], "f4", 4)
    assert judged(fields)["water_column"].relative == pytest.approx(0.0, abs=1e-6)
    fields["prw"] *= np.float32(1.25)
    found = judged(fields)["water_column"]
    assert found.relative == pytest.approx(0.2)
    assert not found.passed.any()


# ----------------------------------------------------------------------------- judging
def test_dry_mass_is_held_against_the_first_time_and_an_engine_s_own_tolerance() -> None:
    grid = GRIDS["gaussian"]
    fields = {"ps": flat(9e4, grid, "f4", 3)}
    fields["ps"][2] *= np.float32(1.00001)
    found = judged(fields, times_s=[0.0, 1.0, 2.0])["dry_mass"]
    assert found.relative == pytest.approx([0.0, 0.0, 1e-5], rel=2e-2)
    assert found.passed.tolist() == [True, True, False]
    assert judged(fields, times_s=[0.0, 1.0, 2.0], engine="exoplasim")["dry_mass"].passed.all()
    assert not judged(fields)["dry_mass"].judged.any()  # nothing to hold it against


def test_totals_are_judged_against_a_reference_only() -> None:
    fields, times = climate()
    alone = judged(fields, times_s=times)["enthalpy"]
    assert not alone.judged.any()
    assert not alone.passed.any()
    same = judged(fields, reference={"enthalpy": alone.value})["enthalpy"]
    assert same.passed.all()
    other = judged(fields, reference={"enthalpy": alone.value * (1 + 3e-6)})["enthalpy"]
    assert other.relative == pytest.approx(-3e-6, rel=1e-4)
    assert not other.passed.any()


def test_what_cannot_be_is_found_wherever_it_stands() -> None:
    fields, _ = climate(1)
    fields["clt"] = flat(0.5, GRIDS["gaussian"], "f4", 1)
    names = ("temperature", "humidity", "cloud", "pressure")
    assert all(judged(fields)[name].passed.all() for name in names)
    fields["hus"][0, 1, 2, 3] = -1e-7
    fields["clt"][0, 4, 5] = 1.25
    fields["ta"][0, 2, 3, 4] = 0.0
    fields["ps"][0, 0, 0] = -1.0
    found = judged(fields)
    assert not any(found[name].passed.any() for name in names)
    assert all(found[name].judged.all() for name in names)
    assert found["humidity"].residual == pytest.approx(1e-7)
    assert found["cloud"].residual == pytest.approx(0.25)
    assert found["pressure"].residual == pytest.approx(1.0)


def test_a_cloud_cover_beyond_one_by_rounding_is_let_pass() -> None:
    fields = {"clt": flat(np.nextafter(np.float32(1.0), np.float32(2.0)), GRIDS["gaussian"], "f4")}
    found = judged(fields)["cloud"]
    assert found.residual[0] > 0
    assert found.passed.all()


def test_a_sample_with_missing_values_is_not_judged_by_laws_that_need_them() -> None:
    fields, _ = climate()
    fields["ta"][1, 0, 3, 7] = np.nan
    reference = {name: one.value for name, one in judged(fields).items()}
    found = judged(fields, reference=reference)
    assert found["enthalpy"].judged.tolist() == [True, False, True, True]
    assert np.isnan(found["enthalpy"].value).tolist() == [False, True, False, False]
    assert found["dry_mass"].judged.all()
    assert found["temperature"].judged.all()  # what is there can be judged


def test_growth_is_not_judged_beside_a_time_that_lacks_values() -> None:
    """What is stored in a part of the sphere would look like a loss, and then like growth."""
    fields, times = climate(7)
    fields["prw"][3, 2:9] = np.nan
    found = judged(fields, times_s=times)["water"]
    assert found.judged.tolist() == [False, True, False, False, False, True, False]
    assert found.passed.tolist() == found.judged.tolist()
    assert found.residual[found.judged] == pytest.approx(0.0, abs=1e-11)


def test_what_is_constant_is_held_against_the_first_time_that_is_whole() -> None:
    fields = {"ps": flat(9e4, GRIDS["gaussian"], "f8", 4)}
    fields["ps"][2] *= 1.00001
    fields["ps"][0, :8] = np.nan
    found = judged(fields, times_s=range(4))["dry_mass"]
    assert found.judged.tolist() == [False, True, True, True]
    assert found.relative[1:] == pytest.approx([0.0, 1e-5, 0.0], rel=1e-4)
    assert found.passed.tolist() == [False, True, False, True]
    fields["ps"][:, 0, 0] = np.nan
    assert not judged(fields, times_s=range(4))["dry_mass"].judged.any()


def test_air_beyond_saturation_is_judged_where_asked() -> None:
    fields, _ = climate(1)
    fields["hus"][0, 2, 3, 4] = 0.5
    layout = Layout.of_fields(fields, GRIDS["gaussian"], HYBRID)
    assert evaluate_columns(fields, layout, worlds(1)) == ()  # no heights, and not asked
    (found,) = evaluate_columns(fields, layout, worlds(1), ["saturation"])
    assert not found.passed.any()


@pytest.mark.parametrize("name", ["hus", "ta", "ps"])
def test_saturation_is_not_judged_of_a_sample_that_lacks_a_value(name: str) -> None:
    """Nor is it nought, the larger of nought and of what is no number."""
    fields, _ = climate(2)
    fields[name] = fields[name].copy()
    fields[name][0, ..., 3, 4] = np.nan
    layout = Layout.of_fields(fields, GRIDS["gaussian"], HYBRID)
    (found,) = evaluate_columns(fields, layout, worlds(2), ["saturation"])
    assert found.judged.tolist() == found.passed.tolist() == [False, True]
    assert np.isnan(found.residual).tolist() == [True, False]


def test_what_does_not_fit_is_refused_with_a_sentence() -> None:
    fields, _ = climate()
    grid = GRIDS["gaussian"]
    layout = Layout.of_fields(fields, grid, HYBRID)
    sums = zonal_sums(fields, layout, threads=1)
    with pytest.raises(ConfigError, match=r"^worlds: are 3 for 4"):
        evaluate(sums, layout, worlds(3))
    with pytest.raises(ConfigError, match=r"^times_s: must be 4 numbers that only rise"):
        evaluate(sums, layout, worlds(4), [0.0, 2.0, 1.0, 3.0])
    with pytest.raises(ConfigError, match=r"^heat: is no budget"):
        evaluate(sums, layout, worlds(4), only=["heat"])
    with pytest.raises(ConfigError, match=r"^angular_momentum: needs ua"):
        evaluate(sums, layout, worlds(4), only=["angular_momentum"])
    with pytest.raises(ConfigError, match=r"^sums: have shape"):
        evaluate(sums, Layout.of_fields({"ps": fields["ps"]}, grid), worlds(4))
    with pytest.raises(ConfigError, match=r"^dry_mass: is judged by zonal sums"):
        evaluate_columns(fields, layout, worlds(4), ["dry_mass"])


def test_every_law_has_a_unit_a_tolerance_and_its_reason() -> None:
    assert len(BUDGETS) == 19
    for budget in BUDGETS.values():
        for tolerance in (budget.tolerance, *budget.engines.values()):
            assert tolerance.limit >= 0.0
            assert len(tolerance.reason) > 10
        assert budget.unit


def test_the_page_on_conservation_lists_each_law_with_its_unit() -> None:
    page = (Path(__file__).parents[2] / "docs" / "conservation.md").read_text()
    table = page[page.index("| law |") :].split("\n\n")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    assert [(row[0].strip("| `"), row[2]) for row in rows] == [
        (budget.name, budget.unit) for budget in BUDGETS.values()
    ]


# ----------------------------------------------------------------------------- any planet
@settings(max_examples=20)
@given(
    st.floats(1e5, 2e7),
    st.floats(0.1, 100.0),
    st.floats(-1e-3, 1e-3),
    st.floats(50.0, 4000.0),
    st.floats(500.0, 2e4),
    st.sampled_from(sorted(GRIDS)),
    st.integers(0, 1 << 31),
)
def test_amounts_scale_with_the_planet_as_physics_says(
    radius: float, gravity: float, spin: float, gas: float, heat: float, name: str, seed: int
) -> None:
    """Random air on any planet: the sums over cells, done plainly, are the same to 1e-12."""
    grid = GRIDS[name]
    draw = np.random.default_rng(seed)
    shape = (1, L, *grid.shape)
    fields = {
        "ps": draw.uniform(1e3, 1e7, (1, *grid.shape)),
        "ta": draw.uniform(50.0, 900.0, shape),
        "hus": draw.uniform(0.0, 0.9, shape),
        "ua": draw.normal(0.0, 60.0, shape),
        "va": draw.normal(0.0, 30.0, shape),
    }
    planet = {
        "radius_m": radius,
        "gravity_ms2": gravity,
        "rotation_rate_rads": spin,
        "gas_constant_jkgk": gas,
        "heat_capacity_jkgk": heat,
    }
    layers = sigma_layers([0.0, 0.2, 0.5, 1.0])
    found = measured(fields, grid, layers, **planet)
    share = np.repeat(grid.row_share[:, None] / grid.shape[1], grid.shape[1], axis=1)
    air = np.array([0.2, 0.3, 0.5])[:, None, None] * fields["ps"][0] * share / gravity
    ta, hus, ua, va = (fields[one][0] for one in ("ta", "hus", "ua", "va"))
    arm = grid.arm[:, None]

    def total(values: NDArray) -> float:
        return math.fsum((values * air).ravel().tolist())

    assert found["dry_mass"][0] == pytest.approx(total(np.ones_like(ta)), rel=1e-12)
    assert found["enthalpy"][0] == pytest.approx(heat * total(ta), rel=1e-12)
    energy = heat * ta + HEAT_OF_EVAPORATION * hus + 0.5 * (ua**2 + va**2)
    assert found["total_energy"][0] == pytest.approx(total(energy), rel=1e-12)
    momentum = radius * arm * (ua + spin * radius * arm)
    size = total(np.abs(momentum))
    assert found["angular_momentum"][0] == pytest.approx(total(momentum), abs=1e-12 * size)


# ----------------------------------------------------------------------------- torch
def test_tensors_are_measured_alike_and_have_gradients() -> None:
    fields, _ = climate(2)
    fields = {name: torch.tensor(values).double() for name, values in fields.items()}
    fields["hus"] += 0.001
    draw = torch.Generator().manual_seed(1)
    for name in ("ua", "va", "zg"):
        fields[name] = torch.randn(2, L, 16, 32, generator=draw, dtype=torch.float64)
    layout = Layout.of_fields(fields, GRIDS["gaussian"], HYBRID)
    for values in fields.values():
        values.requires_grad_()
    ours = amounts(zonal_sums(fields, layout, threads=1), layout, worlds())
    theirs = amounts(zonal_sums_torch(fields, layout), layout, worlds())
    assert ours.keys() == theirs.keys()
    for name, amount in theirs.items():
        size = float(np.abs(ours[name].scale).max())
        assert amount.value.detach().numpy() == pytest.approx(ours[name].value, abs=1e-12 * size)
    sum((amount.value / amount.scale.detach()).sum() for amount in theirs.values()).backward()
    for name, values in fields.items():
        assert values.grad is not None, name
        assert torch.isfinite(values.grad).all()
    judged_there = evaluate(zonal_sums_torch(fields, layout), layout, worlds())
    judged_here = evaluate(zonal_sums(fields, layout), layout, worlds())
    for one, other in zip(judged_there, judged_here, strict=True):
        assert (one.passed == other.passed).all()
