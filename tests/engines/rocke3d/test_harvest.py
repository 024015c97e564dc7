"""From ``acc`` to the canonical output: values known beforehand, and the shared runs."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray
from support import REPOSITORY, make_planet
from support_acc import (
    FLUX_WM2,
    PLBOT_MB,
    PRECIPITATION_KGM2S,
    Diagnostic,
    Month,
    surface,
    write_acc,
)

from astrohpc.engines.conformance import check_conformance
from astrohpc.engines.rocke3d.acc import read_acc
from astrohpc.engines.rocke3d.harvest import harvest
from astrohpc.engines.rocke3d.ran import mismatches
from astrohpc.errors import ConfigError

FOLDER = Path(os.environ.get("ASTROHPC_GCM") or REPOSITORY.parent / "shared" / "data" / "gcm")
needs_shared = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"no output of ModelE in {FOLDER}; set ASTROHPC_GCM to a folder of it",
)
PLANET = make_planet(
    radius="5000 km", surface_pressure="800 hPa", stellar_flux=f"{FLUX_WM2} W/m2", gravity="7 m/s2"
)


def test_units_signs_and_axes_are_canonical(tmp_path: Path) -> None:
    harvest([write_acc(tmp_path / "X.acc.nc")], PLANET, tmp_path / "out.nc")
    assert check_conformance(tmp_path / "out.nc") == []
    with xarray.open_dataset(tmp_path / "out.nc") as out:

        def mean(name: str) -> float:
            return float(out[name].weighted(out.cell_area).mean())

        assert mean("ts") == pytest.approx(290.15)
        assert mean("ps") == pytest.approx(80000.0)
        assert mean("pr") == pytest.approx(PRECIPITATION_KGM2S, rel=1e-6)
        assert mean("evspsbl") == pytest.approx(PRECIPITATION_KGM2S, rel=1e-6)
        assert mean("rsdt") == pytest.approx(FLUX_WM2 / 4, rel=1e-6)
        assert mean("rsut") == pytest.approx(0.3 * FLUX_WM2 / 4, rel=1e-6)
        assert mean("rlut") == pytest.approx(170.0)
        assert mean("hfss") == pytest.approx(20.0)
        assert mean("hfds") == pytest.approx(-23.5)
        assert mean("clt") == pytest.approx(0.6)
        assert out.ta.dims == ("time", "lev", "lat", "lon")
        assert out.ta[0, :, 0, 0].values == pytest.approx([210.0, 250.0, 280.0])
        assert out.ua.dims == ("time", "plev", "lat", "lon")
        assert out.ua[0, :, 5, 3].values == pytest.approx([20.0, 10.0, 5.0])
        assert out.plev.values == pytest.approx([12500.0, 35000.0, 65000.0])
        assert np.isnan(out.planetary_albedo[0, 0]).all()
        assert float(out.planetary_albedo[0, 3, 0]) == pytest.approx(0.3)
        assert out.attrs["planet_gas_constant_jkgk"] == pytest.approx(PLANET.gas_constant_jkgk)


def test_a_day_of_the_model_is_not_taken_for_ours(tmp_path: Path) -> None:
    """The file's mm/day speak of a day of 40 steps of 1000 s, and so does its time axis."""
    harvest([write_acc(tmp_path / "X.acc.nc", Month(400, 800))], PLANET, tmp_path / "out.nc")
    with xarray.open_dataset(tmp_path / "out.nc", decode_times=False) as out:
        assert out.time.values == pytest.approx([6e5 / 86400])
        assert out.time_bnds.values == pytest.approx(np.array([[4e5, 8e5]]) / 86400)
        assert "D+A" in out.period.values[0]
        assert out.time.attrs["units"] == "days since 0001-01-01 00:00:00"


def test_layers_follow_the_surface_below_and_keep_their_pressure_above(tmp_path: Path) -> None:
    harvest([write_acc(tmp_path / "X.acc.nc")], PLANET, tmp_path / "out.nc")
    with xarray.open_dataset(tmp_path / "out.nc") as out:
        edge_pa = out.ap_bnds + out.b_bnds * 80000.0
        assert edge_pa[:, 0].values == pytest.approx(np.array(PLBOT_MB[:0:-1]) * 100)
        assert edge_pa[:, 1].values == pytest.approx(np.array(PLBOT_MB[-2::-1]) * 100)
        assert float(out.b_bnds[-1, 1]) == 1.0
        assert float(out.ap_bnds[-1, 1]) == pytest.approx(0.0, abs=1e-9)
        assert float(out.b[0]) == 0.0  # from ls1 on pressure is the same everywhere


def test_months_become_records_or_one_mean_by_their_length(tmp_path: Path) -> None:
    months = [
        Month(0, 400).changed("aij", tgrnd=surface(10.0, counter=3)),
        Month(400, 1600).changed("aij", tgrnd=surface(20.0, counter=3)),
    ]
    files = [write_acc(tmp_path / f"{n}.acc.nc", month) for n, month in enumerate(months)]
    harvest(files[::-1], PLANET, tmp_path / "series.nc")
    harvest(files, PLANET, tmp_path / "mean.nc", together=True)
    with (
        xarray.open_dataset(tmp_path / "series.nc", decode_times=False) as series,
        xarray.open_dataset(tmp_path / "mean.nc", decode_times=False) as mean,
    ):
        assert series.ts.mean(("lat", "lon")).values == pytest.approx([283.15, 293.15])
        assert mean.ts.mean(("lat", "lon")).values == pytest.approx([290.65])
        lengths = np.diff(series.time_bnds.values, axis=1).ravel()
        assert lengths[1] / lengths[0] == pytest.approx(3.0)
        assert (mean.time_bnds.values == [[series.time_bnds[0, 0], series.time_bnds[1, 1]]]).all()


