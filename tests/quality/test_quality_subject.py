"""What a check makes of files and stores: axes, layers, units, times, and what is refused by name."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset
from support_most import write_most
from support_quality import B_EDGE, COLUMNS, LEVELS, ROWS, World, quiet, write_world

from astrohpc.engines.variables import VARIABLES
from astrohpc.errors import ConfigError
from astrohpc.quality.holder import FileMember, StoreMember, store_members
from astrohpc.quality.subject import Subject, subject_of
from astrohpc.store.members import MemberFiles
from astrohpc.store.reader import Store

sys.path.append(str(Path(__file__).parents[1] / "store"))
from support_page import make_store


def of_files(*paths: Path) -> Subject:
    return subject_of(FileMember(MemberFiles("", paths)), "here", VARIABLES)


def together(subject: Subject) -> dict[str, np.ndarray]:
    blocks = [fields for _, fields in subject.blocks()]
    return {name: np.concatenate([one[name] for one in blocks]) for name in subject.names}


def ramp(times: int = 4) -> np.ndarray:
    """A temperature that tells its time, layer, row and column."""
    index = np.indices((times, LEVELS, ROWS, COLUMNS))
    return 200.0 + 100 * index[0] + 10 * index[1] + index[2] + index[3] / 16


def test_fields_come_as_they_are_with_layers_from_space_down(tmp_path: Path) -> None:
    world = World(fields={"ta": ramp()})
    subject = of_files(write_world(tmp_path / "a.nc", world))
    assert subject.layout is not None and subject.layout.layers is not None
    assert subject.layout.layers.b == pytest.approx(B_EDGE)
    assert subject.left_out == ()
    assert subject.axes.times_s == pytest.approx(864000.0 * np.arange(4))
    np.testing.assert_array_equal(together(subject)["ta"], ramp().astype("f4"))
    assert subject.layout.share.sum() * COLUMNS == pytest.approx(1.0)


def test_layers_from_the_ground_up_are_turned_around(tmp_path: Path) -> None:
    world = World(fields={"ta": ramp()}, upward=True)
    subject = of_files(write_world(tmp_path / "a.nc", world))
    assert subject.upside_down
    assert subject.layout is not None and subject.layout.layers is not None
    assert subject.layout.layers.b == pytest.approx(B_EDGE)
    np.testing.assert_array_equal(together(subject)["ta"], ramp().astype("f4"))


def test_layers_and_bounds_that_run_against_each_other_are_refused(tmp_path: Path) -> None:
    path = write_world(tmp_path / "a.nc", World())
    with Dataset(path, "a") as file:
        file["lev"][:] = file["lev"][:][::-1]
    with pytest.raises(ConfigError, match="here: lev and its bounds run in opposite directions"):
        of_files(path)


def test_layers_that_do_not_touch_are_refused(tmp_path: Path) -> None:
    path = write_world(tmp_path / "a.nc", World())
    with Dataset(path, "a") as file:
        file["b_bnds"][1, 0] = 0.3
    with pytest.raises(ConfigError, match="between lev 0 and 1 their edges differ"):
        of_files(path)


def test_without_edges_layered_variables_are_not_used_and_others_are(tmp_path: Path) -> None:
    path = write_world(tmp_path / "a.nc", World())
    with Dataset(path, "a") as file:
        file["lev_bnds"].delncattr("formula_terms")
    subject = of_files(path)
    assert "ta" not in subject.names
    assert "layers with edges as ap + b * ps" in subject.missing["ta"]
    assert "ps" in subject.names


def test_edges_of_layers_in_another_unit_are_refused(tmp_path: Path) -> None:
    path = write_world(tmp_path / "a.nc", World())
    with Dataset(path, "a") as file:
        file["ap_bnds"].units = "hPa"
    with pytest.raises(ConfigError, match="ap_bnds: is in 'hPa', and must be in 'Pa'"):
        of_files(path)


@pytest.mark.parametrize(
    ("unit", "what"),
    [
        ("hPa", "ps: it is in 'hPa', and must be in 'Pa'"),
        ("N m-2", "ps: it is in 'N m-2', and must be in 'Pa'"),
        (None, "ps: it has no unit, and must be in 'Pa'"),
    ],
)
def test_a_wrong_unit_is_named_with_the_one_that_it_must_be(
    tmp_path: Path, unit: str | None, what: str
) -> None:
    subject = of_files(write_world(tmp_path / "a.nc", World(units={"ps": unit})))
    assert "ps" not in subject.names
    assert [one for one in subject.left_out if what in one], subject.left_out


def test_spelling_of_a_unit_does_not_matter(tmp_path: Path) -> None:
    world = World(units={"rlut": "W/m^2", "ua": "m/s", "hus": "", "pr": "kg/m2/s"})
    subject = of_files(write_world(tmp_path / "a.nc", world))
    assert subject.left_out == ()


def test_an_engine_s_own_variables_are_not_taken_for_canonical_ones(tmp_path: Path) -> None:
    """ExoPlaSim's own ps is in hPa and its rlut positive downward, without a unit that says so."""
    subject = of_files(write_most(tmp_path / "MOST.nc"))
    assert not {"ps", "rlut", "rsut", "hfss"} & set(subject.names)
    sentence, layered = subject.left_out
    assert "ta, hus, ua, va: it lies on lev, lat, lon, and not on layers with edges" in layered
    assert "rsut, rlut, ps, hfss, hfls: of this name the engine has its own" in sentence


