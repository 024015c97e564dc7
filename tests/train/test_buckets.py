"""Gradient buckets by themselves: their plan, their order, and when they are sent."""

import pytest
import torch
from torch import Tensor, nn

from astrohpc.errors import ConfigError
from astrohpc.train.engines.agree import bits_hash
from astrohpc.train.engines.buckets import GradientBuckets


class Post:
    """What is sent, and by whom it is waited for; other ranks add ``others``."""

    def __init__(self, others: float = 0.0) -> None:
        self.sent: list[str] = []
        self.waited: list[str] = []
        self._others = others

    def send(self, name: str, flat: Tensor) -> str:
        assert flat.is_contiguous()
        assert flat.dim() == 1
        self.sent.append(name)
        flat += self._others
        return name

    def wait(self, handle: str) -> None:
        self.waited.append(handle)


def buckets(model: nn.Module, post: Post, size: int = 1 << 30) -> GradientBuckets:
    return GradientBuckets(list(model.named_parameters()), size, post.send, post.wait)


def layers(count: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(4, 4) for _ in range(count)))


def test_buckets_go_from_the_last_parameter_to_the_first_and_are_bounded() -> None:
    found = buckets(layers(), Post(), size=4 * (16 + 4)).buckets
    names = [[slot.name for slot in bucket.slots] for bucket in found]
    assert names == [["2.bias", "2.weight"], ["1.bias", "1.weight"], ["0.bias", "0.weight"]]


def test_a_parameter_larger_than_a_bucket_has_one_for_itself() -> None:
    found = buckets(layers(1), Post(), size=8).buckets
    assert [[slot.name for slot in bucket.slots] for bucket in found] == [["0.bias"], ["0.weight"]]


def test_a_small_model_has_two_buckets_too_so_that_something_travels_during_backward() -> None:
    model = nn.Sequential(*(nn.Linear(300, 300) for _ in range(8)))
    assert len(buckets(model, Post()).buckets) == 2


def test_types_that_are_summed_alike_share_buckets_and_others_do_not() -> None:
    model = nn.Sequential(
        nn.Linear(2, 2).double(),
        nn.Linear(2, 2).bfloat16(),
        nn.Linear(2, 2),
        nn.Linear(2, 2).half(),
    )
    found = buckets(model, Post()).buckets
    assert [bucket.flat.dtype for bucket in found] == [torch.float32, torch.float64]
    assert len(found[0].slots) == 6


def test_views_do_not_overlap_and_are_aligned() -> None:
    (bucket,) = buckets(nn.Sequential(nn.Conv2d(3, 5, 3), nn.Linear(3, 7)), Post()).buckets
    bucket.flat.zero_()
    for slot in bucket.slots:
        assert slot.view.data_ptr() % 64 == bucket.flat.data_ptr() % 64
        slot.view += 1.0
    bucket.used += 1.0
    count = sum(slot.view.numel() for slot in bucket.slots) + len(bucket.used)
    assert bucket.flat.sum() == count
    assert bucket.flat.max() == 1.0


def test_a_bucket_is_sent_within_backward_as_soon_as_it_is_full() -> None:
    model, post = layers(), Post()
    made = buckets(model, post, size=80)
    seen: list[int] = []
    model[0].weight.register_post_accumulate_grad_hook(lambda _: seen.append(len(post.sent)))
    made.filling = True
    model(torch.ones(1, 4)).sum().backward()
    assert seen[0] >= 2  # the last layers' are on their way when the first's gradient is made
    assert post.waited == []
    made.finish()
    assert post.sent == post.waited == ["gradients.0", "gradients.1", "gradients.2"]


def test_micro_batches_are_sent_once() -> None:
    model, post = layers(), Post()
    made = buckets(model, post)
    for last in (False, False, True):
        made.filling = last
        model(torch.ones(1, 4)).sum().backward()
    made.finish()
    assert post.sent == ["gradients.0"]
    assert model[2].bias.grad.tolist() == [3.0] * 4


def test_a_gradient_lives_in_its_bucket_so_that_nothing_is_copied_back() -> None:
    model = layers(1)
    made = buckets(model, Post(others=1.0))
    made.filling = True
    model(torch.zeros(1, 4)).sum().backward()
    made.finish()
    assert model[0].bias.grad.tolist() == [2.0] * 4
    assert model[0].bias.grad.data_ptr() == made.buckets[0].slots[0].view.data_ptr()


def test_gradients_set_to_zero_and_not_dropped_are_right_in_the_next_step() -> None:
    model = layers(1)
    made = buckets(model, Post())
    for _ in range(2):
        model.zero_grad(set_to_none=False)
        made.filling = True
        model(torch.ones(1, 4)).sum().backward()
        made.finish()
    assert model[0].weight.grad.equal(torch.ones(4, 4))


@pytest.mark.parametrize(("others", "none"), [(0.0, True), (1.0, False)])
def test_what_only_others_use_gets_their_gradient(others: float, none: bool) -> None:
    model = layers(2)
    made = buckets(model, Post(others=others))
    made.filling = True
    model[1](torch.ones(1, 4)).sum().backward()
    made.finish()
    assert (model[0].weight.grad is None) == none
    assert none or model[0].weight.grad.equal(torch.ones(4, 4))


def test_a_sparse_gradient_is_refused() -> None:
    model = nn.Embedding(5, 2, sparse=True)
    made = buckets(model, Post())
    made.filling = True
    with pytest.raises(ConfigError, match="weight: its gradient is sparse"):
        model(torch.tensor([1])).sum().backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64])
def test_any_single_bit_changes_the_hash_and_pieces_add_up(dtype: torch.dtype) -> None:
    values = torch.randn(50, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(
        dtype
    )
    whole = bits_hash(values)
    assert bits_hash(values[:13]) + bits_hash(values[13:], first=13) == whole
    for place in (0, 17, 49):
        for bit in range(8):
            changed = values.clone()
            changed.view(torch.uint8)[place * values.element_size()] ^= 1 << bit
            assert bits_hash(changed) != whole


def test_the_hash_does_not_know_the_memory_format() -> None:
    values = torch.randn(2, 3, 4, 5)
    assert bits_hash(values.contiguous(memory_format=torch.channels_last)) == bits_hash(values)
    assert bits_hash(values.transpose(0, 1)) != bits_hash(values)
