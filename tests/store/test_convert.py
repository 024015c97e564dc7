"""Members, times and selections: what a folder of files becomes, and who is left out."""

import json
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray
from support_store import (
    SINCE,
    climate,
    field,
    made,
    meaning,
    members,
    proved,
    reasons,
    refusal,
    stamps,
    tree,
    values,
)

from astrohpc.store.draft import Draft, Run


# ------------------------------------------------------------------------------------- members
def test_a_folder_a_member_with_files_split_along_time(tmp_path: Path) -> None:
    source, store = members(tmp_path / "runs"), tmp_path / "a.zarr"
    report = made(source, store)
    assert report.complete, reasons(report)
    assert report.members == 2
    with xarray.open_zarr(store) as data:
        assert data["T"].dims == ("member", "time", "lat", "lon")
        assert data["T"].shape == (2, 8, 4, 8)
        assert list(data["member"].values) == ["run0", "run1"]
        for m in range(2):
            for k in range(2):
                expected = meaning(source / f"run{m}" / f"part{k}.nc", "T")
                np.testing.assert_array_equal(data["T"][m, 4 * k : 4 * k + 4], expected)
    assert not proved(source, store).wrong


def test_a_file_a_member(tmp_path: Path) -> None:
    for name in "ab":
        climate(tmp_path / "in" / f"{name}.nc", seed=ord(name))
    report = made(tmp_path / "in", tmp_path / "a.zarr", members="file")
    assert report.complete, reasons(report)
    assert list(values(tmp_path / "a.zarr", "member")) == ["a", "b"]


def test_members_by_a_regular_expression(tmp_path: Path) -> None:
    for m in range(2):
        for year in range(2):
            climate(
                tmp_path / "in" / f"y{year}_run{m}.nc",
                seed=m,
                times=[4 * year + i for i in range(4)],
            )
    report = made(tmp_path / "in", tmp_path / "a.zarr", members=r"run(?P<member>\d+)")
    assert report.complete, reasons(report)
    assert list(values(tmp_path / "a.zarr", "member")) == ["0", "1"]
    assert values(tmp_path / "a.zarr", "T").shape == (2, 8, 4, 8)


@pytest.mark.parametrize(
    ("how", "word"),
    [("run(", "regular expression"), ("run", "member"), ("x(?P<member>y)", "match")],
)
def test_a_pattern_that_finds_no_members_is_refused(tmp_path: Path, how: str, word: str) -> None:
    source = members(tmp_path / "in")
    assert word in refusal(source, tmp_path / "a.zarr", members=how)
    assert not (tmp_path / "a.zarr").exists()


def test_a_run_in_many_files_has_no_member_axis(tmp_path: Path) -> None:
    source = members(tmp_path / "in", 1)
    report = made(source / "run0", tmp_path / "a.zarr")
    assert report.complete, reasons(report)
    assert values(tmp_path / "a.zarr", "T").shape == (8, 4, 8)


def test_a_single_file(tmp_path: Path) -> None:
    source = climate(tmp_path / "one.nc")
    assert made(source, tmp_path / "a.zarr").complete
    with xarray.open_zarr(tmp_path / "a.zarr") as data, xarray.open_dataset(source) as expected:
        for name in ("T", "land", "lat", "lon", "time", "time_bnds"):
            np.testing.assert_array_equal(data[name].values, expected[name].values)
            assert data[name].attrs == expected[name].attrs


def test_what_has_no_time_and_is_the_same_everywhere_is_stored_once(tmp_path: Path) -> None:
    source, store = members(tmp_path / "in"), tmp_path / "a.zarr"
    made(source, store)
    assert values(store, "land").shape == (4, 8)
    assert values(store, "lat").shape == (4,)


def test_what_has_no_time_and_differs_between_members_has_a_member_axis(tmp_path: Path) -> None:
    for m in range(2):

        def ground(data: netCDF4.Dataset, m: int = m) -> None:
            data.createVariable("height", "f4", ("lat", "lon"))[:] = m

        climate(tmp_path / "in" / f"run{m}" / "a.nc", seed=m, more=ground)
    assert made(tmp_path / "in", tmp_path / "a.zarr").complete
    np.testing.assert_array_equal(values(tmp_path / "a.zarr", "height")[:, 0, 0], [0, 1])


