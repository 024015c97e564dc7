"""The model's own files without the model: growing output, joined legs, restarts, and equilibrium."""

import struct
from pathlib import Path

import numpy as np
import pytest
from support import make_planet
from support_exoplasim import settings

from astrohpc.engines.exoplasim import raw
from astrohpc.engines.exoplasim.equilibrium import has_settled, legs_per_cycle

LATITUDES, LONGITUDES = 4, 8


def record(content: bytes) -> bytes:
    mark = struct.pack("<i", len(content))
    return mark + content + mark


def header(code: int, step: int) -> bytes:
    return record(np.array([code, 0, 0, 0, LONGITUDES, LATITUDES, step, 359], "<i4").tobytes())


def field(value: float) -> bytes:
    return record(np.full((LATITUDES, LONGITUDES), value, "<f4").tobytes())


def output(stamps: list[int], temp_k: float = 280.0) -> bytes:
    made = header(333, 0) + field(0.0)
    for number, step in enumerate(stamps):
        for code, value in (
            (139, temp_k + number),
            (210, 0.25),
            (178, 240.0),
            (179, -230.0),
            (203, -60.0),
        ):
            made += header(code, step) + field(value)
    return made


def stamps_of(path: Path) -> list[int]:
    parts = [content for _, content in raw.records(path.read_bytes())]
    heads = [np.frombuffer(one, "<i4") for one in parts[2::2]]
    return [int(head[6]) for head in heads if head[0] == 139]


def test_means_have_the_signs_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(output([159]))
    (means,) = raw.GrowingOutput(tmp_path / "out", LATITUDES).look()
    assert means.toa_balance_wm2 == pytest.approx(10.0)  # net in, the model's down positive
    assert means.reflected_wm2 == pytest.approx(60.0)
    assert means.incoming_wm2 == pytest.approx(300.0)
    assert means.planetary_albedo == pytest.approx(0.2)


def test_a_growing_file_gives_each_record_once_and_none_by_half(tmp_path: Path) -> None:
    path, whole = tmp_path / "out", output([159, 319, 479])
    growing = raw.GrowingOutput(path, LATITUDES)
    assert growing.look() == []
    counts = []
    for end in range(0, len(whole) + 1, 101):
        path.write_bytes(whole[:end])
        counts.append(len(growing.look()))
    path.write_bytes(whole)
    assert [one.surface_temperature_k for one in growing.look()] == [280.0, 281.0, 282.0]
    assert counts == sorted(counts)
    assert set(counts) >= {0, 1, 2}


def test_legs_are_joined_on_one_clock(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(output([159, 319]))
    raw.join(tmp_path / "joined", [(320, tmp_path / "a"), (640, tmp_path / "b")])
    assert stamps_of(tmp_path / "joined") == [479, 639, 799, 959]


def test_a_restart_is_known_by_its_own_words() -> None:
    whole = (
        record(b"nstep           ") + record(struct.pack("<i", 11840)) + record(b"sz") + field(1)
    )
    assert raw.restart_step(whole) == 11840
    assert raw.restart_step(whole[:-5]) is None
    assert raw.restart_step(b"PK\x03\x04 something else") is None
    assert raw.restart_step(b"") is None
    assert raw.restart_step(record(b"other") + field(1)) is None


def test_equilibrium_needs_balance_and_no_trend_and_enough_years() -> None:
    chosen = settings(leg_days=5.0, run_days=None, equilibrium_years=2.0, tolerance_wm2=0.5)
    cycle = legs_per_cycle(make_planet(), chosen)
    assert cycle == 73
    season = 10 * np.sin(2 * np.pi * np.arange(3 * cycle) / cycle)
    flat, balance = list(280.0 + season), [0.1] * (3 * cycle)
    assert has_settled(flat, balance, cycle, chosen)
    assert not has_settled(flat[: 2 * cycle - 1], balance[: 2 * cycle - 1], cycle, chosen)
    assert not has_settled(flat, [0.6] * (3 * cycle), cycle, chosen)
    warming = list(280.0 + season + 0.1 / cycle * np.arange(3 * cycle))
    assert not has_settled(warming, balance, cycle, chosen)


def test_seasons_are_averaged_over_whole_orbits() -> None:
    chosen = settings(leg_days=10.0)
    assert legs_per_cycle(make_planet(orbital_period="100 d", obliquity="20 deg"), chosen) == 40
    assert legs_per_cycle(make_planet(orbital_period="1000 d", obliquity="20 deg"), chosen) == 100
    assert legs_per_cycle(make_planet(orbital_period="100 d"), chosen) == 37
    # Without seasons a quarter has none either.
    quick = settings(leg_days=10.0, equilibrium_years=0.5)
    assert legs_per_cycle(make_planet(orbital_period="100 d"), quick) == 9
