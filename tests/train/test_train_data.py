"""Batches: every sample once an epoch, alike at any number of ranks, and exactly where one was."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support_train import CPU, make_arrays

from astrohpc.errors import ConfigError
from astrohpc.train.data import Reader
from astrohpc.train.plan import BatchPlan, shareable
from astrohpc.train.settings import DataSettings, TrainSettings
from astrohpc.train.sources import Batch, open_source
from astrohpc.train.task import GlobalMeans

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))
from support_small import Made, make_store, planet_store


def test_an_epoch_has_every_sample_once_and_the_next_another_order() -> None:
    plan = BatchPlan(24, seed=1, batch=6)
    epochs = [np.concatenate([plan.number(4 * e + i) for i in range(4)]) for e in range(2)]
    assert all(sorted(epoch) == list(range(24)) for epoch in epochs)
    assert not np.array_equal(*epochs)
    again = BatchPlan(24, seed=1, batch=6)
    assert np.array_equal(again.number(5), plan.number(5))
    assert not np.array_equal(BatchPlan(24, seed=2, batch=6).number(5), plan.number(5))


@given(st.integers(0, 40), st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_ranks_share_the_same_batch_whatever_their_number(number: int, ranks: int) -> None:
    plan = BatchPlan(50, seed=3, batch=12)
    shares = [plan.share(number, rank, ranks) for rank in range(ranks)]
    assert {len(share) for share in shares} == {12 // ranks}
    assert sorted(np.concatenate(shares)) == sorted(plan.number(number))


def test_samples_are_shuffled_within_few_shards_at_a_time() -> None:
    shards = np.arange(400) // 20
    plan = BatchPlan(400, seed=0, batch=40, shards=shards, window=2)
    order = plan.order(0)
    assert sorted(order) == list(range(400))
    for i in range(10):
        assert len(set(shards[plan.number(i)])) == 2
    assert len(set(np.diff(plan.number(0)))) > 10, "shuffled within"
    assert not np.array_equal(shards[plan.order(0)], shards[plan.order(1)])
    assert len(set(shards[BatchPlan(400, 0, 40).number(0)])) > 8, "without shards: from all over"


@given(
    st.lists(st.integers(1, 30), min_size=20, max_size=60),
    st.integers(60, 200),
    st.integers(1, 2),
    st.integers(0, 12),
)
def test_token_batches_fit_and_lose_only_what_is_over(
    lengths: list[int], tokens: int, ranks: int, number: int
) -> None:
    plan = BatchPlan(len(lengths), 0, 1, lengths=np.array(lengths), tokens=tokens)
    sizes = plan.lengths[plan.number(number)]
    assert 0 < sizes.sum() <= tokens
    shares = [plan.share(number, rank, ranks) for rank in range(ranks)]
    assert sorted(np.concatenate(shares)) == sorted(plan.number(number))
    work = [int(plan.lengths[share].sum()) for share in shares]
    assert max(work) - min(work) <= max(lengths)
    epoch = plan._epoch(0)
    assert len({int(i) for batch in epoch for i in batch}) == sum(map(len, epoch))


def test_plans_that_cannot_be_are_sentences() -> None:
    with pytest.raises(ConfigError, match="the longest sample has 9 tokens, and a step 8"):
        BatchPlan(2, 0, 1, lengths=np.array([9, 1]), tokens=8)
    with pytest.raises(ConfigError, match="batch: 5 samples are more than the 4"):
        BatchPlan(4, 0, 5)
    with pytest.raises(ConfigError, match="has 1 samples for 2 ranks; write more tokens"):
        BatchPlan(2, 0, 1, lengths=np.array([8, 8]), tokens=8).share(0, 0, 2)
    shareable(TrainSettings(batch=64), 4)
    with pytest.raises(
        ConfigError, match="64 samples cannot be shared equally by 3 ranks; write 63 or 66"
    ):
        shareable(TrainSettings(batch=64), 3)
    with pytest.raises(ConfigError, match="by 3 ranks; write 3,"):
        shareable(TrainSettings(batch=2), 3)


def reader(arrays: Path, number: int = 0, **settings: object) -> Reader:
    source = open_source(DataSettings(source=str(arrays)), 0, arrays)
    plan = BatchPlan(source.count, 0, 7)
    found = Reader(source, plan, 0, 1, CPU, 2, lambda batch: batch)
    found.start(number)
    return found


def test_a_reader_gives_what_the_plan_says_from_any_number_on(arrays: Path) -> None:
    params = np.load(arrays / "params.npy")
    for start in (0, 5):
        one = reader(arrays, start)
        for number in range(start, start + 12):
            batch = one.take(number)
            np.testing.assert_array_equal(batch["params"], params[one.plan.number(number)])
        one.stop()
        assert one.waited_s > 0


def test_an_error_of_the_reader_is_raised_where_the_batch_is_taken(arrays: Path) -> None:
    one = reader(arrays)
    one.stop()

    def fails(batch: Batch) -> Batch:
        raise ConfigError("fields: they are damaged")

    one.work = fails
    one.start(0)
    with pytest.raises(ConfigError, match="they are damaged"):
        one.take(0)
    one.stop()


def test_a_store_s_samples_come_with_their_planets(tmp_path: Path) -> None:
    path = planet_store(tmp_path / "s.zarr")
    settings = DataSettings(source=str(path))
    source = open_source(settings, 0, tmp_path)
    assert source.inputs == ("radius_m",)
    assert dict(source.channels) == {"ta": slice(0, 3), "tas": slice(3, 4)}
    assert source.count == 10
    batch = source.read(np.array([7, 0]), source.room(5, pinned=False))
    assert batch["fields"].shape == (2, 4, 4, 6)
    expected = source.store.batch([(1, 2), (0, 0)], ["ta", "tas"])
    np.testing.assert_array_equal(batch["fields"][:, :3], expected["ta"])
    np.testing.assert_array_equal(batch["fields"][:, 3], expected["tas"])
    np.testing.assert_array_equal(batch["params"][:, 0].numpy(), np.float32([7.1e6, 6.4e6]))
    only = open_source(DataSettings(source=str(path), variables=("tas",)), 0, tmp_path)
    assert dict(only.channels) == {"tas": slice(0, 1)}
    assert only.digest != source.digest


def test_area_means_are_those_of_the_sphere(tmp_path: Path) -> None:
    source = open_source(DataSettings(source=str(planet_store(tmp_path / "s.zarr"))), 0, tmp_path)
    task = GlobalMeans(source, {})
    read = source.read(np.arange(10), source.room(10, pinned=False))
    means = task.ahead(read)["targets"].numpy()
    band = np.diff(np.sin(np.radians([-90, -45, 0, 45, 90])))
    fields = read["fields"].numpy().astype("f8")
    weights = np.broadcast_to(band[:, None], fields.shape[-2:])
    for channel in range(4):
        values = fields[:, channel]
        known = np.isfinite(values)
        expected = (np.where(known, values, 0) * weights).sum((1, 2)) / (known * weights).sum(
            (1, 2)
        )
        np.testing.assert_allclose(means[:, channel], expected, rtol=1e-5)


def test_held_out_members_are_never_trained_on(tmp_path: Path) -> None:
    values = np.arange(5 * 4 * 2 * 3, dtype="f4").reshape(5, 4, 2, 3)
    dims = ("member", "time", "lat", "lon")
    path = make_store(
        tmp_path / "s.zarr",
        {
            "time": Made(("time",), np.arange(4.0), attrs={"units": "days since 0001-01-01"}),
            "lat": Made(("lat",), np.array([-45.0, 45.0]), attrs={"units": "degrees_north"}),
            "lon": Made(("lon",), np.arange(3) * 120.0, attrs={"units": "degrees_east"}),
            "member": Made(("member",), np.array(list("abcde"), object)),
            "planet_flux": Made(("member",), np.arange(5.0)),
            "tas": Made(dims, values, chunk=(1, 1, 2, 3), per_shard=(1, 2, 1, 1)),
        },
    )
    source = open_source(DataSettings(source=str(path), held_out=0.4), 3, tmp_path)
    assert (source.count, source.held_out) == (12, 8)
    read = source.read(np.arange(20), source.room(20, pinned=False))
    members = read["params"][:, 0].numpy()
    assert set(members[:12]).isdisjoint(members[12:])
    assert sorted(set(members)) == [0, 1, 2, 3, 4]
    assert sorted(source.all_params()[:, 0]) == sorted(set(members[:12]))
    assert source.shards is not None
    assert len(set(source.shards)) == 6, "two times a shard, three members"


def test_samples_of_other_lengths_are_cut_to_the_longest(tmp_path: Path) -> None:
    folder = tmp_path / "sequences"
    folder.mkdir()
    lengths = np.array([2, 5, 3, 1, 4, 2])
    np.save(folder / "params.npy", np.arange(12.0).reshape(6, 2))
    np.save(folder / "fields.npy", np.random.default_rng(0).random((6, 1, 5)))
    np.save(folder / "lengths.npy", lengths)
    source = open_source(DataSettings(source=str(folder), tokens=8), 0, tmp_path)
    batch = source.read(np.array([0, 2]), source.room(4, pinned=False))
    assert batch["fields"].shape == (2, 1, 3)
    assert batch["length"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda f: (f / "params.npy").unlink(),
            "neither a store that 'launch convert' made, nor a folder",
        ),
        (lambda f: (f / "params.npy").write_bytes(b"no"), "cannot be read"),
        (lambda f: np.save(f / "params.npy", np.ones((3, 4))), "of the same N"),
        (lambda f: np.save(f / "params.npy", np.array([{}], object)), "cannot be read"),
        (lambda f: (f / "names.json").write_text("{"), "names.json cannot be read"),
        (
            lambda f: (f / "names.json").write_text('{"inputs": ["a"]}'),
            "must name 4 inputs and 2 channels",
        ),
        (
            lambda f: np.save(f / "lengths.npy", np.zeros(60)),
            "must have a length for each of 60 samples",
        ),
    ],
)
def test_bad_arrays_are_a_sentence(tmp_path: Path, spoil: object, words: str) -> None:
    folder = make_arrays(tmp_path / "bad")
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(ConfigError, match=r"data\.source: .*") as caught:
        open_source(DataSettings(source=str(folder)), 0, tmp_path)
    assert words in str(caught.value)


def test_bad_choices_of_a_store_are_a_sentence(tmp_path: Path) -> None:
    path = str(planet_store(tmp_path / "s.zarr"))
    for settings, words in (
        (DataSettings(), "data.source: it is empty"),
        (DataSettings(source=path, variables=("tsa",)), "has no 'tsa'; did you mean 'ta'?"),
        (DataSettings(source=path, variables=("time",)), "time is no field"),
        (DataSettings(source=path, inputs=("mass",)), "says no 'mass' of its planets"),
        (DataSettings(source=path, tokens=3), "all samples are of one length"),
    ):
        with pytest.raises(ConfigError) as caught:
            open_source(settings, 0, tmp_path)
        assert words in str(caught.value)


def test_batches_go_to_the_device_in_parts(arrays: Path) -> None:
    one = reader(arrays)
    batch = one.take(0)
    part = one.to_device(batch, slice(2, 5))
    one.stop()
    assert torch.equal(part["params"], batch["params"][2:5])