def test_planet_attributes_are_coordinates_and_others_per_member(tmp_path: Path) -> None:
    for m in range(3):
        attrs = {"planet_gravity_ms2": 9.0 + m, "planet_star": f"G{m}", "experiment": f"e{m}"}
        climate(tmp_path / "in" / f"run{m}" / "a.nc", seed=m, attrs=attrs | {"model": "toy"})
    assert made(tmp_path / "in", tmp_path / "a.zarr").complete
    with xarray.open_zarr(tmp_path / "a.zarr") as data:
        assert list(data.coords["planet_gravity_ms2"].values) == [9.0, 10.0, 11.0]
        assert list(data.coords["planet_star"].values) == ["G0", "G1", "G2"]
        assert data.attrs["per_member"] == {"experiment": ["e0", "e1", "e2"]}
        assert data.attrs["model"] == "toy"
        assert data.attrs["astrohpc_state"] == "complete"


def test_a_file_axis_named_member_is_not_taken_for_ours(tmp_path: Path) -> None:
    def ensemble(data: netCDF4.Dataset) -> None:
        data.createDimension("member", 3)
        data.createVariable("S", "f4", ("time", "member"))[:] = field(5, 4, 3)

    for m in range(2):
        climate(tmp_path / "in" / f"run{m}" / "a.nc", seed=m, more=ensemble)
    report = made(tmp_path / "in", tmp_path / "a.zarr")
    assert "S: has an axis named member" in reasons(report)
    assert "T" not in {one.variable for one in report.refused}
    with xarray.open_zarr(tmp_path / "a.zarr") as data:
        assert data.sizes["member"] == 2


# ---------------------------------------------------------------------------------------- times
def test_files_whose_names_are_not_in_order_of_their_times(tmp_path: Path) -> None:
    climate(tmp_path / "in" / "z.nc", seed=0, times=[0, 1])
    climate(tmp_path / "in" / "a.nc", seed=1, times=[2, 3])
    assert made(tmp_path / "in", tmp_path / "a.zarr").complete
    assert list(values(tmp_path / "a.zarr", "time")) == [0, 1, 2, 3]
    with xarray.open_zarr(tmp_path / "a.zarr") as data:
        np.testing.assert_array_equal(data["T"][2:], meaning(tmp_path / "in" / "a.nc", "T"))


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "standard", None])
def test_files_that_count_from_other_dates_are_counted_from_one(
    tmp_path: Path, calendar: str | None
) -> None:
    climate(tmp_path / "in" / "a.nc", times=[0.25, 1.25], calendar=calendar)
    climate(
        tmp_path / "in" / "b.nc",
        times=[0.25, 1.25],
        since="days since 2000-01-03",
        calendar=calendar,
    )
    assert made(tmp_path / "in", tmp_path / "a.zarr").complete
    assert list(values(tmp_path / "a.zarr", "time")) == [0.25, 1.25, 2.25, 3.25]
    bounds = values(tmp_path / "a.zarr", "time_bnds")
    assert bounds.tolist() == [[-0.25, 0.75], [0.75, 1.75], [1.75, 2.75], [2.75, 3.75]]


def test_years_before_the_first_are_in_order(tmp_path: Path) -> None:
    for name, year in (("a", -1), ("b", -3), ("c", 2)):
        climate(tmp_path / "in" / f"{name}.nc", times=[0], since=f"days since {year}-01-01")
    report = made(tmp_path / "in", tmp_path / "a.zarr")
    times = values(tmp_path / "a.zarr", "time")
    assert np.all(np.diff(times) > 0), (times, reasons(report))


def test_members_that_count_from_other_dates_are_counted_from_one(tmp_path: Path) -> None:
    climate(tmp_path / "in" / "a.nc", times=[2, 3])
    climate(tmp_path / "in" / "b.nc", times=[2, 3])
    climate(tmp_path / "in" / "c.nc", times=[0, 1], since="days since 2000-01-03")
    report = made(tmp_path / "in", tmp_path / "a.zarr", members="file")
    assert report.complete, reasons(report)
    assert values(tmp_path / "a.zarr", "time").tolist() == [2, 3]
    assert values(tmp_path / "a.zarr", "time_bnds").tolist() == [[1.5, 2.5], [2.5, 3.5]]


