"""Rows of climates become fields of physics and rows again, and projections act on them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from astrohpc.climates.climates import Climates, Input, Variable
from astrohpc.climates.physical import (
    fields_of,
    layout_of,
    projected,
    projections_for,
    rows_with,
)
from astrohpc.constants import DAY_S
from astrohpc.errors import ConfigError
from astrohpc.physics.latlon import target_grid
from astrohpc.physics.projections import ToaEnergy, soft_losses
from astrohpc.physics.worlds import Known
from astrohpc.planet import Planet

GRID = target_grid("gaussian 6x8")
LEVELS, PLANETS = 3, 5


def variable(name: str, *, levels: bool, logarithm: bool = False) -> Variable:
    shape = (LEVELS, *GRID.shape) if levels else GRID.shape
    return Variable(name, name, "", shape, levels, name.removeprefix("log_"), logarithm)


VARIABLES = (
    variable("log_hus", levels=True, logarithm=True),
    variable("va", levels=True),
    variable("ps", levels=False),
    variable("rsut", levels=False),
    variable("rlut", levels=False),
)
AXES = {
    "lat": GRID.lat_deg,
    "lon": GRID.lon_deg,
    "ap_pa": np.zeros(LEVELS + 1),
    "b": np.array([0.0, 0.2, 0.6, 1.0]),
}


def planet(flux_wm2: float) -> Planet:
    return Planet(
        radius_m=7e6,
        gravity_ms2=11.0,
        rotation_period_s=5 * DAY_S,
        surface_pressure_pa=100.0 * flux_wm2,
        co2_fraction=0.1,
        ch4_fraction=0.0,
        stellar_flux_wm2=flux_wm2,
        stellar_temperature_k=3000.0,
        tidally_locked=True,
    )


def climates() -> Climates:
    rng = np.random.default_rng(0)
    flux = np.linspace(800.0, 1200.0, PLANETS)
    fields = {
        "log_hus": rng.uniform(-6, -2, (PLANETS, LEVELS, *GRID.shape)),
        "va": rng.normal(1.0, 5.0, (PLANETS, LEVELS, *GRID.shape)),
        "ps": 100.0 * flux[:, None, None] * rng.uniform(0.9, 1.1, (PLANETS, *GRID.shape)),
        "rsut": rng.uniform(20.0, 90.0, (PLANETS, *GRID.shape)),
        "rlut": rng.uniform(100.0, 250.0, (PLANETS, *GRID.shape)),
    }
    values = np.concatenate([fields[one.name].reshape(PLANETS, -1) for one in VARIABLES], 1)
    return Climates(
        inputs=(Input("stellar_flux", "W/m2", 800.0, 1200.0, False),),
        params=flux[:, None],
        variables=VARIABLES,
        values=values.astype(np.float32),
        weights=np.ones(values.shape[1]),
        names=tuple("abcde"),
        planets=tuple(planet(one) for one in flux),
        axes=AXES,
        excluded=(),
        constant=(),
        source="test",
        mark="synthetic",
        notes={},
    )


def test_humidity_comes_in_its_own_unit_and_goes_back_as_its_logarithm() -> None:
    data = climates()
    fields = fields_of(data.variables, data.values.astype(float))
    assert set(fields) == {"hus", "va", "ps", "rsut", "rlut"}
    assert np.log10(fields["hus"]) == pytest.approx(data.of("log_hus"), rel=1e-12)
    half = rows_with(data.variables, data.values, {"hus": 0.5 * fields["hus"]})
    assert half[:, data.places["log_hus"]] == pytest.approx(
        data.values[:, data.places["log_hus"]] - np.log10(2), rel=1e-6
    )
    rest = slice(data.places["va"].start, None)
    assert (half[:, rest] == data.values[:, rest]).all()


def test_tensors_become_the_same_fields() -> None:
    data = climates()
    there = fields_of(data.variables, torch.tensor(data.values))
    for name, values in fields_of(data.variables, data.values).items():
        assert there[name].numpy() == pytest.approx(values, rel=1e-5)


def test_projected_rows_keep_the_laws_of_their_own_planets() -> None:
    data = climates()
    chosen = projections_for(data, imbalance_wm2=0.0)
    assert [one.name for one in chosen] == [
        "bounds",
        "dry_mass",
        "meridional_mass_flux",
        "toa_energy",
    ]
    rows = projected(data.values, data.variables, data.axes, data.planets, chosen)
    layout, known = layout_of(data.variables, data.axes), Known.of_planets(data.planets)
    for name, one in soft_losses(fields_of(data.variables, rows), layout, known, chosen).items():
        assert (np.sqrt(one) < 1e-14).all(), name
    before = soft_losses(fields_of(data.variables, data.values), layout, known, chosen)
    assert (np.sqrt(before["dry_mass"]) > 1e-4).all()
    for name in ("log_hus", "rsut"):
        assert (rows[:, data.places[name]] == data.values[:, data.places[name]]).all()


def test_the_model_s_own_imbalance_is_taken_from_its_climates() -> None:
    data = climates()
    (found,) = projections_for(data, ("toa_energy",))
    known = Known.of_planets(data.planets)
    layout = layout_of(data.variables, data.axes)
    net, _ = ToaEnergy.measured(fields_of(data.variables, data.values.astype(float)), layout, known)
    assert found == ToaEnergy(float(np.median(net)))


def test_a_model_without_longitudes_has_one_around_each_latitude() -> None:
    lat = np.linspace(-87.5, 87.5, 36)
    maps = tuple(Variable(name, name, "W m-2", (36,), False, name) for name in ("rsut", "rlut"))
    axes = {"lat": lat, "lon": np.array([180.0])}
    rows = np.random.default_rng(2).uniform(50.0, 150.0, (2, 72))
    planets = (planet(900.0), planet(1100.0))
    made = projected(rows, maps, axes, planets, (ToaEnergy(),))
    area = np.cos(np.radians(lat)) / np.cos(np.radians(lat)).sum()
    out = (made[:, :36] + made[:, 36:]) @ area
    assert out == pytest.approx([225.0, 275.0], rel=1e-12)


def test_no_projections_leave_every_bit() -> None:
    data = climates()
    rows = projected(data.values, data.variables, data.axes, data.planets, ())
    assert (rows == data.values).all()


def test_numbers_without_places_have_no_projections() -> None:
    data = replace(climates(), axes={})
    assert projections_for(data) == ()
    with pytest.raises(ConfigError, match="no latitudes and longitudes"):
        projected(data.values, data.variables, data.axes, data.planets, (ToaEnergy(),))
    assert projections_for(replace(climates(), planets=())) == ()


def test_without_layers_only_maps_are_held_to_laws() -> None:
    axes = {"lat": AXES["lat"], "lon": AXES["lon"]}
    chosen = projections_for(replace(climates(), axes=axes))
    assert [one.name for one in chosen] == ["bounds", "dry_mass", "toa_energy"]
