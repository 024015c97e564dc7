"""The conformance check: what every engine's output must pass, and each thing that it finds."""

from collections.abc import Callable
from pathlib import Path

import pytest
from netCDF4 import Dataset
from support import make_planet
from support_acc import FLUX_WM2, write_acc
from support_ebm import DWARF, SEASONS, run
from support_most import write_most

from astrohpc.engines import exoplasim_output
from astrohpc.engines.conformance import check_conformance
from astrohpc.engines.rocke3d.harvest import harvest
from astrohpc.engines.variables import required


def _ebm(folder: Path) -> Path:
    run(folder, make_planet(**SEASONS))
    return folder / "climate.nc"


def _locked_ebm(folder: Path) -> Path:
    run(folder, make_planet(**DWARF))
    return folder / "climate.nc"


def _exoplasim(folder: Path) -> Path:
    planet = make_planet(stellar_flux=f"{FLUX_WM2} W/m2")
    stamps = exoplasim_output.Stamps(step_s=2700.0, averaged=True)
    exoplasim_output.convert(write_most(folder / "MOST.nc"), folder / "out.nc", planet, stamps)
    return folder / "out.nc"


def _rocke3d(folder: Path) -> Path:
    planet = make_planet(
        radius="5000 km",
        surface_pressure="800 hPa",
        stellar_flux=f"{FLUX_WM2} W/m2",
        gravity="7 m/s2",
    )
    harvest([write_acc(folder / "X.acc.nc")], planet, folder / "out.nc")
    return folder / "out.nc"


@pytest.mark.parametrize("engine", [_ebm, _locked_ebm, _exoplasim, _rocke3d])
def test_every_engine_conforms(tmp_path: Path, engine: Callable[[Path], Path]) -> None:
    path = engine(tmp_path)
    assert check_conformance(path) == []
    with Dataset(path) as file:
        gcm = "lon" in file.dimensions
        assert set(required(gcm=gcm)) <= set(file.variables)
        assert gcm == (engine not in (_ebm, _locked_ebm))


def _edit(path: Path, change: Callable[[Dataset], None]) -> None:
    """Change a file by way of a copy: what was made in memory, NetCDF does not open for writing."""
    copy = path.with_suffix(".copy")
    with Dataset(path) as old, Dataset(copy, "w") as new:
        old.set_auto_maskandscale(False)
        new.set_auto_maskandscale(False)
        new.setncatts({name: old.getncattr(name) for name in old.ncattrs()})
        for name, dimension in old.dimensions.items():
            new.createDimension(name, len(dimension))
        for name, variable in old.variables.items():
            about = {key: variable.getncattr(key) for key in variable.ncattrs()}
            fill = about.pop("_FillValue", None)
            target = new.createVariable(name, variable.dtype, variable.dimensions, fill_value=fill)
            target.setncatts(about)
            target[:] = variable[:]
        change(new)
    copy.replace(path)


def _negate(name: str) -> Callable[[Dataset], None]:
    def change(file: Dataset) -> None:
        file[name][:] = -file[name][:]

    return change


def _scale(name: str, factor: float) -> Callable[[Dataset], None]:
    def change(file: Dataset) -> None:
        file[name][:] = file[name][:] * factor

    return change


def _say(variable: str, attribute: str, value: object) -> Callable[[Dataset], None]:
    return lambda file: file[variable].setncattr(attribute, value)


def _rename(old: str, new: str) -> Callable[[Dataset], None]:
    return lambda file: file.renameVariable(old, new)


def _forget(attribute: str) -> Callable[[Dataset], None]:
    return lambda file: file.delncattr(attribute)


def _fill(file: Dataset) -> None:
    file["tas"][:] = -1e30


def _reverse(file: Dataset) -> None:
    file["lat"][:] = file["lat"][::-1]


