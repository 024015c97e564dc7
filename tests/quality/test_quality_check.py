"""Checks of files and stores from beginning to end, in this process."""

import json
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from netCDF4 import Dataset
from support import FakeClock
from support_quality import PLANET, World, quiet, write_world

from astrohpc.errors import ConfigError
from astrohpc.physics.budgets import BUDGETS, evaluate
from astrohpc.physics.sums import zonal_sums
from astrohpc.physics.worlds import Worlds
from astrohpc.quality.check import wanted
from astrohpc.quality.explain import explained
from astrohpc.quality.holder import FileMember
from astrohpc.quality.page import write_page
from astrohpc.quality.report import exit_code, read_report, table
from astrohpc.quality.request import Request, request_of
from astrohpc.quality.results import Report
from astrohpc.quality.run import Outcome, check
from astrohpc.quality.settings import CheckSettings
from astrohpc.quality.subject import subject_of
from astrohpc.store.members import MemberFiles
from astrohpc.store.ranks import Alone

sys.path.append(str(Path(__file__).parents[1] / "store"))
from support_page import make_store


def never() -> bool:
    return False


def run(
    request: Request,
    threads: int = 1,
    stop: Callable[[], bool] = never,
    say: Callable[[str], None] = lambda _text: None,
) -> Outcome:
    outcome = check(request, Alone(), threads, FakeClock(), stop, say)
    assert outcome is not None
    return outcome


def checked(*paths: Path, threads: int = 1, **settings: Any) -> Report:
    request = request_of(paths[0], CheckSettings(**settings), more=paths[1:])
    outcome = run(request, threads)
    assert outcome.report is not None
    return outcome.report


def text(report: Report) -> str:
    return "\n".join(table(report))


def drifting(share: float, times: int = 4) -> np.ndarray:
    """A surface pressure that grows by this share from time to time."""
    return quiet(times)["ps"] * (1 + share * np.arange(times))[:, None, None]


def files(folder: Path, **worlds: World) -> Path:
    for name, world in worlds.items():
        write_world(folder / f"{name}.nc", world)
    return folder


# ----------------------------------------------------------------------------- what is found
def test_a_still_dry_air_keeps_every_law(tmp_path: Path) -> None:
    report = checked(write_world(tmp_path / "a.nc", World()))
    assert exit_code(report) == 0
    assert (report.grade, report.passed) == ("A+", report.judged)
    laws = {one.law for one in report.members[0].laws}
    assert {"dry_mass", "meridional_mass_flux"} <= laws
    assert sum(kept.judged == 4 for kept in report.members[0].laws) >= 6


def test_mass_that_drifts_is_found_with_its_worst_time(tmp_path: Path) -> None:
    world = World(fields={"ps": drifting(1e-5)}, kind="f8")
    report = checked(write_world(tmp_path / "a.nc", world), laws=("dry_mass",))
    (kept,) = report.members[0].laws
    assert (kept.judged, kept.passed, kept.time) == (4, 1, 3)
    assert kept.relative == pytest.approx(3e-5 / (1 + 3e-5), rel=1e-6)
    assert kept.residual == pytest.approx(3e-5 * 9e4 / 7.0, rel=1e-6)
    assert kept.tolerance is not None
    assert kept.share == pytest.approx(kept.relative / kept.tolerance)
    assert kept.curve_at == (0, 1, 2, 3)
    assert exit_code(report) == 3
    assert "beyond tolerance: a.nc, grade F: dry_mass in 3 of 4" in text(report)


def test_a_tolerance_that_was_measured_for_an_engine_is_the_one_it_is_judged_by(
    tmp_path: Path,
) -> None:
    world = World(fields={"ps": drifting(1e-5)}, kind="f8", attributes={"engine": "exoplasim"})
    report = checked(write_world(tmp_path / "a.nc", world), laws=("dry_mass",))
    assert report.members[0].passed == 4
    assert report.laws[0].tolerance == "5e-05 relative"


def test_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    fields = {
        name: values * (1 + 1e-3 * rng.random(values.shape)) + 1e-6 * rng.random(values.shape)
        for name, values in quiet(9).items()
    }
    world = World(times=9, fields=fields)
    whole = checked(write_world(tmp_path / "a.nc", world))
    for size in (1, 40_000):
        monkeypatch.setattr("astrohpc.quality.subject.BLOCK_BYTES", size)
        (tmp_path / "a.check" / "check.json").unlink()
        assert checked(tmp_path / "a.nc") == whole


