"""The batch reader gives what zarr-python gives, from any thread and process, and names what is damaged."""

import json
import os
import pickle
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_small import Made, make_store, planet_store

from astrohpc.errors import ConfigError
from astrohpc.kernels.build import NoKernel
from astrohpc.kernels.native import load
from astrohpc.store.codec import Codec, Damaged
from astrohpc.store.reader import Store
from astrohpc.store.shard_index import index_bytes

zarr = pytest.importorskip("zarr")

CODECS = [
    Codec(),
    Codec("blosc", 5),
    Codec("lz4", 5),
    Codec("none", 0),
    Codec("deflate", 4),
    Codec("deflate", 4, shuffle=False),
]
EVERY = np.array([(m, t) for m in range(2) for t in range(5)])
SAMPLES = np.array([(1, 4), (0, 0), (1, 4), (0, 3), (1, 0)])


def ways() -> list[bool]:
    """With the kernel where it is, and without."""
    try:
        load()
    except NoKernel:
        return [False]
    return [True, False]


def by_zarr(path: Path, name: str) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of codecs that are not in its specification
        return np.asarray(zarr.open_group(path, mode="r")[name][...])


def masked(values: np.ndarray) -> np.ndarray:
    return np.where(values == np.float32(-1e30), np.float32(np.nan), values)


@pytest.mark.parametrize("native", ways())
@pytest.mark.parametrize("codec", CODECS, ids=lambda c: f"{c.name}-{c.shuffle}")
def test_all_codecs_give_what_zarr_python_gives(tmp_path: Path, codec: Codec, native: bool) -> None:
    path = planet_store(tmp_path / "s.zarr", codec)
    with Store.open(path, native=native, threads=2) as store:
        stored = store.batch(SAMPLES, missing="fill")
        meant = store.batch(SAMPLES)
        assert set(stored) == {"ta", "tas"}
        for name in stored:
            expected = by_zarr(path, name)[SAMPLES[:, 0], SAMPLES[:, 1]]
            assert stored[name].tobytes() == expected.tobytes()
            np.testing.assert_array_equal(meant[name], masked(expected))
        assert np.isnan(meant["ta"][:, 2, 0]).all()


@pytest.mark.parametrize("native", ways())
@pytest.mark.parametrize("kind", ["i1", "u2", "i4", "u8", "f4", "f8"])
def test_values_of_every_type_and_of_two_bytes_or_eight(
    tmp_path: Path, kind: str, native: bool
) -> None:
    values = np.random.default_rng(1).integers(0, 100, (2, 3, 5)).astype(kind)
    path = make_store(
        tmp_path / "s.zarr", {"x": Made(("member", "time", "lat"), values, (1, 2, 5), (1, 1, 1))}
    )
    with Store.open(path, native=native) as store:
        found = store.span(1, 0, 3)["x"]
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values[1])