def test_a_member_with_the_same_numbers_since_another_date_is_left_out(tmp_path: Path) -> None:
    for name in "abc":
        climate(
            tmp_path / "in" / f"{name}.nc", since=SINCE if name < "c" else "days since 2001-01-01"
        )
    report = made(tmp_path / "in", tmp_path / "a.zarr", members="file")
    assert report.members == 2
    assert "c.nc: time: its times are not those of most members" in reasons(report)


def test_a_member_of_another_calendar_is_left_out(tmp_path: Path) -> None:
    for name in "abc":
        climate(tmp_path / "in" / f"{name}.nc", calendar="noleap" if name < "c" else "360_day")
    report = made(tmp_path / "in", tmp_path / "a.zarr", members="file")
    assert report.members == 2
    assert "c.nc: time: has calendar '360_day', but in most files 'noleap'" in reasons(report)
    assert values(tmp_path / "a.zarr", "time").shape == (4,)


def test_a_time_that_is_there_twice_is_named(tmp_path: Path) -> None:
    climate(tmp_path / "in" / "a.nc", times=[0, 1, 2])
    climate(tmp_path / "in" / "b.nc", times=[2, 3, 4])
    said = refusal(tmp_path / "in", tmp_path / "a.zarr")
    assert "b.nc: time: the time 2.0 (days since 2000-01-01) is there twice" in said


def test_a_gap_between_files_is_named(tmp_path: Path) -> None:
    for m in range(2):
        for k in (0, 1, 3) if m else (0, 1, 2):
            climate(
                tmp_path / "in" / f"run{m}" / f"p{k}.nc", times=[2 * k, 2 * k + 1], seed=10 * m + k
            )
    report = made(tmp_path / "in", tmp_path / "a.zarr")
    assert report.members == 1
    assert "p3.nc: time: 6.0 (days since 2000-01-01) follows 3.0" in reasons(report)


def test_a_gap_that_is_meant_is_kept_with_vary(tmp_path: Path) -> None:
    climate(tmp_path / "in" / "a.nc", times=[0, 1, 2])
    climate(tmp_path / "in" / "b.nc", times=[7, 8, 9])
    assert "follows 2.0" in refusal(tmp_path / "in", tmp_path / "a.zarr")
    assert made(tmp_path / "in", tmp_path / "a.zarr", vary=("time",)).complete
    assert values(tmp_path / "a.zarr", "time").tolist() == [0, 1, 2, 7, 8, 9]


def test_months_are_no_gaps(tmp_path: Path) -> None:
    lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    for month in range(12):
        start = sum(lengths[:month])
        climate(tmp_path / "in" / f"{month:02}.nc", times=[start + lengths[month] / 2])
    report = made(tmp_path / "in", tmp_path / "a.zarr")
    assert report.complete, reasons(report)


def test_a_member_that_lacks_times_is_left_out_unless_times_may_vary(tmp_path: Path) -> None:
    for name, times in (("a", [0, 1, 2]), ("b", [0, 1, 2]), ("c", [0, 1])):
        climate(tmp_path / "in" / f"{name}.nc", seed=ord(name), times=times)
    report = made(tmp_path / "in", tmp_path / "a.zarr", members="file")
    assert report.members == 2
    assert "c.nc: time: its times are not those of most members (2.0 is missing" in reasons(report)
    report = made(tmp_path / "in", tmp_path / "b.zarr", members="file", vary=("time",))
    assert report.complete, reasons(report)
    with xarray.open_zarr(tmp_path / "b.zarr", decode_times=False) as data:
        assert data["T"].shape == (3, 3, 4, 8)
        assert np.isnan(data["T"][2, 2]).all()
        np.testing.assert_array_equal(data["T"][2, :2], meaning(tmp_path / "in" / "c.nc", "T"))
        assert data["time_of_member"][2].values.tolist()[:2] == [0, 1]
        assert np.isnan(data["time_of_member"][2, 2])
    assert not proved(tmp_path / "in", tmp_path / "b.zarr").wrong


