"""The converter's benchmark measures what it says: its workload, its clock, its comparison, its gates."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import psutil
import pytest
from support import REPOSITORY, until

BENCHMARKS = REPOSITORY / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from convert_parts import check, corpus, floors, gates, measure, runs  # noqa: E402

FIELDS = corpus.UPPER + corpus.SURFACE


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return corpus.corpus(tmp_path_factory.mktemp("corpus"), "tiny")


def raw(path: Path, name: str) -> Any:
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        return file[name][:]


def pairs(tiny: dict[str, Path], left: str, right: str) -> list[tuple[Path, Path]]:
    ours, theirs = ([one for m in corpus.files(tiny[v]) for one in m] for v in (left, right))
    assert len(ours) == 4
    return list(zip(ours, theirs, strict=True))


def test_netcdf4_and_classic_hold_the_same_bits(tiny: dict[str, Path]) -> None:
    for new, old in pairs(tiny, "nc4", "nc3"):
        for name in FIELDS:
            assert raw(new, name).tobytes() == raw(old, name).tobytes()


def test_packed_values_are_within_half_a_step_and_miss_what_the_others_miss(
    tiny: dict[str, Path],
) -> None:
    steps = set()
    for plain, packed in pairs(tiny, "nc4", "pk"):
        with netCDF4.Dataset(packed) as file:
            for name in FIELDS:
                expected, found = raw(plain, name), raw(packed, name)
                missing = expected == corpus.FILL
                assert ((found == corpus.PACKED_FILL) == missing).all()
                step, offset = float(file[name].scale_factor), float(file[name].add_offset)
                off = np.abs(found * step + offset - expected.astype("f8"))[~missing]
                assert off.max() <= 0.5001 * step
                steps.add((name, step))
    assert len(steps) > len(FIELDS)  # a scale of its own in every file is the trap


def test_something_lies_below_the_ground_and_nothing_else_is_missing(tiny: dict[str, Path]) -> None:
    missing = [raw(path, "T") == corpus.FILL for m in corpus.files(tiny["nc4"]) for path in m]
    assert 0 < np.mean(missing) < 0.3
    assert all((one == missing[0]).all() for one in missing)


def test_dialects_are_what_their_names_say(tiny: dict[str, Path]) -> None:
    with netCDF4.Dataset(corpus.files(tiny["nc4"])[0][0]) as file:
        assert file["T"].chunking() == [1, *file["T"].shape[1:]]
        filters = file["T"].filters()
        assert (filters["zlib"], filters["complevel"], filters["shuffle"]) == (True, 4, True)
    with netCDF4.Dataset(corpus.files(tiny["nc3"])[0][0]) as file:
        assert file.data_model == "NETCDF3_64BIT_OFFSET"
        assert file.dimensions["time"].isunlimited()


def test_time_goes_on_from_file_to_file_in_a_calendar_without_leap_days(
    tiny: dict[str, Path],
) -> None:
    for member in corpus.files(tiny["nc3"]):
        days = np.concatenate([raw(path, "time") for path in member])
        assert (np.diff(days) > 0).all()
        with netCDF4.Dataset(member[1]) as file:
            assert file["time"].calendar == "noleap"
            assert netCDF4.num2date(days[3], file["time"].units, "noleap").month == 2


def test_the_workload_is_the_same_wherever_it_is_made_and_made_but_once(
    tiny: dict[str, Path], tmp_path: Path
) -> None:
    again = corpus.corpus(tmp_path, "tiny")
    first, same = corpus.files(tiny["nc3"])[1][1], corpus.files(again["nc3"])[1][1]
    assert first.read_bytes() == same.read_bytes()
    before = same.stat().st_mtime_ns
    corpus.corpus(tmp_path, "tiny")
    assert same.stat().st_mtime_ns == before
    corpus.corpus(tmp_path, "tiny", seed=5)
    assert first.read_bytes() != same.read_bytes()


@pytest.fixture(scope="module")
def store(tiny: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("store") / "one.zarr"
    convert(tiny["nc4"], target)
    return target


def convert(source: Path, target: Path) -> None:
    words = ["--library", "zarr", "--codec", "tuned", str(source), str(target)]
    subprocess.run(
        [sys.executable, "-m", "convert_parts.peers.loop", *words],
        cwd=BENCHMARKS,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        check=True,
        timeout=300,
    )


def test_a_peers_store_holds_all_fields_of_all_records(store: Path, tiny: dict[str, Path]) -> None:
    found = check.compare(store, tiny["nc4"], None)
    assert found == check.Check(compared=8 * 2 * 6, differ=())


def test_a_peers_store_of_packed_files_holds_their_values(
    tiny: dict[str, Path], tmp_path: Path
) -> None:
    convert(tiny["pk"], tmp_path / "pk.zarr")
    assert check.compare(tmp_path / "pk.zarr", tiny["pk"], None).good


def test_one_wrong_bit_is_found_and_named(store: Path, tiny: dict[str, Path]) -> None:
    import zarr

    array = zarr.open_array(str(store / "v"), mode="r+")
    before = array[1, 4]
    wrong = before.copy()
    wrong.view("u4")[2, 3, 5] ^= 1
    array[1, 4] = wrong
    found = check.compare(store, tiny["nc4"], None)
    array[1, 4] = before
    assert found.differ == ("v[1, 4]: 1 of 192 values",)


def test_what_a_grandchild_uses_counts(tmp_path: Path) -> None:
    hungry = "x = b'1' * 120_000_000; n = sum(i * i for i in range(5_000_000)); x[0]"
    parent = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hungry!r}], check=True)"
    )
    used = measure.run([sys.executable, "-c", parent], tmp_path / "log", {}, 120)
    assert used.code == 0
    assert used.user_s > 0.05
    assert 120 < used.process_pss_mb <= used.tree_pss_mb < 400


def test_a_command_without_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    log = tmp_path / "log"
    used = measure.run(["sh", "-c", "sleep 1000 & echo $!; wait"], log, {}, 3.0)
    assert used.code < 0
    child = int(log.read_text())

    def gone() -> bool:
        try:
            return psutil.Process(child).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    until(gone, "the end of what it started")


def a_run(tool: str, codec: str, wall_s: float, cpu_s: float, store_mb: float = 1.0) -> runs.Run:
    return runs.Run(
        variant="nc4",
        tool=tool,
        codec=codec,
        mode="2 threads",
        wall_s=wall_s,
        cpu_s=cpu_s,
        system_s=0.0,
        sync_s=0.0,
        tree_pss_mb=100.0,
        process_pss_mb=100.0,
        store_mb=store_mb,
        files=1,
        compared=1,
        differ=(),
        own_s=None,
        said="",
        failure="",
    )


def test_gates_are_ratios_of_medians_and_silent_about_what_did_not_run() -> None:
    found = [
        a_run("astrohpc", "planes", 2.0, 3.0, 0.97),
        a_run("astrohpc", "planes", 9.0, 9.0, 0.97),
        a_run("astrohpc", "planes", 1.0, 1.0, 0.97),
        a_run("tensorstore", "tuned", 4.0, 9.0),
        a_run("zarr", "tuned", 8.0, 6.0),
        a_run("zarr", "seed", 8.0, 6.0, 1.0),
    ]
    floor = {
        "pread": floors.Step(1.0, 1.0, 10),
        "inflate": floors.Step(1.0, 1.0, 10),
        "encode, planes": floors.Step(0.5, 1.0, 10),
        "decode, planes": floors.Step(5.0, 1.0, 10),
        "write": floors.Step(9.0, 9.0, 10),
        "write, O_DIRECT": floors.Step(0.0, 1.0, 0),
    }
    floor["write"].cpu_s = 0.5
    told = {one.promise: (one.number, one.kept) for one in gates.gates(found, [floor])}
    shown = {promise: said for promise, said in told.items() if said[1] is not None}
    assert list(shown.values()) == [
        ("2.00", False),  # 4 s of tensorstore against a median of 2 s
        ("2.00", False),  # 6 s of CPU of the best peer, which is not tensorstore, against 3 s
        ("100.00 MB", True),
        ("0.97", True),
        ("3 fields compared, 0 findings, 0 runs failed", True),
        ("1.00", True),  # 3 s against 1 + 1 + 0.5 + 0.5
        ("0.38", True),  # against 5 s more, which the proof costs
    ]
    assert len(told) == 11