@settings(max_examples=60)
@given(data=st.data())
def test_any_samples_levels_and_boxes_of_any_chunks(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    draw = data.draw
    shape = tuple(draw(st.integers(1, 6), label="size") for _ in range(5))
    chunk = tuple(draw(st.integers(1, n), label="chunk") for n in shape)
    per = tuple(draw(st.integers(1, 2), label="per shard") for _ in shape)
    values = np.random.default_rng(shape).normal(size=shape).astype("f4")
    values[values < -1] = -1e30
    made = Made(
        ("member", "time", "lev", "lat", "lon"),
        values,
        chunk,
        per,
        Codec(),
        np.float32(-1e30),
        {"_FillValue": np.float32(-1e30)},
    )
    path = make_store(tmp_path_factory.mktemp("h") / "s.zarr", {"x": made})
    samples = np.array(
        draw(
            st.lists(
                st.tuples(st.integers(0, shape[0] - 1), st.integers(0, shape[1] - 1)),
                min_size=1,
                max_size=9,
            )
        )
    )
    levels = draw(
        st.none() | st.lists(st.integers(0, shape[2] - 1), min_size=1, max_size=5), label="levels"
    )
    first = draw(st.integers(0, shape[3] - 1))
    last = draw(st.integers(first + 1, shape[3]))
    with Store.open(
        path, native=draw(st.sampled_from(ways())), threads=draw(st.integers(1, 3))
    ) as store:
        found = store.batch(samples, ["x"], levels=levels, box={"lat": slice(first, last)})["x"]
    expected = masked(values)[samples[:, 0], samples[:, 1]][..., first:last, :]
    if levels is not None:
        expected = expected[:, levels]
    np.testing.assert_array_equal(found, expected)


def test_levels_cut_what_has_levels_and_leave_the_rest(tmp_path: Path) -> None:
    path = planet_store(tmp_path / "s.zarr")
    with Store.open(path) as store:
        for levels in (slice(1, 3), [2, 0], np.array([1])):
            found = store.batch(SAMPLES, levels=levels, missing="fill")
            whole = store.batch(SAMPLES, missing="fill")
            np.testing.assert_array_equal(found["ta"], whole["ta"][:, levels])
            np.testing.assert_array_equal(found["tas"], whole["tas"])
        with pytest.raises(ConfigError, match="ta has 3"):
            store.batch(SAMPLES, ["ta"], levels=[3])


def test_a_series_is_all_times_of_a_point(tmp_path: Path) -> None:
    path = planet_store(tmp_path / "s.zarr")
    with Store.open(path) as store:
        found = store.series(1, ["tas"], box={"lat": slice(2, 3), "lon": slice(5, 6)})["tas"]
        np.testing.assert_array_equal(found[:, 0, 0], by_zarr(path, "tas")[1, :, 2, 5])


def test_axes_attributes_texts_and_planets(tmp_path: Path) -> None:
    with Store.open(planet_store(tmp_path / "s.zarr")) as store:
        assert (store.members, store.times, store.time_dim) == (2, 5, "time")
        assert store.dims == {"time": 5, "lev": 3, "lat": 4, "lon": 6, "member": 2}
        assert store.coordinate("member").tolist() == ["hot", "kühl"]
        assert store.coordinate("lev").tolist() == [0.1, 0.5, 0.9]
        assert store.attrs["title"] == "two worlds"
        assert store.arrays["lat"].attrs["units"] == "degrees_north"
        assert store.planet(1) == {"planet_star": "quiet", "planet_radius_m": 7.1e6}
        # What does not depend on time is the same in all samples of a member.
        radius = store.batch(SAMPLES, ["planet_radius_m"])["planet_radius_m"]
        assert radius.tolist() == [7.1e6, 6.4e6, 7.1e6, 6.4e6, 7.1e6]


@pytest.mark.parametrize("native", ways())
def test_where_nobody_wrote_there_is_nan_or_the_fill_value(tmp_path: Path, native: bool) -> None:
    values = np.ones((3, 4, 2, 2), "f4")
    straight = Made(
        ("member", "time", "lat", "lon"), values, (1, 1, 2, 2), (1, 4, 1, 1), fill=np.float32(9),
        attrs={"_FillValue": np.float32(9)}, absent=[(1, 0, 0, 0)],
    )  # fmt: skip
    cut = Made(
        ("member", "time", "lat", "lon"), values, (1, 3, 2, 2), fill=None, absent=[(1, 0, 0, 0)]
    )
    path = make_store(tmp_path / "s.zarr", {"straight": straight, "cut": cut})
    with Store.open(path, native=native) as store:
        samples = [(0, 0), (1, 0), (1, 3)]
        meant, stored = store.batch(samples), store.batch(samples, missing="fill")
        assert meant["straight"][:, 0, 0].tolist()[:1] == [1]
        assert np.isnan(meant["straight"][1:]).all()
        assert (stored["straight"][1:] == 9).all()
        assert np.isnan(meant["cut"][1]).all()
        assert (stored["cut"][1] == 0).all()
        assert (meant["cut"][[0, 2]] == 1).all()


@pytest.mark.parametrize("native", ways())
def test_packed_numbers_come_unpacked_or_as_they_are(tmp_path: Path, native: bool) -> None:
    packed = np.arange(-4, 20, dtype="i2").reshape(2, 3, 4)
    attrs = {"scale_factor": 0.5, "add_offset": 200.0, "_FillValue": np.int16(-4)}
    made = Made(("member", "time", "lat"), packed, (1, 1, 4), fill=np.int16(-4), attrs=attrs)
    unsigned = Made(
        ("member", "time", "lat"),
        packed,
        (1, 1, 4),
        attrs={"scale_factor": 1.0, "_Unsigned": "true"},
    )
    path = make_store(tmp_path / "s.zarr", {"x": made, "y": unsigned})
    with Store.open(path, native=native) as store:
        samples = [(m, t) for m in range(2) for t in range(3)]
        meant, stored = store.batch(samples), store.batch(samples, missing="fill")
        assert stored["x"].tobytes() == packed.tobytes()
        expected = (packed * 0.5 + 200).astype("f4").reshape(6, 4)
        expected[0, 0] = np.nan
        np.testing.assert_array_equal(meant["x"], expected)
        assert meant["y"][0].tolist() == [65532, 65533, 65534, 65535]


def test_big_endian_numbers_that_were_passed_through(tmp_path: Path) -> None:
    values = np.arange(12, dtype=">f4").reshape(1, 2, 6)
    path = make_store(
        tmp_path / "s.zarr",
        {"x": Made(("member", "time", "lat"), values.astype("f4"), (1, 1, 6), (1, 2, 1))},
    )
    codec = Codec("deflate", 4)
    chunks = [codec.encode(values[0, t]) for t in range(2)]
    lengths = np.array([len(chunk) for chunk in chunks])
    (path / "x" / "0.0.0").write_bytes(
        b"".join(chunks) + index_bytes(np.array([0, lengths[0]]), lengths)
    )
    root = json.loads((path / "zarr.json").read_text())
    node = root["consolidated_metadata"]["metadata"]["x"]
    node["codecs"] = codec.shard_metadata(np.dtype(">f4"), (1, 1, 6))
    (path / "zarr.json").write_text(json.dumps(root))
    for native in ways():
        with Store.open(path, native=native) as store:
            np.testing.assert_array_equal(store.span(0, 0, 2)["x"], values[0])


# ----------------------------------------------------------------------------- targets
def test_a_target_of_the_callers_is_filled_and_nothing_else(tmp_path: Path) -> None:
    with Store.open(planet_store(tmp_path / "s.zarr")) as store:
        wide = np.full((5, 2, 4, 6), -7, "f4")
        out = {"tas": wide[:, 0]}
        found = store.batch(SAMPLES, ["tas"], out=out)
        assert found["tas"] is out["tas"]
        np.testing.assert_array_equal(wide[:, 0], store.batch(SAMPLES, ["tas"])["tas"])
        assert (wide[:, 1] == -7).all()


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((5, 4, 6), "f8"),
        np.zeros((4, 4, 6), "f4"),
        np.zeros((5, 6, 4), "f4").transpose(0, 2, 1),
    ],
    ids=["type", "shape", "order"],
)
def test_a_target_that_does_not_suit_is_refused(tmp_path: Path, wrong: np.ndarray) -> None:
    with (
        Store.open(planet_store(tmp_path / "s.zarr")) as store,
        pytest.raises(ConfigError, match="out: tas"),
    ):
        store.batch(SAMPLES, ["tas"], out={"tas": wrong})