def test_a_variable_whose_first_axis_is_not_time_is_not_torn(tmp_path: Path) -> None:
    for name, times in (("a", [0, 1, 2]), ("b", [0, 1])):

        def series(data: netCDF4.Dataset, n: int = len(times), seed: int = ord(name)) -> None:
            data.createDimension("station", 3000)
            data.createVariable("S", "f4", ("station", "time"))[:] = field(seed, 3000, n)

        climate(tmp_path / "in" / f"{name}.nc", times=times, more=series)
    report = made(tmp_path / "in", tmp_path / "a.zarr", members="file", vary=("time",))
    assert "S: its first axis is not time, so that files cannot be joined" in reasons(report)
    assert report.members == 2


# ----------------------------------------------------------------------------- grids and the rest
def test_a_member_on_another_grid_is_left_out(tmp_path: Path) -> None:
    for name in "abc":
        climate(
            tmp_path / "in" / f"{name}.nc",
            lat=(-60, -20, 20, 60) if name < "c" else (-75, -25, 25, 75),
        )
    report = made(tmp_path / "in", tmp_path / "a.zarr", members="file")
    assert report.members == 2
    assert "c.nc: lat: its lat is not that of most members" in reasons(report)


def test_a_run_whose_second_file_is_on_another_grid_is_left_out(tmp_path: Path) -> None:
    members(tmp_path / "in")
    climate(
        tmp_path / "in" / "run1" / "part1.nc", times=[4, 5, 6, 7], lat=(-75.0, -25.0, 25.0, 75.0)
    )
    report = made(tmp_path / "in", tmp_path / "a.zarr")
    assert report.members == 1
    assert "part1.nc: lat: its lat is not that of most members" in reasons(report)


def test_a_variable_in_other_units_is_left_out_of_that_member(tmp_path: Path) -> None:
    for name in "abc":
        path = climate(tmp_path / "in" / f"{name}.nc", seed=ord(name))
    with netCDF4.Dataset(path, "a") as data:
        data["T"].units = "degC"
    report = made(tmp_path / "in", tmp_path / "a.zarr", members="file")
    assert "c.nc: T: has units 'degC', but in most files 'K'" in reasons(report)
    with xarray.open_zarr(tmp_path / "a.zarr") as data:
        assert np.isnan(data["T"][2]).all()
        assert not np.isnan(data["T"][1, 1:]).any()


def test_an_axis_in_other_units_is_no_second_axis(tmp_path: Path) -> None:
    for name in "abc":
        path = climate(tmp_path / "in" / f"{name}.nc", seed=ord(name))
    with netCDF4.Dataset(path, "a") as data:
        data["lat"].units = "radian"
    report = made(tmp_path / "in", tmp_path / "a.zarr", members="file")
    assert "c.nc: lat: has units 'radian', but in most files 'degrees_north'" in reasons(report)
    assert report.members == 2
    assert values(tmp_path / "a.zarr", "lat").shape == (4,)


def test_a_variable_that_one_member_lacks_is_missing_there_and_said(tmp_path: Path) -> None:
    for name in "abc":

        def rain(data: netCDF4.Dataset, name: str = name) -> None:
            if name != "b":
                data.createVariable("pr", "f4", ("time", "lat", "lon"))[:] = field(3, 4, 4, 8)

        climate(tmp_path / "in" / f"{name}.nc", seed=ord(name), more=rain)
    report = made(tmp_path / "in", tmp_path / "a.zarr", members="file")
    assert not report.complete
    assert "b.nc: pr: is missing in this file" in reasons(report)
    with xarray.open_zarr(tmp_path / "a.zarr") as data:
        assert np.isnan(data["pr"][1]).all()
        assert not np.isnan(data["pr"][0]).any()


