"""Every sample is seen once an epoch, by one rank, in an order that a resumed run finds again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrohpc.errors import ConfigError
from astrohpc.store.order import SampleOrder


@given(
    members=st.integers(1, 6),
    times=st.integers(1, 20),
    ranks=st.integers(1, 4),
    batch=st.integers(1, 5),
    seed=st.integers(0, 9),
)
def test_ranks_share_all_samples_without_overlap(
    members: int, times: int, ranks: int, batch: int, seed: int
) -> None:
    count, whole = members * times, batch * ranks
    for drop_last in (True, False):
        seen = [
            [
                tuple(sample)
                for few in SampleOrder(members, times, seed, rank, ranks, drop_last).batches(
                    3, batch
                )
                for sample in few.tolist()
            ]
            for rank in range(ranks)
        ]
        assert {len(one) for one in seen} == {
            (count // whole if drop_last else -(-count // whole)) * batch
        }
        everything = [sample for one in seen for sample in one]
        there = {(m, t) for m in range(members) for t in range(times)}
        if drop_last:
            assert len(set(everything)) == len(everything)
            assert set(everything) <= there
        else:
            assert set(everything) == there


def test_a_resumed_epoch_goes_on_with_the_next_batch() -> None:
    order = SampleOrder(4, 25, seed=2, rank=1, ranks=2)
    whole = list(order.batches(5, 8))
    resumed = list(SampleOrder(4, 25, seed=2, rank=1, ranks=2).batches(5, 8, start=3))
    np.testing.assert_array_equal(np.concatenate(whole[3:]), np.concatenate(resumed))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    first = SampleOrder(4, 25).samples(0)
    assert (SampleOrder(4, 25).samples(1) != first).any()
    assert (SampleOrder(4, 25, seed=1).samples(0) != first).any()


@pytest.mark.parametrize(
    "wrong", [{"members": 0}, {"times": 0}, {"rank": 2, "ranks": 2}, {"rank": -1}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"members, times|rank"):
        SampleOrder(**{"members": 1, "times": 1, **wrong})
