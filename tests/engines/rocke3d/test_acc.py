"""Raw ``acc`` files: the arithmetic on files of our own, and every bad file a sentence."""

from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset
from support_acc import LAT, Diagnostic, Month, area_m2, climate, surface, write_acc

from astrohpc.engines.rocke3d.acc import combine, read_acc
from astrohpc.engines.rocke3d.cdl import parse_template
from astrohpc.errors import ConfigError


def test_a_mean_is_sum_times_scale_over_counter(tmp_path: Path) -> None:
    acc = read_acc(write_acc(tmp_path / "X.acc.nc"))
    for name, one in climate()["aij"].items():
        assert acc.field("aij", name).values == pytest.approx(one.mean, rel=1e-6, nan_ok=True)
    field = acc.field("aij", "tgrnd")
    assert (field.dims, field.units, field.long_name) == (("lat", "lon"), "C", "test")
    assert acc.field("aijl", "TempL").values[:, 2, 1] == pytest.approx([280.0, 250.0, 210.0])


def test_a_denominator_of_zero_is_fill_and_nothing_else_is(tmp_path: Path) -> None:
    acc = read_acc(write_acc(tmp_path / "X.acc.nc"))
    wind = acc.field("aijk", "ub")
    assert wind.dims == ("plm", "lat2", "lon2")
    assert np.isnan(wind.values[:, 0]).all()  # the row beyond the south pole
    assert wind.values[:, 1:] == pytest.approx(
        np.array([5.0, 10.0, 20.0])[:, None, None] + 0 * wind.values[:, 1:]
    )


def test_fill_that_the_model_wrote_itself_is_masked(tmp_path: Path) -> None:
    values = np.full((6, 4), 3.0)
    values[2, 2] = -1e30
    month = Month().changed("aij", topog=Diagnostic(values, counter=12))
    field = read_acc(write_acc(tmp_path / "X.acc.nc", month)).field("aij", "topog")
    assert np.isnan(field.values).sum() == 1
    assert np.nanmax(np.abs(field.values)) == 3.0


def test_the_global_mean_of_a_ratio_is_a_ratio_of_means(tmp_path: Path) -> None:
    """Bright and dark halves: the mean of the albedos is 35 %, that of the planet 27.5 %."""
    light = np.where(LAT[:, None] < 0, 300.0, 100.0) * np.ones(4)
    albedo = np.where(LAT[:, None] < 0, 20.0, 50.0) * np.ones(4)
    month = Month().changed(
        "aij",
        incsw_toa=Diagnostic(light),
        plan_alb=Diagnostic(albedo, "%", 100.0, denominator="incsw_toa"),
    )
    acc = read_acc(write_acc(tmp_path / "X.acc.nc", month))
    field = acc.field("aij", "plan_alb")
    assert field.hemispheric == pytest.approx([20.0, 50.0, 27.5], rel=1e-6)
    assert acc.global_mean("aij", "plan_alb") == pytest.approx(27.5, rel=1e-6)
    assert np.average(field.values, weights=area_m2(1.0)) == pytest.approx(35.0, rel=1e-6)


def test_months_weigh_by_their_true_length(tmp_path: Path) -> None:
    """A month of ten days at 10 °C and one of thirty at 20 °C: 17.5 °C, on any calendar."""
    short = Month(0, 400).changed("aij", tgrnd=surface(10.0, counter=3))
    long = Month(400, 1600).changed("aij", tgrnd=surface(20.0, counter=3))
    files = [write_acc(tmp_path / f"{n}.acc.nc", month) for n, month in enumerate((short, long))]
    both = combine(files)
    assert both.global_mean("aij", "tgrnd") == pytest.approx(17.5, rel=1e-6)
    assert both.period.steps == 1600
    assert both.period.bounds_s == (0.0, 1.6e6)
    assert len(both.period.labels) == 2
    assert combine(files[::-1]).global_mean("aij", "tgrnd") == pytest.approx(17.5, rel=1e-6)


def test_time_is_what_the_file_says_on_a_planet_with_days_of_its_own(tmp_path: Path) -> None:
    month = Month(80, 480, step_s=1756.8, steps_per_day=40)
    period = read_acc(write_acc(tmp_path / "X.acc.nc", month)).period
    assert period.bounds_s == pytest.approx((80 * 1756.8, 480 * 1756.8))
    assert period.length_s == pytest.approx(400 * 1756.8)
    assert "D+A" in period.labels[0]


def test_a_month_twice_is_refused(tmp_path: Path) -> None:
    files = [write_acc(tmp_path / f"{n}.acc.nc") for n in range(2)]
    with pytest.raises(ConfigError, match=r"1\.acc\.nc: its period overlaps that of 0\.acc\.nc"):
        combine(files)


