"""Spectra that lie on a GPU: what :mod:`.spectra` does, bit for bit, by ``spectra.cu``."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrohpc.kernels.cuda import launch
from astrohpc.kernels.sources import STORED
from astrohpc.kernels.spectra_desk import PIECE, Grid, Manner, Plan
from astrohpc.kernels.tensors import Stream, Tensor, cupy, packed

THREADS = 512
_ABREAST = 5  # as in spectra.cu
_LEFT_BYTES = 512  # of shared memory, for what the kernel has there besides
_LONG_EACH = 1  # block of spectra_long on each multiprocessor: so many have registers

# Members of Job in spectra.cu, in order.
_ROOM = "room"
_TENSORS = ("values", "out", "given", "sigma", "totals", "state", _ROOM)
_SIZES = ("samples", "bins", "edges", "nodes", "stretches", "weights", "knots", "gaps")
_OF_GRID = (
    *("edge", "at", "of", "width", "stretch_low", "stretch_high"),
    *("node", "inverse_width", "under", "place"),
)
_OF_PLAN = (
    *("resampled", "offset_um", "inverse", "gain", "factor", "half"),
    *("weight", "low", "high", "knots", "snr", "sample", "gaps"),
)
_SHORT = ("at", "of", "under")  # 32 bits do for places: half as much is read


class SpectraOnGpu:
    """A batch ``values`` [B, N] on its way into ``out``, a part of its samples at a time.

    ``given`` and ``sigma`` [B, N] as in :func:`.spectra.augment`, or None. The grid is sent once. Parts go on
    the stream of ``out`` one behind the other, while the processor makes the next one's plan.
    """

    def __init__(
        self,
        values: Tensor,
        out: Tensor,
        grid: Grid,
        manner: Manner,
        given: Tensor | None = None,
        sigma: Tensor | None = None,
    ) -> None:
        both = [each for each in (given, sigma) if each is not None]
        for each in (values, out, *both):
            wanted = "float32" if each in both else out.dtype
            if each.distance != each.shape[-1] or (each.shape, each.dtype) != (out.shape, wanted):
                raise ValueError(
                    f"{each.name}: is {each.shape} of {each.dtype} where {out.shape} of {wanted} that lie "
                    "closely are needed; give such."
                )
        if out.dtype not in ("float32", "bfloat16"):
            raise ValueError(f"{out.name}: holds {out.dtype}; give float32 or bfloat16.")
        self._tensors = {"values": values, "out": out, "given": given, "sigma": sigma}
        self._grid, self._manner, self._stream = grid, manner, out.stream
        self._variant = {"X": STORED[out.dtype]}
        self._item = 2 if out.dtype == "bfloat16" else 4
        samples, self._bins = out.shape
        module = cupy()
        with _on(self._stream):
            self._totals = module.empty((samples, 4), np.float64)
            self._state = module.empty((samples, 2), np.int64)
            bytes_of, offsets = packed(grid_arrays(grid))
            self._held = module.asarray(bytes_of)
            self._grid_at = {name: self._held.data.ptr + at for name, at in offsets.items()}
            device = module.cuda.Device().attributes
            words = room_words(self._bins, len(grid.edge), len(grid.node))
            self._shared = 8 * words
            self.kernel, self._blocks = "spectra", samples
            if self._shared > device["MaxSharedMemoryPerBlockOptin"] - _LEFT_BYTES:
                self.kernel = "spectra_long"
                self._blocks = min(samples, _LONG_EACH * device["MultiProcessorCount"])
                self._room = module.empty((self._blocks, words), np.float64)
                self._shared = 0

    def augment(self, first: int, plan: Plan) -> None:
        """Do the samples from ``first`` on that a plan is of; they are not waited for."""
        count = len(plan.sample)
        step = {"values": self._item, "out": self._item, "given": 4, "sigma": 4}
        tensors = {
            name: each.pointer + first * self._bins * step[name] if each is not None else 0
            for name, each in self._tensors.items()
        }
        with _on(self._stream):
            tensors["totals"] = self._totals[first:].data.ptr
            tensors["state"] = self._state[first:].data.ptr
            tensors[_ROOM] = self._room.data.ptr if self.kernel == "spectra_long" else 0
            bytes_of, offsets = packed(plan_arrays(plan))
            sent = cupy().asarray(bytes_of)
            held = {name: sent.data.ptr + at for name, at in offsets.items()}
            held = {**self._grid_at, **held}
            words = job(tensors, held, self._bins, self._grid, plan, self._manner)
            given = cupy().asarray(words)
            launch(
                "spectra",
                self.kernel,
                self._variant,
                self._stream,
                (min(count, self._blocks),),
                THREADS,
                (np.uint64(given.data.ptr),),
                self._shared,
            )

    def found(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Totals and states of all samples, when they are there."""
        with _on(self._stream):
            return self._totals.get(), self._state.get()


@contextlib.contextmanager
def _on(stream: Stream) -> Iterator[None]:
    """What is made and sent here goes to this GPU and on this stream."""
    cuda = cupy().cuda
    with cuda.Device(stream.device), cuda.ExternalStream(stream.pointer):
        yield


def room_words(bins: int, edges: int, nodes: int) -> int:
    """Words of 8 bytes that a block works in."""
    pieces = -(-max(bins, edges) // PIECE)
    return 2 * (max(edges, nodes) + _ABREAST) + 2 * pieces + (bins + 1) // 2


def grid_arrays(grid: Grid) -> dict[str, NDArray[Any]]:
    """Arrays of a grid as the kernel has them."""
    its = grid._asdict()
    return {
        name: np.ascontiguousarray(its[name], np.int32 if name in _SHORT else None)
        for name in _OF_GRID
    }


def plan_arrays(plan: Plan) -> dict[str, NDArray[Any]]:
    """Arrays of a plan, by the names that it has for them."""
    its = plan._asdict()
    return {name: np.ascontiguousarray(its[name]) for name in _OF_PLAN}


def job(
    tensors: Mapping[str, int],
    held: Mapping[str, int],
    bins: int,
    grid: Grid,
    plan: Plan,
    manner: Manner,
) -> NDArray[np.uint64]:
    """The words of a Job: addresses of tensors and of arrays held, sizes and numbers."""
    sizes = {
        "samples": len(plan.sample),
        "bins": bins,
        "edges": len(grid.edge),
        "nodes": len(grid.node),
        "stretches": len(grid.stretch_low),
        "weights": plan.weight.shape[1],
        "knots": plan.knots.shape[1],
        "gaps": plan.gaps.shape[1],
    }
    members = [
        *(np.uint64(tensors[name]) for name in _TENSORS),
        *(np.int64(sizes[name]) for name in _SIZES),
        *(np.uint64(held[name]) for name in _OF_GRID),
        *(np.float64(grid.lean), np.int64(grid.first), np.int64(grid.step)),
        *(np.uint64(held[name]) for name in _OF_PLAN),
        *(np.int64(manner.seed), np.float64(manner.amplitude), np.int64(manner.noise)),
        *(np.int64(manner.keep_total), np.int64(manner.positive)),
    ]
    return np.array([member.view(np.uint64) for member in members])
