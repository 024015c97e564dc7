import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numcodecs import blosc
from support_shards import kernel_or_skip, same_bits, smooth

from astrohpc.kernels import build, native
from astrohpc.kernels.build import NoKernel
from astrohpc.store.tally import statistics


@pytest.fixture(scope="module")
def kernel() -> native.Kernel:
    return kernel_or_skip()


def encoded(worker: native.Worker, values: np.ndarray, folder: Path) -> bytes:
    """One chunk as the kernel stores it, read back from a shard of one."""
    flat = np.ascontiguousarray(values).reshape(-1)
    pieces = np.array([(0, flat.ctypes.data, 0)], np.int64)
    form = native.Form(flat.dtype, flat.size, "planes", 1)
    worker.write_shard(os.fsencode(folder / "shard"), None, pieces, form)
    return (folder / "shard").read_bytes()[:-20]


@pytest.mark.parametrize("dtype", ["|i1", "<u2", "<f4", "<f8"])
@pytest.mark.parametrize("count", [1, 7, 8, 9, 31, 67, 520, 4099, 40_000])
def test_all_instruction_sets_write_the_same_bytes_and_stock_blosc_reads_them(
    kernel: native.Kernel, tmp_path: Path, dtype: str, count: int
) -> None:
    values = smooth(dtype, (count,))
    made = [
        encoded(native.Worker(replace(kernel, isa=isa)), values, tmp_path)
        for isa in range(kernel.isa + 1)
    ]
    assert len(set(made)) == 1
    assert blosc.decompress(made[0]) == values.tobytes()


def test_noise_is_stored_as_it_is_and_never_grows_by_more_than_a_header(
    kernel: native.Kernel, tmp_path: Path
) -> None:
    noise = np.random.default_rng(1).integers(0, 2**32, 50_000, "u4")
    assert len(encoded(native.Worker(kernel), noise, tmp_path)) == noise.nbytes + 16


def test_noise_that_repeats_is_found_though_its_bytes_look_random(
    kernel: native.Kernel, tmp_path: Path
) -> None:
    level = np.random.default_rng(1).integers(0, 2**32, 3312, "u4")
    values = np.tile(level, 40)
    assert len(encoded(native.Worker(kernel), values, tmp_path)) < values.nbytes / 20


def test_half_noise_is_stored_no_larger_than_stock_blosc_stores_it(
    kernel: native.Kernel, tmp_path: Path
) -> None:
    values = smooth("<f4", (40, 46, 72)).reshape(-1)
    ours = encoded(native.Worker(kernel), values, tmp_path)
    assert len(ours) < 1.01 * len(
        blosc.compress(values, b"zstd", 1, blosc.BITSHUFFLE, values.nbytes)
    )


@settings(max_examples=100, deadline=None)
@given(
    values=hnp.arrays(
        st.sampled_from(["|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8"]),
        st.integers(1, 200),
    ),
    fill=st.sampled_from([None, 0, 7]),
)
def test_counting_agrees_with_numpy_to_the_bit(values: np.ndarray, fill: int | None) -> None:
    kernel = kernel_or_skip()
    expected = statistics(values, fill)
    for isa in range(kernel.isa + 1):
        counted = native.Worker(replace(kernel, isa=isa)).count(values, fill)
        assert repr(counted) == repr(tuple(vars(expected).values()))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_chunks_are_refused_or_decoded_but_nothing_crashes(data: st.DataObject) -> None:
    kernel = kernel_or_skip()
    worker = native.Worker(replace(kernel, isa=data.draw(st.integers(0, kernel.isa))))
    values = smooth("<f4", (data.draw(st.sampled_from([3, 64, 1003, 4096])),))
    flat = native.Form(values.dtype, values.size, "planes", 1)
    file = os.memfd_create("shard")
    try:
        target = f"/proc/self/fd/{file}".encode()
        worker.write_shard(target, None, np.array([(0, values.ctypes.data, 0)]), flat)
        chunk = bytearray(os.pread(file, 2**20, 0)[:-20])
        for at in data.draw(st.lists(st.integers(0, len(chunk) - 1), max_size=6)):
            chunk[at] = data.draw(st.integers(0, 255))
        del chunk[data.draw(st.integers(1, len(chunk))) :]
        os.ftruncate(file, 0)
        os.pwrite(file, chunk, 0)
        out = np.zeros(values.size + 1, values.dtype)
        out[-1] = 42
        pieces = np.array([(0, 0, len(chunk))])
        try:
            worker.read_chunks([file], pieces, flat, np.array([out.ctypes.data], np.uintp))
        except native.Failed as failed:
            assert failed.code == native.DAMAGED
        assert out[-1] == 42
    finally:
        os.close(file)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, and a ``load`` that does not remember."""
    kernel_or_skip()
    monkeypatch.setattr(native, "load", native.load.__wrapped__)
    monkeypatch.setenv(build.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_without_a_compiler_the_reason_is_said(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoKernel, match="no C compiler"):
        native.load()


def test_what_one_node_compiled_another_loads_without_a_compiler(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native.load()
    monkeypatch.setenv("PATH", "/nowhere")
    assert native.load().isa >= 0
    assert [path.suffix for path in fresh.iterdir()] == [".so"]


def test_half_a_file_in_the_cache_is_made_again(fresh: Path) -> None:
    fresh.mkdir()
    path = build.object_path(fresh)
    path.write_bytes(b"\x7fELF")
    native.load()
    assert path.stat().st_size > 10_000


def test_a_cache_that_cannot_be_written_is_done_without(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(build.CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    assert native.load().isa >= 0


def test_ranks_that_compile_at_the_same_time_do_not_disturb_each_other(fresh: Path) -> None:
    program = "from astrohpc.kernels.native import load; print(load().isa)"
    ranks = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = {rank.communicate()[0] for rank in ranks}
    assert len(said) == 1 and [rank.returncode for rank in ranks] == [0, 0, 0]
    assert [path.suffix for path in fresh.iterdir()] == [".so"]


@pytest.mark.parametrize("wish", ["none", "sse9"])
def test_the_environment_may_refuse_the_kernel(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, wish: str
) -> None:
    monkeypatch.setenv(native.VARIABLE, wish)
    with pytest.raises(NoKernel, match=native.VARIABLE):
        native.load()


def test_the_environment_may_ask_for_narrower_vectors(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(native.VARIABLE, "scalar")
    assert native.load().isa == 0


def test_chunks_of_any_type_come_back(kernel: native.Kernel, tmp_path: Path) -> None:
    """Also those whose first chunk made the buffers too small for the second."""
    worker = native.Worker(kernel)
    for count in (10, 100_000, 1000):
        values = smooth("<i8", (count,))
        chunk = encoded(worker, values, tmp_path)
        assert same_bits(np.frombuffer(blosc.decompress(chunk), values.dtype), values)