# ------------------------------------------------------------------------------------ selections
def test_selected_variables_keep_their_axes_and_bounds(tmp_path: Path) -> None:
    source = members(tmp_path / "in")
    assert made(source, tmp_path / "a.zarr", variables=("T",)).complete
    found = {p.name for p in (tmp_path / "a.zarr").iterdir() if p.is_dir()} - {".astrohpc"}
    assert found == {"T", "time", "time_bnds", "lat", "lon", "member"}


def test_without_leaves_variables_out(tmp_path: Path) -> None:
    assert made(members(tmp_path / "in"), tmp_path / "a.zarr", without=("la*d",)).complete
    assert not (tmp_path / "a.zarr" / "land").exists()
    assert (tmp_path / "a.zarr" / "lat").exists()


def test_a_selection_that_nothing_has_is_refused(tmp_path: Path) -> None:
    said = refusal(members(tmp_path / "in"), tmp_path / "a.zarr", variables=("T", "tsa"))
    assert "variables: 'tsa'" in said


def test_a_renamed_axis_stays_an_axis(tmp_path: Path) -> None:
    source = climate(tmp_path / "one.nc")
    rename = {"T": "ta", "lat": "latitude", "time_bnds": "time_bounds"}
    assert made(source, tmp_path / "a.zarr", rename=rename).complete
    with xarray.open_zarr(tmp_path / "a.zarr") as data:
        assert data["ta"].dims == ("time", "latitude", "lon")
        assert data["ta"].sel(latitude=20.0).shape == (4, 8)
        assert data["time"].attrs["bounds"] == "time_bounds"


def test_two_variables_of_one_name_are_refused(tmp_path: Path) -> None:
    source = climate(tmp_path / "one.nc")
    assert "rename.T: " in refusal(source, tmp_path / "a.zarr", rename={"T": "land"})


# --------------------------------------------------------------------------------------- again
def test_a_finished_conversion_does_nothing(tmp_path: Path) -> None:
    source, store = members(tmp_path / "in"), tmp_path / "a.zarr"
    made(source, store)
    before, root = tree(store), (store / "zarr.json").stat().st_mtime_ns
    again = made(source, store)
    assert (again.made, again.complete) == (0, True)
    assert again.kept == again.shards
    assert tree(store) == before
    assert (store / "zarr.json").stat().st_mtime_ns == root


def test_more_members_are_appended_and_full_shards_stay(tmp_path: Path) -> None:
    how = {"lat": np.linspace(-80, 80, 64), "lon": 512}  # a member is a shard of its own
    source, store = members(tmp_path / "in", **how), tmp_path / "a.zarr"
    made(source, store)
    before = stamps(store, "T")
    members(tmp_path / "more", 3, **how)
    (tmp_path / "more" / "run2").rename(source / "run2")
    report = made(source, store)
    after = stamps(store, "T")
    assert len(after) == 3
    assert {key: after[key] for key in before} == before
    assert report.kept >= 2
    assert values(store, "T").shape[0] == 3
    assert not proved(source, store).wrong
    made(source, tmp_path / "b.zarr")
    assert tree(store) == tree(tmp_path / "b.zarr")


def test_other_settings_or_another_source_are_not_written_into_a_store(tmp_path: Path) -> None:
    source, store = members(tmp_path / "in"), tmp_path / "a.zarr"
    made(source, store)
    before = tree(store)
    assert "store.codec" in refusal(source, store, codec="lz4")
    other = members(tmp_path / "other")
    assert "is the store of in" in refusal(other, store)
    assert tree(store) == before
    assert json.loads((store / "zarr.json").read_text())["attributes"]["title"] == "in"


def test_planning_looks_at_each_member_as_often_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten thousand members a look at all for each of them takes an hour."""
    counted, asked = Draft.count, []

    def count(draft: Draft, run: Run) -> int:
        asked.append(run.name)
        return counted(draft, run)

    monkeypatch.setattr(Draft, "count", count)
    looks = []
    for number in (3, 9):
        asked.clear()
        for m in range(number):
            climate(tmp_path / str(number) / f"run{m}.nc", seed=m)
        report = made(tmp_path / str(number), tmp_path / f"{number}.zarr", members="file")
        assert report.members == number
        looks.append(len(asked) / number)
    assert 0 < looks[1] <= looks[0]
