"""Projections leave residuals at rounding, by the least change, and have true gradients."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from astrohpc.errors import ConfigError
from astrohpc.physics.columns import hydrostatic, pressure_pa
from astrohpc.physics.hydrostatic import Hydrostatic
from astrohpc.physics.integrals import Integrals
from astrohpc.physics.latlon import target_grid
from astrohpc.physics.laws import dry_mass, meridional_mass_flux
from astrohpc.physics.layout import Layout
from astrohpc.physics.projections import (
    ORDER,
    Bounds,
    DryMass,
    MeridionalMassFlux,
    ToaEnergy,
    described,
    made_for,
    project,
    restored,
    soft_losses,
)
from astrohpc.physics.sums import zonal_sums
from astrohpc.physics.vertical import LayerEdges
from astrohpc.physics.worlds import Known, Worlds

GRID = target_grid("gaussian 8x12")
HYBRID = LayerEdges(np.array([400.0, 6e3, 9e3, 4e3, 0.0]), np.array([0.0, 0.05, 0.3, 0.7, 1.0]))
KNOWN = Known(
    Worlds(
        np.array([6e6, 3e6, 9e6]),
        np.array([9.0, 25.0, 4.0]),
        np.array([7e-5, 1e-6, 2e-5]),
        np.array([287.0, 190.0, 296.0]),
        np.array([1004.0, 830.0, 1040.0]),
    ),
    np.array([300.0, 280.0, 410.0]),
    np.array([1e5, 5e4, 3e5]),
)
SPREADS = Hydrostatic((8.0, 9.0, 10.0, 12.0), (900.0, 500.0, 300.0, 100.0))
ALL = (Bounds(), DryMass(), MeridionalMassFlux(), SPREADS, ToaEnergy(-8.0))


def isothermal(temperature_k: float = 250.0) -> dict[str, np.ndarray]:
    """Dry columns in balance: z = H ln(ps / p), of scale height H."""
    ps = KNOWN.pressure_pa[:, None, None] * np.random.default_rng(1).uniform(0.95, 1.05, (3, 8, 12))
    p = pressure_pa(ps, HYBRID)
    scale_m = (KNOWN.worlds.gas_constant_jkgk / KNOWN.worlds.gravity_ms2)[:, None, None, None]
    warm = np.full_like(p, temperature_k)
    return {"ps": ps, "ta": warm, "zg": scale_m * temperature_k * np.log(ps[:, None] / p)}


def predicted(seed: int = 0) -> dict[str, np.ndarray]:
    """What a bad emulator might say."""
    rng = np.random.default_rng(seed)
    fields = isothermal()
    layered = fields["ta"].shape
    return {
        "ps": 1.01 * fields["ps"],
        "ta": fields["ta"] + 9.0 * rng.standard_normal(layered),
        "zg": fields["zg"] * (1 + 0.05 * rng.standard_normal(layered)),
        "va": 10.0 * rng.standard_normal(layered) + 3.0,
        "hus": 10 ** rng.uniform(-5.0, -1.7, layered),
        "cl": rng.uniform(-0.2, 1.2, layered),
        "rsut": rng.uniform(10.0, 90.0, fields["ps"].shape),
        "rlut": rng.uniform(150.0, 250.0, fields["ps"].shape),
    }


def layout_of(fields: dict) -> Layout:
    return Layout.of_fields(fields, GRID, HYBRID)


def mean(values: np.ndarray) -> np.ndarray:
    """Over the sphere."""
    return np.einsum("sji,j->s", values, GRID.row_share / GRID.shape[1])


def after(projections: tuple, fields: dict | None = None) -> tuple[dict, dict]:
    fields = predicted() if fields is None else fields
    changed = project(fields, layout_of(fields), KNOWN, projections)
    return changed, {**fields, **changed}


# ----------------------------------------------------------------------------- each of them
def test_the_mass_of_air_is_the_planet_s_to_rounding() -> None:
    changed, fields = after((DryMass(),))
    assert set(changed) == {"ps"}
    assert mean(fields["ps"]) == pytest.approx(KNOWN.pressure_pa, rel=1e-15)
    factor = fields["ps"] / predicted()["ps"]
    assert np.ptp(factor, axis=(1, 2)) == pytest.approx(0.0, abs=1e-15)
    sums = zonal_sums({"ps": fields["ps"]}, layout_of({"ps": fields["ps"]}))
    mass = dry_mass(Integrals(sums, layout_of({"ps": fields["ps"]})), KNOWN.worlds).value
    assert mass == pytest.approx(KNOWN.pressure_pa / KNOWN.worlds.gravity_ms2, rel=1e-15)


def test_no_air_flows_across_a_latitude_by_the_law_s_own_measure() -> None:
    changed, fields = after((MeridionalMassFlux(),))
    assert set(changed) == {"va"}
    chosen = {name: fields[name] for name in ("va", "ps")}
    layout = layout_of(chosen)
    amount = meridional_mass_flux(Integrals(zonal_sums(chosen, layout), layout), KNOWN.worlds)
    assert (np.abs(amount.rows) < 1e-14 * amount.scale[:, None]).all()
    taken = predicted()["va"] - fields["va"]
    assert np.ptp(taken, axis=(1, 3)) == pytest.approx(0.0, abs=1e-12)


def test_a_wind_that_only_turns_over_is_left_as_it_is() -> None:
    fields = predicted()
    fields["ps"] = np.broadcast_to(fields["ps"].mean((1, 2), keepdims=True), (3, 8, 12)).copy()
    air = (
        np.diff(HYBRID.ap_pa)[:, None, None]
        + np.diff(HYBRID.b)[:, None, None] * fields["ps"][:, None]
    )
    wind = np.zeros_like(air)
    wind[:, 0], wind[:, 3] = 5.0, -5.0 * air[:, 0] / air[:, 3]
    fields["va"] = wind
    changed, _ = after((MeridionalMassFlux(),), fields)
    assert changed["va"] == pytest.approx(wind, abs=1e-13)


def test_light_that_comes_in_goes_out_but_for_what_the_model_loses() -> None:
    for imbalance_wm2 in (0.0, -8.0):
        changed, fields = after((ToaEnergy(imbalance_wm2),))
        assert set(changed) == {"rlut"}
        net = KNOWN.starlight_wm2 - mean(fields["rsut"]) - mean(fields["rlut"])
        assert net == pytest.approx(imbalance_wm2, abs=1e-12)
        moved = fields["rlut"] - predicted()["rlut"]
        assert np.ptp(moved, axis=(1, 2)) == pytest.approx(0.0, abs=1e-12)


def test_starlight_that_was_predicted_counts_instead_of_the_planet_s() -> None:
    fields = predicted()
    fields["rsdt"] = np.random.default_rng(4).uniform(0.0, 600.0, fields["rlut"].shape)
    _, found = after((ToaEnergy(),), fields)
    assert mean(found["rsut"] + found["rlut"]) == pytest.approx(mean(fields["rsdt"]), rel=1e-14)


def test_an_isothermal_column_in_balance_is_left_as_it_is() -> None:
    fields = isothermal()
    changed, _ = after((SPREADS,), fields)
    assert changed["ta"] == pytest.approx(fields["ta"], rel=1e-13)
    assert changed["zg"] == pytest.approx(fields["zg"], rel=1e-12)


def test_heights_off_balance_are_brought_to_it_by_the_law_s_own_measure() -> None:
    changed, fields = after((SPREADS,))
    assert set(changed) == {"ta", "zg"}
    chosen = {name: fields[name] for name in ("ps", "ta", "zg", "hus")}
    found = hydrostatic(chosen, layout_of(chosen), KNOWN.worlds)
    assert (found.value < 1e-13 * found.scale).all()
    dry = {name: fields[name] for name in ("ps", "ta", "zg")}
    without = hydrostatic(dry, layout_of(dry), KNOWN.worlds)
    assert (without.value > 1e-4 * without.scale).all()  # vapour counted


def test_balance_is_reached_by_the_least_change_in_units_of_the_spreads() -> None:
    """Of all states in balance the nearest: no step along the balance brings one nearer."""
    fields = {name: predicted()[name] for name in ("ps", "ta", "zg")}
    _, found = after((SPREADS,), fields)
    units = [np.array(one)[:, None, None] for one in (SPREADS.ta_spread_k, SPREADS.zg_spread_m)]
    moved = [
        (found[name] - fields[name]) / unit for name, unit in zip(("ta", "zg"), units, strict=True)
    ]
    rng = np.random.default_rng(7)
    for _ in range(3):
        step = {
            "ta": rng.standard_normal(found["ta"].shape),
            "zg": rng.standard_normal(found["zg"].shape) * 10,
            "ps": fields["ps"],
        }
        # The law is linear, so what is left of a step after its own projection is along the balance.
        along = project(step, layout_of(step), KNOWN, (SPREADS,))
        inner = sum(
            float((part * along[name] / unit).sum())
            for part, name, unit in zip(moved, ("ta", "zg"), units, strict=True)
        )
        size = float(np.sqrt(sum((part**2).sum() for part in moved)))
        length = np.sqrt(
            sum(
                float(((along[n] / u) ** 2).sum()) for n, u in zip(("ta", "zg"), units, strict=True)
            )
        )
        assert abs(inner) < 1e-10 * size * length


def test_a_value_of_no_spread_is_hardly_moved() -> None:
    fields = {name: predicted()[name] for name in ("ps", "ta", "zg")}
    stiff = Hydrostatic(SPREADS.ta_spread_k, (1e-6,) * 4)
    changed, _ = after((stiff,), fields)
    assert np.abs(changed["zg"] - fields["zg"]).max() < 1e-6
    assert np.abs(changed["ta"] - fields["ta"]).max() > 1.0


def test_a_model_whose_levels_always_lie_off_the_law_is_left_as_it_is() -> None:
    """Distances between middles of thick layers are a part of the law's, the same on all planets."""
    fields = isothermal()
    parts = np.array([0.9, 0.97, 1.02])
    apart = (fields["zg"][:, :-1] - fields["zg"][:, 1:]) * parts[:, None, None]
    above = np.cumsum(apart[:, ::-1], axis=1)[:, ::-1]
    fields["zg"] = fields["zg"][:, -1:] + np.pad(above, ((0, 0), (0, 1), (0, 0), (0, 0)))
    own = Hydrostatic.of_data(fields, layout_of(fields), KNOWN)
    assert own.thickness_share == pytest.approx(tuple(parts), rel=1e-12)
    changed, _ = after((own,), fields)
    assert changed["ta"] == pytest.approx(fields["ta"], rel=1e-12)
    strict, _ = after((SPREADS,), fields)
    assert np.abs(strict["ta"] - fields["ta"]).max() > 1.0


