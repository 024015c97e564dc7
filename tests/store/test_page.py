import base64
import io
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset
from PIL import Image
from support import make_planet
from support_page import LAT, make_store, write_climate

from astrohpc.engines.record import CLIMATE
from astrohpc.store.glance import open_store
from astrohpc.store.page import PAGE, Circumstances, mark_of, write_page
from astrohpc.store.scenes import Curve, Field, axes_of, is_pictured, scene
from astrohpc.sweep.folder import SweepFolder
from astrohpc.sweep.members import Member, write_table
from astrohpc.sweep.state import Attempt, State
from astrohpc.sweep.state import write as write_state

MADE = Circumstances("2026-01-01T00:00:00Z", "c0ffee")
_VOID = {"meta", "img", "br"}


class _Page(HTMLParser):
    """Reads a page strictly: every tag is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: dict[str, bytes] = {}
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "img":
            source = known["src"] or ""
            assert source.startswith("data:image/png;base64,")
            self.images[known["alt"] or ""] = base64.b64decode(
                source.partition(",")[2], validate=True
            )
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.fetched += [v for k, v in attrs if k in ("src", "href", "action") and v]
        assert tag not in ("script", "link", "iframe")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.open and self.open[-1] in ("td", "th", "a") and "tr" in self.open:
            self.rows[-1][-1] += data

    def cells(self, array: str) -> dict[str, str]:
        (row,) = [row for row in self.rows if row[0].partition(" [")[0] == array]
        return dict(zip(self.rows[0], row, strict=True))


def read(target: Path) -> _Page:
    found = _Page((target / ".astrohpc" / PAGE).read_text(encoding="utf-8"))
    assert found.open == []
    return found


@pytest.fixture
def two_members(tmp_path: Path) -> Path:
    for k, name in enumerate(("hot", "cold")):
        write_climate(tmp_path / "runs" / name / "a.nc", -100.0 * k, title="Synthetic world")
    return tmp_path / "runs"


def test_every_variable_has_one_picture_and_axes_have_none(
    two_members: Path, tmp_path: Path
) -> None:
    request, report = make_store(two_members, tmp_path / "s.zarr")
    assert write_page(request, report, MADE, lambda: False) == request.target / ".astrohpc" / PAGE
    found = read(request.target)
    assert set(found.images) == {"ta", "ps", "flux"}
    for png in found.images.values():
        picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10  # something is on it
    arrays = {row[0].partition(" [")[0] for row in found.rows[1:]}
    assert arrays == {
        "time",
        "lev",
        "lat",
        "lon",
        "lat_bnds",
        "ta",
        "ps",
        "flux",
        "radius",
        "member",
    }
    assert all(link.startswith(("data:", "#p-")) for link in found.fetched)


def test_numbers_in_the_table_are_those_of_the_values(two_members: Path, tmp_path: Path) -> None:
    request, report = make_store(two_members, tmp_path / "s.zarr")
    write_page(request, report, MADE, lambda: False)
    found = read(request.target)
    ta, ps = found.cells("ta"), found.cells("ps")
    assert (ta["least"], ta["greatest"], ta["mean"]) == ("100", "902", "501")
    assert (ta["missing"], ta["shape"]) == ("0", "member 2 × time 3 × lev 2 × lat 4 × lon 8")
    assert (ps["least"], ps["missing"]) == ("100000", "6 (3.1 %)")
    assert found.cells("radius")["mean"] == "7"
    assert found.cells("member")["least"] == "—"


def test_numbers_of_packed_values_are_what_they_mean(tmp_path: Path) -> None:
    with Dataset(tmp_path / "p.nc", "w") as file:
        file.createDimension("time", None)
        file.createDimension("x", 9000)
        file.createVariable("time", "f8", ("time",))[:] = [0.0, 1.0]
        file["time"].units = "days since 0001-01-01"
        packed = file.createVariable("t", "i2", ("time", "x"), fill_value=-999)
        packed.setncatts({"scale_factor": -0.5, "add_offset": 300.0})
        packed.set_auto_maskandscale(False)
        packed[:] = np.repeat([[10], [20]], 9000, axis=1)
        packed[0, 0] = -999
    request, report = make_store(tmp_path / "p.nc", tmp_path / "s.zarr")
    write_page(request, report, MADE, lambda: False)
    cells = read(request.target).cells("t")
    assert (cells["least"], cells["greatest"]) == ("290", "295")
    assert cells["missing"] == "1 (0.0056 %)"


def test_what_was_left_out_comes_first_and_text_of_files_is_no_markup(
    two_members: Path, tmp_path: Path
) -> None:
    (two_members / "hot" / "broken<b>.nc").write_bytes(b"CDF\x01 cut")
    request, report = make_store(two_members, tmp_path / "s.zarr")
    assert report.refused
    write_page(request, report, MADE, lambda: False)
    text = " ".join(read(request.target).words)
    assert text.index("Left out (") < text.index(report.refused[0].sentence) < text.index("Arrays")
    assert "partial" in text


def test_what_calls_itself_synthetic_is_called_so(two_members: Path, tmp_path: Path) -> None:
    request, report = make_store(two_members, tmp_path / "s.zarr")
    write_page(request, report, MADE, lambda: False)
    text = (request.target / ".astrohpc" / PAGE).read_text()
    assert '<caption class="mark">synthetic</caption>' in text
    assert mark_of({"comment": "a SYNTHETIC field"}) == "synthetic"
    assert mark_of({"per_member": {"source": ["ModelE", "synthetic"]}}) == "synthetic"
    assert mark_of({"title": "Climate of a planet", "institution": "synthetic"}) == ""
    write_climate(tmp_path / "real.nc")
    other, result = make_store(tmp_path / "real.nc", tmp_path / "r.zarr")
    write_page(other, result, MADE, lambda: False)
    assert "synthetic" not in (other.target / ".astrohpc" / PAGE).read_text()


def test_page_says_by_which_code_from_what_and_when(two_members: Path, tmp_path: Path) -> None:
    request, report = make_store(two_members, tmp_path / "s.zarr", read="map")
    write_page(request, report, MADE, lambda: False)
    text = " ".join(read(request.target).words)
    for word in (
        MADE.when,
        MADE.commit,
        "2 files",
        "2 members",
        "hot",
        "read: map",
        str(two_members),
    ):
        assert word in text


def test_page_of_an_unchanged_store_stays_and_of_a_changed_one_is_made_again(
    two_members: Path, tmp_path: Path
) -> None:
    request, report = make_store(two_members, tmp_path / "s.zarr")
    path = write_page(request, report, MADE, lambda: False)
    assert path is not None
    before = path.read_bytes()
    later = Circumstances("2027-01-01T00:00:00Z", "c0ffee")
    write_page(request, replace(report, seconds=99.0), later, lambda: False)
    assert path.read_bytes() == before
    write_page(request, replace(report, notes=("something new",)), later, lambda: False)
    assert b"something new" in path.read_bytes()


def test_who_is_asked_to_stop_makes_no_page(two_members: Path, tmp_path: Path) -> None:
    request, report = make_store(two_members, tmp_path / "s.zarr")
    assert write_page(request, report, MADE, lambda: True) is None
    assert not (request.target / ".astrohpc" / PAGE).exists()


def test_one_picture_that_fails_costs_only_itself(
    two_members: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, report = make_store(two_members, tmp_path / "s.zarr")
    shard = next(path for path in open_store(request.target)[1]["ta"].files())
    shard.write_bytes(b"x" * shard.stat().st_size)
    write_page(request, report, MADE, lambda: False)
    found = read(request.target)
    assert set(found.images) == {"ps", "flux"}
    assert any("ta: could not be drawn" in word for word in found.words)


def test_picture_shows_the_lowest_layer_last_time_and_means_by_area(
    two_members: Path, tmp_path: Path
) -> None:
    request, _ = make_store(two_members, tmp_path / "s.zarr")
    arrays = open_store(request.target)[1]
    plan, section, means = scene(arrays["ta"], axes_of(arrays["ta"], arrays)).panels
    assert isinstance(plan, Field)
    assert plan.title.startswith("member ")
    assert plan.title.endswith("last time, lev 900 hPa")
    first = str(plan.title.split()[1].rstrip(","))
    shift = {"hot": 0.0, "cold": -100.0}
    np.testing.assert_array_equal(plan.values, np.full((4, 8), 902.0 + shift[first]))
    assert isinstance(section, Field)
    np.testing.assert_allclose(section.values[0], 202.0 + shift[first])
    assert isinstance(means, Field)
    assert list(means.y.values) == [str(one) for one in arrays["member"].whole()]
    for name, row in zip(means.y.values, means.values, strict=True):
        np.testing.assert_allclose(row, 900.0 + np.arange(3) + shift[name])


def test_means_leave_out_what_is_missing_and_weigh_by_area(tmp_path: Path) -> None:
    write_climate(tmp_path / "a.nc")
    with Dataset(tmp_path / "a.nc", "a") as file:
        file["ps"][:] = np.abs(LAT)[:, None] * np.ones((3, 4, 8))
        file["ps"][:, 0] = np.ma.masked
    request, _ = make_store(tmp_path / "a.nc", tmp_path / "s.zarr")
    arrays = open_store(request.target)[1]
    field, curve = scene(arrays["ps"], axes_of(arrays["ps"], arrays)).panels
    assert isinstance(field, Field)
    assert np.isnan(field.values[0]).all()
    assert isinstance(curve, Curve)
    weights = np.cos(np.radians(LAT[1:]))
    np.testing.assert_allclose(curve.values, np.average(np.abs(LAT[1:]), weights=weights))


@pytest.mark.parametrize("read_as", ["sample", "map", "series"])
@pytest.mark.parametrize("codec", ["planes", "blosc", "lz4", "none"])
def test_values_are_read_back_as_they_were_from_any_layout(
    tmp_path: Path, read_as: str, codec: str
) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(5, 3, 90, 70)).astype("f4")
    with Dataset(tmp_path / "a.nc", "w") as file:
        dims = ("time", "z", "y", "x")
        for name, size in zip(dims, values.shape, strict=True):
            file.createDimension(name, size)
        file.createVariable("v", "f4", dims)[:] = values
    request, _ = make_store(tmp_path / "a.nc", tmp_path / "s.zarr", read=read_as, codec=codec)
    stored = open_store(request.target)[1]["v"]
    picks = [np.array(one) for one in ([0, 4], [1], [3, 4, 89], [0, 69, 68])]
    np.testing.assert_array_equal(stored.take(picks), values[np.ix_(*picks)])
    np.testing.assert_array_equal(stored.whole(), values)


def test_large_fields_are_thinned_and_say_so(tmp_path: Path) -> None:
    with Dataset(tmp_path / "a.nc", "w") as file:
        for name, size in (("lat", 400), ("lon", 800)):
            file.createDimension(name, size)
        file.createVariable("v", "f4", ("lat", "lon"))[:] = np.arange(400)[:, None] * np.ones(800)
    request, _ = make_store(tmp_path / "a.nc", tmp_path / "s.zarr")
    arrays = open_store(request.target)[1]
    (field,) = scene(arrays["v"], axes_of(arrays["v"], arrays)).panels
    assert isinstance(field, Field)
    assert field.values.shape == (134, 267)
    assert "one of 3 places shown" in field.title
    np.testing.assert_array_equal(field.values[:, 0], np.arange(0, 400, 3))


def test_helpers_and_single_numbers_are_not_pictured(two_members: Path, tmp_path: Path) -> None:
    request, _ = make_store(two_members, tmp_path / "s.zarr")
    arrays = open_store(request.target)[1]
    assert not is_pictured(arrays["radius"], arrays, [])
    assert not is_pictured(arrays["lat_bnds"], arrays, [])
    assert is_pictured(arrays["flux"], arrays, [])
    assert not is_pictured(arrays["flux"], arrays, ["flux"])


def _job(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "astrohpc.jobs.convert", *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)


def test_job_makes_the_page_at_its_end_unless_told_not_to(
    two_members: Path, tmp_path: Path
) -> None:
    done = _job(two_members, tmp_path / "s.zarr", "--threads", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(read(tmp_path / "s.zarr").images) == {"ta", "ps", "flux"}
    settings = tmp_path / "settings.json"
    settings.write_text('{"page": false, "threads": 1}')
    done = _job(two_members, tmp_path / "n.zarr", "--settings", settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "n.zarr" / ".astrohpc" / PAGE).exists()


def test_page_does_not_decide_what_a_store_is(two_members: Path, tmp_path: Path) -> None:
    make_store(two_members, tmp_path / "s.zarr", page=False)
    _, again = make_store(two_members, tmp_path / "s.zarr", page=True)
    assert again.made == 0


def test_a_sweep_has_a_copy_among_its_reports(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "worlds")
    folder.make()
    member = Member(0, "abcdef", make_planet())
    write_table(folder.table, [member])
    where = folder.member(member.id)
    write_climate(where / CLIMATE, title="Climate of a planet")
    done = Attempt(n=1, job="1", host="here", started=0.0, ended=1.0, outcome="done")
    write_state(where, State(id=member.id, index=0, attempts=(done,)))
    ended = _job(folder.path, folder.path / "store.zarr", "--threads", 1)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    copied = (folder.reports / "store.html").read_text(encoding="utf-8")
    assert copied == (folder.path / "store.zarr" / ".astrohpc" / PAGE).read_text(encoding="utf-8")
    assert "<h1>sweep worlds</h1>" in copied


def test_page_that_fails_leaves_the_conversion_as_it_is(two_members: Path, tmp_path: Path) -> None:
    (tmp_path / "s.zarr" / ".astrohpc" / PAGE / "in the way").mkdir(parents=True)
    done = _job(two_members, tmp_path / "s.zarr", "--threads", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the report page could not be made (IsADirectoryError" in done.stdout
    assert "complete: every shard was proved" in done.stdout
    assert done.stderr == ""
