"""Accidents on the way: kills, full disks, two at once, foreign targets, and stores that were damaged."""

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support_store import climate, command, job, made, members, proved, refusal, tree, values

LARGE = {"lat": np.linspace(-80, 80, 96), "lon": 192}  # 72 KiB a chunk


def large(folder: Path, count: int = 4, files: int = 3, times: int = 12) -> Path:
    """A corpus that takes a second or two."""
    for m in range(count):
        for k in range(files):
            climate(
                folder / f"run{m}" / f"p{k}.nc",
                seed=10 * m + k,
                times=[times * k + i for i in range(times)],
                **LARGE,
            )
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large(tmp_path_factory.mktemp("corpus") / "in")


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("whole") / "a.zarr"
    assert job(corpus, store, "--threads", "1").code == 0
    return store


# ----------------------------------------------------------------------------------------- kills
def test_killed_twenty_times_and_resumed_it_is_the_same_store(tmp_path: Path) -> None:
    source = large(tmp_path / "in", count=24, files=1, times=15)
    assert job(source, tmp_path / "whole.zarr", "--threads", "2").code == 0
    # It kills itself some renames on and up to a shard's time later, in whatever its threads are then at: no clock
    # of ours decides how far it gets, so that a loaded machine dies at as many points as a quiet one.
    dying = (
        "import os, signal, sys, threading\n"
        "left, delay = int(sys.argv.pop(1)), float(sys.argv.pop(1))\n"
        "def hook(event, _):\n"
        "    global left\n"
        "    if event == 'os.rename':\n"
        "        left -= 1\n"
        "        if left == 0: threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()\n"
        "sys.addaudithook(hook)\n"
        "from astrohpc.jobs.convert import main\n"
        "sys.exit(main())\n"
    )
    store, chance, there, kills = tmp_path / "a.zarr", random.Random(4), [], 0
    python, _, _, *words = command(source, store, "--threads", "2")
    while kills < 20:
        fate = [str(chance.randint(1, 12)), str(chance.uniform(0, 0.01))]
        ended = subprocess.run(
            [python, "-c", dying, *fate, *words], capture_output=True, check=False
        )
        kills += ended.returncode == -signal.SIGKILL
        there.append(len(list(store.glob("T/[0-9]*"))))
        if (store / ".astrohpc" / "report.json").exists():  # it was quicker than we: from the start
            shutil.rmtree(store)
    assert len(set(there)) > 5, there  # at many different points
    said = job(source, store, "--threads", "2")
    assert said.code == 0, said.all
    assert tree(store) == tree(tmp_path / "whole.zarr")


def test_killed_before_every_rename_it_goes_on(tmp_path: Path) -> None:
    source = members(tmp_path / "in")
    made(source, tmp_path / "whole.zarr", threads=1)
    script = (
        "import os, signal, sys\n"
        "left = int(sys.argv.pop(1))\n"
        "def hook(event, _):\n"
        "    global left\n"
        "    if event == 'os.rename':\n"
        "        left -= 1\n"
        "        if left < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(hook)\n"
        "from astrohpc.jobs.convert import main\n"
        "sys.exit(main())\n"
    )
    store, ends = tmp_path / "a.zarr", []
    for left in (0, 1, 3, 5, 8, 11, 13):
        words = command(source, store, "--threads", "1")
        words[1:3] = ["-c", script, str(left)]
        ends.append(subprocess.run(words, capture_output=True, check=False).returncode)
    assert ends[0] == -signal.SIGKILL
    assert job(source, store, "--threads", "1").code == 0
    assert tree(store) == tree(tmp_path / "whole.zarr")


def test_usr1_stops_after_the_shards_at_hand_and_the_next_one_goes_on(
    corpus: Path, whole: Path, tmp_path: Path
) -> None:
    store = tmp_path / "a.zarr"
    script = (
        "import os, signal, sys\n"
        "def hook(event, arguments):\n"
        "    if event == 'os.rename' and str(arguments[0]).endswith('.part'): os.kill(os.getpid(), signal.SIGUSR1)\n"
        "sys.addaudithook(hook)\n"
        "from astrohpc.jobs.convert import main\n"
        "sys.exit(main())\n"
    )
    words = command(corpus, store, "--threads", "1")
    words[1:3] = ["-c", script]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 75, done.stdout + done.stderr
    assert "stopped as asked; the same command goes on from here" in done.stdout
    shards = sum(1 for name in ("T", "land") for _ in (store / name).glob("[0-9]*"))
    assert 0 < shards < 5
    assert (
        json.loads((store / "zarr.json").read_text())["attributes"]["astrohpc_state"] == "partial"
    )
    said = job(corpus, store, "--threads", "1")
    assert said.code == 0
    assert f"{shards} of 5 shards are there already" in said.out
    assert tree(store) == tree(whole)


