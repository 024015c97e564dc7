"""Augmentation where the batch is on a GPU: what :mod:`.augment` does, bit for bit, by ``augment.cu``."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.kernels.cuda import launch
from astrohpc.kernels.desk import Blocks, Draws, Report
from astrohpc.kernels.sources import STORED
from astrohpc.kernels.tensors import Tensor, cupy, packed
from astrohpc.kernels.warp import Controls, Globe

THREADS = {"augment_trace": 512, "augment_weigh": 256, "augment": 256, "augment_wind": 256}
KERNELS = tuple(THREADS)
_BLOCKS_EACH = 2  # of threads, on each multiprocessor: so many have registers

# Members of Job in augment.cu, in order: what a batch is, what arrays, what numbers.
_TENSORS = ("own", "other", "out", "draft")
_SIZES = ("samples", "times", "channels", "rows", "columns", "draft_channels")
_SCRATCH = ("taps", "parts", "share", "ps", "mass")
_FOUND = ("own_share", "wrong", "totals")


def augment_gpu(
    own: Tensor,
    other: Tensor,
    out: Tensor,
    globe: Globe,
    controls: Controls,
    blocks: Blocks,
    draws: Draws,
    report: Report,
) -> None:
    """Augment all samples of ``own`` [B, T, C, J, I] into ``out`` with partners in ``other`` [P, T, C, J, I].

    On the stream of ``out``; ``report`` is filled, so this waits until the GPU is done.
    """
    for each in (own, other, out):
        _ = each.distance  # that a sample lies closely
        if (
            each.dtype != out.dtype
            or each.shape[1:] != out.shape[1:]
            or each.dtype not in _STORABLE
        ):
            raise ValueError(
                f"{each.name}: is {each.shape} of {each.dtype} where out is {out.shape} of {out.dtype}; "
                f"give all alike, of {' or '.join(_STORABLE)}."
            )
        if each.shape[0] > 1 and each.steps[0] != int(np.prod(each.shape[1:])):
            raise ValueError(
                f"{each.name}: its samples are apart in memory; make it contiguous first."
            )
    module = cupy()
    variant, sizes = {"X": STORED[out.dtype]}, sizes_of(out.shape, blocks)
    with module.cuda.Device(out.stream.device), module.cuda.ExternalStream(out.stream.pointer):
        multiprocessors = module.cuda.Device().attributes["MultiProcessorCount"]
        grids = grids_of(sizes, len(blocks.table), _BLOCKS_EACH * multiprocessors)
        shapes = {**scratch_shapes(sizes), **found_shapes(sizes, len(blocks.table))}
        made = {
            name: (module.zeros if name in _FOUND else module.empty)(shape, kind)
            for name, (shape, kind) in shapes.items()
        }
        if out.dtype == "float32":
            draft = out.pointer
        else:
            floor = (max(grids.values()), sizes["draft_channels"], sizes["rows"] * sizes["columns"])
            made["draft"] = module.empty(floor, np.float32)
            draft = made["draft"].data.ptr
        tensors = {"own": own.pointer, "other": other.pointer, "out": out.pointer, "draft": draft}
        places = {name: array.data.ptr for name, array in made.items()}
        arrays = arrays_of(globe, controls, blocks, draws)
        bytes_of, offsets = packed(arrays)
        given = module.asarray(bytes_of)
        held = {name: given.data.ptr + offset for name, offset in offsets.items()}
        words = module.asarray(job(tensors, sizes, held, places, globe, controls, blocks, draws))
        for kernel in KERNELS:
            launch(
                "augment",
                kernel,
                variant,
                out.stream,
                (grids[kernel],),
                THREADS[kernel],
                (np.uint64(words.data.ptr),),
                shared_bytes(sizes["rows"]),
            )
        report.own[...] = made["own_share"].get()
        report.wrong[...] = made["wrong"].get()
        report.totals[...] = made["totals"].get()


_STORABLE = ("float32", "bfloat16")


def sizes_of(shape: tuple[int, ...], blocks: Blocks) -> dict[str, int]:
    """The lengths that a job is told, of a batch [B, T, C, J, I]."""
    return dict(zip(_SIZES, (*shape, 2 * max(len(blocks.da), 1)), strict=True))


def grids_of(sizes: Mapping[str, int], n_blocks: int, most: int) -> dict[str, int]:
    """Blocks of threads of each kernel; the last two go on where their grids end."""
    samples, planes = sizes["samples"], sizes["samples"] * sizes["times"]
    many = min(planes * n_blocks, most)
    return {
        "augment_trace": samples,
        "augment_weigh": planes,
        "augment": many,
        "augment_wind": many,
    }


def shared_bytes(rows: int) -> int:
    """Of shared memory: eleven sums a row and two numbers."""
    return 8 * (11 * rows + 2)


def scratch_shapes(sizes: Mapping[str, int]) -> dict[str, tuple[tuple[int, ...], Any]]:
    """What kernels leave for one another."""
    samples, times, rows = sizes["samples"], sizes["times"], sizes["rows"]
    cells = rows * sizes["columns"]
    return {
        "taps": ((samples, 4, cells), np.uint32),
        "parts": ((samples, 6, cells), np.float32),
        "share": ((samples, cells), np.float32),
        "ps": ((samples, times, 5, cells), np.float32),
        "mass": ((samples, times, 4, rows), np.float64),
    }


def found_shapes(sizes: Mapping[str, int], n_blocks: int) -> dict[str, tuple[tuple[int, ...], Any]]:
    """What a report is made of."""
    samples, times = sizes["samples"], sizes["times"]
    return {
        "own_share": ((samples,), np.float64),
        "wrong": ((samples, times, n_blocks), np.int64),
        "totals": ((samples, times, n_blocks, 3), np.float64),
    }


def arrays_of(
    globe: Globe, controls: Controls, blocks: Blocks, draws: Draws
) -> dict[str, NDArray[Any]]:
    """Arrays that a job points to, by the names that it has for them."""
    its = {**globe._asdict(), **draws._asdict()}
    for numbers in ("per_rad", "seed", "operation"):
        del its[numbers]
    its |= {"area": globe.share, "points": controls.at, "id_low": draws.low, "id_high": draws.high}
    its |= {"table": blocks.table, "bounds_low": blocks.low, "bounds_high": blocks.high}
    its |= {"da": blocks.da, "db": blocks.db}
    return {name: np.ascontiguousarray(value) for name, value in its.items()}


def job(
    tensors: Mapping[str, int],
    sizes: Mapping[str, int],
    held: Mapping[str, int],
    made: Mapping[str, int],
    globe: Globe,
    controls: Controls,
    blocks: Blocks,
    draws: Draws,
) -> NDArray[np.uint64]:
    """The words of a Job: addresses of tensors, of arrays held, of scratch and findings; sizes, numbers."""

    def at(*names: str) -> list[Any]:
        return [np.uint64(held[name]) for name in names]

    members = [
        *(np.uint64(tensors[name]) for name in _TENSORS),
        *(np.int64(sizes[name]) for name in _SIZES),
        *at("lat", "row", "cos_lat", "sin_lat", "cos_lon", "sin_lon"),
        np.float64(globe.per_rad),
        *at("pole", "area", "arm", "points"),
        *(np.float64(controls.edge), np.float64(controls.scale), np.int64(len(controls.at))),
        *at("table", "bounds_low", "bounds_high", "da", "db"),
        *(np.int64(blocks.pressure), np.int64(len(blocks.table)), np.int64(len(blocks.da))),
        *at("before", "part", "warped", "half", "upper", "weight", "partner", "mixture"),
        *at("capped", "caps", "sigma", "id_low", "id_high"),
        *(np.int64(draws.seed), np.int64(draws.operation)),
        *at("spin"),
        *(np.uint64(made[name]) for name in (*_SCRATCH, *_FOUND)),
    ]
    return np.array([member.view(np.uint64) for member in members])