def test_gravity_and_gas_are_each_planet_s_own() -> None:
    fields = {name: predicted()[name] for name in ("ps", "ta", "zg")}
    together = project(fields, layout_of(fields), KNOWN, (SPREADS,))
    for s in range(3):
        one = {name: values[s : s + 1] for name, values in fields.items()}
        known = Known(KNOWN.worlds.take([s]), KNOWN.starlight_wm2[[s]], KNOWN.pressure_pa[[s]])
        alone = project(one, layout_of(one), known, (SPREADS,))
        assert alone["zg"][0] == pytest.approx(together["zg"][s], rel=1e-13)


def test_shares_and_what_is_positive_come_to_their_bounds() -> None:
    fields = predicted()
    fields["rsut"][1, 2, 3] = -4.0
    changed, found = after((Bounds(),), fields)
    assert set(changed) == {"cl", "rsut"}
    assert found["cl"].min() == 0.0
    assert found["cl"].max() == 1.0
    assert found["rsut"][1, 2, 3] == 0.0
    inside = (fields["cl"] > 0) & (fields["cl"] < 1)
    assert (found["cl"][inside] == fields["cl"][inside]).all()


def test_what_is_possible_is_returned_by_no_bound() -> None:
    changed, _ = after((Bounds(),), isothermal())
    assert changed == {}


