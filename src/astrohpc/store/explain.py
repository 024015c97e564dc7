"""What a plan means for who reads the store: chunks, shards, and the cost of each way to read."""

from astrohpc.files import size
from astrohpc.store.layout import Axes, costs
from astrohpc.store.plan import Plan, PlannedArray
from astrohpc.store.tasks import direct

_COLUMNS = (
    "array",
    "shape",
    "type",
    "chunk",
    "bytes",
    "chunks a shard",
    "made",
    "sample",
    "map",
    "series",
)


def explained(plan: Plan) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A table of the arrays that have shards: columns and rows."""
    return _COLUMNS, [_row(plan, array) for array in plan.arrays if array.values is None]


def _row(plan: Plan, array: PlannedArray) -> tuple[str, ...]:
    spec = array.spec
    taken = (array.member_axis, array.time_axis)
    rest = tuple(axis for axis in range(len(spec.shape)) if axis not in taken)
    axes = Axes(array.member_axis, array.time_axis, rest)
    chunk_bytes = spec.dtype.itemsize
    for length in spec.chunk:
        chunk_bytes *= length
    per_shard = 1
    for length in spec.per_shard:
        per_shard *= length
    straight = direct(plan, array, (0,) * len(spec.shape)) is not None
    reading = costs(spec.shape, spec.dtype.itemsize, axes, spec.chunk)
    return (
        spec.path,
        _by(spec.shape),
        str(spec.dtype),
        _by(spec.chunk),
        size(chunk_bytes),
        str(per_shard),
        "source bytes" if straight else "through numpy",
        *(f"{one.chunks} chunks, {one.cpu_ms:.2g} ms" for one in reading.values()),
    )


def _by(lengths: tuple[int, ...]) -> str:
    return "×".join(map(str, lengths)) or "1"
