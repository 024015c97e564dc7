from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from netCDF4 import Dataset
from support_acc import write_acc
from support_most import write_most
from support_page import make_store, write_climate
from support_rocke3d import SHARED

from astrohpc.engines.variables import EXOPLASIM, MODELE, VARIABLES
from astrohpc.store.canonical import ORIGINAL, canonical_names, engine_of, factors
from astrohpc.store.glance import Glance, open_store
from astrohpc.store.look import look

GCM = SHARED / "gcm"
needs_gcm = pytest.mark.skipif(
    not GCM.is_dir(),
    reason=f"no output of models in {GCM}; set ASTROHPC_SHARED to a folder with data/gcm",
)


def arrays_of(target: Path) -> dict[str, Glance]:
    return open_store(target)[1]


def write_scaled(path: Path, **variables: tuple[str, tuple[str, ...]]) -> Path:
    """A file as ModelE's tools scale it: titles in the header, axes that tell the category."""
    sizes = {"lat": 3, "lon": 4, "lat2": 3, "lon2": 4, "level": 2, "plm": 2}
    with Dataset(path, "w", format="NETCDF3_CLASSIC") as file:
        file.setncatts({"xlabel": "TEST (not a model's output)", "fromto": "From:  0001"})
        for name, size in sizes.items():
            file.createDimension(name, size)
            file.createVariable(name, "f4", (name,))[:] = np.arange(size)
        for k, (name, (unit, dims)) in enumerate(variables.items()):
            file.createVariable(name, "f4", dims)[:] = float(k)
            file[name].units = unit
    return path


AIJ, AIJL = ("lat", "lon"), ("level", "lat", "lon")


def noted(report: Any, text: str) -> str:
    (one,) = [note for note in report.notes if text in note]
    return str(one)


def test_exoplasims_own_files_get_attributes_and_say_what_they_are_not(tmp_path: Path) -> None:
    source = write_most(tmp_path / "MOST.00001.nc")
    _, report = make_store(source, tmp_path / "s.zarr")
    arrays = arrays_of(tmp_path / "s.zarr")
    for name in ("ts", "tas", "ta", "hus", "ua", "va", "clt"):
        attrs = arrays[name].array.attrs
        assert attrs[ORIGINAL] == name
        assert attrs["units"] == VARIABLES[name].unit
        assert attrs["standard_name"] == VARIABLES[name].standard_name
    for name in ("ps", "hfss", "rlut", "evap", "prl", "rst", "psl"):
        assert ORIGINAL not in arrays[name].array.attrs
        assert "units" not in arrays[name].array.attrs
    note = noted(report, "keep their names")
    assert "ps is 100 ps [Pa]" in note
    assert "pr is 1000 prl + 1000 prc [kg m-2 s-1]" in note
    assert "rlut is −rlut [W m-2]" in note
    assert "ts is" not in note
    with Dataset(source) as file:
        for name in ("ps", "rlut", "ts"):
            np.testing.assert_array_equal(arrays[name].whole(), file[name][:].data)


def test_modeles_scaled_files_are_named_and_keep_their_values(tmp_path: Path) -> None:
    source = write_scaled(
        tmp_path / "aij.nc",
        incsw_toa=("W/m^2", AIJ),
        usurf=("m/s", AIJ),
        topog=("METERS", AIJ),
        tsurf=("C", AIJ),
        trnf_toa=("W/m^2", AIJ),
        SpHuL=("kg/kg", AIJL),
        unknown=("K", AIJ),
    )
    _, report = make_store(source, tmp_path / "s.zarr")
    arrays = arrays_of(tmp_path / "s.zarr")
    for own, name in (("incsw_toa", "rsdt"), ("usurf", "uas"), ("topog", "orog"), ("SpHuL", "hus")):
        assert own not in arrays
        assert arrays[name].array.attrs[ORIGINAL] == own
        assert arrays[name].array.attrs["standard_name"] == VARIABLES[name].standard_name
    assert arrays["rsdt"].array.attrs["positive"] == "down"
    assert arrays["rsdt"].array.attrs["units"] == "W/m^2"  # as the file spells it
    assert {"tsurf", "trnf_toa", "unknown"} <= set(arrays)
    np.testing.assert_array_equal(arrays["uas"].whole(), np.full((3, 4), 1.0))
    assert "incsw_toa is rsdt" in noted(report, "named canonically")
    assert "tas is tsurf + 273.15 [K]" in noted(report, "keep their names")