def test_blocks_together_say_what_one_evaluation_says(tmp_path: Path) -> None:
    """The laws of storage and drift, which look from time to time, among them."""
    grow = (1 + 0.1 * np.arange(7))[:, None, None]
    fields = {
        "pr": quiet(7)["pr"] * grow,
        "ps": drifting(2e-6, 7),
        "rlut": 210.0 * grow + 0 * quiet(7)["ps"],
    }
    fields["hus"] = quiet(7)["hus"] * grow[:, None]
    path = write_world(tmp_path / "a.nc", World(times=7, fields=fields))
    report = checked(path)
    subject = subject_of(FileMember(MemberFiles("", (path,))), "a", wanted(BUDGETS.values()))
    assert subject.layout is not None
    ((_, block),) = subject.blocks()
    at_once = evaluate(
        zonal_sums(block, subject.layout, threads=1),
        subject.layout,
        Worlds.of_attributes([PLANET] * 7),
        subject.axes.times_s,
    )
    by_law = {kept.law: kept for kept in report.members[0].laws if kept.judged}
    judged = [one for one in at_once if one.judged.any()]
    assert by_law.keys() == {one.budget.name for one in judged}
    for one in judged:
        kept = by_law[one.budget.name]
        assert (kept.judged, kept.passed) == (one.judged.sum(), one.passed.sum())
        assert kept.residual == pytest.approx(one.residual[kept.time], rel=1e-11)


def test_what_is_not_there_is_named_and_not_judged(tmp_path: Path) -> None:
    world = World(fields={"va": None, "hus": None})
    report = checked(write_world(tmp_path / "a.nc", world))
    assert "not checked: meridional_mass_flux: needs va" in text(report)
    assert exit_code(report) == 0


def test_one_time_has_nothing_to_drift_from(tmp_path: Path) -> None:
    report = checked(write_world(tmp_path / "a.nc", World(times=1)))
    assert "not checked: dry_mass: needs two times or more" in text(report)
    assert report.judged > 0


# ----------------------------------------------------------------------------- bad input
def test_values_that_are_no_numbers_are_named_by_place_and_others_are_checked(
    tmp_path: Path,
) -> None:
    va = quiet()["va"].copy()
    va[2, 1, 5, 7] = np.nan
    ps = quiet()["ps"].copy()
    ps[3, 0, 4] = np.inf
    folder = files(
        tmp_path / "in", a=World(fields={"va": va}), b=World(fields={"ps": ps}), c=World()
    )
    report = checked(folder)
    a, b, c = report.members
    assert a.faults == ("a: va is nan at time 2, level 1, lat 5, lon 7",)
    assert b.faults == ("b: ps is inf at time 3, lat 0, lon 4",)
    assert c.faults == () and c.grade == "A+"
    by_law = {kept.law: kept for kept in a.laws}
    assert by_law["dry_mass"].judged == 4
    assert by_law["meridional_mass_flux"].judged == 3
    assert exit_code(report) == 3
    assert "no number: a: va is nan at time 2" in text(report)


def test_growth_is_not_judged_beside_a_time_that_lacks_values(tmp_path: Path) -> None:
    """What is stored at a time with a gap is that of a part, and would look like growth."""
    hus = quiet(7)["hus"].copy()
    hus[3, :, 2:6] = np.nan
    report = checked(write_world(tmp_path / "a.nc", World(times=7, fields={"hus": hus})))
    water = next(kept for kept in report.members[0].laws if kept.law == "water")
    assert (water.judged, water.passed) == (2, 2)


def test_drift_is_counted_from_the_first_time_that_is_whole(tmp_path: Path) -> None:
    ps = drifting(1e-5)
    ps[0, 0, 0] = np.nan
    world = World(fields={"ps": ps}, kind="f8")
    report = checked(write_world(tmp_path / "a.nc", world), laws=("dry_mass",))
    (kept,) = report.members[0].laws
    assert (kept.judged, kept.passed) == (3, 1)
    assert kept.relative == pytest.approx(2e-5 / (1 + 3e-5), rel=1e-6)


