"""ExoPlaSim's files to the canonical output: units, signs, time, and files that must be refused."""

import os
from pathlib import Path

import numpy as np
import pytest
import xarray
from netCDF4 import Dataset
from support import REPOSITORY, make_planet
from support_most import FLUX_WM2, SIGMA, write_most

from astrohpc.engines.conformance import check_conformance
from astrohpc.engines.exoplasim_output import Stamps, convert, required_names
from astrohpc.errors import ConfigError

FOLDER = Path(os.environ.get("ASTROHPC_GCM") or REPOSITORY.parent / "shared" / "data" / "gcm")
PLANET = make_planet(stellar_flux=f"{FLUX_WM2} W/m2")
MEANS = Stamps(step_s=2700.0, averaged=True)


def test_units_signs_and_axes_are_canonical(tmp_path: Path) -> None:
    convert(write_most(tmp_path / "MOST.nc"), tmp_path / "out.nc", PLANET, MEANS)
    assert check_conformance(tmp_path / "out.nc") == []
    with xarray.open_dataset(tmp_path / "out.nc") as out:

        def mean(name: str) -> float:
            return float(out[name].weighted(out.cell_area).mean())

        assert mean("ps") == pytest.approx(1e5)
        assert mean("pr") == pytest.approx(3e-5)
        assert mean("evspsbl") == pytest.approx(3e-5)
        assert mean("rlut") == pytest.approx(170.0)
        assert mean("rsdt") == pytest.approx(FLUX_WM2 / 4)
        assert mean("rsut") == pytest.approx(0.3 * FLUX_WM2 / 4)
        assert (mean("hfss"), mean("hfls")) == pytest.approx((20.0, 75.0))
        assert (mean("rlds"), mean("rlus")) == pytest.approx((330.0, 390.0))
        assert mean("hfds") == pytest.approx(0.5 * FLUX_WM2 / 4 - 156.0, rel=1e-6)
        assert (out.hfds.standard_name, out.hfds.positive) == (
            "surface_downward_heat_flux_in_air",
            "down",
        )
        # Latitudes were turned northward and the fields with them.
        assert out.ua[0, 0, :, 0].values == pytest.approx(out.lat.values)
        assert (np.diff(out.lat) > 0).all()
        assert out.lev.values == pytest.approx(SIGMA)
        assert out.b_bnds.values == pytest.approx(np.array([[0.0, 0.2], [0.2, 0.5], [0.5, 1.0]]))
        assert float(abs(out.ap).max()) == 0.0
        assert out.ts.attrs["cell_methods"] == "area: mean time: mean"
        # Humidity is what the model held when the record began.
        assert out.hus.attrs["cell_methods"] == "area: mean time: point"


def test_records_are_means_since_the_record_before(tmp_path: Path) -> None:
    stamps = Stamps(step_s=2700.0, averaged=True, start_s=360 * 86400.0)
    convert(write_most(tmp_path / "MOST.nc"), tmp_path / "out.nc", PLANET, stamps)
    with xarray.open_dataset(tmp_path / "out.nc", decode_times=False) as out:
        assert out.time_bnds.values.tolist() == [[360.0, 365.0], [365.0, 370.0]]
        assert out.time.values.tolist() == [362.5, 367.5]


def test_snapshots_are_points_in_time(tmp_path: Path) -> None:
    source = write_most(tmp_path / "MOST_SNAP.nc", stamps=(31.0, 63.0))
    convert(source, tmp_path / "out.nc", PLANET, Stamps(step_s=2700.0, averaged=False))
    assert check_conformance(tmp_path / "out.nc") == []
    with xarray.open_dataset(tmp_path / "out.nc", decode_times=False) as out:
        assert out.time.values.tolist() == [1.0, 2.0]
        assert "time_bnds" not in out
        assert out.ts.attrs["cell_methods"] == "area: mean time: point"


