"""Spectra are read with their units from what people have, and what cannot be read says why."""

from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset
from support_sources import SHARED

from astrohpc.errors import ConfigError
from astrohpc.gallery.spectrum_files import read_spectrum, synthetic_spectrum

GRANT = "Grant_etal_transmission_spectrum_vfinal_bin0.25_utc20230606_125313.nc"


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_text_with_a_heading_has_units_and_a_mark(tmp_path: Path) -> None:
    got = read_spectrum(
        written(
            tmp_path / "star.csv",
            "# MODEL of a star\n# wavelength [nm], flux [W m-2 nm-1], flux_error [W m-2 nm-1]\n"
            "1000, 1.0, 0.1\n1010, 2.0, 0.1\n1020, 3.0, 0.1\n",
        )
    )
    assert got.wavelengths.centre_um == pytest.approx([1.0, 1.01, 1.02])
    assert got.values.tolist() == [1.0, 2.0, 3.0]
    assert (got.name, got.unit, got.quantity, got.mark) == (
        "flux",
        "W m-2 nm-1",
        "density",
        "MODEL",
    )


def test_columns_without_commas_and_in_any_order_are_sorted(tmp_path: Path) -> None:
    got = read_spectrum(
        written(
            tmp_path / "depth.txt",
            "wavelength (um)\tdepth (ppm)\n2.0 30\n1.0 10\n1.5 nan\n1.2 20\n",
        )
    )
    assert got.wavelengths.centre_um.tolist() == [1.0, 1.2, 2.0]
    assert got.quantity == "ratio"
    assert got.mark == ""
    assert got.notes == ("1 of 4 bins have no value",)


def test_a_column_may_be_named(tmp_path: Path) -> None:
    path = written(tmp_path / "two.csv", "wavelength [um], sky, star\n1, 2, 3\n2, 4, 5\n")
    assert read_spectrum(path).values.tolist() == [2.0, 4.0]
    assert read_spectrum(path, "star").values.tolist() == [3.0, 5.0]
    with pytest.raises(ConfigError, match="has no column 'moon'; it has sky, star"):
        read_spectrum(path, "moon")


def test_netcdf_fits_and_ecsv_are_read_as_text_is(tmp_path: Path) -> None:
    from astropy import units
    from astropy.table import Table

    x, y = np.array([1.0, 1.1, 1.2]), np.array([3.0, 2.0, 1.0])
    with Dataset(tmp_path / "s.nc", "w") as file:
        file.title = "a synthetic spectrum"
        file.createDimension("w", 3)
        for name, values, unit in (("w", x, "micron"), ("w_error", x, "1"), ("f", y, "W m-2 um-1")):
            file.createVariable(name, "f8", ("w",))[:] = values
            file[name].units = unit
    table = Table({"wave": x * 1e4 * units.AA, "flux": y * units.W / units.m**2 / units.um})
    table.write(tmp_path / "s.fits")
    table.write(tmp_path / "s.ecsv", format="ascii.ecsv")
    for name, mark in (("s.nc", "SYNTHETIC"), ("s.fits", ""), ("s.ecsv", "")):
        got = read_spectrum(tmp_path / name)
        assert got.wavelengths.centre_um == pytest.approx(x), name
        assert got.values.tolist() == y.tolist(), name
        assert got.mark == mark, name


def test_a_published_transmission_spectrum_is_a_ratio() -> None:
    path = SHARED / "netcdf_zoo" / GRANT
    if not path.exists():
        pytest.skip("needs the shared NetCDF files")
    got = read_spectrum(path)
    assert got.name == "transit_depth"
    assert got.quantity == "ratio"
    assert len(got.values) == 28
    assert 5.0 < got.wavelengths.centre_um[0] < got.wavelengths.centre_um[-1] < 12.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wavelength, flux\n1, 2\n2, 3\n", "no column has a unit of wavelength"),
        ("wavelength [um], flux\n1, 2\n2\n", "names 2 columns and a row has 1"),
        ("wavelength [um], flux\n", "names 2 columns and a row has 0"),
        ("wavelength [um]\n1\n2\n", "has no column beside 'wavelength'"),
        ("wavelength [um], flux [Jy Hz-1]\n1, 2\n2, 3\n", "bring it to power per wavelength"),
        ("wavelength [um], flux\n1, 2\n2, nan\n", "has 1 values"),
        ("wavelength [um], flux\n1, 2\n1, 3\n", "is out of order"),
        ("wavelength [um], flux\n1, 2\nand, so\n2, 3\n", "stands among the numbers"),
        ("wavelength [um], flux\n1, 2\n2, 3x\n", "cannot be read as a spectrum"),
        ("wavelength [um], flux\n1000, 2\n2000, 3\n", "is no spectrum in µm"),
    ],
)
def test_what_is_no_spectrum_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path / "bad.csv", text)
    with pytest.raises(ConfigError) as error:
        read_spectrum(path)
    assert said in str(error.value)
    assert "bad.csv" in str(error.value)


def test_a_file_of_another_kind_is_one_sentence(tmp_path: Path) -> None:
    for name in ("bad.nc", "bad.fits", "bad.ecsv"):
        with pytest.raises(ConfigError, match=f"{name}: cannot be read as a spectrum"):
            read_spectrum(written(tmp_path / name, "nothing of the kind\n"))


def test_what_is_made_here_says_so_and_is_always_the_same() -> None:
    one, other = synthetic_spectrum(500), synthetic_spectrum(500)
    assert one.mark == "SYNTHETIC"
    assert one.values.tobytes() == other.values.tobytes()
    assert 0.0 < one.values.min() < one.values.max() <= 1.0