def test_no_samples_give_arrays_of_no_samples(tmp_path: Path) -> None:
    with Store.open(planet_store(tmp_path / "s.zarr")) as store:
        assert store.batch(np.zeros((0, 2), int))["ta"].shape == (0, 3, 4, 6)


# ----------------------------------------------------------------------------- threads, processes
def test_many_threads_read_from_one_store(tmp_path: Path) -> None:
    path = planet_store(tmp_path / "s.zarr")
    with Store.open(path, threads=3) as store:
        expected = {name: by_zarr(path, name) for name in ("ta", "tas")}
        wrong: list[str] = []

        def read(seed: int) -> None:
            random = np.random.default_rng(seed)
            for _ in range(20):
                samples = EVERY[random.integers(len(EVERY), size=7)]
                found = store.batch(samples, missing="fill")
                wrong.extend(
                    name
                    for name, values in expected.items()
                    if (found[name] != values[samples[:, 0], samples[:, 1]]).any()
                )

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_a_forked_child_reads_with_threads_of_its_own(tmp_path: Path) -> None:
    with Store.open(planet_store(tmp_path / "s.zarr"), threads=2) as store:
        expected = store.batch(SAMPLES)["ta"]
        child = os.fork()
        if child == 0:
            same = np.array_equal(store.batch(SAMPLES)["ta"], expected, equal_nan=True)
            os._exit(0 if same else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        np.testing.assert_array_equal(store.batch(SAMPLES)["ta"], expected)


def test_a_pickled_store_opens_again(tmp_path: Path) -> None:
    with Store.open(planet_store(tmp_path / "s.zarr"), threads=2, most_open=9) as store:
        expected = store.batch(SAMPLES)["ta"]
        with pickle.loads(pickle.dumps(store)) as again:
            assert (again.threads, again.most_open) == (2, 9)
            np.testing.assert_array_equal(again.batch(SAMPLES)["ta"], expected)


def test_no_more_files_stay_open_than_allowed(tmp_path: Path) -> None:
    values = np.arange(40 * 3, dtype="f4").reshape(1, 40, 3)
    path = make_store(
        tmp_path / "s.zarr", {"x": Made(("member", "time", "lat"), values, (1, 1, 3))}
    )
    held = len(os.listdir("/proc/self/fd"))
    with Store.open(path, threads=2, most_open=4) as store:
        np.testing.assert_array_equal(store.series(0)["x"], values[0])
        assert len(os.listdir("/proc/self/fd")) <= held + 4
    assert len(os.listdir("/proc/self/fd")) <= held


def test_a_closed_store_opens_by_itself(tmp_path: Path) -> None:
    store = Store.open(planet_store(tmp_path / "s.zarr"))
    before = store.batch(SAMPLES)["ta"]
    store.close()
    np.testing.assert_array_equal(store.batch(SAMPLES)["ta"], before)
    store.close()


# ----------------------------------------------------------------------------- what is wrong
@pytest.mark.parametrize("native", ways())
def test_a_damaged_chunk_is_named(tmp_path: Path, native: bool) -> None:
    path = planet_store(tmp_path / "s.zarr")
    shard = path / "ta" / "1.2.0.0.0"
    data = bytearray(shard.read_bytes())
    data[:16] = b"\xff" * 16
    shard.write_bytes(data)
    with Store.open(path, native=native) as store:
        store.batch([(0, 0)])
        with pytest.raises(Damaged, match=r"ta: chunk 0 of shard ta/1\.2\.0\.0\.0"):
            store.batch([(0, 0), (1, 4)])
        np.testing.assert_array_equal(  # and nothing is stuck after that
            store.batch([(0, 1)], ["tas"])["tas"], by_zarr(path, "tas")[:1, 1]
        )


def test_a_shard_without_its_end_is_named(tmp_path: Path) -> None:
    path = planet_store(tmp_path / "s.zarr")
    shard = path / "tas" / "0.0.0.0"
    shard.write_bytes(shard.read_bytes()[:-1])
    with Store.open(path) as store, pytest.raises(Damaged, match=r"tas/0\.0\.0\.0"):
        store.batch([(0, 0)])


def test_small_arrays_are_held_against_their_checksums(tmp_path: Path) -> None:
    path = planet_store(tmp_path / "s.zarr")
    for name in ("lat", "member"):
        data = bytearray((path / name / "0").read_bytes())
        (path / name / "0").write_bytes(data[:-1])
        with Store.open(path) as store, pytest.raises(Damaged, match=name):
            store.coordinate(name)


def test_a_shard_that_went_away_is_named(tmp_path: Path) -> None:
    path = planet_store(tmp_path / "s.zarr")
    with Store.open(path) as store:
        store.batch([(0, 0)])
        store.close()
        (path / "ta" / "0.0.0.0.0").unlink()
        with pytest.raises(Damaged, match="was removed after the store was opened"):
            store.batch([(0, 0)])
    # Opened without it, it is not taken for values that nobody had.
    with Store.open(path) as store, pytest.raises(Damaged, match=r"ta/0\.0\.0\.0\.0: is not there"):
        store.batch([(0, 0)])


def test_a_small_array_that_went_away_is_named(tmp_path: Path) -> None:
    path = planet_store(tmp_path / "s.zarr")
    (path / "lat" / "0").unlink()
    with Store.open(path) as store, pytest.raises(Damaged, match=r"lat/0: is not there"):
        store.coordinate("lat")


@pytest.mark.parametrize("native", ways())
def test_runs_without_members_and_fields_without_times(tmp_path: Path, native: bool) -> None:
    random = np.random.default_rng(4)
    path = make_store(
        tmp_path / "s.zarr",
        {
            "t": Made(("t",), np.arange(7.0), attrs={"units": "hours since 1850-01-01"}),
            "pr": Made(("t", "lat", "lon"), random.normal(size=(7, 4, 5)), (3, 4, 5)),
            "orog": Made(("lat", "lon"), random.normal(size=(4, 5)), (2, 5)),
            "crs": Made((), np.array(3, "i4")),
            "gmean": Made(("t",), random.normal(size=7), (4,)),
        },
    )
    with Store.open(path, native=native) as store:
        assert (store.members, store.times, store.time_dim) == (1, 7, "t")
        assert store.variables == ("pr",)
        found = store.batch([(0, 6), (0, 2)], ["pr", "orog", "gmean"])
        for name in ("pr", "gmean"):
            np.testing.assert_array_equal(found[name], by_zarr(path, name)[[6, 2]])
        np.testing.assert_array_equal(found["orog"], np.stack([by_zarr(path, "orog")] * 2))
        np.testing.assert_array_equal(store.coordinate("pr"), by_zarr(path, "pr"))
        assert (store.coordinate("crs"), store.batch([(0, 0)], ["crs"])["crs"].tolist()) == (3, [3])


@pytest.mark.parametrize("samples", [[(2, 0)], [(0, 5)], [(-1, 0)], [(0, -1)]])
def test_samples_that_are_not_there_are_refused(
    tmp_path: Path, samples: list[tuple[int, int]]
) -> None:
    with (
        Store.open(planet_store(tmp_path / "s.zarr")) as store,
        pytest.raises(ConfigError, match=r"samples: (member|time) -?[0-9] of ta is not in"),
    ):
        store.batch(samples)


def test_unknown_variables_are_refused_with_those_that_are_there(tmp_path: Path) -> None:
    with (
        Store.open(planet_store(tmp_path / "s.zarr")) as store,
        pytest.raises(ConfigError, match="'hus'; choose of ta, tas"),
    ):
        store.batch(SAMPLES, ["hus"])


def test_stores_of_other_codecs_are_left_to_zarr(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "s.zarr", mode="w")
    group.create_array("x", shape=(2, 3), chunks=(1, 3), dtype="f4")  # zstd by default
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(group.store)
    with pytest.raises(ConfigError, match=r"another program .*zarr-python"):
        Store.open(tmp_path / "s.zarr")


def test_what_is_no_store_or_not_finished_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="launch convert"):
        Store.open(tmp_path)
    path = planet_store(tmp_path / "s.zarr")
    root = json.loads((path / "zarr.json").read_text())
    del root["consolidated_metadata"]
    (path / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(ConfigError, match="did not come to an end"):
        Store.open(path)
