"""Making and growing sweeps: ids from physics only, neighbours share, an interrupted extension heals."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support import FakeClock, make_planet

from astrohpc.engines.load import load_engine
from astrohpc.errors import ConfigError
from astrohpc.launch.compose import compose
from astrohpc.launch.sweeping import open_session
from astrohpc.sweep.create import append_branches, create_or_extend, design_digest
from astrohpc.sweep.members import Member, member_id, read_table, write_table
from astrohpc.sweep.session import Session

Open = Callable[..., Session]


@pytest.fixture
def opened(tmp_path: Path, clock: FakeClock) -> Open:
    def opened(*overrides: str) -> Session:
        return open_session(compose([f"runs={tmp_path}", "sweep.n=8", *overrides]), clock)

    return opened


def made(session: Session) -> tuple[list[Member], int]:
    return create_or_extend(session, ["test"])


def branch(session: Session, row: Member, index: int) -> Member:
    """A remedy of a row, as the policy makes it."""
    overrides = {"step_days": 2.5}
    ident = member_id(row.planet, load_engine(session.config.engine, overrides))
    return replace(row, index=index, id=ident, branch_of=row.id, overrides=overrides)


def test_ids_follow_from_physics_and_nothing_else(opened: Open) -> None:
    ids = [member.id for member in made(opened("sweep.name=a"))[0]]
    other = opened(
        "sweep.name=b", "allocation=single", "policy.breaker=9", "engine.checkpoint_seconds=7"
    )
    assert [member.id for member in made(other)[0]] == ids
    warmer = opened("sweep.name=c", "engine.start=cold")
    assert not set(ids) & {member.id for member in made(warmer)[0]}


def test_the_same_planet_written_in_other_units_is_the_same_member() -> None:
    engine = load_engine(compose([])["engine"])
    a = make_planet(radius="1.2 R_earth", surface_pressure="1 bar", co2="400 ppm")
    b = make_planet(radius="7653.72 km", surface_pressure="1000 hPa", co2=4e-4)
    assert member_id(a, engine) == member_id(b, engine)
    assert member_id(a, engine) != member_id(make_planet(radius="1.2001 R_earth"), engine)


def test_the_table_gives_back_the_same_bits(tmp_path: Path) -> None:
    planet = make_planet(radius="1.23456789 R_earth", co2=1 / 3)
    rows = [
        Member(0, "a" * 16, planet, "Proxima b"),
        Member(
            1, "b" * 16, replace(planet, orbital_period_s=None), "", "a" * 16, {"step_days": 2.5}
        ),
    ]
    write_table(tmp_path / "members.tsv", rows)
    assert read_table(tmp_path / "members.tsv") == rows
    assert read_table(tmp_path / "members.tsv", range(1, 9)) == rows[1:]


@pytest.mark.parametrize(
    "damage", ["", "index\tid\n0\tx\n", "\x00\x01", "index\tid\tlabel\nz\ty\tx\n"]
)
def test_a_damaged_table_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "members.tsv"
    path.write_text(damage)
    with pytest.raises(ConfigError, match=r"members cannot be read .* restore the file"):
        read_table(path)


def test_a_second_time_makes_nothing(opened: Open) -> None:
    first, fresh = made(opened())
    assert fresh == 8
    before = {p: p.stat().st_mtime_ns for p in opened().folder.path.iterdir() if p.is_file()}
    again, fresh = made(opened())
    assert (again, fresh) == (first, 0)
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_larger_n_appends_and_a_smaller_one_keeps_all(opened: Open) -> None:
    first, _ = made(opened())
    grown, fresh = made(opened("sweep.n=12"))
    assert (grown[:8], fresh) == (first, 4)
    assert [member.index for member in grown] == list(range(12))
    assert made(opened("sweep.n=4")) == (grown, 0)


def test_a_latin_hypercube_grows_by_blocks_that_stay(opened: Open) -> None:
    lhs = "sweep.design=lhs"
    first, _ = made(opened(lhs))
    second, _ = made(opened(lhs, "sweep.n=12"))
    third, fresh = made(opened(lhs, "sweep.n=15"))
    assert (second[:8], third[:12], fresh) == (first, second, 3)


def test_an_interrupted_extension_heals(opened: Open) -> None:
    made(opened("sweep.design=lhs"))
    session = opened("sweep.design=lhs", "sweep.n=12")
    table = session.folder.table.read_bytes()
    whole, _ = made(session)
    session.folder.table.write_bytes(table)  # as if killed before the table was replaced
    assert made(opened("sweep.design=lhs", "sweep.n=12")) == (whole, 4)
    assert session.ledger.fold().blocks == [8, 4]


def test_an_interrupted_creation_begins_anew(opened: Open) -> None:
    session = opened()
    first, _ = made(session)
    session.folder.table.unlink()
    assert made(opened()) == (first, 8)
    assert session.ledger.fold().blocks == [8]


def test_other_physics_under_the_same_name_is_refused(opened: Open) -> None:
    made(opened())
    with pytest.raises(
        ConfigError, match=r"exists with other physics .* choose another sweep.name"
    ):
        made(opened("engine.start=cold"))
    with pytest.raises(ConfigError, match="other physics"):
        made(opened("sweep.seed=9"))


def test_a_table_that_grows_adds_its_new_planets_only(opened: Open, tmp_path: Path) -> None:
    table = tmp_path / "planets.csv"
    table.write_text("name,stellar_flux\nA,1000 W/m2\nB,1100 W/m2\n")
    fixed = (
        "radius=1 R_earth",
        "gravity=9.8 m/s2",
        "rotation_period=1 d",
        "surface_pressure=1 bar",
    )
    air_and_star = ("co2=0", "ch4=0", "stellar_temperature=5772 K", "orbital_period=365.25 d")
    words = ["sweep=table", f"sweep.file={table}", "sweep.n=null"]
    words += [f"sweep.fixed.{word}" for word in (*fixed, *air_and_star)]
    first, _ = made(opened(*words))
    assert [member.label for member in first] == ["A", "B"]
    table.write_text("name,stellar_flux\nA,1000 W/m2\nB,1100 W/m2\nC,1200 W/m2\n")
    grown, fresh = made(opened(*words))
    assert (grown[:2], fresh, grown[2].label) == (first, 1, "C")


def test_what_two_sweeps_have_in_common_lies_in_one_folder(opened: Open) -> None:
    a, b = opened("sweep.name=a"), opened("sweep.name=b", "sweep.n=12")
    mine, _ = made(a)
    theirs, _ = made(b)
    for member in mine:
        assert b.folder.member(member.id).resolve() == a.folder.member(member.id).resolve()
    assert not b.folder.member(theirs[11].id).exists()
    assert set(b.ledger.fold().shared) == set(range(8))
    assert set(b.ledger.fold().shared.values()) == {"a"}


def test_sharing_can_be_refused(opened: Open) -> None:
    a, b = opened("sweep.name=a"), opened("sweep.name=b", "share=false")
    mine, _ = made(a)
    made(b)
    assert not b.folder.member(mine[0].id).is_symlink()


def test_provenance_names_commit_versions_and_digests(opened: Open) -> None:
    from astrohpc.sweep import provenance

    session = opened()
    made(session)
    made(opened("sweep.n=9"))
    first, second = provenance.read(session.folder)
    assert first["command"] == ["test"]
    assert any(package.startswith("numpy==") for package in first["packages"])
    assert first["config_digest"] != second["config_digest"]
    assert provenance.differences(first, second) == []
    assert provenance.differences(first, {**second, "python": "2.7"}) == [
        f"Python was {first['python']}, is 2.7"
    ]


def test_an_extension_interrupted_before_its_table_heals_although_branches_came_between(
    opened: Open,
) -> None:
    made(opened("sweep.n=4"))
    session = opened("sweep.n=5")
    session.ledger.append("extended", members=1, digest=design_digest(session))
    before = opened("sweep.n=4")
    rows = read_table(before.folder.table)
    append_branches(before, rows, [branch(before, rows[0], 4)])
    members, fresh = made(opened("sweep.n=5"))
    assert fresh == 1
    assert [bool(member.branch_of) for member in members] == [False] * 4 + [True, False]
    assert [member.index for member in read_table(session.folder.table)] == list(range(6))


def test_a_rerun_has_rows_of_its_own_that_stay(opened: Open) -> None:
    """The original's branches are not rerun, so its indices have gaps; the rerun's count from 0."""
    original = opened()
    members, _ = made(original)
    append_branches(original, members, [branch(original, members[0], 8)])
    extended, _ = made(opened("sweep.n=16"))
    again = opened(
        "sweep.n=16", "sweep.name=again", f"rerun_of={original.folder.path}", "share=false"
    )
    rows, fresh = made(again)
    assert fresh == 16
    assert [row.index for row in rows] == list(range(16))
    assert {row.id for row in rows} == {m.id for m in extended if not m.branch_of}
    append_branches(again, rows, [branch(again, rows[3], 16)])
    kept, fresh = made(again)
    assert (len(kept), fresh) == (17, 0)


def test_a_neighbour_that_is_not_ours_is_not_shared_with(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, mine = opened("sweep.name=theirs"), opened("sweep.name=mine")
    made(theirs)
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: path != theirs.folder.members and real(path, mode)
    )
    members, _ = made(mine)
    assert not any(mine.folder.member(member.id).is_symlink() for member in members)


@pytest.mark.parametrize("lost", [0, 1, 2])
@pytest.mark.parametrize("kind", ["sobol", "lhs"])
def test_a_ledger_that_lost_how_the_design_grew_goes_on(opened: Open, kind: str, lost: int) -> None:
    """What the ledger's own sentence promises, where the line of 'created' or 'extended' is removed."""
    words = (f"sweep.design={kind}",)
    for n in (4, 7, 12):
        before, _ = made(opened(*words, f"sweep.n={n}"))
    path = opened().folder.ledger
    lines = [line for line in path.read_text().splitlines() if '"digest"' in line]
    path.write_text("".join(f"{line}\n" for i, line in enumerate(lines) if i != lost))
    assert made(opened(*words, "sweep.n=12")) == (before, 0)
    grown, fresh = made(opened(*words, "sweep.n=14"))
    assert (grown[:12], fresh) == (before, 2)
    assert made(opened(*words, "sweep.n=14")) == (grown, 0)


def test_a_row_that_is_not_what_its_id_says_is_refused(opened: Open) -> None:
    session = opened()
    members, _ = made(session)
    append_branches(session, members, [branch(session, members[0], 8)])
    assert made(opened())[1] == 0
    for number in (2, 8):
        changed = [
            replace(m, planet=make_planet(radius="7000 km")) if m.index == number else m
            for m in members
        ]
        write_table(session.folder.table, changed)
        with pytest.raises(ConfigError, match=rf"members.tsv: member {number} .* restore the file"):
            made(opened())
    write_table(session.folder.table, members)
    with pytest.raises(ConfigError, match="exists with other physics"):
        made(opened("engine.step_days=2.5"))


def test_folders_that_were_removed_are_made_again(opened: Open) -> None:
    session = opened()
    made(session)
    for folder in (session.folder.scripts, session.folder.logs):
        folder.rmdir()
    assert made(opened())[1] == 0
    assert session.folder.scripts.is_dir()
    assert session.folder.logs.is_dir()
