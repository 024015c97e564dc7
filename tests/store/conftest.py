import pytest
from support_shards import kernel_or_skip

from astrohpc.store.shard import Worker


@pytest.fixture(params=["kernel", "wheels"])
def worker(request: pytest.FixtureRequest) -> Worker:
    """Shards are the same to a reader whichever of the two made them."""
    if request.param == "kernel":
        kernel_or_skip()
    return Worker(native=request.param == "kernel")