# ----------------------------------------------------------------------------- lists of them
def test_all_in_turn_hold_at_once() -> None:
    _, fields = after(ALL)
    losses = soft_losses(fields, layout_of(fields), KNOWN, ALL)
    assert set(losses) == {one.name for one in ALL}
    for name, one in losses.items():
        assert (np.sqrt(one) < 1e-13).all(), name
    before = soft_losses(predicted(), layout_of(fields), KNOWN, ALL)
    assert all((np.sqrt(one) > 1e-3).all() for one in before.values())


def test_a_second_time_changes_nothing_that_one_could_see() -> None:
    _, once = after(ALL)
    _, twice = after(ALL, once)
    for name, values in once.items():
        assert twice[name] == pytest.approx(values, rel=1e-12, abs=1e-12), name


def test_single_precision_comes_out_double_and_exact() -> None:
    fields = {name: values.astype(np.float32) for name, values in predicted().items()}
    changed, _ = after(ALL, fields)
    assert {values.dtype for values in changed.values()} == {np.dtype(np.float64)}
    assert mean(changed["ps"]) == pytest.approx(KNOWN.pressure_pa, rel=1e-15)


def test_tensors_give_what_arrays_give_also_under_autocast() -> None:
    fields = predicted()
    changed, _ = after(ALL, fields)
    tensors = {name: torch.tensor(values) for name, values in fields.items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        same = project(tensors, layout_of(fields), KNOWN, ALL)
        losses = soft_losses(tensors, layout_of(fields), KNOWN, ALL)
    assert set(same) == set(changed)
    for name, values in changed.items():
        assert same[name].numpy() == pytest.approx(values, rel=1e-12, abs=1e-12), name
    for name, one in soft_losses(fields, layout_of(fields), KNOWN, ALL).items():
        assert losses[name].numpy() == pytest.approx(one, rel=1e-10), name


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_gradients_are_those_of_differences(one: object) -> None:
    fields = {name: torch.tensor(values[:1]) for name, values in predicted().items()}
    known = Known(KNOWN.worlds.take([0]), KNOWN.starlight_wm2[:1], KNOWN.pressure_pa[:1])
    layout = layout_of(fields)
    names = [name for name in ("ps", "ta", "zg", "va", "rlut", "cl") if name in fields]
    rng = np.random.default_rng(3)
    step = {name: torch.tensor(rng.standard_normal(fields[name].shape)) for name in names}
    scale = {"ps": 10.0, "zg": 1.0, "ta": 0.1, "va": 0.1, "rlut": 0.1, "cl": 1e-4}

    def loss(by: torch.Tensor) -> torch.Tensor:
        moved = fields | {n: fields[n] + by * scale[n] * step[n] for n in names}
        return soft_losses(moved, layout, known, (one,))[one.name].sum()

    assert torch.autograd.gradcheck(
        loss, (torch.zeros((), dtype=torch.float64, requires_grad=True),)
    )


def test_gradients_pass_a_projection_and_a_bound() -> None:
    fields = {
        name: torch.tensor(values, requires_grad=True) for name, values in predicted().items()
    }
    changed = project(fields, layout_of(fields), KNOWN, ALL)
    sum((values**2).mean() for values in changed.values()).backward()
    for name in ("ps", "va", "ta", "zg", "rlut", "rsut"):
        assert float(fields[name].grad.abs().max()) > 0, name
    outside = (fields["cl"] < 0).detach()
    ones = project({"cl": fields["cl"]}, layout_of({"cl": fields["cl"]}), KNOWN, (Bounds(),))
    (grad,) = torch.autograd.grad(ones["cl"].sum(), fields["cl"])
    assert bool(outside.any())
    assert bool((grad == 1.0).all())
    assert bool((ones["cl"][outside] == 0.0).all())


# ----------------------------------------------------------------------------- making and keeping
def test_data_tell_spreads_and_the_model_s_own_imbalance() -> None:
    fields = predicted()
    leak = np.array([-6.0, -4.0, -4.5])
    fields["rlut"] += (KNOWN.starlight_wm2 - mean(fields["rsut"] + fields["rlut"]) - leak)[
        :, None, None
    ]
    made = made_for(fields, layout_of(fields), KNOWN)
    assert [one.name for one in made] == list(ORDER)
    found = {one.name: one for one in made}
    assert found["toa_energy"] == ToaEnergy(pytest.approx(-4.5, rel=1e-12))
    away = fields["ta"] - fields["ta"].mean(0)
    assert found["hydrostatic"].ta_spread_k[2] == pytest.approx(np.sqrt((away[:, 2] ** 2).mean()))
    physics = made_for(fields, layout_of(fields), KNOWN, ("toa_energy",), imbalance_wm2=0.0)
    assert physics == (ToaEnergy(0.0),)


def test_only_what_has_its_variables_is_made_and_in_order() -> None:
    fields = {name: predicted()[name] for name in ("ps", "va")}
    made = made_for(
        fields, layout_of(fields), KNOWN, ("meridional_mass_flux", "dry_mass", "toa_energy")
    )
    assert [one.name for one in made] == ["dry_mass", "meridional_mass_flux"]


def test_what_is_written_as_json_is_restored() -> None:
    assert restored(json.loads(json.dumps(described(ALL)))) == ALL


def test_wrong_words_are_answered_in_a_sentence() -> None:
    fields = {"ps": predicted()["ps"]}
    with pytest.raises(ConfigError, match="'mass' is none; write some of bounds"):
        made_for(fields, layout_of(fields), KNOWN, ("mass",))
    with pytest.raises(ConfigError, match="meridional_mass_flux: needs va as well"):
        project(fields, layout_of(fields), KNOWN, (MeridionalMassFlux(),))
    with pytest.raises(ConfigError, match="'new' is none that this version knows"):
        restored([{"name": "new"}])
    with pytest.raises(
        ConfigError, match=r"hydrostatic.zg_spread_m: .* not 4 numbers above nought"
    ):
        replace(SPREADS, zg_spread_m=(1.0, 0.0, 1.0, 1.0))
    with pytest.raises(ConfigError, match="made for 2 levels and the fields have 4"):
        after((Hydrostatic((1.0, 1.0), (1.0, 1.0)),))