WRONG: list[tuple[Callable[[Dataset], None], str]] = [
    (_rename("clt", "cloudiness"), "clt: is missing (cloud cover)"),
    (_rename("clt", "cloudiness"), "cloudiness: is not in the table"),
    (_say("pr", "units", "mm/day"), "pr: is in 'mm/day', not in 'kg m-2 s-1'"),
    (_say("ts", "standard_name", "temperature"), "ts: does not have the standard_name"),
    (_say("rlut", "positive", "down"), "rlut: does not say that it is positive up"),
    (_say("ts", "cell_methods", "mean"), "ts: its cell_methods do not say"),
    (_negate("rlut"), "rlut: has a global mean of -170 W m-2, the wrong sign; it is positive up"),
    (_negate("hfls"), "hfls: has a global mean of -75 W m-2, the wrong sign"),
    (
        _negate("hfds"),
        "hfds: has a global mean of 23.5 W m-2 where the fluxes into the surface add",
    ),
    (_negate("evspsbl"), "evspsbl: has a global mean of -3e-05 kg m-2 s-1, the wrong sign"),
    (_scale("ts", 0.05), "ts: has a global mean of 14.51 K, which no planet has"),
    (_scale("clt", 100), "clt: has a global mean of 60 1, which no planet has (0 … 1)"),
    (_scale("pr", 86400), "pr: has a global mean of 2.592 kg m-2 s-1, which no planet has"),
    (_scale("ps", 0.01), "ps: has a mean of 800 Pa, but planet_surface_pressure_pa is 80000"),
    (_scale("evspsbl", 0.1), "which is not water's; a unit or a sign is wrong"),
    (_scale("rsdt", 1.1), "rsdt: has a global mean of 275 W m-2, but planet_stellar_flux_wm2 1000"),
    (_scale("rsus", 10), "rsus: its global mean of 375 W m-2 exceeds that of rsds"),
    (
        _scale("cell_area", 2),
        "cell_area: adds up to 6.28319e+14 m2, but a planet of planet_radius_m",
    ),
    (_reverse, "lat: does not increase from one value to the next"),
    (_scale("plev", -1), "plev: does not increase"),
    (_say("plev", "units", "hPa"), "plev: is not in Pa"),
    (_say("time", "units", "timesteps"), "time: has units 'timesteps'; write 'days since"),
    (_say("time", "bounds", "time_bounds"), "time: names bounds 'time_bounds' that are not"),
    (_say("lev", "formula_terms", "ap: ap b: b"), "lev: its formula_terms 'ap: ap b: b' lack ps"),
    (_forget("planet_gravity_ms2"), "planet_gravity_ms2: the global attribute is missing"),
    (_forget("Conventions"), "Conventions: is None; write 'CF-1.11'"),
    (_fill, "tas: holds nothing but fill values"),
    (_rename("cell_area", "areacella"), "cell_area: is missing"),
]


@pytest.mark.parametrize(("change", "sentence"), WRONG)
def test_what_is_wrong_is_named(
    tmp_path: Path, change: Callable[[Dataset], None], sentence: str
) -> None:
    path = _rocke3d(tmp_path)
    _edit(path, change)
    problems = check_conformance(path)
    assert any(sentence in problem for problem in problems), problems
    assert all(problem.startswith("out.nc: ") and problem.endswith(".") for problem in problems)


def test_a_field_on_other_axes_is_named(tmp_path: Path) -> None:
    path = _rocke3d(tmp_path)

    def change(file: Dataset) -> None:
        file.renameVariable("ts", "old")
        variable = file.createVariable("ts", "f4", ("lat", "lon"))
        variable.setncatts({"units": "K", "cell_methods": "time: mean"})
        variable[:] = 290.0

    _edit(path, change)
    assert any(
        "ts: lies on (lat, lon), not on (time, lat, lon)" in one for one in check_conformance(path)
    )


def test_a_file_that_is_cut_or_foreign_is_one_sentence(tmp_path: Path) -> None:
    path = _rocke3d(tmp_path)
    path.write_bytes(path.read_bytes()[:5000])
    (problem,) = check_conformance(path)
    assert "is not a whole NetCDF file" in problem
    (problem,) = check_conformance(tmp_path / "none.nc")
    assert "there is no such file" in problem
    with Dataset(tmp_path / "empty.nc", "w"):
        pass
    problems = check_conformance(tmp_path / "empty.nc")
    assert {"time", "lat", "ts", "rlut"} <= {problem.split(": ")[1] for problem in problems}
