import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import REPOSITORY, FakeClock, make_planet
from support_ebm import SEASONS, names, run, same_climate, stop_after

from astrohpc.engines import ebm_files as files
from astrohpc.engines import record, series
from astrohpc.engines.base import Progress
from astrohpc.engines.ebm import Ebm, EbmSettings
from astrohpc.outcome import Outcome
from astrohpc.planet import Planet


def test_any_stop_and_resume_gives_the_same_bits(tmp_path: Path) -> None:
    planet = make_planet(**SEASONS)
    engine, verdict = run(tmp_path / "whole", planet)
    rows = [row[:-1] for row in series.read_rows(tmp_path / "whole")]
    for calls in range(1, len(rows) + 1, 3):
        folder = tmp_path / str(calls)
        _, stopped = run(folder, planet, stop=stop_after(calls - 1))
        assert stopped.outcome is Outcome.CHECKPOINTED
        assert engine.verdict(folder).outcome is Outcome.CHECKPOINTED
        _, resumed = run(folder, planet)
        assert resumed == verdict
        assert same_climate(folder, tmp_path / "whole")
        assert [row[:-1] for row in series.read_rows(folder)] == rows


def test_a_member_stopped_every_year_ends_the_same(tmp_path: Path) -> None:
    planet = make_planet(**SEASONS)
    run(tmp_path / "whole", planet)
    attempts = 0
    while run(tmp_path / "bits", planet, stop=stop_after(1))[1].outcome is Outcome.CHECKPOINTED:
        attempts += 1
    assert attempts > 10
    assert same_climate(tmp_path / "bits", tmp_path / "whole")
    assert len(series.read_rows(tmp_path / "bits")) == len(series.read_rows(tmp_path / "whole"))


def test_a_member_that_is_done_is_not_run_again(tmp_path: Path) -> None:
    planet = make_planet()
    engine, verdict = run(tmp_path, planet)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert run(tmp_path, planet)[1] == verdict == engine.verdict(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert names(tmp_path) <= engine.files()
    assert {record.CLIMATE, record.RECORD, series.SERIES} == names(tmp_path)


@pytest.mark.parametrize("damage", ["gone", "empty", "cut"])
def test_a_lost_climate_is_made_again(tmp_path: Path, damage: str) -> None:
    planet = make_planet()
    for name in ("kept", "lost"):
        run(tmp_path / name, planet)
    harm(tmp_path / "lost" / record.CLIMATE, damage)
    assert Ebm(EbmSettings()).verdict(tmp_path / "lost") is None
    assert run(tmp_path / "lost", planet)[1].outcome is Outcome.DONE
    assert same_climate(tmp_path / "lost", tmp_path / "kept")


def stopped_twice(folder: Path, planet: Planet) -> None:
    run(folder, planet, stop=stop_after(5))
    run(folder, planet, stop=stop_after(5))
    assert {files.RESTART, files.PREVIOUS} <= names(folder)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "gone"])
def test_a_damaged_restart_falls_back_to_the_one_before(tmp_path: Path, damage: str) -> None:
    planet = make_planet(**SEASONS)
    run(tmp_path / "whole", planet)
    folder = tmp_path / "member"
    stopped_twice(folder, planet)
    harm(folder / files.RESTART, damage)
    assert run(folder, planet)[1].outcome is Outcome.DONE
    log = (folder / files.LOG).read_text()
    assert f"after reporting year 5 from {files.PREVIOUS}" in log
    assert (f"{files.RESTART} is damaged" in log) == (damage != "gone")
    assert same_climate(folder, tmp_path / "whole")


def test_two_damaged_restarts_mean_a_fresh_start(tmp_path: Path) -> None:
    planet = make_planet(**SEASONS)
    stopped_twice(tmp_path, planet)
    harm(tmp_path / files.RESTART, "cut")
    harm(tmp_path / files.PREVIOUS, "flip")
    assert run(tmp_path, planet)[1].outcome is Outcome.DONE
    assert (tmp_path / files.LOG).read_text().count("is damaged and was not used") == 2
    years = [row[0] for row in series.read_rows(tmp_path)]
    assert years == sorted(set(years))


def harm(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 3] ^= 1
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


def test_a_restart_of_another_member_is_refused_by_name(tmp_path: Path) -> None:
    stopped_twice(tmp_path, make_planet(**SEASONS))
    _, verdict = run(tmp_path, make_planet())
    assert verdict.outcome is Outcome.BAD_CONFIG
    assert str(tmp_path / files.RESTART) in verdict.reason
    assert "move it away" in verdict.reason
    _, other_settings = run(tmp_path, make_planet(**SEASONS), EbmSettings(step_days=2.0))
    assert other_settings.outcome is Outcome.BAD_CONFIG
    assert run(tmp_path, make_planet(**SEASONS))[1].outcome is Outcome.DONE


def test_a_result_of_another_member_is_refused_by_name(tmp_path: Path) -> None:
    run(tmp_path, make_planet())
    _, verdict = run(tmp_path, make_planet(co2="500 ppm"))
    assert verdict.outcome is Outcome.BAD_CONFIG
    assert str(tmp_path / record.RECORD) in verdict.reason


def test_restarts_are_written_as_often_as_asked(tmp_path: Path, clock: FakeClock) -> None:
    def a_minute_passes(_progress: Progress) -> None:
        clock.sleep(60.0)
        seen.append((tmp_path / files.RESTART).exists())

    seen: list[bool] = []
    settings = EbmSettings(checkpoint_seconds=300.0)
    run(tmp_path, make_planet(), settings, clock=clock, report=a_minute_passes)
    assert seen[:5] == [False] * 5
    assert all(seen[5:])
    assert files.RESTART not in names(tmp_path)  # of no use once the member is done


def test_a_report_that_raises_ends_the_run_and_leaves_it_resumable(tmp_path: Path) -> None:
    def lose(_progress: Progress) -> None:
        raise KeyboardInterrupt

    planet = make_planet(**SEASONS)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, planet, report=lose)
    assert run(tmp_path, planet)[1].outcome is Outcome.DONE
    years = [row[0] for row in series.read_rows(tmp_path)]
    assert years == sorted(set(years))


LONG = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support import make_planet
from astrohpc.engines.ebm import Ebm, EbmSettings
settings = EbmSettings(ocean_depth_m=1e4, tolerance_wm2=1e-8, max_years=1500.0,
                       checkpoint_seconds=0.0)
Ebm(settings).run(make_planet(obliquity="23.44 deg"), Path({folder!r}), stop=lambda: False,
                  report=lambda progress: print(progress.model_years, flush=True))
"""


def test_a_member_killed_again_and_again_ends_the_same(tmp_path: Path) -> None:
    settings = EbmSettings(ocean_depth_m=1e4, tolerance_wm2=1e-8, max_years=1500.0)
    planet = make_planet(obliquity="23.44 deg")
    _, verdict = run(tmp_path / "whole", planet, settings)
    folder = tmp_path / "member"
    folder.mkdir()
    code = LONG.format(tests=str(REPOSITORY / "tests"), folder=str(folder))
    for seconds in (0.0, 0.05, 0.2):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(seconds)
            process.kill()
    (folder / ".restart.npz.torn").write_bytes(b"half")
    assert run(folder, planet, settings)[1] == verdict
    assert same_climate(folder, tmp_path / "whole")
    rows = [[row[:-1] for row in series.read_rows(path)] for path in (folder, tmp_path / "whole")]
    assert rows[0] == rows[1]
    assert names(folder) <= Ebm(settings).files()