def test_columns_with_gaps_are_not_judged(tmp_path: Path) -> None:
    ta, ps = quiet()["ta"].copy(), quiet()["ps"].copy()
    ta[1, 0, 3, 3], ps[2, 4, 4] = np.nan, np.inf
    world = World(fields={"ta": ta, "ps": ps})
    report = checked(write_world(tmp_path / "a.nc", world), laws=("saturation",))
    (kept,) = report.members[0].laws
    assert (kept.law, kept.judged) == ("saturation", 2)


def test_many_of_them_are_counted(tmp_path: Path) -> None:
    va = quiet()["va"].copy()
    va[1] = np.nan
    (sentence,) = (
        checked(write_world(tmp_path / "a.nc", World(fields={"va": va}))).members[0].faults
    )
    assert sentence.endswith(", and in 21 more rows")


def test_a_member_in_other_units_is_left_out_and_named(tmp_path: Path) -> None:
    folder = files(tmp_path / "in", a=World(units={"ps": "hPa"}), b=World())
    report = checked(folder)
    assert report.members[0].left_out == (
        "a: ps: it is in 'hPa', and must be in 'Pa'; bring the file to it.",
    )
    assert "dry_mass" not in {kept.law for kept in report.members[0].laws}
    assert report.members[1].grade == "A+"
    assert exit_code(report) == 3


@pytest.mark.parametrize("name", ["radius_m", "gravity_ms2", "rotation_period_s"])
def test_a_planet_without_a_constant_is_left_out_and_named(tmp_path: Path, name: str) -> None:
    poor = {key: value for key, value in PLANET.items() if key != f"planet_{name}"}
    folder = files(tmp_path / "in", a=World(planet=poor), b=World())
    report = checked(folder)
    (sentence,) = report.members[0].left_out
    assert sentence.startswith(f"a: planet_{name}: the file or store does not say it")
    assert report.members[1].grade == "A+"


def test_members_on_other_grids_and_layers_are_each_checked_on_their_own(tmp_path: Path) -> None:
    folder = files(tmp_path / "in", a=World(rows=4), b=World(upward=True), c=World(southward=True))
    report = checked(folder)
    assert [one.grade for one in report.members] == ["A+"] * 3


def test_members_of_one_store_may_have_layers_of_their_own(tmp_path: Path) -> None:
    other = World(b_edge=(0.0, 0.4, 0.7, 1.0), times=3)
    files(tmp_path / "in", a=World(), b=other)
    make_store(tmp_path / "in", tmp_path / "a.zarr", members="file", vary=("time", "lev"))
    stored, plain = checked(tmp_path / "a.zarr"), checked(tmp_path / "in")
    assert [one.samples for one in stored.members] == [4, 3]
    for one, other in zip(stored.members, plain.members, strict=True):
        assert (one.left_out, one.faults) == ((), ())
        assert one.laws == other.laws
        assert {"meridional_mass_flux", "angular_momentum"} <= {kept.law for kept in one.laws}


def test_a_member_whose_layers_the_store_could_not_take_is_checked_without_them(
    tmp_path: Path,
) -> None:
    files(tmp_path / "in", a=World(), b=World(b_edge=(0.0, 0.4, 1.0)))
    make_store(tmp_path / "in", tmp_path / "a.zarr", members="file", vary=("lev",))
    whole, part = checked(tmp_path / "a.zarr").members
    assert whole.left_out == ()
    (sentence,) = part.left_out
    assert (
        "member b: hus, ta, ua, va: it lies on lev, lat, lon, and not on layers whose edges"
        in sentence
    )
    assert {"dry_mass", "toa_energy"} <= {kept.law for kept in part.laws}
    assert "va (" in {one.law: one.needs for one in part.unchecked}["meridional_mass_flux"]