def test_files_of_one_run_become_one_axis_of_time(tmp_path: Path) -> None:
    first = write_world(tmp_path / "1.nc", World(times=2, fields={"ta": ramp()[:2]}))
    second = write_world(tmp_path / "2.nc", World(times=2, fields={"ta": ramp()[2:]}))
    with Dataset(second, "a") as file:
        file["time"][:] = [20.0, 30.0]
    subject = of_files(second, first)
    assert subject.samples == 4
    np.testing.assert_array_equal(together(subject)["ta"], ramp().astype("f4"))


def test_one_time_and_no_time_at_all(tmp_path: Path) -> None:
    one = of_files(write_world(tmp_path / "one.nc", World(times=1)))
    assert (one.samples, one.axes.times_s) == (1, None)
    assert one.axes.why_no_times == "two times or more"
    path = tmp_path / "none.nc"
    with Dataset(path, "w") as file:
        for name, values, unit in (
            ("lat", [-45.0, 45.0], "degrees_north"),
            ("lon", [0.0, 90.0, 180.0, 270.0], "degrees_east"),
        ):
            file.createDimension(name, len(values))
            file.createVariable(name, "f8", (name,))[:] = values
            file[name].units = unit
        file.createVariable("rlut", "f4", ("lat", "lon"))[:] = 200.0
        file["rlut"].units = "W m-2"
    none = of_files(path)
    assert (none.samples, none.names) == (1, ("rlut",))
    assert together(none)["rlut"].shape == (1, 2, 4)


def test_southward_latitudes_keep_their_areas(tmp_path: Path) -> None:
    north = of_files(write_world(tmp_path / "n.nc", World()))
    south = of_files(write_world(tmp_path / "s.nc", World(southward=True)))
    assert north.layout is not None and south.layout is not None
    assert south.axes.grid.lat_deg[0] > 0 > north.axes.grid.lat_deg[0]
    assert south.layout.share == pytest.approx(north.layout.share[::-1])


def test_a_part_of_the_sphere_is_refused(tmp_path: Path) -> None:
    path = write_world(tmp_path / "a.nc", World())
    with Dataset(path, "a") as file:
        file["lon"][:] = 5.0 * np.arange(COLUMNS)
    with pytest.raises(ConfigError, match=r"here: .*does not cover the sphere"):
        of_files(path)


def test_a_mesh_without_latitudes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mesh.nc"
    with Dataset(path, "w") as file:
        file.createDimension("cell", 5)
        file.createVariable("rlut", "f4", ("cell",))[:] = 1.0
    with pytest.raises(ConfigError, match="has no axis of latitude"):
        of_files(path)


def test_hybrid_and_sigma_layers_of_others_are_understood(tmp_path: Path) -> None:
    hybrid = write_world(tmp_path / "hybrid.nc", World())
    with Dataset(hybrid, "a") as file:
        file.createVariable("p0", "f8", ())[...] = 1e5
        file["p0"].units = "Pa"
        file["lev_bnds"].formula_terms = "a: ap_bnds b: b_bnds p0: p0 ps: ps"
        file["ap_bnds"].delncattr("units")
        file["ap_bnds"][:, 0], file["ap_bnds"][:, 1] = [0.1, 0.05, 0.02], [0.05, 0.02, 0.0]
    layout = of_files(hybrid).layout
    assert layout is not None and layout.layers is not None
    assert layout.layers.ap_pa == pytest.approx([1e4, 5e3, 2e3, 0.0])
    sigma = write_world(tmp_path / "sigma.nc", World())
    with Dataset(sigma, "a") as file:
        file.createVariable("ptop", "f8", ())[...] = 100.0
        file["lev_bnds"].formula_terms = "sigma: b_bnds ps: ps ptop: ptop"
    layout = of_files(sigma).layout
    assert layout is not None and layout.layers is not None
    assert layout.layers.ap_pa == pytest.approx(100.0 * (1 - B_EDGE))


def test_a_store_gives_what_its_files_give(tmp_path: Path) -> None:
    worlds = {"a": World(fields={"ta": ramp()}), "b": World(fields={"ta": ramp() + 7.0})}
    for name, world in worlds.items():
        write_world(tmp_path / "in" / f"{name}.nc", world)
    make_store(tmp_path / "in", tmp_path / "a.zarr", members="file")
    with Store.open(tmp_path / "a.zarr", threads=1) as store:
        assert store_members(store) == ("a", "b")
        for number, name in enumerate(worlds):
            stored = subject_of(StoreMember(store, number), "here", VARIABLES)
            plain = of_files(tmp_path / "in" / f"{name}.nc")
            assert stored.names == plain.names
            for variable, values in together(plain).items():
                np.testing.assert_array_equal(together(stored)[variable], values)


def test_members_of_a_store_with_fewer_times_are_not_filled_up(tmp_path: Path) -> None:
    write_world(tmp_path / "in" / "long.nc", World(times=4))
    write_world(tmp_path / "in" / "short.nc", World(times=2))
    make_store(tmp_path / "in", tmp_path / "a.zarr", members="file", vary=("time",))
    with Store.open(tmp_path / "a.zarr", threads=1) as store:
        samples = [subject_of(StoreMember(store, m), "here", VARIABLES).samples for m in (0, 1)]
        short = subject_of(StoreMember(store, 1), "here", VARIABLES)
    assert samples == [4, 2]
    assert short.axes.times_s == pytest.approx([0.0, 864000.0])


def test_blocks_are_cut_at_samples_and_cover_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astrohpc.quality.subject.BLOCK_BYTES", 1)
    subject = of_files(write_world(tmp_path / "a.nc", replace(World(), fields={"ta": ramp()})))
    begins = [begin for begin, _ in subject.blocks()]
    assert begins == [0, 1, 2, 3]
    np.testing.assert_array_equal(together(subject)["ta"], ramp().astype("f4"))
    assert set(quiet()) <= set(subject.names)
