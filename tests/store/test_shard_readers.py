import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support_shards import same_bits, smooth

from astrohpc.store.codec import Codec
from astrohpc.store.shard import Worker, read_chunks, write_values
from astrohpc.store.shard_index import read_index

CODECS = [Codec(), Codec("blosc", 5), Codec("lz4", 5), Codec("none", 0)]


def store(folder: Path, values: np.ndarray, codec: Codec, worker: Worker) -> Path:
    """A Zarr array of one shard, its last chunk beyond the edge in part."""
    chunk_shape, shard_chunks = (1, 6, 9), (3, 2, 1)
    (folder / "c" / "0" / "0").mkdir(parents=True)
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(values.shape),
        "data_type": str(values.dtype),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [3, 12, 9]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": codec.shard_metadata(values.dtype, chunk_shape),
        "attributes": {},
    }
    (folder / "zarr.json").write_text(json.dumps(metadata))
    write_values(
        folder / "c" / "0" / "0" / "0",
        values,
        shard_chunks=shard_chunks,
        chunk_shape=chunk_shape,
        codec=codec,
        fill=0,
        worker=worker,
    )
    return folder


@pytest.mark.parametrize("dtype", ["<f4", "<i2", "<f8", "|u1"])
@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_other_readers_of_zarr_read_the_same_values(
    tmp_path: Path, worker: Worker, dtype: str, codec: Codec
) -> None:
    import zarr

    values = smooth(dtype, (3, 11, 9))
    folder = store(tmp_path / "a", values, codec, worker)
    assert same_bits(zarr.open_array(str(folder), mode="r")[...], values)


def test_zarr_python_reads_what_is_passed_through(tmp_path: Path, worker: Worker) -> None:
    import zarr

    values = smooth("<f4", (3, 11, 9))
    folder = store(tmp_path / "a", values, Codec("deflate", 4), worker)
    with pytest.warns(UserWarning, match="Numcodecs codecs are not in the Zarr version 3"):
        array = zarr.open_array(str(folder), mode="r")
    assert same_bits(array[...], values)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_tensorstore_reads_the_same_values(tmp_path: Path, worker: Worker, codec: Codec) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    values = smooth("<f4", (3, 11, 9))
    folder = store(tmp_path / "a", values, codec, worker)
    place = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/"}}
    assert same_bits(tensorstore.open(place).result().read().result(), values)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_zarrs_reads_the_same_values(tmp_path: Path, worker: Worker, codec: Codec) -> None:
    pytest.importorskip("zarrs")
    import zarr

    values = smooth("<f4", (3, 11, 9))
    folder = store(tmp_path / "a", values, codec, worker)
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        assert same_bits(zarr.open_array(str(folder), mode="r")[...], values)


@pytest.mark.parametrize("count", [3, 8, 1003, 40_000])
def test_blosc2_reads_the_same_values(tmp_path: Path, worker: Worker, count: int) -> None:
    blosc2 = pytest.importorskip("blosc2")
    values = smooth("<f4", (1, count))
    shape = {"shard_chunks": (1, 1), "chunk_shape": (1, count)}
    write_values(tmp_path / "s", values, codec=Codec(), fill=None, worker=worker, **shape)
    ((offset, length),) = read_index(tmp_path / "s", 1)
    data = (tmp_path / "s").read_bytes()[offset : offset + length]
    assert blosc2.decompress2(data) == values.tobytes()


def test_threads_read_side_by_side_each_with_its_own_worker(tmp_path: Path, worker: Worker) -> None:
    values = smooth("<f4", (64, 3312))
    shape = {"shard_chunks": (64, 1), "chunk_shape": (1, 3312)}
    write_values(tmp_path / "s", values, codec=Codec(), fill=None, worker=worker, **shape)
    pieces = np.insert(read_index(tmp_path / "s", 64), 0, 0, axis=1)
    with (tmp_path / "s").open("rb") as file, ThreadPoolExecutor(4) as threads:

        def read(seed: int) -> bool:
            own, into = Worker(worker.native), np.empty((64, 1, 3312), "f4")
            order = np.random.default_rng(seed).permutation(64)
            read_chunks(
                [file.fileno()],
                pieces[order],
                into,
                dtype=values.dtype,
                codec=Codec(),
                fill=None,
                worker=own,
            )
            return same_bits(into[:, 0], values[order])

        assert all(threads.map(read, range(8)))