def test_a_cut_file_is_named_and_others_are_checked(tmp_path: Path) -> None:
    folder = files(tmp_path / "in", a=World(), b=World())
    data = (folder / "a.nc").read_bytes()
    (folder / "a.nc").write_bytes(data[: len(data) // 2])
    report = checked(folder)
    (sentence,) = report.members[0].left_out
    assert str(folder / "a.nc") in sentence
    assert report.members[1].grade == "A+"
    assert exit_code(report) == 3


def test_where_nothing_can_be_judged_the_check_cannot_be_done(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    with Dataset(path, "w") as file:
        for name, values in (("lat", [-45.0, 45.0]), ("lon", [0.0, 90.0, 180.0, 270.0])):
            file.createDimension(name, len(values))
            file.createVariable(name, "f8", (name,))[:] = values
        file.createVariable("height", "f4", ("lat", "lon"))[:] = 1.0
    assert exit_code(checked(path)) == 78


def test_sources_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"neither a store .* nor a folder with NetCDF"):
        checked(tmp_path / "empty")
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        checked(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="laws: there is no 'dry_mas'; did you mean 'dry_mass'"):
        checked(write_world(tmp_path / "a.nc", World()), laws=("dry_mas",))
    with pytest.raises(ConfigError, match="memory_mib: 1 is too little"):
        CheckSettings(memory_mib=1)


# ----------------------------------------------------------------------------- stores
@pytest.fixture
def store(tmp_path: Path) -> Path:
    drift = World(fields={"ps": drifting(1e-4)})
    files(tmp_path / "in", a=World(), b=drift, c=World())
    make_store(tmp_path / "in", tmp_path / "a.zarr", members="file")
    return tmp_path / "a.zarr"


def test_a_store_gives_the_report_of_its_files(store: Path, tmp_path: Path) -> None:
    stored, plain = checked(store), checked(tmp_path / "in")
    assert [one.name for one in stored.members] == ["a", "b", "c"]
    for one, other in zip(stored.members, plain.members, strict=True):
        assert one.laws == other.laws
    assert (store / ".astrohpc" / "check.json").is_file()
    assert (tmp_path / "in.check" / "check.json").is_file()


def test_a_second_run_reads_nothing_and_says_so(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of(store, CheckSettings())
    first = run(request)
    before = (store / ".astrohpc" / "check.json").stat().st_mtime_ns
    monkeypatch.setattr("astrohpc.quality.run.Opened", None)  # whoever opens the store, fails
    second = run(request)
    assert (first.kept, second.kept) == (False, True)
    assert second.report == first.report
    assert (store / ".astrohpc" / "check.json").stat().st_mtime_ns == before
    with pytest.raises(TypeError):
        run(replace(request, settings=CheckSettings(laws=("dry_mass",))))


def test_another_conversion_is_checked_anew(store: Path, tmp_path: Path) -> None:
    assert checked(store).members[1].grade != "A+"
    write_world(tmp_path / "in" / "b.nc", World())
    make_store(tmp_path / "in", store, members="file")
    assert checked(store).members[1].grade == "A+"


def test_any_number_of_threads_gives_the_same_bytes(store: Path) -> None:
    request = request_of(store, CheckSettings(memory_mib=2048))
    run(request)
    one = (store / ".astrohpc" / "check.json").read_bytes()
    for threads in (2, 5):
        (store / ".astrohpc" / "check.json").unlink()
        run(request, threads)
        assert (store / ".astrohpc" / "check.json").read_bytes() == one


def test_a_stopped_check_goes_on_with_the_members_that_are_left(store: Path) -> None:
    request = request_of(store, CheckSettings())
    whole = run(request).report
    path = store / ".astrohpc" / "check.json"
    want = path.read_bytes()
    path.unlink()
    journal = store / ".astrohpc" / "check-0.jsonl"

    def stop() -> bool:
        return bool(journal.read_text())

    stopped = run(request, stop=stop)
    assert stopped.report is None
    assert not path.exists()
    lines = (store / ".astrohpc" / "check-0.jsonl").read_text().splitlines()
    assert 1 <= len(lines) <= 2
    (store / ".astrohpc" / "check-0.jsonl").write_text("\n".join([*lines, lines[-1][:40]]))
    said: list[str] = []
    again = run(request, say=said.append)
    assert f"{len(lines)} of 3 members are checked already" in said
    assert again.report == whole
    assert path.read_bytes() == want
    assert not list(path.parent.glob("check-*.jsonl"))


def test_a_damaged_chunk_is_named_and_other_members_are_checked(store: Path) -> None:
    shards = sorted((store / "ps").glob("[0-9]*"))
    (store / "ps" / shards[0].name).write_bytes(shards[0].read_bytes()[:-40])
    report = checked(store)
    left = [text for one in report.members for text in one.left_out]
    assert left and "ps" in left[0]
    assert exit_code(report) in (3, 78)


def test_what_a_partial_store_lacks_is_named_and_the_rest_is_checked(store: Path) -> None:
    shard = next((store / "va").glob("[0-9]*"))
    shard.unlink()
    journal = store / ".astrohpc" / "journal.jsonl"
    lines = [line for line in journal.read_text().splitlines() if f"va/{shard.name}" not in line]
    journal.write_text("".join(f"{line}\n" for line in lines))
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["astrohpc_state"] = "partial"
    root["consolidated_metadata"]["metadata"]["va"]["fill_value"] = "NaN"
    (store / "zarr.json").write_text(json.dumps(root))
    report = checked(store)
    assert "note: the store says that it is partial" in text(report)
    (sentence,) = report.members[0].faults
    assert sentence.startswith("member a: va is nan at time 0, level 0, lat 0, lon 0; ")
    assert "meridional_mass_flux" not in {k.law for k in report.members[0].laws if k.judged}
    assert next(k for k in report.members[0].laws if k.law == "dry_mass").passed == 4


def test_a_store_whose_conversion_did_not_end_is_refused(store: Path) -> None:
    root = json.loads((store / "zarr.json").read_text())
    del root["consolidated_metadata"]
    (store / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(ConfigError, match="did not come to an end"):
        checked(store)


def test_memory_does_not_grow_with_the_length_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astrohpc.quality.subject.BLOCK_BYTES", 2**16)
    checked(write_world(tmp_path / "warm.nc", World(times=3)))
    peaks, sizes = [], []
    for times in (250, 750):  # curves have their 240 points in both
        path = write_world(tmp_path / f"{times}.nc", World(times=times))
        sizes.append(path.stat().st_size)
        tracemalloc.start()
        checked(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The file's own index of its chunks does grow.
    assert peaks[1] - peaks[0] < 0.2 * (sizes[1] - sizes[0])


# ----------------------------------------------------------------------------- reports
def test_a_report_is_read_back_as_it_was(tmp_path: Path) -> None:
    report = checked(write_world(tmp_path / "a.nc", World(fields={"ps": drifting(1e-5)})))
    assert read_report(tmp_path / "a.check" / "check.json").grade == report.grade
    found = read_report(tmp_path / "a.check" / "check.json")
    assert found.provenance["files"] == report.provenance["files"]
    assert found.members[0].name == "a.nc"
    (tmp_path / "a.check" / "check.json").write_text("{}")
    with pytest.raises(ConfigError, match="is no report of a check"):
        read_report(tmp_path / "a.check" / "check.json")


def page(paths: Sequence[Path], **settings: Any) -> str:
    request = request_of(paths[0], CheckSettings(**settings), more=paths[1:])
    outcome = run(request)
    assert outcome.report is not None
    made = write_page(request, outcome.report)
    before = made.stat().st_mtime_ns
    assert write_page(request, outcome.report).stat().st_mtime_ns == before
    return made.read_text()


def test_the_page_has_a_picture_of_each_law_and_a_grade_of_each_member(tmp_path: Path) -> None:
    a = write_world(tmp_path / "a.nc", World(attributes={"title": "a <synthetic> climate"}))
    b = write_world(tmp_path / "b.nc", World(fields={"ps": drifting(1e-4)}))
    html = page([a, b])
    report = checked(a, b)
    judged = [law.name for law in report.laws if report.of_law(law.name)]
    assert html.count("data:image/png;base64,") == len(judged) >= 2
    assert '<p class="mark">synthetic' in html
    assert "<td>a.nc</td><td>A+</td>" in html
    assert "<td>b.nc</td>" in html
    assert "<b>all</b>" in html
    assert html.index("<h2>Left out") < html.index("<h2>Laws") < html.index("<h2>Members")


def test_a_page_without_marks_of_toys_has_none(tmp_path: Path) -> None:
    assert "synthetic" not in page([write_world(tmp_path / "a.nc", World())])


def test_explaining_names_what_is_lacking_and_writes_nothing(tmp_path: Path) -> None:
    path = write_world(tmp_path / "a.nc", World(fields={"va": None}, units={"rlut": "K"}))
    columns, rows, notes = explained(request_of(path, CheckSettings()))
    by_law = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    assert by_law.keys() == BUDGETS.keys()
    assert by_law["dry_mass"]["checked"] == "1 of 1"
    assert by_law["meridional_mass_flux"]["needs"] == "va"
    assert any("4 samples" in note for note in notes)
    assert not (tmp_path / "a.check").exists()
