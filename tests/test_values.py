"""Files, settings and the clock: the ground that everything stands on."""

import errno
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from astrohpc.clock import duration, iso
from astrohpc.errors import ConfigError
from astrohpc.files import (
    canonical_json,
    digest,
    exclusive,
    file_digest,
    readable_failures,
    size,
    temporary_beside,
    write_atomic,
)
from astrohpc.settings import build


# ------------------------------------------------------------------------------ files
def test_a_failed_write_leaves_the_old_file_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    write_atomic(path, "old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_a_writer_that_dies_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "climate.nc"
    path.write_text("old")
    with pytest.raises(RuntimeError), temporary_beside(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_canonical_json_has_one_spelling() -> None:
    assert canonical_json({"b": 1.0, "a": (0.1 + 0.2, 5e-324)}) == '{"a":[0.3,5e-324],"b":1}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1.0})
    assert digest({"a": 1}) != digest({"a": 1.000000001})


def test_file_digest_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").write_bytes(b"x")
    (tmp_path / "c").write_bytes(b"y")
    digests = [file_digest(tmp_path / name) for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_a_lock_is_dropped_when_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time, pathlib; from astrohpc.files import exclusive\n"
            "with exclusive(pathlib.Path(sys.argv[1])) as held: print(held, flush=True); time.sleep(60)",
            str(path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    with exclusive(path) as held:
        assert not held
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with exclusive(path) as held:
        assert held


@pytest.mark.parametrize(
    ("code", "said"),
    [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota"), (errno.EACCES, "may not be written")],
)
def test_failures_of_the_disk_become_sentences(code: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said), readable_failures("runs"):
        raise OSError(code, "x", "/some/file")


def test_a_failure_that_we_do_not_know_is_said_as_the_system_says_it() -> None:
    said = r"runs: /some/file: Input/output error; is the file system well"
    with pytest.raises(ConfigError, match=said), readable_failures("runs"):
        raise OSError(errno.EIO, os.strerror(errno.EIO), "/some/file")
    with pytest.raises(OSError, match="no number"), readable_failures("runs"):
        raise OSError("no number")


# ------------------------------------------------------------------------------ settings
@dataclass(frozen=True)
class Inner:
    size: int = 1


@dataclass(frozen=True)
class Outer:
    name: str
    ratio: float = 1.0
    kind: Literal["a", "b"] = "a"
    inner: Inner = field(default_factory=Inner)
    many: tuple[int, ...] = ()
    table: dict[str, Inner] = field(default_factory=dict)
    maybe: int | None = None


def test_settings_are_built_with_their_types() -> None:
    built = build(Outer, {"name": "x", "ratio": 2, "many": [1, 2], "table": {"k": {"size": 3}}}, "")
    assert built == Outer("x", 2.0, many=(1, 2), table={"k": Inner(3)})
    assert isinstance(built.ratio, float)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({}, "group.name: this setting is needed"),
        ({"name": 3}, r"group.name: 3 does not fit; write text"),
        ({"name": "x", "ratoi": 1}, r"group.ratoi: .* did you mean 'ratio'\?"),
        ({"name": "x", "ratio": "much"}, "group.ratio: 'much' does not fit; write a number"),
        ({"name": "x", "ratio": True}, "group.ratio: True does not fit"),
        ({"name": "x", "kind": "c"}, "group.kind: 'c' does not fit; write one of a, b"),
        (
            {"name": "x", "inner": {"size": 1.5}},
            "group.inner.size: 1.5 does not fit; write a whole number",
        ),
        ({"name": "x", "inner": 3}, "group.inner: 3 is not a group of settings"),
        ({"name": "x", "many": [1, "b"]}, r"group.many\[1\]: 'b' does not fit"),
        ({"name": None}, "group.name: a value is needed here"),
        ("x", "group: 'x' is not a group of settings"),
    ],
)
def test_bad_settings_are_named_with_their_path(written: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(Outer, written, "group")


# ------------------------------------------------------------------------------ clock
@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 s"),
        (0.25, "0.2 s"),
        (42.4, "42 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7440, "2 h 4 min"),
        (90000, "1 d 1 h"),
        (86400, "1 d"),
    ],
)
def test_durations_are_readable(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0 bytes"),
        (700, "700 bytes"),
        (2048, "2.0 KiB"),
        (10**7, "9.5 MiB"),
        (2**42, "4096.0 GiB"),
    ],
)
def test_bytes_are_never_a_zero_that_is_none(number: int, said: str) -> None:
    assert size(number) == said


def test_instants_are_utc() -> None:
    assert iso(0) == "1970-01-01T00:00:00Z"
