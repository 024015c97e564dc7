"""Tables of planets: what is an input, in which unit, and what is refused with a sentence."""

import math
from collections.abc import Mapping
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from support_sources import SHARED

from astrohpc.climates.columns import read_columns
from astrohpc.climates.table import asked_in_table, from_table, read_table
from astrohpc.constants import DAY_S
from astrohpc.errors import ConfigError

ROCKE3D = SHARED / "gcm" / "habitability_metrics"
N = 10


def rocke_like(path: Path, tsurf_k: np.ndarray, **units: str) -> Path:
    """A file as those of the ROCKE-3D sweeps: log2 of days without a unit, and coordinates."""
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("case", N)
        columns: Mapping[str, np.ndarray] = {
            "case": np.arange(N)[::-1],
            "rotation_period": np.linspace(0, 8, N),
            "longitude_at_periapse": np.linspace(0, 360, N),
            "tsurf": tsurf_k,
            "share": np.linspace(0, 1, N),
            "always": np.full(N, 3.0),
        }
        for name, values in columns.items():
            made = file.createVariable(name, "f8", ("case",))
            made[:] = values
            if name in units:
                made.units = units[name]
        file["tsurf"].coordinates = "rotation_period longitude_at_periapse"
    return path


def text(path: Path, header: str, *lines: str) -> Path:
    """A table with as many planets as are needed, of which the last lines differ in a number."""
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def rows(*cells: str) -> list[str]:
    """Ten lines; '#' is the number of the line."""
    return [",".join(cells).replace("#", str(i + 1)) for i in range(N)]


def test_an_unlabelled_logarithm_and_mislabelled_kelvin_are_seen_and_said(tmp_path: Path) -> None:
    path = rocke_like(
        tmp_path / "a.nc", np.linspace(-5, 20, N), longitude_at_periapse="deg", tsurf="K"
    )
    table = read_table(path)
    climates = table.climates
    period, periapse = climates.inputs
    assert (period.low, period.high) == (DAY_S, 256 * DAY_S)
    assert period.logarithm
    assert periapse.name == "longitude_of_periapse"
    assert math.isclose(periapse.period, 2 * math.pi)
    assert climates.variable("tsurf").unit == "degC"
    assert climates.names[0] == "case 9"
    assert climates.constant == (("always", "it is the same on every planet"),)
    said = "\n".join(table.said)
    assert "log2(days)" in said
    assert "-5 K is impossible" in said
    assert table.written["rotation_period"] == "log2(d)"


def test_true_kelvin_stays_kelvin(tmp_path: Path) -> None:
    path = rocke_like(
        tmp_path / "a.nc", np.linspace(220, 300, N), longitude_at_periapse="deg", tsurf="K"
    )
    assert from_table(path).variable("tsurf").unit == "K"


def test_units_stand_in_the_heading_in_a_line_or_in_cells(tmp_path: Path) -> None:
    tables = [
        text(tmp_path / "a.csv", "name,rotation_period [d],ts [K]", *rows("p#", "#", "25#")),
        text(tmp_path / "b.csv", " rotation period , ts", "day,K", *rows("#", "25#")),
        text(tmp_path / "c.csv", "planet,rotation_period,ts [K]", *rows("p#", "# d", "25#")),
        text(
            tmp_path / "d.csv",
            "rotation_period,eccentricity,ts",
            "d,1,kg/m^2",
            *rows("#", "0.1", "25#"),
        ),
    ]
    for path in tables:
        climates = from_table(path)
        (period,) = climates.inputs
        assert (period.name, period.unit) == ("rotation_period", "s")
        np.testing.assert_allclose(climates.params[:, 0], DAY_S * np.arange(1, N + 1))
        assert len(climates) == N
    assert from_table(tables[0]).names[0] == "p1"
    assert from_table(tables[3]).variables[0].unit == "kg/m^2"


def test_a_unit_that_nobody_can_know_is_asked_for(tmp_path: Path) -> None:
    path = text(tmp_path / "a.csv", "rotation_period,ts", *rows("#", "#"))
    with pytest.raises(ConfigError, match=r"rotation_period: has no unit.*rotation_period \[d\]"):
        from_table(path)
    assert from_table(path, {"rotation_period": "h"}).inputs[0].high == 10 * 3600
    with pytest.raises(ConfigError, match=r"units.obliquity: the table has no such input"):
        from_table(path, {"obliquity": "deg"})


def test_impossible_numbers_are_refused_with_their_range(tmp_path: Path) -> None:
    path = text(tmp_path / "a.csv", "eccentricity,ts", *rows("#", "#"))
    with pytest.raises(ConfigError, match=r"eccentricity: 10 is impossible"):
        from_table(path)


def test_degrees_without_a_unit_are_known_by_being_beyond_radians(tmp_path: Path) -> None:
    path = text(tmp_path / "a.csv", "obliquity,ts", *rows("#0", "#"))
    assert math.isclose(from_table(path).inputs[0].high, math.radians(100))