def test_two_at_once_exclude_each_other(corpus: Path, whole: Path, tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    first = subprocess.Popen(
        command(corpus, store, "--threads", "1"), stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    first.stdout.readline()  # it holds the target before it says anything
    first.send_signal(signal.SIGSTOP)
    said = job(corpus, store)
    first.send_signal(signal.SIGCONT)
    assert said.code == 78
    assert "another conversion writes to it; wait until that is over" in said.out
    first.communicate()
    assert first.returncode == 0
    assert tree(store) == tree(whole)


# --------------------------------------------------------------------------------------- targets
def test_a_disk_that_is_full_says_so_and_goes_on_later(
    corpus: Path, whole: Path, tmp_path: Path
) -> None:
    store = tmp_path / "small" / "a.zarr"
    store.parent.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(store.parent)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system may be mounted here, so that none can be filled")
    try:
        said = job(corpus, store, "--threads", "1")
        assert said.code == 78, said.all
        assert "full" in said.out
        assert "run the same command again" in said.out
        subprocess.run(["mount", "-o", "remount,size=64m", str(store.parent)], check=True)
        assert job(corpus, store, "--threads", "1").code == 0
        assert tree(store) == tree(whole)
    finally:
        subprocess.run(["umount", "-l", str(store.parent)], check=True)


def test_a_limit_on_the_size_of_files_is_a_sentence(corpus: Path, tmp_path: Path) -> None:
    def narrow() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    said = job(corpus, tmp_path / "a.zarr", "--threads", "1", preexec_fn=narrow)
    assert said.code == 78, said.all
    assert "error: " in said.out.splitlines()[-1]
    assert not list((tmp_path / "a.zarr").rglob("*.part"))


def test_targets_that_cannot_be_ours(tmp_path: Path) -> None:
    source = members(tmp_path / "in")
    file, foreign = tmp_path / "file.zarr", tmp_path / "foreign"
    file.write_text("mine")
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine")
    assert "is a file, not a folder" in refusal(source, file)
    assert "no store of ours (thesis.tex)" in refusal(source, foreign)
    assert "cannot be written" in refusal(source, file / "a.zarr")
    assert "cannot be written" in refusal(source, Path("/proc/a.zarr"))
    assert [path.name for path in foreign.iterdir()] == ["thesis.tex"]
    assert file.read_text() == "mine"


def test_somebody_else_s_zarr_store_is_left_alone(tmp_path: Path) -> None:
    import zarr

    source, store = members(tmp_path / "in"), tmp_path / "a.zarr"
    zarr.create_group(store).create_array("T", shape=(3,), dtype="f4")
    before = tree(store)
    assert "is no store of ours" in refusal(source, store)
    assert tree(store) == before


def test_a_target_that_may_not_be_written(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert "cannot be written" in refusal(members(tmp_path / "in"), locked / "a.zarr")


def test_a_refused_attempt_does_not_bind_the_next_one(tmp_path: Path) -> None:
    source, store = members(tmp_path / "in"), tmp_path / "a.zarr"
    refusal(source, store, variables=("no such thing",))
    assert made(source, store, variables=("T",)).complete


# ---------------------------------------------------------------------------------------- damage
@pytest.fixture
def sound(tmp_path: Path) -> tuple[Path, Path]:
    source, store = large(tmp_path / "in", count=2, files=1, times=16), tmp_path / "a.zarr"
    assert made(source, store).complete
    return source, store


def shard(store: Path) -> Path:
    return sorted((store / "T").glob("[0-9]*"))[-1]


def flip(path: Path, where: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(where * (len(data) - 1))] ^= 0x10
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1000)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "cut": lambda store: cut(shard(store)),
    "empty": lambda store: os.truncate(shard(store), 0),
    "gone": lambda store: shard(store).unlink(),
    "bit in a header": lambda store: flip(shard(store), 0),
    "bit in a chunk": lambda store: flip(shard(store), 0.4),
    "bit in the index": lambda store: flip(shard(store), 1 - 1e-9),
    "bit in a small array": lambda store: flip(store / "lat" / "0", 0.3),
    "a small array gone": lambda store: (store / "land" / "0.0").unlink(),
    "metadata gone": lambda store: (store / "T" / "zarr.json").unlink(),
    "metadata cut": lambda store: cut(store / "T" / "zarr.json"),
    "other units": lambda store: (store / "T" / "zarr.json").write_text(
        (store / "T" / "zarr.json").read_text().replace('"K"', '"degC"')
    ),
    "another fill": lambda store: (store / "T" / "zarr.json").write_text(
        re.sub('"fill_value": [^,]*', '"fill_value": 7', (store / "T" / "zarr.json").read_text())
    ),
    "what readers see": lambda store: (store / "zarr.json").write_text(
        (store / "zarr.json").read_text().replace('"K"', '"degC"')
    ),
    "swapped shards": lambda store: shutil.copy(
        sorted((store / "T").glob("[0-9]*"))[0], shard(store)
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found_and_the_same_command_repairs_it(
    sound: tuple[Path, Path], what: str
) -> None:
    source, store = sound
    before = tree(store)
    assert not proved(source, store).wrong
    DAMAGE[what](store)
    wrong = proved(source, store).wrong
    assert wrong, "nothing was noticed"
    assert str(store) in wrong[0]
    assert wrong[0].endswith("convert again"), wrong[0]
    assert made(source, store).complete
    assert not proved(source, store).wrong
    assert tree(store) == before


def test_the_job_says_what_is_wrong_and_ends_with_partial(sound: tuple[Path, Path]) -> None:
    source, store = sound
    flip(shard(store), 0.4)
    said = job(source, store, "--verify")
    assert said.code == 3
    assert f"differs: {shard(store)}" in said.out
    assert job(source, store).code == 0
    assert job(source, store, "--verify").code == 0


def test_a_journal_that_was_cut_or_lost_costs_only_work(sound: tuple[Path, Path]) -> None:
    source, store = sound
    before, journal = tree(store), store / ".astrohpc" / "journal.jsonl"
    os.truncate(journal, journal.stat().st_size - 50)
    report = made(source, store)
    assert (report.complete, report.made) == (True, 1)
    assert tree(store) == before
    journal.unlink()
    assert "was never made; convert again" in proved(source, store).wrong[0]
    report = made(source, store)
    assert (report.complete, report.made) == (True, report.shards)
    assert tree(store) == before


def test_a_line_that_a_kill_cut_does_not_swallow_the_next(sound: tuple[Path, Path]) -> None:
    source, store = sound
    before, folder = tree(store), store / ".astrohpc"
    (folder / "journal.jsonl").rename(folder / "journal-0.jsonl")
    os.truncate(folder / "journal-0.jsonl", 40)
    assert made(source, store).complete
    assert tree(store) == before


def test_an_old_line_of_another_rank_does_not_hide_a_new_one(sound: tuple[Path, Path]) -> None:
    source, store = sound
    folder = store / ".astrohpc"
    lines = (folder / "journal.jsonl").read_text()
    (folder / "journal-7.jsonl").write_text(lines)
    climate(source / "run0" / "p0.nc", seed=99, times=range(16), **LARGE)
    assert made(source, store).complete
    assert not proved(source, store).wrong


def test_what_a_kill_left_behind_is_swept_up(sound: tuple[Path, Path]) -> None:
    source, store = sound
    before = tree(store)
    for name in (
        "T/.0.0.0.0.0-1.part",
        "T/.zarr.json.k3jx",
        ".zarr.json.abcd",
        ".astrohpc/.store.json.x",
    ):
        (store / name).write_text("half")
    made(source, store)
    assert tree(store) == before


def test_a_source_that_was_written_again_is_converted_again(sound: tuple[Path, Path]) -> None:
    source, store = sound
    climate(source / "run1" / "p0.nc", seed=77, times=range(16), **LARGE)
    assert proved(source, store).wrong
    report = made(source, store)
    assert report.complete
    assert 0 < report.made < report.shards
    assert not proved(source, store).wrong
    assert not np.array_equal(values(store, "T")[0], values(store, "T")[1])
