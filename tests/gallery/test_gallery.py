"""The gallery shows what was kept, in the same words wherever it is read."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import REPOSITORY
from support_quality import LEVELS, World, quiet, write_world

from astrohpc.augment.spectra_policy import SpectraPolicy
from astrohpc.errors import ConfigError
from astrohpc.gallery.exhibit import Exhibit, Kept, Room, grade_of
from astrohpc.gallery.fields import fields_room, read_climate
from astrohpc.gallery.page import DOCS_PAGE, DOCS_PICTURES, PAGE, as_line, lines, write_page
from astrohpc.gallery.spectra import spectrum_room
from astrohpc.gallery.spectrum_files import SYNTHETIC, synthetic_spectrum
from astrohpc.launch import gallery as verb
from astrohpc.launch.cli import main
from astrohpc.store.pictures import drawing

MOST_BYTES = 400_000  # of all pictures in the docs


def climate(path: Path, **changes: object) -> Path:
    """A made climate with weather, of which every number is known to be no result."""
    draws = np.random.default_rng(3)
    fields = quiet()
    for name, size in (("ta", 10.0), ("ua", 5.0), ("va", 5.0), ("ps", 500.0)):
        fields[name] = fields[name] + size * draws.normal(size=fields[name].shape)
    fields["hus"] = fields["hus"] * draws.uniform(0.5, 1.5, size=fields["hus"].shape)
    world = World(fields=fields, attributes={"title": "synthetic weather"})
    return write_world(path, replace(world, **changes))


def rows_of(page: Path) -> list[tuple[str, ...]]:
    """The rows of all tables of a page in the docs, without headings."""
    found = [
        tuple(cell.strip() for cell in line.strip().strip("|").split(" | "))
        for line in page.read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| what")
    ]
    return [tuple(cell.strip() for cell in row) for row in found]


def test_the_page_of_the_docs_says_what_the_command_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = climate(tmp_path / "made.nc")
    docs = tmp_path / "docs"
    assert main(["augment", f"source={source}", "--docs", str(docs)]) == 0
    said = capsys.readouterr().out
    page = docs / DOCS_PAGE
    rows = rows_of(page)
    assert len(rows) > 40
    printed = [line.strip() for line in said.splitlines() if line.startswith("    ")]
    assert [as_line(row) for row in rows] == printed
    text = page.read_text()
    assert "`python -m astrohpc.launch augment source=made.nc`" in text
    for picture in re.findall(r"\]\((.+?)\)", text):
        assert (docs / picture).read_bytes().startswith(b"\x89PNG")
    assert text.count(f"**{SYNTHETIC}: this is no measurement.**") == 2
    assert text.count(f"| what ({SYNTHETIC}) |") == 12


def test_the_committed_page_has_its_pictures_and_kept_all_that_it_declares() -> None:
    docs = REPOSITORY / "docs"
    text = (docs / DOCS_PAGE).read_text()
    pictures = re.findall(rf"\]\(({DOCS_PICTURES}/.+?\.png)\)", text)
    assert len(pictures) == 12
    assert sum((docs / one).stat().st_size for one in pictures) <= MOST_BYTES
    assert sorted(p.name for p in (docs / DOCS_PICTURES).iterdir()) == sorted(
        Path(one).name for one in pictures
    )
    rows = rows_of(docs / DOCS_PAGE)
    verdicts = [row[-1] for row in rows]
    assert set(verdicts) == {"kept", "told"}
    for row in rows:
        if row[-1] == "kept":
            assert abs(float(row[4])) <= float(row[5])


def test_every_transformation_of_a_climate_keeps_what_it_declares(tmp_path: Path) -> None:
    with drawing():
        room = fields_room(read_climate(climate(tmp_path / "made.nc")), 5)
    assert room.mark == SYNTHETIC
    assert [one.key for one in room.exhibits] == [
        f"fields-{name}" for name in ("jitter", "elastic", "mixup", "cutmix", "noise", "chain")
    ]
    for one in room.exhibits:
        judged = [kept for kept in one.kept if kept.judged]
        assert len(judged) == 6, one.key
        assert all(kept.passed for kept in judged), one.key
        assert one.grade == "A+"
    mixed = {kept.what: kept for kept in room.exhibits[2].kept}["mass of dry air"]
    assert abs(mixed.wanted - mixed.before) > 1e-6 * mixed.before, "the partner counts"


def test_every_transformation_of_a_spectrum_is_shown_alone_and_then_all_together() -> None:
    with drawing():
        room = spectrum_room(synthetic_spectrum(600), SpectraPolicy(), 5)
        calm = spectrum_room(synthetic_spectrum(600), SpectraPolicy(gaps=0, snr=()), 5)
    names = ["shift", "resolution", "response", "noise", "gaps", "chain"]
    assert [one.key for one in room.exhibits] == [f"spectrum-{name}" for name in names]
    assert [one.key for one in calm.exhibits] == [
        f"spectrum-{name}" for name in ("shift", "resolution", "response", "chain")
    ]
    assert grade_of(room.exhibits) == "A+"
    places = [kept for one in room.exhibits for kept in one.kept if kept.what.endswith("place")]
    assert len(places) == 2
    assert all(kept.limit == 1e-4 for kept in places)


def test_a_synthetic_spectrum_is_marked_in_every_picture() -> None:
    from io import BytesIO

    from PIL import Image

    spectrum = synthetic_spectrum(300)
    with drawing():
        marked = spectrum_room(spectrum, SpectraPolicy(), 5).exhibits
        plain = spectrum_room(replace(spectrum, mark=""), SpectraPolicy(), 5).exhibits
    for one, other in zip(marked, plain, strict=True):
        corners = [
            np.asarray(Image.open(BytesIO(png)).convert("RGB"))[:20, -100:]
            for png in (one.png, other.png)
        ]
        red = [int(((c[..., 0] > 150) & (c[..., 1] < 100)).sum()) for c in corners]
        assert red[0] > 50
        assert red[1] == 0


def test_a_number_that_missed_is_said_so_and_ends_with_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = Kept("mass", "kg", 2.0, 2.0, 2.0 + 1e-7, 2.0)
    bad = Kept("water", "kg", 1.0, 1.0, 1.1, 1.0)
    told = Kept("noise", "", 0.0, 1.0, 3.0, 1.0, None)
    assert (good.passed, bad.passed, told.passed) == (True, False, False)
    exhibit = Exhibit("x", "Loss", "a tenth", "mass", (good, bad, told), b"\x89PNG")
    assert exhibit.grade == "F"
    assert list(lines(Room("r", "Room", "made up", "", (exhibit,)))) == [
        "Room: grade F",
        "  Loss: a tenth. Grade F. Keeps mass.",
        "    mass [kg]: 2 → 2.0000001, wanted 2, off +5.0e-08 of 1e-06, kept",
        "    water [kg]: 1 → 1.1, wanted 1, off +1.0e-01 of 1e-06, MISSED",
        "    noise: 0 → 3, wanted 1, off +2.0e+00, told",
    ]
    monkeypatch.setattr(verb, "_rooms", lambda _: [Room("r", "Room", "made up", "", (exhibit,))])
    assert main(["augment", f"target={tmp_path / 'shown'}"]) == 3
    assert "MISSED" in capsys.readouterr().out
    text = (tmp_path / "shown" / PAGE).read_text()
    assert "MISSED" in text
    assert "data:image/png;base64" in text
    assert (tmp_path / "shown" / "x.png").exists()


def test_a_page_escapes_what_files_say(tmp_path: Path) -> None:
    room = Room("r", "<script>", "a & b", "", ())
    text = write_page(tmp_path, [room], {"seed": "<1>"}).read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "a &amp; b" in text
    assert "&lt;1&gt;" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"times": 2, "fields": {}}, "has 2 times, and jitter needs 3"),
        ({"fields": {"va": None}}, "lacks va, which the gallery shows"),
        ({"units": {"ta": "degC"}}, "lacks ta (it is in 'degC'"),
        ({"planet": {}}, "planet_radius_m"),
    ],
)
def test_a_climate_that_cannot_be_shown_says_what_it_lacks(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    path = climate(tmp_path / "made.nc", **changes)
    with pytest.raises(ConfigError) as error:
        read_climate(path)
    assert said in str(error.value)


def test_a_gap_in_a_climate_is_named_with_its_place(tmp_path: Path) -> None:
    values = np.full((4, LEVELS, 8, 12), 250.0)
    values[2, 1, 3, 4] = np.nan
    path = climate(tmp_path / "made.nc", fields={"ta": values})
    with pytest.raises(ConfigError, match=r"ta: is nan in .* level 1, row 3, column 4"):
        fields_room(read_climate(path), 1)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("source=nowhere.nc", "nowhere.nc"),
        ("spectrum=nowhere.csv", "nowhere.csv: there is no such file"),
        ("seed=-1", "seed: -1 is not within"),
        ("spectra.snr=[0,1]", "spectra.snr"),
        ("spectra.shifft=0.1", "spectra.shifft"),
    ],
)
def test_a_mistake_is_one_sentence(
    word: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["augment", word, f"target={tmp_path}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1, err
    assert said in err
