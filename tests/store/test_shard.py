import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support_shards import kernel_or_skip, same_bits, smooth, stored

from astrohpc.errors import ConfigError
from astrohpc.store import shard as shards
from astrohpc.store.codec import Codec, Damaged
from astrohpc.store.shard import Worker, read_chunk, read_chunks, write_direct, write_values
from astrohpc.store.shard_index import check_shard, read_index
from astrohpc.store.source import BadSource
from astrohpc.store.tally import Statistics

CODECS = [Codec(), Codec("blosc", 5), Codec("lz4", 5), Codec("none", 0)]
FILL = np.float32(-1e30)


def direct(path: Path, source: Any, worker: Worker, **changes: Any) -> shards.ShardWritten:
    settings = {
        "dtype": np.dtype("<f4"),
        "chunk_shape": (6, 7, 8),
        "deflate": True,
        "shuffle": True,
        "codec": Codec(),
        "fill": FILL,
        "worker": worker,
    }
    return write_direct(path, source.files, source.pieces, **(settings | changes))


def records(dtype: str = "<f4", n: int = 3, shape: tuple[int, ...] = (6, 7, 8)) -> list[np.ndarray]:
    return [smooth(dtype, shape, seed) for seed in range(n)]


@pytest.mark.parametrize("dtype", ["|i1", "|u1", "<i2", ">i2", "<f4", ">f4", "<f8", ">f8", ">i8"])
@pytest.mark.parametrize("shape", [(1,), (5,), (8,), (3, 5, 7), (16, 33)])
@pytest.mark.parametrize(("deflate", "shuffle"), [(True, True), (True, False), (False, False)])
def test_chunks_of_a_file_come_back_with_all_their_bits(
    tmp_path: Path, worker: Worker, dtype: str, shape: tuple[int, ...], deflate: bool, shuffle: bool
) -> None:
    chunks = [*records(dtype, 2, shape), None]
    native = np.dtype(dtype).newbyteorder("<")
    with stored(tmp_path / "source", chunks, deflate=deflate, shuffle=shuffle) as source:
        for codec in CODECS:
            written = direct(
                tmp_path / "shard",
                source,
                worker,
                dtype=np.dtype(dtype),
                chunk_shape=shape,
                deflate=deflate,
                shuffle=shuffle,
                codec=codec,
                fill=0,
            )
            assert written.checks.tolist() == [
                zlib.adler32(data) if data else 0 for data in source.inflated
            ]
            assert check_shard(tmp_path / "shard", 3) == written.nbytes
            for span, chunk in zip(read_index(tmp_path / "shard", 3), chunks, strict=True):
                back = read_chunk(
                    tmp_path / "shard", span, codec=codec, dtype=native, chunk_shape=shape
                )
                assert (back is None) == (chunk is None)
                assert chunk is None or same_bits(back, chunk.astype(native))


def test_kernel_and_wheels_say_the_same_of_a_shard(tmp_path: Path) -> None:
    kernel_or_skip()
    chunks = records()
    chunks[0][:2], chunks[1][3] = FILL, np.nan
    with stored(tmp_path / "source", [*chunks, None], deflate=True, shuffle=True, gap=5) as source:
        ours, wheels = (direct(tmp_path / "a", source, Worker(native)) for native in (True, False))
    assert ours.statistics == wheels.statistics
    assert ours.statistics.count == 4 * 336
    assert ours.statistics.missing == 2 * 56 + 56 + 336
    kept = np.concatenate([chunk[np.isfinite(chunk) & (chunk != FILL)] for chunk in chunks])
    assert (ours.statistics.minimum, ours.statistics.maximum) == (kept.min(), kept.max())
    assert ours.statistics.total == pytest.approx(kept.sum(dtype="f8"))
    assert ours.checks.tolist() == wheels.checks.tolist()


@pytest.mark.parametrize("codec", [*CODECS, Codec("deflate", 4)], ids=lambda codec: codec.name)
def test_values_that_end_before_the_shard_are_filled_up(
    tmp_path: Path, worker: Worker, codec: Codec
) -> None:
    values = smooth("<f4", (5, 10, 9))
    values[0, 0, :3] = FILL
    shape = {"shard_chunks": (6, 2, 3), "chunk_shape": (1, 6, 4)}
    written = write_values(tmp_path / "s", values, codec=codec, fill=FILL, worker=worker, **shape)
    kept = values[values != FILL]
    assert written.statistics == Statistics(
        450, 3, kept.min(), kept.max(), pytest.approx(kept.sum(dtype="f8"))
    )
    spans = read_index(tmp_path / "s", 36)
    assert (spans[30:, 0] == -1).all() and (spans[:30, 0] >= 0).all()
    last = read_chunk(
        tmp_path / "s", spans[29], codec=codec, dtype=values.dtype, chunk_shape=(1, 6, 4)
    )
    expected = np.full((1, 6, 4), FILL)
    expected[:, :4, :1] = values[4:, 6:, 8:]
    assert same_bits(last, expected)
    assert written.checks[29] == zlib.adler32(expected.tobytes())


