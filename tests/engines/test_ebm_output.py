import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray
from support import REPOSITORY, FakeClock, make_planet
from support_ebm import DWARF, SEASONS, names, run

from astrohpc.engines import record, series
from astrohpc.engines.base import Progress
from astrohpc.engines.ebm import Ebm, EbmSettings
from astrohpc.outcome import Outcome


def test_every_row_of_the_series_is_reported(tmp_path: Path, clock: FakeClock) -> None:
    reports: list[Progress] = []
    engine, _ = run(tmp_path, make_planet(), clock=clock, report=reports.append)
    assert [one.model_years for one in reports] == [
        one.model_years for one in engine.series(tmp_path)
    ]
    assert reports[0].limit_years == 1000.0


def test_a_long_series_is_thinned(tmp_path: Path) -> None:
    # An ocean so deep that the run goes to its limit.
    settings = EbmSettings(ocean_depth_m=1e4, tolerance_wm2=1e-8, max_years=2500.0, bands=6)
    engine, _ = run(tmp_path, make_planet(**SEASONS), settings)
    series = engine.series(tmp_path)
    years = [progress.model_years for progress in series]
    assert 200 < len(years) <= 502
    assert years == sorted(set(years))
    assert series[-1].surface_temperature_k == pytest.approx(
        float(engine.summary(tmp_path)["surface_temperature_k"]), rel=1e-12
    )


def test_a_line_that_a_crash_cut_short_is_no_row(tmp_path: Path) -> None:
    series.append_row(tmp_path, [1.0, 280.0, 0.5, 0.3, 0.1, 9.0])
    series.append_row(tmp_path, [2.0, 281.0, 0.4, 0.3, 0.1, 9.0])
    content = (tmp_path / series.SERIES).read_text()
    (tmp_path / series.SERIES).write_text(content[:-4])
    assert [row[0] for row in series.read_rows(tmp_path)] == [1.0]
    series.trim_rows(tmp_path, 5.0)
    series.append_row(tmp_path, [2.0, 281.0, 0.4, 0.3, 0.1, 9.0])
    assert [row[0] for row in series.read_rows(tmp_path)] == [1.0, 2.0]