@pytest.mark.parametrize(
    ("planet", "what"),
    [
        (
            replace(PLANET, radius_m=6.371e6),
            "radius 5000.0 km, but the planet asked for has 6371.0 km",
        ),
        (replace(PLANET, surface_pressure_pa=1e5), r"begin at 800 mb \(plbot\).* has 1000 mb"),
        (replace(PLANET, stellar_flux_wm2=1361.0), "received 1000.0 W/m2 of starlight"),
    ],
)
def test_output_of_another_planet_is_refused(tmp_path: Path, planet: object, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        harvest([write_acc(tmp_path / "X.acc.nc")], planet, tmp_path / "out.nc")  # type: ignore[arg-type]
    assert not (tmp_path / "out.nc").exists()


def test_what_ran_is_held_against_what_was_asked(tmp_path: Path) -> None:
    month = Month(
        parameters={
            "planet_s0": 900.0,
            "obliquity": 0.0,
            "co2x": 2.0,
            "x_sdrag": np.array([2e-3, 2e-4]),
            "solar_spec": "sun",
        }
    )
    acc = read_acc(write_acc(tmp_path / "X.acc.nc", month))
    good = {"CO2X": 2, "X_SDRAG": [0.002, 0.0002], "solar_spec": " Sun ", "SUBDD": " "}
    (star,) = mismatches(acc, PLANET, good)
    assert "ran with planet_s0 = 900, but the planet has 1000 W/m2" in star
    bad = {"CO2X": 1.0, "X_SDRAG": [0.002], "KOCAEN": 1, "solar_spec": "trappist1"}
    sentences = mismatches(acc, PLANET, bad)
    assert len(sentences) == 5
    assert "ran with X_SDRAG = 0.002, 0.0002, but 0.002 was asked for" in sentences[2]
    assert "does not know KOCAEN, which was asked to be 1" in sentences[3]


@pytest.mark.parametrize(
    ("month", "what"),
    [
        (Month().without("aijk"), "has no category 'aijk'"),
        (Month().without("aij", "tsurf"), "has no diagnostic aij:tsurf, which tas"),
        (
            Month().changed("aij", tgrnd=Diagnostic(np.full((6, 4), -1e30), "C", counter=3)),
            "aij:tgrnd holds nothing but fill values, so there is no ts",
        ),
        (Month(parameters={"plbot": np.array([800.0, 1.0])}), "edges of its 3 layers"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, month: Month, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        harvest([write_acc(tmp_path / "X.acc.nc", month)], PLANET, tmp_path / "out.nc")


def test_months_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no acc file"):
        harvest([], PLANET, tmp_path / "out.nc")
    files = [
        write_acc(tmp_path / "0.acc.nc"),
        write_acc(tmp_path / "1.acc.nc", Month(200, 600)),
    ]
    with pytest.raises(ConfigError, match="begins before the period before it ends"):
        harvest(files, PLANET, tmp_path / "out.nc")


@needs_shared
@pytest.mark.parametrize(
    ("folder", "months"),
    [("modelE_8x10", ("JAN", "FEB", "MAR")), ("modelE_72x46", ("JAN",))],
)
def test_the_shared_runs_conform(tmp_path: Path, folder: str, months: tuple[str, ...]) -> None:
    run = {"modelE_8x10": "AR12", "modelE_72x46": "AS20"}[folder]
    files = [FOLDER / folder / f"{month}1850.acc{run}.nc" for month in months]
    planet = make_planet(surface_pressure="984 hPa", eccentricity=0.0167)
    harvest(files, planet, tmp_path / "out.nc")
    assert check_conformance(tmp_path / "out.nc") == []
    with xarray.open_dataset(tmp_path / "out.nc") as out:
        first = read_acc(files[0])
        top = out.rsdt - out.rsut - out.rlut
        net = float(top[0].weighted(out.cell_area).mean())
        assert net == pytest.approx(first.global_mean("aij", "net_rad_planet"), abs=1e-3)
        assert [str(one)[:10] for one in out.time_bnds.values[:, 0]] == [
            f"1850-{number:02d}-01" for number in range(1, len(months) + 1)
        ]
        # The hybrid layers have the thickness that the model itself summed, cell by cell.
        aijl = first.category("aijl")
        which = aijl.index("AIJL001")
        summed = aijl.sums[which] / first.counters[aijl.counter[which] - 1]
        layer_pa = (out.ap_bnds + out.b_bnds * out.ps[0]).diff("nv").squeeze("nv")
        assert layer_pa.transpose("lev", "lat", "lon").values == pytest.approx(
            100.0 * summed[::-1], rel=1e-6
        )
        # Air weighs what it should: the layers' temperature gives their heights.
        ground_pa = (out.ap_bnds[-1, 1] + out.b_bnds[-1, 1] * out.ps[0]).weighted(out.cell_area)
        assert float(ground_pa.mean()) == pytest.approx(98400.0, rel=1e-6)
        ta, zg = (
            out[name][0].weighted(out.cell_area).mean(("lat", "lon")).values
            for name in ("ta", "zg")
        )
        middle_pa = (out.ap + out.b * 98400.0).values
        thickness_m = 287.05 / 9.80665 * 0.5 * (ta[1:] + ta[:-1]) * np.diff(np.log(middle_pa))
        assert -np.diff(zg)[-5:] == pytest.approx(thickness_m[-5:], rel=0.02)