def test_a_shard_is_the_same_bytes_each_time(tmp_path: Path, worker: Worker) -> None:
    values = smooth("<f8", (4, 50, 60))
    for codec in CODECS:
        for name in "ab":
            write_values(
                tmp_path / name,
                values,
                shard_chunks=(4, 1, 1),
                chunk_shape=(1, 50, 60),
                codec=codec,
                fill=None,
                worker=worker,
            )
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_shard_larger_than_the_writing_buffer_is_whole(tmp_path: Path, worker: Worker) -> None:
    values = np.random.default_rng(1).normal(size=(12, 100_001))
    shape = {"shard_chunks": (12, 1), "chunk_shape": (1, 100_001)}
    write_values(tmp_path / "s", values, codec=Codec(), fill=None, worker=worker, **shape)
    spans = read_index(tmp_path / "s", 12)
    assert check_shard(tmp_path / "s", 12) > 8 * 2**20
    with (tmp_path / "s").open("rb") as file:
        pieces = np.concatenate([np.zeros((12, 1), np.int64), spans], axis=1)
        back = np.empty_like(values)
        read_chunks(
            [file.fileno()], pieces, back, dtype=values.dtype, codec=Codec(), fill=0, worker=worker
        )
    assert same_bits(back, values)


def test_what_is_passed_through_is_the_sources_own_bytes(tmp_path: Path, worker: Worker) -> None:
    codec = Codec("deflate", 4)
    with stored(tmp_path / "source", records(">f4"), deflate=True, shuffle=True) as source:
        written = direct(tmp_path / "s", source, worker, dtype=np.dtype(">f4"), codec=codec)
        spans = read_index(tmp_path / "s", 3)
        length = int(spans[:, 1].sum())
        assert (tmp_path / "s").read_bytes()[:length] == (tmp_path / "source").read_bytes()
        assert written.checks.tolist() == [zlib.adler32(data) for data in source.inflated]
        assert written.statistics == Statistics()
        with pytest.raises(ConfigError, match="not stored that way"):
            direct(tmp_path / "s", source, worker, codec=codec, shuffle=False)
    with (tmp_path / "s").open("rb") as file:
        into = np.empty((3, 6, 7, 8), "f4")
        pieces = np.concatenate([np.zeros((3, 1), np.int64), spans], axis=1)
        read_chunks(
            [file.fileno()], pieces, into, dtype=np.dtype(">f4"), codec=codec, fill=0, worker=worker
        )
    assert same_bits(into, np.stack(records("<f4")))


Damage = Callable[[bytearray], None]


def _flip(content: bytearray) -> None:
    content[len(content) // 2] ^= 0x10


def _flip_checksum(content: bytearray) -> None:
    content[-1] ^= 1


def _cut(content: bytearray) -> None:
    del content[-10:]


def _no_zlib(content: bytearray) -> None:
    content[0] = 0


@pytest.mark.parametrize("damage", [_flip, _flip_checksum, _cut, _no_zlib])
def test_a_damaged_source_is_one_sentence_with_file_and_chunk(
    tmp_path: Path, worker: Worker, damage: Damage
) -> None:
    with stored(tmp_path / "source", records(n=1), deflate=True, shuffle=True) as source:
        content = bytearray((tmp_path / "source").read_bytes())
        damage(content)
        (tmp_path / "source").write_bytes(content)
        with pytest.raises(BadSource, match=r"source: .*chunk 0") as caught:
            direct(tmp_path / "s", source, worker)
    assert "\n" not in str(caught.value)


def test_a_chunk_that_inflates_to_another_size_is_refused(tmp_path: Path, worker: Worker) -> None:
    for shape in ((6, 7, 9), (6, 7, 7)):
        chunks = records(shape=shape)
        with (
            stored(tmp_path / "source", chunks, deflate=True, shuffle=True) as source,
            pytest.raises(BadSource, match="chunk 0"),
        ):
            direct(tmp_path / "s", source, worker)


def test_a_length_that_no_chunk_can_have_is_refused_before_memory_is_asked(
    tmp_path: Path, worker: Worker
) -> None:
    with stored(tmp_path / "source", records(), deflate=True, shuffle=True) as source:
        source.pieces[1, 2] = 2**50
        with pytest.raises(BadSource, match=str(2**50)):
            direct(tmp_path / "s", source, worker)


def test_a_full_disk_is_a_sentence(worker: Worker, tmp_path: Path) -> None:
    with (
        stored(tmp_path / "source", records(), deflate=True, shuffle=True) as source,
        pytest.raises(ConfigError, match="the disk is full"),
    ):
        direct(Path("/dev/full"), source, worker)


def test_a_missing_folder_is_a_sentence(worker: Worker, tmp_path: Path) -> None:
    with (
        stored(tmp_path / "source", records(), deflate=True, shuffle=True) as source,
        pytest.raises(ConfigError, match="cannot be made there"),
    ):
        direct(tmp_path / "nowhere" / "s", source, worker)


def test_a_damaged_shard_is_told_from_its_index(tmp_path: Path, worker: Worker) -> None:
    path = tmp_path / "s"
    values = smooth("<f4", (3, 100))
    shape = {"shard_chunks": (3, 1), "chunk_shape": (1, 100)}
    write_values(path, values, codec=Codec(), fill=None, worker=worker, **shape)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[1:], b"", whole[:-8] + b"\x01" * 4 + whole[-4:]):
        path.write_bytes(damaged)
        with pytest.raises(Damaged, match=str(path)):
            check_shard(path, 3)


