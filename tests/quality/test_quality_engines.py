"""What our own engines hand over keeps the laws, as docs/conservation.md says."""

import os
from pathlib import Path

import pytest
from support import REPOSITORY, FakeClock, make_planet
from support_ebm import run as run_ebm
from support_most import FLUX_WM2, write_most

from astrohpc.engines import record
from astrohpc.engines.ebm import EbmSettings
from astrohpc.engines.exoplasim_output import Stamps, convert
from astrohpc.engines.rocke3d.harvest import harvest
from astrohpc.quality.report import exit_code
from astrohpc.quality.request import request_of
from astrohpc.quality.results import Kept, MemberResult, Report
from astrohpc.quality.run import check
from astrohpc.quality.settings import CheckSettings
from astrohpc.store.ranks import Alone

FOLDER = Path(os.environ.get("ASTROHPC_GCM") or REPOSITORY.parent / "shared" / "data" / "gcm")
needs_shared = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"no output of ModelE in {FOLDER}; set ASTROHPC_GCM to a folder of it",
)


def checked(path: Path, *laws: str) -> Report:
    request = request_of(path, CheckSettings(laws=laws))
    outcome = check(request, Alone(), 1, FakeClock(), lambda: False, lambda _text: None)
    assert outcome is not None and outcome.report is not None
    return outcome.report


def by_law(member: MemberResult) -> dict[str, Kept]:
    return {kept.law: kept for kept in member.laws}


def test_the_energy_balance_model_has_energy_alone_and_keeps_it(tmp_path: Path) -> None:
    engine, _ = run_ebm(tmp_path / "member", make_planet(), EbmSettings(bands=20, max_years=200))
    report = checked(tmp_path / "member" / record.CLIMATE)
    (member,) = report.members
    found = by_law(member)
    assert exit_code(report) == 0
    assert report.mark == "synthetic"
    assert found.keys() == {"toa_energy", "temperature"}
    # In equilibrium a year takes in what it sends out, though no month does.
    top = found["toa_energy"]
    assert top.mean is not None and abs(top.mean) < 10 * engine.settings.tolerance_wm2
    lacking = {one.law: one.needs for one in member.unchecked}
    assert lacking["dry_mass"] == "ps"
    assert lacking["meridional_mass_flux"] == "va, ps"


def test_a_scene_of_exoplasim_keeps_what_it_was_made_to_keep(tmp_path: Path) -> None:
    planet = make_planet(stellar_flux=f"{FLUX_WM2} W/m2")
    source = write_most(tmp_path / "MOST.nc")
    convert(source, tmp_path / "climate.nc", planet, Stamps(step_s=2700.0, averaged=True))
    report = checked(tmp_path / "climate.nc")
    (member,) = report.members
    found = by_law(member)
    assert member.left_out == () and member.faults == ()
    surface = found["surface_energy"]
    assert surface.judged == surface.passed == 2
    assert surface.residual == pytest.approx(1.0, abs=1e-4)  # what melts snow
    for law in ("dry_mass", "water", "temperature", "humidity", "cloud", "pressure"):
        assert found[law].passed == found[law].judged == 2, law
    assert report.laws[0].tolerance == "5e-05 relative"  # of the engine that the file names
    assert found["toa_energy"].mean == pytest.approx(0.7 * FLUX_WM2 / 4 - 170.0, abs=1e-3)
    assert found["toa_energy"].judged == 0
    # Everywhere a wind of 1 m/s northward: air would pile up at the pole.
    assert found["meridional_mass_flux"].passed == 0
    assert exit_code(report) == 3


@needs_shared
def test_three_months_of_modele_keep_every_law(tmp_path: Path) -> None:
    planet = make_planet(surface_pressure="984 hPa", eccentricity=0.0167)
    months = [FOLDER / "modelE_8x10" / f"{m}1850.accAR12.nc" for m in ("JAN", "FEB", "MAR")]
    harvest(months, planet, tmp_path / "climate.nc")
    report = checked(tmp_path / "climate.nc")
    (member,) = report.members
    found = by_law(member)
    assert member.left_out == () and member.faults == ()
    assert (report.grade, report.passed) == ("A+", report.judged)
    assert exit_code(report) == 0
    mass = found["dry_mass"]
    assert mass.judged == 3 and mass.relative is not None and abs(mass.relative) < 1e-6
    # The model's own mean of the three months, weighted alike: 37.0, 34.2 and 31.2.
    assert found["toa_energy"].mean == pytest.approx((37.0061 + 34.2 + 31.2) / 3, abs=0.1)
    assert {"water", "water_column", "hydrostatic", "atmosphere_energy"} <= found.keys()
    # ModelE has its winds on levels of pressure.
    lacking = {one.law: one.needs for one in member.unchecked}
    assert "va (its axes are time, plev, lat, lon" in lacking["meridional_mass_flux"]
