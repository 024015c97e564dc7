"""Asking a surrogate: what may be left out, what is foreign to it, and what its answer's file says."""

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray
from support_evaluate import planet
from test_bundle import WARM, some_climates, surrogate_of

from astrohpc.emulate.ridge import Ridge
from astrohpc.errors import ConfigError
from astrohpc.evaluate.answers import of, write_answer
from astrohpc.evaluate.surrogate import Common, planets_asked

INPUTS = some_climates().inputs
COMMON = Common.of(some_climates().planets, INPUTS)


def test_what_all_planets_had_in_common_need_not_be_said() -> None:
    assert set(COMMON.values) >= {"radius", "gravity", "rotation_period", "surface_pressure"}
    assert not {"stellar_flux", "co2"} & set(COMMON.values)
    asked = planets_asked([("warm", WARM)], INPUTS, COMMON)
    assert asked.params.tolist() == [[1100.0, 2e-3]]
    assert asked.planets[0].radius_m == 7e6
    assert asked.planets[0].tidally_locked
    assert asked.foreign == ("",)


def test_what_differs_between_planets_must_be_said() -> None:
    with pytest.raises(ConfigError, match=r"warm: co2: .*write for example '400 ppm'"):
        planets_asked([("warm", {"stellar_flux": 1100.0})], INPUTS, COMMON)
    with pytest.raises(ConfigError, match="there is no such parameter; did you mean 'gravity'"):
        planets_asked([("warm", {**WARM, "gravitty": 9.0})], INPUTS, COMMON)


def test_a_planet_of_another_kind_is_answered_with_a_warning() -> None:
    said = {**WARM, "gravity": 20.0, "tidally_locked": False}
    foreign = planets_asked([("heavy", said)], INPUTS, COMMON).foreign[0]
    assert "gravity is 20 m s⁻², and 8 m s⁻² on all planets trained on" in foreign
    assert "all planets trained on are tidally locked" in foreign
    # The same gravity, said by the mass.
    same = planets_asked([("warm", {**WARM, "mass": planet().mass_kg})], INPUTS, COMMON)
    assert same.foreign == ("",)


def test_planets_outside_are_flagged_and_those_inside_are_not() -> None:
    surrogate = surrogate_of(Ridge)
    hot = {"stellar_flux": 4000.0, "co2": 2e-3}
    asked = planets_asked([("warm", WARM), ("hot", hot)], INPUTS, COMMON)
    answer = surrogate.answer(asked)
    assert answer.outside[0] == ""
    assert "stellar_flux is 4000 W m⁻²" in answer.outside[1]
    assert (answer.low <= answer.mean).all()
    assert (answer.mean <= answer.high).all()


def test_predictions_keep_the_energy_that_the_projection_gives_them() -> None:
    surrogate = surrogate_of(Ridge)
    asked = planets_asked([("warm", WARM)], INPUTS, COMMON)
    answer = surrogate.answer(asked)
    means = {}
    for name in ("rsut", "rlut"):
        one = next(v for v in surrogate.variables if v.name == name)
        begin = sum(v.size for v in surrogate.variables[: surrogate.variables.index(one)])
        weights = surrogate.weights[begin : begin + one.size]
        means[name] = float(of(surrogate, name, answer.mean).reshape(-1) @ weights)
    toa = next(one for one in surrogate.projections if one.name == "toa_energy")
    net = WARM["stellar_flux"] / 4 - means["rsut"] - means["rlut"]
    assert net == pytest.approx(toa.imbalance_wm2, abs=1e-9)


def test_the_file_of_an_answer_has_bounds_flags_and_where_it_comes_from(tmp_path: Path) -> None:
    surrogate = surrogate_of(Ridge)
    hot = {"stellar_flux": 4000.0, "co2": 2e-3}
    asked = planets_asked([("warm", WARM), ("hot", hot)], INPUTS, COMMON)
    answer = surrogate.answer(asked)
    write_answer(tmp_path / "a.nc", surrogate, asked, answer, {"git_commit": "abc"})
    with xarray.open_dataset(tmp_path / "a.nc") as found:
        assert found.ta.dims == ("planet", "lev", "lat", "lon")
        assert found.rsut.dims == ("planet", "lat", "lon")
        humid = of(surrogate, "log_hus", answer.mean)
        np.testing.assert_allclose(found.hus.values, 10.0**humid, rtol=1e-6)
        assert (found.hus_low.values <= found.hus.values).all()
        assert (found.hus.values <= found.hus_high.values).all()
        assert found.ta.attrs["ancillary_variables"] == "ta_low ta_high"
        assert found.ta.attrs["standard_name"] == "air_temperature"
        assert found.outside_domain.values.tolist() == [0, 1]
        assert "stellar_flux" in str(found.outside_why.values[1])
        assert found.planet_name.values.tolist() == ["warm", "hot"]
        assert found.planet_stellar_flux_wm2.values.tolist() == [1100.0, 4000.0]
        assert found.attrs["Conventions"].startswith("CF-")
        assert "synthetic" in found.attrs["title"]
        assert '"git_commit": "abc"' in found.attrs["provenance"]
        np.testing.assert_allclose(found.lev.values, [0.1, 0.35, 0.75])
    with netCDF4.Dataset(tmp_path / "a.nc") as raw:
        assert raw["lev"].formula_terms == "ap: ap b: b ps: ps"
        assert {raw[name].units for name in ("lat", "lon")} == {"degrees_north", "degrees_east"}