def test_damaged_chunks_of_a_shard_are_refused_or_read_but_nothing_crashes(
    tmp_path: Path, worker: Worker
) -> None:
    draw = np.random.default_rng(5)
    values = smooth("<f4", (2, 3312))
    shape = {"shard_chunks": (2, 1), "chunk_shape": (1, 3312)}
    refused = 0
    for codec in (*CODECS, Codec("deflate", 4)):
        write_values(tmp_path / "s", values, codec=codec, fill=None, worker=worker, **shape)
        pieces = np.insert(read_index(tmp_path / "s", 2), 0, 0, axis=1)
        whole = (tmp_path / "s").read_bytes()
        for _ in range(60):
            damaged = bytearray(whole)
            for at in draw.integers(0, draw.choice([40, len(whole)]), 3):
                damaged[at] ^= 1 << draw.integers(0, 8)
            (tmp_path / "d").write_bytes(damaged[: draw.choice([len(whole), len(whole) // 2])])
            with (tmp_path / "d").open("rb") as file:
                into = np.empty((2, 1, 3312), "f4")
                try:
                    read_chunks(
                        [file.fileno()],
                        pieces,
                        into,
                        dtype=values.dtype,
                        codec=codec,
                        fill=None,
                        worker=worker,
                    )
                except Damaged:
                    refused += 1
    assert refused > 50


def test_absent_chunks_are_read_as_fill(tmp_path: Path, worker: Worker) -> None:
    into = np.zeros((2, 5), "f8")
    pieces = np.array([(0, -1, 0), (0, -1, 0)])
    with (tmp_path / "s").open("w+b") as file:
        read_chunks(
            [file.fileno()],
            pieces,
            into,
            dtype=into.dtype,
            codec=Codec(),
            fill=7.5,
            worker=worker,
        )
    assert (into == 7.5).all()


def test_memory_of_a_worker_is_as_it_said(tmp_path: Path) -> None:
    """In a process of its own, for the peak of this one lies behind it. Chunks cross the array's rows,
    so that all of them are copied."""
    kernel_or_skip()
    program = """if True:
        import sys
        from pathlib import Path
        import numpy as np
        from astrohpc.store.codec import Codec
        from astrohpc.store.progress import peak_memory_bytes as peak
        from astrohpc.store.shard import Worker, write_values

        worker = Worker(native=True)
        values = np.random.default_rng(1).normal(size=(400, 16 * 10_000))
        before = peak()
        shape = {"shard_chunks": (1, 16), "chunk_shape": (400, 10_000)}
        write_values(Path(sys.argv[1]), values, codec=Codec(), fill=None, worker=worker, **shape)
        print(peak() - before, worker.nbytes(400 * 10_000 * 8, values.nbytes))
    """
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "s")],
        capture_output=True,
        text=True,
        check=True,
    )
    grown, said = map(int, done.stdout.split())
    assert said / 2 < grown < said


def test_wheels_are_taken_and_the_reason_kept_where_there_is_no_kernel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shards.kernels, "load", shards.kernels.load.__wrapped__)
    monkeypatch.setenv("ASTROHPC_KERNEL", "none")
    worker = Worker()
    assert not worker.native and "ASTROHPC_KERNEL" in worker.why_wheels
    with pytest.raises(ConfigError, match="ASTROHPC_KERNEL is none"):
        Worker(native=True)
    assert os.environ["ASTROHPC_KERNEL"] == "none"