def test_planets_with_gaps_are_left_out_and_named(tmp_path: Path) -> None:
    lines = [*rows("p#", "0.0#", "#"), "lost,0.05,", "worse,0.05,nan"]
    climates = from_table(text(tmp_path / "a.csv", "name,eccentricity,ts", *lines))
    assert len(climates) == N
    assert climates.excluded == (
        ("lost", "ts is missing or no number"),
        ("worse", "ts is missing or no number"),
    )


@pytest.mark.parametrize(
    ("header", "cells", "said"),
    [
        ("colour,ts", ("#", "#"), "has no input"),
        ("eccentricity", ("0.0#",), "has no variable"),
        ("eccentricity,ts", ("0.0#", "hot"), "'hot' in column 'ts'"),
        ("eccentricity,ts,ts", ("0.0#", "#", "#"), "two columns are called 'ts'"),
        ("eccentricity,ts", ("0.1", "#"), "no input differs"),
        ("eccentricity,ts", ("0.0#", "7"), "every variable is the same"),
        ("name,eccentricity,ts", ("x", "0.0#", "#"), "two planets have this name"),
    ],
)
def test_a_table_to_learn_nothing_from_is_one_sentence(
    tmp_path: Path, header: str, cells: tuple[str, ...], said: str
) -> None:
    path = text(tmp_path / "a.csv", header, *rows(*cells))
    with pytest.raises(ConfigError, match=said):
        from_table(path)


def test_too_few_planets_and_broken_files_are_refused(tmp_path: Path) -> None:
    few = text(tmp_path / "few.csv", "eccentricity,ts", *rows("0.0#", "#")[:1])
    with pytest.raises(ConfigError, match="1 of 1 planets"):
        from_table(few)
    short = text(tmp_path / "short.csv", "eccentricity,ts", *rows("0.0#", "#"), "0.2")
    with pytest.raises(ConfigError, match="line 12: 1 cells under 2 columns"):
        from_table(short)
    (tmp_path / "no.nc").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="cannot be read as NetCDF"):
        from_table(tmp_path / "no.nc")
    with pytest.raises(ConfigError, match="is no table by its name"):
        from_table(tmp_path / "a.zip")


def test_a_netcdf_file_with_maps_is_no_table(tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("lat", 3)
        file.createDimension("lon", 4)
        file.createVariable("ts", "f4", ("lat", "lon"))[:] = 1
    with pytest.raises(ConfigError, match="one dimension, the planets"):
        from_table(tmp_path / "a.nc")


def test_planets_are_asked_for_as_the_training_wrote_them_or_as_they_say(tmp_path: Path) -> None:
    table = read_table(
        rocke_like(
            tmp_path / "a.nc", np.linspace(-5, 20, N), longitude_at_periapse="deg", tsurf="K"
        )
    )
    inputs, written = table.climates.inputs, table.written

    def days(header: str, *lines: str) -> tuple[list[float], str]:
        path = text(tmp_path / "asked.csv", header, *lines)
        _, params, said = asked_in_table(path, inputs, written)
        return list(params[:, 0] / DAY_S), " ".join(said)

    header = "rotation_period,longitude_of_periapse"
    assert days(header, "3,10", "5,350") == ([8, 32], days(header, "3,10", "5,350")[1])
    assert "taken as log2(d), which lies in the domain" in days(header, "3,10", "5,350")[1]
    # Two to the power of 60 days are no day; 60 days lie in the domain.
    assert days(header, "3,10", "60,350")[0] == [3, 60]
    assert days(header, "d,deg", "3,10", "5,350")[0] == [3, 5]
    with pytest.raises(ConfigError, match="has no longitude_of_periapse"):
        days("rotation_period", "3")
    with pytest.raises(ConfigError, match="planet 2 has no rotation_period"):
        days(header, "3,10", ",350")


@pytest.mark.skipif(not ROCKE3D.is_dir(), reason="the published ROCKE-3D tables are not here")
def test_the_published_tables_are_read() -> None:
    training = from_table(ROCKE3D / "training_metrics.nc")
    assert [one.name for one in training.inputs] == [
        "rotation_period",
        "obliquity",
        "eccentricity",
        "longitude_of_periapse",
    ]
    assert (len(training), len(training.variables)) == (47, 24)
    assert training.names[:2] == ("case 1", "case 0")  # Earth is the second
    assert training.variable("tsurf_global_average").unit == "degC"
    means = from_table(ROCKE3D / "ROCKE_global_mean_data_all.csv")
    assert (len(means), len(means.variables)) == (70, 15)
    assert means.inputs[0].high == 128 * DAY_S
    columns = read_columns(ROCKE3D / "circular_metrics.nc")
    assert [one.name for one in columns.inputs] == ["rotation_period", "obliquity"]