@pytest.mark.parametrize(
    ("month", "what"),
    [
        (Month(400, 800, radius_m=6e6), "grid"),
        (Month(400, 800).without("aij", "HWV"), "list of diagnostics in 'aij'"),
        (Month(400, 800).changed("aij", HWV=surface(75.0, scale=1250.0)), "scale in 'aij'"),
        (Month(400, 800, step_s=500.0), "time step"),
    ],
)
def test_files_of_two_runs_are_not_combined(tmp_path: Path, month: Month, what: str) -> None:
    files = [write_acc(tmp_path / "0.acc.nc"), write_acc(tmp_path / "1.acc.nc", month)]
    with pytest.raises(ConfigError, match=f"its {what}.* differs from"):
        combine(files)


def test_a_category_or_diagnostic_that_is_not_there_is_named(tmp_path: Path) -> None:
    acc = read_acc(write_acc(tmp_path / "X.acc.nc", Month().without("aijk")))
    with pytest.raises(ConfigError, match=r"no category 'aijk' \(it has aij, aijl\)"):
        acc.field("aijk", "ub")
    with pytest.raises(ConfigError, match="category 'aij' has no diagnostic 'tsurv'"):
        acc.field("aij", "tsurv")
    with pytest.raises(ConfigError, match="does not give the coordinate 'nowhere'"):
        acc.coordinate("aij", "nowhere")
    with pytest.raises(ConfigError, match="aijl:TempL has no single global mean"):
        acc.global_mean("aijl", "TempL")


def test_a_file_that_ends_in_the_middle_is_not_read_as_zeros(tmp_path: Path) -> None:
    path = write_acc(tmp_path / "X.acc.nc")
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 2000, 10):
        path.write_bytes(whole[:size])
        with pytest.raises(ConfigError, match=r"X\.acc\.nc: (ends in the middle|is not a whole)"):
            read_acc(path)


def test_what_is_no_acc_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    text = tmp_path / "text.nc"
    text.write_text("Abort message\n")
    with pytest.raises(ConfigError, match=r"text\.nc: is not a whole NetCDF file"):
        read_acc(text)
    with pytest.raises(ConfigError, match="there is no such file"):
        read_acc(tmp_path / "none.nc")
    foreign = tmp_path / "foreign.nc"
    with Dataset(foreign, "w") as file:
        file.createDimension("x", 2)
    with pytest.raises(ConfigError, match="has no variable 'idacc', so it is not a raw acc file"):
        read_acc(foreign)
    with pytest.raises(ConfigError, match="no file to combine"):
        combine([])


def test_a_label_that_contradicts_the_steps_is_refused(tmp_path: Path) -> None:
    path = write_acc(tmp_path / "X.acc.nc", Month(label="From: … To: … Dif:  31.00 Days"))
    with pytest.raises(ConfigError, match=r"its steps 0 to 400 are 10\.00 days, but it says"):
        read_acc(path)


def test_a_template_gives_dimensions_units_and_coordinates() -> None:
    template = parse_template(
        [
            "netcdf xxx {",
            "dimensions:",
            "    lat = 3 ;",
            "variables:",
            "    float lat(lat) ;",
            "    char terrain(lat) ;",
            "    float stand-eddy_1000-850(lat,lon) ;",
            '        stand-eddy_1000-850:units = "10^14 W" ;',
            "data:",
            "    terrain =",
            '" (SEA) ", "(LAND)";',
            "    lat = ",
            " -9.0E+01, 0.0,",
            " 9.0E+01;",
            "}",
        ]
    )
    assert template.sizes == {"lat": 3}
    assert template.variables["stand-eddy_1000-850"].dims == ("lat", "lon")
    assert template.variables["stand-eddy_1000-850"].units == "10^14 W"
    assert list(template.coordinates) == ["lat"]
    assert template.coordinates["lat"].tolist() == [-90.0, 0.0, 90.0]


def test_a_file_whose_parts_never_reached_the_disk_is_refused_in_a_sentence_or_read(
    tmp_path: Path,
) -> None:
    """A hole of zeros somewhere, or nothing from there on, as a node that lost its power leaves it."""
    whole = write_acc(tmp_path / "X.acc.nc").read_bytes()
    holed = tmp_path / "holed.acc.nc"
    refused = set()
    for start in range(1, len(whole), 101):
        for end in (min(start + 512, len(whole)), len(whole)):
            holed.write_bytes(whole[:start] + b"\0" * (end - start) + whole[end:])
            try:
                read_acc(holed, only={"aij"})
            except ConfigError as error:
                refused.add(str(error).split(": ", 1)[1][:20])
    assert any(one.startswith("the coordinate") for one in refused), refused