def test_name_of_another_category_is_another_variable(tmp_path: Path) -> None:
    source = write_scaled(
        tmp_path / "aij.nc",
        wtrcld=("%", AIJ),
        icecld=("kg/kg", AIJL),
        z=("m", ("plm", "lat2", "lon2")),
    )
    make_store(source, tmp_path / "s.zarr")
    arrays = arrays_of(tmp_path / "s.zarr")
    assert "wtrcld" in arrays  # a cover, where aijl has a content of that name
    assert "z" in arrays
    assert arrays["cli"].array.attrs[ORIGINAL] == "icecld"


def test_another_unit_than_the_tables_keeps_the_name(tmp_path: Path) -> None:
    source = write_scaled(tmp_path / "aij.nc", usurf=("km/h", AIJ), vsurf=("m s**-1", AIJ))
    _, report = make_store(source, tmp_path / "s.zarr")
    arrays = arrays_of(tmp_path / "s.zarr")
    assert {"usurf", "vas"} <= set(arrays)
    assert "uas is usurf [m s-1]" in noted(report, "keep their names")


def test_name_that_is_taken_is_not_overwritten(tmp_path: Path) -> None:
    source = write_scaled(tmp_path / "aij.nc", usurf=("m/s", AIJ), uas=("m/s", AIJ))
    _, report = make_store(source, tmp_path / "s.zarr")
    arrays = arrays_of(tmp_path / "s.zarr")
    assert ORIGINAL not in arrays["uas"].array.attrs
    np.testing.assert_array_equal(arrays["uas"].whole(), np.full((3, 4), 1.0))
    np.testing.assert_array_equal(arrays["usurf"].whole(), np.zeros((3, 4)))
    assert noted(report, "usurf is not called uas")


def test_a_persons_names_go_before_the_tables(tmp_path: Path) -> None:
    source = write_scaled(tmp_path / "aij.nc", usurf=("m/s", AIJ), vsurf=("m/s", AIJ))
    make_store(source, tmp_path / "s.zarr", rename={"usurf": "wind", "lat": "row"})
    arrays = arrays_of(tmp_path / "s.zarr")
    assert arrays["wind"].array.attrs[ORIGINAL] == "usurf"
    assert "vas" in arrays
    make_store(source, tmp_path / "t.zarr", rename={"usurf": "vas"})
    assert "vsurf" in arrays_of(tmp_path / "t.zarr")  # the name was promised to another


def test_names_are_kept_where_that_is_asked(tmp_path: Path) -> None:
    source = write_scaled(tmp_path / "aij.nc", usurf=("m/s", AIJ))
    _, report = make_store(source, tmp_path / "s.zarr", names="kept")
    arrays = arrays_of(tmp_path / "s.zarr")
    assert "usurf" in arrays
    assert ORIGINAL not in arrays["usurf"].array.attrs
    assert report.notes == ()


def test_variables_can_be_chosen_by_either_name(tmp_path: Path) -> None:
    source = write_scaled(
        tmp_path / "aij.nc", usurf=("m/s", AIJ), vsurf=("m/s", AIJ), qatm=("kg/m^2", AIJ)
    )
    make_store(source, tmp_path / "s.zarr", variables=("uas", "qatm"))
    arrays = arrays_of(tmp_path / "s.zarr")
    assert {"uas", "prw"} <= set(arrays)
    assert not {"vas", "vsurf"} & set(arrays)