@pytest.mark.parametrize("changes", [SEASONS, DWARF, {}])
def test_the_climate_is_cf_and_its_budget_closes(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    planet = make_planet(**changes)
    engine, _ = run(tmp_path, planet)
    summary = engine.summary(tmp_path)
    with xarray.open_dataset(tmp_path / record.CLIMATE) as climate:
        assert climate.attrs["Conventions"] == "CF-1.11"
        assert climate.attrs["regime"] == summary["regime"]
        assert climate.attrs["planet_radius_m"] == planet.radius_m
        assert "energy-balance model" in climate.attrs["comment"]
        assert ("tidally locked" in climate.attrs.get("coordinate_note", "")) == (
            planet.tidally_locked
        )
        assert dict(climate.sizes) == {
            "time": 12 if planet.has_seasons else 1,
            "lat": 60,
            "nv": 2,
        }
        assert float(climate.cell_area.sum()) == pytest.approx(4 * math.pi * planet.radius_m**2)
        assert climate.lat.attrs["bounds"] == "lat_bnds"
        assert "time_bnds" in climate

        def mean(name: str) -> float:
            return float(climate[name + "_mean"].weighted(climate.cell_area).mean())

        assert mean("rsdt") == pytest.approx(planet.mean_flux_wm2 / 4, rel=1e-9)
        balance = mean("rsdt") - mean("rsut") - mean("rlut")
        assert balance == pytest.approx(float(summary["toa_balance_wm2"]), abs=1e-9)
        assert mean("ts") == pytest.approx(float(summary["surface_temperature_k"]), rel=1e-12)
        assert mean("ice") == pytest.approx(float(summary["ice_fraction"]), abs=1e-12)
        assert mean("rsut") / mean("rsdt") == pytest.approx(
            float(summary["planetary_albedo"]), rel=1e-9
        )
        assert mean("heat_divergence") == pytest.approx(0.0, abs=1e-9)
        local = climate.rsdt_mean - climate.rsut_mean - climate.rlut_mean
        # What a band gains by radiation it gives away, but for what it still warms.
        assert float(abs(local - climate.heat_divergence_mean).max()) < 0.2
        lit = climate.rsdt > 1e-6
        assert bool((climate.planetary_albedo.notnull() == lit).all())
        for name in ("ts", "rsdt", "rsut", "rlut"):
            assert climate[name].attrs["units"] in ("K", "W m-2")
            assert climate[name].attrs["standard_name"]


def test_northern_summer_is_warm_in_the_north(tmp_path: Path) -> None:
    run(tmp_path, make_planet(obliquity="23.44 deg"))
    with xarray.open_dataset(tmp_path / record.CLIMATE) as climate:
        north = climate.sel(lat=61.5, method="nearest")
        assert int(north.rsdt.values.argmax()) in (2, 3)  # a quarter orbit after the equinox
        assert int(north.ts.values.argmax()) in (3, 4, 5, 6)  # the sea follows


def test_an_empty_folder_says_nothing(tmp_path: Path) -> None:
    engine = Ebm(EbmSettings())
    assert engine.verdict(tmp_path) is None
    assert engine.series(tmp_path) == []
    assert engine.summary(tmp_path) == {}


RUN = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support import make_planet
from astrohpc.engines.ebm import Ebm, EbmSettings
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
Ebm(EbmSettings(checkpoint_seconds=0.0)).run(
    make_planet(), Path({folder!r}), stop=lambda: {stop}, report=lambda progress: None)
"""


@pytest.mark.parametrize(("size", "stop"), [(300, False), (1000, True), (20000, False)])
def test_a_full_disk_is_said_and_leaves_no_half_file(tmp_path: Path, size: int, stop: bool) -> None:
    # The kernel refuses to grow any file beyond the limit, as a full disk would.
    tests = str(REPOSITORY / "tests")
    code = RUN.format(tests=tests, size=size, folder=str(tmp_path), stop=stop)
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 1
    assert "OSError" in ended.stderr
    assert not [name for name in names(tmp_path) if name.startswith(".")]
    assert record.CLIMATE not in names(tmp_path)
    assert record.RECORD not in names(tmp_path)
    for path in tmp_path.glob("restart*.npz"):
        with np.load(path) as stored:
            assert "temp_k" in stored
    assert run(tmp_path, make_planet())[1].outcome is Outcome.DONE


def test_a_run_starts_fast_and_loads_no_library_it_does_not_need(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY / 'tests')!r})\n"
        "from pathlib import Path\n"
        "from astrohpc.engines.ebm import Ebm, EbmSettings\n"
        "from astrohpc.planet import Planet\n"
        "engine = Ebm(EbmSettings())\n"
        f"engine.verdict(Path({str(tmp_path)!r}))\n"
        "assert 'numba' not in sys.modules\n"
        "planet = Planet(radius_m=6e6, gravity_ms2=9.0, rotation_period_s=1e5,"
        " surface_pressure_pa=1e5, co2_fraction=4e-4, ch4_fraction=0.0,"
        " stellar_flux_wm2=1300.0, stellar_temperature_k=5000.0)\n"
        f"engine.run(planet, Path({str(tmp_path)!r}), stop=lambda: False, report=lambda p: None)\n"
        "heavy = {'astropy', 'hydra', 'xarray', 'matplotlib', 'pandas', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300, env=dict(os.environ))


def test_prepare_compiles_and_estimates_are_modest() -> None:
    engine = Ebm(EbmSettings())
    engine.prepare()
    estimate = engine.estimate()
    assert 0.1 < estimate.cpu_s < 10.0
    assert estimate.files == 3