def test_stamps_between_records_are_refused(tmp_path: Path) -> None:
    """The post-processor's default makes twelve stamps of any run."""
    source = write_most(tmp_path / "MOST.nc", stamps=(165.7, 179.0, 192.3))
    with pytest.raises(ConfigError, match=r"165\.7, 179, 192\.3.*run it with times=None"):
        convert(source, tmp_path / "out.nc", PLANET, MEANS)


def test_a_truncated_file_is_refused_though_the_run_ended_well(tmp_path: Path) -> None:
    source = write_most(tmp_path / "MOST.nc", without=("rst", "rlut"))
    with pytest.raises(ConfigError, match="lacks rlut, rst: post-processing stopped early"):
        convert(source, tmp_path / "out.nc", PLANET, MEANS)
    same = write_most(tmp_path / "same.nc", without=("clt",), stamps=(1.0, 2.0, 3.0))
    with pytest.raises(ConfigError, match="its 3 time stamps are as many as an axis lev has"):
        convert(same, tmp_path / "out.nc", PLANET, MEANS)
    assert not (tmp_path / "out.nc").exists()


@pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"no output of ExoPlaSim in {FOLDER}; set ASTROHPC_GCM to a folder of it",
)
def test_the_truncated_file_of_a_real_bug_is_refused(tmp_path: Path) -> None:
    source = FOLDER / "exoplasim" / "MOST_SNAP.truncated_35vars.nc"
    with pytest.raises(
        ConfigError, match=r"holds 36 variables and lacks clt, evap, .*10 time stamps"
    ):
        convert(source, tmp_path / "out.nc", PLANET, MEANS)
    with Dataset(source) as file:
        assert {"ts", "ta", "ps", "hfss"} <= required_names() & set(file.variables)


def test_a_model_that_kept_its_own_orbit_is_refused(tmp_path: Path) -> None:
    source = write_most(tmp_path / "MOST.nc", declination_deg=-23.0)
    with pytest.raises(
        ConfigError, match=r"declination.*-23.*configure ExoPlaSim with fixedorbit=True"
    ):
        convert(source, tmp_path / "out.nc", PLANET, MEANS)
    tilted = make_planet(stellar_flux=f"{FLUX_WM2} W/m2", obliquity="23.4 deg")
    convert(source, tmp_path / "out.nc", tilted, MEANS)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"ts": float("nan")}, "so ts is lost: the model blew up"),
        ({"ta": 1e20}, "so ta is lost"),
    ],
)
def test_a_model_that_blew_up_is_named(tmp_path: Path, values: dict[str, float], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        convert(write_most(tmp_path / "MOST.nc", **values), tmp_path / "out.nc", PLANET, MEANS)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with Dataset(tmp_path / "foreign.nc", "w") as file:
        file.createDimension("x", 2)
    with pytest.raises(ConfigError, match="ExoPlaSim did not write it"):
        convert(tmp_path / "foreign.nc", tmp_path / "out.nc", PLANET, MEANS)
    whole = write_most(tmp_path / "MOST.nc").read_bytes()
    (tmp_path / "MOST.nc").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match="is not a whole NetCDF file"):
        convert(tmp_path / "MOST.nc", tmp_path / "out.nc", PLANET, MEANS)
    source = write_most(tmp_path / "MOST.nc")
    with Dataset(source, "a") as file:
        file["time"].units = "days"
    with pytest.raises(ConfigError, match="counts its time in 'days'"):
        convert(source, tmp_path / "out.nc", PLANET, MEANS)
    with Dataset(source, "a") as file:
        file["lat"][:] = np.linspace(80, -80, 16)
    with pytest.raises(ConfigError, match="not the Gaussian ones"):
        convert(source, tmp_path / "out.nc", PLANET, MEANS)
    with Dataset(source, "a") as file:
        file["lat"][:] = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(16)[0]))[::-1]
        file["lev"][:] = [0.1, 0.2, 0.3]
    with pytest.raises(ConfigError, match="do not fill the air"):
        convert(source, tmp_path / "out.nc", PLANET, MEANS)
    with pytest.raises(ConfigError, match="step_s: 0 is not a time step"):
        Stamps(step_s=0, averaged=True)