def test_sums_of_acc_files_stay_as_they_are_and_say_what_they_hold(tmp_path: Path) -> None:
    source = write_acc(tmp_path / "JAN0001.acc.nc")
    _, report = make_store(source, tmp_path / "s.zarr")
    arrays = arrays_of(tmp_path / "s.zarr")
    with Dataset(source) as file:
        file.set_auto_mask(False)
        np.testing.assert_array_equal(arrays["aij"].whole(), file["aij"][:])
    assert not any(ORIGINAL in array.array.attrs for array in arrays.values())
    held = noted(report, "aij holds sums").partition("harvested they are ")[2].split(", ")
    assert {"ts", "rsut", "pr"} <= set(held)
    assert "siconc" not in held  # its diagnostic is not in this file
    assert noted(report, "aijl holds sums").endswith("ta, hus")


def test_foreign_files_and_mixtures_keep_their_names(tmp_path: Path) -> None:
    foreign = look(write_climate(tmp_path / "a.nc"))
    most = look(write_most(tmp_path / "b.nc"))
    assert engine_of(foreign.source) == ""
    assert engine_of(most.source) == "exoplasim"
    assert canonical_names([foreign], {}).names == {}
    assert canonical_names([foreign, most], {}).names == {}
    assert canonical_names([most], {}).names["ta"] == "ta"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("W/m^2", "W m-2", True),
        ("kg/m2/s", "kg m-2 s-1", True),
        ("kg kg-1", "1", True),
        ("m s**-1", "m/s", True),
        ("METERS", "m", True),
        ("mb", "Pa", False),
        ("%", "1", False),
        ("mm/day", "kg m-2 s-1", False),
        ("C", "K", False),
        ("1e-3 kg", "kg", False),
        ("m/s 2", "m s-1", False),
    ],
)
def test_units_are_one_however_they_are_spelled(one: str, other: str, same: bool) -> None:
    assert (factors(one) == factors(other)) == same


@given(st.text(max_size=12))
def test_any_text_is_some_unit(unit: str) -> None:
    assert factors(unit) == unit or isinstance(factors(unit), dict)


@needs_gcm
def test_a_genuine_exoplasim_file_is_known_and_kept_to_the_bit(tmp_path: Path) -> None:
    source = GCM / "exoplasim" / "MOST_SNAP.truncated_35vars.nc"
    make_store(source, tmp_path / "s.zarr")
    arrays = arrays_of(tmp_path / "s.zarr")
    known = {name for name, array in arrays.items() if ORIGINAL in array.array.attrs}
    assert known == {"ts", "ta", "hus", "ua", "va", "wap"}
    assert known <= {name for name, recipe in EXOPLASIM.items() if str(recipe) == name}
    assert arrays["wap"].array.attrs["positive"] == "down"
    with Dataset(source) as file:
        file.set_auto_mask(False)
        for name in ("ts", "ps", "ta"):
            assert arrays[name].whole().tobytes() == file[name][:].tobytes()


@needs_gcm
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("aij", {"rsdt", "hfls", "rsds", "rlds", "rlus", "hfds", "prw", "uas", "vas", "orog"}),
        ("aijl", {"ta", "hus", "zg", "clw", "cli"}),
        ("aijk", {"ua", "va", "wap"}),
        ("ajl", set()),
    ],
)
@pytest.mark.parametrize("run", ["8x10:AR12", "72x46:AS20"])
def test_genuine_scaled_files_of_modele_are_named(
    tmp_path: Path, run: str, name: str, expected: set[str]
) -> None:
    grid, _, label = run.partition(":")
    source = GCM / f"modelE_{grid}" / f"JAN1850.{name}{label}.nc"
    make_store(source, tmp_path / "s.zarr")
    arrays = arrays_of(tmp_path / "s.zarr")
    known = {
        one: array.array.attrs[ORIGINAL]
        for one, array in arrays.items()
        if ORIGINAL in array.array.attrs
    }
    assert set(known) == expected
    with Dataset(source) as file:
        file.set_auto_mask(False)
        assert len(arrays) == len(file.variables)
        for one, own in known.items():
            assert MODELE[one].terms == ((own, 1.0),)
            assert (
                arrays[one].whole().astype(">f4").tobytes() == file[own][:].astype(">f4").tobytes()
            )
